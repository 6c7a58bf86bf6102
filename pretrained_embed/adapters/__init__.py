"""Framework adapters: one module for each framework, imported by name.

Every adapter copies the vectors: training a layer never changes the matrix it was made
from, and the row of the pad token stays zero. Adapters share the private modules beside
them; none imports another.
"""
