"""The arrays of an object that gensim saved: in its pickle, or in files beside it.

Names of classes and functions in the pickle are names only: nothing of the kind is ever
imported or called. `reader` has the names of the files.
"""

from __future__ import annotations

import errno

from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.foreign import PACKED
from pretrained_embed.formats.local import file_size, open_file
from pretrained_embed.formats.marks import NPY
from pretrained_embed.formats.npy.reader import map_matrix
from pretrained_embed.formats.npz.reader import Archive
from pretrained_embed.formats.pickles.pickled import (
    ARRAY_NAMES,
    MADE_NAMES,
    PickledObject,
    array_of,
    text_of,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.unknown import mark_of

_ELSEWHERE = "__numpys"  # the attribute that lists the arrays kept in other files
_MARK, _ARRAYS = 64, (NPY, b"PK")  # bytes that tell what is an array, or is none


class Arrays:
    """Gives the matrices of one object by name.

    ``prefix`` is what the object adds to the names of files beside the pickle: nothing,
    or ".wv" for the word vectors of a model.
    """

    def __init__(self, stream: ByteStream, owner: PickledObject, prefix: str) -> None:
        self._stream = stream
        self._attributes = owner.attributes
        listed = self._attributes.get(_ELSEWHERE)
        names = listed if type(listed) is list else []
        self._elsewhere = {text_of(name) for name in names}
        self._prefix = prefix

    def get(self, name: str) -> AnyArray | None:
        """Return an array of numbers, ``None`` where the object has none of the name.

        Raises `FormatError` where it is damaged, or where its file is not to be found.
        """
        value = self._attributes.get(name)
        if type(value) is PickledObject and value.is_array():
            return array_of(value, f"{self._stream.name}, array {name!r}")
        if name in self._elsewhere:
            return self._beside(name)
        if type(value) is PickledObject:
            raise FormatError(
                f"{self._stream.name}: its {name!r} is a {value.kind}, not an array; "
                f"make it one, numpy.asarray(...), and save the model again"
            )
        return None

    def _beside(self, name: str) -> AnyArray:
        path, options = self._stream.path, self._stream.read_options
        if path is None:
            raise FormatError(
                f"{self._stream.name}: its array {name!r} is in a file of its own, "
                "which is looked for beside plain files only; unpack it, and keep both "
                "in one folder"
            )
        own = path.name
        usual = f"{own}{self._prefix}.{name}.npy"
        packed = [f"{own}{suffix}{self._prefix}.{name}.npz" for suffix in ("", *PACKED)]
        for sibling in (usual, *packed):
            try:
                with open_file(path.with_name(sibling), options) as file:
                    head = file.read(_MARK)
                    what = None if head.startswith(_ARRAYS) else mark_of(head)
                    if what is not None:
                        raise FormatError(
                            f"{sibling}, which has the array {name!r} of "
                            f"{self._stream.name}: this is {what}"
                        )
                    if sibling == usual:
                        return map_matrix(file, sibling)
                    budget = options.budget_of(sibling, file_size(file))
                    with Archive(file, sibling, budget) as archive:
                        return archive.read(_only(archive, sibling))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    continue  # there is none
                raise SourceError(
                    f"cannot read {path.with_name(sibling)}: {error.strerror or error}"
                ) from error
        raise FormatError(
            f"{self._stream.name}: its array {name!r} is in {usual}, which is not "
            "beside it; gensim wrote both, so copy both, under the names they had"
        )


def _only(archive: Archive, where: str) -> str:
    if len(archive.names) != 1:
        raise FormatError(f"{where}: {len(archive.names)} arrays; expected one")
    return next(iter(archive.names))


_CLASSES = {
    "keyedvectors": "KeyedVectors BaseKeyedVectors WordEmbeddingsKeyedVectors "
    "Word2VecKeyedVectors EuclideanKeyedVectors FastTextKeyedVectors "
    "Doc2VecKeyedVectors Vocab CompatVocab",
    "word2vec": "Word2Vec Word2VecVocab Word2VecTrainables Vocab",
    "fasttext": "FastText FastTextKeyedVectors FastTextVocab FastTextTrainables",
    "doc2vec": "Doc2Vec Doc2VecVocab Doc2VecTrainables DocvecsArray Doctag",
    "wrappers.fasttext": "FastText FastTextKeyedVectors",
}

#: The names that are usual in such a pickle. Beside gensim's classes these are arrays,
#: and what a model keeps for its training: a hash function, a random generator. Others
#: are told of.
KNOWN = (
    ARRAY_NAMES
    | MADE_NAMES
    | {
        f"gensim.models.{module}.{name}"
        for module, names in _CLASSES.items()
        for name in names.split()
    }
    | {"gensim.utils.call_on_class_only"}
    | {f"{m}.{n}" for m in ("builtins", "__builtin__") for n in ("hash", "int", "long")}
    | {
        "numpy.random.__RandomState_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
    }
)
