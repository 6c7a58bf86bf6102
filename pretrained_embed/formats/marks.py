"""The bytes, or the files of a folder, by which each format is recognised.

The tests are cheap, and need no code of a format: they run for all formats before the
code of one is loaded. A file that passes a test may still be damaged or of another
format: then the reader reports it.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from pretrained_embed.errors import SourceError
from pretrained_embed.formats.reader import ByteStream

#: First bytes.
NPY = b"\x93NUMPY"
HDF5 = b"\x89HDF\r\n\x1a\n"
FASTTEXT = b"\xba\x16\x4f\x2f"  # 793712314, little-endian
FINALFUSION = b"FiFu"
GGUF = b"GGUF"
ZIP = b"PK\x03\x04"
SQLITE = b"SQLite format 3\0"
PARQUET = b"PAR1"
ARROW = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"  # before each message
TORCH = 0x1950A86A20F9469CFC6C

#: The largest header of a safetensors file in bytes.
SAFETENSORS_HEADER = 100_000_000

#: The pattern of the first line of a floret table.
FLORET = rb"([0-9]{1,10} ){4}[1-4] [0-9]{1,10} [^ \n]+ [^ \n]+\r?\n"

#: Files of a Hugging Face model.
CONFIG = "config.json"
MODULES = "modules.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: The same, before safetensors.
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"

#: Files of a model's tokenizer, in the order they are looked for.
TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "whitespacetokenizer_config.json",
)
#: Files that belong to these.
ADDED_TOKENS, TOKENIZER_CONFIG = "added_tokens.json", "tokenizer_config.json"
TOKENIZER_FILES = (*TOKENIZERS, ADDED_TOKENS, TOKENIZER_CONFIG)

#: The endings of a list of tokens beside a file of vectors.
TOKEN_LISTS = (".tokens", ".vocab", ".parquet", ".json", ".txt")

#: The endings of weights that are not read, but named in an error.
OTHER_WEIGHTS = (
    *(".pt", ".pth", ".gguf"),
    *(".onnx", "tf_model.h5", "flax_model.msgpack", "adapter_model.safetensors"),
)

#: Members of a Keras model with its layers and its weights.
KERAS_CONFIG, KERAS_WEIGHTS = "config.json", "model.weights.h5"

#: The key under which this package writes into other formats.
OWN = "pretrained_embed"

#: Files of the vectors of a spaCy pipeline.
SPACY_VECTORS, SPACY_KEYS, SPACY_CONFIG = "vectors", "key2row", "vectors.cfg"
SPACY_STRINGS = "strings.json"

#: A fastText model from before 2017 has no magic number: ``dim`` and eleven more
#: numbers, of which the seventh and the eighth are its loss and its kind.
_OLD_FASTTEXT = struct.Struct("<12i")
_LARGEST_DIM, _LOSSES, _KINDS = 1 << 20, range(1, 5), range(1, 4)

_LOOKED_AT = 1 << 16  # bytes of text
_JSON = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"(?:[^"\\]|\\.)*"\s*:|\[\s*\{\s*["}])', re.DOTALL
)
#: A quoted field at the start, or a tab before a name or a quoted field.
_NAMES_OR_QUOTES = re.compile(rb'"|[^\t]*\t["A-Za-z_]')
#: The largest schema of an Arrow stream in bytes.
_ARROW_SCHEMA = 1 << 28

#: The beginning of a file of torch.save: before PyTorch 1.6 a pickle of a number, since
#: then a zip, whose members lie in one folder.
_OLD_TORCH = b"\x80\x02\x8a\x0a" + TORCH.to_bytes(10, "little") + b"."
_OF_TORCH = re.compile(
    rb"PK\x03\x04.{26}[^/]{1,255}/"
    rb"(?:data\.pkl|version|byteorder|\.\w+|constants\.pkl|data/|code/|extra/)",
    re.DOTALL,
)
_OF_KERAS = re.compile(
    rb"PK\x03\x04.{26}(?:metadata\.json|config\.json|model\.weights\.h5|assets/)",
    re.DOTALL,
)
#: Names of groups and attributes of HDF5 that Keras writes, the first those of Keras 3.
_KERAS_NAMES = (b"vars\0", b"model_weights\0", b"layer_names\0")
_KERAS_SHARDS = re.compile(
    rb'\s*\{[^\[]{0,512}"weight_map".{0,8192}\.weights\.h5"', re.DOTALL
)
_PICKLE = b"\x80"
_CLASS, _FIELDS = 64, 1 << 10  # bytes in which a pickle names its class, or a field
_LONGEST_REFERENCE = 100  # bytes; a commit has 40


def npz(head: bytes, stream: ByteStream) -> bool:
    """Return whether this is a zip whose first member is a ``.npy`` array."""
    name_length = int.from_bytes(head[26:28], "little")
    name = head[30 : 30 + name_length]
    return head.startswith(ZIP) and name.endswith(b".npy")


def npy(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes begin like a ``.npy`` array."""
    return head.startswith(NPY)


