"""Findings: what is saved of them comes back with its codes, in whatever holds it."""

import json
import pickle

import pytest

import pretrained_embed as pe
from pretrained_embed.build.extract import Outcome
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats import Doubt, Findings
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import SplitReport
from pretrained_embed.formats.store import open_store, write_store

#: Its header counts a row too many, one token ends in a number.
TEXT = b"4 2\nthe 0.1 0.2\nRoute 66 0.3 0.4\nof 0.5 0.6\n\n"
TEXT_CODES = {
    "text.surplus-number": 1,
    "text.blank-end": 1,
    "header.count-differs": 1,
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def findings():
    doubts = [Doubt(3, 5, "half a row", "text.short-row"), Doubt(4, None, "one")]
    notes = [Note("text.blank-end", "two blank lines"), Note("tokens.from", "from a")]
    return Findings(9, 1, 1, 2, doubts, notes)


def same(left: Findings, right: Findings) -> bool:
    return left == right and codes_of(left) == codes_of(right)


def codes_of(findings: Findings) -> list[str]:
    return [note.code for note in findings.notes]


def test_what_is_saved_comes_back(findings):
    saved = json.loads(json.dumps(findings.to_dict()))

    assert same(Findings.from_dict(saved), findings)


def test_what_former_releases_saved_comes_back(findings):
    saved = findings.to_dict() | {"notes": ["a", "b"], "doubts": [[3, 5, "half"]]}

    found = Findings.from_dict(saved)

    assert (found.notes, codes_of(found)) == (["a", "b"], ["other", "other"])
    assert found.doubts == [Doubt(3, 5, "half", "text.bad-row")]


def test_what_has_no_code_gets_one_wherever_it_comes_from(findings):
    uncoded = {"notes": [["text.dim-1", "a"], "b"], "doubts": [[3, None, "half", None]]}
    saved = Findings.from_dict(findings.to_dict() | uncoded)
    former = Findings.__new__(Findings)
    former.__setstate__(vars(Findings()) | {"notes": ["a"]})
    of_a_plugin = Findings(notes=["a"])

    assert codes_of(saved) == ["text.dim-1", "other"]
    assert saved.doubts[0].code == "text.bad-row"
    assert codes_of(former) == codes_of(of_a_plugin) == ["other"]
    assert same(pickle.loads(pickle.dumps(findings)), findings)  # noqa: S301 (own)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "9"},
        {"rows": -1},
        {"rows": True},
        {"other": 1},
        {"notes": [1]},
        {"notes": [[1, "text"]]},
        {"notes": [["code", "text", "more"]]},
        {"doubts": [[1]]},
        {"doubts": [[1, "5", "what"]]},
        {"doubts": [[1, 5, "what", 3]]},
        {"doubts": [[1, 5, 3]]},
    ],
)
def test_what_is_none_is_refused(findings, change):
    with pytest.raises(TypeError):
        Findings.from_dict(findings.to_dict() | change)


def test_other_programs_get_the_code_of_each(findings):
    facts = json.loads(json.dumps(findings.facts))

    assert facts["notes"] == findings.notes
    assert facts["note_codes"] == ["text.blank-end", "tokens.from"]
    shown = [doubt["code"] for doubt in facts["doubts"]]
    assert shown == ["text.short-row", "text.bad-row"]
    assert facts["codes"] == findings.codes


def test_findings_of_a_file_name_it_and_keep_their_codes(findings):
    named = findings.of_file("a.txt")

    assert codes_of(named) == codes_of(findings)
    assert named.notes == ["a.txt: two blank lines", "a.txt: from a"]
    assert named.doubts[0] == Doubt(3, 5, "a.txt: half a row", "text.short-row")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".safetensors"])
def test_a_saved_matrix_keeps_codes(path, tmp_path, suffix):
    matrix = pe.build_matrix(["the", "of"], path)
    assert matrix.findings.codes == TEXT_CODES

    saved = tmp_path / f"matrix{suffix}"
    matrix.save(saved)
    loaded = pe.load_matrix(saved)

    assert same(loaded.findings, matrix.findings)


def test_a_matrix_of_several_files_keeps_codes(path, tmp_path):
    other = tmp_path / "other.txt"
    other.write_bytes(b"9 2\nmore 0.1 0.2\n")

    matrix = pe.build_matrix(["the", "more"], [path, other])

    assert codes_of(matrix.findings) == [
        "text.blank-end",
        "header.count-differs",
        "header.count-differs",
    ]
    assert set(matrix.findings.codes) == set(TEXT_CODES)


def test_a_store_keeps_codes(path, tmp_path):
    store = tmp_path / "store"
    with pe.open_vectors(path) as reader:
        write_store(store, reader, lambda: source_statistics(reader, "error"))
        list(reader.blocks())
        expected = reader.findings

    with open_store(store) as reader:
        list(reader.blocks())

        assert same(reader.findings, expected)
        assert reader.findings.codes == TEXT_CODES


def test_an_extract_keeps_codes(findings):
    record = Outcome(SplitReport(findings), []).to_record("key")

    outcome = Outcome.from_record(record, "key", iter(()))

    assert outcome is not None
    assert same(outcome.report.findings, findings)
