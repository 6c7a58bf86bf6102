"""The package as its users see it: names, docstrings, examples, cost of an import."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
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


def source_of(item: object) -> Path:
    """Return the file of a class or a function, whatever module it names."""
    functions = [item, *vars(item).values()] if inspect.isclass(item) else [item]
    for function in map(inspect.unwrap, functions):
        path = Path(getattr(getattr(function, "__code__", None), "co_filename", "<>"))
        if path.is_file():
            return path
    return Path(sys.modules[item.__module__].__file__)


def definitions() -> dict[str, tuple[ast.AST, bool]]:
    """Return what is public as it is written, by file and name; and if in a class."""
    found: set[tuple[Path, str]] = set()
    for module in (pe, pe.formats, pe.ledger):
        for name in module.__all__:
            item = getattr(module, name)
            if inspect.isclass(item) or inspect.isfunction(item):
                found.add((source_of(item), item.__name__))
    errors = Path(pe.errors.__file__)
    for node in ast.parse(errors.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            found.add((errors, node.name))
    for path in Path(pe.__file__).parent.joinpath("adapters").glob("[a-z]*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add((path, node.name))
    trees = {path: ast.parse(path.read_text("utf-8")) for path, _ in found}
    written: dict[str, tuple[ast.AST, bool]] = {}
    for path, name in sorted(found):
        for node in trees[path].body:
            if getattr(node, "name", "_") != name or name.startswith("_"):
                continue
            written[f"{path.stem}.{name}"] = node, False
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    written[f"{path.stem}.{name}.{part.name}"] = part, True
    return {
        name: found
        for name, found in written.items()
        if not any(
            re.search("overload|property|setter", ast.unparse(decorator))
            for decorator in found[0].decorator_list
        )
    }


DEFINITIONS = definitions()


def sections(doc: str) -> dict[str, str]:
    """Return the sections of a docstring in the style of numpy, by their titles."""
    parts = re.split(r"^(\w+)\n-+\n", doc, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def missing_of(node: ast.AST, is_method: bool) -> set[str]:
    """Return what the docstring of a definition does not say."""
    told = sections(ast.get_docstring(node) or "")
    made = node
    if isinstance(node, ast.ClassDef):  # fields are described where they are declared
        made = next(
            (n for n in node.body if getattr(n, "name", "") == "__init__"), None
        )
    missing = set()
    if made is not None:
        of = made.args
        names = [arg.arg for arg in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
        names += [f"{arg.arg}" for arg in (of.vararg, of.kwarg) if arg]
        heads = re.findall(r"^\S.*", told.get("Parameters", ""), re.MULTILINE)
        known = set(re.findall(r"\w+", " ".join(h.partition(" : ")[0] for h in heads)))
        missing |= set(names) - known - {"self", "cls"}
    if isinstance(node, ast.FunctionDef):
        kind = ast.unparse(node.returns) if node.returns else "None"
        if kind not in ("None", "Never", "NoReturn") and not told.keys() & {
            "Returns",
            "Yields",
        }:
            missing.add("Returns")
        for raised in ast.walk(node):
            if isinstance(raised, ast.Raise) and isinstance(raised.exc, ast.Call):
                error = ast.unparse(raised.exc.func).rpartition(".")[2]
                if error.endswith("Error") and error not in told.get("Raises", ""):
                    missing.add(error)
    is_error = getattr(node, "name", "").endswith("Error")
    if not (is_method or is_error or "Examples" in told):
        missing.add("Examples")
    return missing


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_public_docstring_has_parameters_results_errors_and_examples(name):
    assert missing_of(*DEFINITIONS[name]) == set()


def test_a_docstring_without_them_is_found():
    written = """
        def read(path: str, *, rows: int) -> int:
            '''Read rows.

            Parameters
            ----------
            path : str
                The file, not its rows : int.
            '''
            raise OptionError("no")
    """
    (node,) = ast.parse(inspect.cleandoc(written)).body

    assert missing_of(node, False) == {"rows", "Returns", "OptionError", "Examples"}
    assert missing_of(node, True) == {"rows", "Returns", "OptionError"}


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