def hdf5(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes are HDF5, also after a user block."""
    starts = [0, *(512 << i for i in range(len(head).bit_length()))]
    return any(head.startswith(HDF5, start) for start in starts)


def keras(head: bytes, stream: ByteStream) -> bool:
    """Return whether this may be a Keras model, or HDF5 with a name of Keras."""
    if _OF_KERAS.match(head) or _KERAS_SHARDS.match(head):
        return True
    return any(name in head for name in _KERAS_NAMES) and hdf5(head, stream)


def safetensors(head: bytes, stream: ByteStream) -> bool:
    """Return whether a JSON object follows a plausible length."""
    if head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    known = stream.size is None or 8 + length <= stream.size
    return 2 <= length <= SAFETENSORS_HEADER and known


def fasttext(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes may be a model of fastText or floret."""
    if head.startswith(FASTTEXT):
        return True
    if head[3:4] != b"\0" or len(head) < _OLD_FASTTEXT.size:
        return False
    dim, *_, loss, kind, _, _, _, _ = _OLD_FASTTEXT.unpack_from(head)
    return 1 <= dim <= _LARGEST_DIM and loss in _LOSSES and kind in _KINDS


def torch(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes begin like a file of torch.save."""
    return head.startswith(_OLD_TORCH) or _OF_TORCH.match(head) is not None


def gensim(head: bytes, stream: ByteStream) -> bool:
    """Return whether this is a pickle whose first object is one of gensim's.

    A user's subclass has another name, but the same fields.
    """
    if not head.startswith(_PICKLE):
        return False
    return b"gensim." in head[:_CLASS] or b"vector_size" in head[:_FIELDS]


def pickled(head: bytes, stream: ByteStream) -> bool:
    """Return whether this is another pickle, or a ``.npy`` with a pickle inside."""
    if head.startswith(NPY):
        return b"'descr': '|O'" in head[:_CLASS]
    if not head.startswith(_PICKLE) or head[1:2] not in (b"\2", b"\3", b"\4", b"\5"):
        return False
    others = (safetensors, torch, gensim)  # which may have the same first bytes
    return not any(known(head, stream) for known in others)


def gguf(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes begin like a model of llama.cpp."""
    return head.startswith(GGUF)


def finalfusion(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes begin like a file of finalfusion."""
    return head.startswith(FINALFUSION)


def magnitude(head: bytes, stream: ByteStream) -> bool:
    """Return whether this is an SQLite database with one of Magnitude's tables."""
    return head.startswith(SQLITE) and b"magnitude_format" in head


def parquet(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes are Parquet, and not text with such a token."""
    return head.startswith(PARQUET) and head[4:5] not in (b" ", b"\t")


def arrow(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes are a file of Arrow IPC, or a stream of it."""
    if head.startswith(ARROW_STREAM):
        length = int.from_bytes(head[4:8], "little")
        return 0 < length <= _ARROW_SCHEMA and length % 8 == 0
    return head.startswith(ARROW + b"\0\0")


def json(head: bytes, stream: ByteStream) -> bool:
    """Return whether the bytes begin like a JSON object or a list of objects."""
    return _JSON.match(head, 0, _LOOKED_AT) is not None


def csv(head: bytes, stream: ByteStream) -> bool:
    """Return whether the first line may be CSV; its reader checks it again."""
    first = head[:_LOOKED_AT].partition(b"\n")[0]
    if b"\0" in first:
        return False
    return b"," in first or b";" in first or bool(_NAMES_OR_QUOTES.match(first))


def floret(head: bytes, stream: ByteStream) -> bool:
    """Return whether line 1 is floret's header and line 2 begins with a 0."""
    end = head.find(b"\n") + 1
    return head[end : end + 2] == b"0 " and bool(re.fullmatch(FLORET, head[:end]))


def sharded(folder: Path) -> bool:
    """Return whether a folder may hold a matrix of this package in shards."""
    try:
        index = folder.joinpath(INDEX).read_bytes()
    except OSError:
        return False
    return b'"%s"' % OWN.encode() in index


def hugging_face(folder: Path) -> bool:
    """Return whether a folder has a file that models of Hugging Face have."""
    folder = snapshot(folder)
    own = (SINGLE, INDEX, PICKLED, PICKLED_INDEX, CONFIG, MODULES)
    if any((folder / name).is_file() for name in own):
        return True
    try:
        return any(path.name.endswith(OTHER_WEIGHTS) for path in folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror or error}") from error


def keras_folder(folder: Path) -> bool:
    """Return whether a folder has Keras weights and a config."""
    return all((folder / name).is_file() for name in (KERAS_WEIGHTS, KERAS_CONFIG))


def spacy(folder: Path) -> bool:
    """Return whether a folder has the vectors of a spaCy pipeline."""
    return spacy_folder(folder) is not None


def snapshot(folder: Path) -> Path:
    """Return the folder of the model in a folder of the hub's cache.

    There, ``refs/main`` names one of the folders in ``snapshots``. Other folders are
    returned unchanged.
    """
    reference = folder / "refs" / "main"
    if not reference.is_file():
        return folder
    name = reference.read_bytes()[:_LONGEST_REFERENCE].decode("ascii", "replace")
    found = folder / "snapshots" / name.strip()
    return found if found.parent.name == "snapshots" and found.is_dir() else folder


def spacy_folder(path: Path) -> Path | None:
    """Return the folder with the vectors of a spaCy pipeline."""
    inside = sorted(path.glob(f"*/vocab/{SPACY_VECTORS}"))
    for file in (path / SPACY_VECTORS, path / "vocab" / SPACY_VECTORS, *inside):
        others = (file.parent / SPACY_KEYS, file.parent / SPACY_CONFIG)
        if file.is_file() and any(other.is_file() for other in others):
            return file.parent
    return None
