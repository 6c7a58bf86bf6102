"""A column of tokens without vectors: of a Parquet file, or of Arrow IPC."""

from __future__ import annotations

from pathlib import Path

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.arrow.parts import Parts
from pretrained_embed.formats.arrow.sources import Source
from pretrained_embed.formats.marks import PARQUET


def read_column(
    path: Path, column: str | None = None, options: ReadOptions = USUAL
) -> PackedTokens:
    """Return the tokens of a column, by default of the only one that has some.

    Raises `FormatError` where there is none, or it has a row without a token, and
    `MissingPackageError` where pyarrow is not installed.
    """
    parts = _opened(Source(path, options), column)
    try:
        tokens, missing = parts.tokens()
    finally:
        parts.close()
    if len(missing):
        raise FormatError(f"{path}, row {missing[0]:,}: the token is null")
    return tokens


def _opened(source: Source, column: str | None) -> Parts:
    with open(source.name, "rb") as file:  # noqa: PTH123  (it is the name of the path)
        is_parquet = file.read(len(PARQUET)) == PARQUET
    if is_parquet:
        from pretrained_embed.formats.arrow.parquet import ParquetParts

        return ParquetParts(source, column, tokens_alone=True)
    from pretrained_embed.formats.arrow.ipc import IpcParts

    return IpcParts(source, column, tokens_alone=True)
