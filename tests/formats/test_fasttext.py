from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest
from conformance import SENTINEL, ReadingConformance, all_rows, select
from gensim.models.fasttext import load_facebook_vectors
from tables import piped, stream_of

import pretrained_embed as pe
from formats.fasttext_models import DATA, answers, model
from pretrained_embed import formats
from pretrained_embed.formats import Findings
from pretrained_embed.formats.fasttext import reader as fasttext_binary
from pretrained_embed.formats.subwords import sums
from pretrained_embed.formats.subwords import sums as subwords

FASTTEXT = DATA / "fasttext"
MODELS = sorted(
    [*FASTTEXT.glob("*.bin"), *FASTTEXT.glob("*.ftz"), *DATA.glob("floret/*.bin")]
)
ANSWERED = [path for path in MODELS if path.name != "old.bin"]

every_model = pytest.mark.parametrize("path", ANSWERED, ids=lambda path: path.name)


def opened(path, raw=None):
    if raw is not None:
        path.write_bytes(raw)
    return formats.open_reader(stream_of(path))


def ask(reader, tokens, *, threads=None):
    """Return what a matrix of these tokens would hold, and which are in the file."""
    wanted = [(token, row, 0) for row, token in enumerate(tokens)]
    out, selection = select(reader, wanted, threads=threads)
    found = selection.source_rows[:-1] >= 0
    others = [token for token, held in zip(tokens, found, strict=True) if not held]
    composed = np.zeros((len(others), reader.dim), np.float32)
    reader.compose(others, composed)
    vectors = out[:-1]
    vectors[~found] = composed
    return vectors, found


class TestWordsAlone(ReadingConformance):
    tokens = tuple(t for t in ReadingConformance.tokens if "\0" not in t)

    @property
    def vectors(self):
        vectors = super().vectors
        vectors[vectors == 0] = 0  # fastText adds a row to +0, which makes -0 be +0
        return vectors

    def write(self, path, tokens, vectors):
        path.write_bytes(model(tokens, vectors))


@every_model
@pytest.mark.parametrize("stream", [stream_of, piped])
@pytest.mark.usefixtures("both_kernels")
def test_vectors_are_those_of_the_library_to_the_bit(path, stream):
    expected = answers(path)

    with formats.open_reader(stream(path)) as reader:
        vectors, found = ask(reader, expected.asked)

    known = [t for t, held in zip(expected.asked, found, strict=True) if held]
    assert known == expected.known
    assert vectors.tobytes() == expected.vectors.tobytes()
    assert reader.format == "fasttext-binary"


@every_model
def test_all_words_are_given_with_the_same_vectors(path):
    expected = answers(path)

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert reader.count == len(tokens) == expected.words
    rows = [tokens.index(token) for token in expected.known]
    known = [expected.asked.index(token) for token in expected.known]
    assert vectors[rows].tobytes() == expected.vectors[known].tobytes()
    assert reader.findings.rows == len(tokens)


@every_model
@pytest.mark.parametrize("threads", [1, 7])
def test_small_portions_and_many_threads_change_no_bit(path, threads, monkeypatch):
    expected = answers(path)
    monkeypatch.setattr(sums, "_WINDOW", 1 << 12)
    monkeypatch.setattr(subwords, "_ROOM", 1 << 11)
    monkeypatch.setattr(subwords, "TOKENS_AT_ONCE", 5)
    monkeypatch.setattr(fasttext_binary, "TOKENS_AT_ONCE", 5)
    monkeypatch.setattr(subwords, "_PART_TOKENS", 2)

    with opened(path) as reader:
        vectors, _ = ask(reader, expected.asked, threads=threads)

    assert vectors.tobytes() == expected.vectors.tobytes()


def test_no_more_rows_are_held_than_there_is_room_for(monkeypatch):
    path, room = FASTTEXT / "cbow.bin", 40  # rows, more than any one token has
    sizes = []
    read = sums.MappedRows.read

    def counted(self, rows, threads):
        sizes.append(len(rows))
        return read(self, rows, threads)

    monkeypatch.setattr(sums.MappedRows, "read", counted)
    monkeypatch.setattr(subwords, "_ROOM", 4 * 11 * room)

    with opened(path) as reader:
        asked = [token for token in answers(path).asked if len(token) < 15]
        ask(reader, asked)

    assert max(sizes) <= room
    assert len(sizes) > 5


@pytest.mark.parametrize("path", [*ANSWERED[:1], FASTTEXT / "old.bin"])
def test_what_has_no_pieces_keeps_its_row(path):
    with opened(path) as reader:
        out = np.full((3, reader.dim), SENTINEL)
        made = reader.compose(["unseen", "</s>", "seen too"], out)

    assert made.tolist() == [True, False, True]
    assert (out[1] == SENTINEL).all()
    assert not (out[[0, 2]] == SENTINEL).any()


