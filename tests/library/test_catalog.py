"""The catalog of known vectors."""

import dataclasses
import json

import pytest

from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.library import catalog
from pretrained_embed.library.catalog import Entry

OURS = catalog.load()


@pytest.fixture
def written(tmp_path):
    """Write a catalog of one's own; return its path."""

    def write(*entries, schema=1):
        path = tmp_path / "catalog.json"
        path.write_text(json.dumps({"schema": schema, "entries": entries}))
        return path

    return write


@pytest.mark.parametrize("entry", OURS.values(), ids=OURS)
def test_our_entries_are_complete_and_downloadable(entry):
    assert entry.title
    assert entry.family
    assert entry.languages
    assert entry.format in ("text", "word2vec-binary", "fasttext-binary", "safetensors")
    assert ("{lang}" in entry.urls[0]) == entry.is_template
    covered = any(c.of == "file" for c in entry.checksums)
    for url in entry.urls:
        assert url.startswith("https://") or covered
    assert not (entry.member and entry.container not in ("zip", "tar", "tar.gz"))
    assert entry.tokens is None or entry.format == "safetensors"


def test_the_families_people_ask_for_are_there():
    for name in (
        "glove-6b-50d",
        "glove-6b-300d",
        "glove-42b-300d",
        "glove-840b-300d",
        "glove-twitter-27b-200d",
        "glove-2024-wikigiga-50d",
        "word2vec-google-news-300",
        "fasttext-wiki-news-300d-1m",
        "fasttext-crawl-300d-2m",
        "fasttext-cc-de-300",
        "fasttext-cc-de-300-bin",
        "fasttext-aligned-fr",
        "numberbatch-19.08-en",
        "lexvec-cc-300-w",
        "gensim-glove-twitter-25",
        "potion-base-8m",
    ):
        assert OURS.find(name).id == name


def test_the_default_source_is_known_to_the_byte():
    entry = OURS.find("glove-6b-50d")

    assert (entry.rows, entry.dim, entry.member_size) == (400_000, 50, 171_350_079)
    assert entry.member == "glove.6B.50d.txt"
    assert any(
        c.algorithm == "sha256" and c.of == "member" and c.value.startswith("d8f717f8")
        for c in entry.checksums
    )


def test_a_template_is_one_entry_for_each_language():
    entry = OURS.find("fasttext-cc-de-300")

    assert entry.urls == (
        "https://dl.fbaipublicfiles.com/fasttext/vectors-crawl/cc.de.300.vec.gz",
    )
    assert entry.languages == ("de",)
    assert not entry.is_template
    assert len(OURS["fasttext-cc-{lang}-300"].languages) > 150
    with pytest.raises(UnknownSourceError):
        OURS.find("fasttext-cc-xx-300")
    with pytest.raises(UnknownSourceError):
        OURS.find("fasttext-cc-{lang}-300")


def test_checksums_of_a_language_go_with_its_entry():
    template = OURS["fasttext-wiki-{lang}"]
    code = next(iter(template.checksums_by_language))

    assert (
        OURS.find(f"fasttext-wiki-{code}").checksums
        == template.checksums_by_language[code]
    )


def test_an_entry_comes_before_the_template_it_would_fit():
    assert OURS.find("fasttext-wiki-en").rows == 2_519_370


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownSourceError, match=r"did you mean .*glove-6b-50d"):
        OURS.find("glove.6B.50d")
    with pytest.raises(UnknownSourceError, match="fasttext-cc-de-300"):
        OURS.find("fastext-cc-de-300")
    with pytest.raises(UnknownSourceError) as caught:
        OURS.find("zzzzzzzzzzzz")
    assert "did you mean" not in str(caught.value)


def test_entries_are_chosen_by_language_family_and_dim():
    german = [entry.id for entry in OURS.entries(language="de")]

    assert "fasttext-cc-de-300" in german
    assert "fasttext-cc-{lang}-300" not in german
    assert "glove-6b-50d" not in german
    small = OURS.entries(family="glove", dim=50)
    assert {entry.dim for entry in small} == {50}
    assert {entry.family for entry in small} == {"glove"}
    assert OURS.entries() == list(OURS.values())
    wiki = [e.id for e in OURS.entries(language="en", family="fasttext")]
    assert wiki.count("fasttext-wiki-en") == 1


def test_a_catalog_of_ones_own_replaces_and_adds(written, monkeypatch):
    path = written(
        {"id": "glove-6b-50d", "urls": ["https://mirror.example/glove.6B.zip"]},
        {"id": "mine", "urls": ["https://mirror.example/v.txt"], "dim": 3},
    )

    by_argument = catalog.load(path)
    monkeypatch.setenv(catalog.ENVIRONMENT, str(path))
    by_environment = catalog.load()

    assert by_argument == by_environment
    assert by_argument.find("mine").dim == 3
    assert by_argument.find("glove-6b-50d").checksums == ()
    assert "glove-6b-100d" in by_argument


GOOD = {"id": "mine", "urls": ["https://mirror.example/v.txt"]}
SUM = {"algorithm": "md5", "of": "file", "value": "0" * 32}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "'id' is missing"),
        ({"id": "../up"}, "'id'.*does not match"),
        ({"urls": None}, "'urls' is missing"),
        ({"urls": "https://x.example/"}, "'urls': a list"),
        ({"urls": ["ftp://x.example/v"]}, "'urls': .*does not match"),
        ({"dims": 3}, "'dims' is not one of"),
        ({"dim": "3"}, "'dim': a whole number"),
        ({"dim": True}, "'dim': a whole number"),
        ({"rows": 0}, "'rows': a whole number"),
        ({"header": 1}, "'header': true or false"),
        ({"case": "lower"}, "'case'.*not one of"),
        ({"title": 3}, "'title': text"),
        ({"checksums": [{**SUM, "value": "0" * 31}]}, "md5 has 32"),
        ({"checksums": [{**SUM, "algorithm": "crc"}]}, "not one of sha256"),
        ({"checksums": [{}]}, "'algorithm' is missing"),
        ({"checksums_by_language": []}, "an object"),
        ({"tokens": {}}, "'tokens': 'urls' is missing"),
    ],
)
def test_a_wrong_entry_is_named_with_its_field(change, message, written):
    path = written({**GOOD, **change})

    with pytest.raises(SourceError, match=f"catalog.json: entry 0 .*{message}"):
        catalog.load(path)


def test_a_wrong_catalog_file_is_named(written, tmp_path):
    with pytest.raises(SourceError, match="two entries have the id mine"):
        catalog.load(written(GOOD, GOOD))
    with pytest.raises(SourceError, match='"schema": 1'):
        catalog.load(written(schema=2))
    (tmp_path / "list.json").write_text('{"schema": 1}')
    with pytest.raises(SourceError, match='list "entries"'):
        catalog.load(tmp_path / "list.json")
    (tmp_path / "cut.json").write_text("{")
    with pytest.raises(SourceError, match="is no JSON"):
        catalog.load(tmp_path / "cut.json")
    with pytest.raises(SourceError, match="cannot be read"):
        catalog.load(tmp_path / "missing.json")
    with pytest.raises(SourceError, match="an object is expected"):
        catalog.load(written("mine"))


def test_every_field_of_our_file_is_a_field_of_an_entry():
    fields = {field.name for field in dataclasses.fields(Entry)}
    text = catalog.__file__.replace("catalog.py", "catalog.json")

    with open(text, encoding="utf-8") as file:  # noqa: PTH123  (a str is at hand)
        used = {name for entry in json.load(file)["entries"] for name in entry}

    assert used == fields
