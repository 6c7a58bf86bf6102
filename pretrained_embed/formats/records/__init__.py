"""Records: CSV, JSON and JSON lines, read from front to back."""
