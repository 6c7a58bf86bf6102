"""``info``: this installation, files of vectors, saved matrices, catalog names."""

import hashlib
import json
import pickle
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import kernel
from tests import servers
from tests.command_line import run


def told(text):
    """Return the names and values of lines that have two columns."""
    pairs = [line.split("  ", 1) for line in text.splitlines() if "  " in line]
    return {name: value.strip() for name, value in pairs}


def test_without_an_argument_it_tells_about_the_installation(tmp_path):
    known = json.loads(run("info", "--json").stdout)

    assert known["kernel"] == kernel.IMPLEMENTATION
    assert known["numpy"] == np.__version__
    assert known["python"] == ".".join(map(str, sys.version_info[:3]))
    assert known["cache"] == str(tmp_path / "cache")
    assert known["cache_bytes"] == 0
    assert known["frameworks"].get("gensim") == version("gensim")


def test_people_read_the_same():
    known = json.loads(run("info", "--json").stdout)

    text = told(run("info").stdout)

    assert text["kernel"] == known["kernel"]
    assert text["cache"] == f"{known['cache']} (0 B)"
    assert f"gensim {version('gensim')}" in text["frameworks"]


def test_frameworks_are_found_without_importing_them():
    script = (
        "import sys\n"
        "from pretrained_embed.cli.program import program\n"
        "try:\n"
        "    program.main(['info'])\n"
        "finally:\n"
        "    heavy = {'torch', 'keras', 'jax', 'gensim', 'h5py', 'requests'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_file_is_described_with_its_faults():
    Path("v.txt").write_text("4 2\nthe 1 2\ncat 3\nthe 5 6\n\u00e9 7 8\n")

    result = run("info", "v.txt")

    assert result.exit_code == 0
    assert told(result.stdout) | {
        "file": "v.txt",
        "format": "text",
        "rows": "4",
        "declared": "4",
        "dim": "2",
        "first tokens": "'the', 'the', '\u00e9'",
    } == told(result.stdout)
    assert "1 malformed row was left out" in result.stdout
    assert "line 3: 1 values, 2 expected" in result.stdout


def test_a_header_that_lies_is_told():
    Path("v.txt").write_text("9 2\nthe 1 2\ncat 3 4\n")

    assert told(run("info", "v.txt").stdout)["declared"] == "9, which is false"


def test_an_archive_is_told_with_its_members_and_its_digest():
    with zipfile.ZipFile("v.zip", "w") as archive:
        archive.writestr("a/v.txt", "the 1 2\ncat 3 4\n")
        archive.writestr("README", "vectors")

    text = told(run("info", "v.zip#a/v.txt").stdout)

    assert text["archive"] == "zip"
    assert text["member"] == "a/v.txt"
    assert text["members"] == "a/v.txt, README"
    assert text["sha256"] == hashlib.sha256(Path("v.zip").read_bytes()).hexdigest()
    assert text["norms"] == "2.236 to 5, mean 3.618"


def test_what_is_wrong_with_a_file_is_left_to_examine():
    Path("v.txt").write_text("the 1 2\nthe 3 4\n")

    assert "See 'pretrained-embed examine' for: repeated-tokens." in (
        run("info", "v.txt").stdout
    )


def test_json_tells_the_same_of_a_file():
    Path("v.txt").write_text("the 1 2\ncat 3\ndog 5 6\n")

    known = json.loads(run("info", "v.txt", "--json").stdout)

    findings = known.pop("findings")
    expected = {
        "file": "v.txt",
        "format": "text",
        "rows": 3,
        "declared_rows": None,
        "dim": 2,
        "first_tokens": ["the", "dog"],
    }
    assert expected.items() <= known.items()
    assert known["norms"]["max"] == pytest.approx(np.hypot(5, 6))
    assert findings["bad_rows"] == 1
    assert findings["doubts"][0]["line"] == 2


def test_no_more_than_five_tokens_are_shown():
    rows = "".join(f"t{i} 1 2\n" for i in range(20))
    Path("v.txt").write_text(rows)

    known = json.loads(run("info", "v.txt", "--json").stdout)

    assert known["first_tokens"] == ["t0", "t1", "t2", "t3", "t4"]
    assert known["rows"] == 20


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_a_saved_matrix_tells_its_coverage_and_provenance(suffix):
    name = f"m{suffix}"
    build = ("--match", "exact,lower", "--seed", "9", "-o", name, "--json")
    built = json.loads(
        run("build", "--vocab", "vocab.txt", "--source", "vectors.txt", *build).stdout
    )

    known = json.loads(run("info", name, "--json").stdout)
    text = run("info", name).stdout

    del built["output"], built["workers"]  # of the build, not of the file
    assert known["matrix"] == built
    assert known["rows"] == 5
    assert str(pe.load_matrix(name).coverage) in text
    lines = told(text)
    assert lines["pad token"] == "'<pad>', row 0"
    assert lines["built from"] == "vectors.txt"
    assert (lines["match"], lines["seed"]) == ("exact,lower", "9")
    assert not {"special_oov", "postprocess", "scale"} & lines.keys()  # are empty


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("findings", {}),
        ("findings", 1),
        ("findings", {"doubts": [1]}),
        ("findings", {"doubts": [], "rows": "4"}),
        ("findings", {"doubts": [[0, 1, 2]]}),
        ("findings", {"doubts": [[0, "1", "short"]]}),
        ("findings", {"doubts": [], "notes": [1]}),
        ("provenance", []),
        ("provenance", {"options": 1}),
        ("provenance", {"options": {"seed": [], "match": {}}, "source": "s"}),
        ("provenance", {"options": {"x": 1}, "source": {"name": 1, "licence": []}}),
        ("vocabulary", {"pad": 1, "unk": None}),
        ("vocabulary", []),
        ("origins", None),
        ("pretrained_embed", "1"),
    ],
)
def test_metadata_of_any_form_is_shown_or_is_a_message(part, value):
    run("build", "--vocab", "vocab.txt", "--source", "vectors.txt", "-o", "m.h5")
    with h5py.File("m.h5", "r+") as file:
        changed = json.loads(file["metadata"][()].tobytes()) | {part: value}
        del file["metadata"]
        file["metadata"] = np.frombuffer(json.dumps(changed).encode(), np.uint8)

    for words in (("info", "m.h5"), ("info", "m.h5", "--json")):
        result = run(*words)

        assert result.exit_code in (0, 1)
        assert (result.exit_code == 1) == result.stderr.startswith("Error: m.h5")


