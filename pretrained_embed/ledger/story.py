"""How a row was filled, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pretrained_embed.errors import PretrainedEmbedError, brief
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import (
    name_of,
    options_of,
    sources_of,
)
from pretrained_embed.vocabulary import Vocabulary


@dataclass(frozen=True)
class RowStory:
    """How one row was filled; ``str(story)`` is a description.

    ``parts`` has the same for each source, if the row is combined from several.

    Examples
    --------
    >>> print(matrix.explain("Paris"))  # doctest: +SKIP
    """

    token: str
    id: int
    origin: str  # name of the code in the ledger, in lower case
    how: str  # in words
    source: str | None  # the name of its source
    source_row: int | None  # from 0; None without a source, or if combined
    digest: str | None  # of the source: "algorithm:value"
    licence: str | None  # of the source
    norm: float | None = None  # of the vector; None in a ledger without vectors
    parts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values.

        Returns
        -------
        dict
            The fields.
        """
        return asdict(self) | {"parts": list(self.parts)}

    def __str__(self) -> str:
        lines = [f"{brief(self.token)}, id {self.id:,}: {self.how}", *self.parts]
        if self.norm is not None:
            lines.append(f"norm {self.norm:.6g}")
        if self.digest or self.licence:
            known = (self.source, self.digest, self.licence)
            lines.append(", ".join(fact for fact in known if fact))
        return "\n  ".join(lines)


class Teller(NamedTuple):
    """The facts about one token of a ledger with this provenance."""

    vocabulary: Vocabulary
    token: str
    provenance: Mapping[str, Any]
    forms: tuple[str, ...]  # of the ledger of any matrix for which a row was built

    @property
    def options(self) -> dict[str, Any]:
        """The options with which the rows were built."""
        return options_of(self.provenance)

    def since(self, source: Mapping[str, Any]) -> str:
        """Return the changes to a row after it was filled, or kept from ``source``."""
        steps = None if "provenance" in source else self.options.get("postprocess")
        told = ", ".join(map(str, steps)) if isinstance(steps, list) else ""
        then = f"; then {told}" if told else ""
        return f"{then}; trained since" if "trained_from" in self.provenance else then

    def source(self, number: int) -> dict[str, Any]:
        """Return the facts about a source; none for ``None``."""
        known = sources_of(self.provenance)
        return known[number] if 0 <= number < len(known) else {}

    def how(self, origin: Origin, source: Mapping[str, Any], row: int) -> str:
        """Return how a row that is not combined was filled."""
        if origin is Origin.PAD:
            return "padding; zeros"
        place = f"{name_of(source)}{'' if row < 0 else f', row {row:,}'}"
        earlier = source.get("provenance")
        if isinstance(earlier, dict):  # the source is a matrix whose rows were kept
            before = self._replace(provenance=earlier)
            known = sources_of(earlier)
            # only the ledger of that matrix has the source and the row
            first = known[0] if len(known) == 1 else {}
            then = f"{before.how(origin, first, -1)}{before.since(first)}"
            return f"kept from {place}; there {then}"
        if origin.found:
            return f"found {self._form(origin)}{f' in {place}' if source else ''}"
        return f"not found; {self._filled(origin, name_of(source))}"

    def part(self, number: int, origin: Origin, row: int, *, averaged: bool) -> str:
        """Return how the part of one source was filled, or that it has none."""
        source = self.source(number)
        if averaged and not origin.found:
            return f"not in {name_of(source)}, which the average leaves out"
        how = self.how(origin, source, row)
        return how if origin is not Origin.OOV else f"{how} (from {name_of(source)})"

    def _form(self, origin: Origin) -> str:
        """Return the form that was found, if it is known, and its name."""
        if origin is Origin.EXACT:
            return "as it stands"
        from pretrained_embed.lookup.match import match_chain, several

        name = origin.label(self.forms)
        try:
            (form,) = match_chain([name])
            variants = several(form.made(self.vocabulary, [self.token])[0])
        except PretrainedEmbedError:  # a function, or a missing package
            return f"({name})"
        if form.splits or len(variants) != 1:
            return f"({name})"
        return f"as {brief(variants[0])} ({name})"

    def _filled(self, origin: Origin, source: str) -> str:
        made = {
            Origin.SUBWORD: f"made of the subword pieces of {source}",
            Origin.PARTS: f"the mean of the tokens of {source} that it consists of",
            Origin.NGRAM: f"predicted from its character n-grams, learned of {source}",
        }
        if origin in made:
            return made[origin]
        policy = self._policy()
        if policy in ("normal", "uniform"):
            return f"drawn by {policy}, seed {self.options.get('seed')}"
        return f"filled by {policy}" if policy else "filled"

    def _policy(self) -> str | None:
        """Return the policy that fills any row: the last of its chain."""
        options, chain = self.options, None
        special = options.get("special_oov")
        if isinstance(special, dict):
            known = self.vocabulary.special_tokens
            by_token = {known.get(name, name): own for name, own in special.items()}
            chain = by_token.get(self.token)
        if self.token == self.vocabulary.unk_token:
            chain = chain or options.get("unk")
        chain = chain or options.get("oov")
        return None if chain is None else str(chain).rpartition(",")[2]
