"""What is done with vectors once they are there: over public names alone."""
