"""What is near: the nearest rows, searched exactly, by vector and by key."""

from pretrained_embed.neighbours.keyed import KeyedRows
from pretrained_embed.neighbours.nearest import (
    METRICS,
    Metric,
    Nearest,
    check_metric,
    squared_lengths,
    unit_rows,
)

__all__ = [
    "METRICS",
    "KeyedRows",
    "Metric",
    "Nearest",
    "check_metric",
    "squared_lengths",
    "unit_rows",
]
