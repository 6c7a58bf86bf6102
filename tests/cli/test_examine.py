"""``pretrained-embed examine``: an exit code for programs, sentences for people."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import run


def test_a_healthy_file_is_said_to_be_so():
    Path("v.txt").write_text("the 1 2\ncat 3 4\n")

    result = run("examine", "v.txt")

    assert result.exit_code == 0
    assert result.stdout == "v.txt: text, 2 rows of 2. Nothing is wrong with it.\n"


def test_what_is_wrong_is_said_with_what_would_mend_it():
    Path("v.txt").write_text("the 1 2\ncat 3\nthe 5 6\nnew york 1 2\n")

    result = run("examine", "v.txt")

    assert result.exit_code == 1
    assert result.stdout.startswith("v.txt: text, 4 rows of 2: 2 errors and 1 warning.")
    assert "Error: 1 row is malformed and cannot be read.\n  line 2: " in result.stdout
    assert "Error: 1 row has the token of an earlier row" in result.stdout
    assert "  `pretrained-embed convert IN OUT --drop-duplicates`" in result.stdout
    assert "Warning: 1 row has a token with white space in it." in result.stdout


def test_warnings_alone_are_no_failure():
    Path("v.txt").write_text("the 1 2\ncat 0 0\n")

    result = run("examine", "v.txt")

    assert result.exit_code == 0
    assert "1 warning." in result.stdout


def test_of_many_rows_a_few_are_shown():
    rows = "".join(f"w{number} 0 0\n" for number in range(12))
    Path("v.txt").write_text(rows)

    assert "\n  and 7 more\n" in run("examine", "v.txt").stdout


def test_json_is_for_programs():
    Path("v.txt").write_text("the 1 2\nthe 3 4\n")

    result = run("examine", "v.txt", "--json")

    known = json.loads(result.stdout)
    assert result.exit_code == 1
    assert known["healthy"] is False
    assert [problem["name"] for problem in known["problems"]] == ["repeated-tokens"]


def test_what_is_no_file_of_vectors_is_an_error():
    Path("v.txt").write_text("<!DOCTYPE html><html>not found</html>")

    result = run("examine", "v.txt")

    assert result.exit_code == 1
    assert "web page" in result.stderr
