"""Which part of the package may import which, read from every import statement."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import pretrained_embed

ROOT = Path(pretrained_embed.__file__).parent
PACKAGE = "pretrained_embed"

#: A layer, and the layers or modules that it may import. Nothing calls to the left.
#: "public names" are those of the package itself and of its public modules.
LAYERS = {
    "errors": set(),
    "budget": {"errors"},
    "damage": {"errors"},
    "markup": set(),
    "arrays": {"errors"},
    "files": {"errors", "arrays"},
    "vocabulary": {"errors", "damage", "markup", "arrays", "files", "kernel"},
    "sources": {"errors", "budget", "damage", "arrays", "files"},
    "kernel": {"errors", "arrays"},
    "formats": {"errors", "budget", "damage", "arrays", "files", "kernel"},
    # objects that hold vectors and are no source are told what they are: `holders`
    "library": {
        *("errors", "budget", "damage", "arrays", "files", "sources"),
        *("formats", "fill", "holders", "former_options"),
    },
    "former_options": {"errors"},
    "arithmetic": {"arrays"},
    # forms of a token are told in words: see `ledger.story`
    "ledger": {
        *("errors", "markup", "arrays", "files", "vocabulary", "formats"),
        "lookup.match",
    },
    "lookup": {"errors", "arrays", "vocabulary", "formats", "kernel", "ledger"},
    "fill": {
        *("errors", "arrays", "vocabulary", "formats", "kernel", "ledger", "lookup"),
    },
    "recipe": {"errors", "formats", "ledger", "lookup", "fill"},
    "matrix": {
        *("errors", "markup", "arrays", "arithmetic", "vocabulary", "formats"),
        *("ledger", "recipe", "tools.plot", "tools.keyed_rows", "former_names"),
    },
    "holders": {"errors", "vocabulary", "matrix"},
    # a transformer of scikit-learn builds what it needs, by public names
    "adapters": {
        *("errors", "arrays", "vocabulary", "ledger", "matrix", "holders"),
        *("public names", "formats", "tools.plot"),
    },
    "build": {
        *("errors", "damage", "arrays", "files", "vocabulary", "sources", "kernel"),
        *("formats", "arithmetic", "ledger", "lookup", "fill", "recipe", "matrix"),
        "library",
    },
    "pipeline": {
        *("errors", "arrays", "files", "vocabulary", "sources", "kernel", "formats"),
        *("library", "former_options", "matrix", "build"),
        *("ledger", "lookup", "fill", "recipe", "budget"),
    },
    "tools": {
        *("public names", "errors", "markup", "arrays", "files"),
        *("formats", "kernel", "vocabulary", "sources", "ledger", "lookup", "recipe"),
        "matrix",
        *("build", "pipeline", "holders", "damage", "library", "former_options"),
    },
    "cli": {
        "public names",
        "errors",
        "kernel",
        "library.cache",
        "library.entry",
        "library.packages",
        "sources.url",
    },
    "former_names": {"vocabulary", "ledger"},
    "__init__": {
        *("errors", "vocabulary", "library", "formats", "ledger", "matrix"),
        *("lookup", "fill", "recipe", "build", "pipeline", "tools", "former_names"),
    },
    "__main__": {"cli"},
}

#: Other people's packages that a layer, or a module of it, may import at its head.
AT_THE_HEAD = {
    "arrays": {"numpy"},
    "vocabulary": {"numpy"},
    "sources.connections": {"requests", "urllib3"},
    "kernel": {"numpy"},
    "formats": {"numpy"},
    "build": {"numpy"},
    "arithmetic": {"numpy"},
    "ledger": {"numpy"},
    "lookup": {"numpy"},
    "fill": {"numpy"},
    "recipe": {"numpy"},
    "matrix": {"numpy"},
    "tools": {"numpy"},
    "adapters": {"numpy"},
    "adapters.sklearn": {"sklearn", "scipy"},
    "adapters.torch": {"torch"},
    "adapters._torch_split": {"torch"},
    "adapters._torch_table": {"torch"},
    "adapters._torch_exchange": {"torch"},
    "adapters._torch_chunk": {"torch"},
    "adapters._torch_sharded": {"torch"},
    "adapters.keras": {"keras"},
    "adapters._keras_embedding": {"keras"},
    "adapters._keras_split": {"keras"},
    "adapters.jax": {"jax", "flax"},
    "adapters._jax_rows": {"jax"},
    "adapters._jax_table": {"jax"},
    "adapters.equinox": {"equinox", "jax"},
    "adapters.linen": {"flax", "jax"},
    "adapters.gensim": {"gensim"},
    "cli": {"click", "numpy"},
}

#: What is imported only by the function that needs it.
WHERE_NEEDED = {
    "vocabulary": {"sentencepiece", "tokenizers"},
    "adapters.embedding_atlas": {"embedding_atlas", "pandas"},
    "files": {"filelock"},
    "sources": {"requests", "urllib3", "fsspec"},
    "formats": {"h5py", "pyarrow", "gensim"},
    "lookup": {"simplemma", "snowballstemmer"},
    "matrix": {"matplotlib"},
    "pipeline": {"numpy"},
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


#: Modules that anyone may import names of, but not what is in their folders.
PUBLIC_MODULES = ("errors", "formats", "ledger")


def may_import(module: str, below: str) -> bool:
    """Whether a module may import a name of this package, dotted below it."""
    layer, target = module.partition(".")[0], below.partition(".")[0]
    if target in PUBLIC_MODULES and "public names" in LAYERS[layer]:
        name = below.partition(".")[2]
        if not name or ("." not in name and not is_module(below)):
            return True
    if below == "__version__":
        return True
    if not below or not is_module(target):  # the package itself, or a name of it
        known = below in ("", *pretrained_embed.__all__)
        return known and "public names" in LAYERS[layer]
    if layer == target == "adapters":  # they share private modules only
        return below.startswith("adapters._")
    parts = below.split(".")
    prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return layer == target or bool(prefixes & LAYERS[layer])


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


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_layer_may(module):
    assert faults(module, source_of(module)) == []


def test_every_layer_is_in_the_table():
    assert {module.partition(".")[0] for module in modules()} == set(LAYERS)


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
        ("fill.parts", "from pretrained_embed import pipeline"),
        ("fill.parts", "from pretrained_embed import Vocabulary"),
        ("adapters.torch", "import keras"),
        ("adapters.torch", "from pretrained_embed.adapters import keras"),
        ("adapters.torch", "import click"),
        ("pipeline", "def f():\n    from pretrained_embed.adapters import torch"),
        ("cli.build", "from pretrained_embed.pipeline import build_matrix"),
        ("cli.build", "from pretrained_embed import _HOMES"),
        ("cli.build", "from pretrained_embed.sources import stream"),
        ("cli.build", "from pretrained_embed.formats import sink"),
        ("cli.build", "from pretrained_embed.formats.sink import write_table"),
        ("fill.parts", "import pretrained_embed as pe"),
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
        ("adapters.torch", "from pretrained_embed.adapters import _rows\nimport torch"),
        ("cli.build", "import click\nfrom pretrained_embed import build_matrix"),
        ("cli.build", "from pretrained_embed.formats import Findings"),
        ("cli.list", "from pretrained_embed.library import packages"),
        ("cli.list", "import pretrained_embed as pe"),
        ("pipeline", "from pretrained_embed import __version__, formats"),
    ],
)
def test_the_rule_can_be_kept(module, source):
    assert faults(module, source) == []
