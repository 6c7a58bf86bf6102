"""Loaders of word vectors side by side. Run with ``python -m benchmarks``."""
