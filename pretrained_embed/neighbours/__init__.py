"""Nearest neighbours by cosine, searched exactly, a block of rows at a time."""

from pretrained_embed.neighbours.nearest import Nearest, unit_rows
from pretrained_embed.neighbours.search import Neighbour, Neighbours, search
from pretrained_embed.neighbours.terms import Query, parse_queries

__all__ = [
    "Nearest",
    "Neighbour",
    "Neighbours",
    "Query",
    "parse_queries",
    "search",
    "unit_rows",
]
