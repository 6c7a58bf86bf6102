"""Index a file and build from it in forked processes, some killed on the way.

Run by ``test_processes.py`` with a JSON object on standard input: ``source`` and
``rounds``, a list with one object for each process, in which all is optional:
``die_at``, the number of the call of a function of the package, or of one that is
called by it, before which it kills itself with SIGKILL; ``largest``, the size beyond
which it can write no file; ``clear``, whether the cache is cleared after it.
``at_once`` starts them all together. Prints a JSON list with an object for each:
``killed``, or ``error``, or the ``digest`` of the matrix, whether it is from a
``store``, how many stores it ``made``, and how many ``calls`` that took.
"""

import hashlib
import json
import os
import signal
import sys
from types import FrameType

import h5py  # noqa: F401  (once here, not in every fork)

import pretrained_embed as pe
from pretrained_embed.formats import store

PACKAGE = os.path.dirname(pe.__file__)  # noqa: PTH120  (as frames have it)
TOKENS = ["the", "w7", "w4999", "no"]


class Calls:
    """Counts calls of and by the package; kills the process at one of them."""

    def __init__(self, die_at: int | None) -> None:
        self.count = 0
        self.die_at = die_at

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event.endswith("call") and frame.f_code.co_filename.startswith(PACKAGE):
            self.count += 1
            if self.count == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)


def work(task: dict, one: dict) -> dict:
    if one.get("largest"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (one["largest"],) * 2)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    made = []
    write = store.write_store

    def counted(path: object, *args: object, **options: object) -> object:
        made.append(path)
        return write(path, *args, **options)

    store.write_store = counted
    calls = Calls(one.get("die_at"))
    sys.setprofile(calls)
    try:
        pe.index(task["source"])
        matrix = pe.build_matrix(TOKENS, task["source"], work=pe.Work(threads=1))
    except pe.PretrainedEmbedError as error:
        return {"error": str(error)}
    finally:
        sys.setprofile(None)
    return {
        "digest": hashlib.sha256(matrix.vectors.tobytes()).hexdigest(),
        "store": "store" in matrix.provenance["source"],
        "made": len(made),
        "calls": calls.count,
    }


def start(task: dict, one: dict) -> tuple[int, int]:
    """Return the id of a new process and the pipe that its answer comes through."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.write(writing, json.dumps(work(task, one)).encode())
    os._exit(0)


def finish(process: int, reading: int) -> dict:
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(process, 0)
    return {"killed": True} if os.WIFSIGNALED(status) else json.loads(answer)


def main() -> None:
    task = json.load(sys.stdin)
    if task["at_once"]:
        started = [start(task, one) for one in task["rounds"]]
        answers = [finish(*one) for one in started]
    else:
        answers = []
        for one in task["rounds"]:
            answers.append(finish(*start(task, one)))
            if one.get("clear"):
                pe.Library().cache.clear()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
