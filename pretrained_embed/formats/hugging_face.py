"""Folders of Hugging Face models: language models and static ones.

::

    config.json         what model it is
    model.safetensors   all tensors, or model.safetensors.index.json and its files
    tokenizer.json      the tokens, or one of the other files that `model_tokens` reads
    modules.json        in a model of sentence-transformers: its parts and their folders

Of a language model the input embedding is read, of static models (model2vec,
sentence-transformers' ``StaticEmbedding`` and ``WordEmbeddings``) all there is. Of a
model in several files only the one with the embedding has to be there. Weights that
are only there as a pickle are refused.

https://huggingface.co/docs/transformers/main_classes/model
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrained_embed.errors import FormatError, SourceError, UnknownFormatError
from pretrained_embed.formats import safetensors
from pretrained_embed.formats.embedding_tensor import load_embedding, matrices, pick
from pretrained_embed.formats.model_tokens import FILES, find_file, model_reader
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.shards import (
    CONFIG,
    INDEX,
    SINGLE,
    Shard,
    json_object,
    open_shard,
    read_index,
)
from pretrained_embed.formats.table_reader import TableReader

NAME = "hugging-face"

_MODULES = "modules.json"
#: Parts of a sentence-transformers model that have an embedding.
_EMBEDDING_MODULES = ("StaticEmbedding", "WordEmbeddings", "Transformer")
#: What a config tells that is worth showing.
_FACTS = (
    *("model_type", "architectures", "vocab_size", "tie_word_embeddings"),
    *(
        "torch_dtype",
        "dtype",
        "normalize",
        "embedding_dtype",
        "vocabulary_quantization",
    ),
)
_GET_IT = "Get the model's safetensors files"
_PICKLE = (
    f"a Python pickle, which can run any code and is never opened. {_GET_IT}; or, if "
    "you trust it, load it with transformers and save it with save_pretrained(folder)"
)
#: Weights in files that are not read, by the ends of their names.
_OTHER_WEIGHTS = {
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


def recognise_folder(path: Path) -> bool:
    """Return whether a folder has a file that models of Hugging Face have."""
    known = (SINGLE, INDEX, CONFIG, _MODULES)
    return any((path / name).is_file() for name in known) or bool(_others(path))


def open_reader(stream: ByteStream) -> TableReader:
    """Open a model's embedding for reading.

    Raises `FormatError` where a file is damaged, where no tensor is an embedding, or
    where tokens and rows do not belong together, and `UnknownFormatError` where there
    are no weights that can be read; both say what to do.
    """
    if stream.path is None:
        raise SourceError(f"{stream.name}: a model is a folder, and this is none")
    folder = _module_folder(stream.path)
    shard, name = _find_embedding(folder)
    # What `static_embedding_writer` wrote has its tokens beside the vectors.
    own = safetensors.own_reader(stream.name, shard.header, shard.load)
    if own is not None:
        return own
    embedding = load_embedding(name, shard.header.tensors, shard.load, str(shard.path))
    tokens = find_file(folder)
    if tokens is None:
        raise FormatError(
            f"{folder} has no tokens: none of {', '.join(FILES)} is there. Get the "
            "files of its tokenizer; transformers makes a tokenizer.json with "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    reader = model_reader(NAME, stream.name, embedding, tokens)
    reader.facts = {
        **_facts(folder / CONFIG),
        "tensor": name,
        "file": shard.path.name,
        "stored_dtype": shard.header.tensors[name].dtype,
    }
    return reader


def _module_folder(folder: Path) -> Path:
    """Return the folder of the part that has the embedding, or the model's own."""
    path = folder / _MODULES
    if not path.is_file():
        return folder
    try:
        modules = json.loads(path.read_bytes())
        parts = {str(m["type"]).rpartition(".")[2]: str(m["path"]) for m in modules}
        inside = [parts[name] for name in _EMBEDDING_MODULES if name in parts]
        safe = all(len(Path(part).parts) <= 1 and ".." not in part for part in inside)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"{path}: not a list of modules: {error!r}") from error
    if not inside:
        raise FormatError(
            f"{path}: none of {', '.join(parts)} has an embedding that can be read; "
            f"{', '.join(_EMBEDDING_MODULES)} would"
        )
    if not safe:
        raise FormatError(f"{path}: {inside[0]!r} is not a folder beside it")
    return folder / inside[0]


def _find_embedding(folder: Path) -> tuple[Shard, str]:
    if (folder / INDEX).is_file():
        files = read_index(folder / INDEX)["weight_map"]
        name = pick(list(files), str(folder))
        shard = open_shard(folder / files[name])
        if name not in matrices(shard.header.tensors):
            raise FormatError(f"{shard.path}: has no matrix {name!r}")
        return shard, name
    if (folder / SINGLE).is_file():
        shard = open_shard(folder / SINGLE)
        return shard, pick(matrices(shard.header.tensors), str(shard.path))
    others = [f"{name} is {what}" for name, what in _others(folder).items()]
    raise UnknownFormatError(
        f"{folder}: neither {SINGLE} nor {INDEX} is there"
        + (f"; {others[0]}" if others else "; get the model's files again")
    )


def _others(folder: Path) -> Mapping[str, str]:
    """Return what is to be said of files of weights that are not read."""
    names = sorted(path.name for path in folder.iterdir())
    return {
        name: what
        for end, what in _OTHER_WEIGHTS.items()
        for name in names
        if name.endswith(end)
    }


def _facts(path: Path) -> dict[str, Any]:
    config = json_object(path) if path.is_file() else {}
    return {name: config[name] for name in _FACTS if name in config}
