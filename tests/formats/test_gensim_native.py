from __future__ import annotations

import gzip
import json
import pickle
import re
import shutil
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conformance import ReadingConformance, all_rows, select
from gensim.models import FastText, KeyedVectors, Word2Vec
from hypothesis import given
from hypothesis import strategies as st
from tables import piped, read_all, stream_of

from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError, SourceError, UnknownFormatError
from pretrained_embed.formats.gensim import reader as gensim_native

DATA = Path(__file__).parents[1] / "data" / "gensim"
ANSWERS = sorted(DATA.glob("*/*.answer.npy"))
MODELS = [path.with_name(path.name.removesuffix(".answer.npy")) for path in ANSWERS]
PICKLES = [path for path in MODELS if path.suffix != ".gz"]

every_model = pytest.mark.parametrize(
    "path", PICKLES, ids=lambda path: f"{path.parent.name}-{path.name}"
)


def answer(path):
    """Return the words of a model, their vectors, and the vectors of other words."""
    told = json.loads(path.with_name(path.name + ".answer.json").read_text("utf-8"))
    return told["words"], np.load(path.with_name(path.name + ".answer.npy")), told


def opened(path):
    return formats.open_reader(stream_of(path))


class TestKeyedVectors(ReadingConformance):
    def write(self, path, tokens, vectors):
        held = KeyedVectors(vectors.shape[1])
        held.index_to_key = list(tokens)
        held.vectors = vectors
        held.save(str(path))


class TestWordsOfFastText(ReadingConformance):
    """Each vector is computed: a word's row without n-grams, divided by one."""

    @property
    def vectors(self):
        vectors = super().vectors
        vectors[vectors == 0] = 0  # sums are made with +0
        return vectors

    def write(self, path, tokens, vectors):
        held = FastText(vector_size=vectors.shape[1], min_n=4, max_n=3, bucket=1).wv
        held.bucket = 1
        held.vectors_ngrams = np.zeros((1, vectors.shape[1]), np.float32)
        held.index_to_key = list(tokens)
        held.vectors_vocab = vectors
        held.save(str(path))


@every_model
def test_words_and_vectors_are_those_that_gensim_gives(path):
    words, vectors, _ = answer(path)

    with opened(path) as reader:
        tokens, rows = all_rows(reader)
        wanted = [(word, row, 0) for row, word in enumerate(reversed(words))]
        out, selection = select(reader, wanted)

    assert reader.format == "gensim"
    assert tokens == words
    assert rows.tobytes() == vectors.tobytes()
    assert out[:-1].tobytes() == vectors[::-1].tobytes()
    assert selection.source_rows[:-1].tolist() == list(range(len(words)))[::-1]


@pytest.mark.parametrize("release", ["3.8", "4.4"])
@pytest.mark.parametrize("name", ["subwords.kv", "subwords.model"])
def test_other_words_are_composed_as_gensim_composes_them(release, name):
    path = DATA / release / name
    _, _, told = answer(path)
    words = list(told["composed"])
    vectors = np.array([told["composed"][word] for word in words], np.float32)

    with opened(path) as reader:
        out = np.full((len(words) + 1, reader.dim), 7, np.float32)
        made = reader.compose([*words, ""], out)

    assert reader.composes
    assert made.tolist() == [True] * len(words) + [False]
    assert out[:-1].tobytes() == vectors.tobytes()
    assert (out[-1] == 7).all()


def changed(path, tmp_path, **attributes):
    """Return the path of a copy of a model that says something else of itself."""
    held = pickle.loads(path.read_bytes())  # noqa: S301  (a file of our own)
    held.__dict__.update(attributes)
    copy = tmp_path / "changed.kv"
    copy.write_bytes(pickle.dumps(held, 4))
    return copy


