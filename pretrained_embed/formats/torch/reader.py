"""A table of a file of ``torch.save``: a tensor, a state dict, a checkpoint, a module.

`checkpoint` has the grammar of the file and `holdings` what is looked for in it. Of
several tables the input embedding is taken where names tell which that is, else the
one that the source names, ``FILE#NAME``. Its tokens are in the file, or beside it.
"""

from __future__ import annotations

from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import budget_of, open_local
from pretrained_embed.formats.pickles.holdings import find, open_table
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.torch.checkpoint import Checkpoint

NAME = "torch"


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> TableReader:
    """Open a file for reading; ``rows`` of a layout is how many have a token.

    Raises `FormatError` where it is damaged, where several tensors could be the table,
    or none, and where no tokens are found.
    """
    with open_local(stream) as file:
        budget = budget_of(stream, file)
        held = Checkpoint(file, stream.name, budget)
        found = find(held.root, held.describe, stream.name, budget)
        return open_table(NAME, stream, layout, found, held.load, budget)
