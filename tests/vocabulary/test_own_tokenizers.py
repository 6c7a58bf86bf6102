"""Texts read by what a vocabulary was made of, and what is said where that is lost."""

import copy
import json
import pickle
import sys
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed.errors import MissingPackageError, OptionError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary
from tests.vocabulary.test_library_files import DATA

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
sentencepiece = pytest.importorskip(
    "sentencepiece", reason="sentencepiece is not installed"
)

FILES = ["wordpiece.json", "bpe.json", "unigram.json", "wordlevel.json"]
MODELS = ["sp-unigram.model", "sp-bpe.model", "sp-char.model"]
TEXTS = ["Hope, to see YOU!", "the cats", "", "see  you\tagain"]


def _rows(ids):
    return [row.tolist() for row in ids]


def _padded(rows, pad):
    width = max(map(len, rows))
    return [[*row, *[pad] * (width - len(row))] for row in rows]


def _tokenizer(name="wordpiece.json"):
    return tokenizers.Tokenizer.from_file(str(DATA / name))


def _with_pad(vocab):
    return Vocabulary.of(vocab, pad=vocab.pad_token or next(iter(vocab)))


@pytest.mark.parametrize("name", FILES)
def test_a_tokenizer_and_its_file_give_the_ids_that_it_gives(name):
    tokenizer = _tokenizer(name)
    live = _with_pad(Vocabulary.of(tokenizer))
    file = _with_pad(Vocabulary.from_file(DATA / name))

    given = [tokenizer.encode(text).ids for text in TEXTS]

    assert _rows(live.encode(TEXTS)) == _padded(given, live.pad_id)
    assert _rows(file.encode(TEXTS)) == _padded(given, file.pad_id)


def test_special_tokens_come_as_a_plain_call_adds_them():
    tokenizer = _tokenizer()
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", sep), ("[CLS]", cls)
    )

    (row,) = Vocabulary.of(tokenizer).encode(["the"]).tolist()

    assert (row[0], row[-1]) == (cls, sep)


def test_its_own_padding_stays_and_makes_room_for_max_length():
    tokenizer = _tokenizer()
    pad = tokenizer.token_to_id("[PAD]")
    tokenizer.enable_padding(direction="left", pad_id=pad, pad_token="[PAD]", length=9)
    vocab = Vocabulary.of(tokenizer)
    ids = [id for id in tokenizer.encode("the cats").ids if id != pad]

    assert vocab.encode(["the cats"]).tolist() == [tokenizer.encode("the cats").ids]
    assert vocab.encode(["the cats"], max_length=len(ids) + 1).tolist() == [[*ids, pad]]
    assert vocab.encode(["the cats"], max_length=2, truncate="right").tolist() == [
        ids[:2]
    ]


@pytest.mark.parametrize("name", MODELS)
def test_a_processor_and_its_model_give_the_ids_that_it_gives(name):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(DATA / name))
    given = processor.encode(TEXTS)

    for vocab in (Vocabulary.of(processor), Vocabulary.from_file(DATA / name)):
        vocab = _with_pad(vocab)
        assert _rows(vocab.encode(TEXTS)) == _padded(given, vocab.pad_id)


def test_a_processor_that_adds_bos_gives_it():
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(DATA / MODELS[0]), add_bos=True
    )

    ids = Vocabulary.of(processor).encode(["see"])

    assert ids[0, 0] == processor.bos_id()


def test_a_vectorizer_cuts_texts_up():
    text = pytest.importorskip(
        "sklearn.feature_extraction.text", reason="scikit-learn is not installed"
    )
    vectorizer = text.CountVectorizer(ngram_range=(1, 2)).fit(["Hope to see, YOU"])
    ids = vectorizer.vocabulary_

    vocab = Vocabulary.of(vectorizer)

    assert vocab.encode(["see YOU!"]).tolist() == [
        [ids["see"], ids["you"], ids["see you"]]
    ]
    with pytest.raises(VocabularyError, match="token 'them' is not in the vocabulary"):
        vocab.encode(["see them"])


