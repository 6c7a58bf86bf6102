"""Apache Arrow: tables of columns, in memory and in files."""