def test_n_grams_hashed_otherwise_compose_nothing(tmp_path):
    path = DATA / "4.4" / "subwords.kv"
    vectors = answer(path)[1]

    with opened(
        changed(path, tmp_path, compatible_hash=False, vectors=vectors)
    ) as reader:
        assert not reader.composes
        assert all_rows(reader)[1].tobytes() == vectors.tobytes()
        (note,) = reader.findings.notes
        assert "hashed as gensim before 3.8" in note
    with pytest.raises(FormatError, match=r"hashed as gensim before 3.8 .* 3\.8\.3"):
        opened(changed(path, tmp_path, compatible_hash=False))


def test_without_buckets_a_words_own_row_is_its_vector(tmp_path):
    own = np.arange(15 * 6, dtype=np.float32).reshape(15, 6)
    path = DATA / "4.4" / "subwords.kv"

    with opened(changed(path, tmp_path, bucket=0, vectors_vocab=own)) as reader:
        assert not reader.composes
        assert all_rows(reader)[1].tobytes() == own.tobytes()


def test_numbers_too_large_for_float32_are_infinite(tmp_path):
    own = np.full((15, 6), 1e300)
    path = DATA / "4.4" / "subwords.kv"

    with opened(changed(path, tmp_path, vectors_vocab=own)) as reader:
        assert np.isinf(all_rows(reader)[1]).all()


def test_half_a_character_is_kept_as_bytes(tmp_path):
    held = KeyedVectors(1)
    held.add_vectors(["\ud800", "\udcff"], np.ones((2, 1), np.float32))
    held.save(str(tmp_path / "x.kv"))

    with opened(tmp_path / "x.kv") as reader:
        assert all_rows(reader)[0] == ["\udced\udca0\udc80", "\udcff"]


def test_only_subwords_compose():
    for path in PICKLES:
        with opened(path) as reader:
            assert reader.composes == path.name.startswith("subwords")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("1.0/words.model", {"model": "Word2Vec", "occurrences": 76}),
        ("3.8/words.kv", {"model": "Word2VecKeyedVectors", "occurrences": 76}),
        ("3.8/documents.model", {"model": "Doc2Vec", "occurrences": 76}),
        ("4.4/words.kv", {"model": "KeyedVectors", "gensim": "4.4.0"}),
        (
            "4.4/subwords.model",
            {
                **{"model": "FastText", "gensim": "4.4.0", "occurrences": 76},
                **{"min_n": 3, "max_n": 6, "bucket": 40},
            },
        ),
    ],
)
def test_facts_of_a_model(name, facts):
    with opened(DATA / name) as reader:
        assert facts.items() <= dict(reader.facts).items()
        json.dumps(dict(reader.facts))


def test_arrays_beside_the_pickle_are_mapped(tmp_path):
    for name in ("beside.kv", "beside.kv.vectors.npy"):
        shutil.copy(DATA / "4.4" / name, tmp_path / name)

    reader = opened(tmp_path / "beside.kv")
    vectors = reader.table().vectors

    base = vectors
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert vectors.tobytes() == answer(DATA / "4.4" / "beside.kv")[1].tobytes()


@pytest.mark.parametrize("release", ["3.8", "4.4"])
def test_a_compressed_pickle_is_read_where_it_is_unpacked(release, tmp_path):
    packed = DATA / release / "packed.kv.gz"
    (tmp_path / "packed.kv").write_bytes(gzip.decompress(packed.read_bytes()))
    array = packed.with_name("packed.kv.gz.vectors.npz")

    for name in ("packed.kv.gz.vectors.npz", "packed.kv.vectors.npz"):
        shutil.copy(array, tmp_path / name)
        with opened(tmp_path / "packed.kv") as reader:
            tokens, vectors = all_rows(reader)
        assert (tokens, vectors.tobytes()) == (
            answer(packed)[0],
            answer(packed)[1].tobytes(),
        )
        (tmp_path / name).unlink()


def test_an_array_that_is_not_beside_its_pickle_is_asked_for(tmp_path):
    path = tmp_path / "beside.kv"
    shutil.copy(DATA / "4.4" / "beside.kv", path)

    with pytest.raises(
        FormatError, match=r"is in beside\.kv\.vectors\.npy, .* copy bo"
    ):
        opened(path)
    with pytest.raises(FormatError, match="unpack it, and keep both in one folder"):
        formats.open_reader(piped(path))

    (tmp_path / "beside.kv.vectors.npy").mkdir()
    with pytest.raises(SourceError, match=r"cannot read .*beside\.kv\.vectors\.npy"):
        opened(path)


