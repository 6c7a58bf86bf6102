"""``list``: what can be asked for by name, and what of it is here."""

import json
from pathlib import Path

from tests.command_line import run


def listed(*words):
    return json.loads(run("list", "--json", *words).stdout)


def test_every_entry_is_a_line_below_the_head():
    lines = run("list").stdout.splitlines()

    entries = listed()
    assert lines[0].split()[:3] == ["NAME", "DIM", "ROWS"]
    assert [line.split()[0] for line in lines[1:]] == [e["id"] for e in entries]
    assert len({e["id"] for e in entries}) > 50


def test_columns_line_up_and_lines_end_without_spaces():
    lines = run("list", "--family", "glove").stdout.splitlines()

    column = lines[0].index("LICENCE")
    assert all(line[column - 1] == " " != line[column] for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_filters_combine():
    entries = listed("--language", "de", "--family", "fasttext", "--dim", "300")

    assert "fasttext-cc-de-300" in {entry["id"] for entry in entries}
    assert all(
        entry["languages"] == ["de"]
        and entry["family"] == "fasttext"
        and entry["dim"] == 300
        for entry in entries
    )


def test_many_languages_are_one_line_until_one_is_asked_for():
    text = run("list", "--family", "fasttext").stdout

    line = next(line for line in text.splitlines() if "fasttext-cc-{lang}-300 " in line)
    assert " languages " in line


def test_nothing_that_fits_is_no_error():
    result = run("list", "--dim", "7")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Nothing in the catalog fits.\n"
    assert listed("--dim", "7") == []


def test_a_misspelt_family_is_suggested():
    assert "did you mean fasttext?" in run("list", "--family", "fastext").stderr


def test_a_catalog_of_ones_own_is_merged():
    entry = {"id": "mine", "urls": ["https://127.0.0.1/v.txt"], "family": "mine"}
    Path("own.json").write_text(json.dumps({"schema": 1, "entries": [entry]}))

    entries = listed("--catalog", "own.json", "--family", "mine")

    assert [entry["id"] for entry in entries] == ["mine"]


def test_a_broken_catalog_is_a_message():
    Path("own.json").write_text("{")

    result = run("list", "--catalog", "own.json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "own.json: is no JSON" in result.stderr
