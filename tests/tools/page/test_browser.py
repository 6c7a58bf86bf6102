"""The page in a real browser, without a window and without a network.

The tests install nothing: without Chromium and its driver they are skipped.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe
from tests.tools.page.conftest import NASTY

selenium = pytest.importorskip("selenium", reason="pip install selenium")

from selenium import webdriver  # noqa: E402 - after the skip
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no browser here: apt-get install chromium chromium-driver",
)

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--force-prefers-reduced-motion"),
)
READABLE = 4.5  # contrast that WCAG 2 asks of text


class Page:
    """A page that is open, and what its tests do with it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(
        self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False
    ) -> None:
        self.command("Emulation.setTouchEmulationEnabled", enabled=False)
        self.resize(width, height)
        self.prefer("dark" if dark else "light")
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        self.driver.get_log("browser")
        self.driver.get(path.as_uri())
        self.until(lambda: "drawn" in self.map)

    def command(self, name: str, **options: Any) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(name, options)

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "mobile": mobile},
            deviceScaleFactor=1,
        )

    def prefer(self, colours: str) -> None:
        wanted = [{"name": "prefers-color-scheme", "value": colours}]
        self.command("Emulation.setEmulatedMedia", features=wanted)

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).get_property("textContent")

    def until(self, holds: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 20, 0.02).until(lambda _: holds())

    @property
    def map(self) -> dict[str, str]:
        return self.run("return {...document.getElementById('canvas').dataset}")

    @property
    def picture(self) -> str:
        return self.run("return document.getElementById('canvas').toDataURL()")

    @property
    def busy(self) -> float:
        """Seconds that the page's thread has worked."""
        metrics = self.command("Performance.getMetrics")["metrics"]
        return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def drawn_again(self, action: Callable[[], Any]) -> None:
        """Do something, after which the map is drawn once more at least."""
        before = int(self.map["frames"])
        action()
        self.until(lambda: int(self.map["frames"]) > before)
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def search(self, text: str) -> None:
        self.find("#search").clear()
        self.find("#search").send_keys(text)

    def middle(self, dx: int = 0, dy: int = 0) -> ActionChains:
        chain = ActionChains(self.driver, duration=0)
        return chain.move_to_element_with_offset(self.find("canvas"), dx, dy)

    @property
    def neighbours(self) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll('#selected ol bdi')]"
            ".map(token => token.textContent)"
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0}
        speed = {"downloadThroughput": 0, "uploadThroughput": 0}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline | speed)
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser) -> Page:
    return Page(browser)


@pytest.fixture(scope="module")
def written(matrix, nasty, tmp_path_factory) -> dict[str, Path]:
    """Pages by what is on them."""
    folder = tmp_path_factory.mktemp("pages")
    tokens = [f"token{i}" for i in range(20_000)]
    vectors = np.random.default_rng(0).normal(size=(len(tokens), 4))
    many = pe.EmbeddingMatrix(vectors, pe.Vocabulary(tokens, pad=None))
    pages = {name: folder / f"{name}.html" for name in ("matrix", "nasty", "many")}
    pe.page(matrix, pages["matrix"])
    pe.page(nasty, pages["nasty"], title=NASTY[8])
    pe.page(many, pages["many"])
    return pages


def expected_neighbours(matrix: pe.EmbeddingMatrix, token: str) -> list[str]:
    (answer,) = pe.similar(matrix, [token], count=10)
    return [near.token for near in answer.nearest]


# It loads


@pytest.mark.parametrize("name", ["matrix", "nasty", "many"])
def test_a_page_loads_from_disk_without_a_complaint(page, written, name):
    page.open(written[name])

    assert page.driver.get_log("browser") == []
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert int(page.map["drawn"]) > 0


# Search, hover, selection, filter


def test_search_finds_a_token_and_lists_its_neighbours(page, written, matrix):
    page.open(written["matrix"])

    page.search("word30")
    page.until(lambda: page.text("#matches-said") == "1 token matches")
    page.drawn_again(lambda: page.find("#search").send_keys(Keys.ENTER))

    assert page.text("#selected h3") == "word30"
    assert page.neighbours == expected_neighbours(matrix, "word30")
    assert page.text("#said").startswith("word30: found as it stands. Nearest: ")