def test_a_table_of_another_tool_is_no_saved_matrix():
    np.savez("t.npz", vectors=np.ones((2, 3), np.float32), tokens=np.array(["a", "b"]))

    known = json.loads(run("info", "t.npz", "--json").stdout)

    assert (known["format"], known["rows"], known["dim"]) == ("npz", 2, 3)
    assert "matrix" not in known


def test_a_name_shows_its_entry_and_downloads_nothing(tmp_path):
    result = run("info", "glove-6b-300d")

    assert result.exit_code == 0
    lines = told(result.stdout)
    assert (lines["name"], lines["dim"]) == ("glove-6b-300d", "300")
    assert (lines["rows"], lines["here"]) == ("400,000", "no")
    assert "PDDL" in lines["licence"]
    assert not (tmp_path / "cache").exists()


def test_a_name_of_one_language_of_many_has_an_entry():
    known = json.loads(run("info", "fasttext-cc-de-300", "--json").stdout)

    assert (known["id"], known["languages"]) == ("fasttext-cc-de-300", ["de"])
    assert known["here"] is None
    assert all("{lang}" not in url for url in known["urls"])


def test_a_file_with_the_name_of_an_entry_is_written_with_its_folder():
    Path("glove-6b-50d").write_text("the 1 2\n")

    entry = json.loads(run("info", "glove-6b-50d", "--json").stdout)
    file = json.loads(run("info", "./glove-6b-50d", "--json").stdout)

    assert entry["id"] == "glove-6b-50d"
    assert file["rows"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("glove-6b-51d", "did you mean glove-6b-50d"),
        ("nowhere.txt", "no such file"),
        (".", "one of 2 files of ."),
        ("vocab.txt", "not recognised"),
    ],
)
def test_what_cannot_be_described_is_a_message(words, said):
    result = run("info", words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_a_pickle_is_named_and_not_opened():
    Path("m.pkl").write_bytes(pickle.dumps({"the": [1.0]}))

    result = run("info", "m.pkl")

    assert result.exit_code == 1
    assert "pickle" in result.stderr


def test_forms_of_one_name_are_counted_together():
    rows = [("eht", [1.0]), ("CAT", [2.0])]
    Path("rows.txt").write_text("".join(f"{t} {v[0]}\n" for t, v in rows))
    both = [lambda token: token[::-1], lambda token: token.upper()]
    pe.build_matrix(["the", "cat"], "rows.txt", match=both).save("m.npz")

    known = json.loads(run("info", "m.npz", "--json").stdout)

    origins = known["matrix"]["origins"]
    assert [n for name, n in origins.items() if "lambda" in name] == [2]


def test_of_a_url_the_beginning_is_read_and_nothing_is_kept(monkeypatch):
    rows = b"".join(b"token%d 0.5 1.5\n" % row for row in range(400_000))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    with servers.serving("good.pem") as host:
        host.files["vectors.txt"] = b"400000 2\n" + rows
        url = f"{host.url}vectors.txt"

        text = run("info", url).stdout
        known = json.loads(run("info", url, "--json").stdout)
        offline = run("info", url, "--offline")

    assert "rows          not counted" in text
    assert known["dim"] == 2
    assert known["declared_rows"] == 400_000
    assert known["size"] == len(rows) + 9
    assert known["first_tokens"] == [f"token{row}" for row in range(5)]
    assert all(span is not None for _, span in host.asked)
    assert offline.exit_code == 1
    assert "not in the cache" in offline.stderr
    assert pe.Library().cache.entries() == []
