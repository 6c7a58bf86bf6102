"""Builds that run at once in the threads of one process give the bytes of one alone."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

import pretrained_embed as pe

THREADS = 8
ROWS, DIM = 900, 10


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
    path = tmp_path_factory.mktemp("threads") / "v.txt"
    lines = [
        f"Token{i} {' '.join(map(repr, row.tolist()))}" for i, row in enumerate(vectors)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def at_once(make):
    """Return what calls from several threads give, which begin together."""
    barrier = Barrier(THREADS)

    def run(number):
        barrier.wait()
        return make(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_threads_that_share_a_library_and_its_cache_build_the_same(source, tmp_path):
    library = pe.Library(tmp_path / "cache", offline=True)
    tokens = [f"token{i}" for i in range(0, ROWS, 3)] + ["unheard"]
    recipe = pe.Recipe(match="exact,title", oov="ngram,normal")
    alone = pe.build_matrix(tokens, source, recipe=recipe, library=library)

    def make(number):
        if number % 2:  # half of them make the one store, or find it
            pe.index(source, library=library)
        return pe.build_matrix(tokens, source, recipe=recipe, library=library)

    for matrix in at_once(make):
        assert matrix.vectors.tobytes() == alone.vectors.tobytes()
        assert matrix.origin.tobytes() == alone.origin.tobytes()
    assert len(list((tmp_path / "cache").rglob("*.h5"))) == 1


def test_threads_may_share_a_vocabulary_and_write_at_once(source, tmp_path):
    vocabulary = pe.Vocabulary([f"Token{i}" for i in range(ROWS)])
    alone = pe.build_matrix(vocabulary, source)

    def make(number):
        out = tmp_path / f"{number}.npy"
        pe.build_matrix(vocabulary, source, out=out, work=pe.Work(2))
        return np.load(out)

    for rows in at_once(make):
        assert rows.tobytes() == alone.vectors.tobytes()
