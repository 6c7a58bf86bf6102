"""Fetch one file in forked processes, some of which are killed on the way.

Run by ``test_processes.py`` with a JSON object on standard input: ``url``,
``cache``, ``sha256``, ``member`` and ``rounds``, a list with one object for each
process, in which all is optional: ``die_at``, the number of the change of a file before
which it kills itself with SIGKILL; ``largest``, the size beyond which it can write no
file; ``clear``, whether the cache is cleared after it. ``at_once`` starts them all
together. Prints a JSON list with a text for each: "killed", the SHA-256 of the file it
was given, or the error.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import filelock  # noqa: F401  (once here, not in every fork)
import requests  # noqa: F401  (likewise)

from pretrained_embed.errors import SourceError
from pretrained_embed.library.cache import Cache
from pretrained_embed.library.catalog import Checksum, Entry
from pretrained_embed.library.published import fetch_entry
from pretrained_embed.sources.http import Retry

OPERATIONS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir")


def is_change(event: str, args: tuple, folder: str) -> bool:
    """Whether something is to be changed in a folder; names are relative to it."""
    if event not in OPERATIONS or isinstance(args[0], int):
        return False
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR):
        return False
    path = os.fsdecode(args[0])
    return not os.path.isabs(path) or path.startswith(folder)  # noqa: PTH117  (a hook is quick)


def die_at(number: int, folder: str) -> None:
    """Kill this process before its ``number``-th change of the cache."""
    count = 0

    def hook(event: str, args: tuple) -> None:
        nonlocal count
        if is_change(event, args, folder):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fetch(task: dict, one: dict) -> str:
    if one.get("die_at"):
        die_at(one["die_at"], task["cache"])
    if one.get("largest"):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (one["largest"],) * 2)
    of = "member" if task["member"] else "file"
    entry = Entry(
        "v",
        (task["url"],),
        checksums=(Checksum("sha256", of, task["sha256"]),),
        member=task["member"],
    )
    try:
        fetched = fetch_entry(
            entry,
            Path(task["cache"]),
            offline=False,
            retry=Retry(sleep=lambda _: None),
        )
    except SourceError as error:
        return str(error)
    return hashlib.sha256(fetched.path.read_bytes()).hexdigest()


def start(task: dict, one: dict) -> tuple[int, int]:
    """Return the id of a new process and the pipe that its answer comes through."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    os.write(writing, fetch(task, one).encode())
    os._exit(0)


def finish(process: int, reading: int) -> str:
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    return "killed" if os.WIFSIGNALED(status) else answer


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
                Cache(task["cache"]).clear()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
