"""The ledger: how each row was filled, from which source and which row."""

from pretrained_embed.ledger.coverage import Advice, Coverage
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import check_place, rounding_of
from pretrained_embed.ledger.story import RowStory

__all__ = [
    "Advice",
    "Coverage",
    "Ledger",
    "Origin",
    "RowStory",
    "check_place",
    "rounding_of",
]
