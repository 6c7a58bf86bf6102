"""A window that moves over a file's bytes in large, even reads.

The scanning functions of the kernel take a buffer and return how far they came. A
`Window` keeps the remaining bytes, reads on after them, and can use a second thread for
reading and decompressing. It does not know rows.
"""

from __future__ import annotations

import mmap
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.parallel import started

#: The size of one read: small enough for a cache, and large enough that threads seldom
#: wait for each other between calls.
READ_SIZE = 1 << 21
#: Room before each read for the bytes that the last scan left.
HEADROOM = 1 << 16
#: The longest row. More bytes without an end are no row of an embedding.
LONGEST_ROW = 1 << 26
#: How many buffers a reading thread may be ahead.
AHEAD = 3


#: Reads that begin at a multiple of this in the file are fast: the system copies
#: page to page. Where either end is off by a few bytes they take up to five times as
#: long (measured on an AMD Zen 3), hence memory that begins at a page, too.
ALIGNMENT = mmap.PAGESIZE

#: The data of a window: our own pages, or a copy of a row that is larger.
Buffer = mmap.mmap | bytearray


def new_buffer() -> mmap.mmap:
    """Return memory for a window, which can be used again for the next one."""
    return mmap.mmap(-1, HEADROOM + READ_SIZE)


class _Reads(Protocol):
    """Returns one read after another: a buffer, filled from HEADROOM to the number."""

    def next(self, size: int) -> tuple[mmap.mmap, int]: ...

    def close(self) -> None: ...


class _HereAndNow:
    """Reads on demand, always into the same buffer."""

    def __init__(self, file: BinaryIO, buffer: mmap.mmap) -> None:
        self._readinto: Callable[[memoryview], int | None] = file.readinto  # type: ignore[attr-defined]  # every binary stream has it; BinaryIO does not say so
        self._buffer = buffer
        self._room = memoryview(buffer)[HEADROOM:]

    def next(self, size: int) -> tuple[mmap.mmap, int]:
        return self._buffer, HEADROOM + (self._readinto(self._room[:size]) or 0)

    def close(self) -> None:
        self._room.release()


class _Ahead:
    """Reads in its own thread, some buffers ahead."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._free: queue.SimpleQueue[mmap.mmap | None] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[mmap.mmap, int] | BaseException] = (
            queue.SimpleQueue()
        )
        for _ in range(AHEAD):
            self._free.put(new_buffer())
        self._lent: mmap.mmap | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.reads = started(self._thread)

    def _run(self) -> None:
        readinto: Callable[[memoryview], int | None] = self._file.readinto  # type: ignore[attr-defined]  # as above
        try:
            while (buffer := self._free.get()) is not None:
                with memoryview(buffer) as view, view[HEADROOM:] as room:
                    size = readinto(room) or 0
                self._full.put((buffer, HEADROOM + size))
                if not size:
                    return
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that reads on)
            self._full.put(error)

    def next(self, size: int) -> tuple[mmap.mmap, int]:
        if self._lent is not None:
            self._free.put(self._lent)
        item = self._full.get()
        if isinstance(item, BaseException):
            raise item
        self._lent = item[0]
        return item

    def close(self) -> None:
        self._free.put(None)
        self._thread.join(timeout=1.0)  # a stalled pipe must not delay an interrupt


class Window:
    """Whole rows of ``file`` from its present position, a buffer at a time.

    After each `fill`, ``data[start:stop]`` is to be scanned; the caller moves ``start``
    past the scanned bytes. ``offset`` is the position of ``data[0]`` in the file,
    counted from ``begin``. ``final`` says that the file ends at ``stop``. Bytes after
    ``end`` are read in small steps, since only the rest of a row is needed. Without a
    ``buffer`` a second thread reads ahead into its own buffers.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        name: str,
        begin: int = 0,
        end: int | None = None,
        buffer: mmap.mmap | None = None,
    ) -> None:
        self.data: Buffer = bytearray()
        self.start = self.stop = 0
        self.offset = begin
        self.final = False
        self._name = name
        self._read = begin  # position in the file of the next byte to read
        self._end = end
        ahead = _Ahead(file) if buffer is None else None
        self._reads: _Reads
        if ahead is not None and ahead.reads:
            self._reads = ahead
        else:  # also if no more threads can be started
            self._reads = _HereAndNow(file, buffer or new_buffer())

    def fill(self) -> bool:
        """Read on. Returns False when all has been read and handed out.

        Raises `FormatError` if the remaining bytes are longer than any row.
        """
        if self.final:
            return False
        rest = bytes(memoryview(self.data)[self.start : self.stop])
        if len(rest) > LONGEST_ROW:
            raise FormatError(
                f"{self._name}, offset {self._read - len(rest):,}: no end of a row in "
                f"{LONGEST_ROW >> 20} MiB; this is not a file of the format it seems"
            )
        size = READ_SIZE
        if self._end is not None:
            size = min(size, max(self._end - self._read, HEADROOM))
        data, stop = self._reads.next(size)
        self.final = stop == HEADROOM
        self._read += stop - HEADROOM
        if len(rest) <= HEADROOM:
            self.start = HEADROOM - len(rest)
            data[self.start : HEADROOM] = rest
            self.data, self.stop = data, stop
        else:  # a row longer than the headroom, which is rare: it gets its own buffer
            self.data = bytearray(rest) + memoryview(data)[HEADROOM:stop]
            self.start, self.stop = 0, len(self.data)
        self.offset = self._read - self.stop
        return True

    def discard(self, count: int) -> bool:
        """Skip bytes at the start. Returns False if the file ends within them."""
        while self.stop - self.start < count:
            if not self.fill():
                return False
        self.start += count
        return True

    @property
    def read(self) -> int:
        """The position in the file up to which bytes have been read."""
        return self._read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reads.close()
