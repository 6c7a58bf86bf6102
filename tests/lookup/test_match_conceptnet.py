"""Keys of ConceptNet Numberbatch."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import pretrained_embed as pe
from pretrained_embed.lookup.match_text import conceptnet

WORDS = json.loads(
    Path(__file__).parents[1].joinpath("data/conceptnet/words.json").read_text("utf-8")
)


@pytest.mark.parametrize("term", WORDS)
def test_terms_are_cut_up_as_conceptnet_does_it(term):
    variants = conceptnet("xx")(term)

    expected = "_".join(WORDS[term])
    if re.search("[0-9][0-9]", expected):
        expected = re.sub("[0-9]", "#", expected)
    assert variants == ((f"/c/xx/{expected}", expected) if expected else ())


@pytest.mark.parametrize(
    ("language", "term", "key"),
    [
        # the examples of Numberbatch's text_to_uri.py
        ("es", "ayudar", "/c/es/ayudar"),
        ("en", "a test phrase", "/c/en/test_phrase"),
        ("en", "24 hours", "/c/en/##_hours"),
        ("en", "to go to", "/c/en/go_to"),
        ("en", "the", "/c/en/the"),
        ("en", "to", "/c/en/to"),
        ("en", "7 days", "/c/en/7_days"),
        ("de", "Der Hund", "/c/de/der_hund"),
        ("zh-hant", "東京", "/c/zh-hant/東京"),
    ],
)
def test_the_key_is_the_language_and_the_words(language, term, key):
    assert conceptnet(language)(term)[0] == key


def test_a_key_is_its_own_key_but_for_its_numbers():
    assert conceptnet("en")("/c/fr/le_24_mai") == "/c/fr/le_##_mai"
    assert conceptnet("en")("/c/fr/le_mai") == "/c/fr/le_mai"


@pytest.mark.parametrize("language", ["", "EN", "en/x", "english language"])
def test_what_is_no_code_of_a_language_is_refused(language):
    with pytest.raises(pe.errors.OptionError, match="conceptnet:"):
        conceptnet(language)
