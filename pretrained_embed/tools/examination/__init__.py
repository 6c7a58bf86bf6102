"""What is wrong with a file of vectors, found by reading all of it."""

from pretrained_embed.tools.examination.examination import Examination, examine
from pretrained_embed.tools.examination.problems import Problem

__all__ = ["Examination", "Problem", "examine"]
