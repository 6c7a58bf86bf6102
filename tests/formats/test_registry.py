"""Files as they are met, each with what should come of it in a ``.json`` beside it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from conformance import all_rows, index_of
from tables import example, piped, stream_of

import pretrained_embed
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, UnknownFormatError, WriteError

DATA = Path(__file__).parents[1] / "data"


def cases(folder: str) -> pytest.MarkDecorator:
    files = sorted((DATA / folder).glob("*.json"))
    return pytest.mark.parametrize("case", files, ids=lambda path: path.stem)


def load(case: Path) -> tuple[Path, dict]:
    return case.with_suffix(""), json.loads(case.read_text("ascii"))


def test_every_file_says_what_should_come_of_it():
    for folder in ("valid", "invalid"):
        files = {path.name for path in (DATA / folder).iterdir()}
        described = {name for name in files if name.endswith(".json")}
        assert {f"{name}.json" for name in files - described} == described


@cases("valid")
@pytest.mark.parametrize("stream", [stream_of, piped])
@pytest.mark.usefixtures("both_kernels")
def test_a_valid_file_gives_its_rows(case, stream):
    path, expected = load(case)

    with formats.open_reader(stream(path)) as reader:
        tokens, vectors = all_rows(reader)

    assert (reader.format, reader.dim) == (expected["format"], expected["dim"])
    assert reader.count == expected["count"]
    assert tokens == [token for token, _ in expected["rows"]]
    values = [[float(n) for n in numbers.split()] for _, numbers in expected["rows"]]
    assert vectors.tobytes() == np.array(values, np.float32).tobytes()
    assert reader.findings.rows == len(tokens)
    assert reader.findings.bad_rows == 0
    assert reader.findings.notes == expected.get("notes", [])
    assert reader.findings.suspicious_rows == expected.get("suspicious_rows", 0)
    assert len(reader.findings.doubts) == reader.findings.suspicious_rows


@cases("valid")
@pytest.mark.usefixtures("both_kernels")
def test_each_token_of_a_valid_file_is_found_where_it_stands_first(case):
    path, expected = load(case)
    tokens = [token for token, _ in expected["rows"]]
    out = np.zeros((len(tokens), expected["dim"]), np.float32)

    with formats.open_reader(stream_of(path)) as reader:
        selection = reader.select(
            index_of([(t, i, 0) for i, t in enumerate(tokens)]), out
        )

    assert selection.source_rows.tolist() == [tokens.index(token) for token in tokens]
    assert selection.findings.duplicates == len(tokens) - len(set(tokens))


@cases("valid")
def test_a_valid_file_is_the_same_packed_and_under_any_name(case, tmp_path):
    path, expected = load(case)
    if expected["format"] == "npz":
        pytest.skip("npz is packed itself, and nothing that is packed twice is read")
    (tmp_path / "vectors").write_bytes(gzip.compress(path.read_bytes()))

    with pretrained_embed.open_vectors(tmp_path / "vectors") as reader:
        tokens, _ = all_rows(reader)

    assert tokens == [token for token, _ in expected["rows"]]


@cases("invalid")
@pytest.mark.parametrize("stream", [stream_of, piped])
@pytest.mark.usefixtures("both_kernels")
def test_an_invalid_file_is_refused_with_its_cause(case, stream):
    path, expected = load(case)

    with pytest.raises(FormatError, match=expected["match"]) as caught:
        all_rows(formats.open_reader(stream(path)))

    assert type(caught.value).__name__ == expected["error"]
    assert str(caught.value).startswith(path.name)


@cases("invalid")
@pytest.mark.usefixtures("both_kernels")
def test_bad_rows_of_an_invalid_file_are_left_out_where_that_is_asked_for(case):
    path, expected = load(case)
    if "skip" not in expected:
        with pytest.raises(FormatError):
            all_rows(formats.open_reader(stream_of(path)), on_bad_row="skip")
        return

    with formats.open_reader(stream_of(path)) as reader:
        blocks = list(reader.blocks(on_bad_row="skip"))

    rows = [
        (token, vector.tolist())
        for block in blocks
        for token, vector in zip(block.tokens, block.vectors, strict=True)
    ]
    assert rows == [
        (token, [float(np.float32(number)) for number in numbers.split()])
        for token, numbers in expected["skip"]["rows"]
    ]
    assert reader.findings.bad_rows == expected["skip"]["bad_rows"]


def test_a_folder_is_refused(tmp_path):
    tmp_path.joinpath("f").touch()
    stream = stream_of(tmp_path / "f")
    folder = type(stream)("folder", stream.opener, path=tmp_path)

    with pytest.raises(UnknownFormatError, match="a folder; name the file"):
        formats.open_reader(folder)


@pytest.mark.parametrize("suffix", ["", ".pt", ".txt.gz"])
def test_a_suffix_that_no_format_is_written_under_is_refused(tmp_path, suffix):
    with pytest.raises(WriteError, match=r"by its suffix; use one of \.npz"):
        formats.write_table(tmp_path / f"table{suffix}", example())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", formats.WRITABLE_SUFFIXES)
def test_every_suffix_writes_a_format_that_is_recognised(tmp_path, suffix):
    table = formats.read_table(stream_of(DATA / "valid" / "gensim.bin"))
    path = tmp_path / f"Table{suffix.upper()}"

    formats.write_table(path, table)
    back = formats.read_table(stream_of(path))

    assert back.tokens.unpack() == table.tokens.unpack()
    assert back.vectors.tobytes() == table.vectors.tobytes()
