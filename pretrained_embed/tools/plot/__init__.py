"""From vectors to places in the plane, and from those to a picture.

Knows arrays and words, no files of vectors, no vocabulary and no matrix.
"""

from pretrained_embed.tools.plot.projection import METHODS, Method, project
from pretrained_embed.tools.plot.scatter import SUFFIXES, Point, save_picture, scatter

__all__ = [
    "METHODS",
    "SUFFIXES",
    "Method",
    "Point",
    "project",
    "save_picture",
    "scatter",
]
