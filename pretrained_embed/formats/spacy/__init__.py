"""The vectors of spaCy pipelines."""
