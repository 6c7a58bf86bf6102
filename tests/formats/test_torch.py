"""What torch.save writes, read without running its pickle, against torch.load."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance import all_rows
from tables import stream_of

import pretrained_embed as pe
from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError, OptionError, SourceError
from pretrained_embed.formats.table import HOLES

TOKENS = ["the", "of", "à", "of course"]
TABLE = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 7
OLD = pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])


def saved(value: Any, folder: Path, *, old: bool = False) -> Path:
    """Save a value, with a list of tokens beside it."""
    path = folder / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=not old)
    folder.joinpath("model.tokens").write_text("\n".join(TOKENS) + "\n", "utf-8")
    return path


def rows_of(path: Path | str) -> tuple[list[str], np.ndarray]:
    with formats.open_reader(sources.open_source(path)) as reader:
        assert reader.format == "torch"
        return all_rows(reader)


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(4, 3)
        self.out = torch.nn.Linear(3, 2)
        self.position = torch.nn.Parameter(torch.zeros(9, 3))


def model() -> Model:
    made = Model()
    made.embedding.weight.data = TABLE.clone()
    return made


def trained() -> dict[str, Any]:
    """Return a checkpoint whose optimizer keeps matrices of the table's shape."""
    adam = {"step": torch.tensor(1.0), "exp_avg": TABLE + 1, "exp_avg_sq": TABLE + 2}
    return {
        "epoch": 3,
        "model": {"table": TABLE, "bias": TABLE[0]},
        "optimizer": {"state": {0: adam}, "param_groups": [{"params": [0, 1]}]},
        "args": {"lr": 0.1, "names": ["a", "b"]},
    }


WHOLE: dict[str, Callable[[], Any]] = {
    "tensor": lambda: TABLE,
    "parameter": lambda: torch.nn.Parameter(TABLE),
    "state dict": lambda: model().state_dict(),
    "checkpoint": trained,
    "module": model,
    "layer": lambda: torch.nn.Embedding.from_pretrained(TABLE),
    "doubles": lambda: TABLE.double(),
    "transposed": lambda: TABLE.t().contiguous().t(),
    "view": lambda: torch.cat([TABLE, TABLE], 1).repeat(2, 1)[4:, :3],
    "strided": lambda: TABLE.repeat_interleave(2, 1)[:, ::2],
    "tied": lambda: {"emb.weight": TABLE, "emb_out.weight": TABLE, "x": TABLE[0]},
    "array": lambda: {"vectors": TABLE.numpy()},
    "fortran": lambda: [np.asfortranarray(TABLE.numpy())],
    "attribute": lambda: {"deep": [({"the.key": (TABLE,)},)]},
}


@OLD
@pytest.mark.parametrize("kind", WHOLE)
def test_the_table_has_the_bits_that_torch_loads(kind, old, tmp_path):
    tokens, vectors = rows_of(saved(WHOLE[kind](), tmp_path, old=old))

    assert tokens == TOKENS
    assert vectors.tobytes() == TABLE.numpy().tobytes()


@OLD
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8"])
def test_every_dtype_is_what_torch_makes_of_it(dtype, old, tmp_path):
    table = (TABLE * 1.1).to(getattr(torch, dtype))
    path = saved({"emb": table}, tmp_path, old=old)

    expected = torch.load(path)["emb"].to(torch.float32).numpy()

    assert rows_of(path)[1].tobytes() == expected.tobytes()


def test_a_file_of_a_big_endian_machine_is_read(tmp_path):
    path = saved({"emb": TABLE, "other": TABLE.bfloat16()}, tmp_path)
    turned = tmp_path / "big.pt"
    with zipfile.ZipFile(path) as read, zipfile.ZipFile(turned, "w") as written:
        for info in read.infolist():
            content = read.read(info)
            if info.filename.endswith("/byteorder"):
                content = b"big"
            elif "/data/" in info.filename:
                width = "<u2" if len(content) == 24 else "<u4"
                content = np.frombuffer(content, width).byteswap().tobytes()
            written.writestr(info.filename, content)
    (tmp_path / "model.tokens").rename(tmp_path / "big.tokens")

    assert rows_of(turned)[1].tobytes() == TABLE.numpy().tobytes()
    halves = rows_of(f"{turned}#other")[1]
    assert halves.tobytes() == TABLE.bfloat16().float().numpy().tobytes()


