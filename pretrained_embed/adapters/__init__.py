"""Framework adapters: one file each, imported by whoever uses the framework.

Every adapter copies: training a layer never changes the matrix it was made from, and
the row of the pad token is zero from the first step to the last. They share three
private files: `_rows` (which rows train), `_shapes` (does a matrix fit) and
`_trained` (the way back). None imports another.
"""
