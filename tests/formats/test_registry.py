"""Files as they are met, each with what should come of it in a ``.json`` beside it."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from conformance import all_rows, index_of
from tables import example, piped, stream_of

import pretrained_embed
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, UnknownFormatError, WriteError
from pretrained_embed.formats import marks
from pretrained_embed.formats.format import code
from pretrained_embed.formats.hugging_face import model_folder

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


# The table


#: The first bytes of a file, or a file of a folder, of each format that is read.
HEADS = {
    "torch": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
    "pickle": b"\x80\x04}.",
    "gguf": b"GGUF",
    "keras": b"\x89HDF\r\n\x1a\nvars\0",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "fasttext": struct.pack("<ii", 793712314, 12) + bytes(99),
    "gensim": b"\x80\x04\x95gensim.models",
    "finalfusion": b"FiFu",
    "magnitude": b"SQLite format 3\0magnitude_format",
    "parquet": b"PAR1\x15PAR1",
    "arrow": b"ARROW1\0\0",
    "json": b'{"the": [1, 2]}',
    "csv": b"the,1,2\nof,3,4\n",
    "floret": b"2 2 0 0 1 7 < >\n0 0.5 1\n1 2 3\n",
}
FILES = {
    "npz": DATA / "valid" / "own.npz",
    "safetensors": DATA / "valid" / "own.safetensors",
    "text": DATA / "valid" / "numbers.txt",
    "word2vec-binary": DATA / "valid" / "gensim.bin",
}
FOLDERS = {
    "sharded": (
        marks.INDEX,
        b'{"metadata": {"pretrained_embed": {}}, "weight_map": {}}',
    ),
    "keras-folder": (marks.KERAS_WEIGHTS, b""),
    "hugging-face": (marks.CONFIG, b"{}"),
    "spacy-vectors": ("vocab/vectors", b""),
}

#: Opens each file in a process of its own, and prints which folders of formats its
#: code came from, and which the code of its format alone comes from.
OPENING = """
import os, sys
from pathlib import Path
from pretrained_embed import formats
from pretrained_embed.formats import marks
from pretrained_embed.formats.format import code
from pretrained_embed.formats.hugging_face import model_folder
from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.formats.format import code
from pretrained_embed.sources.source import from_path

def loaded(action):
    receive, send = os.pipe()
    if not os.fork():
        try:
            action()
        except PretrainedEmbedError:
            pass
        names = {name.split(".")[2] for name in sys.modules
                 if name.startswith("pretrained_embed.formats.")
                 and hasattr(sys.modules[name], "__path__")
                 or name in ("pretrained_embed.formats.floret",)}
        os.write(send, " ".join(sorted(names)).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as file:
        return file.read().decode()

def opened(path):
    if spoilt:
        import pretrained_embed.formats.finalfusion
    formats.open_reader(from_path(path, path.name))

spoilt = sys.argv.pop(1) == "spoilt"
for path in map(Path, sys.argv[1:]):
    format = formats.find_format(path.name)
    own = loaded(lambda: code(format.reader))
    print(path.name, loaded(lambda: opened(path)), own, sep=":")
"""


@pytest.fixture
def one_of_each(tmp_path):
    """A file or a folder of each format, called as the format is."""
    for name, head in HEADS.items():
        (tmp_path / name).write_bytes(head)
    for name, file in FILES.items():
        (tmp_path / name).write_bytes(file.read_bytes())
    for name, (file, content) in FOLDERS.items():
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).write_bytes(content)
    (tmp_path / "spacy-vectors" / "vocab" / "key2row").write_bytes(b"")
    (tmp_path / "keras-folder" / marks.KERAS_CONFIG).write_bytes(b"{}")
    with (tmp_path / "npy").open("wb") as file:
        np.save(file, np.ones((2, 2), np.float32))
    (tmp_path / "npy.txt").write_bytes(b"the\nof\n")
    paths = [tmp_path / f.name for f in formats.FORMATS if f.reader]
    assert {"npy", *HEADS, *FILES, *FOLDERS} == {path.name for path in paths}
    return paths


def foreign_code(paths, spoilt):
    """Return the folders of code that opening a file has loaded beside its own."""
    command = [sys.executable, "-c", OPENING, spoilt, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    foreign = {}
    for line in done.stdout.splitlines():
        name, opened, own = line.split(":")
        assert own
        # text and word2vec binary share their header, and text is asked first
        shared = {"text"} if name == "word2vec-binary" else set()
        assert {*own.split()} <= {*opened.split()}
        foreign[name] = {*opened.split()} - {*own.split()} - shared
    assert foreign.keys() == {path.name for path in paths}
    return foreign


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each file is opened in a fork")
def test_to_recognise_a_file_loads_the_code_of_no_other_format(one_of_each):
    assert not any(foreign_code(one_of_each, "").values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each file is opened in a fork")
def test_code_that_is_loaded_for_nothing_is_seen(one_of_each):
    foreign = foreign_code(one_of_each, "spoilt")

    assert foreign.pop("finalfusion") == set()
    assert all(code == {"finalfusion"} for code in foreign.values())


@pytest.mark.parametrize("format", formats.FORMATS, ids=lambda format: format.name)
def test_a_row_of_the_table_names_functions_that_are_there(format):
    for path, taken in [
        (format.reader, ["stream"]),
        (format.part, ["stream", "span"]),
        (format.fetch, ["listing"]),
        (format.sink, ["path", "announced"]),
    ]:
        if path:
            parameters = [*signature(code(path)).parameters]
            if path == format.reader and format.layout:
                taken = ["stream", "layout"]
            assert parameters[: len(taken)] == taken
    assert format.reader or format.sink
    assert bool(format.suffixes) <= bool(format.sink)
    assert (format.sniff_folder is None) or format.lies_in == "folder"


def test_no_name_and_no_suffix_stands_twice():
    names = [format.name for format in formats.FORMATS]
    suffixes = [suffix for format in formats.FORMATS for suffix in format.suffixes]

    assert len({*names}) == len(names)
    assert len({*suffixes}) == len(suffixes)


def test_the_documentation_has_the_table_of_formats():
    page = Path(__file__).parents[2].joinpath("docs/reference/formats.md")

    assert f"\n\n{formats.table_of_formats()}\n\n" in page.read_text("utf-8")


def test_weights_that_are_not_read_are_recognised_and_named():
    assert {*model_folder.OTHER_WEIGHTS} == {*marks.OTHER_WEIGHTS}
