"""What a command line asks for."""

from __future__ import annotations

import pytest

from pretrained_embed.errors import OptionError
from pretrained_embed.tools.similar_tokens import Query, parse_queries


@pytest.mark.parametrize(
    ("words", "queries"),
    [
        (["cat"], [Query(("cat",))]),
        (["cat", "dog"], [Query(("cat",)), Query(("dog",))]),
        (["king", "-", "man", "+", "woman"], [Query(("king", "woman"), ("man",))]),
        (["king - man + woman"], [Query(("king", "woman"), ("man",))]),
        (["a", "b", "+", "c", "d"], [Query(("a",)), Query(("b", "c")), Query(("d",))]),
        (["new york"], [Query(("new york",))]),
        (["new york", "+", "paris"], [Query(("new york", "paris"))]),
        (
            ["well-known", "c++", "-x"],
            [Query((t,)) for t in ("well-known", "c++", "-x")],
        ),
        ([], []),
    ],
)
def test_signs_between_words_join_them(words, queries):
    assert parse_queries(words) == queries


@pytest.mark.parametrize(
    "words", [["-"], ["+", "a"], ["a", "-"], ["a", "+", "-", "b"], ["a + "]]
)
def test_a_sign_that_joins_nothing_is_refused(words):
    with pytest.raises(OptionError, match=r"sign|joins"):
        parse_queries(words)


def test_a_query_is_shown_as_it_was_asked():
    assert str(Query(("king", "woman"), ("man",))) == "king + woman - man"
