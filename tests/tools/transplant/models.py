"""Small models as Hugging Face saves them, written with the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

OLD = ["<pad>", "</s>", "▁the", "▁cat", "s", "▁un", "happy", "▁dog"]
DIM = 4

#: What stands around the tables in a model, and has to stay as it is.
BODY = {
    "model.layers.0.mlp.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "model.norm.weight": torch.ones(DIM, dtype=torch.bfloat16),
    "model.mask": torch.tensor([True, False, True]),
}


def table(
    dtype: torch.dtype = torch.float32, rows: int = len(OLD), seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, DIM, generator=generator).to(dtype)


def write_model(
    folder: Path,
    tensors: dict[str, torch.Tensor],
    *,
    shards: bool = False,
    **config: Any,
) -> Path:
    """Write a model; ``shards``: the tables in one file, the body in another."""
    folder.mkdir()
    rows = len(next(iter(tensors.values())))
    known = {"model_type": "made", "vocab_size": rows, "eos_token_id": 1, **config}
    (folder / "config.json").write_text(json.dumps(known))
    (folder / "generation_config.json").write_bytes(b'{"eos_token_id":1}')
    (folder / "tokenizer.json").write_text(tokenizer_json(OLD))
    if not shards:
        save_file({**tensors, **BODY}, folder / "model.safetensors", {"format": "pt"})
        return folder
    parts = {"a.safetensors": BODY, "b.safetensors": tensors}
    for name, part in parts.items():
        save_file(part, folder / name, {"format": "pt"})
    every = [tensor for part in parts.values() for tensor in part.values()]
    index = {
        "metadata": {
            "total_size": sum(t.numel() * t.element_size() for t in every),
            "total_parameters": sum(t.numel() for t in every),
        },
        "weight_map": {t: name for name, part in parts.items() for t in part},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def read_model(folder: Path) -> dict[str, torch.Tensor]:
    """Read all tensors with the safetensors library."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    return tensors


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.contiguous()
        .view(torch.uint8)
        .equal(other.contiguous().view(torch.uint8))
    )


def tokenizer_json(
    tokens: list[str], *, kind: str = "WordLevel", unk: str | None = None, **parts: Any
) -> str:
    special = [token for token in tokens if token.startswith(("<", "["))]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [
                {"id": tokens.index(token), "content": token, "special": True}
                for token in special
            ],
            "model": {
                "type": kind,
                "vocab": {token: id for id, token in enumerate(tokens)},
                "unk_token": unk,
            },
            **parts,
        }
    )


def ids(tokens: list[str]) -> dict[str, int]:
    return {token: id for id, token in enumerate(tokens)}


def longest_first(tokens: list[str], marker: str = "▁") -> Any:
    """Return a function that cuts up a text greedily, its start marked."""

    def cut(text: str) -> list[str]:
        rest, found = marker + text.lstrip(), []
        while rest:
            fits = [token for token in tokens if rest.startswith(token)]
            token = max(fits, key=len, default=rest[0])
            found.append(token)
            rest = rest[len(token) :]
        return found

    return cut
