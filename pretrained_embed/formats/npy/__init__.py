"""A bare ``.npy`` matrix, and what belongs to it in a file beside it."""
