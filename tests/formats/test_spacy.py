from __future__ import annotations

import json
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from conformance import SENTINEL, ReadingConformance, all_rows, select
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from formats.fasttext_models import DATA
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, TruncatedError, UnknownFormatError
from pretrained_embed.formats import Findings
from pretrained_embed.formats.spacy.keys import NAMES, parse_key_rows
from pretrained_embed.formats.subwords.ngrams import murmur2
from pretrained_embed.sources.source import from_path

SPACY = DATA / "spacy"
ANSWERS = json.loads((SPACY / "answers.json").read_text("ascii"))


def opened(path: Path):
    return formats.open_reader(from_path(path, str(path)))


def number(value: int) -> bytes:
    """Return a MessagePack unsigned integer."""
    for limit, first, code in ((1 << 8, 0xCC, "B"), (1 << 16, 0xCD, "H")):
        if value < limit:
            return (
                bytes([value])
                if value < 128
                else struct.pack(f">B{code}", first, value)
            )
    first, code = (0xCE, "I") if value < 1 << 32 else (0xCF, "Q")
    return struct.pack(f">B{code}", first, value)


def key_of(token: str) -> int:
    raw = np.frombuffer(token.encode("utf-8", "surrogatepass"), np.uint8)
    (key,) = murmur2(raw, np.array([0]), np.array([len(raw)]), 1)
    return NAMES.index(token) if token in NAMES else int(key)


def write_folder(path: Path, tokens, rows, matrix, *, config=None) -> None:
    """Write a vocabulary's folder, in spaCy's way."""
    path.mkdir()
    pairs = [
        number(key_of(t)) + number(row) for t, row in zip(tokens, rows, strict=True)
    ]
    count = struct.pack(">BI", 0xDF, len(pairs))
    (path / "key2row").write_bytes(count + b"".join(pairs))
    np.save(path / "vectors.npy", matrix)
    (path / "vectors.npy").rename(path / "vectors")
    (path / "strings.json").write_text(json.dumps(sorted(set(tokens) - set(NAMES))))
    if config is not None:
        (path / "vectors.cfg").write_text(json.dumps(config))


class TestSpacyFolder(ReadingConformance):
    # a map has each key once, and spaCy's tokens are text
    tokens = tuple(
        dict.fromkeys(
            t for t in ReadingConformance.tokens if t.isascii() or t.isprintable()
        )
    )
    tokens = tuple(t for t in tokens if not any("\ud800" <= c < "\ue000" for c in t))

    def write(self, path, tokens, vectors):
        write_folder(path, tokens, range(len(tokens)), vectors)

    @pytest.mark.skip(reason="a folder has no bytes of its own")
    def test_bytes_that_are_no_file_give_the_same_rows(self, path):
        pass


@pytest.fixture(params=["pipeline", "vocabulary", "package", "installed package"])
def placed(request, tmp_path):
    """Return a function that puts a saved pipeline where it may be met."""

    def place(name: str) -> Path:
        source = SPACY / name
        if request.param == "pipeline":
            return source
        if request.param == "vocabulary":
            return source / "vocab"
        package = tmp_path / "en_core_web_md"
        shutil.copytree(source, package / "en_core_web_md-3.8.0")
        if request.param == "package":
            return package / "en_core_web_md-3.8.0"
        (package / "__init__.py").touch()
        return package

    return place


@pytest.mark.usefixtures("both_kernels")
def test_vectors_are_those_of_spacy(placed):
    asked, known = ANSWERS["default"]["asked"], ANSWERS["default"]["known"]

    with opened(placed("default")) as reader:
        wanted = [(token, row, 0) for row, token in enumerate(asked)]
        out, selection = select(reader, wanted)

    found = selection.source_rows[:-1] >= 0
    assert [t for t, held in zip(asked, found, strict=True) if held] == known
    expected = np.load(SPACY / "default.npy")
    assert out[:-1][found].tobytes() == expected[found].tobytes()
    assert (out[:-1][~found] == SENTINEL).all()
    assert reader.format == "spacy-vectors"


