"""How a matrix is built: what is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pretrained_embed.arrays import Progress
from pretrained_embed.errors import OptionError
from pretrained_embed.fill import PolicyChain, chain_name, draws
from pretrained_embed.formats.bad_rows import MaxBadRows, check_max_bad_rows
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.lookup.match import EXACT, Chain, chain_names


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `pretrained_embed.build_matrix` that say how to look and fill.

    Raises `OptionError` for a value that means nothing.
    """

    match: Chain = (EXACT,)  # as `match_chain` returns it
    oov: PolicyChain = ("normal",)  # as `policy_chain` returns it
    #: Of special tokens, as `special_chains` returns it.
    special_oov: Mapping[str, PolicyChain] = field(default_factory=dict)
    seed: int = 0
    min_coverage: float = 0.0
    min_token_coverage: float = 0.0
    advise: bool = False
    on_bad_row: OnBadRow = "error"
    max_bad_rows: MaxBadRows = None
    threads: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        draws.check_seed(self.seed)
        if self.on_bad_row not in ("error", "skip"):
            raise OptionError(
                f"on_bad_row is {self.on_bad_row!r}; it can be 'error' or 'skip'"
            )
        check_max_bad_rows(self.max_bad_rows)
        for name in ("min_coverage", "min_token_coverage"):
            least = getattr(self, name)
            if not 0.0 <= least <= 1.0:
                raise OptionError(f"{name} is {least}; it goes from 0 to 1")

    @property
    def composes(self) -> bool:
        """Whether subword pieces are asked for, which no store of a source has."""
        chains = (self.oov, *self.special_oov.values())
        return any("subword" in chain for chain in chains)

    @property
    def calls(self) -> bool:
        """Whether functions of the caller's are asked for."""
        policies = [
            p for chain in (self.oov, *self.special_oov.values()) for p in chain
        ]
        return any(map(callable, policies)) or any(form.calls for form in self.match)

    def facts(self) -> dict[str, Any]:
        """Return what the bytes of a matrix depend on, as JSON can hold it."""
        return {
            "match": list(chain_names(self.match)),
            "oov": chain_name(self.oov),
            "special_oov": {
                token: chain_name(chain) for token, chain in self.special_oov.items()
            },
            "seed": self.seed,
            "on_bad_row": self.on_bad_row,
        }
