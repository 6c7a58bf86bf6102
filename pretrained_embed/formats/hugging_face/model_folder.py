"""Where in the folder of a Hugging Face model its weights are.

The hub's cache, sentence-transformers and models in other files than safetensors: what
can be opened is found, what cannot is named.
"""

from __future__ import annotations

import json
from pathlib import Path

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.marks import MODULES

#: Parts of a sentence-transformers model that have an embedding.
_WITH_EMBEDDING = ("StaticEmbedding", "WordEmbeddings", "Transformer")
_GET_IT = "Get the model's safetensors files"
_PICKLE = (
    f"a Python pickle, which can run any code and is never run. {_GET_IT}; or, if "
    "you trust it, load it with transformers and save it with save_pretrained(folder)"
)
#: Weights in files that are not read, by the ends of their names.
OTHER_WEIGHTS = {
    "pytorch_model.bin": _PICKLE,
    "pytorch_model.bin.index.json": _PICKLE,
    ".pt": _PICKLE,
    ".pth": _PICKLE,
    ".gguf": f"a file of llama.cpp. {_GET_IT}",
    ".onnx": f"a computation graph. {_GET_IT}",
    "tf_model.h5": f"a file of TensorFlow. {_GET_IT}",
    "flax_model.msgpack": f"a file of Flax. {_GET_IT}",
    "adapter_model.safetensors": "an adapter, which has no embedding of its own; name "
    "the folder of the model that it was made for",
}


def module_folder(folder: Path) -> Path:
    """Return the folder of the part that has the embedding, or the model's own.

    Raises `FormatError` where ``modules.json`` is damaged or leads elsewhere.
    """
    path = folder / MODULES
    if not path.is_file():
        return folder
    with refusing_damage(str(path), "not a list of modules"):
        modules = json.loads(path.read_bytes())
        parts = {str(m["type"]).rpartition(".")[2]: str(m["path"]) for m in modules}
        inside = [parts[name] for name in _WITH_EMBEDDING if name in parts]
        safe = all(len(Path(part).parts) <= 1 and ".." not in part for part in inside)
    if not inside:
        raise FormatError(
            f"{path}: none of {', '.join(parts)} has an embedding that can be read; "
            f"{', '.join(_WITH_EMBEDDING)} would"
        )
    if not safe:
        raise FormatError(f"{path}: {inside[0]!r} is not a folder beside it")
    return folder / inside[0]


def other_weights(folder: Path) -> dict[str, str]:
    """Return what is to be said of files of weights that are not read.

    Raises `SourceError` where the folder cannot be listed.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror or error}") from error
    return {
        name: what
        for end, what in OTHER_WEIGHTS.items()
        for name in names
        if name.endswith(end)
    }