@pytest.mark.parametrize("name", ["floret", "floret-words"])
def test_tokens_of_floret_mode_are_composed_as_spacy_does(placed, name):
    asked = ANSWERS[name]["asked"]

    with opened(placed(name)) as reader:
        out = np.full((len(asked), reader.dim), SENTINEL)
        made = reader.compose(asked, out)
        blocks = list(reader.blocks())

    assert (made.all(), blocks, reader.count) == (True, [], 0)
    expected = np.load(SPACY / f"{name}.npy")
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)


def test_the_empty_token_has_no_pieces_in_floret_mode_and_an_end_of_line_has():
    with opened(SPACY / "floret") as reader:
        out = np.full((2, reader.dim), SENTINEL)
        made = reader.compose(["", "</s>"], out)

    assert made.tolist() == [False, True]


def test_several_tokens_share_a_row():
    with opened(SPACY / "default") as reader:
        tokens, vectors = all_rows(reader)

    rows = [tokens.index(token) for token in ("house", "houses", "Houses")]
    assert vectors[rows[0]].tolist() == vectors[rows[1]].tolist()
    assert vectors[rows[0]].tolist() == vectors[rows[2]].tolist()
    assert reader.facts == {"mode": "default", "distinct_rows": 24}
    assert reader.findings == Findings(rows=25, notes=["2 of 24 rows have no token"])


def test_a_matrix_is_built_of_a_pipeline():
    vocabulary = pe.Vocabulary(["root", "the", "unseen"], pad=None)

    matrix = pe.build_matrix(vocabulary, SPACY / "default", oov="zeros")

    asked = ANSWERS["default"]["asked"]
    expected = np.load(SPACY / "default.npy")
    rows = [asked.index("root"), asked.index("the")]
    assert matrix.vectors[:2].tobytes() == expected[rows].tobytes()


def test_keys_without_a_string_are_counted(tmp_path):
    write_folder(tmp_path / "f", ["a", "b"], [1, 0], np.float32([[1, 2], [3, 4]]))
    (tmp_path / "f" / "strings.json").write_text('["b", "c"]')

    with opened(tmp_path / "f") as reader:
        tokens, vectors = all_rows(reader)

    assert (tokens, vectors.tolist()) == (["b"], [[1, 2]])
    assert reader.findings.notes == [
        "1 of 2 keys belong to no known string and were left out",
        "1 of 2 rows have no token",
    ]


@pytest.mark.parametrize("key", [457, 2**64 - 1])
def test_a_key_of_no_string_may_be_any(tmp_path, key):
    write_folder(tmp_path / "f", ["a"], [1], np.float32([[1], [2]]))
    file = tmp_path / "f" / "key2row"
    file.write_bytes(b"\x82" + file.read_bytes()[5:] + number(key) + number(0))

    with opened(tmp_path / "f") as reader:
        tokens, vectors = all_rows(reader)

    assert (tokens, vectors.tolist()) == (["a"], [[2]])


