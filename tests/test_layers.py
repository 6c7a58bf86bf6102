"""Which part of the package may import which, read from every import statement."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import pretrained_embed

ROOT = Path(pretrained_embed.__file__).parent
PACKAGE = "pretrained_embed"

ARCHITECTURE = ROOT.parent / "docs" / "architecture.md"


def layers() -> dict[str, frozenset[str]]:
    """Return what each layer, or a part of one, may import, as the document says.

    "public names" are those of the package itself and of its public modules, "names of
    formats" those in ``formats/__init__.py``.
    """
    text = ARCHITECTURE.read_text("utf-8")
    table = text.partition("## Layers")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if "| `" in line]
    names = [row[0].strip().strip("`").rstrip("/").replace("/", ".") for row in rows]
    assert len(set(names)) == len(names)
    return {
        name: frozenset(part.strip() for part in row[2].split(",")) - {"-"}
        for name, row in zip(names, rows, strict=True)
    }


LAYERS = layers()

#: Other people's packages that a layer, or a module of it, may import at its head.
AT_THE_HEAD = {
    "arrays": {"numpy"},
    "vocabulary": {"numpy"},
    "sources.connections": {"requests", "urllib3"},
    "kernel": {"numpy"},
    "formats": {"numpy"},
    "build": {"numpy"},
    "bits": {"numpy"},
    "ledger": {"numpy"},
    "lookup": {"numpy"},
    "fill": {"numpy"},
    "recipe": {"numpy"},
    "matrix": {"numpy"},
    "tools": {"numpy"},
    "adapters": {"numpy"},
    "adapters.sklearn": {"sklearn", "scipy"},
    "adapters.torch": {"torch"},
    "adapters.transformers": {"torch"},
    "adapters._torch_frozen_rows": {"torch"},
    "adapters._torch_split": {"torch"},
    "adapters._torch_table": {"torch"},
    "adapters._torch_sharded": {"torch"},
    "adapters.keras": {"keras"},
    "adapters._keras_embedding": {"keras"},
    "adapters._keras_split": {"keras"},
    "adapters.jax": {"jax", "flax"},
    "adapters._jax_table": {"jax"},
    "adapters.equinox": {"equinox", "jax"},
    "adapters.linen": {"flax", "jax"},
    "adapters.gensim": {"gensim"},
    "cli": {"click", "numpy"},
}

#: What is imported only by the function that needs it.
WHERE_NEEDED = {
    "library.hub": {"huggingface_hub"},
    "vocabulary": {"sentencepiece", "tokenizers"},
    "adapters.embedding_atlas": {"embedding_atlas", "pandas", "pyarrow"},
    "arrays": {"tqdm"},
    "files": {"filelock"},
    "sources": {"requests", "urllib3", "fsspec"},
    "formats.gguf": {"gguf"},
    "formats": {"isal", "h5py", "pyarrow", "gensim"},
    "lookup": {"simplemma", "snowballstemmer"},
    "matrix": {"matplotlib"},
    "tools": {"matplotlib", "sklearn", "threadpoolctl", "tokenizers", "umap"},
    "cli": {"distributed"},
}


class Import(NamedTuple):
    name: str  # dotted, in full
    at_head: bool  # runs when the module is imported


def imports(tree: ast.Module) -> Iterator[Import]:
    deferred = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, node not in deferred)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


#: What "public names" are in, beside the package itself.
PUBLIC_MODULES = ("errors", "formats", "ledger")


def allowed(module: str) -> set[str]:
    """Return what a module may import: that of its layer, and of the parts it is in."""
    parts = module.split(".")
    prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    found = set().union(*(LAYERS.get(prefix, frozenset()) for prefix in prefixes))
    if "public names" in found:
        found |= {f"names of {name}" for name in PUBLIC_MODULES}
    return found


def may_import(module: str, below: str) -> bool:
    """Whether a module may import a name of this package, dotted below it."""
    layer, target = module.partition(".")[0], below.partition(".")[0]
    may = allowed(module)
    if below == "__version__":
        return True
    if not below or not is_module(target):  # the package itself, or a name of it
        known = below in ("", *pretrained_embed.__all__)
        return known and "public names" in may
    if layer == target == "adapters":  # they share private modules only
        return below.startswith("adapters._")
    parts = below.split(".")
    if (
        f"names of {target}" in may
        and len(parts) <= 2
        and (len(parts) == 1 or not is_module(below))
    ):
        return True
    prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return layer == target or bool(prefixes & may)


def faults(module: str, source: str) -> list[str]:
    """Return what a module (its name below the package) imports and may not."""
    layer = module.partition(".")[0]
    found = []
    for name, at_head in imports(ast.parse(source)):
        top, _, below = name.partition(".")
        if top == PACKAGE:
            if not may_import(module, below):
                found.append(f"{module}: {name}")
        elif top not in sys.stdlib_module_names and top != "_typeshed":
            allowed = AT_THE_HEAD.get(layer, set()) | AT_THE_HEAD.get(module, set())
            if not at_head:
                allowed = allowed | WHERE_NEEDED.get(layer, set())
                allowed = allowed | WHERE_NEEDED.get(module, set())
            if top not in allowed:
                found.append(f"{module}: {name}{' at its head' if at_head else ''}")
    return found


def modules() -> list[str]:
    paths = [path.relative_to(ROOT).with_suffix("") for path in ROOT.rglob("*.py")]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def source_of(module: str) -> str:
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text("utf-8")


def files_imported(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which modules each imports, to check types or when called included.

    A folder that a name comes from is none of them: packages name what is in them.
    """
    return {
        module: {
            found
            for name, _ in imports(ast.parse(source))
            for below in [name.removeprefix(PACKAGE).removeprefix(".")]
            for found in [below if below in sources else below.rpartition(".")[0]]
            if name.startswith(PACKAGE) and found in sources
        }
        - {module}
        for module, source in sources.items()
    }


