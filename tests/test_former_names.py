"""Pickles of earlier releases load although classes have moved."""

import pickle
import sys

import pytest

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.former_names import FORMER

NAMES = [(module, name) for module, names in FORMER.items() for name in names]


def unpickled(data):
    return pickle.loads(data)  # noqa: S301  (made a few lines below)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_pickle_that_names_a_former_module_gets_the_class(module, name):
    found = unpickled(f"c{module}\n{name}\n.".encode())

    home, _, new_name = FORMER[module][name].partition(":")
    assert found.__name__ == (new_name or name)
    assert found.__module__ == home


def test_tokens_pickled_by_an_earlier_release_are_the_same_tokens():
    new = pickle.dumps(PackedTokens.pack(["the", "Paris"]), protocol=2)
    old = new.replace(b"pretrained_embed.arrays", b"pretrained_embed.packed_tokens")
    assert old != new

    assert unpickled(old).unpack() == ["the", "Paris"]


@pytest.mark.parametrize("module", FORMER)
def test_what_a_former_module_never_had_it_does_not_have_now(module):
    with pytest.raises(AttributeError, match="no attribute 'Unheard'"):
        sys.modules[module].Unheard  # noqa: B018  (it is the look-up that raises)
