"""What is asked of a build, as its parts use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pretrained_embed.arrays import Progress
from pretrained_embed.build.limits import Limits
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
    advise: bool = False
    threads: int | None = None
    progress: Progress | None = None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        vocabulary: Vocabulary,
        *,
        limits: Limits | None = None,
        advise: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Options:
        """Return the options for a vocabulary.

        Raises `OptionError` for special tokens that the vocabulary does not have, and
        for limits on a text that the vocabulary does not count.
        """
        limits = limits or Limits()
        if limits.text_coverage and vocabulary.counts is None:
            raise OptionError(
                "text_coverage needs to know how often tokens occur, and the "
                "vocabulary has no counts"
            )
        return cls(
            recipe=recipe,
            match=match_chain(recipe.match),
            oov=recipe.oov,
            special_oov=special_chains(recipe.special_oov, None, vocabulary),
            limits=limits,
            advise=advise,
            threads=threads,
            progress=progress,
        )

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
