"""What ``progress=`` may be, in every function that has it."""

import re
import sys

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import arrays as progress_lines


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("".join(f"t{i} {i} 0.5\n" for i in range(1, 500)))
    return path


USES = {
    "build_matrix": lambda source, **o: pe.build_matrix(["t1"], source, **o),
    "coverage": lambda source, **o: pe.coverage(["t1"], source, **o),
    "convert": lambda source, **o: pe.convert(source, source.with_suffix(".h5"), **o),
    "examine": lambda source, **o: pe.examine(source, **o),
    "index": lambda source, **o: pe.index(
        source, library=pe.Library(source.parent / "c"), **o
    ),
    "similar": lambda source, **o: pe.similar(source, "t1", **o),
    "page": lambda source, **o: pe.page(source, source.with_suffix(".html"), **o),
}


@pytest.mark.parametrize("use", USES)
def test_true_prints_lines_to_standard_error(use, source, capsys):
    USES[use](source, progress=True)

    output, errors = capsys.readouterr()
    assert output == ""
    lines = errors.splitlines()
    assert lines[-1].startswith("100%" if use != "page" else "  0%")  # blocks begun
    assert all(re.fullmatch(r" *\d+%  [\d,]+ of [\d,]+ bytes", line) for line in lines)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("nothing", [False, None])
def test_false_prints_nothing(use, nothing, source, capsys):
    USES[use](source, progress=nothing)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("use", USES)
def test_anything_else_is_refused_before_any_work(use, source):
    with pytest.raises(pe.errors.OptionError, match="progress is 'yes'; give True"):
        USES[use](source, progress="yes")

    assert [path.name for path in source.parent.iterdir()] == ["v.txt"]


def test_opening_and_fetching_take_it_too(source):
    with pytest.raises(pe.errors.OptionError, match="progress is 5"):
        pe.open_vectors(source, progress=5)
    with pytest.raises(pe.errors.OptionError, match="progress is 5"):
        pe.fetch("https://127.0.0.1:1/x", progress=5)
    with pe.open_vectors(source, progress=True) as reader:
        assert reader.dim == 2


def test_a_line_a_second_and_one_at_the_end_of_each_part(capsys, monkeypatch):
    now = iter(np.arange(0, 3, 0.25))
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: next(now))
    show = progress_lines.listener(True)

    for done in (0, 10, 20, 30, 40, 100, 100, 0, 50):
        show(done, 100)
    show(7, None)

    assert capsys.readouterr().err.splitlines() == [
        "  0%  0 of 100 bytes",
        " 40%  40 of 100 bytes",
        "100%  100 of 100 bytes",
    ]


def test_a_notebook_has_a_bar(monkeypatch, source, capsys):
    monkeypatch.setattr(progress_lines, "_in_a_notebook", lambda: True)

    pe.build_matrix(["t1"], source, progress=True)

    output, errors = capsys.readouterr()
    assert output == ""
    assert re.search(r"100%\|█+\| [\d.]+k/[\d.]+k", errors)


def test_without_a_notebook_there_are_lines(monkeypatch):
    assert not progress_lines._in_a_notebook()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr(progress_lines, "find_spec", lambda name: name != "ipywidgets")
    assert not progress_lines._in_a_notebook()
