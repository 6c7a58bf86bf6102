"""The progress bar, on terminals and on what is none."""

import io

import pytest

from pretrained_embed.cli.output import Bar, plural, size


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Stands still until it is told."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def shown(terminal: Terminal) -> list[str]:
    """Return each line that stood on the terminal."""
    return [line.rstrip() for line in terminal.getvalue().split("\r")[1:]]


def test_what_is_done_within_a_second_shows_nothing(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        bar(0, 100)
        clock.now += 0.9
        bar(100, 100)

    assert terminal.getvalue() == ""


def test_after_a_second_share_speed_and_time_left_are_shown(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        bar(0, 400_000_000)
        clock.now += 2
        bar(100_000_000, 400_000_000)

        assert shown(terminal) == [
            "[#####---------------]  25%  100.0 MB of 400.0 MB  50.0 MB/s  0:06 left"
        ]


def test_without_a_total_bytes_and_speed_are_shown(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        bar(0, None)
        clock.now += 2
        bar(3_000_000, None)

        assert shown(terminal) == ["3.0 MB  1.5 MB/s"]


def test_a_resumed_download_is_as_fast_as_its_new_bytes(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        bar(900, 1000)
        clock.now += 2
        bar(920, 1000)

        assert shown(terminal)[0].endswith("920 B of 1.0 kB  10 B/s  0:08 left")


def test_the_next_part_of_the_work_counts_anew(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        bar(0, 1000)
        clock.now += 10
        bar(1000, 1000)
        clock.now += 10
        bar(0, 600)
        clock.now += 2
        bar(200, 600)

        assert shown(terminal)[-1].endswith("200 B of 600 B  100 B/s  0:04 left")


def test_it_is_drawn_ten_times_a_second_at_most(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        for done in range(10_000):
            clock.now += 0.001
            bar(done, 10_000)

        assert 80 <= len(shown(terminal)) <= 91


def test_it_leaves_a_clean_line(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        clock.now += 2
        bar(1, 2)

    *_, blank, nothing = terminal.getvalue().split("\r")
    assert blank == " " * len(terminal.getvalue().split("\r")[1])
    assert nothing == ""


def test_a_shorter_line_covers_a_longer_one(clock):
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        clock.now += 2
        bar(1, 2)
        clock.now += 2
        bar(0, None)

        _, long, short = terminal.getvalue().split("\r")
        assert len(short) == len(long)


def test_it_fits_a_narrow_terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()

    with Bar(stream=terminal, clock=clock) as bar:
        clock.now += 2
        bar(1, 2)

    assert max(map(len, terminal.getvalue().split("\r"))) == 19


@pytest.mark.parametrize(
    ("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)]
)
def test_it_is_silent_off_a_terminal_and_when_quiet(clock, stream, quiet):
    with Bar(stream=stream, quiet=quiet, clock=clock) as bar:
        clock.now += 5
        bar(1, 2)

    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (862_182_613, "862.2 MB"),
        (5 * 10**15, "5000.0 TB"),
        (None, "?"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(count, shown):
    assert size(count) == shown


def test_nouns_follow_their_number():
    assert (plural(1, "row"), plural(0, "row")) == ("1 row", "0 rows")
    assert plural(2000, "row repeats", "rows repeat") == "2,000 rows repeat"
