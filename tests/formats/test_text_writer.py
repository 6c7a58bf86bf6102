from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tables import stream_of

from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import WriteError
from pretrained_embed.formats import Table

tokens = st.binary(min_size=1, max_size=8) | st.text(
    "ab 1\t\r\u00a0\x85\u2028", min_size=1
).map(str.encode)


@given(
    st.lists(
        st.tuples(tokens, st.lists(st.integers(0, 2**32 - 1), min_size=3)), min_size=1
    ),
    st.integers(1, 3),
    st.booleans(),
)
@example([(b"\x00", [0]), (b" \x0b", [0])], 1, True)  # a token of blanks alone
def test_what_the_writer_accepts_reads_back_to_the_bit(
    tmp_path_factory, rows, dim, header
):
    path = tmp_path_factory.getbasetemp() / "written.txt"
    bits = np.array([numbers[:dim] for _, numbers in rows], np.uint32)
    vectors = bits.view(np.float32)
    vectors[np.isnan(vectors)] = np.nan  # text has one NaN
    table = Table(PackedTokens.join([token for token, _ in rows]), vectors, {}, {})

    try:
        formats.write_table(path, table, format="word2vec" if header else "glove")
    except WriteError:
        return
    back = formats.read_table(stream_of(path))

    assert back.tokens.unpack() == table.tokens.unpack()
    assert back.vectors.tobytes() == vectors.tobytes()


def test_a_header_is_written_unless_asked_not_to(tmp_path):
    table = Table(
        PackedTokens.pack(["a b", "c"]), np.float32([[1, 0.1], [-0.0, 1e-9]]), {}, {}
    )

    formats.write_table(tmp_path / "with.txt", table)
    formats.write_table(tmp_path / "without.txt", table, format="glove")

    rows = b"a b 1 0.1\nc -0 1e-09\n"
    assert (tmp_path / "with.txt").read_bytes() == b"2 2\n" + rows
    assert (tmp_path / "without.txt").read_bytes() == rows


@pytest.mark.parametrize(
    ("token", "dim", "message"),
    [("\ufeffa", 2, "byte order mark"), ("a", 1, "taken for a header")],
)
def test_what_only_a_header_makes_clear_is_not_written_without(
    tmp_path, token, dim, message
):
    table = Table(PackedTokens.pack([token]), np.ones((1, dim), np.float32), {}, {})

    with pytest.raises(WriteError, match=message):
        formats.write_table(tmp_path / "f.txt", table, format="glove")
    formats.write_table(tmp_path / "f.txt", table)

    assert formats.read_table(stream_of(tmp_path / "f.txt")).tokens.unpack() == [token]
