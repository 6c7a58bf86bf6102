"""What the layers of every framework have to do; its test file says how it does it."""

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.formats import Findings
from pretrained_embed.ledger import Advice, Origin
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

ROWS = {"cat": 1, "dog": 2, "qwzx": 3, "fjord": 5, "<unk>": 6}  # 4 is a hole
ORIGIN = [
    Origin.PAD,
    Origin.EXACT,
    Origin.LOWER,
    Origin.OOV,
    Origin.UNUSED,
    Origin.EXACT,
    Origin.OOV,
]
IDS = np.array([[1, 2, 3, 0], [5, 6, 1, 0], [3, 5, 0, 0], [6, 2, 2, 5]])
LABELS = np.array([0.0, 1.0, 1.0, 0.0], np.float32)

MASK = np.array([0, 1, 0, 0, 0, 0, 1], np.bool_)


class Choice(NamedTuple):
    """Which rows train, as an adapter that says "freeze" or "trainable" has it."""

    freeze: Any
    trainable: Any
    trains: list[int]


CHOICES = {
    "no row": Choice(True, False, []),
    "all rows": Choice(False, True, [1, 2, 3, 5, 6]),
    "not found": Choice("found", "oov", [3, 6]),
    "found": Choice("oov", "found", [1, 2, 5]),
    "mask": Choice(MASK, ~MASK, [2, 3, 5]),
    "tokens": Choice(["dog", "fjord"], ["cat", "qwzx", "<unk>"], [1, 3, 6]),
}