def test_search_says_where_nothing_matches(page, written):
    page.open(written["matrix"])

    page.search("nowhere")

    page.until(lambda: page.text("#matches-said") == "No token on the map matches")
    assert not page.find("#matches").is_displayed()


def test_a_neighbour_is_a_button_to_go_on(page, written, matrix):
    page.open(written["matrix"])
    page.search("word30\n")
    first = page.neighbours[0]

    page.drawn_again(page.find("#selected ol button").click)

    assert page.text("#selected h3") == first
    assert page.neighbours == expected_neighbours(matrix, first)


def test_pointing_at_a_token_shows_its_neighbours(page, written, matrix):
    page.open(written["matrix"])
    page.search("word30\n")  # brings it to the middle
    page.until(lambda: page.map.get("selected"))
    page.find("canvas").send_keys(Keys.ESCAPE)
    assert not page.find("#tip").is_displayed()

    page.middle().perform()

    page.until(page.find("#tip").is_displayed)
    tip = page.find("#tip").text
    assert tip.startswith("word30\nfound as it stands\nid 31 · ")
    assert f"Near: {', '.join(expected_neighbours(matrix, 'word30')[:6])}" in tip


def test_a_click_selects_and_a_click_beside_lets_go(page, written):
    page.open(written["matrix"])
    page.search("word30\n")
    page.find("canvas").send_keys(Keys.ESCAPE)
    page.until(lambda: page.map["selected"] == "-1")

    page.middle().click().perform()
    page.until(lambda: page.text("#selected h3") == "word30")

    page.drawn_again(lambda: page.find("canvas").send_keys("0---"))
    page.middle(-390, -260).click().perform()
    page.until(lambda: page.map["selected"] == "-1")


def test_a_filter_changes_what_is_drawn(page, written):
    page.open(written["matrix"])
    boxes = page.driver.find_elements(By.CSS_SELECTOR, "#legend input")
    before = page.picture
    assert [box.accessible_name for box in boxes] == [
        *("exact, 100", "lower, 100", "not found (normal), 100")
    ]

    page.drawn_again(boxes[0].click)
    assert page.map["drawn"] == "200"
    assert page.picture != before

    page.drawn_again(boxes[0].click)
    assert page.map["drawn"] == "300"
    assert page.picture == before


def test_search_shows_a_token_again_that_a_filter_hides(page, written):
    page.open(written["matrix"])
    page.drawn_again(page.find("#legend input").click)

    page.search("word30\n")

    page.until(lambda: page.map["drawn"] == "300")
    assert page.find("#legend input").is_selected()


@pytest.mark.parametrize("by", ["counts", "norms"])
def test_points_are_coloured_by_what_is_chosen(page, written, by):
    page.open(written["matrix"])
    before = page.picture
    assert not page.find("#scale").is_displayed()

    page.drawn_again(page.find(f"#colour [value={by}]").click)

    assert page.picture != before
    assert page.find("#scale").is_displayed()
    assert page.find("#scale").text.strip()


def test_what_has_one_value_is_no_choice(page, written):
    page.open(written["many"])  # without counts, and all found as they stand

    values = page.run("return [...document.getElementById('colour')].map(o => o.value)")
    assert values == ["norms"]
    assert not page.find("#legend").is_displayed()


# Moving


def test_the_map_moves_by_drag_wheel_and_pinch(page, written):
    page.open(written["matrix"])
    x, scale = float(page.map["x"]), float(page.map["scale"])

    page.drawn_again(
        page.middle().click_and_hold().move_by_offset(90, 0).release().perform
    )
    assert float(page.map["x"]) == pytest.approx(x - 90 / scale, abs=2 / scale)

    origin = ScrollOrigin.from_element(page.find("canvas"))
    page.drawn_again(
        ActionChains(page.driver).scroll_from_origin(origin, 0, -300).perform
    )
    assert float(page.map["scale"]) > scale

    scale = float(page.map["scale"])
    page.drawn_again(lambda: pinch(page))
    page.until(lambda: float(page.map["scale"]) == pytest.approx(2 * scale, rel=0.01))


