"""What people do with the layers of their framework, and what ours have to do then.

A habit is written once, as a function that does something with a layer and returns
what came of it::

    @habit("weight.data[7] = v", refused="pretrained_|unfreeze")
    def set_row(layer): ...

It is judged for every choice of rows: ours answer as the framework's own layer does
or, where rows are frozen one by one and the habit says ``refused``, raise an error of
this package whose message says what to do. Nothing else passes: no other answer, no
error of somebody else's, no write that is lost in silence.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.matrix import EmbeddingMatrix

from .conformance import CHOICES, make_matrix

#: The choices with which all rows train or none: no row is frozen for itself.
WHOLE = ("no row", "all rows")
#: The choices with which a slow habit is tried.
FEW = ("all rows", "not found")


class Habit(NamedTuple):
    name: str
    do: Callable[[Any], Any]  # the layer, which it may spoil -> what came of it
    refused: str | None  # where rows are frozen one by one: what the error has to say
    instead: Any  # there too: the right answer, if it is not that of the plain layer
    slow: bool  # is tried with two choices of rows only


def habit(
    name: str,
    *,
    refused: str | None = None,
    instead: Any = None,
    slow: bool = False,
) -> Callable[[Callable[[Any], Any]], Habit]:
    """Make a habit of the function that follows."""
    return lambda do: Habit(name, do, refused, instead, slow)


class Outcome(NamedTuple):
    answer: Any = None
    error: Exception | None = None

    @classmethod
    def of(cls, do: Callable[[Any], Any], layer: Any) -> "Outcome":
        try:
            return cls(answer=do(layer))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is judged
            return cls(error=error)


def fault(habit: Habit, ours: Outcome, plain: Outcome, *, split: bool) -> str | None:
    """Return what is wrong with the outcome of our layer, or ``None``.

    ``split`` says that rows are frozen one by one in it.
    """
    if plain.error is not None:
        return f"is no habit: the plain layer gives {plain}"
    if split and habit.refused is not None:
        said = str(ours.error)
        if not isinstance(ours.error, PretrainedEmbedError):
            return f"is not refused: {ours}"
        if not re.search(habit.refused, said):
            return f"is refused without {habit.refused!r}: {said}"
        return None
    if split and habit.instead is not None:
        plain = Outcome(answer=habit.instead)
    if ours.error is not None or not _same(ours.answer, plain.answer):
        return f"gives {ours}, not {plain}"
    return None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        )
    return type(a) is type(b) and bool(a == b)


class HabitTests:
    """Inherit, list the habits, and fill in two methods.

    A habit's layer is made of `make_matrix`: 7 rows of dim 4, of which 0 is the pad and
    4 a hole; see ``CHOICES`` for which of the others train.
    """

    habits: ClassVar[list[Habit]]
    word: ClassVar[str] = "freeze"
    whole: ClassVar[tuple[str, ...]] = WHOLE

    def layer(self, matrix: EmbeddingMatrix, rows: Any) -> Any:
        """Make a layer, ``rows`` being what the adapter takes as its `word`."""
        raise NotImplementedError

    def plain_layer(self, matrix: EmbeddingMatrix, trains: bool) -> Any:
        """Make the framework's own layer, as its users do, with the same table."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "habit" in metafunc.fixturenames:
            cases = [
                pytest.param(habit, choice, id=f"{habit.name}-{choice}")
                for habit in self.habits
                for choice in (FEW if habit.slow else CHOICES)
            ]
            metafunc.parametrize(("habit", "choice"), cases)

    def test_habit_works_as_with_the_plain_layer_or_says_what_to_do(
        self, habit, choice
    ):
        matrix = make_matrix()
        plain = self.plain_layer(matrix, trains=choice != "no row")
        ours = self.layer(matrix, getattr(CHOICES[choice], self.word))

        wrong = fault(
            habit,
            Outcome.of(habit.do, ours),
            Outcome.of(habit.do, plain),
            split=choice not in self.whole,
        )

        assert wrong is None, f"{habit.name}, {choice}: {wrong}"
