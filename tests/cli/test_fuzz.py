"""Any bytes as vocabulary or vectors: an exit code and a message, never a traceback."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.command_line import run

PIECES = [b"the", b"cat", b" ", b"\t", b"\n", b"\r", b"\0", b"1", b"-2.5", b"3 2"]
PIECES += [
    b"1e999",
    b"nan",
    b"[",
    b"]",
    b'"',
    b"{",
    b"}",
    b":",
    b",",
    b"\xff",
    b"\x1b[",
]
PIECES += [
    b"\xc3\xa9",
    b"\xef\xbb\xbf",
    b"PK\x03\x04",
    b"\x93NUMPY\x01\x00",
    b"\x1f\x8b",
]
PIECES += [
    b"\x89HDF\r\n\x1a\n",
    b"\xfd7zXZ\x00",
    b"BZh9",
    b"\x80\x04",
    b"0 0\n",
    b"\x00" * 8,
]

content = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join),
)

# The folder is the same for all examples; each writes its files anew.
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(*words):
    result = run(*words)  # in which no exception but SystemExit may come out

    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.stderr
    if result.exit_code:
        assert result.stderr.startswith(("Error: ", "Usage: "))
        assert result.stdout == ""


@fuzzed
@given(content)
def test_any_bytes_as_vocabulary(data):
    Path("fuzz").write_bytes(data)

    check("build", "--vocab", "fuzz", "--source", "vectors.txt", "--json")


@fuzzed
@given(content, st.sampled_from(["0", "100%"]))
def test_any_bytes_as_source(data, bad_rows):
    Path("fuzz").write_bytes(data)

    check(
        *("build", "--vocab", "vocab.txt", "--source", "fuzz", "--json"),
        *("--bad-rows", bad_rows),
    )


@fuzzed
@given(content)
def test_info_of_any_bytes(data):
    Path("fuzz").write_bytes(data)

    check("info", "fuzz", "--json")


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors", ".bin"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data())
def test_info_and_build_of_a_damaged_matrix(suffix, data):
    name = f"good{suffix}"
    if not Path(name).exists():
        run("build", "--vocab", "vocab.txt", "--source", "vectors.txt", "-o", name)
    raw = bytearray(Path(name).read_bytes())
    end = data.draw(st.integers(0, len(raw)))
    at = data.draw(st.integers(0, max(end - 1, 0)))
    del raw[end:]
    raw[at : at + 1] = data.draw(st.binary(max_size=4))
    damaged = Path(f"damaged{suffix}")
    damaged.write_bytes(raw)

    check("info", damaged, "--json")
    check("build", "--vocab", "vocab.txt", "--source", damaged)


@fuzzed
@given(
    st.lists(
        st.sampled_from(
            [
                "build",
                "list",
                "info",
                "cache",
                "--json",
                "-o",
                "--oov",
                "--vocab",
                "vocab.txt",
                "x",
                "",
                "-",
                "--",
                "--dim",
                "3",
            ]
        ),
        max_size=6,
    )
)
def test_any_words_on_the_command_line(words):
    result = run(*words)

    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.stderr
    assert Path("vocab.txt").read_text().startswith("the\n")
