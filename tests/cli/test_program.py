"""What all commands share: help, exit codes, errors as messages, odd terminals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pretrained_embed.cli.output import printable
from pretrained_embed.cli.program import SUMMARIES, program
from tests.command_line import finish, run, start

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")

#: Sets a limit that the system puts on the process.
LIMIT = "import resource; resource.setrlimit(resource.{}, ({size}, {size}))"

needs_dev_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="this system has no device that is full"
)


def commands(group: click.Group = program, path: tuple[str, ...] = ()):
    """Yield the words of each command, groups included."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


every_command = pytest.mark.parametrize("words", list(commands()), ids=" ".join)


def test_commands_are_summed_up_as_their_help_begins():
    assert {
        name: command.get_short_help_str(200)
        for name, command in program.commands.items()
    } == SUMMARIES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--version"], "pretrained-embed "),
        (["", "b"], "plain,build\n"),
        (["", "--v"], "plain,--version\n"),
    ],
    ids=str,
)
def test_the_version_and_completion_need_no_numpy(words, said):
    command = "import sys; sys.modules['numpy'] = None; "
    command += "from pretrained_embed.cli import main; main()"
    asked = [sys.executable, "-c", command]
    completion = {
        "_PRETRAINED_EMBED_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["pretrained-embed", *words[1:]]),
        "COMP_CWORD": "1",
    }
    more = completion if len(words) > 1 else {}
    ran = subprocess.run(
        asked if more else [*asked, *words],
        env={**os.environ, **more},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.startswith(said)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["build", "--source", "glove-6"], ["plain,glove-6b-50d", "file,glove-6"]),
        (["build", "--match", "exact,lo"], ["plain,exact,lower"]),
        (["build", "--oov", "ngram,nor"], ["plain,ngram,normal"]),
        (["convert", "a.txt", "b", "--to", "glo"], ["plain,glove"]),
        (
            ["index", "fasttext-cc-d"],
            ["plain,fasttext-cc-de-300", "file,fasttext-cc-d"],
        ),
        (["list", "--lang"], ["plain,--language"]),
    ],
    ids=str,
)
def test_a_shell_completes_names_formats_and_forms(words, completed):
    ran = subprocess.run(
        [sys.executable, "-m", "pretrained_embed"],
        env=os.environ
        | {
            "_PYTHON_M_PRETRAINED_EMBED_COMPLETE": "bash_complete",
            "_PRETRAINED_EMBED_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["pretrained-embed", *words]),
            "COMP_CWORD": str(len(words)),
        },
        check=True,
        capture_output=True,
        text=True,
    )

    assert set(completed) <= set(ran.stdout.splitlines())


@every_command
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_with_an_example(words, option):
    result = run(*words, option)

    assert result.exit_code == 0
    assert result.stdout.startswith(" ".join(["Usage: pretrained-embed", *words]))
    example = result.stdout.partition("  Example:\n")[2]
    assert (
        example.lstrip().startswith(" ".join(["pretrained-embed", *words]))
        or ("$(" + " ".join(["pretrained-embed", *words])) in example.partition("\n")[0]
    )
    assert "\b" not in result.stdout


@every_command
def test_every_option_of_every_command_is_explained(words):
    command: click.Command = program
    for word in words:
        command = command.commands[word]

    unexplained = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]

    assert unexplained == []


@every_command
def test_an_unknown_option_is_wrong_usage(words):
    result = run(*words, "--no-such-option")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "No such option" in result.stderr
    assert "--no-such-option" in result.stderr


def test_an_unknown_command_is_wrong_usage():
    result = run("biuld")

    assert result.exit_code == 2
    assert "'biuld'" in result.stderr


def test_no_command_shows_the_help_as_wrong_usage():
    result = run()

    assert result.exit_code == 2
    assert "Build:" in result.stderr
    assert {name for name in SUMMARIES if f"\n  {name} " in result.stderr} == {
        *SUMMARIES
    }
    assert "..." not in result.stderr.partition("Build:")[2]  # no line is cut


def test_version_names_the_program():
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("pretrained-embed ")


def test_the_module_runs_like_the_script(folder):
    module = [sys.executable, "-m", "pretrained_embed", *BUILD, "--json"]

    as_module = subprocess.run(module, capture_output=True, check=True, timeout=60)
    code, output, errors = finish(*BUILD, "--json")

    told, expected = json.loads(as_module.stdout), json.loads(output)
    assert code == 0
    assert len(told.pop("workers")) == len(expected.pop("workers"))  # with seconds
    assert (told, as_module.stderr) == (expected, errors)


def test_a_memory_error_is_a_message(folder):
    resource = pytest.importorskip("resource", reason="limits need a Unix system")
    status = Path("/proc/self/statm")
    if not status.exists() or not hasattr(resource, "RLIMIT_AS"):
        pytest.skip("this system does not tell how much memory a process has")
    wide = " ".join(["1"] * 300)
    Path("vectors.txt").write_text(f"the {wide}\n")
    Path("vocab.json").write_text('{"the": 0, "cat": 999999}')  # 1.2 GB as a matrix
    limit = (
        "import pretrained_embed.cli.build, resource\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "size = pages * resource.getpagesize() + (600 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))"
    )

    code, output, errors = finish(
        "build", "--vocab", "vocab.json", "--source", "vectors.txt", before=limit
    )

    assert (code, output) == (1, b"")
    assert errors.startswith(b"Error: not enough memory")