# Tokens


@OLD
def test_the_cache_of_torchtext_has_its_tokens(old, tmp_path):
    numbers = {token: row for row, token in enumerate(TOKENS)}
    path = tmp_path / "glove.6B.3d.txt.pt"
    torch.save(
        (TOKENS, numbers, TABLE, 3), path, _use_new_zipfile_serialization=not old
    )

    tokens, vectors = rows_of(path)

    assert (tokens, vectors.tobytes()) == (TOKENS, TABLE.numpy().tobytes())
    matrix = pe.build_matrix(["of", "no"], path)
    assert matrix.vectors[matrix.vocabulary["of"]].tolist() == TABLE[1].tolist()


@pytest.mark.parametrize(
    "tokens",
    [
        {"vocab": TOKENS},
        {"vocab": tuple(TOKENS)},
        {"anything": TOKENS, "epochs": ["one", "two"]},
        {"stoi": {token: row for row, token in reversed([*enumerate(TOKENS)])}},
        {"itos": dict(enumerate(TOKENS))},
        {"itos": np.array(TOKENS)},
        {"itos": np.array(TOKENS, object)},
        {"config": {"word2idx": {token: row for row, token in enumerate(TOKENS)}}},
    ],
    ids=lambda tokens: str(tokens)[:20],
)
def test_tokens_in_the_file_come_first(tokens, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"state_dict": {"emb.weight": TABLE}, **tokens}, path)
    (tmp_path / "x.tokens").write_text("a\nb\nc\nd\n")

    assert rows_of(path)[0] == TOKENS


def test_rows_that_a_numbering_leaves_out_have_no_token(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"emb": TABLE, "word2idx": {"the": 1, "of": 3}, "epoch": 4}, path)

    table = formats.read_table(sources.open_source(path))

    assert table.tokens.unpack() == ["", "the", "", "of"]
    assert table.arrays[HOLES].tolist() == [0, 2]


@OLD
@pytest.mark.parametrize("kind", ["tensor", "bfloat16", "array", "list"])
def test_a_dictionary_from_token_to_vector_is_a_table(kind, old, tmp_path):
    make = {
        "tensor": lambda row: TABLE[row],
        "bfloat16": lambda row: TABLE[row].bfloat16(),
        "array": lambda row: TABLE[row].numpy(),
        "list": lambda row: TABLE[row].tolist(),
    }[kind]
    path = saved({t: make(row) for row, t in enumerate(TOKENS)}, tmp_path, old=old)

    tokens, vectors = rows_of(path)

    expected = TABLE.bfloat16().float() if kind == "bfloat16" else TABLE
    assert (tokens, vectors.tobytes()) == (TOKENS, expected.numpy().tobytes())


def test_a_tokenizer_in_the_folder_has_the_tokens(tmp_path):
    path = saved({"emb.weight": TABLE}, tmp_path)
    (tmp_path / "model.tokens").rename(tmp_path / "vocab.txt")

    assert rows_of(path)[0] == TOKENS


def test_a_file_without_tokens_says_what_to_do(tmp_path):
    path = saved(TABLE, tmp_path)
    (tmp_path / "model.tokens").unlink()

    with pytest.raises(FormatError, match=r"without tokens; put the list .*model\.txt"):
        rows_of(path)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_module_is_named_and_read(tmp_path):
    module = torch.jit.trace(torch.nn.Embedding(2, 3), torch.tensor([0]))
    module.save(tmp_path / "script.pt")

    with pytest.raises(FormatError, match=r"beside it as script\.txt\. .*TorchScript"):
        pe.open_vectors(tmp_path / "script.pt")
    (tmp_path / "script.txt").write_text("the\nof\n")

    with pe.open_vectors(tmp_path / "script.pt") as reader:
        assert all_rows(reader)[1].tolist() == module.weight.tolist()


