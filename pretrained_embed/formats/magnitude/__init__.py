"""The files of Magnitude."""
