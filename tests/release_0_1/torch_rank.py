"""What each of two processes does with a state of release 0.1, for `test_torch`.

Run as a program with a rank and a folder, which has the matrix and gets the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed

import pretrained_embed as pe
from pretrained_embed.adapters import torch as pe_torch

from .layers import FOLDER, ROWS


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    layer = pe_torch.sharded_embedding(pe.load_shard(folder / "m.npz", rank, 2))
    saved = FOLDER / "torch" / f"sharded_{rank}_of_2.pt"
    layer.load_state_dict(torch.load(saved, weights_only=True))
    np.save(folder / f"table-{rank}.npy", layer(torch.arange(ROWS)).detach().numpy())
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