def test_rows_of_padding_are_left_out_where_that_is_said(tmp_path):
    path = saved(torch.cat([TABLE, TABLE]), tmp_path)

    with pytest.raises(FormatError, match='layout="rows=4"'):
        rows_of(path)
    stream = sources.open_source(path)
    table = formats.open_reader(stream, layout="rows=4").table()
    assert table.arrays[HOLES].tolist() == [4, 5, 6, 7]


# Which table


def test_one_of_several_tables_is_named(tmp_path):
    path = saved({"in": {"u": TABLE}, "out": TABLE + 1, "bias": TABLE[0]}, tmp_path)

    with pytest.raises(
        FormatError, match=r"(?s)several matrices.*'in\.u' \(4, 3\) F32"
    ):
        rows_of(path)
    with pytest.raises(
        FormatError, match=r"(?s)no tensor 'v'.*\n  'in\.u' .*\n  'out' "
    ):
        rows_of(f"{path}#v")
    assert rows_of(f"{path}#out")[1].tobytes() == (TABLE + 1).numpy().tobytes()
    matrix = pe.build_matrix(["of"], f"{path}#in.u")
    assert matrix.vectors[matrix.vocabulary["of"]].tolist() == TABLE[1].tolist()


def test_each_table_of_a_file_has_a_store_of_its_own(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"itos": TOKENS, "u": TABLE, "v": TABLE + 1}, path)
    library = pe.Library(tmp_path / "cache")

    for name, expected in (("u", TABLE), ("v", TABLE + 1)):
        with pytest.raises(OptionError, match="may be in another file"):
            library.index(f"{path}#{name}")
        with library.open(f"{path}#{name}") as reader:
            assert all_rows(reader)[1].tobytes() == expected.numpy().tobytes()


def test_many_tables_are_not_all_listed(tmp_path):
    path = saved({f"t{i}": TABLE + i for i in range(30)}, tmp_path)

    with pytest.raises(FormatError, match=r"'t19' .*\n  and 10 more"):
        rows_of(path)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (lambda: torch.quantize_per_tensor(TABLE, 0.1, 0, torch.qint8), "quantised of"),
        (lambda: TABLE.to_sparse(), r"sparse of shape \(4, 3\)"),
        (lambda: TABLE.to(torch.complex64), "C64 of shape"),
        (lambda: TABLE.to(torch.int64), "I64 of shape"),
        (lambda: TABLE.to(torch.float8_e4m3fn), "float8_e4m3fn of shape"),
        (lambda: torch.ones(1, 3).expand(4, 3), "does not lie once in the 3"),
        (lambda: {"a": 1}, r"a pickle of a dict, .*numpy\.savez"),
        (lambda: [1, "a", None], "a pickle of a list"),
        (lambda: torch.zeros(4), "no matrix"),
    ],
)
@OLD
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_what_is_no_table_of_numbers_is_named(value, match, old, tmp_path):
    with pytest.raises(FormatError, match=f"(?s){match}"):
        rows_of(saved(value(), tmp_path, old=old))


