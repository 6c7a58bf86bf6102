/**
 * What is around the map: search, colours, filters, the selected token, the keyboard.
 * Text of the matrix becomes text of the page, never anything else.
 */

const element = (id) => document.getElementById(id);

/** @returns {HTMLElement} an element with text and children */
function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 5 });
const tokenOf = (i) => make("bdi", { className: "token", textContent: points.tokens[i] });
const chart = new Chart(element("canvas"));

// What there is to say of a token

function factsOf(i) {
  const facts = [`id ${points.ids[i].toLocaleString("en")}`, `norm ${number(points.norms[i])}`];
  if (points.counts) facts.splice(1, 0, `occurs ${points.counts[i].toLocaleString("en")} ×`);
  return facts.join(" · ");
}

function select(i, { centre = false, focus = false } = {}) {
  chart.selected = i;
  chart.canvas.dataset.selected = i;
  const place = element("selected");
  if (i < 0) {
    place.replaceChildren(make("p", { className: "remark", textContent: "No token is selected." }));
    element("said").textContent = "No token is selected.";
  } else {
    const near = neighbours(i);
    const heading = make("h3", { tabIndex: -1 }, tokenOf(i));
    const list = make("ol", {}, ...near.map(({ point, cosine }) => {
      const button = make("button", { type: "button" }, make("bdi", { textContent: points.tokens[point] }));
      button.append(make("span", { className: "cosine", textContent: cosine.toFixed(2) }));
      button.addEventListener("click", () => select(point, { centre: true, focus: true }));
      return make("li", {}, button);
    }));
    place.replaceChildren(
      heading,
      make("p", { textContent: points.origins[points.origin[i]].words }),
      make("p", { className: "remark", textContent: factsOf(i) }),
      make("h4", { textContent: near.length ? "Nearest by cosine" : "Near to no other" }),
      list,
    );
    const names = near.map(({ point }) => points.tokens[point]).join(", ");
    element("said").textContent = `${points.tokens[i]}: ${points.origins[points.origin[i]].words}. ${names ? `Nearest: ${names}.` : ""}`;
    if (focus) heading.focus();
    if (centre) chart.centre(i);
  }
  chart.touch();
  listView();
}

function hover(i, x, y) {
  const tip = element("tip");
  if (i !== chart.hovered) {
    chart.hovered = i;
    chart.touch();
    tip.hidden = i < 0;
    if (i >= 0) {
      const near = neighbours(i).slice(0, 6).map(({ point }) => points.tokens[point]);
      tip.replaceChildren(
        make("p", {}, tokenOf(i)),
        make("p", { textContent: points.origins[points.origin[i]].words }),
        make("p", { className: "remark", textContent: factsOf(i) }),
        make("p", { textContent: near.length ? `Near: ${near.map((text) => short(text, 30)).join(", ")}` : "Near to no other" }),
      );
    }
  }
  if (i >= 0) {
    const left = Math.max(4, x + 16 + tip.offsetWidth < chart.width ? x + 16 : x - 16 - tip.offsetWidth);
    const top = Math.max(4, Math.min(y + 12, chart.height - tip.offsetHeight - 4));
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }
}

// Pointer, wheel and keys

const fingers = new Map();
let travelled = 0;

function spread() {
  const [a, b] = [...fingers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, far: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
}

chart.canvas.addEventListener("pointerdown", (event) => {
  chart.canvas.setPointerCapture(event.pointerId);
  if (!fingers.size) travelled = 0;
  fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  hover(-1);
});

chart.canvas.addEventListener("pointermove", (event) => {
  const [x, y] = [event.offsetX, event.offsetY];
  const before = fingers.get(event.pointerId);
  if (!before) {
    hover(chart.at(x, y), x, y);
    return;
  }
  travelled += Math.hypot(x - before.x, y - before.y);
  if (fingers.size === 1) {
    fingers.set(event.pointerId, { x, y });
    chart.move(x - before.x, y - before.y);
  } else if (fingers.size === 2) {
    const from = spread();
    fingers.set(event.pointerId, { x, y });
    const to = spread();
    chart.move(to.x - from.x, to.y - from.y);
    chart.zoom(to.far / from.far, to.x, to.y);
  }
});

chart.canvas.addEventListener("pointerup", (event) => {
  if (fingers.size === 1 && travelled < 5) {
    const reach = event.pointerType === "touch" ? 22 : 12;
    select(chart.at(event.offsetX, event.offsetY, reach));
  }
  fingers.delete(event.pointerId);
  listView();
});
chart.canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
chart.canvas.addEventListener("pointerleave", () => hover(-1));

chart.canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
  chart.zoom(Math.exp(-event.deltaY * lines * 0.0016), event.offsetX, event.offsetY);
  hover(-1);
  listView();
}, { passive: false });

const STEP = 60;
const KEYS = {
  ArrowLeft: () => chart.move(STEP, 0),
  ArrowRight: () => chart.move(-STEP, 0),
  ArrowUp: () => chart.move(0, STEP),
  ArrowDown: () => chart.move(0, -STEP),
  "+": () => chart.zoom(1.4),
  "=": () => chart.zoom(1.4),
  "-": () => chart.zoom(1 / 1.4),
  0: () => chart.showAll(),
  Enter: () => select(chart.at(chart.width / 2, chart.height / 2, chart.width)),
  Escape: () => select(-1),
};