def circle(sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return modules that import one another in a circle, or none."""
    try:
        TopologicalSorter(files_imported(sources)).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def test_no_modules_import_one_another_in_a_circle():
    files = [
        module for module in modules() if not ROOT.joinpath(*module.split(".")).is_dir()
    ]
    assert (
        circle({module: source_of(module) for module in files if module != "__init__"})
        == ()
    )


def test_a_circle_is_seen_wherever_it_is_imported():
    sources = {
        "matrix": "from pretrained_embed.ledger import kept",
        "ledger.kept": "def f():\n    from pretrained_embed.tools.plot import scatter",
        "tools.plot": "if TYPE_CHECKING:\n    from pretrained_embed.matrix import A",
    }
    assert set(circle(sources)) == set(sources)
    assert circle(sources | {"tools.plot": "import numpy"}) == ()


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_layer_may(module):
    assert faults(module, source_of(module)) == []


def test_every_layer_is_in_the_table():
    assert {module.partition(".")[0] for module in modules()} == {
        layer for layer in LAYERS if "." not in layer
    }
    assert {layer for layer in LAYERS if not is_module(layer)} == set()


def test_the_document_names_files_that_exist():
    text = ARCHITECTURE.read_text("utf-8")
    named = set(re.findall(r"`([\w./]+(?:\.py|/))`", text))

    assert len(named) > 40
    for name in named:
        assert (ROOT / name).exists() or (ROOT.parent / name).exists(), name


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "import numpy"),
        ("sources.http", "import requests"),
        ("sources.http", "from pretrained_embed.formats import Reader"),
        ("formats.text", "from pretrained_embed import sources"),
        ("formats.text", "def f():\n    import pretrained_embed.fill"),
        ("formats.text", "if TYPE_CHECKING:\n    from pretrained_embed import matrix"),
        ("formats.hdf5", "import h5py"),
        ("formats.hdf5", "class A:\n    import h5py"),
        ("formats.text", "def f():\n    import torch"),
        ("kernel._reference", "from pretrained_embed.vocabulary import Vocabulary"),
        ("fill.parts", "from pretrained_embed import saved"),
        ("fill.parts", "from pretrained_embed import Vocabulary"),
        ("adapters.torch", "import keras"),
        ("adapters.torch", "from pretrained_embed.adapters import keras"),
        ("adapters.torch", "import click"),
        ("saved", "def f():\n    from pretrained_embed.adapters import torch"),
        ("cli.build", "from pretrained_embed.build.call import build_matrix"),
        ("cli.build", "from pretrained_embed import _HOMES"),
        ("cli.build", "from pretrained_embed.sources import stream"),
        ("cli.build", "from pretrained_embed.formats import sink"),
        ("cli.build", "from pretrained_embed.formats.sink import write_table"),
        ("fill.parts", "import pretrained_embed as pe"),
        ("tools.drift", "from pretrained_embed.build.rows import located_in"),
        ("tools.drift", "from pretrained_embed.formats.text.layout import Layout"),
        ("tools.drift", "from pretrained_embed.library.library import Library"),
        ("__init__", "from pretrained_embed import cli"),
    ],
)
def test_the_rule_can_be_broken(module, source):
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sources.http", "def f():\n    import requests, json, os.path"),
        ("formats.text", "from pretrained_embed import kernel\nimport numpy as np"),
        (
            "adapters.torch",
            "from pretrained_embed.adapters import _tables\nimport torch",
        ),
        ("cli.build", "import click\nfrom pretrained_embed import build_matrix"),
        ("cli.build", "from pretrained_embed.formats import Findings"),
        ("cli.catalog", "from pretrained_embed.library import packages"),
        ("cli.catalog", "import pretrained_embed as pe"),
        ("tools.drift", "from pretrained_embed.library import Library"),
        ("tools.source_coverage", "from pretrained_embed.build.rows import located_in"),
        ("saved", "from pretrained_embed import __version__, formats"),
    ],
)
def test_the_rule_can_be_kept(module, source):
    assert faults(module, source) == []
