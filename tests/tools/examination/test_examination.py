"""A checkup of whole files: what is wrong is named, with what would mend it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import pretrained_embed as pe

GOOD = "the 1 2\ncat 3 4\ndog 0.5 -1e-3\n"


def examined(tmp_path, content: str | bytes, name: str = "v.txt") -> pe.Examination:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return pe.examine(path)


def problems(checkup: pe.Examination) -> dict[str, pe.Problem]:
    return {problem.name: problem for problem in checkup.problems}


@pytest.mark.parametrize("header", ["", "3 2\n"])
def test_a_good_file_has_no_problems(tmp_path, header):
    checkup = examined(tmp_path, header + GOOD)

    assert checkup.problems == ()
    assert checkup.healthy
    assert (checkup.format, checkup.rows, checkup.dim) == ("text", 3, 2)
    assert checkup.declared_rows == (3 if header else None)
    assert checkup.dtype == "text"
    assert checkup.first_tokens == ("the", "cat", "dog")
    expected = [math.hypot(1, 2), math.hypot(3, 4), math.hypot(0.5, 1e-3)]
    assert checkup.norms == pytest.approx(
        {"min": min(expected), "mean": sum(expected) / 3, "max": max(expected)}
    )


@pytest.mark.parametrize(
    ("content", "name", "rows", "healthy"),
    [
        ("the 1 2\ncat 3\ndog 5 6\n", "malformed-rows", 1, False),
        ("9 2\n" + GOOD, "false-header", 1, False),
        (GOOD + "the 5 6\nthe 1 2\n", "repeated-tokens", 2, False),
        (GOOD + "caf\u00e9 1 2\ncafe\u0301 1 2\n", "repeated-after-nfc", 1, True),
        (GOOD + "\u00a0cat 1 2\n", "repeated-after-trimming", 1, True),
        (GOOD.encode() + b"\xff 1 2\n", "not-utf8", 1, False),
        (GOOD + "new york 1 2\n", "white-space-tokens", 1, True),
        (GOOD + "zero\u200bwidth 1 2\n", "invisible-tokens", 1, True),
        (GOOD + "w nan 2\nv 1 nan\n", "nan", 2, False),
        (GOOD + "w inf 2\nv 1 -inf\nu 1e999 0\n", "infinite", 3, False),
        (GOOD + "w 0 0\nv 0 -0\n", "zero-vectors", 2, True),
        (GOOD + "w 3 1 2\n", "wide-rows", 1, True),
    ],
)
def test_each_problem_is_named(tmp_path, content, name, rows, healthy):
    checkup = examined(tmp_path, content)

    found = problems(checkup)[name]
    assert found.rows == rows
    assert found.severity == ("warning" if healthy else "error")
    assert checkup.healthy == healthy
    assert found.advice


def test_rows_are_named_by_what_is_in_them(tmp_path):
    found = problems(examined(tmp_path, GOOD.encode() + b"cat 5 6\n\xff\xfe nan 2\n"))

    assert found["repeated-tokens"].examples == ("row 3: 'cat'",)
    assert found["not-utf8"].examples == (r"row 4: b'\xff\xfe'",)
    assert found["nan"].examples == (r"row 4: b'\xff\xfe'",)


def test_malformed_rows_are_named_by_their_lines(tmp_path):
    (found,) = examined(tmp_path, "4 2\n" + GOOD + "bird 3\n").problems

    assert found.examples[0].startswith("line 5: 1 values, 2 expected")


def test_numbers_whose_squares_cannot_be_held_are_no_problem(tmp_path):
    checkup = examined(tmp_path, "the 3e38 0\ncat 1e-38 0\ndog 1e-45 0\n")

    assert checkup.problems == ()
    assert checkup.norms["max"] == pytest.approx(3e38)
    assert checkup.norms["min"] == pytest.approx(float(np.float32(1e-45)))


def test_a_file_of_nothing_finite_has_no_norms(tmp_path):
    assert examined(tmp_path, "the nan 0\ncat inf 0\n").norms is None


def test_a_cut_binary_file_is_a_problem(tmp_path):
    whole = b"2 2\nthe " + np.float32([1, 2]).tobytes() + b"cat "
    checkup = examined(tmp_path, whole + b"\0\0\0", "v.bin")

    assert "malformed-rows" in problems(checkup)
    assert not checkup.healthy


def test_a_table_of_halves_says_what_it_is_stored_as(tmp_path):
    np.save(tmp_path / "v.npy", np.float16([[1, 2], [3, 4]]))
    (tmp_path / "v.tokens").write_text("the\ncat\n")

    assert pe.examine(tmp_path / "v.npy").dtype == "float16"


def test_json_holds_all_of_it(tmp_path):
    checkup = examined(tmp_path, "9 2\nthe 1 2\ncat 3\nthe nan 6\n")

    known = json.loads(json.dumps(checkup.to_dict()))

    assert known["healthy"] is False
    assert {problem["name"] for problem in known["problems"]} == set(problems(checkup))
    assert known["findings"]["bad_rows"] == 1
    assert known["source"]["name"].endswith("v.txt")
