"""A framework that is not installed, and one that nobody asked for."""

import subprocess
import sys

import pytest


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.parametrize(
    ("adapter", "package", "extra"),
    [
        *((name, name, name) for name in ("torch", "keras", "jax", "equinox")),
        *(("linen", "flax", "jax"), ("gensim", "gensim", "gensim")),
        ("transformers", "torch", "transformers"),
    ],
)
def test_the_error_says_what_to_install(adapter, package, extra):
    program = (
        "import sys\n"
        f"sys.modules['{package}'] = None\n"  # makes its import fail
        "try:\n"
        f"    import pretrained_embed.adapters.{adapter}\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )

    output = run(program)

    assert output.startswith("MissingPackageError")
    assert f"adapters.{adapter} needs" in output
    assert f"pip install 'pretrained-embed[{extra}]'" in output


def test_no_framework_is_imported_unasked():
    program = (
        "import sys, pretrained_embed, pretrained_embed.adapters\n"
        "names = {'torch', 'keras', 'tensorflow', 'jax', 'flax', 'gensim'}\n"
        "names.add('equinox')\n"
        "print(sorted(names & set(sys.modules)))\n"
    )

    assert run(program).strip() == "[]"