def make_matrix(pad: str | None = "<pad>") -> EmbeddingMatrix:
    """Return 7 rows of dim 4; without pad, row 0 is a token like the others."""
    tokens = {"<pad>": 0, **ROWS}
    vectors = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    vectors[1] = [-0.0, 1e-40, 65000.0, 1 / 3]  # values that arithmetic would change
    vectors[4] = 0
    origin = np.array(ORIGIN, np.uint8)
    if pad is None:
        origin[0] = Origin.EXACT
    else:
        vectors[0] = 0
    return EmbeddingMatrix(
        vectors,
        Vocabulary(tokens, pad=pad, unk="<unk>"),
        origin=origin,
        provenance={"source": "made here"},
    )


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class AdapterTests:
    """Inherit, and fill in the first four methods."""

    optimizers: ClassVar[dict[str, Any]]
    plain: ClassVar[type]  # the framework's own embedding layer
    word: ClassVar[str] = "freeze"

    def layer(self, matrix: EmbeddingMatrix, rows: Any) -> Any:
        """Make a layer, ``rows`` being what the adapter takes as its `word`."""
        raise NotImplementedError

    def output(self, layer: Any, ids: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def train(self, layers: list[Any], optimizer: str, steps: int) -> None:
        """Train one classifier on IDS and LABELS: layers, mean over tokens, dense."""
        raise NotImplementedError

    def from_layer(self, layer: Any, vocabulary: Vocabulary, **options: Any) -> Any:
        raise NotImplementedError

    def table(self, layer: Any) -> np.ndarray:
        return self.output(layer, np.arange(7))

    def choose(self, matrix: EmbeddingMatrix, choice: str) -> Any:
        return self.layer(matrix, getattr(CHOICES[choice], self.word))

    def train_briefly(self, *layers: Any) -> None:
        self.train(list(layers), next(iter(self.optimizers)), steps=2)

    @pytest.fixture
    def matrix(self) -> EmbeddingMatrix:
        return make_matrix()

    @pytest.mark.parametrize("choice", CHOICES)
    def test_row_of_an_id_is_its_vector_to_the_bit(self, matrix, choice):
        layer = self.choose(matrix, choice)

        output = self.output(layer, IDS)

        assert same_bits(output, matrix.vectors[IDS])

    def test_only_the_chosen_rows_train(self, matrix):
        before = matrix.vectors.tobytes()
        layers = {choice: self.choose(matrix, choice) for choice in CHOICES}

        self.train_briefly(*layers.values())

        for choice, layer in layers.items():
            trains = CHOICES[choice].trains
            stays = np.setdiff1d(np.arange(7), trains)
            table = self.table(layer)
            assert (table[trains] != matrix.vectors[trains]).any(axis=1).all(), choice
            assert same_bits(table[stays], matrix.vectors[stays]), choice
        assert matrix.vectors.tobytes() == before

    def test_pad_and_frozen_rows_outlast_every_optimizer(self, matrix):
        for optimizer in self.optimizers:
            whole, part = (self.choose(matrix, c) for c in ("all rows", "not found"))

            self.train([whole, part], optimizer, steps=50)

            tokens, frozen, trained = [1, 2, 3, 5, 6], [0, 1, 2, 4, 5], [3, 6]
            table = self.table(whole)
            assert not table[0].any(), optimizer
            assert (table[tokens] != matrix.vectors[tokens]).any(1).all(), optimizer
            table = self.table(part)
            assert same_bits(table[frozen], matrix.vectors[frozen]), optimizer
            assert (table[trained] != matrix.vectors[trained]).any(1).all(), optimizer

    def test_a_layer_shares_no_memory_with_its_matrix(self):
        # Aligned to 64 bytes, as JAX wants what it takes over without a copy.
        room = np.zeros(64 * 64 * 4 + 64, np.uint8)
        start = -room.ctypes.data % 64
        mine = room[start : start + 64 * 64 * 4].view(np.float32).reshape(64, 64)
        mine[:] = 1
        given = mine.view()
        given.flags.writeable = False
        vocabulary = Vocabulary([f"token {i}" for i in range(64)], pad=None)
        matrix = EmbeddingMatrix(given, vocabulary)
        layers = [self.choose(matrix, choice) for choice in ("no row", "all rows")]

        mine[:] = 2

        assert matrix.vectors[0, 0] == 2  # or this test shows nothing
        for layer in layers:
            assert (self.output(layer, np.arange(64)) == 1).all()

    def test_pad_row_is_that_of_the_vocabulary_whatever_the_ledger_says(self, matrix):
        origin = np.full(7, Origin.EXACT, np.uint8)
        matrix = EmbeddingMatrix(matrix.vectors, matrix.vocabulary, origin=origin)
        layers = [self.choose(matrix, choice) for choice in ("all rows", "found")]

        self.train_briefly(*layers)

        for layer in layers:
            assert not self.table(layer)[0].any()

    def test_a_token_at_row_0_trains_where_there_is_no_pad(self):
        matrix = make_matrix(pad=None)
        layer = self.choose(matrix, "all rows")

        self.train_briefly(layer)

        assert (self.table(layer)[0] != matrix.vectors[0]).any()

    def test_ids_may_have_any_shape(self, matrix):
        layer = self.choose(matrix, "not found")

        for shape in [(3,), (2, 1, 3), (0, 4)]:
            ids = np.ones(shape, np.int64)
            assert self.output(layer, ids).shape == (*shape, 4)

    def test_a_trained_layer_becomes_a_plain_one_or_a_matrix_again(self, matrix):
        layer = self.choose(matrix, "not found")
        self.train_briefly(layer)
        table = self.table(layer)
        advice = Advice(("lower",), np.arange(len(ORIGIN), dtype=np.uint32))
        findings = Findings(rows=7, notes=["cut"])
        told = replace(matrix.ledger, advice=advice, findings=findings)
        matrix = EmbeddingMatrix(matrix.vectors, told)

        plain = layer.to_embedding()
        back = self.from_layer(layer, matrix.vocabulary, started_from=matrix)
        alone = self.from_layer(plain, matrix.vocabulary)

        assert type(plain) is self.plain
        assert same_bits(self.table(plain), table)
        assert same_bits(back.vectors, table)
        assert same_bits(alone.vectors, table)
        assert back.vocabulary is matrix.vocabulary
        kept = replace(back.ledger, provenance=matrix.provenance)
        assert kept == matrix.ledger
        assert back.provenance["trained_from"] == matrix.provenance
        assert alone.provenance["trained_in"].endswith(self.plain.__name__)

    def test_a_matrix_of_a_layer_does_not_follow_its_training(self, matrix):
        layer = self.choose(matrix, "all rows")
        back = self.from_layer(layer, matrix.vocabulary)

        self.train_briefly(layer)

        assert same_bits(back.vectors, matrix.vectors)

    def test_vocabulary_and_matrix_must_fit_the_layer(self, matrix):
        layer = self.choose(matrix, "all rows")

        with pytest.raises(ShapeError, match=r"\(7, 4\), but the vocabulary 3"):
            self.from_layer(layer, Vocabulary(["a", "b"]))
        wider = EmbeddingMatrix(np.zeros((7, 5)), matrix.vocabulary)
        with pytest.raises(ShapeError, match="the dims differ"):
            self.from_layer(layer, matrix.vocabulary, started_from=wider)

    def test_what_is_no_embedding_layer_is_refused(self, matrix):
        with pytest.raises(OptionError, match=r"object is not an? .*layer"):
            self.from_layer(object(), matrix.vocabulary)

    def test_choices_that_mean_nothing_are_refused(self, matrix):
        for wrong in ["fuond", 1, np.ones(7), ["cat", 3], None]:
            with pytest.raises(OptionError, match='"found", "oov"'):
                self.layer(matrix, wrong)
        with pytest.raises(OptionError, match="'zebra', not in the vocabulary"):
            self.layer(matrix, ["cat", "zebra"])
        with pytest.raises(ShapeError, match=r"mask .* \(8,\).* 7 rows"):
            self.layer(matrix, np.ones(8, np.bool_))
