"""From vectors to places in the plane, and from those to a picture."""

from pretrained_embed.tools.plot.projection import project
from pretrained_embed.tools.plot.scatter import Point, save_picture, scatter

__all__ = ["Point", "project", "save_picture", "scatter"]
