"""Make the frames beside this file as ConceptNet Numberbatch does its ``mini.h5``.

Made with pandas 3.1.1, tables 3.11.1 and numpy 2.4.6::

    python tests/data/hdf5/make.py

Numberbatch's numbers are small integers; so that they can be known, they count up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TOKENS = ["/c/en/coffee_pot", "/c/fr/été", "/c/en/#####ish", "/c/de/straße"]


def main() -> None:
    values = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    frame = pd.DataFrame(values, index=TOKENS)
    frame.to_hdf(HERE / "mini.h5", key="mat", mode="w")
    packing = {"complevel": 5, "complib": "zlib"}
    wide = frame.astype(np.float32) / 4
    wide.to_hdf(HERE / "zlib.h5", key="vectors", mode="w", **packing)
    packing = {"complevel": 5, "complib": "blosc"}
    frame.to_hdf(HERE / "blosc.h5", key="mat", mode="w", **packing)
    mixed = frame.set_axis(list("abcd"), axis=1).assign(e=np.ones(4))
    mixed.to_hdf(HERE / "mixed.h5", key="mat", mode="w")


if __name__ == "__main__":
    main()
