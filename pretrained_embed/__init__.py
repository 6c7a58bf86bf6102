"""Pretrained word vectors, aligned to your vocabulary."""
