"""``python -m benchmarks.parquet``: tokens out of a table, ours and by hand.

20,000 tokens, drawn at random, of 400,000 x 300, into a matrix in the order that was
asked for. All take turns in one process, and all give the same bytes. The files are
written by pyarrow, as a list column in one row group and in many, by this package, and
as a column for each number. Last come frames in memory, of pandas and of Polars. The
page says how much memory all of it took at most.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

import pretrained_embed as pe
from benchmarks import machine, report
from benchmarks.peers.peer import Float32Array

RESULT = Path(__file__).parent / "results" / "parquet.md"
ROWS, WANTED, DIM = 400_000, 20_000, 300
HEADER = ("file", "reader", "s", "ours / its", "of the best")

#: What the tokens and the vectors are called, and how many numbers there are.
Columns = tuple[str, str | None]
Reader = Callable[[Path, list[str], Columns], Float32Array]


def main() -> None:
    """Run all of it and write one page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parquet")
    parser.add_argument("--quick", action="store_true", help="a fortieth of the rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    share = 40 if options.quick else 1
    facts = {**machine.describe(), "load before": machine.load()}
    lines = [HEADER, ("---",) * len(HEADER)]
    with tempfile.TemporaryDirectory() as folder:
        wanted = draw(ROWS // share, WANTED // share)
        for name, path, columns in files(Path(folder), ROWS // share):
            readers = {
                reader: partial(read, path, wanted, columns)
                for reader, read in READERS.items()
            }
            lines += in_turns(name, readers, options.rounds)
            path.unlink()
    for name, of_frame in frames(ROWS // share, wanted):
        lines += in_turns(name, of_frame, options.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    facts |= {"load after": machine.load(), "peak memory": f"{peak / 1e9:.1f} GB"}
    table = "".join(f"| {' | '.join(row)} |\n" for row in lines)
    page = f"# Parquet\n\n{report.head(facts)}\n{table}"
    sys.stdout.write(page)
    options.output.write_text(page)


def draw(rows: int, wanted: int) -> list[str]:
    """Return the tokens that are asked for."""
    chosen = np.random.default_rng(1).choice(rows, wanted, replace=False)
    return [f"token{number}" for number in chosen]


def files(folder: Path, rows: int) -> Iterator[tuple[str, Path, Columns]]:
    """Make the files, one after the other."""
    path = folder / "x.parquet"
    vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    words = pa.array([f"token{number}" for number in range(rows)])
    offsets = np.arange(0, vectors.size + 1, DIM, dtype=np.int32)
    lists = pa.ListArray.from_arrays(offsets, vectors.ravel())
    table = pa.table({"token": words, "vector": lists})
    parquet.write_table(table, path)
    yield "list, one row group", path, ("token", "vector")
    parquet.write_table(table, path, row_group_size=20_000)
    yield "list, row groups of 20,000", path, ("token", "vector")
    pe.convert(folder / _kept(folder, table), path)
    yield "written by us", path, ("token", "vector")
    columns = {f"d{place}": vectors[:, place] for place in range(DIM)}
    parquet.write_table(pa.table({"token": words, **columns}), path)
    yield "a column for each number", path, ("token", None)


def _kept(folder: Path, table: pa.Table) -> str:
    parquet.write_table(table, folder / "kept.parquet")
    return "kept.parquet"


def ours(path: Path, wanted: list[str], columns: Columns | None = None) -> Float32Array:
    """Build a matrix."""
    library = pe.Library(stores=False)
    vocabulary = pe.Vocabulary(wanted, pad=None)
    return pe.build_matrix(vocabulary, str(path), library=library).vectors


def by_pyarrow(path: Path, wanted: list[str], columns: Columns) -> Float32Array:
    """Read tokens, find the rows, then read the row groups that have some."""
    token, vector = columns
    with parquet.ParquetFile(path) as file:
        found = pc.index_in(
            pa.array(wanted), file.read(columns=[token]).column(token).combine_chunks()
        ).to_numpy()
        order = np.argsort(found)
        counts = [
            file.metadata.row_group(number).num_rows
            for number in range(file.num_row_groups)
        ]
        bounds = np.cumsum([0, *counts])
        out = np.empty((len(wanted), DIM), np.float32)
        names = [vector] if vector else [f"d{place}" for place in range(DIM)]
        for number in range(file.num_row_groups):
            low, high = np.searchsorted(found[order], bounds[number : number + 2])
            if low == high:
                continue
            rows = order[low:high]
            group = file.read_row_group(number, columns=names)
            taken = group.take(found[rows] - bounds[number])
            if vector:
                flat = taken.column(0).combine_chunks().flatten().to_numpy()
                out[rows] = flat.reshape(-1, DIM)
            else:
                for place in range(DIM):
                    out[rows, place] = taken.column(place).to_numpy()
    return out


def by_polars(path: Path, wanted: list[str], columns: Columns) -> Float32Array:
    """Filter while scanning, then put the rows in order."""
    import polars

    token, vector = columns
    names = [vector] if vector else [f"d{place}" for place in range(DIM)]
    asked = polars.DataFrame({token: wanted})
    scan = polars.scan_parquet(path).select(token, *names)
    kept = scan.filter(polars.col(token).is_in(wanted)).collect()
    frame = asked.join(kept, on=token, how="left", maintain_order="left")
    if vector:
        flat = frame[vector].explode() if frame[vector].dtype == polars.List else None
        if flat is not None:
            return flat.to_numpy().reshape(-1, DIM)
        return frame[vector].to_numpy()
    return np.ascontiguousarray(frame.select(names).to_numpy())


def by_duckdb(path: Path, wanted: list[str], columns: Columns) -> Float32Array:
    """Join the file with the tokens that are wanted, in their order."""
    import duckdb

    token, vector = columns
    names = [vector] if vector else [f"d{place}" for place in range(DIM)]
    asked = pa.table({"word": wanted, "place": range(len(wanted))})  # noqa: F841  (DuckDB finds it by its name)
    chosen = ", ".join(f'f."{name}"' for name in names)
    query = (
        f"SELECT {chosen} FROM asked JOIN read_parquet('{path}') f "
        f'ON f."{token}" = asked.word ORDER BY asked.place'
    )
    table = duckdb.sql(query).to_arrow_table()
    if vector:
        flat = table.column(0).combine_chunks().flatten().to_numpy()
        return flat.reshape(-1, DIM)
    return np.stack([table.column(place).to_numpy() for place in range(DIM)], axis=1)


READERS: dict[str, Reader] = {
    "ours": ours,
    "pyarrow": by_pyarrow,
    "polars": by_polars,
    "duckdb": by_duckdb,
}


def frames(
    rows: int, wanted: list[str]
) -> Iterator[tuple[str, Mapping[str, Callable[[], Float32Array]]]]:
    """Give frames with a column for each number, and who takes the rows of tokens."""
    import pandas
    import polars

    vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    words = [f"token{number}" for number in range(rows)]
    names = [f"d{place}" for place in range(DIM)]
    vocabulary = pe.Vocabulary(wanted, pad=None)
    indexed = pandas.DataFrame(vectors, index=words, columns=names)
    yield (
        "pandas, in memory",
        {
            "ours": lambda: pe.build_matrix(vocabulary, indexed).vectors,
            "reindex": lambda: indexed.reindex(wanted).to_numpy(),
        },
    )
    columns = dict(zip(names, vectors.T, strict=True))
    frame = polars.DataFrame({"token": words, **columns})
    asked = polars.DataFrame({"token": wanted})

    def joined() -> Float32Array:
        found = asked.join(frame, on="token", how="left", maintain_order="left")
        return np.ascontiguousarray(found.select(names).to_numpy())

    yield (
        "Polars, in memory",
        {
            "ours": lambda: pe.build_matrix(vocabulary, frame).vectors,
            "join": joined,
        },
    )


def in_turns(
    name: str, readers: Mapping[str, Callable[[], Float32Array]], rounds: int
) -> list[tuple[str, ...]]:
    """Time all readers in turns, after a first turn that does not count.

    All have to give the same bytes.
    """
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    answer: bytes | None = None
    for turn in range(rounds + 1):
        for reader, read in readers.items():
            begun = time.perf_counter()
            try:
                vectors = read()
            except ImportError:
                continue
            if turn:
                seconds[reader].append(time.perf_counter() - begun)
            else:
                found = np.ascontiguousarray(vectors).tobytes()
                answer = answer or found
                assert found == answer, reader
            del vectors
    first = statistics.median(seconds["ours"])
    best = min(seconds["ours"])
    return [
        (
            name,
            reader,
            f"{statistics.median(taken):.2f}",
            f"{first / statistics.median(taken):.2f}",
            f"{best / min(taken):.2f}",
        )
        for reader, taken in seconds.items()
        if taken
    ]


if __name__ == "__main__":
    main()
