"""Sources side by side, and reports of coverage as files."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from grouped import grouped
from vectors import reader_of, text

import pretrained_embed as pe

COUNTS = {"the": 90, "Paris": 6, "new york": 3, "|`x`|": 1}


@pytest.fixture
def vocabulary() -> pe.Vocabulary:
    return pe.Vocabulary(list(COUNTS), counts=COUNTS)


@pytest.fixture
def paths(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_bytes(text([("the", (1, 2)), ("paris", (3, 4)), ("new york", (5, 6))]))
    two.write_bytes(text([("other", (1, 2, 3)), ("Paris", (4, 5, 6))]))
    return [one, two]


# Comparing


def test_each_source_is_covered_as_a_build_would_be(vocabulary, paths):
    comparison = pe.coverage(vocabulary, paths, match="exact,lower")

    assert comparison.match == ("exact", "lower")
    for path, source in zip(paths, comparison.sources, strict=True):
        matrix = pe.build_matrix(
            vocabulary, path, match="exact,lower", work=pe.Work(advise=True)
        )
        assert source.coverage == matrix.coverage
        assert (source.source, source.dim) == (str(path), matrix.dim)
        assert source.rows == matrix.findings.rows
    for number, path in enumerate(paths):
        matrix = pe.build_matrix(vocabulary, path, match="exact,lower")
        located = comparison.located[number]
        assert located.origin.tolist() == matrix.origin.tolist()
        assert located.source_rows.tolist() == matrix.source_rows.tolist()


def test_what_one_source_alone_has_or_lacks_is_named(vocabulary, paths):
    one, two = pe.coverage(vocabulary, paths, match="exact").sources
    again = pe.coverage(vocabulary, [*paths, paths[0]], match="exact").sources

    assert (one.only_here, one.only_not_here) == (("the", "new york"), ("Paris",))
    assert (two.only_here, two.only_not_here) == (("Paris",), ("the", "new york"))
    assert [source.only_here for source in again] == [(), ("Paris",), ()]
    assert again[1].only_not_here == ("the", "new york")


def test_together_they_have_what_any_has(vocabulary, paths):
    together = pe.coverage(vocabulary, paths, match="exact,lower").together
    filled = pe.build_matrix(
        pe.Vocabulary(list(COUNTS), counts=COUNTS),
        [paths[0], reader_of([("other", (1, 2)), ("Paris", (4, 5))])],
        match="exact,lower",
    )

    assert together == filled.coverage
    assert (together.found, together.occurrences_found) == (3, 99)


def test_one_source_and_an_open_reader_will_do(vocabulary):
    reader = reader_of([("the", (1, 2))])

    comparison = pe.coverage(vocabulary, reader, work=pe.Work(advise=False))

    assert comparison.sources[0].coverage.found == 1
    assert comparison.sources[0].coverage.advice == ()
    assert pe.build_matrix(vocabulary, reader).coverage.found == 1  # still open


def test_a_source_that_has_nothing_is_no_error(vocabulary):
    comparison = pe.coverage(vocabulary, [reader_of([("x", (1, 2))])])

    assert comparison.sources[0].coverage.found == 0
    assert str(comparison).startswith("memory: Found 0 of 4 tokens (0.0 %)")


def test_several_are_summed_up(vocabulary, paths):
    lines = str(pe.coverage(vocabulary, paths)).splitlines()

    assert len(lines) == 3
    assert lines[2] == "Together: 3 of 4 tokens (75.0 %)."


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([], {}, "name one at least"),
        (["no such file"], {"match": "lwer"}, "did you mean 'lower'"),
    ],
)
def test_options_that_mean_nothing_are_refused_first(sources, options, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        pe.coverage(["the"], sources, **grouped(**options))


# Reports


def table(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_as_csv_has_every_row(vocabulary, paths, tmp_path):
    matrix = pe.build_matrix(
        vocabulary, paths[0], match="exact,lower", work=pe.Work(advise=True)
    )

    matrix.save_report(tmp_path / "r.csv")

    rows = table(tmp_path / "r.csv")
    assert [row["token"] for row in rows] == list(vocabulary.tokens)
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["origin"] == "pad"
    assert rows[2] == {
        "id": "2",
        "token": "Paris",
        "count": "6",
        "origin": "found",
        "form": "lower",
        "source": str(paths[0]),
        "source_row": "1",
        "advice": "",
    }
    assert (rows[4]["origin"], rows[4]["form"], rows[4]["source"]) == ("oov", "", "")


def test_a_report_as_csv_keeps_any_token(tmp_path):
    tokens = ["a\nb", 'quo"te', "\udcff", "co,mma", "cr\r"]
    matrix = pe.EmbeddingMatrix(np.ones((5, 1)), pe.Vocabulary(tokens, pad=None))

    matrix.save_report(tmp_path / "r.csv")

    assert [row["token"] for row in table(tmp_path / "r.csv")] == tokens


def test_a_report_as_json_holds_all_of_it(vocabulary, paths, tmp_path):
    matrix = pe.build_matrix(
        vocabulary, paths[1], match="exact", work=pe.Work(advise=True)
    )

    matrix.save_report(tmp_path / "r.json")

    known = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert known["coverage"] == json.loads(json.dumps(matrix.coverage.to_dict()))
    assert known["provenance"] == matrix.provenance
    assert known["shape"] == [5, 3]


def test_a_report_as_markdown_is_for_people(vocabulary, paths, tmp_path):
    matrix = pe.build_matrix(
        vocabulary, paths[0], match="exact", work=pe.Work(advise=True)
    )

    matrix.save_report(tmp_path / "R.MD")

    report = (tmp_path / "R.MD").read_text("utf-8")
    for line in (
        f"| {paths[0]} | text | 3 | 2 |",
        "| match | exact |",
        "Of 4 tokens, 2 were found (50.0 %), which make up 93.0 % of the text.",
        "| 10 to 99 | 1 | 1 | 100.0 % |",
        "`lower` would find 1 more (6.0 % of the text).",
        "| `lower` | 1 | 6 | 1 |",
        "| `'Paris'` | 6 | `lower` |",
        "| ``'\\|`x`\\|'`` | 1 |  |",  # a table's own characters
    ):
        assert f"{line}\n" in report
    assert report.endswith("\n")


def test_a_comparison_has_reports_too(vocabulary, paths, tmp_path):
    comparison = pe.coverage(vocabulary, paths)

    for suffix in pe.Coverage.REPORT_SUFFIXES:
        comparison.save_report(tmp_path / f"r{suffix}")

    one, two = map(str, paths)
    rows = table(tmp_path / "r.csv")
    assert rows[2][f"form: {one}"] == "oov"
    assert (rows[2][f"form: {two}"], rows[2][f"row: {two}"]) == ("exact", "1")
    known = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert known == json.loads(json.dumps(comparison.to_dict()))
    report = (tmp_path / "r.md").read_text("utf-8")
    assert f"| {one} | text | 3 | 2 | 2 | 50.0 % | 93.0 % |\n" in report
    assert "Together they have 3 tokens (75.0 %).\n" in report
    assert "Only here: `'the'`, `'new york'`.\n" in report


def test_a_report_of_another_suffix_is_refused(vocabulary, tmp_path):
    comparison = pe.coverage(vocabulary, reader_of([("the", (1, 2))]))

    with pytest.raises(
        pe.errors.OptionError, match=r"ends in one of \.md \.json \.csv"
    ):
        comparison.save_report(tmp_path / "r.txt")
    with pytest.raises(pe.errors.WriteError, match="nowhere"):
        comparison.save_report(tmp_path / "nowhere" / "r.md")
    assert list(tmp_path.iterdir()) == []


# Formats


@pytest.mark.parametrize(
    ("suffix", "indexed"),
    [
        *(
            (suffix, False)
            for suffix in (".txt", ".bin", ".npz", ".h5", ".safetensors")
        ),
        *((suffix, True) for suffix in (".txt", ".bin", ".npz", ".h5")),
    ],
)
def test_any_format_tells_the_same(tmp_path, suffix, indexed):
    tokens = ["the", "new", "york", "cafe", "####"]
    saved = pe.EmbeddingMatrix(
        np.arange(10, dtype=np.float32).reshape(5, 2), pe.Vocabulary(tokens, pad=None)
    )
    path = tmp_path / f"vectors{suffix}"
    saved.save(path)
    cache = {"library": pe.Library(tmp_path / "cache")}
    if indexed:
        pe.index(path, **cache)
    vocabulary = pe.Vocabulary(["The", "New-York", "CAFÉ", "1984"], pad=None)

    matrix = pe.build_matrix(
        vocabulary,
        path,
        **grouped(match="lower,lower+compound", advise=True, oov="zeros", **cache),
    )
    (located,) = pe.coverage(
        vocabulary, path, **grouped(match="lower,lower+compound", **cache)
    ).located

    assert matrix.vectors.tolist() == [[0, 1], [3, 4], [0, 0], [0, 0]]
    assert located.origin.tolist() == matrix.origin.tolist() == [17, 65, 2, 2]
    assert (
        located.source_rows.tolist() == matrix.source_rows.tolist() == [0, -1, -1, -1]
    )
    assert [matrix.advice.forms_for(id) for id in (2, 3)] == [
        ("strip-accents+lower",),
        ("digits-hash",),
    ]
    assert located.advice.found_by.tolist() == matrix.advice.found_by.tolist()
    assert ("store" in matrix.provenance["source"]) == indexed


def test_nothing_in_a_markdown_report_is_markup(tmp_path):
    tokens = ["the", "a``b", "<script>", "x\ny"]
    path = tmp_path / "a|b*c`d.txt"
    path.write_bytes(text([("the", (1.0, 2.0)), ("eht", (3.0, 4.0))]))

    matrix = pe.build_matrix(tokens, path, match=["exact", lambda token: token[::-1]])
    matrix.save_report(tmp_path / "r.md")

    report = (tmp_path / "r.md").read_text("utf-8")
    name = str(path).replace("|", "\\|").replace("*", "\\*").replace("`", "\\`")
    for line in (
        f"| {name} | text | 2 | 2 |",
        "| ```'a``b'``` |  |",
        "| `'<script>'` |  |",
        "| `'x\\ny'` |  |",
    ):
        assert f"{line}\n" in report
    assert "\\<lambda>" in report
    assert "<lambda>" not in report.replace("\\<lambda>", "")
