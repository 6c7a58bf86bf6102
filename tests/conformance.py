"""What every format promises, whatever its bytes look like.

A format's test class derives from `FormatConformance` and says how to write its files;
that of a format which is only read, from `ReadingConformance`.
Files are written by the tests' own few lines where the format allows it, so that a
reader and a writer that are wrong in the same way do not pass. Every test runs on both
kernels; as each compares with plain Python, the two are also equal to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tables import piped, stream_of

from pretrained_embed import formats, kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import OptionError, PretrainedEmbedError, WriteError
from pretrained_embed.formats import Findings, Reader, Table
from pretrained_embed.formats.reader import WHOLE

DIM = 5
SENTINEL = np.float32(-7)
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4028235e38]


def index_of(wanted: list[tuple[str, int, int]]) -> kernel.TokenIndex:
    """Return the index of (token, row, rank) triples."""
    return kernel.TokenIndex(
        [token for token, _, _ in wanted],
        np.array([row for _, row, _ in wanted], np.int64),
        np.array([rank for _, _, rank in wanted], np.uint8),
    )


def all_rows(reader: Reader, **options: object) -> tuple[list[str], np.ndarray]:
    """Return every token and vector of a file, after the reader has gone on."""
    blocks = list(reader.blocks(**options))
    tokens = [token for block in blocks for token in block.tokens]
    return tokens, np.concatenate([block.vectors for block in blocks])


def select(reader: Reader, wanted: list[tuple[str, int, int]], **options: object):
    """Return the rows that a selection filled, and the selection."""
    rows = 1 + max((row for _, row, _ in wanted), default=0)
    out = np.full((rows + 1, reader.dim), SENTINEL)
    return out, reader.select(index_of(wanted), out, **options)


@pytest.mark.usefixtures("both_kernels")
class ReadingConformance:
    #: Tokens of the file: no format may trim, split, merge or re-order any of them.
    tokens: tuple[str, ...] = (
        *("the", "The", "1", "-0.5", "unk", "<unk>", "\u00a0", "\u00a0" * 7, "\x85"),
        *(".\u00a0.\u00a0.", "\u2028", "\ufeff", "a\rb", "\r", "\v\f", "a\0b", "é"),
        *("e\u0301", "\udcff", "\udcfe", "\udced\udca0\udc80", "<html>", '"', "#"),
        *(f"w{number}" for number in range(700)),
        *("the", "w1", "w1", "\udcff", "last"),
    )

    def write(self, path: Path, tokens: Sequence[str], vectors: np.ndarray) -> None:
        """Write a file of the format."""
        raise NotImplementedError

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "vectors"
        self.write(path, self.tokens, self.vectors)
        return path

    @property
    def vectors(self) -> np.ndarray:
        rows = len(self.tokens)
        vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
        vectors[:6, 0] = SPECIAL
        return vectors

    @property
    def first(self) -> dict[str, int]:
        """The row at which each token stands first."""
        return {t: row for row, t in reversed(list(enumerate(self.tokens)))}

    def test_blocks_are_the_rows_written(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            tokens, vectors = all_rows(reader)

        assert tokens == list(self.tokens)
        assert vectors.tobytes() == self.vectors.tobytes()
        assert reader.dim == DIM
        assert reader.findings == Findings(rows=len(self.tokens))

    def test_bytes_that_are_no_file_give_the_same_rows(self, path):
        with formats.open_reader(piped(path)) as reader:
            tokens, vectors = all_rows(reader)
            out, selection = select(reader, [("last", 0, 0), ("the", 1, 0)])

        assert tokens == list(self.tokens)
        assert vectors.tobytes() == self.vectors.tobytes()
        rows = [self.first["last"], 0]
        assert out[:2].tobytes() == self.vectors[rows].tobytes()
        assert selection.source_rows.tolist() == [*rows, -1]

    @pytest.mark.parametrize("threads", [1, 2, 7])
    def test_a_selection_is_a_dictionary_of_first_occurrences(self, path, threads):
        wanted = [*sorted(self.first)[::3], "missing", "the ", "w"]

        with formats.open_reader(stream_of(path)) as reader:
            out, selection = select(
                reader, [(t, row, 0) for row, t in enumerate(wanted)], threads=threads
            )

        expected = [self.first.get(token, -1) for token in wanted]
        assert selection.source_rows[:-1].tolist() == expected
        filled = np.where(
            np.array(expected)[:, None] >= 0, self.vectors[expected], SENTINEL
        )
        assert out[:-1].tobytes() == filled.tobytes()
        assert (out[-1] == SENTINEL).all()
        assert not selection.ranks.any()
        occurrences = [token for token in self.tokens if token in set(wanted)]
        assert selection.findings == reader.findings
        assert reader.findings == Findings(
            rows=len(self.tokens), duplicates=len(occurrences) - len(set(occurrences))
        )

    @pytest.mark.parametrize("threads", [1, 7])
    def test_the_lowest_rank_wins_then_the_first_row(self, path, threads):
        wanted = [
            ("last", 0, 0),  # later in the file than "the", but asked for first
            ("the", 0, 1),
            ("missing", 1, 0),
            ("w3", 1, 1),
            ("w2", 1, 1),  # of one rank: the earlier in the file
        ]

        with formats.open_reader(stream_of(path)) as reader:
            out, selection = select(reader, wanted, threads=threads)

        rows = [self.first["last"], self.first["w2"]]
        assert selection.source_rows.tolist() == [*rows, -1]
        assert selection.ranks.tolist() == [0, 1, 0]
        assert out[:2].tobytes() == self.vectors[rows].tobytes()

    def test_rows_beyond_the_end_of_out_are_only_located(self, path):
        out = np.full((1, self.vectors.shape[1]), SENTINEL)
        wanted = [("w5", 0, 0), ("w9", 1, 0), ("missing", 2, 0), ("w5", 3, 1)]

        with formats.open_reader(stream_of(path)) as reader:
            selection = reader.select(index_of(wanted), out)

        rows = [self.first["w5"], self.first["w9"], -1, self.first["w5"]]
        assert selection.source_rows.tolist() == rows
        assert selection.ranks.tolist() == [0, 0, 0, 1]
        assert out.tobytes() == self.vectors[[self.first["w5"]]].tobytes()

    def test_tokens_are_located_without_their_vectors(self, path):
        wanted = index_of([("last", 0, 0), ("the", 0, 1), ("missing", 1, 0)])

        with formats.open_reader(stream_of(path)) as reader:
            located = reader.locate(wanted)

        assert located.source_rows.tolist() == [self.first["last"], -1]
        assert located.findings == reader.findings
        assert reader.findings.rows == len(self.tokens)

    def test_a_reader_has_splits_or_a_table_that_gives_all_rows(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            splits = reader.splits()
            if splits is None:
                with pytest.raises(OptionError, match="has no splits"):
                    reader.scan(WHOLE, None, "error")
                with pytest.raises(OptionError, match="has no splits"):
                    reader.total([])
            else:
                assert reader.table() is reader.rows() is None
                assert reader.rows_in(range) is None
                scan = reader.scan(splits[0], None, "error")
                blocks = [hits.block() for hits in scan.run()]
                total = reader.total([scan.report()])
                assert total == Findings(rows=len(self.tokens))
                tokens = [t for block in blocks for t in block.tokens.unpack()]
                assert tokens == list(self.tokens)

    def test_some_rows_of_a_table_are_those_of_all(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            table, rows = reader.table(), reader.rows()
            part = reader.rows_in(lambda count: range(count)[3:8])
            if table is None:
                assert rows is part is None
                return
            first = next(iter(rows.blocks))

        assert table.tokens.unpack() == list(self.tokens)
        assert table.vectors.tobytes() == self.vectors.tobytes()
        assert part.table.tokens.unpack() == list(self.tokens[3:8])
        assert part.table.vectors.tobytes() == self.vectors[3:8].tobytes()
        assert (part.start, part.rows) == (3, len(self.tokens))
        assert rows.count == len(self.tokens)
        assert first.vectors.tobytes() == self.vectors[: len(first.tokens)].tobytes()

    def test_a_row_of_the_file_serves_all_that_want_it(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            out, selection = select(reader, [("w5", row, 0) for row in range(3)])

        assert selection.source_rows.tolist() == [self.first["w5"]] * 3 + [-1]
        assert out[:3].tobytes() == self.vectors[[self.first["w5"]] * 3].tobytes()
        assert selection.findings.duplicates == 0

    def test_wanting_nothing_still_reads_the_file(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            out, selection = select(reader, [])

        assert (out == SENTINEL).all()
        assert (selection.source_rows == -1).all()
        assert selection.findings.rows == len(self.tokens)

    def test_reading_twice_gives_the_same(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            one, two = all_rows(reader), all_rows(reader)
            first, second = (select(reader, [("w9", 0, 0)]) for _ in range(2))

        assert one[0] == two[0]
        assert one[1].tobytes() == two[1].tobytes()
        assert first[0].tobytes() == second[0].tobytes()
        assert first[1].findings == second[1].findings

    def test_a_pass_may_be_given_up(self, path):
        with formats.open_reader(stream_of(path)) as reader:
            block = next(iter(reader.blocks()))
            tokens, _ = all_rows(reader)

        assert block.tokens == list(self.tokens)[: len(block.tokens)]
        assert tokens == list(self.tokens)

    def test_a_closed_reader_gives_rows_or_our_error(self, path):
        reader = formats.open_reader(stream_of(path))
        reader.close()
        reader.close()

        with suppress(PretrainedEmbedError):
            tokens, _ = all_rows(reader)
            assert tokens == list(self.tokens)

    def test_progress_grows_to_the_whole(self, path):
        seen: list[tuple[int, int | None]] = []

        with formats.open_reader(stream_of(path)) as reader:
            select(reader, [("the", 0, 0)], progress=lambda *at: seen.append(at))

        done, totals = zip(*seen, strict=True)
        assert list(done) == sorted(done)
        assert set(totals) == {done[-1]}


class FormatConformance(ReadingConformance):
    #: The suffix by which the format is written.
    suffix: str
    #: Tokens that the format cannot hold.
    unwritable: tuple[str, ...] = ()

    def test_what_is_written_reads_back(self, tmp_path):
        path = tmp_path / f"table{self.suffix}"
        table = Table(PackedTokens.pack(self.tokens), self.vectors, {}, {})

        formats.write_table(path, table)
        back = formats.read_table(stream_of(path))

        assert back.tokens.unpack() == list(self.tokens)
        assert back.vectors.tobytes() == self.vectors.tobytes()

    def test_a_token_that_would_not_read_back_is_named_and_nothing_written(
        self, tmp_path
    ):
        for token in self.unwritable:
            table = Table(PackedTokens.pack(["fine", token]), self.vectors[:2], {}, {})
            with pytest.raises(WriteError) as caught:
                formats.write_table(tmp_path / f"table{self.suffix}", table)
            assert repr(token) in str(caught.value)
            assert ".npz" in str(caught.value)

        assert list(tmp_path.iterdir()) == []