# Nothing is run


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@OLD
def test_nothing_of_the_pickle_is_run(old, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved({"emb": TABLE, "bomb": Bomb()}, tmp_path, old=old)

    assert rows_of(path)[0] == TOKENS
    assert not (tmp_path / "ran").exists()


# Damage


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, content: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, raw in content.items():
            archive.writestr(name, raw)
    return path


def test_a_zip_that_was_packed_again_says_how_to_unpack_it(tmp_path):
    path = saved(TABLE, tmp_path)
    rewritten(path, members(path), compression=zipfile.ZIP_DEFLATED)

    with pytest.raises(FormatError, match=r"' is packed.*zip -0"):
        rows_of(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.pop("model/data/0"), "has no storage '0'"),
        (
            lambda m: m.update({"model/data/0": bytes(40)}),
            "does not lie once in the 10",
        ),
        (lambda m: m.update({"model/byteorder": b"odd"}), "its byte order is b'odd'"),
        (lambda m: m.update({"model/data.pkl": b"\x80\x02."}), "a value is missing"),
        (
            lambda m: m.update({"other/data.pkl": b"", "other/version": b""}),
            "2 pickles",
        ),
    ],
)
def test_a_damaged_zip_is_refused(change, match, tmp_path):
    path = saved(TABLE, tmp_path)
    content = members(path)
    change(content)
    rewritten(path, content)

    with pytest.raises(FormatError, match=match):
        rows_of(path)


class Elsewhere:
    """Pickles to a persistent id."""

    def __init__(self, *id: Any) -> None:
        self.id = id


class Made:
    """Pickles to a call of one of PyTorch's functions."""

    def __init__(self, name: str, *args: Any) -> None:
        self.name, self.args = name, args

    def __reduce__(self) -> Any:
        return getattr(torch._utils, self.name), self.args


def crafted(value: Any, path: Path, storages: dict[str, bytes]) -> Path:
    """Write a file whose pickle says what it is told."""
    written = io.BytesIO()
    pickler = pickle.Pickler(written, 2)
    pickler.persistent_id = lambda it: it.id if isinstance(it, Elsewhere) else None  # type: ignore[method-assign]  # meant to be set
    pickler.dump(value)
    content = {"a/data.pkl": written.getvalue(), "a/version": b"3\n"}
    content |= {f"a/data/{key}": raw for key, raw in storages.items()}
    path.with_suffix(".tokens").write_text("\n".join(TOKENS) + "\n", "utf-8")
    return rewritten(path, content)


def tensor(start: Any, shape: Any, strides: Any, key: Any = "0") -> Made:
    storage = Elsewhere("storage", torch.FloatStorage, key, "cpu", 12)
    return Made("_rebuild_tensor_v2", storage, start, shape, strides, False, {})


def test_a_crafted_file_is_read_as_one_of_torch(tmp_path):
    raw = TABLE.numpy().tobytes()

    path = crafted(tensor(0, (4, 3), (3, 1)), tmp_path / "x.pt", {"0": raw})

    assert rows_of(path)[1].tobytes() == raw


@pytest.mark.parametrize(
    "made",
    [
        tensor(1, (4, 3), (3, 1)),
        tensor(0, (4, 3), (4, 1)),
        tensor(0, (4, 3), (1 << 62, 1)),
        tensor(1 << 62, (4, 3), (3, 1)),
        tensor(0, (1 << 40, 3), (0, 0)),
        tensor(0, (1 << 62, 1 << 62), (0, 0)),
        tensor(0, (5, 3), (1, 1)),
        tensor(0, (4, 3), (3, 1), "no"),
        tensor(0, (4, 3), (-3, 1)),
        tensor(-1, (4, 3), (3, 1)),
        tensor(0, (4, 3), (3,)),
        tensor(0, [4, 3], (3, 1)),
        tensor(0, (4, 3.0), (3, 1)),
        tensor(0, (0, 3), (3, 1)),
        tensor(None, (4, 3), (3, 1)),
        tensor(0, (4, 3), (3, 1), 7),
        Made("_rebuild_tensor_v2"),
        Made("_rebuild_tensor_v3", 1, 2, 3),
        Made("_rebuild_parameter"),
        Made("_rebuild_sparse_tensor", 1),
        Made("_rebuild_qtensor"),
    ],
    ids=map(str, range(21)),
)
def test_a_tensor_that_lies_elsewhere_is_refused(made, tmp_path):
    raw = TABLE.numpy().tobytes()

    path = crafted({"emb": made}, tmp_path / "x.pt", {"0": raw})

    with pytest.raises(FormatError):
        rows_of(path)


