"""Tables in HDF5."""
