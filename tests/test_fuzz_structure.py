"""Some inputs of each kind that `fuzz_structure` mutates; by itself it tries more."""

import pytest

from tests import fuzz_structure
from tests.fuzz_structure import FUZZERS, Failure, check

#: How many of each are tried with every change: a few seconds in all.
INPUTS = 40


@pytest.mark.parametrize("name", FUZZERS)
def test_mutated_structures_become_values_or_our_errors(name):
    became = {check(name, 0, number) for number in range(INPUTS)}

    assert len(became) > 1  # some are refused, and not all for one reason


def test_what_is_raised_by_mistake_is_a_failure(monkeypatch):
    def mistaken(random, folder):
        raise AttributeError("ours")

    def turned(random, folder):
        try:
            mistaken(random, folder)
        except AttributeError as error:
            raise fuzz_structure.SourceError("wrong") from error

    for fuzzer in (mistaken, turned):
        monkeypatch.setitem(FUZZERS, "pickle", fuzzer)
        with pytest.raises(Failure, match="ours"):
            check("pickle", 0, 0)
