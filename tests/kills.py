"""Kill the package at random moments of all that it writes, and look at what is left.

    python tests/kills.py --kills 200              # what a release gets
    python tests/kills.py --kills 20 --seconds 60  # a look

Each round runs one of: ``build`` into a file that fits the memory, as the package sees
it, or does not, ``build`` into shards, both by a pool of
processes and by an executor with a process for each task, ``convert``, ``index``,
``fetch`` and ``cache clear``, in a process of its own, and kills it (SIGKILL) before a
random call of the package or of one that is made by it. Where workers build, that may
be one of them instead, or a worker may be refused all room on the disk from that call
on; and in what a killed build has left a byte may be changed. What is then there has to
be as it was before or whole and right. The same is run again, now to its end: its
result has to be right, and no file may be left that an undisturbed run would not leave.
Ends with 1 at the first round of which that is not true, and prints the ``--seed`` and
the round that repeat it.

Needs a system that can fork.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from grouped import grouped

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import filelock  # noqa: E402, F401  (once here, not in every fork)
import gensim.models  # noqa: E402, F401
import h5py  # noqa: E402, F401
import requests  # noqa: E402, F401

import pretrained_embed as pe  # noqa: E402
from pretrained_embed.build import work as work_room  # noqa: E402
from tests import servers  # noqa: E402
from tests.large import DIM, make_parts_small, tokens, write_source  # noqa: E402

ROWS = 400
WORDS = tokens()[:150]
SUFFIXES = (".npz", ".npy", ".h5", ".safetensors", ".txt", ".bin", ".kv")
#: What lies about without meaning anything: see `SafePath.locked`.
KEPT = (".lock", "CACHEDIR.TAG")


#: What happens at the last call: to the process that builds, or to a worker, once.
CALLER, WORKER, FULL = "the caller", "a worker", "the disk of a worker"


class Calls:
    """Kills this process, or a worker, before the ``last`` call of, or by, the package.

    A worker goes on counting where it was forked. ``once`` is a file that is there when
    one worker was killed, or has no more room on the disk.
    """

    def __init__(self, last: int | None, whom: str, once: Path) -> None:
        self.count = 0
        self._last, self._whom, self._once = last, whom, once
        self._caller = os.getpid()
        self._folder = str(ROOT / "pretrained_embed")

    def __call__(self, frame: object, event: str, _: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]  # it is a frame
        if event.endswith("call") and code.co_filename.startswith(self._folder):
            self.count += 1
            if self.count == self._last:
                self._strike()

    def _strike(self) -> None:
        if (self._whom == CALLER) != (os.getpid() == self._caller):
            return
        if self._whom != CALLER:
            try:
                self._once.touch(exist_ok=False)
            except FileExistsError:
                return
        if self._whom != FULL:
            os.kill(os.getpid(), signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


class EachAlone(Executor):
    """Does each task in a process of its own; one that is killed costs its task."""

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        raw, future = pickle.dumps((fn, args)), Future[Any]()
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            try:
                fn, args = pickle.loads(raw)  # noqa: S301  (made above)
                try:
                    answer = True, fn(*args)
                except Exception as error:  # noqa: BLE001  (it is the result)
                    answer = False, error
                with os.fdopen(writing, "wb") as pipe:
                    pickle.dump(answer, pipe)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        os.waitpid(process, 0)
        if not said:
            future.set_exception(RuntimeError("the worker was killed"))
            return future
        right, result = pickle.loads(said)  # noqa: S301  (made above)
        (future.set_result if right else future.set_exception)(result)
        return future


def in_process(
    work: Callable[[], None],
    last: int | None,
    whom: str = CALLER,
    once: Path = Path(os.devnull),
) -> int | None:
    """Run ``work`` in a new process; return its calls, ``None`` if it was killed.

    Workers that outlive it are killed, too. Where a worker had no room on the disk the
    work may end with a `WriteError`, and counts as killed.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.setpgid(0, 0)
        calls = Calls(last, whom, once)
        status = 1
        try:
            sys.setprofile(calls)
            work()
            sys.setprofile(None)
            os.write(writing, str(calls.count).encode())
            status = 0
        except pe.errors.WriteError:
            sys.setprofile(None)
            if whom == FULL and once.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            traceback.print_exc()
        except BaseException:  # noqa: BLE001  (nothing may get out of a fork)
            sys.setprofile(None)
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    _, status = os.waitpid(process, 0)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        return None
    if status:
        raise SystemExit("kills: the work itself failed, as reported above")
    return int(said)


