"""The command line: click commands over the public names of the package.

One file a command. What a command was asked for goes to standard output, as text for
people or, with ``--json``, as JSON for programs; what there is to say beside it
(progress, coverage, notes, errors) goes to standard error.
"""

from pretrained_embed.cli.program import main

__all__ = ["main"]
