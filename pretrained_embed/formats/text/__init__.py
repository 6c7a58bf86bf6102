"""Text files of vectors: GloVe, word2vec text, fastText ``.vec`` and their like."""