class Callable:
    """What a tokenizer of transformers has, and what a call of it gives."""

    special_tokens_map = {"pad_token": "[P]"}  # noqa: RUF012  (nothing changes it)
    all_special_tokens = ("[P]",)

    def get_vocab(self):
        return {"[P]": 0, "a": 1, "b": 2, "</s>": 3}

    def convert_tokens_to_ids(self, tokens):
        raise AssertionError("it is called, and does not look tokens up")

    def __call__(self, texts):
        rows = [[*(self.get_vocab()[c] for c in text), 3] for text in texts]
        return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}


def test_what_transformers_makes_is_called():
    vocab = Vocabulary.of(Callable())

    assert vocab.encode(["ab", "b"]).tolist() == [[1, 2, 3], [2, 3, 0]]
    assert vocab.encode(["ab", ["a", "[P]"]], max_length=4).tolist() == [
        [1, 2, 3, 0],
        [1, 0, 0, 0],
    ]


def test_lists_of_tokens_are_looked_up_beside_texts():
    vocab = Vocabulary.of(_tokenizer())

    ids = vocab.encode([["the", "no such token"], "the", ["the"]])

    the = vocab["the"]
    assert ids[0, :2].tolist() == [the, vocab.unk_id]
    assert ids[2, 0] == the
    assert the in ids[1]


@given(
    st.lists(
        st.one_of(st.text("thes ", max_size=9), st.lists(st.just("the"))), max_size=5
    )
)
def test_each_text_gets_its_own_row(texts):
    vocab = Vocabulary.of(_tokenizer())

    ids = vocab.encode(texts)

    alone = [_rows(vocab.encode([text]))[0] for text in texts]
    assert _rows(ids) == (_padded(alone, vocab.pad_id) if texts else [])


def test_ids_beyond_the_rows_are_told():
    tokenizer = _tokenizer()
    vocab = Vocabulary.of(tokenizer)
    tokenizer.add_tokens(["zzz"])

    with pytest.raises(
        VocabularyError, match=r"gave an id that is no row.*make it anew"
    ):
        vocab.encode(["zzz"])


def test_a_function_of_the_caller_comes_before_the_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes((DATA / "wordpiece.json").read_bytes())

    vocab = Vocabulary.from_file(path, tokenize=lambda text: text.split(","))

    assert vocab.encode(["the,[UNK]"]).tolist() == [[vocab["the"], vocab["[UNK]"]]]


def test_a_text_is_lowered_first_where_that_is_asked_for():
    vocab = Vocabulary.from_file(DATA / "wordlevel.json", lower=True)
    plain = Vocabulary.from_file(DATA / "wordlevel.json")

    assert _rows(vocab.encode(["THE"])) == _rows(plain.encode(["the"]))


# Where it cannot be run


def _says_so(vocab, *words):
    with pytest.raises(OptionError) as caught:
        vocab.encode([["a"], "the cats"])
    for word in ("text 1 is a str", "give lists of tokens", *words):
        assert word in str(caught.value)


def _through_pickle(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (our own bytes)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Vocabulary.of(_tokenizer()), "tokenizer of Hugging Face"),
        (lambda: Vocabulary.from_file(DATA / "wordpiece.json"), "wordpiece.json"),
        (lambda: Vocabulary(["the", "[UNK]"], tokenize=str.upper), "str.upper"),
    ],
)
def test_no_function_goes_into_a_pickle_or_a_file(tmp_path, make, name):
    vocab = Vocabulary.of(make(), unk="[UNK]")
    matrix = pe.EmbeddingMatrix(np.zeros((len(vocab), 2)), vocab)
    matrix.save(tmp_path / "m.npz")
    matrix.save(tmp_path / "again.h5")

    pickled = _through_pickle(vocab)
    loaded = pe.load_matrix(tmp_path / "m.npz")
    loaded.save(tmp_path / "again.h5")

    again = pe.load_matrix(tmp_path / "again.h5").vocabulary
    for lost in (pickled, _through_pickle(pickled), loaded.vocabulary, again):
        _says_so(lost, name, "split texts with")
        assert lost == vocab
        assert lost.encode([["the"]]).tolist() == [[vocab["the"]]]
    assert loaded.findings.notes == []


def _cannot_be_run(vocab):
    return vocab.tokenizer.own.encode is None


