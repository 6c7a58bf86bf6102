"""Everything the rows depend on, besides the vocabulary and the sources."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np

from pretrained_embed.bits import MATRIX, Dtype, check_dtype
from pretrained_embed.errors import FormatError, OptionError, brief, suggestion
from pretrained_embed.fill import (
    POLICIES,
    Policies,
    PolicyChain,
    chain_name,
    draws,
    policy_chain,
)
from pretrained_embed.formats.known_layout import AnyLayout, parse_layout
from pretrained_embed.ledger.provenance import options_of, sources_of
from pretrained_embed.lookup import FORMS, Chain, Match, chain_names, match_chain
from pretrained_embed.lookup.match import Callback

How = Literal["fill", "concat", "average"]

COMBINATIONS: tuple[How, ...] = ("fill", "concat", "average")

#: The steps of post-processing, and the letter for the number of each, if it takes one.
STEPS = {
    **{"unit-norm": None, "center": None},
    **{"all-but-the-top": "D", "pca": "K", "truncate": "K"},
}

#: The steps whose number is the dim of their result, and is required.
SHORTENING = ("pca", "truncate")

#: The version of the form that `Recipe.to_dict` returns.
VERSION = 1

_CALLABLE = "callable "  # prefix of the name of a function in a saved recipe


class Step(NamedTuple):
    """One step of post-processing; ``number`` is its D or K, if given."""

    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name}:{self.number}"


@dataclass(frozen=True, init=False, repr=False)
class Recipe:
    """How rows are made: the same vocabulary, sources and recipe give the same bytes.

    A recipe is checked when it is made, and cannot be changed. Two with the same
    meaning are equal: ``"exact,lower"`` is ``("exact", "lower")``. Its ``repr`` is
    Python code for it. `EmbeddingMatrix.recipe` is the recipe of a matrix.

    Parameters
    ----------
    match : str, callable, or a sequence of them, default "exact"
        The forms of a token that are looked up, in order. The first form that the
        source has is used; the ledger records which. A ``str`` separates them by
        commas.

        * "exact"; "lower", "title", "upper"; "nfc", "nfkc"; "strip-accents";
        * "digits-hash" (``####`` for 1984), "digits-zero";
        * "quotes": typographic quotes and dashes as those of a keyboard;
        * "joined": the words of a token joined by another of ``_``, space and ``-``;
        * "compound": the mean of the parts between hyphens and the like. The source
          must have all parts, unchanged or in a form of the chain;
        * "conceptnet" or "conceptnet:de": ``/c/en/new_york``;
        * "unmarked": without the mark of a subword tokenizer;
        * "lemma:en" and "stem:en", which need simplemma and snowballstemmer;
        * "lower+strip-accents" and the like: both, one after the other;
        * a callable: given a token, it returns its form, several, or ``None``.

        Special tokens are looked up unchanged.
    oov : str, callable, or a sequence of them, default "normal"
        The policies that fill the rows of tokens that are not found (OOV).

        * "normal" and "uniform" draw numbers with the mean and standard deviation, in
          each dimension, of the source's first 10,000 rows;
        * "mean" takes that mean, "zeros" takes zeros;
        * "error" raises `OOVError`;
        * "subword" takes the vector that the source composes from its subword vectors.
          The source is a fastText model or a floret table; no store of it is used;
        * "parts" splits the token into tokens of the source, by greedy longest match,
          and takes their mean, in which longer ones weigh more;
        * "ngram" predicts the vector from the token's character n-grams, by a ridge
          regression fitted to the source's first 50,000 rows, which takes seconds;
        * a callable takes some of the tokens, a `Statistics` and dim. It returns
          float32 (tokens, dim); the row of a token may depend on that token only.

        "subword", "parts" and "ngram" cannot fill every row. Another policy must follow
        them, such as in "parts,zeros"; without one, "normal" is added. The ledger
        records which policy filled a row.
    special_oov : mapping from str to policies, default none
        The policies of special tokens that are not found, by the role of a token
        ("unk", "mask", "cls", ...) or by the token itself: ``{"unk": "zeros", "[CLS]":
        "mean"}``. Any other special token has the last policy of ``oov``. The pad row
        and the rows of holes are always zeros.
    seed : int, default 0
        Seed for the numbers that "normal" and "uniform" draw, 0 to 2**64 - 1.
    combine : "fill", "concat" or "average", default "fill"
        How several sources are combined.

        * "fill" takes a token's vector from the first source that has the token in any
          form of the chain. All sources must have the same dim. OOV rows are filled
          from the first source, or for "subword" from the first that has subword
          pieces;
        * "concat" joins the vectors of all sources into one. If a source does not have
          the token, ``oov`` fills its part from that source;
        * "average" is the mean over the sources that have the token; zeros are added to
          shorter vectors. If no source has it, it is the mean of the vectors that
          ``oov`` makes from each.
    scale : sequence of float, optional
        A factor for the vectors of each source.
    normalize_each : bool, default False
        Scale each vector to length 1 first, before ``scale``.
    align : "shared" or path, optional
        Map the other sources into the space of the first one, before any other step.
        All need the same dim. Each map is orthogonal, as in `align`, and fitted to
        pairs of tokens with the same meaning: for "shared", the tokens among the first
        50,000 of the first source that the other has too; for a file, a token of the
        other source and one of the first on each line. The provenance has the digest of
        the map and how well it fits.
    postprocess : str or sequence of str, default none
        Steps that change the finished rows, in this order: "unit-norm", "center",
        "all-but-the-top" or "all-but-the-top:D", "pca:K", "truncate:K" (the first K
        numbers, for Matryoshka embeddings; follow it by "unit-norm" for rows of length
        1). Means and directions are computed from the source's first 10,000 rows. The
        module ``pretrained_embed.build.postprocess`` has the formulas.
    dtype : str, default "float32"
        The dtype of the finished rows, rounded once, at the end, to nearest even:
        "float32", "float16", "bfloat16", "int8", "int4" or "binary"; see
        `EmbeddingMatrix.astype`.
    layout : str, mapping, or a list with one for each source, optional
        Known facts about the layout of a source, as in `open_vectors`:
        ``"dim=300,header=yes"``.

    Raises
    ------
    OptionError
        For an unknown value. The message names the nearest known one.
    MissingPackageError
        If a form of ``match`` needs a package that is not installed.

    Examples
    --------
    >>> recipe = Recipe(match="exact,lower", oov="ngram", seed=1)
    >>> recipe
    Recipe(match='exact,lower', oov='ngram,normal', seed=1)
    >>> recipe == Recipe(match=("exact", "lower"), oov=["ngram", "normal"], seed=1)
    True
    >>> Recipe.from_dict(recipe.to_dict()) == recipe
    True
    """

    __module__ = "pretrained_embed"  # pickles use this name, so it stays

    match: tuple[str | Callback, ...]
    oov: PolicyChain
    special_oov: Mapping[str, PolicyChain]
    seed: int
    combine: How
    scale: tuple[float, ...] | None
    normalize_each: bool
    align: str | None
    postprocess: tuple[str, ...]
    layout: str | tuple[str | None, ...] | None
    dtype: Dtype

    def __init__(
        self,
        match: Match = "exact",
        oov: Policies = "normal",
        special_oov: Mapping[str, Policies] | None = None,
        seed: int = 0,
        combine: How = "fill",
        scale: Iterable[float] | None = None,
        normalize_each: bool = False,
        postprocess: str | Iterable[str] = (),
        layout: AnyLayout | Sequence[AnyLayout] = None,
        align: str | os.PathLike[str] | None = None,
        dtype: Dtype = "float32",
    ) -> None:
        forms = _entries(match)
        chain = match_chain(forms)
        draws.check_seed(seed)
        if combine not in COMBINATIONS:
            raise OptionError(
                f"combine is {brief(combine)}; it can be {', '.join(COMBINATIONS)}"
                f"{suggestion(str(combine), COMBINATIONS)}"
            )
        if not isinstance(normalize_each, bool | np.bool_):
            raise OptionError(
                f"normalize_each is {brief(normalize_each)}; it is True or False"
            )
        self.__dict__.update(  # the only way to set a field of a frozen dataclass
            match=forms,
            _chain=chain,
            oov=policy_chain(oov),
            special_oov=MappingProxyType(_special(special_oov)),
            seed=seed,
            combine=combine,
            scale=_factors(scale),
            normalize_each=bool(normalize_each),
            align=_pairs(align),
            postprocess=tuple(map(str, parse_steps(postprocess))),
            layout=_layouts(layout),
            dtype=check_dtype(dtype),
        )

    @property
    def chain(self) -> Chain:
        """The forms of ``match``, with the function of each."""
        chain: Chain = self.__dict__["_chain"]
        return chain

    @staticmethod
    def choices() -> dict[str, tuple[str, ...]]:
        """Return the values that fields can have, by the name of the field.

        Returns
        -------
        dict of str to tuple of str
            "match": the forms, of which "lemma" and "stem" need a language; "oov": the
            policies; "combine"; "postprocess": the steps, of which "pca" and
            "truncate" need a number; "dtype".

        Examples
        --------
        >>> Recipe.choices()["combine"]
        ('fill', 'concat', 'average')
        """
        return {
            "match": FORMS,
            "oov": POLICIES,
            "combine": COMBINATIONS,
            "postprocess": tuple(STEPS),
            "dtype": MATRIX,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-compatible values, with the version of this form.

        Returns
        -------
        dict
            The fields and "version".

        Raises
        ------
        OptionError
            For a recipe with a function, which no file can hold. The message names it.

        Examples
        --------
        >>> Recipe(seed=1).to_dict()["seed"]
        1
        """
        saved = facts(self)
        _check_functions(saved)
        return saved

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the recipe for the result of `to_dict`.

        Parameters
        ----------
        saved : mapping
            The result of `to_dict`. A missing field has its default.

        Returns
        -------
        Recipe
            The recipe.

        Raises
        ------
        FormatError
            For the recipe of a later version.
        OptionError
            For a value that is no recipe, and for a recipe that had a function.

        Examples
        --------
        >>> Recipe.from_dict(Recipe(oov="zeros").to_dict())
        Recipe(oov='zeros')
        """
        if not isinstance(saved, Mapping):
            raise OptionError(
                f"a recipe is saved as a mapping of its fields, not as {brief(saved)}"
            )
        given = dict(saved)
        version = given.pop("version", None)
        if isinstance(version, int) and version > VERSION:
            raise FormatError(
                f"a recipe of version {version}; this release reads version {VERSION}. "
                "Upgrade pretrained-embed."
            )
        if version != VERSION or isinstance(version, bool):
            raise OptionError(
                f"the version of this recipe is {brief(version)}; give what "
                "Recipe.to_dict() returned"
            )
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise OptionError(
                    f"a recipe has no field {brief(name)}; it has {', '.join(names)}"
                    f"{suggestion(str(name), names)}"
                )
        _check_functions(given)
        return cls(**given)

    def __hash__(self) -> int:
        """Return a hash; raises ``TypeError`` for a function that has none."""
        values = (getattr(self, f.name) for f in fields(self))
        return hash(
            tuple(
                frozenset(value.items()) if isinstance(value, Mapping) else value
                for value in values
            )
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **_values(self)), ()

    def __repr__(self) -> str:
        """Return Python code for the recipe, in which functions are names."""
        usual = _values(type(self)())
        told = [
            f"{name}={value!r}" if name == "layout" else f"{name}={_code(value)}"
            for name, value in _values(self).items()
            if value != usual[name]
        ]
        return f"Recipe({', '.join(told)})"


def facts(recipe: Recipe) -> dict[str, Any]:
    """Return the facts about a recipe for a provenance; functions are names."""
    values = _values(recipe)
    values["match"] = [*chain_names(recipe.chain)]
    values["oov"] = chain_name(recipe.oov)
    values["special_oov"] = {
        name: chain_name(chain) for name, chain in recipe.special_oov.items()
    }
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = [*value]
    return {"version": VERSION, **values}


def recipe_of(provenance: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a provenance, of any release.

    Raises `OptionError` if there is none, or one with a function.
    """
    told = options_of(provenance)
    if not told:
        raise OptionError(
            "nothing tells the recipe of this matrix: it was not made by build_matrix, "
            "or all its rows were kept of another matrix, which has a recipe of its own"
        )
    if "version" not in told:  # a file of release 0.1
        told = _of_release_0_1(told, provenance)
    return Recipe.from_dict(told)


def _of_release_0_1(
    options: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that release 0.1 saved in the form of a recipe.

    They include the allowed malformed rows; the layouts are with the sources.
    """
    names = [field.name for field in fields(Recipe)]
    told = {name: options[name] for name in names if name in options}
    read = [one for one in sources_of(provenance) if "provenance" not in one]
    layouts = [one.get("layout") for one in read]
    if any(layouts):
        told["layout"] = layouts[0] if len(layouts) == 1 else layouts
    return {"version": VERSION, **told}


def _values(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the fields."""
    values = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    values["special_oov"] = dict(recipe.special_oov)
    return values


def _check_functions(saved: Mapping[str, Any]) -> None:
    """Raise `OptionError` for a saved recipe that had a function, and name it."""
    special = saved.get("special_oov")
    chains = {
        "match": saved.get("match"),
        "oov": saved.get("oov"),
        **({"special_oov": [*special.values()]} if isinstance(special, dict) else {}),
    }
    for field, chain in chains.items():
        for one in chain if isinstance(chain, list | tuple) else [chain]:
            for name in str(one).split(","):
                if name.startswith(_CALLABLE):
                    function = name.removeprefix(_CALLABLE)
                    raise OptionError(
                        f"{field} has the function {function}, and no file can hold a "
                        "function: make the recipe anew and give the function to it, "
                        f"as Recipe({field}=...)"
                    )


def _code(value: Any) -> str:
    """Return a value of a field as Python code, a function by its name."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k!r}: {_code(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple):
        if value and all(isinstance(one, str) for one in value):
            return repr(",".join(value))
        each = ", ".join(map(_code, value))
        return f"({each},)" if len(value) == 1 else f"({each})"
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    return repr(value)


# Values of the fields


def _entries(match: Match) -> tuple[str | Callback, ...]:
    """Return the forms of ``match`` as `match_chain` takes them."""
    if isinstance(match, str):
        return tuple(name.strip() for name in match.split(","))
    if callable(match) or not isinstance(match, Iterable):
        return (match,)  # `match_chain` refuses those that are no functions
    return tuple(match)


def _special(given: Mapping[str, Policies] | None) -> dict[str, PolicyChain]:
    """Return the policies of special tokens by the given names."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise OptionError(
            f"special_oov is {brief(given)}; it goes from special tokens to policies, "
            "as {'mask': 'zeros'} does"
        )
    for name in given:
        if not isinstance(name, str):
            raise OptionError(f"special_oov has {brief(name)}; a token is a str")
    return {
        name: policy_chain(policies, f"special_oov[{brief(name)}]")
        for name, policies in given.items()
    }


def _factors(scale: Iterable[float] | None) -> tuple[float, ...] | None:
    """Return the factors of ``scale``; raises `OptionError` for other values."""
    if scale is None:
        return None
    if isinstance(scale, str) or not isinstance(scale, Iterable):
        raise OptionError(f"scale is {brief(scale)}; give one factor for each source")
    return tuple(map(_factor, scale))


def _factor(given: Any) -> float:
    try:
        factor = float(given)
    except (TypeError, ValueError, OverflowError):
        factor = 0.0
    number = isinstance(given, int | float | np.integer | np.floating)
    if not number or not math.isfinite(factor) or factor == 0:
        raise OptionError(
            f"scale has {brief(given)}; a factor is a number, finite and not 0"
        )
    return factor


def _pairs(given: Any) -> str | None:
    """Return the value of ``align``; raises `OptionError` for other values."""
    if given is None:
        return None
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise OptionError(
            f"align is {brief(given)}; it is 'shared', or the path of a file with two "
            "tokens a line"
        )
    return os.fsdecode(given)


def parse_steps(steps: str | Iterable[str]) -> tuple[Step, ...]:
    """Return the steps in ``("center", "pca:100")`` or ``"center,pca:100"``.

    Raises `OptionError` for an unknown step, and for one without its number.
    """
    given = steps.split(",") if isinstance(steps, str) else steps
    if not isinstance(given, Iterable):
        raise OptionError(f"postprocess is {steps!r}; it names steps")
    return tuple(_step(step) for step in given)


def _step(step: str) -> Step:
    name, colon, digits = str(step).strip().partition(":")
    if name not in STEPS:
        known = ", ".join(n if w is None else f"{n}:{w}" for n, w in STEPS.items())
        raise OptionError(
            f"unknown step {name!r} of post-processing; known: {known}"
            f"{suggestion(name, STEPS)}"
        )
    word = STEPS[name]
    if not colon and name not in SHORTENING:
        return Step(name)
    number = int(digits[:19]) if digits.isascii() and digits.isdigit() else 0
    if word is None or number < 1:
        form = name if word is None else f"{name}:{word}, {word} a number from 1"
        raise OptionError(f"{step!r} is no step of post-processing; write {form}")
    return Step(name, number)


def _layouts(
    given: AnyLayout | Sequence[AnyLayout],
) -> str | tuple[str | None, ...] | None:
    """Return the layout for all sources, or one for each, as text."""
    if isinstance(given, list | tuple):
        return tuple(map(_layout, given))
    return _layout(cast(AnyLayout, given))


def _layout(given: AnyLayout) -> str | None:
    known = parse_layout(given)
    return str(known) if known is not None and known.given else None
