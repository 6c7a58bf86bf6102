"""Vectors of the subword pieces that tokens consist of."""