def test_half_a_surrogate_pair_in_a_string_is_no_fault(tmp_path):
    write_folder(tmp_path / "f", ["a", "\ud83d"], [0, 1], np.float32([[1], [2]]))

    with opened(tmp_path / "f") as reader:
        _, vectors = all_rows(reader)

    assert vectors.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("vectors", b"", "does not start with"),
        ("vectors", None, "holds no vectors|name the file"),
        ("key2row", b"", "no MessagePack map"),
        ("key2row", b"\x81\x05", "1 pairs do not fit into its 2 bytes"),
        ("key2row", b"\x81\x05\x02", "a key has row 2, the matrix has 2"),
        ("key2row", b"\x81\x05\xff", "no unsigned integer|end at byte"),
        ("key2row", b"\xdf\xff\xff\xff\xff\x01\x01", "4,294,967,295 pairs do not fit"),
        ("strings.json", b"[", "is no JSON"),
        ("strings.json", b"{}", "is no JSON list"),
        ("strings.json", b"[1]", "holds more than strings"),
        ("strings.json", None, "cannot be read"),
        ("vectors.cfg", b"[]", "is no JSON dict"),
        ("vectors.cfg", b'{"mode": "other"}', "mode 'other' are not known"),
        ("vectors.cfg", b'{"mode": "floret", "minn": 9999}', "minn 9999; expected"),
        ("vectors.cfg", b'{"mode": "floret", "maxn": -1}', "maxn -1; expected"),
        ("vectors.cfg", b'{"mode": "floret", "maxn": true}', "maxn True; expected"),
        (
            "vectors.cfg",
            b'{"mode": "floret", "hash_count": 0}',
            "no settings of floret",
        ),
        ("vectors.cfg", b'{"mode": "floret", "bow": 1}', "no settings of floret"),
        ("vectors.cfg", b'{"mode": "floret", "hash_seed": 4294967296}', "hash_seed"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, file, content, what):
    folder = tmp_path / "f"
    write_folder(folder, ["a", "b"], [0, 1], np.float32([[1], [2]]), config={})
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)

    with pytest.raises(pe.PretrainedEmbedError, match=what):
        opened(folder)


def test_a_pipeline_without_vectors_says_which_have_some(tmp_path):
    write_folder(tmp_path / "f", [], [], np.empty((0, 0), np.float32), config={})

    with pytest.raises(FormatError, match="no vectors; those whose names end in _md"):
        opened(tmp_path / "f")


def test_other_folders_are_not_taken_for_vectors(tmp_path):
    (tmp_path / "vectors").write_bytes(b"0 1 2\n")

    with pytest.raises(UnknownFormatError):
        opened(tmp_path)


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 2**32), max_size=20))
def test_every_map_is_parsed(pairs):
    raw = b"".join(number(key) + number(row) for key, row in pairs.items())
    for first in (
        struct.pack(">BI", 0xDF, len(pairs)),
        struct.pack(">BH", 0xDE, len(pairs)),
        *([bytes([0x80 + len(pairs)])] if len(pairs) < 16 else []),
    ):
        keys, rows = parse_key_rows(first + raw, "f")

        assert keys.tolist() == list(pairs)
        assert rows.tolist() == list(pairs.values())
        with pytest.raises(TruncatedError):
            parse_key_rows((first + raw)[:-1] or b"\x81", "f")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_map_or_our_error(raw):
    with suppress(FormatError):
        keys, rows = parse_key_rows(raw, "f")
        assert len(keys) == len(rows)


WORDS_IN_MEMORY = ["the", "café", "b", "New York"]
ROWS_IN_MEMORY = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


class SpacyVectors:
    """What ``spacy.vectors.Vectors`` has: rows, and the row of a string's hash."""

    data = ROWS_IN_MEMORY
    mode = "default"
    key2row = MappingProxyType(
        {key_of(word): row for row, word in enumerate(WORDS_IN_MEMORY)}
    )


class Vocab:
    """What ``spacy.Vocab`` has: strings, some of them without a vector."""

    strings = ("NOUN", *reversed(WORDS_IN_MEMORY))
    vectors = SpacyVectors


class Language:
    """What a pipeline of spaCy has."""

    vocab = Vocab


@pytest.mark.parametrize("kind", [Vocab, Language])
def test_the_vectors_of_spacy_are_those_of_its_strings(kind, monkeypatch):
    """By what stands in for it: spaCy and its packages are too large for the tests."""
    monkeypatch.setattr(kind, "__module__", "spacy.module")
    matrix = pe.build_matrix([*WORDS_IN_MEMORY, "NOUN"], kind(), oov="zeros")
    for token, vector in zip(WORDS_IN_MEMORY, ROWS_IN_MEMORY, strict=True):
        assert matrix[token].tobytes() == vector.tobytes()
    assert matrix.coverage.found == 4
