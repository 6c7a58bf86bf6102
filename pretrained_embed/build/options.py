"""What is asked of a build, as its parts use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pretrained_embed.arrays import Progress
from pretrained_embed.build.limits import Limits, given
from pretrained_embed.build.work import Work
from pretrained_embed.errors import OptionError
from pretrained_embed.fill import PolicyChain, special_chains
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.lookup.match import Chain, match_chain
from pretrained_embed.recipe import Recipe
from pretrained_embed.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Options:
    """A recipe, read for one vocabulary, and what else is asked of a build."""

    recipe: Recipe
    match: Chain
    oov: PolicyChain
    special_oov: Mapping[str, PolicyChain]  # by token
    limits: Limits = field(default_factory=Limits)
    work: Work = field(default_factory=Work)
    advise: bool = False
    progress: Progress | None = None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        vocabulary: Vocabulary,
        *,
        limits: Limits | None = None,
        work: Work | None = None,
        progress: Progress | None = None,
    ) -> Options:
        """Return the options for a vocabulary.

        Raises `OptionError` for special tokens that the vocabulary does not have, for
        limits on a text that the vocabulary does not count, and for what is no `Limits`
        and no `Work`.
        """
        limits = given("limits", limits, Limits)
        work = given("work", work, Work)
        if limits.text_coverage and vocabulary.counts is None:
            raise OptionError(
                "text_coverage needs to know how often tokens occur, and the "
                "vocabulary has no counts"
            )
        return cls(
            recipe=recipe,
            match=match_chain(recipe.match),
            oov=recipe.oov,
            special_oov=special_chains(recipe.special_oov, vocabulary),
            limits=limits,
            work=work,
            advise=work.advise,
            progress=progress,
        )

    @property
    def threads(self) -> int | None:
        """Threads that read a source."""
        return self.work.threads

    @property
    def seed(self) -> int:
        """Of the numbers that are drawn."""
        return self.recipe.seed

    @property
    def on_bad_row(self) -> OnBadRow:
        """What a reader does with a malformed row."""
        return self.limits.on_bad_row

    @property
    def composes(self) -> bool:
        """Whether subword pieces are asked for, which no store of a source has."""
        chains = (self.oov, *self.special_oov.values())
        return any("subword" in chain for chain in chains)

    @property
    def calls(self) -> bool:
        """Whether functions of the caller's are asked for."""
        chains = (self.oov, *self.special_oov.values())
        policies = [policy for chain in chains for policy in chain]
        return any(map(callable, policies)) or any(form.calls for form in self.match)


def recipe_of_call(recipe: Recipe | None, **fields: Any) -> Recipe:
    """Return the recipe of a call that was given one, or some of its fields.

    Raises `OptionError` for both.
    """
    fields = {name: value for name, value in fields.items() if value is not None}
    if recipe is None:
        return Recipe(**fields)
    for name in fields:
        raise OptionError(
            f"{name}= is a field of the recipe that is given, too: write "
            f"recipe=pe.Recipe({name}=..., ...), or leave recipe= out"
        )
    return given("recipe", recipe, Recipe)
