"""Chains and advice against what plain dictionaries find, one token at a time."""

from __future__ import annotations

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.lookup import match_text
from pretrained_embed.lookup.match_text import conceptnet

pytestmark = pytest.mark.usefixtures("both_kernels")


def ends(token):
    return None if token == "a" else (token[:1], token[-1:])


FUNCTIONS = {
    "lower": str.lower,
    "title": match_text.title,
    "upper": str.upper,
    "nfc": match_text.nfc,
    "nfkc": match_text.nfkc,
    "strip-accents": match_text.strip_accents,
    "digits-hash": match_text.digits_hash,
    "digits-zero": match_text.digits_zero,
    "quotes": match_text.quotes,
    "joined": match_text.joined,
    "conceptnet": conceptnet("en"),
    "unmarked": lambda token: token,  # where the vocabulary says that there are none
    ends: ends,
}


def texts(form, token) -> list[str]:
    """Return what a form makes of a token, in order."""
    found = [token]
    for name in [form] if callable(form) else form.split("+"):
        if name not in ("exact", "compound"):
            made = [FUNCTIONS[name](text) for text in found]
            made = [[one] if isinstance(one, str) else one or [] for one in made]
            found = list(dict.fromkeys(text for several in made for text in several))
    return [text for text in found if text]


def is_compound(form) -> bool:
    return not callable(form) and form.endswith("compound")


def find(token, chain, source):
    """Return the form that finds a token, and the rows of the source."""
    for form in chain:
        for text in texts(form, token):
            if is_compound(form):
                words = match_text.parts(text)
                rows = [find_part(word, chain, source) for word in words]
                if words and None not in rows:
                    return form, rows
            elif text in source and (
                form == "exact" or text != token or "exact" not in chain
            ):
                return form, [source[text]]
    return None, []


def find_part(word, chain, source):
    plain = [form for form in chain if not is_compound(form)]
    _, rows = find(word, plain, source)
    return rows[0] if rows else source.get(word)


alphabet = st.sampled_from(["a", "b", "B", "é", "É", "1", "2", "-", "_", "’", "'", "ﬁ"])
words = st.text(alphabet, min_size=1, max_size=4)
forms = st.sampled_from(
    [
        *("exact", "lower", "title", "upper", "nfc", "nfkc", "strip-accents"),
        *("digits-hash", "digits-zero", "quotes", "joined", "compound", "conceptnet"),
        *("lower+strip-accents", "digits-hash+lower", "title+nfkc", "lower+compound"),
        ends,
    ]
)
chains = st.lists(forms, min_size=1, max_size=6, unique=True)


@st.composite
def vocabularies(draw):
    tokens = draw(st.lists(words, min_size=1, max_size=12, unique=True))
    counts = draw(st.none() | st.lists(st.integers(0, 9), min_size=12, max_size=12))
    return pe.Vocabulary(
        [*tokens, "<mask>"],
        pad=None,
        unk=tokens[0] if draw(st.booleans()) else None,
        special_tokens={"mask": "<mask>"},
        marks="wordpiece",
        counts=counts and dict(zip(tokens, counts, strict=False)),
    )


@st.composite
def sources(draw, vocabulary, chain):
    """Draw tokens of a source, of which many are forms of the vocabulary's."""
    near = [
        part
        for token in vocabulary
        for form in ("exact", *chain)
        for text in texts(form, token)
        for part in (text, *match_text.parts(text))
    ]
    return draw(st.lists(st.sampled_from(near) | words, min_size=1, max_size=20))


def build(vocabulary, tokens, chain, **options):
    rows = [(token, (n, -n)) for n, token in enumerate(tokens)]
    return pe.build_matrix(
        vocabulary, reader_of(rows), **grouped(match=chain, oov="zeros", **options)
    )


