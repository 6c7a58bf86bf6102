"""The store: an indexed copy of a source, from which any rows are had at once.

One HDF5 file that `write_store` makes from any reader and `open_store` opens without
reading its vectors. It holds all rows of the source, duplicates included::

    /vectors         float32 or float16 (rows, dim), contiguous; mapped when opened;
                     or /vectors_bfloat16, uint16, or /vectors_int8: see `bits`
    /arrays/scales   float32 (rows,) of rows of int8
    /tokens/bytes    uint8   all tokens, one after the other
    /tokens/offsets  int64   (rows + 1,) where each begins and the last ends
    /index/starts    int64   (2**bits + 1,) where hashes with each highest bits begin
    /index/hashes    uint64  (rows,) ascending: the hashes of the tokens
    /index/rows      int64   (rows,) the row of each hash; of equal hashes, ascending
    /statistics      float64 (2, dim) mean and deviation of the source's first rows
    /checksums       uint32  (rows,) of each row of the vectors: see `directory`
    /metadata        uint8   a JSON object: format, findings, provenance

After the end of what HDF5 knows there are a directory (see `directory`), which says
where all of these lie and has a digest of all but the vectors, its length and a mark.
So it takes no library to open a store, and damage is seen; that of vectors when they
are first used.

A look-up hashes the token, finds its hash by the highest bits, and compares the bytes
of the token there. Vectors, tokens and metadata lie where
`pretrained_embed.formats.hdf5.reader` has them, so a store is also a table in HDF5.
"""

from pretrained_embed.formats.store.directory import DTYPES, VERSION, Dtype
from pretrained_embed.formats.store.reader import StoreReader, open_store
from pretrained_embed.formats.store.writer import write_store

__all__ = ["DTYPES", "VERSION", "Dtype", "StoreReader", "open_store", "write_store"]
