"""The files of finalfusion: ``.fifu``."""