def held(folder: Path) -> dict[str, str]:
    """Return the digest of every file that means something."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in KEPT
    }


def without_times(held: dict[str, str]) -> set[str]:
    """Return the names, and digests but of the records, which hold times."""
    return {
        name if name.endswith((".json", ".origin")) else f"{name} {digest}"
        for name, digest in held.items()
    }


Engine = Callable[[], AbstractContextManager[Executor | None]]


@contextmanager
def nobody() -> Iterator[None]:
    """Give no executor."""
    yield None


def pool() -> ProcessPoolExecutor:
    """Give two processes, which count on where they were forked."""
    return ProcessPoolExecutor(2, get_context("fork"))


ENGINES: tuple[Engine, ...] = (pool, EachAlone)


class Works:
    """The works that are killed, each in a folder of its own."""

    def __init__(self, folder: Path, host: servers.Host, choose: random.Random) -> None:
        self._folder = folder
        self._choose = choose
        self._source = write_source(folder / "v.txt", ROWS)
        self._twice = folder / "twice.txt"  # splits of it have the same tokens
        text = self._source.read_text()
        again = (row.split()[0] + " 1" * DIM + "\n" for row in text.splitlines()[::2])
        self._twice.write_text(text + "".join(again))
        self._url = host.url + "v.txt"
        host.files["v.txt"] = self._source.read_bytes()
        self._library = pe.Library(folder / "work" / "cache")
        self.by_workers = [self.build_by_workers, self.shards_by_workers]
        self.all = [self.build, self.shards, self.convert, self.index, self.fetch]
        self.all += [self.clear, *self.by_workers]

    def build(self, engine: Engine = nobody) -> Callable[[], None]:
        out = self._folder / "work" / f"m{self._choose.choice(SUFFIXES[:4])}"
        fits = self._choose.random() < 0.5
        return lambda: self._build(engine, fits, out=out)

    def build_by_workers(self) -> Callable[[], None]:
        return self.build(self._choose.choice(ENGINES))

    def shards(self, engine: Engine = nobody) -> Callable[[], None]:
        out = self._folder / "work" / "model"
        count = self._choose.randint(1, 3)

        def work() -> None:
            try:
                self._build(engine, False, out=out, files=count)
            except pe.errors.WriteError as error:  # of one that was finished before
                if "a matrix is there already" not in str(error):
                    raise

        return work

    def shards_by_workers(self) -> Callable[[], None]:
        return self.shards(self._choose.choice(ENGINES))

    def _build(self, engine: Engine, fits: bool, **options: Any) -> None:
        """Build in this process, which is one of its own, as if the output fits."""
        work_room.fits_memory = lambda size: fits
        library = pe.Library(stores=False)
        with engine() as executor:
            options = grouped(**options, executor=executor)
            pe.build_matrix(WORDS, self._twice, library=library, **options)

    def convert(self) -> Callable[[], None]:
        out = self._folder / "work" / f"v{self._choose.choice(SUFFIXES)}"
        return lambda: keep(pe.convert(self._source, out))

    def index(self) -> Callable[[], None]:
        return lambda: keep(self._library.index(self._source))

    def fetch(self) -> Callable[[], None]:
        return lambda: keep(self._library.fetch(self._url))

    def clear(self) -> Callable[[], None]:
        self._library.index(self._source)
        self._library.fetch(self._url)
        return lambda: keep(self._library.cache.clear())


def keep(_: object) -> None:
    """Take what a work returns, so that it is a statement."""


def damaged(folder: Path, choose: random.Random) -> None:
    """Change bytes of rows, or of what waits, that a killed build has left there."""
    rows = [
        path
        for path in sorted(folder.glob("*.work/rows-*/files/*"))
        if path.suffix != ".h5"  # of which other parts are behind the rows
    ]
    for path in rows or sorted(folder.glob("*.work/*/*.extract"))[-1:]:
        raw = bytearray(path.read_bytes())
        begin = max(0, len(raw) - 4 * DIM * len(WORDS)) if rows else 0
        for place in range(begin, len(raw), choose.randint(1, 4 * DIM)):
            raw[place] ^= 0xFF
        path.write_bytes(raw)


def round_of(works: Works, folder: Path, choose: random.Random, old: bool) -> str:
    """Kill one work once, and run it again; return what was wrong, or ``""``."""
    target = folder / "work"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    number = choose.randrange(len(works.all))
    work = works.all[number]()
    before = held(target)
    count = in_process(work, None)
    whole = held(target)
    shutil.rmtree(target)
    target.mkdir()
    if works.all[number] == works.clear:
        works.clear()
    elif old:  # what stands there already has to stay until it is replaced
        in_process(work, None)
    first = held(target)
    assert count is not None
    whom, once = CALLER, folder / "once"
    once.unlink(missing_ok=True)
    if works.all[number] in works.by_workers:
        whom = choose.choice((CALLER, WORKER, FULL))
    killed = in_process(work, choose.randint(1, count), whom, once) is None
    name = f"{works.all[number].__name__}, {whom}"
    struck = killed or once.exists()
    left = held(target)
    visible = {
        path: digest
        for path, digest in left.items()
        if not any(part.startswith(".") for part in Path(path).parts)
        and ".part" not in path
        and ".work" not in path
    }
    known = without_times(whole) | without_times(first) | without_times(before)
    if not without_times(visible) <= known:
        return f"{name}: after the kill {sorted(without_times(visible) - known)}"
    if choose.random() < 0.5:
        damaged(target, choose)
    in_process(work, None)
    found = without_times(held(target))
    if found != without_times(whole):
        wrong = sorted(found ^ without_times(whole))
        return f"{name}: after the next run {wrong}; after the kill {sorted(left)}"
    return "" if struck else "not killed"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["REQUESTS_CA_BUNDLE"] = str(servers.TLS / "good.pem")
    end = time.monotonic() + options.seconds
    kills = rounds = 0
    with (
        tempfile.TemporaryDirectory() as name,
        servers.serving("good.pem") as host,
    ):
        make_parts_small_here()
        folder = Path(name)
        choose = random.Random(options.seed)
        works = Works(folder, host, choose)
        while kills < options.kills and time.monotonic() < end:
            fault = round_of(works, folder, choose, old=rounds % 2 == 1)
            if fault and fault != "not killed":
                raise SystemExit(f"kills: seed {options.seed}, round {rounds}: {fault}")
            rounds += 1
            kills += not fault
    sys.stdout.write(f"kills: {kills} in {rounds} rounds, nothing wrong\n")


def make_parts_small_here() -> None:
    """Build large matrices of small parts, so that they have many moments."""
    import pytest

    patch = pytest.MonkeyPatch()
    make_parts_small(patch)
    patch.setattr("pretrained_embed.build.plan._RANGE", 4 * DIM * 20)


if __name__ == "__main__":
    main()