def test_a_full_disk_is_a_message_and_leaves_nothing(folder):
    pytest.importorskip("resource", reason="limits need a Unix system")
    before = sorted(folder.iterdir())

    code, output, errors = finish(
        *BUILD, before=LIMIT.format("RLIMIT_FSIZE", size=1000)
    )

    assert (code, output) == (1, b"")
    assert errors.startswith(b"Error: cannot write embedding.npz")
    assert sorted(folder.iterdir()) == before


@needs_dev_full
@pytest.mark.parametrize("words", [("list", "--json"), ("list",), ("--help",)])
def test_output_that_finds_no_room_is_a_message(words):
    with Path("/dev/full").open("wb") as full:
        process = start(*words, stdout=full, stderr=subprocess.PIPE)
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert errors.startswith(b"Error: ")
    assert errors.count(b"\n") == 1
    assert os.strerror(28).encode() in errors


def test_a_reader_that_leaves_early_is_no_error_to_talk_of():
    process = start("list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # before the program has begun to write

    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=60) == 1
    assert errors == b""


def test_closed_standard_output_is_a_message():
    code, _, errors = finish("list", before="import sys; sys.stdout = None")

    assert code == 1
    assert errors == b"Error: cannot write to the standard output: it is closed\n"


def test_closed_standard_error_stops_nothing(folder):
    code, output, _ = finish(*BUILD, before="import sys; sys.stderr = None")

    assert (code, output) == (0, b"")
    assert (folder / "embedding.npz").exists()


def test_an_interrupt_ends_with_130_and_leaves_nothing(folder):
    before = sorted(folder.iterdir())
    process = start(
        *BUILD[:-1],
        "-",
        before="import signal; signal.signal(2, signal.default_int_handler)",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b"the 1 2 3\n" * 300_000)  # returns when most of it is read
    process.stdin.flush()

    process.send_signal(signal.SIGINT)
    process.stdin.close()  # wakes it, should it have gone back to reading
    output, errors = process.stdout.read(), process.stderr.read()
    process.stdout.close()
    process.stderr.close()

    assert process.wait(timeout=60) == 130
    assert output == b""
    assert errors.split() == [b"Interrupted."]
    assert sorted(folder.iterdir()) == before


ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "words",
    [
        ("build", "--vocab", "odd.txt", "--source", "vectors.txt", "--json"),
        ("info", "odd-vectors.txt"),
        ("info", "odd-vectors.txt", "--json"),
    ],
)
def test_tokens_of_any_script_fit_an_ascii_terminal_and_never_steer_it(folder, words):
    odd = ["\u00e9t\u00e9", "\u732b", "\x1b[31mred", "\x85", "\u202etac", "\udcff"]
    escaped = [token.encode("utf-8", "surrogateescape") for token in odd]
    Path("odd.txt").write_bytes(b"the\n" + b"\n".join(escaped[:-1]) + b"\n")
    Path("odd-vectors.txt").write_bytes(
        b"".join(token + b" 1 2 3\n" for token in [b"the", *escaped[:2], escaped[-1]])
    )

    code, output, errors = finish(*words, env=os.environ | ASCII_ONLY)

    assert code == 0
    for text in (output, errors):
        assert text.isascii()
        assert b"\x1b" not in text
    assert b"\\u732b" in output + errors


@pytest.mark.skipif(sys.platform == "win32", reason="there it is no locale's matter")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_token_on_the_command_line_is_found_whatever_the_locale(folder, encoding):
    Path("v.txt").write_text("caf\u00e9 1 2\ncat 2 1\n", "utf-8")
    Path("vocab.txt").write_text("caf\u00e9\ncat\n", "utf-8")
    run("build", "--vocab", "vocab.txt", "--source", "v.txt", "--output", "m.npz")
    given = os.fsdecode("caf\u00e9".encode(encoding))

    code, output, _ = finish("explain", "m.npz", given, env=os.environ | ASCII_ONLY)

    found = encoding == "utf-8"  # that of all files
    assert code == (0 if found else 1)
    assert (b"found as it stands" in output) == found


@needs_dev_full
def test_remarks_that_cannot_be_written_are_no_failure(folder):
    with Path("/dev/full").open("wb", buffering=0) as full:
        process = start(*BUILD, "--output", "m.npz", stderr=full)
        assert process.wait(timeout=60) == 0

    assert Path("m.npz").stat().st_size


def test_names_of_files_never_steer_the_terminal(folder):
    result = run("build", "--vocab", "\x1b[2J\u202enowhere")

    assert result.exit_code == 1
    assert "\\x1b[2J\\u202enowhere" in result.stderr
    assert "\x1b" not in result.stderr


def test_options_never_steer_the_terminal():
    result = run("list", "--\x1b[2J")

    assert result.exit_code == 2
    assert "--\\x1b[2J" in result.stderr


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("caf\u00e9 \u732b", "utf-8", "caf\u00e9 \u732b"),
        ("caf\u00e9 \u732b", "latin-1", "caf\u00e9 \\u732b"),
        ("caf\u00e9 \u732b", "ascii", "caf\\xe9 \\u732b"),
        ("a\r\x07\tb\nc", "utf-8", "a\\r\\x07\\tb\nc"),
        ("\x9b31m \u2028 \u00a0 \ufeff", "utf-8", "\\x9b31m \\u2028 \\xa0 \\ufeff"),
        ("\udcff", "utf-8", "\\udcff"),
        ("\u732b", None, "\u732b"),
    ],
)
def test_printable_escapes_what_acts_or_cannot_be_seen(text, encoding, shown):
    assert printable(text, encoding) == shown


@pytest.mark.parametrize(("former", "now"), [("doctor", "examine"), ("report", "page")])
def test_a_command_of_another_name_is_named(former, now):
    result = run(former, "v.txt")

    assert result.exit_code == 2
    assert f"It is {now} now." in result.stderr