chart.canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
  listView();
});
for (const kind of ["focus", "blur"]) chart.canvas.addEventListener(kind, () => chart.touch());
element("closer").addEventListener("click", () => (chart.zoom(1.6), listView()));
element("farther").addEventListener("click", () => (chart.zoom(1 / 1.6), listView()));
element("all").addEventListener("click", () => (chart.showAll(), listView()));

// Search

const lowered = points.tokens.map((token) => token.toLowerCase());
const MATCHES = 8;

/** Points whose token is, begins with or has a text, in this order. */
function matching(text) {
  const wanted = text.toLowerCase();
  const kinds = [[], [], [], []];
  for (let i = 0; i < points.count; i++) {
    const at = lowered[i].indexOf(wanted);
    if (at < 0) continue;
    const same = points.tokens[i] === text ? 0 : lowered[i].length === wanted.length ? 1 : at === 0 ? 2 : 3;
    if (kinds[same].length < MATCHES) kinds[same].push(i);
  }
  return kinds.flat().slice(0, MATCHES);
}

function choose(i) {
  element("matches").hidden = true;
  const origin = points.origin[i];
  if (!chart.shown[origin]) element("legend").querySelectorAll("input")[origin].click();
  select(i, { centre: true, focus: true });
}

element("search").addEventListener("input", ({ target }) => {
  const found = target.value ? matching(target.value) : [];
  element("matches").hidden = !found.length;
  element("matches").replaceChildren(...found.map((i) => {
    const button = make("button", { type: "button" }, make("bdi", { textContent: points.tokens[i] }));
    button.addEventListener("click", () => choose(i));
    return make("li", {}, button);
  }));
  element("matches-said").textContent = !target.value ? "" : found.length === 1 ? "1 token matches" : found.length ? `${found.length} tokens match` : "No token on the map matches";
});

element("search").addEventListener("keydown", (event) => {
  const first = element("matches").querySelector("button");
  if (event.key === "Enter") first?.click();
  if (event.key === "Escape") element("matches").hidden = true;
});
document.addEventListener("click", ({ target }) => {
  if (!target.closest(".search")) element("matches").hidden = true;
});

// Colours and filters

const COLOURS = 8, SHADES = 7;

points.origins.forEach((origin, k) => {
  const input = make("input", { type: "checkbox", checked: true });
  const many = points.origin.reduce((sum, code) => sum + (code === k), 0);
  input.addEventListener("change", () => {
    chart.shown[k] = Number(input.checked);
    if (chart.selected >= 0 && points.origin[chart.selected] === k && !input.checked) select(-1);
    hover(-1);
    chart.touch();
    listView();
  });
  const swatch = make("span", { className: `swatch s${k % COLOURS}` });
  element("legend").append(make("label", {}, input, swatch, `${origin.name}, ${many.toLocaleString("en")}`));
});
if (points.origins.length < 2) { // one colour says nothing
  element("legend").hidden = true;
  element("colour").querySelector("[value=origin]").remove();
}
element("scale").children[1].append(...Array.from({ length: SHADES }, (_, k) => make("i", { className: `r${k}` })));

/** Colours of the points, as the style sheet has them just now. */
function colour() {
  const by = element("colour").value;
  const background = (of) => getComputedStyle(of).backgroundColor;
  const legend = element("legend"), scale = element("scale");
  legend.classList.toggle("plain", by !== "origin");
  scale.hidden = by === "origin";
  if (by === "origin") {
    chart.paint = { colours: [...legend.querySelectorAll(".swatch")].map(background), of: points.origin };
  } else {
    const values = by === "counts" ? points.counts.map((count) => Math.log10(count + 1)) : points.norms;
    const sorted = values.slice().sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
    const [low, high] = by === "counts" ? [at(0), at(1)] : [at(0.01), at(0.99)];
    const of = Uint8Array.from(values, (value) => Math.max(0, Math.min(SHADES - 1, Math.floor(SHADES * (value - low) / (high - low || 1)))));
    chart.paint = { colours: [...scale.querySelectorAll("i")].map(background), of };
    const word = (value) => (by === "counts" ? `${number(Math.round(10 ** value - 1))} ×` : `norm ${number(value)}`);
    [scale.firstElementChild.textContent, scale.lastElementChild.textContent] = [word(low), word(high)];
  }
  const { color: ink, fontFamily: font } = getComputedStyle(chart.canvas);
  chart.theme = { ink, font, ground: background(chart.canvas.closest(".stage")) };
  chart.touch();
}

if (!points.counts) element("colour").querySelector("[value=counts]").remove();
element("colour").addEventListener("change", colour);

// Dark and light

const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
function theme() {
  element("theme").textContent = isDark() ? "Light" : "Dark";
  element("theme").ariaLabel = isDark() ? "Light colours" : "Dark colours";
  colour();
}
element("theme").hidden = false;
element("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  theme();
});
dark.addEventListener("change", theme);
theme();

// The tokens in view, as a list

const LISTED = 200;

function listView() {
  const list = element("list");
  if (!list.open) return;
  const inView = [...chart.inView()];
  const buttons = inView.slice(0, LISTED).map((i) => {
    const button = make("button", { type: "button" }, make("bdi", { textContent: points.tokens[i] }));
    button.addEventListener("click", () => select(i, { focus: true }));
    return make("li", {}, button);
  });
  const all = `${inView.length.toLocaleString("en")} tokens are in view`;
  list.querySelector("p").textContent = inView.length > LISTED ? `${all}; the first ${LISTED} of them:` : `${all}.`;
  list.querySelector("ul").replaceChildren(...buttons);
}
element("list").addEventListener("toggle", listView);