def pinch(page: Page) -> None:
    page.command("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    box = page.run("return document.getElementById('canvas').getBoundingClientRect()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, far in (("touchStart", 50), ("touchMove", 75), ("touchMove", 100)):
        fingers = [{"x": x - far, "y": y, "id": 0}, {"x": x + far, "y": y, "id": 1}]
        page.command("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
    page.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def test_the_keyboard_reaches_the_map_and_moves_it(page, written):
    page.open(written["matrix"])
    active = "return document.activeElement.id"
    for _ in range(40):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        if page.run(active) == "canvas":
            break
    assert page.run(active) == "canvas"
    start = page.map

    def press(key: str) -> dict[str, str]:
        page.drawn_again(ActionChains(page.driver).send_keys(key).perform)
        return page.map

    assert float(press(Keys.ARROW_RIGHT)["x"]) > float(start["x"])
    assert float(press(Keys.ARROW_DOWN)["y"]) > float(start["y"])
    assert float(press("+")["scale"]) > float(start["scale"])
    assert float(press("-")["scale"]) == pytest.approx(float(start["scale"]))
    assert float(press("0")["x"]) == pytest.approx(float(start["x"]))
    assert int(press(Keys.ENTER)["selected"]) >= 0
    assert len(page.neighbours) == 10
    assert press(Keys.ESCAPE)["selected"] == "-1"


def test_20_000_points_stay_smooth(page, written):
    page.open(written["many"])
    # The page's own processor time: other tests may be running beside this one.
    page.command("Performance.enable", timeDomain="threadTicks")

    costs = []
    for _ in range(3):
        before = page.busy
        frames = page.driver.execute_async_script(PAN)
        costs.append((page.busy - before) / frames)

    assert page.map["drawn"] == "20000"
    assert min(costs) <= 1 / 4  # of a second, drawn by the processor alone


PAN = """
const [done] = arguments;
const canvas = document.getElementById("canvas");
const [before, began] = [Number(canvas.dataset.frames), performance.now()];
function step(now) {
  if (now - began > 1000) {
    done(canvas.dataset.frames - before);
    return;
  }
  const key = Math.floor((now - began) / 250) % 2 ? "ArrowLeft" : "ArrowRight";
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
  requestAnimationFrame(step);
}
requestAnimationFrame(step);
"""


# For everyone


def colours(page: Page) -> list[dict[str, Any]]:
    """Return the text, the colour and the ground of all there is to read."""
    return page.run(
        """
        const solid = (colour) => !colour.endsWith(", 0)");
        const read = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node; (node = walker.nextNode());) {
          const text = node.data.trim(), parent = node.parentElement;
          if (!text || !parent.checkVisibility() || parent.closest("script")) continue;
          let ground = parent;
          const colourOf = (at) => getComputedStyle(at).backgroundColor;
          while (!solid(colourOf(ground))) ground = ground.parentElement;
          const ink = getComputedStyle(parent).color;
          read.push({ text, ink, ground: colourOf(ground) });
        }
        return read;
        """
    )


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(page, written, dark):
    page.open(written["matrix"], dark=dark)
    page.search("word30\n")

    read = colours(page)

    assert len(read) > 300
    for each in read:
        light, dim = sorted(map(luminance, (each["ink"], each["ground"])))[::-1]
        assert (light + 0.05) / (dim + 0.05) >= READABLE, each
    grounds = [luminance(each["ground"]) for each in read]
    assert max(grounds) < 0.1 if dark else min(grounds) > 0.8


def test_the_page_turns_dark_by_itself_and_by_a_button(page, written):
    page.open(written["matrix"])
    ground = "return getComputedStyle(document.body).backgroundColor"
    light, points = page.run(ground), page.picture

    page.drawn_again(lambda: page.prefer("dark"))
    dark = page.run(ground)
    assert luminance(dark) < 0.1 < 0.8 < luminance(light)
    assert page.picture != points

    page.drawn_again(page.find("#theme").click)
    assert page.run(ground) == light
    assert page.picture == points


def test_a_phone_has_the_map_first_and_room_for_fingers(page, written):
    page.open(written["matrix"])
    page.resize(360, 740, mobile=True)
    page.command("Emulation.setTouchEmulationEnabled", enabled=True)
    page.driver.get(written["matrix"].as_uri())
    page.until(lambda: "drawn" in page.map)

    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    targets = "button, select, input[type=search], nav a, summary, fieldset label"
    small = (
        "return [...document.querySelectorAll(arguments[0])]"
        ".map(each => [each.textContent, each.getBoundingClientRect().height])"
        ".filter(([, height]) => height > 0 && height < 44)"
    )

    canvas = page.run(top, "canvas")
    assert page.run(top, "h1") < canvas < page.run(top, ".tools")
    assert canvas < page.run(top, ".tiles") < page.run(top, "#coverage")
    assert page.run(small, targets) == []


@pytest.mark.parametrize("name", ["matrix", "nasty"])
def test_a_phone_shows_the_page_without_scrolling_sideways(page, written, name):
    page.open(written[name])
    page.resize(360, 740, mobile=True)
    page.driver.get(written[name].as_uri())
    page.until(lambda: "drawn" in page.map)
    page.run(
        "document.querySelectorAll('details').forEach(all => { all.open = true; })"
    )
    page.find("canvas").send_keys(Keys.ENTER)
    page.until(lambda: page.map.get("selected"))

    assert page.run("return innerWidth") == 360
    assert page.run("return document.documentElement.scrollWidth") == 360


def test_a_screen_reader_finds_names_tables_and_landmarks(page, written):
    page.open(written["matrix"])
    page.search("word30\n")

    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            roles.setdefault(role, []).append(name)

    assert {"banner", "main", "navigation", "contentinfo", "complementary"} <= {*roles}
    assert roles["application"] == ["Map of the tokens"]
    assert "By form: what of a token was found in the source" in roles["table"]
    for role in ("table", "button", "checkbox", "combobox", "searchbox", "region"):
        assert all(roles[role]), role
    assert {"rowheader", "columnheader"} <= {*roles}
    assert any(name.startswith("Histogram of") for name in roles["image"])
    assert roles["heading"].count("word30") == 1
    assert len(roles["status"]) == 2


def test_the_tokens_in_view_are_a_list_too(page, written):
    page.open(written["matrix"])
    page.find("#list summary").click()
    page.until(lambda: "tokens are in view" in page.text("#list p"))
    many = len(page.driver.find_elements(By.CSS_SELECTOR, "#list button"))

    page.search("word30\n")  # zooms in
    page.until(
        lambda: len(page.driver.find_elements(By.CSS_SELECTOR, "#list button")) < many
    )
    button = page.find("#list button")
    name = button.text
    button.click()

    assert page.text("#selected h3") == name


# Tokens are text


def test_no_text_of_a_matrix_runs(page, written):
    page.open(written["nasty"])
    ran = "return window.__ran"

    for token in (*NASTY[:13], "window.__ran=9", "evil", "xxx"):
        page.search(f"{token}\n")
        page.until(lambda t=token: t in page.text("#selected h3"))
        page.find("canvas").send_keys(Keys.ESCAPE)
        page.middle(1, 1).move_by_offset(-1, -1).perform()
        page.until(page.find("#tip").is_displayed)
        page.middle(200, 200).perform()
    page.find("#list summary").click()
    page.until(lambda: page.find("#list button"))

    assert page.run(ran) is None
    assert page.driver.title == NASTY[8]
    assert (
        page.run("return document.querySelectorAll('img, body svg[onload]').length")
        == 0
    )
    assert page.run("return document.scripts.length") == 2
    assert page.driver.get_log("browser") == []


def test_the_policy_stops_what_is_put_into_the_page(page, written):
    page.open(written["matrix"])

    page.run(
        """
        const script = document.createElement("script");
        script.textContent = "window.__ran = 1";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend",
          '<img src="data:," onerror="window.__ran = 2">');
        document.querySelector("body > img").dispatchEvent(new Event("error"));
        """
    )

    refused = [entry["message"] for entry in page.driver.get_log("browser")]
    assert page.run("return window.__ran") is None
    assert sum("Content Security Policy" in message for message in refused) >= 2