def test_the_array_beside_a_pickle_has_to_fit(tmp_path):
    path = tmp_path / "beside.kv"
    shutil.copy(DATA / "4.4" / "beside.kv", path)
    array = tmp_path / "beside.kv.vectors.npy"

    np.save(array, np.zeros((2, 6), np.float32))
    with pytest.raises(FormatError, match="15 tokens for 2 vectors"):
        opened(path)
    np.save(array, np.array([{}], object))
    with pytest.raises(FormatError, match="could run code"):
        opened(path)
    array.write_bytes(b"")
    with pytest.raises(FormatError, match="does not start with"):
        opened(path)


def test_keys_that_are_numbers_are_read_as_their_digits(tmp_path):
    path = tmp_path / "numbers.kv"
    held = KeyedVectors(2)
    held.add_vectors([7, "x", -1], np.eye(3, 2, dtype=np.float32))
    held.save(str(path))

    with opened(path) as reader:
        tokens, _ = all_rows(reader)

    assert tokens == ["7", "x", "-1"]
    assert "read as their digits" in reader.findings.notes[0]


def test_the_row_that_gensim_leaves_for_a_duplicate_is_a_row_without_token(tmp_path):
    text = tmp_path / "twice.txt"
    text.write_text("3 2\nthe 1 2\nthe 3 4\nfoo 5 6\n")
    held = KeyedVectors.load_word2vec_format(str(text))
    held.save(str(tmp_path / "twice.kv"))

    with opened(tmp_path / "twice.kv") as reader:
        tokens, _ = all_rows(reader)

    assert None in held.index_to_key
    assert tokens == ["the", "foo"]
    assert "1 rows without a token" in reader.findings.notes


def test_float64_vectors_are_rounded_and_said_to_be(tmp_path):
    path = tmp_path / "double.kv"
    held = KeyedVectors(2, dtype=np.float64)
    held.add_vectors(["a"], np.array([[0.1, 1e300]]))
    held.save(str(path))

    with opened(path) as reader:
        _, vectors = all_rows(reader)

    assert vectors.tolist() == [[np.float32(0.1), np.inf]]
    assert "float64" in reader.findings.notes[0]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(protocol, tmp_path):
    path = tmp_path / "model.model"
    model = Word2Vec([["a", "b\u00a0", "é"]], vector_size=4, min_count=1, workers=1)
    model.save(str(path), pickle_protocol=protocol)

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == model.wv.index_to_key
    assert vectors.tobytes() == model.wv.vectors.tobytes()


def test_a_model_saved_into_an_open_file_is_read(tmp_path):
    path = tmp_path / "model.kv"
    model = FastText([["hope", "to", "see"]], vector_size=4, min_count=1, bucket=20)
    with path.open("wb") as file:
        model.wv.save(file)

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == model.wv.index_to_key
    assert vectors.tobytes() == model.wv.vectors.tobytes()


class OwnVectors(KeyedVectors):
    """A class of the user's, which its file names."""


class OwnModel(Word2Vec):
    """Another."""


def test_a_class_that_is_made_from_one_of_gensim_is_read(tmp_path):
    texts = [["the", "of", "to"]] * 3
    model = OwnModel(texts, vector_size=4, min_count=1, workers=1)
    model.save(str(tmp_path / "own.model"))
    held = OwnVectors(4)
    held.add_vectors(model.wv.index_to_key, model.wv.vectors)
    held.save(str(tmp_path / "own.kv"))

    for name in ("own.model", "own.kv"):
        tokens, vectors = all_rows(opened(tmp_path / name))[:2]
        assert tokens == model.wv.index_to_key
        np.testing.assert_array_equal(vectors, model.wv.vectors)


