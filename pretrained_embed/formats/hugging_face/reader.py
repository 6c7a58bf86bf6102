"""Folders of Hugging Face models: language models and static ones.

::

    config.json         what model it is
    model.safetensors   all tensors, or model.safetensors.index.json and its files
    tokenizer.json      the tokens, or one of the other files that `tokens` reads
    modules.json        in a model of sentence-transformers: its parts and their folders

Of a language model the input embedding is read, of static models (model2vec,
sentence-transformers' ``StaticEmbedding`` and ``WordEmbeddings``) all there is. Of a
model in several files only the one with the embedding has to be there. The folder may
be that of the hub's cache, ``models--ORGANISATION--NAME``. Another tensor can be named,
``FOLDER#NAME``. A ``pytorch_model.bin`` is read as data: nothing of its pickle is run.

https://huggingface.co/docs/transformers/main_classes/model
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import FormatError, SourceError, UnknownFormatError
from pretrained_embed.formats.hugging_face.model_folder import (
    Shard,
    TensorFile,
    module_folder,
    open_pickled,
    open_shard,
    other_weights,
    read_index,
)
from pretrained_embed.formats.local import json_object
from pretrained_embed.formats.marks import (
    CONFIG,
    INDEX,
    PICKLED,
    PICKLED_INDEX,
    SINGLE,
    TOKENIZERS,
    snapshot,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.safetensors import reader as safetensors
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import (
    choose,
    load_embedding,
    pick,
)
from pretrained_embed.formats.tensors.tokens import (
    find_file,
    model_reader,
    tokens_beside,
)

NAME = "hugging-face"

#: What a config tells that is worth showing.
_FACTS = (
    *("model_type", "architectures", "vocab_size", "tie_word_embeddings"),
    *("torch_dtype", "dtype"),
    *("normalize", "embedding_dtype", "vocabulary_quantization"),  # of model2vec
)


def open_reader(stream: ByteStream) -> TableReader:
    """Open a model's embedding for reading.

    Raises `FormatError` where a file is damaged, where no tensor is an embedding, or
    where tokens and rows do not belong together, and `UnknownFormatError` where there
    are no weights that can be read; both say what to do.
    """
    if stream.path is None:
        raise SourceError(f"{stream.name}: a model is a folder, and this is none")
    folder = module_folder(snapshot(stream.path))
    shard, name = _find_embedding(folder, stream.fragment, stream.read_options)
    if isinstance(shard, Shard) and stream.fragment is None:
        # What `writer` wrote has its tokens beside the vectors.
        own = safetensors.own_reader(stream.name, shard.header, shard.load)
        if own is not None:
            return own
    embedding = load_embedding(name, shard.tensors, shard.load, str(shard.path))
    if stream.tokens_path is not None:
        return tokens_beside(NAME, stream, embedding, None)
    tokens = find_file(folder)
    if tokens is None:
        raise FormatError(
            f"{folder} has no tokens: none of {', '.join(TOKENIZERS)} is there. Get "
            "the files of its tokenizer; transformers makes a tokenizer.json with "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder). Or put the "
            "list of its tokens there, one a line, as vocab.txt"
        )
    reader = model_reader(NAME, stream, embedding, tokens)
    reader.facts = {
        **_facts(folder / CONFIG),
        "tensor": name,
        "file": shard.path.name,
        "stored_dtype": shard.tensors[name].dtype,
    }
    return reader


def _find_embedding(
    folder: Path, asked: str | None, options: ReadOptions
) -> tuple[TensorFile, str]:
    """Return the file that has the embedding, and the name of its tensor."""
    openers: tuple[tuple[str, str, Callable[..., TensorFile]], ...] = (
        (SINGLE, INDEX, open_shard),
        (PICKLED, PICKLED_INDEX, open_pickled),
    )
    for single, index, opener in openers:
        if (folder / index).is_file():
            files = read_index(folder / index)["weight_map"]
            name = pick(list(files), str(folder)) if asked is None else asked
            if name not in files:
                raise FormatError(f"{folder / index}: names no tensor {name!r}")
            file = opener(folder / files[name], options)
            if name not in file.tensors:
                raise FormatError(
                    f"{file.path}: has no tensor {name!r}; get the file again"
                )
            return file, choose(file.tensors, str(file.path), name)
        if (folder / single).is_file():
            file = opener(folder / single, options)
            return file, choose(file.tensors, str(file.path), asked)
    others = [f"{name} is {what}" for name, what in other_weights(folder).items()]
    raise UnknownFormatError(
        f"{folder}: neither {SINGLE} nor {INDEX} is there"
        + (f"; {others[0]}" if others else "; get the model's files again")
    )


def _facts(path: Path) -> dict[str, Any]:
    config = json_object(path) if path.is_file() else {}
    return {name: config[name] for name in _FACTS if name in config}