def test_a_worker_gets_the_fact_alone():
    vocab = Vocabulary.of(_tokenizer())

    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_cannot_be_run, (vocab,))


def test_a_copy_in_this_process_reads_on():
    vocab = Vocabulary.of(_tokenizer())

    for twin in (copy.copy(vocab), copy.deepcopy(vocab)):
        assert twin.encode(["the"]).tolist() == vocab.encode(["the"]).tolist()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setitem(sys.modules, "sentencepiece", None)

    for name, package in (("bpe.json", "tokenizers"), (MODELS[0], "sentencepiece")):
        vocab = Vocabulary.from_file(DATA / name)
        with pytest.raises(MissingPackageError, match=f"pip install {package}.*lists"):
            vocab.encode(["the cats"])
        assert vocab.encode([[next(iter(vocab))]]).shape == (1, 1)


def test_a_file_that_the_package_cannot_read_is_told(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Next", "vocab": {"a": 0}}}))

    with pytest.raises(
        VocabularyError, match=r"tokenizers cannot read texts.*lists of"
    ):
        Vocabulary.from_file(path).encode(["a"])


def test_files_that_lack_what_their_tokenizer_needs_say_so(tmp_path):
    bert = tmp_path / "vocab.txt"
    bert.write_text("[PAD]\n[UNK]\nsee\n##ing\n")
    pieces = tmp_path / "m.vocab"
    pieces.write_text("<unk>\t0\n▁see\t-1.5\n")
    folder = tmp_path / "gpt2"
    folder.mkdir()
    (folder / "vocab.json").write_text('{"see": 0, "Ġyou": 1}')
    spacy = tmp_path / "spacy"
    (spacy / "vocab").mkdir(parents=True)
    (spacy / "vocab" / "strings.json").write_text('["see", "you"]')

    _says_so(Vocabulary.from_file(bert, unk="[UNK]"), "WordPiece", "transformers")
    _says_so(Vocabulary.from_file(pieces), "SentencePiece", ".model")
    _says_so(Vocabulary.of(Vocabulary.from_file(folder), unk="u"), "AutoTokenizer")
    _says_so(Vocabulary.from_file(spacy, unk="u"), "spacy.load")


def test_a_folder_whose_files_add_tokens_is_not_read_by_one_of_them(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((DATA / "wordpiece.json").read_bytes())
    plain = Vocabulary.from_file(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": len(plain)}))

    assert plain.encode(["the"]).tolist() == [_tokenizer().encode("the").ids]
    _says_so(Vocabulary.from_file(tmp_path), "transformers can load")


@pytest.mark.parametrize(
    "lines", ["[PAD]\n[UNK]\nthe\ncats\n", "the\t3\ncats\t2\n", "the\ncats\n"]
)
def test_plain_files_are_split_at_white_space_saved_or_not(tmp_path, lines):
    (tmp_path / "v.txt").write_text(lines)
    vocab = Vocabulary.from_file(tmp_path / "v.txt")
    pe.EmbeddingMatrix(np.zeros((len(vocab), 2)), vocab).save(tmp_path / "m.npz")

    loaded = pe.load_matrix(tmp_path / "m.npz")

    ids = [[vocab["the"], vocab["cats"]]]
    assert loaded.vocabulary.encode(["the cats"]).tolist() == ids
    assert vocab.encode(["the  cats"]).tolist() == ids
    assert loaded.findings.notes == []


def test_a_matrix_of_an_early_release_reads_as_it_did_and_says_so(tmp_path):
    vocab = Vocabulary(["the", "cats"])
    table = pe.EmbeddingMatrix(np.zeros((3, 2)), vocab).table()
    del table.metadata["vocabulary"]["splits_at_white_space"]
    pe.formats.write_table(tmp_path / "old.npz", table)

    old = pe.load_matrix(tmp_path / "old.npz")
    old.save(tmp_path / "new.npz")
    new = pe.load_matrix(tmp_path / "new.npz")

    for matrix in (old, new):
        assert matrix.vocabulary.encode(["the cats"]).tolist() == [[1, 2]]
        (note,) = matrix.findings.notes
        assert "saved without a record of how its vocabulary reads texts" in note
