"""Tables in ``.npz`` archives."""
