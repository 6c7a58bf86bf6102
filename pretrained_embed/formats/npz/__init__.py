"""Tables in ``.npz`` archives."""

#: What the names of arrays beside the vectors begin with.
ARRAYS = "array_"
