"""What a user knows of a layout, in every form that it can be given in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import example, stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import OptionError
from pretrained_embed.formats.known_layout import SEPARATORS, KnownLayout, parse_layout


@pytest.mark.parametrize(
    ("given_as", "known"),
    [
        (None, None),
        ("dim=300", KnownLayout(dim=300)),
        (
            " dim=3 ,header=yes,separator=tab,rows=7",
            KnownLayout(3, True, "tab", 7),
        ),
        ({"dim": 3, "header": False}, KnownLayout(dim=3, header=False)),
        ({"dim": "3", "header": "no", "rows": None}, KnownLayout(3, False)),
        (KnownLayout(rows=4), KnownLayout(rows=4)),
    ],
)
def test_a_layout_is_given_as_words_or_as_a_mapping(given_as, known):
    assert parse_layout(given_as) == known


@pytest.mark.parametrize(
    ("given_as", "message"),
    [
        ("", "layout has no ''; it has dim, header"),
        ("dims=3", "no 'dims'; .* did you mean 'dim'"),
        ("dim=0", "dim is 0; it is a number, at least 1"),
        ("dim=3.5", "dim is '3.5'"),
        ("dim=٣", "dim is"),
        ({"dim": True}, "dim is True"),
        ("header=maybe", "header is 'maybe'; it can be yes or no"),
        ({"header": 1}, "header is 1"),
        ("separator=tabs", "separator is 'tabs'.*did you mean 'tab'"),
        ({"separator": b"\t"}, "it can be space, tab, tab-space, space-tab"),
        ("dim=3,dim=4", "each name can be there once"),
        (3, "write it as 'dim=300,header=yes' or as a mapping"),
        ({3: 3}, "layout has no 3"),
    ],
)
def test_what_means_nothing_is_refused(given_as, message):
    with pytest.raises(OptionError, match=message):
        parse_layout(given_as)


@given(
    st.builds(
        KnownLayout,
        dim=st.none() | st.integers(1, 10**6),
        header=st.none() | st.booleans(),
        separator=st.none() | st.sampled_from(list(SEPARATORS)),
        rows=st.none() | st.integers(1, 10**9),
    )
)
def test_what_a_layout_shows_reads_back(known):
    if known.given:
        assert parse_layout(str(known)) == known


def test_a_format_says_what_it_has_no_use_for():
    known = KnownLayout(dim=3, header=True)

    assert known.check_use(("dim", "header", "separator"), "text", "f") is known
    with pytest.raises(
        OptionError, match=r"f: layout gives dim and header, .*needs non"
    ):
        known.check_use((), "npz", "f")
    with pytest.raises(OptionError, match=r"gives dim, .*can be told header alone"):
        known.check_use(("header",), "text", "f")


def test_a_layout_that_the_format_of_a_file_does_not_have_is_refused(tmp_path):
    formats.write_table(tmp_path / "t.npz", example())

    with pytest.raises(
        OptionError, match=r"t\.npz: layout gives dim, .*npz needs none"
    ):
        formats.open_reader(stream_of(tmp_path / "t.npz"), "dim=3")
    with pytest.raises(OptionError, match="1 layouts for 2 sources"):
        pe.build_matrix(["a"], ["x", "y"], recipe=pe.Recipe(layout=[None]))
    with (
        pe.open_vectors(tmp_path / "t.npz") as reader,
        pytest.raises(OptionError, match="is open"),
    ):
        pe.build_matrix(["a"], reader, recipe=pe.Recipe(layout="dim=3"))
