"""``pretrained-embed page``."""

from __future__ import annotations

from pathlib import Path

from tests.command_line import finish, run


def test_a_page_is_written_and_opens_from_disk(folder):
    assert (
        run("build", "--vocab", "vocab.txt", "--source", "vectors.txt").exit_code == 0
    )

    result = run("page", "embedding.npz", "-o", "page.html", "--title", "My <words>")

    assert result.exit_code == 0
    assert "Wrote page.html." in result.stderr
    assert "<title>My &lt;words&gt;</title>" in Path("page.html").read_text("utf-8")


def test_a_file_of_vectors_has_a_page_too(folder):
    assert run("page", "vectors.txt", "--quiet").stderr == ""

    assert "vectors.txt, 3 × 3" in Path("page.html").read_text("utf-8")


def test_wrong_usage_is_told_before_any_work(folder):
    for wrong in (
        ["none.npz", "-o", "page.txt"],
        ["none.npz", "-o", "no/folder.html"],
        ["none.npz", "--projection", "tsen"],
        ["none.npz", "--limit", "0"],
    ):
        assert run("page", *wrong).exit_code == 2


def test_a_matrix_that_is_not_there_is_one_message(folder):
    code, output, errors = finish("page", "none.npz")

    assert (code, output) == (1, b"")
    assert errors.startswith(b"Error: ")
    assert not Path("page.html").exists()
