"""The command line: click commands over the public names of the package.

The result of a command goes to standard output, as text or, with ``--json``, as JSON.
Everything else (progress, coverage, notes, errors) goes to standard error.
"""

from pretrained_embed.cli.program import main

__all__ = ["main"]
