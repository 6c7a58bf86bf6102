"""What tokens stand for, by the marks of subword tokenizers of all customs."""

import pytest

from pretrained_embed.vocabulary.markers import TokenText, marker_of, text_of

BYTES = {"Ġhello": 0, "Ġ": 1, "Ġworld": 2, "ing": 3, "Ġun": 4, "un": 5}
PIECES = {"▁hello": 0, "▁": 1, "s": 2, "▁un": 3, "un": 4, "happy": 5, "▁happy": 6}
WORDPIECE = {"hello": 0, "##ing": 1, "##un": 2, "un": 3, "happy": 4, "##happy": 5}


@pytest.mark.parametrize(
    ("tokens", "marker"),
    [(BYTES, "Ġ"), (PIECES, "▁"), (WORDPIECE, "##"), (["the", "Ġ", "##"], "")],
)
def test_the_marker_is_found_out(tokens, marker):
    assert marker_of(tokens) == marker


@pytest.mark.parametrize(
    ("token", "marker", "begins", "text"),
    [
        ("Ġhello", "Ġ", True, "hello"),
        ("hello", "Ġ", False, "hello"),
        ("ĠcafÃ©", "Ġ", True, "café"),
        ("Ċ", "Ġ", False, "\n"),
        ("ĠĠ", "Ġ", True, " "),
        ("日本", "Ġ", False, "日本"),  # added as it stands
        ("▁hello", "▁", True, "hello"),
        ("café", "▁", False, "café"),
        ("<0x0A>", "▁", False, "\n"),
        ("hello", "##", True, "hello"),
        ("##ing", "##", False, "ing"),
        ("##ing", "", True, "##ing"),
    ],
)
def test_what_a_token_stands_for(token, marker, begins, text):
    assert text_of(token, marker) == TokenText(begins, text)


@pytest.mark.parametrize(("token", "marker"), [("Ã", "Ġ"), ("<0xC3>", "▁")])
def test_a_part_of_a_character_is_no_text(token, marker):
    assert text_of(token, marker) is None
