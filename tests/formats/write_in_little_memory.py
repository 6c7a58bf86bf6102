"""Write, then load, a matrix that is larger than the memory there is.

Run by ``test_sink_processes.py`` with the path of the file and the dtype of its rows.
What is written in few bits is so block by block: no copy of all in float32 would fit.
"""

import re
import resource
import sys
from pathlib import Path

import h5py  # noqa: F401  (before memory is short)
import numpy as np

import pretrained_embed as pe
from pretrained_embed import formats

MIB = 1 << 20
ROWS, DIM = 50_000, 1000  # 200 MB
ALLOWED = 64 * MIB  # beside what there is at the start

tokens = [f"w{row}" for row in range(ROWS)]
vocabulary = pe.Vocabulary(tokens, pad=None)
small = pe.EmbeddingMatrix(np.zeros((ROWS, 1), np.float32), vocabulary).table()

status = Path("/proc/self/status").read_text("ascii")
used = 1024 * int(re.search(r"VmData:\s*(\d+)", status)[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + ALLOWED,) * 2)

block = np.ones((1000, DIM), np.float32)
dtype = sys.argv[2]
known = formats.Announced(ROWS, DIM, dtype, tokens=small.tokens)
with formats.new_sink(sys.argv[1], known) as sink:
    for row in range(0, ROWS, len(block)):
        block[:, 0] = np.arange(row, row + len(block))
        sink.append(formats.PackedBlock(small.tokens[row : row + len(block)], block))
    sink.finish(small.arrays, small.metadata)

matrix = pe.load_matrix(sys.argv[1])
assert (len(matrix), matrix.dim, matrix.dtype) == (ROWS, DIM, dtype)
first, second = matrix["w49999"][:2].tolist()
assert abs(first / 49999 - 1) < 0.002  # bfloat16 has eight bits
assert second == (0 if dtype in ("int8", "int4") else 1)
try:
    matrix.vectors.copy()
except MemoryError:
    sys.stdout.write("whole, and too large to copy")
