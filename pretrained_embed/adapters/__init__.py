"""Framework adapters: one module each, imported by whoever uses the framework.

Every adapter copies: training a layer never changes the matrix it was made from, and
the row of the pad token is zero from the first step to the last. They share the
private modules beside them; none imports another.
"""
