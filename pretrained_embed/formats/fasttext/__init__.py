"""The models of fastText: ``.bin`` and ``.ftz``."""
