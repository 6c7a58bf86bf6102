from __future__ import annotations

import pickle

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, RowError
from pretrained_embed.formats import Findings


@pytest.mark.parametrize(
    "given", [-1, -0.1, 1.5, float("nan"), True, "3", 2.0, None, float("inf")]
)
def test_what_is_no_number_of_rows_is_refused(given):
    with pytest.raises(OptionError, match=r"bad_rows is .*a share from 0\.0 to 1"):
        pe.Limits(bad_rows=given)


@pytest.mark.parametrize("given", [0, 3, 10**9, 0.0, 0.01, 1.0])
def test_what_is_one_is_taken(given):
    assert pe.Limits(bad_rows=given).bad_rows == given


@pytest.mark.parametrize("name", ["coverage", "text_coverage"])
@pytest.mark.parametrize("given", [-0.1, 1.1, float("nan"), "all", None, True])
def test_what_is_no_share_is_refused(name, given):
    with pytest.raises(OptionError, match=f"^{name} is .*0 to 1"):
        pe.Limits(**{name: given})


def test_one_row_is_another_limit_than_any_number():
    one, any_number = pe.Limits(bad_rows=1), pe.Limits(bad_rows=1.0)

    assert one != any_number
    any_number.check_rows(Findings(rows=2, bad_rows=2), "f.txt")
    with pytest.raises(RowError, match="1 may be"):
        one.check_rows(Findings(rows=3, bad_rows=2), "f.txt")


def test_limits_are_values():
    limits = pe.Limits(coverage=0.5, bad_rows=0.1)

    assert limits == pe.Limits(0.5, 0.0, 0.1)
    assert hash(limits) == hash(pe.Limits(0.5, bad_rows=0.1))
    assert pickle.loads(pickle.dumps(limits)) == limits  # noqa: S301  (our own bytes)
    assert eval(repr(limits), {"Limits": pe.Limits}) == limits
    with pytest.raises(AttributeError):
        limits.coverage = 0.1
