"""The embedding of a language model for another tokenizer.

From a model's folder and two tokenizers a new folder is made, in which the tables with
a row for each token have the rows of the new tokenizer. Data flows from ``tokenizer``
and ``saved_model`` through ``new_rows``, which decides how each new row is made, to
``transplanted``, which makes and writes it.
"""

from pretrained_embed.tools.transplant.new_rows import RowStart
from pretrained_embed.tools.transplant.transplanted import Transplanted, transplant

__all__ = ["RowStart", "Transplanted", "transplant"]
