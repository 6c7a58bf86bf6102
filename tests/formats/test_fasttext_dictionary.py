"""The dictionary of a model, whatever its tokens and counts."""

from __future__ import annotations

import mmap
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.fasttext_models import model
from pretrained_embed.errors import TruncatedError
from pretrained_embed.formats.fasttext import dictionary as fasttext_dictionary
from pretrained_embed.formats.fasttext.dictionary import read_dictionary
from pretrained_embed.formats.fasttext.header import HEAD_LIMIT, parse_head

BYTE = st.integers(1, 255).map(lambda byte: bytes([byte]))
TOKENS = st.lists(BYTE, max_size=9).map(b"".join)
COUNTS = st.integers(0, 2**63 - 1) | st.integers(0, 300) | st.just(1 << 32)
ENTRIES = st.lists(st.tuples(TOKENS, COUNTS), min_size=1, max_size=40)


def dictionary_of(path, entries, labels, *, size=None):
    """Read the dictionary of a model of these entries and labels."""
    tokens = [token for token, _ in entries]
    raw = model(tokens, np.zeros((len(tokens), 1), np.float32), labels=labels)
    head = parse_head(raw[:HEAD_LIMIT], "f")
    position = head.length
    raw = bytearray(raw)
    for token, count in entries:
        struct.pack_into("<q", raw, position + len(token) + 1, count)
        position += len(token) + 10
    path.write_bytes(raw[:size])
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return read_dictionary(mapped, head, "f")


@given(ENTRIES, st.integers(0, 5), st.sampled_from([16, 40, 1 << 16]))
def test_every_entry_is_found(tmp_path_factory, entries, label_count, piece):
    labels = [f"__label__{number}" for number in range(label_count)]
    path = tmp_path_factory.getbasetemp() / "dictionary"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasttext_dictionary, "_PIECE", piece)
        words, found, pruned, _ = dictionary_of(path, entries, labels)

    expected = [token.decode("utf-8", "surrogateescape") for token, _ in entries]
    assert words.unpack() == expected
    assert found.unpack() == labels
    assert pruned is None


def test_alike_entries_are_guessed_and_others_read(tmp_path, monkeypatch):
    steps = []
    read = fasttext_dictionary._read
    monkeypatch.setattr(
        fasttext_dictionary,
        "_read",
        lambda file, position, count: (
            steps.append(count) or read(file, position, count)
        ),
    )
    alike = [(b"w%d" % number, 7 + number) for number in range(9000)]
    odd = [(b"often", 1 << 40), (b"", 3)]

    words, _, _, _ = dictionary_of(tmp_path / "f", [*odd, *alike, *odd, *alike], [])

    assert len(words) == 2 * 9002
    assert sum(steps) < 20


def test_tokens_longer_than_a_piece_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fasttext_dictionary, "_PIECE", 64)
    monkeypatch.setattr(fasttext_dictionary, "_AT_ONCE", 2)
    entries = [(b"a" * length, 5) for length in (1, 60, 200, 63, 64, 0, 65)]

    words, _, _, _ = dictionary_of(tmp_path / "f", entries, ["label"])

    assert words.unpack() == [token.decode() for token, _ in entries]


def test_a_dictionary_that_ends_too_early_names_the_entry(tmp_path):
    entries = [(b"word", 5)] * 100  # of 14 bytes each

    for more in (0, 3, 13):
        with pytest.raises(TruncatedError, match="within entry 76 of 100"):
            dictionary_of(tmp_path / "f", entries, [], size=92 + 75 * 14 + more)


def test_an_empty_token_is_no_beginning_of_a_guess(tmp_path):
    entries = [(b"", 0), (b"a" * 10, 5), (b"b" * 10, 5)]

    words, _, _, _ = dictionary_of(tmp_path / "f", entries, [])

    assert words.unpack() == ["", "a" * 10, "b" * 10]
