"""The tools for finished vectors, which use public names only."""
