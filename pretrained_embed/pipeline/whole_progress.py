"""Progress of a job of several parts, of which others report."""

from __future__ import annotations

from pretrained_embed.arrays import Progress


class WholeProgress:
    """Adds up the bytes that are done, wherever they were, for one listener.

    ``total`` is that of the whole job, or ``None`` where it is not known.
    """

    def __init__(self, listener: Progress | None, total: int | None) -> None:
        self._listener = listener
        self._total = total
        self._done = 0

    def add(self, size: int) -> None:
        """Tell that so many more bytes are done."""
        self._done += size
        self._tell(0)

    def live(self, done: int, _total: int | None) -> None:
        """Tell how far a part has come that is not finished; see `Progress`."""
        self._tell(done)

    def _tell(self, more: int) -> None:
        if self._listener is not None:
            self._listener(self._done + more, self._total)
