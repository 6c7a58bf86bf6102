"""The embedding of a language model, moved to another tokenizer.

A model's folder and two tokenizers go in; out comes a folder in which the tables that
have a row for each token have the rows of the new tokenizer. Data flows from
``tokenizer`` and ``saved_model`` through ``new_rows``, which says what each new row is
made of, to ``transplanted``, which makes it and has it written.
"""

from pretrained_embed.tools.transplant.new_rows import RowStart
from pretrained_embed.tools.transplant.transplanted import Transplanted, transplant

__all__ = ["RowStart", "Transplanted", "transplant"]