@given(st.data())
def test_a_chain_finds_what_dictionaries_would(data):
    vocabulary, chain = data.draw(vocabularies()), data.draw(chains)
    tokens = data.draw(sources(vocabulary, chain))
    source = {token: row for row, token in reversed(list(enumerate(tokens)))}

    comparison = pe.coverage(
        vocabulary,
        reader_of([(token, (n, -n)) for n, token in enumerate(tokens)]),
        match=chain,
    )

    located = comparison.located[0]
    expected = {}
    for token in vocabulary:
        special = token in vocabulary.special_tokens.values()
        expected[token] = find(token, ["exact"] if special else chain, source)
    names = [
        form if isinstance(form, str) else "callable ends" for form in (*chain, "exact")
    ]
    for id, (token, (form, rows)) in enumerate(expected.items()):
        label = pe.ledger.Origin(located.origin[id]).label(comparison.match)
        assert label == (
            "oov" if form is None else names[[*chain, "exact"].index(form)]
        )
        row = rows[0] if len(rows) == 1 and not is_compound(form) else -1
        assert located.source_rows[id] == row, token

    if comparison.sources[0].coverage.found:
        matrix = build(vocabulary, tokens, chain)
        assert matrix.origin.tolist() == located.origin.tolist()
        assert matrix.source_rows.tolist() == located.source_rows.tolist()
        for token, (_, rows) in expected.items():
            mean = np.float32(sum(rows) / len(rows)) if rows else np.float32(0)
            assert matrix[token].tolist() == [mean, -mean]


TRIED = [
    *("exact", "lower", "title", "upper", "nfc", "nfkc", "strip-accents", "quotes"),
    *("digits-hash", "digits-zero", "joined", "compound", "unmarked", "conceptnet"),
    *("nfkc+lower", "strip-accents+lower", "quotes+lower", "digits-hash+lower"),
    *("digits-zero+lower", "joined+lower", "unmarked+lower", "lower+compound"),
]


def would_find(form, token, chain, source) -> bool:
    """Whether a form finds a token; a composition: what no step does by itself."""
    if form == "lower+compound" and token.lower() == token:
        return False
    if form == "conceptnet":
        return any(text in source for text in texts(form, token)[:1])
    if "+" in form and form != "lower+compound":
        by_steps = {text for step in form.split("+") for text in texts(step, token)}
        new = set(texts(form, token)) - by_steps - {token}
        return any(text in source for text in new)
    if is_compound(form):
        return any(
            words and all(find_part(w, chain, source) is not None for w in words)
            for words in map(match_text.parts, texts(form, token))
        )
    return (
        find(token, [form] if "exact" not in chain else ["exact", form], source)[0]
        is not None
    )


@given(st.data())
def test_advice_is_what_each_form_would_find(data):
    vocabulary, chain = data.draw(vocabularies()), data.draw(chains)
    tokens = data.draw(sources(vocabulary, TRIED))
    source = {token: row for row, token in reversed(list(enumerate(tokens)))}

    comparison = pe.coverage(
        vocabulary,
        reader_of([(token, (n, -n)) for n, token in enumerate(tokens)]),
        match=chain,
    )

    (covered,) = comparison.sources
    oov = [
        token
        for token in vocabulary
        if token not in vocabulary.special_tokens.values()
        and find(token, chain, source)[0] is None
    ]
    assert {missing.token for missing in covered.coverage.missing} == set(oov)
    expected = {
        form: {token for token in oov if would_find(form, token, chain, source)}
        for form in TRIED
        if form not in chain
    }
    for missing in covered.coverage.missing:
        assert set(missing.found_by) == {
            form for form, hits in expected.items() if missing.token in hits
        }
    found_by = comparison.located[0].advice.found_by
    advised = {id for id, bits in enumerate(found_by.tolist()) if bits}
    assert advised <= {vocabulary[token] for token in oov}
    counts = vocabulary.counts
    left, seen = set(oov), set()
    for suggestion in covered.coverage.advice:
        hits = expected[suggestion.form]
        assert suggestion.tokens == len(hits) > 0
        assert suggestion.more == len(hits & left)
        if counts is not None:
            of = [int(counts[vocabulary[token]]) for token in hits]
            assert suggestion.occurrences == sum(of)
        left -= hits
        seen.add(suggestion.form)
    assert seen == {form for form, hits in expected.items() if hits}
