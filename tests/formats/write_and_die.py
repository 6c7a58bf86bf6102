"""Write rows into a file in forked processes, each killed at another place.

Run by ``test_sink_processes.py`` with a JSON object on standard input: ``path`` of
the file and ``kills``, their number. The rows of each have another seed, from 2 on;
half-way, one of seed 1 is not killed. Prints a JSON list with what is at the path after
each that is: the ``seed`` of the rows, or the ``error`` that reading it gives.
"""

import json
import os
import random
import sys
from pathlib import Path

import h5py  # noqa: F401  (once here, not in every fork)
import numpy as np

import pretrained_embed as pe
from pretrained_embed import formats
from tests.library.stores.build_and_die import Calls

ROWS, DIM, STEP = 100, 3, 30
VOCABULARY = pe.Vocabulary([f"w{row}" for row in range(ROWS)], pad=None)


def write(path: str, seed: int) -> None:
    vectors = np.full((ROWS, DIM), seed, np.float32)
    matrix = pe.EmbeddingMatrix(vectors, VOCABULARY, provenance={"seed": seed})
    _, _, arrays, metadata = table = matrix.table()
    with formats.new_sink(path, formats.Announced(ROWS, DIM)) as sink:
        for start in range(0, ROWS, STEP):
            rows = slice(start, start + STEP)
            sink.append(formats.PackedBlock(table.tokens[rows], vectors[rows]))
        sink.finish(arrays, metadata)


def counted(path: str, seed: int, die_at: int | None) -> int:
    """Write in a new process; return how many calls it took, 0 if it was killed."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        calls = Calls(die_at)
        sys.setprofile(calls)
        write(path, seed)
        sys.setprofile(None)
        os.write(writing, calls.count.to_bytes(8, "little"))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) == (not answer)
    return int.from_bytes(answer, "little")


def found(path: str) -> dict:
    """Return what is at the path, having looked at all of it."""
    try:
        matrix = pe.load_matrix(path)
    except pe.PretrainedEmbedError as error:
        return {"error": str(error)}
    seed = matrix.provenance["seed"]
    assert (matrix.vectors == seed).all()
    assert matrix.vocabulary.tokens == VOCABULARY.tokens
    return {"seed": seed}


def main() -> None:
    task = json.load(sys.stdin)
    path, kills = task["path"], task["kills"]
    calls = counted(path, 1, None)
    Path(path).unlink()
    answers = []
    chosen = random.Random(0)
    for seed in range(2, kills + 2):
        if seed == kills // 2:
            counted(path, 1, None)
        counted(path, seed, chosen.randint(1, calls))
        answers.append(found(path))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
