"""The binary files of word2vec.c and gensim."""
