"""The judge of habits sees what is lost in silence."""

import numpy as np
import pytest

from pretrained_embed.errors import OptionError

from .habits import Outcome, fault, habit


class Table:
    """A layer that keeps what is written to it."""

    def __init__(self):
        self.rows = np.zeros(3)

    def write(self, value):
        self.rows[0] = value


class Loses(Table):
    def write(self, value):
        self.rows.copy()[0] = value


class Refuses(Table):
    def write(self, value):
        raise OptionError("rows are frozen: call unfreeze() first")


class Breaks(Table):
    def write(self, value):
        raise TypeError("call unfreeze() first")


def write(layer):
    layer.write(1)
    return layer.rows


def judge(made, layer, *, split=True):
    return fault(
        made, Outcome.of(made.do, layer), Outcome.of(made.do, Table()), split=split
    )


@pytest.mark.parametrize("layer", [Loses, Breaks, Refuses])
def test_what_the_plain_layer_does_not_do_is_a_fault(layer):
    assert judge(habit("write")(write), Table()) is None
    assert "not Outcome(answer=array([1." in judge(habit("write")(write), layer())


@pytest.mark.parametrize("layer", [Loses, Breaks, Table])
def test_what_is_to_be_refused_must_be_by_an_error_of_ours(layer):
    made = habit("write", refused="unfreeze")(write)

    assert judge(made, Refuses()) is None
    assert judge(made, layer()).startswith("is not refused")


def test_an_error_has_to_say_what_to_do():
    made = habit("write", refused="to_embedding")(write)

    assert "without 'to_embedding'" in judge(made, Refuses())


def test_a_layer_of_which_all_rows_train_refuses_nothing():
    made = habit("write", refused="unfreeze")(write)

    assert judge(made, Table(), split=False) is None
    assert "not Outcome" in judge(made, Refuses(), split=False)


def test_another_answer_may_be_the_right_one():
    made = habit("kind", instead="Refuses")(lambda layer: type(layer).__name__)

    assert judge(made, Refuses()) is None
    assert judge(made, Table()) is not None
    assert judge(made, Refuses(), split=False) is not None


def test_what_the_plain_layer_cannot_do_is_no_habit():
    made = habit("read")(lambda layer: layer.weight)

    assert judge(made, Table()).startswith("is no habit")
