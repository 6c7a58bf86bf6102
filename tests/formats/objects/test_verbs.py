"""Whatever takes a source takes an object in memory."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import pretrained_embed as pe

TOKENS = [f"t{number}" for number in range(50)]
VECTORS = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32)
PAIR = (TOKENS, VECTORS)


def test_several_sources_of_which_some_are_objects(tmp_path):
    pe.convert(PAIR, tmp_path / "v.txt")
    other = {"new": VECTORS[0] * 2, "t1": VECTORS[5]}

    for sources in ([other, PAIR], [other, tmp_path / "v.txt"], (other, PAIR)):
        built = pe.build_matrix(["t1", "t2", "new"], sources)
        assert np.array_equal(built["t1"], VECTORS[5])
        assert np.array_equal(built["t2"], VECTORS[2])
        assert np.array_equal(built["new"], VECTORS[0] * 2)
        assert built.sources.tolist() == [-1, 0, 1, 0]


def test_two_frames_in_a_tuple_are_two_sources():
    import pandas

    frames = tuple(
        pandas.DataFrame({"w": [word], "v": [[1.0, 2.0]]}) for word in ("a", "b")
    )

    assert pe.build_matrix(["a", "b"], frames).sources.tolist() == [-1, 0, 1]


def test_rows_are_kept_onto_an_object():
    kept = {"a": [1.0, 2.0], "b": [3.0, 4.0]}

    built = pe.build_matrix(["b", "c"], {"b": [0, 0], "c": [5, 6]}, onto=kept)

    assert built["b"].tolist() == [3.0, 4.0]
    assert built["c"].tolist() == [5.0, 6.0]
    assert pe.build_matrix(["b"], onto=pe.open_vectors(kept))["b"].tolist() == [3, 4]


@pytest.mark.parametrize("suffix", [".npz", ".txt", ".bin", ".kv", ".safetensors"])
def test_an_object_is_converted(suffix, tmp_path):
    done = pe.convert(PAIR, tmp_path / f"v{suffix}")

    assert (done.rows, done.source_format) == (50, "pair")
    with pe.open_vectors(tmp_path / f"v{suffix}") as reader:
        tokens, vectors = zip(*reader.blocks(), strict=True)
    assert [token for block in tokens for token in block] == TOKENS
    assert np.array_equal(np.concatenate(vectors), VECTORS)


def test_malformed_rows_of_an_object_are_left_out_where_that_is_allowed(tmp_path):
    given = {"a": [1.0, 2.0], "b": None, "c": [3.0, 4.0]}

    with pytest.raises(pe.errors.RowError):
        pe.convert(given, tmp_path / "v.npz")
    done = pe.convert(given, tmp_path / "v.npz", limits=pe.Limits(bad_rows=1))

    assert (done.rows, done.findings.bad_rows) == (2, 1)


def test_similar_coverage_examine_compare_and_align():
    assert (
        pe.similar(PAIR, "t1")[0] == pe.similar(dict(zip(*PAIR, strict=True)), "t1")[0]
    )
    compared = pe.coverage(["t1", "T2", "x"], [PAIR, {"x": VECTORS[0]}])
    assert [one.coverage.found for one in compared.sources] == [1, 1]
    assert pe.examine(PAIR).healthy
    assert pe.compare(PAIR, PAIR)
    turned = pe.align(PAIR, (TOKENS, VECTORS[:, ::-1]))
    assert np.allclose(turned.matrix.vectors, VECTORS[:, ::-1], atol=1e-4)
    matrix = pe.load_matrix(PAIR)
    assert matrix.keyed().most_similar("t1") == matrix.keyed().most_similar("t1")


def test_the_provenance_has_a_digest_of_the_bytes():
    def digest(tokens, vectors):
        built = pe.build_matrix(TOKENS, (tokens, vectors))
        (known,) = built.provenance["source"]["digests"]
        return known["algorithm"], known["value"]

    one = digest(TOKENS, VECTORS)
    assert one == digest(list(TOKENS), np.asfortranarray(VECTORS))
    assert one == digest(TOKENS, VECTORS.astype(">f4"))
    changed = VECTORS.copy()
    changed[49, 5] = np.nextafter(changed[49, 5], 9)
    assert digest(TOKENS, changed) != one
    assert digest([*TOKENS[:-1], "z"], VECTORS) != one
    assert digest(TOKENS, VECTORS.astype(np.float64)) != one


def test_the_digest_is_the_same_without_the_fast_library(monkeypatch):
    import sys

    from pretrained_embed.formats import objects

    one = objects.open_object(PAIR).digest()
    monkeypatch.setitem(sys.modules, "isal", None)
    assert objects.open_object(PAIR).digest() == one


def test_an_object_is_read_in_the_process_that_builds(tmp_path):
    """Other workers do not see it; what they are given is scanned from files."""
    pe.convert({"x": VECTORS[0]}, tmp_path / "v.txt")
    plain = pe.build_matrix([*TOKENS, "x"], [PAIR, tmp_path / "v.txt"])

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        built = pe.build_matrix(
            [*TOKENS, "x"],
            [PAIR, tmp_path / "v.txt"],
            work=pe.Work(executor=pool),
            out=tmp_path / "m.npy",
        )

    assert built.vectors.tobytes() == plain.vectors.tobytes()


def test_a_build_in_ranges_reads_objects(tmp_path):
    plain = pe.build_matrix(TOKENS, PAIR)

    built = pe.build_matrix(
        TOKENS, PAIR, out=pe.Shards(tmp_path / "shards", 3), work=pe.Work(memory="1MB")
    )

    assert built.vectors.tobytes() == plain.vectors.tobytes()