@pytest.mark.parametrize("name", ["skipgram.bin", "cbow.bin", "old.bin"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_gensim_gives_the_same(name):
    theirs = load_facebook_vectors(str(FASTTEXT / name))
    tokens = [token for token in theirs.index_to_key if "\\x" not in token]
    asked = [*tokens[1:], "unseen", "студенты", "漢字かな", "new york"]  # not </s>

    with opened(FASTTEXT / name) as reader:
        vectors, found = ask(reader, asked)

    assert found.tolist() == [token in theirs.key_to_index for token in asked]
    np.testing.assert_allclose(vectors, theirs[asked], rtol=0, atol=1e-7)


def test_a_model_without_a_magic_number_is_the_one_it_was_made_of():
    with opened(FASTTEXT / "skipgram.bin") as new, opened(FASTTEXT / "old.bin") as old:
        (tokens, vectors), (old_tokens, old_vectors) = all_rows(new), all_rows(old)

    assert (new.facts["version"], old.facts["version"]) == (12, 0)
    assert old_tokens == tokens
    assert old_vectors.tobytes() == vectors.tobytes()


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("skipgram.bin", {"model": "skipgram", "loss": "negative sampling"}),
        ("cbow.bin", {"model": "cbow", "loss": "hierarchical softmax", "bucket": 211}),
        ("supervised.bin", {"model": "supervised", "loss": "softmax", "word_n": 2}),
        ("supervised-words.bin", {"loss": "one-vs-all", "max_n": 0, "labels": 260}),
        ("supervised-11.bin", {"version": 11, "max_n": 0}),
        ("quantised.ftz", {"quantised": True, "pruned": False, "labels": 260}),
        ("pruned.ftz", {"quantised": True, "pruned": True, "min_n": 2, "max_n": 4}),
        ("../floret/four-hashes.bin", {"hash_count": 4, "bucket": 97}),
        ("../floret/as-fasttext.bin", {"hash_count": None, "max_n": 6}),
    ],
)
def test_a_model_says_what_it_is(name, facts):
    with opened(FASTTEXT / name) as reader:
        assert reader.facts.items() >= facts.items()


def test_labels_are_no_tokens():
    with opened(FASTTEXT / "supervised.bin") as reader:
        tokens, _ = all_rows(reader)
        _, selection = select(reader, [("__label__1", 0, 0), ("the", 1, 0)])

    assert not any(token.startswith("__label__") for token in tokens)
    assert (selection.source_rows >= 0).tolist() == [False, True, False]
    assert len(reader.facts["first_labels"]) == 10
    assert all(name.startswith("__label__") for name in reader.facts["first_labels"])
    assert reader.findings.notes == ["260 labels, which are no tokens"]


@pytest.mark.parametrize(
    ("options", "composes"),
    [
        ({"bucket": 3, "min_n": 2, "max_n": 3}, True),
        ({"bucket": 3, "min_n": 0, "max_n": 1}, True),
        ({"bucket": 0, "min_n": 2, "max_n": 3}, False),
        ({"bucket": 3, "min_n": 3, "max_n": 2}, False),
        ({"bucket": 3, "min_n": 0, "max_n": 0}, False),
        ({"bucket": 3, "min_n": 2, "max_n": 3, "kind": 3, "version": 11}, False),
        ({"bucket": 3, "min_n": 2, "max_n": 3, "pairs": []}, False),
        ({"bucket": 3, "min_n": 2, "max_n": 3, "pairs": [(2, 0)]}, True),
        ({"bucket": 3, "min_n": 2, "max_n": 3, "pairs": [(0, 0)]}, True),
    ],
)
def test_tokens_are_composed_where_there_are_buckets_for_n_grams(
    tmp_path, options, composes
):
    matrix = np.arange(10, dtype=np.float32).reshape(5, 2)

    with opened(tmp_path / "f", model(["a", "b"], matrix, **options)) as reader:
        out = np.full((1, 2), SENTINEL)
        made = reader.compose(["unseen"], out)
        words, _ = ask(reader, ["b"])

    assert reader.composes == composes == made.all()
    assert composes or words.tolist() == [[2, 3]]
    assert composes or (out == SENTINEL).all()


def test_the_first_of_two_equal_words_counts(tmp_path):
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)

    with opened(tmp_path / "f", model(["a", "b", "a"], matrix)) as reader:
        vectors, _ = ask(reader, ["a"])

    assert vectors.tolist() == [[0, 1]]
    assert reader.findings == Findings(rows=3, duplicates=1)


def test_a_packed_model_is_read(tmp_path):
    path = FASTTEXT / "skipgram.bin"
    (tmp_path / "f.bin.gz").write_bytes(gzip.compress(path.read_bytes()))
    with zipfile.ZipFile(tmp_path / "f.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "model.bin")
    expected = answers(path)

    for name in ("f.bin.gz", "f.zip"):
        with pe.open_vectors(tmp_path / name) as reader:
            vectors, _ = ask(reader, expected.asked)
        assert vectors.tobytes() == expected.vectors.tobytes()


def test_a_matrix_is_built_of_a_model():
    expected = answers(FASTTEXT / "skipgram.bin")
    vocabulary = pe.Vocabulary([*expected.known[:9], "unseen"], pad=None)

    matrix = pe.build_matrix(vocabulary, FASTTEXT / "skipgram.bin", oov="zeros")

    assert matrix.vectors[:9].tobytes() == expected.vectors[:9].tobytes()
    assert matrix.provenance["source"]["format"] == "fasttext-binary"


def test_files_of_other_formats_are_not_taken_for_models(tmp_path):
    for name in ("word2vec-c.bin", "gensim.bin", "not-utf-8.bin", "fasttext.vec"):
        with opened(DATA / "valid" / name) as reader:
            assert reader.format != "fasttext-binary"
