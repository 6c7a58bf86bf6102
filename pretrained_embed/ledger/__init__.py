"""The ledger: for every row how it was filled, from which source, from which row."""

from pretrained_embed.ledger.comparison import Comparison, compare
from pretrained_embed.ledger.coverage import Advice, Coverage
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import Origin
from pretrained_embed.ledger.provenance import check_place
from pretrained_embed.ledger.report import REPORT_SUFFIXES, write_report
from pretrained_embed.ledger.story import RowStory

__all__ = [
    "REPORT_SUFFIXES",
    "Advice",
    "Comparison",
    "Coverage",
    "Ledger",
    "Origin",
    "RowStory",
    "check_place",
    "compare",
    "write_report",
]
