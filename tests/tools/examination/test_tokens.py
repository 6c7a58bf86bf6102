"""What is remarkable about tokens, against looking at each of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.tools.examination import check_tokens

ODD = ["é", "e\u0301", "Å", "A\u030a", "\u212b", " a", "a ", "a", "\u00a0a", "b\tc", ""]
ODD += [
    "\u200b",
    "\ufeffthe",
    "the",
    "\udcff",
    "\udcc3\udca9",
    "\x00",
    "\u2028",
    "x" * 9,
]
tokens = st.lists(st.sampled_from(ODD) | st.text(max_size=3), max_size=30)


def packed(listed: list[str], at: int = 0) -> list[PackedTokens]:
    return [PackedTokens.pack(listed[:at]), PackedTokens.pack(listed[at:])]


def repeated(listed: list[bytes]) -> list[int]:
    return [row for row, token in enumerate(listed) if token in listed[:row]]


def met(listed: list[bytes], changed: list[bytes]) -> list[int]:
    """Return the rows that a change makes equal to a token, or to an earlier change."""
    rows = [row for row, new in enumerate(changed) if new != listed[row]]
    return [
        row
        for row in rows
        if changed[row] in listed
        or any(changed[row] == changed[other] for other in rows if other < row)
    ]


def changed(raws: list[bytes], change: Callable[[str], str]) -> list[bytes]:
    texts = map(as_text, raws)
    return [
        raw if text is None else change(text).encode()
        for raw, text in zip(raws, texts, strict=True)
    ]


def as_text(token: bytes) -> str | None:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None


@given(listed=tokens, at=st.integers(0, 30))
def test_tokens_are_what_looking_at_each_of_them_says(listed, at):
    try:
        raws = [token.encode("utf-8", "surrogateescape") for token in listed]
    except UnicodeEncodeError:  # half a character, which no file gives
        return

    together, found = check_tokens(packed(listed, at))

    texts = [as_text(raw) for raw in raws]
    nfc = changed(raws, lambda text: unicodedata.normalize("NFC", text))
    trimmed = changed(raws, str.strip)
    assert [together.raw(row) for row in range(len(listed))] == raws
    assert found.rows == len(listed)
    assert found.repeated == repeated(raws)
    assert found.repeated_after_nfc == met(raws, nfc)
    assert found.repeated_after_trimming == met(raws, trimmed)
    assert found.not_utf8 == [row for row, text in enumerate(texts) if text is None]
    assert found.empty == [row for row, raw in enumerate(raws) if not raw]
    assert found.white_space == [
        row
        for row, text in enumerate(texts)
        if text is not None and any(map(str.isspace, text))
    ]


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        *(
            (token, True)
            for token in ("a", "é", "\u00a0", "漢", "a\u0301", "a b", "😀")
        ),
        *((token, False) for token in ("\0", "a\x7f", "\x84", "\u200b", "\ufeff")),
        *((token, False) for token in ("soft\u00adhyphen", "\u202ea")),
    ],
)
def test_control_and_format_characters_are_told_from_others(token, seen):
    _, found = check_tokens(packed([token]))

    assert found.invisible == ([] if seen else [0])


def test_a_collision_of_hashes_repeats_no_token(monkeypatch):
    from pretrained_embed.tools import examination

    def all_alike(data, offsets, out):
        out[:] = 7

    monkeypatch.setattr(examination.kernel, "hash_tokens", all_alike)

    _, found = check_tokens(packed(["a", "b", "a", "e\u0301", "é", "b"]))

    assert found.repeated == [2, 5]
    assert found.repeated_after_nfc == [3]
