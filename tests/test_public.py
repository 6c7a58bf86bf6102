"""The package as its users see it: names, docstrings, examples, cost of an import."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pretrained_embed as pe
from pretrained_embed import former_names

#: What is heavy, and is imported by the function that needs it alone.
HEAVY = (
    *("h5py", "requests", "urllib3", "gensim", "pyarrow", "click", "safetensors"),
    "fsspec",
    *("torch", "keras", "tensorflow", "jax", "flax", "scipy", "pandas"),
)

#: Modules that any installation can import: all but those that need a framework.
MODULES = [
    "pretrained_embed",
    *(
        module.name
        for module in pkgutil.walk_packages(pe.__path__, "pretrained_embed.")
        if ".adapters." not in module.name and not module.name.endswith("__main__")
    ),
]


# Names


def test_the_public_names_are_sorted_and_there():
    assert pe.__all__ == sorted(pe.__all__, key=lambda name: (not name.isupper(), name))
    assert len(set(pe.__all__)) == len(pe.__all__)
    for name in pe.__all__:
        assert getattr(pe, name) is not None
        assert name in dir(pe)


def test_star_imports_all_of_them():
    names: dict[str, object] = {}

    exec("from pretrained_embed import *", names)

    assert set(names) - {"__builtins__"} == set(pe.__all__)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(pe.__file__).read_text("utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))

    seen = [
        alias.asname or alias.name
        for statement in checked.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]

    assert sorted(set(seen) - {"errors", "formats", "ledger"}) == sorted(pe.__all__)


def test_there_are_few_names_and_dir_shows_no_other():
    assert len(pe.__all__) <= 45
    assert {name for name in dir(pe) if not name.startswith("__")} == set(pe.__all__)


def test_every_error_is_public():
    from pretrained_embed import errors

    classes = {
        name
        for name, item in vars(errors).items()
        if inspect.isclass(item) and issubclass(item, Exception)
    }

    assert pe.errors is errors
    for name in classes:
        assert issubclass(getattr(errors, name), pe.PretrainedEmbedError)
        assert name in errors.__doc__


@pytest.mark.parametrize("name", former_names.FORMER_PUBLIC)
def test_a_former_name_names_the_new_one(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; it is ") as asked:
        getattr(pe, name)
    with pytest.raises(ImportError, match=f"no attribute '{name}'; it is "):
        exec(f"from pretrained_embed import {name}")

    said = str(asked.value).partition("; it is ")[2].removesuffix(" now")
    if said.startswith("pretrained_embed."):
        assert eval(said.replace("pretrained_embed", "pe", 1)) is not None


def test_a_former_name_is_none_where_one_asks_whether_it_is_there():
    assert not hasattr(pe, "OptionError")


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'build_matrices'"):
        _ = pe.build_matrices


# Docstrings


def public_objects() -> dict[str, object]:
    found = {name: getattr(pe, name) for name in pe.__all__}
    found = {name: item for name, item in found.items() if callable(item)}
    for name, item in list(found.items()):
        if inspect.isclass(item):
            found |= {
                f"{name}.{member}": value
                for member, value in vars(item).items()
                if not member.startswith("_")
                and (callable(value) or isinstance(value, property | classmethod))
            }
    return found


@pytest.mark.parametrize("name", public_objects())
def test_everything_public_says_what_it_is(name):
    doc = inspect.getdoc(public_objects()[name]) or ""

    assert len(doc) > 10
    assert not doc.startswith(f"{name}(")  # what dataclasses write by themselves


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_its_examples_run(name):
    module = importlib.import_module(name)

    assert (module.__doc__ or "").strip()
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = [
        example
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
        if not example.options.get(doctest.SKIP)
    ]

    assert len(examples) >= 5


# What an import costs


def loaded(code: str) -> set[str]:
    """Return the heavy modules that a new process has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )
    return {name.partition(".")[0] for name in done.stdout.split()} & set(HEAVY)


def test_an_import_loads_nothing_heavy():
    everything = "import pretrained_embed as pe\nfor n in pe.__all__: getattr(pe, n)"

    assert loaded("import pretrained_embed") == set()
    assert loaded(everything) == set()


def test_a_build_from_text_loads_nothing_heavy(tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(b"a 1 2\nb 3 4\n")
    build = f"import pretrained_embed as pe; pe.build_matrix(['a', 'c'], {str(path)!r})"

    assert loaded(build) == set()
    assert loaded(f"{build}.save({str(tmp_path / 'm.npz')!r})") == set()


#: A build of three tokens, saved: prints how many files are entered, and how many
#: modules of formats and of the package are loaded.
SMALL_BUILD = """
import sys
import pretrained_embed as pe

pe.build_matrix, pe.Vocabulary  # so that their modules are run now
entered = set()
sys.setprofile(lambda frame, *_: entered.add(frame.f_code.co_filename))
matrix = pe.build_matrix(pe.Vocabulary(["the", "of", "to"]), "v.txt")
matrix.save("m.npz")
sys.setprofile(None)
names = [name.split(".") for name in sys.modules if "pretrained_embed" in name]
ours = [name for name in names if name[0] == "pretrained_embed"]
files = [name for name in entered if "pretrained_embed" in name]
print(len(files), sum("formats" in name for name in ours), len(ours))
"""


def test_a_small_build_enters_and_loads_little(tmp_path):
    (tmp_path / "v.txt").write_text("the 0.1 0.2\nof 0.3 0.4\nto 0.5 0.6\n")

    done = subprocess.run(
        [sys.executable, "-c", SMALL_BUILD],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    entered, formats, modules = map(int, done.stdout.split())
    assert 20 < entered <= 76
    assert 10 < formats <= 30
    assert 50 < modules <= 140


@pytest.mark.parametrize("name", ["h5py", "requests", "click"])
def test_what_is_loaded_would_be_seen(name):
    assert name in loaded(f"import pretrained_embed, {name}")
