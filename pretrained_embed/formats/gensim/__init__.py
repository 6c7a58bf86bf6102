"""The files that gensim saves, read without running their pickle."""
