"""Formats of other packages, each a real distribution on the path."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from command_line import run
from tables import example

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    UnknownFormatError,
    WriteError,
)

#: A format of JSON, ``{token: numbers}``, behind a mark.
MINE = """
import json
from contextlib import contextmanager

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats import Format
from pretrained_embed.formats.table_reader import TableReader

MARK = b"MINE\\x00"


def sniff(head, stream):
    return head.startswith(MARK)


def open_reader(stream):
    with stream.open() as file:
        rows = json.loads(file.read()[len(MARK) :])
    tokens = PackedTokens.pack([*rows])
    vectors = np.array([*rows.values()], np.float32)
    return TableReader("mine", stream.name, tokens, vectors)


class Sink:
    def __init__(self, file):
        self.file, self.rows = file, {}

    def append(self, block):
        self.rows.update(zip(block.tokens.unpack(), block.vectors.tolist()))

    def finish(self, annotations):
        self.file.write(MARK + json.dumps(self.rows).encode())


@contextmanager
def open_sink(path, announced):
    with open(path, "wb") as file:
        yield Sink(file)


FORMAT = Format(
    "mine",
    "JSON behind a mark",
    f"{__name__}:open_reader",
    sniff=sniff,
    sink=f"{__name__}:open_sink",
    suffixes=(".mine",),
    dtypes=("float32",),
)
"""

ROWS = b"the 1.0 2.0\nof 3.0 4.0\n"


def install(folder: Path, name: str, code: str, value: str = "FORMAT") -> None:
    """Put a distribution with one module and one entry point into a folder."""
    (folder / f"{name}.py").write_text(textwrap.dedent(code), "utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    group = "[pretrained_embed.formats]"
    (info / "entry_points.txt").write_text(f"{group}\n{name} = {name}:{value}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = {*sys.modules}
    yield folder
    for name in {*sys.modules} - before:
        if name.startswith("plug_"):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def mine(site):
    install(site, "plug_mine", MINE)
    return site


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b'MINE\0{"the": [1.0, 2.0], "of": [3.0, 4.0]}')
    return path


def test_a_format_of_another_package_is_read(mine, path):
    with pe.open_vectors(path) as reader:
        (block,) = reader.blocks()
        table = reader.table()

    assert (reader.format, reader.dim, reader.count) == ("mine", 2, 2)
    assert block.tokens == ["the", "of"]
    assert table.vectors.tolist() == [[1, 2], [3, 4]]


def test_a_matrix_is_built_of_it(mine, path):
    matrix = pe.build_matrix(["of", "zzz"], path, oov="zeros")

    assert matrix["of"].tolist() == [3, 4]
    assert matrix.vectors.tobytes() == (
        pe.build_matrix(["of", "zzz"], _as_text(path), oov="zeros").vectors.tobytes()
    )


def _as_text(path: Path) -> Path:
    path.with_suffix(".txt").write_bytes(ROWS)
    return path.with_suffix(".txt")


@pytest.mark.parametrize("choice", [{"format": "mine"}, {}])
def test_it_is_written_by_its_name_and_by_its_suffix(mine, path, tmp_path, choice):
    out = tmp_path / "new.mine"

    done = pe.convert(_as_text(path), out, **choice)

    assert done.format == "mine"
    assert out.read_bytes() == path.read_bytes()


def test_the_command_line_writes_it(mine, path, tmp_path):
    done = run("convert", _as_text(path), tmp_path / "new", "--to", "mine")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "new").read_bytes() == path.read_bytes()


def test_a_build_writes_it_by_its_suffix(mine, path, tmp_path):
    (tmp_path / "vocab.txt").write_text("the\nof\n")
    new = tmp_path / "new.mine"
    options = ("--vocab", tmp_path / "vocab.txt", "--no-pad", "--source", path)

    done = run("build", *options, "-o", new)
    refused = run("build", *options, "--dtype", "float16", "-o", new)
    unknown = run("build", *options, "-o", tmp_path / "new.mime")

    assert done.exit_code == 0, done.output
    assert new.read_bytes() == path.read_bytes()
    assert (refused.exit_code, unknown.exit_code) == (2, 2)
    assert "dtype is 'float16'; mine holds float32" in refused.output
    assert ".mine" in unknown.output


def test_the_command_line_lists_it(mine):
    table = run("info", "--formats").output.splitlines()
    known = json.loads(run("info", "--formats", "--json").stdout)["formats"]

    assert table[-1].split() == ["mine", "yes", "yes", ".mine", "a", "plug-in"]
    assert [each["name"] for each in known if each["plugin"]] == ["mine"]
    assert {"name": "mine", "read": True, "written": True}.items() <= known[-1].items()
    assert run("info", "glove-6b-50d", "--formats").exit_code == 2


def test_it_is_listed(mine):
    assert [each.name for each in formats.known_formats()][-1] == "mine"
    assert "JSON behind a mark" in formats.table_of_formats(formats.known_formats())
    with pytest.raises(OptionError, match=r"mine; did you mean 'mine'\?"):
        formats.write_table("x", example(), format="mime")
    with pytest.raises(WriteError, match=r"\.bin \.mine, or name the format"):
        formats.write_table("x.zzz", example())


def test_what_it_cannot_hold_is_refused_as_for_our_formats(mine, tmp_path):
    with pytest.raises(WriteError, match="has no token, and mine has no row without"):
        formats.write_table(tmp_path / "x.mine", example())
    with pytest.raises(OptionError, match="dtype is 'float16'; mine holds float32"):
        pe.convert(tmp_path / "v.txt", tmp_path / "x.mine", dtype="float16")


def test_plug_ins_are_looked_up_only_where_no_format_of_ours_fits(tmp_path):
    """A start is not slower for them."""
    program = """
        import sys
        import pretrained_embed as pe
        pe.build_matrix(["the"], "v.txt").save("m.npz")
        pe.convert("v.txt", "n.npy")
        print("importlib.metadata" in sys.modules, end=" ")
        print("pretrained_embed.formats.plugins" in sys.modules)
        try:
            pe.open_vectors("zeros")
        except pe.errors.FormatError:
            print("pretrained_embed.formats.plugins" in sys.modules)
    """
    (tmp_path / "v.txt").write_bytes(ROWS)
    (tmp_path / "zeros").write_bytes(bytes(50))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )

    assert done.stdout.split() == ["False", "False", "True"]


BROKEN = {
    "plug_missing": "import a_module_that_is_nowhere",
    "plug_syntax": "def f(:",
    "plug_exit": "import sys; sys.exit(3)",
    "plug_assert": "assert False, 'two\\nlines'",
    "plug_unset": "pass",
    "plug_other": "FORMAT = 'mine'",
    "plug_number": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format(5, 'x')",
    "plug_taken": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format('npz', 'x')",
    "plug_dtypes": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format('x', 'x', dtypes=('int8',))",
    "plug_suffix": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format('x', 'x', suffixes=('x',))",
    "plug_suffixes": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format('x', 'x', suffixes='.x')",
    "plug_holds": "from pretrained_embed.formats import Format\n"
    "FORMAT = Format('x', 'x', holds=['rows'])",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plug_in_is_named_and_left_out(mine, path, tmp_path, name):
    install(mine, name, BROKEN[name])
    unknown = tmp_path / "unknown"
    unknown.write_bytes(b"\0\1\2")

    with pe.open_vectors(path) as reader:
        assert reader.format == "mine"
    with pytest.raises(UnknownFormatError) as caught:
        pe.open_vectors(unknown)

    message = str(caught.value)
    assert f"the format '{name}' of the package {name} is left out: " in message
    assert "\n" not in message


def test_metadata_that_cannot_be_read_is_told(mine, path, monkeypatch):
    from pretrained_embed.formats import plugins

    def broken(**_):
        raise AttributeError("no group")

    monkeypatch.setattr(plugins, "entry_points", broken)

    with pytest.raises(UnknownFormatError, match="plug-ins cannot be listed: Attr"):
        pe.open_vectors(path)


#: What a plug-in may do instead of what it should: a function that replaces one of its.
HOSTILE = {
    "sniff": "def sniff(head, stream): return 1 / 0",
    "sniff exits": "def sniff(head, stream): raise SystemExit(3)",
    "open": "def open_reader(stream): raise KeyError('x')",
    "nothing there": "del open_reader",
    "no reader": "def open_reader(stream): return 5",
    "dim": """
        whole = open_reader
        def open_reader(stream):
            reader = whole(stream)
            reader.dim = "many"
            return reader
    """,
    "blocks": """
        class Bad(TableReader):
            def packed_blocks(self, **options):
                yield 1, 2
            def select(self, *args, **options):
                return [].x
            def table(self):
                return None
            def rows(self, progress=None):
                return None
        def open_reader(stream):
            return Bad("mine", "x", PackedTokens.pack(["the"]), np.ones((1, 2), "f4"))
    """,
    "blocks of another dim": """
        class Bad(TableReader):
            def packed_blocks(self, **options):
                for block in super().packed_blocks(**options):
                    yield block._replace(vectors=block.vectors[:, :1])
            def select(self, index, out, **options):
                return super().select(index, out[:0], **options)._replace(ranks=[])
            def rows(self, progress=None):
                return None
        def open_reader(stream):
            return Bad("mine", "x", PackedTokens.pack(["the"]), np.ones((1, 2), "f4"))
    """,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_plug_in_raises_in_reading_is_one_error_of_ours(site, path, name):
    code = MINE.replace("FORMAT =", textwrap.dedent(HOSTILE[name]) + "\nFORMAT =")
    install(site, "plug_hostile", code)

    for use in (
        lambda: [*pe.open_vectors(path).blocks()],
        lambda: pe.build_matrix(["the"], path),
        lambda: pe.convert(path, path.with_name("x.npy")),
    ):
        with pytest.raises(FormatError, match=r"'mine'.*update or remove") as caught:
            use()
        assert "plug-in" in str(caught.value)
    done = run("info", path)
    assert done.exit_code == 1
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "code",
    [
        "def open_sink(path, announced): return 5",
        "del open_sink",
        "Sink.append = lambda self, block: [].x",
        "Sink.finish = None",
        "Sink.finish = lambda self, annotations: exit(3)",
    ],
)
def test_what_a_plug_in_raises_in_writing_is_one_error_of_ours(site, path, code):
    install(site, "plug_hostile", MINE.replace("FORMAT =", f"{code}\nFORMAT ="))

    with pytest.raises(WriteError, match="'mine' is of a plug-in, which failed"):
        pe.convert(_as_text(path), path.with_name("x.mine"))


def test_of_two_plug_ins_of_one_name_the_first_is_taken(mine, path):
    install(mine, "plug_next", MINE.replace("JSON behind", "others behind"))

    found = [each for each in formats.known_formats() if each.name == "mine"]

    assert [each.title for each in found] == ["JSON behind a mark"]
    (path.parent / "unknown").write_bytes(bytes(9))
    with pytest.raises(UnknownFormatError, match=r"'plug_next'.* is empty or taken"):
        pe.open_vectors(path.parent / "unknown")