@pytest.mark.parametrize("protocol", [0, 1])
def test_an_old_protocol_is_named_with_its_remedy(protocol, tmp_path):
    held = KeyedVectors(2)
    held.add_vectors(["the"], np.ones((1, 2), np.float32))
    held.save(str(tmp_path / "old.kv"), pickle_protocol=protocol)

    with pytest.raises(UnknownFormatError, match=r"protocol 2 to 5 .*save it again"):
        opened(tmp_path / "old.kv")


def test_a_pickle_of_something_else_is_named_for_what_it_is(tmp_path):
    path = tmp_path / "x.kv"
    path.write_bytes(pickle.dumps({"the": [1.0]}))

    with pytest.raises(FormatError, match="a pickle of a dict, in which no vectors"):
        opened(path)


def test_models_without_vectors_of_words_are_refused(tmp_path):
    path = tmp_path / "x.kv"
    KeyedVectors(3).save(str(path))

    with pytest.raises(FormatError, match="KeyedVectors holds no vectors of words"):
        opened(path)


def test_what_is_ones_own_is_told_of_and_never_made(tmp_path):
    path = tmp_path / "x.model"
    model = Word2Vec([["a"]], vector_size=2, min_count=1, hashfxn=own_hash)
    model.epoch_logger = EpochLogger()
    model.since = datetime(2020, 1, 1, tzinfo=UTC)
    model.save(str(path))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"EpochLogger", b"NoSuchClass"))

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == ["a"]
    assert vectors.tobytes() == model.wv.vectors.tobytes()
    (note,) = reader.findings.notes
    assert f"{__name__}.NoSuchClass" in note
    assert f"{__name__}.own_hash" in note
    assert "datetime.datetime" in note
    assert "nothing of that was imported or run" in note


class EpochLogger:
    """What people hang on their models."""


def own_hash(text):
    return 1


@pytest.mark.parametrize(
    "keys",
    [
        np.array(["the", "of", "to"]),
        np.array(["the", "of", "to"], object),
        np.array([b"the", b"of", b"to"]),
        ("the", "of", "to"),
        [np.str_("the"), np.str_("of"), np.str_("to")],
        [np.str_("the"), "of", b"to"],
    ],
    ids=lambda keys: f"{type(keys).__name__} {type(keys[0]).__name__}",
)
def test_tokens_may_be_kept_as_numpy_keeps_them(keys, tmp_path):
    path = tmp_path / "x.kv"
    held = KeyedVectors(2)
    held.add_vectors(["the", "of", "to"], np.arange(6, dtype=np.float32).reshape(3, 2))
    held.index_to_key = keys
    held.key_to_index = {key: row for row, key in enumerate(keys)}
    held.save(str(path))

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == ["the", "of", "to"]
    assert vectors.tobytes() == held.vectors.tobytes()
    assert not reader.findings.notes


def test_tokens_kept_in_something_else_are_found_by_their_rows_or_named(tmp_path):
    path = tmp_path / "x.kv"
    held = KeyedVectors(2)
    held.add_vectors(["the", "of"], np.arange(4, dtype=np.float32).reshape(2, 2))
    held.index_to_key = deque(held.index_to_key)
    held.save(str(path))
    with opened(path) as reader:
        assert all_rows(reader)[0] == ["the", "of"]

    held.key_to_index = Path("no dictionary")
    held.save(str(path))
    with pytest.raises(FormatError, match=r"kept in a collections\.deque") as caught:
        opened(path)

    remedy = str(caught.value).rpartition("again: ")[2]
    exec(remedy.replace("model.wv", "held"), {"held": held})
    held.save(str(path))
    with opened(path) as reader:
        assert all_rows(reader)[0] == ["the", "of"]


def test_vectors_kept_in_something_else_are_named(tmp_path):
    path = tmp_path / "x.kv"
    held = KeyedVectors(2)
    held.add_vectors(["the", "of"], np.arange(4, dtype=np.float32).reshape(2, 2))
    held.vectors = pd.DataFrame(held.vectors)
    held.save(str(path))

    with pytest.raises(FormatError, match=r"'vectors' is a pandas.*DataFrame, not an"):
        opened(path)