def test_a_pickle_that_holds_itself_is_gone_through_once(tmp_path):
    loop: dict[str, Any] = {"emb": TABLE}
    loop["self"] = [loop, (loop, {"again": loop})]
    for _ in range(200):
        loop = {"in": loop, "same": loop}

    with pytest.raises(FormatError, match="in which no vectors were found"):
        rows_of(saved(loop, tmp_path))


def test_long_names_do_not_fill_the_memory(tmp_path):
    held: Any = [TABLE] * 100_000
    for _ in range(20):
        held = {"k" * 900: held}

    with pytest.raises(FormatError, match="in which no vectors were found"):
        rows_of(saved(held, tmp_path))


@OLD
def test_a_cut_file_is_an_error_of_ours(old, tmp_path):
    raw = saved({"emb": TABLE}, tmp_path, old=old).read_bytes()
    path = tmp_path / "model.pt"

    for size in range(64, len(raw) - 1, 29):
        path.write_bytes(raw[:size])
        with pytest.raises((FormatError, SourceError)):
            rows_of(path)


def test_files_of_an_old_version_are_named(tmp_path):
    raw = saved(TABLE, tmp_path, old=True).read_bytes()
    path = tmp_path / "model.pt"
    path.write_bytes(raw.replace(b"\x80\x02M\xe9\x03.", b"\x80\x02M\xe8\x03.", 1))

    with pytest.raises(FormatError, match="of version 1000, and 1001 is read"):
        rows_of(path)


def test_without_mapping_the_same_is_read(tmp_path):
    path = saved({"emb": TABLE}, tmp_path)

    with pe.Library(mmap=False, stores=False).open(path) as reader:
        path.write_bytes(b"")
        assert all_rows(reader)[1].tobytes() == TABLE.numpy().tobytes()


def test_a_stream_is_read_as_a_file_is(tmp_path):
    torch.save((TOKENS, {}, TABLE, 3), tmp_path / "x.pt")
    raw = (tmp_path / "x.pt").read_bytes()

    with formats.open_reader(sources.open_source(io.BytesIO(raw))) as reader:
        assert all_rows(reader)[0] == TOKENS
    assert formats.open_reader(stream_of(tmp_path / "x.pt")).count == 4


def test_a_bit_that_changed_fails_a_checksum(tmp_path):
    path = saved({"embedding.weight": TABLE, "other": torch.ones(2, 2)}, tmp_path)
    raw = path.read_bytes()
    at = raw.find(TABLE.numpy().tobytes())
    for place, what in ((at, "storage '0'"), (raw.find(b"embedding.w"), "data.pkl'")):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(FormatError, match=rf"{what} fails its checksum; get the"):
            rows_of(path)
    other = raw.find(torch.ones(2, 2).numpy().tobytes())  # of what is not read
    path.write_bytes(raw[:other] + b"\1" + raw[other + 1 :])
    assert rows_of(path)[1].tobytes() == TABLE.numpy().tobytes()


def test_checksums_that_were_not_written_are_not_compared(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = saved({"embedding.weight": TABLE}, tmp_path)
    finally:
        torch.serialization.set_crc32_options(True)

    assert rows_of(path)[1].tobytes() == TABLE.numpy().tobytes()


def test_bytes_that_need_a_scale_are_refused(tmp_path):
    table = torch.ones(4, 3, dtype=torch.int8)
    for scale in ("e.weight.absmax", "e.SCB", "e.weight_scale", "e.scales"):
        path = saved({"e.weight": table, scale: torch.ones(4)}, tmp_path)
        with pytest.raises(FormatError, match=f"to be multiplied by '{scale}'"):
            rows_of(path)


def test_positions_are_not_taken_for_tokens(tmp_path):
    for other in ("pos_emb.weight", "x.position_embeddings", "token_type_embeddings.w"):
        path = saved({"tok_emb.weight": TABLE, other: torch.ones(9, 3)}, tmp_path)
        assert rows_of(path)[1].tobytes() == TABLE.numpy().tobytes()