def test_a_part_of_a_model_names_the_model(tmp_path):
    model = Word2Vec([["a", "b"]], vector_size=2, min_count=1)
    model.save(str(tmp_path / "m.model"), sep_limit=0)
    parts = [path for path in tmp_path.iterdir() if path.suffix == ".npy"]
    assert len(parts) > 2

    for part in parts:
        with pytest.raises(FormatError) as caught:
            opened(part)
        (given,) = re.findall("give '(.*)' instead", str(caught.value))
        with opened(Path(given)) as reader:
            assert all_rows(reader)[0] == model.wv.index_to_key

    alone = tmp_path / "alone"
    alone.mkdir()
    for part in parts:
        with pytest.raises(FormatError, match=r"put 'm\.model', .* beside it"):
            opened(part.rename(alone / part.name))

    (alone / "m.model.wv.vectors.txt").write_text("a\nb\n")  # made by hand
    with opened(alone / "m.model.wv.vectors.npy") as reader:
        assert all_rows(reader)[0] == ["a", "b"]


def test_a_compressed_part_of_a_model_names_the_model(tmp_path):
    model = Word2Vec([["a", "b"]], vector_size=2, min_count=1)
    model.wv.save(str(tmp_path / "m.kv.gz"), separately=["vectors"])
    (part,) = tmp_path.glob("*.npz")

    with pytest.raises(FormatError, match=r"give '.*m\.kv\.gz' instead"):
        formats.open_reader(sources.open_source(part))


def test_a_pointer_in_place_of_an_array_is_named(tmp_path):
    model = Word2Vec([["a", "b"]], vector_size=2, min_count=1)
    model.save(str(tmp_path / "m.model"), sep_limit=0)
    array = tmp_path / "m.model.wv.vectors.npy"
    array.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")

    with pytest.raises(FormatError, match=r"git-lfs pointer.*'git lfs pull'") as caught:
        opened(tmp_path / "m.model")

    assert array.name in str(caught.value)
    assert "'vectors'" in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"bucket": 41}, "41 buckets of n-grams, but no row for each"),
        ({"vectors_ngrams": np.zeros((40, 5), np.float32)}, "those of n-grams have"),
        ({"vectors_ngrams": np.zeros(40, np.float32)}, "no row for each"),
        ({"max_n": 1 << 30}, "n-grams of up to 1,073,741,824 characters"),
        ({"vectors_vocab": np.zeros((3, 6), np.float32)}, "tokens for 3 vectors"),
        ({"vectors_vocab": np.zeros(6, np.float32)}, r"vectors of shape \(6,\)"),
        ({"index_to_key": ["a", 1.5]}, "the token of row 1 is no string"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(attributes, what, tmp_path):
    path = changed(DATA / "4.4" / "subwords.kv", tmp_path, **attributes)

    with pytest.raises(FormatError, match=what):
        opened(path)


def test_old_models_without_a_list_of_words_are_read_by_their_rows(tmp_path):
    raw = (DATA / "1.0" / "words.kv").read_bytes()
    words, vectors, _ = answer(DATA / "1.0" / "words.kv")
    path = tmp_path / "x.kv"
    path.write_bytes(raw.replace(b"index2word", b"index2pear"))

    with opened(path) as reader:
        tokens, rows = all_rows(reader)

    assert tokens == words
    assert rows.tobytes() == vectors.tobytes()


RAW = [path.read_bytes() for path in PICKLES]


@given(st.data())
def test_damaged_files_give_rows_or_our_error(tmp_path_factory, data):
    raw = bytearray(data.draw(st.sampled_from(RAW)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        size = data.draw(st.integers(0, 4))
        raw[at : at + size] = data.draw(st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / "damaged.kv"
    path.write_bytes(raw)

    read_all(gensim_native, path)


def test_cut_files_are_refused(tmp_path):
    path = tmp_path / "cut.kv"
    raw = (DATA / "4.4" / "words.kv").read_bytes()
    for size in range(70, len(raw), 37):
        path.write_bytes(raw[:size])
        with pytest.raises(FormatError):
            opened(path)
