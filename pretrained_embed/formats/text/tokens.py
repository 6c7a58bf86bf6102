"""What most tokens of a text have in common: a mark, say, that is none of theirs.

Who writes ``word -> 0.1 0.2``, or ``7 word 0.1 0.2``, means neither ``word ->`` nor
``7 word``. One table has all such traits. A few tokens tell whether there is one, and
many confirm it.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pretrained_embed.formats.text import base64_tokens
from pretrained_embed.formats.text.shapes import SAMPLE, Shapes

#: Tokens of which most have to have a trait before more are looked at, and how few may
#: end in the same word, or be numbered, by chance.
_FEW, _TOO_FEW = 8, 3
#: Bytes of a token that is looked at.
_LONGEST = 500
#: What looks like a blank and separates nothing, and symbols of other scripts.
_BLANKS = (
    rb"\x0b|\x0c|\xc2\xa0|\xe3\x80\x80|\xe2\x80[\x80-\x8b\xa8\xa9\xaf]|\\t|"
    rb"(?<![\x80-\xff])\xa0"
)
_SYMBOLS = (
    rb"\xe2\x86[\x90-\x95]|\xe2\x87[\x90-\x95]|\xe2\x80[\x93\x94\xa2]|"
    rb"\xef\xbc[\x8c\x9a\x9b\x9d]|\xef\xbd\x9c|\xe3\x80\x81"
)
#: Marks behind tokens, close to them or as a field of their own.
_CLOSE = rb"[,;:|&\\]+|(?<!=)=|[-=~]+>|%b|%b" % (_BLANKS, _SYMBOLS)
_APART = rb"[-,;:|=&/\\~<>*+^#_\[({]+|%b|%b" % (_BLANKS, _SYMBOLS)
_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
#: The end of a number that is surely a vector's: a sign, three places, or an exponent.
_OF_VECTOR = re.compile(rb"(?<![\d.])[-+][\d.]+$|\.\d{3,}$|\d[eE][-+]?\d+$")

_NAMES = {
    b",": "a comma",
    b";": "a semicolon",
    b"|": "a bar",
    b":": "a colon",
    b"=": "an equals sign",
    b"&": "an ampersand",
    b"\xc2\xa0": "a no-break space",
    b"\xa0": "a no-break space",
    b"\x0b": "a vertical tab",
    b"\x0c": "a form feed",
}


class Trait(NamedTuple):
    """Something that tokens have in common."""

    pattern: bytes  # of a whole token; ``same`` is what is the same in all of them
    what: str
    remedy: str  # "": nobody can know, and a note says it
    code: str

    @property
    def note(self) -> str:
        """The code of the note, where it is taken for theirs."""
        return "text.comma-tokens" if self.code == "text.separator" else self.code


_REMEDY = "Write one space or one tab there alone"
_NUMBERED = Trait(
    rb"""["']?(\d+)["']?[.:)\]]*[ \t]+[^ \t].*""",
    "the rows are numbered before their tokens",
    "Remove the first column",
    "text.row-numbers",
)
_GLUED = Trait(
    rb".*[^ \t\d,;:|=&/](?P<same>%b|[^ \t\w.+\x80-\xff-]|[-=]>)%b" % (_BLANKS, _NUMBER),
    "{} stands between most tokens and their first numbers",
    _REMEDY,
    "text.separator",
)
_COUNTED = Trait(
    rb"(\d+)[:.)][^ \t\d].*",
    "the numbers of the rows stand before their tokens",
    "Remove them",
    "text.row-numbers",
)
_PASTED = Trait(
    rb".*[ \t][-+]?\d*\.\d+([eE][-+]?\d+)?[ \t]+[-+]?\d*\.\d+([eE][-+]?\d+)?[ \t].*",
    "numbers stand within most tokens, as where two files were pasted side by side",
    "Write each token and its numbers on a line of their own",
    "text.numbers-in-tokens",
)
_TWO_COLUMNS = Trait(
    rb"[^\t]+\t.+",
    "two columns stand before the numbers, with a tab between them",
    "Keep the one that has the tokens",
    "text.two-columns",
)
_SAME_WORD = Trait(
    rb".*[ \t](?P<same>[^ \t]*[\w\x80-\xff][^ \t]*)",
    "{} is the last word of most tokens",
    "",
    "text.same-word",
)
_SAME_START = Trait(
    rb"(?P<same>[+>|]|[^ \t:/]+\.(?:txt|vec|csv|tsv|emb|dat):)[^ \t\d].*",
    "{} stands before most tokens",
    "",
    "text.same-word",
)
#: The first that fits a token counts.
_TRAITS = {
    re.compile(trait.pattern, re.DOTALL): trait
    for trait in (
        Trait(
            rb"\r[^\r].*",
            "a CR stands before most tokens, as where lines end in LF and then CR",
            "Write LF alone at the end of lines, for example by: tr -d '\\r'",
            "text.line-ends",
        ),
        Trait(
            rb"[ \t].*",
            "a blank stands before most tokens",
            "Let each line begin with its token",
            "text.indented",
        ),
        Trait(
            rb".*[^ \t][ \t]+(?P<same>%b)" % _APART,
            "{} stands behind most tokens",
            _REMEDY,
            "text.separator",
        ),
        Trait(
            rb"(?!%b|[,;:|&=]).+?(?P<same>%b)" % (_BLANKS, _CLOSE),
            "{} stands behind most tokens",
            _REMEDY,
            "text.separator",
        ),
        _PASTED,
        _GLUED,
        _COUNTED,
        _NUMBERED,
        _SAME_START,
        _TWO_COLUMNS,
        _SAME_WORD,
    )
}
#: What has no trait, as most tokens.
_PLAIN = re.compile(rb"[\w']*\w")
#: Numbers that are a vector's, of those that are glued to tokens: the least part.
_SURE = 0.2


def common_trait(rows: Shapes, *, tabs: bool) -> Trait | None:
    """Return what most tokens have in common that may be none of theirs.

    ``tabs`` says that a tab stands before the numbers, so that none is in a token.
    """
    found, places, tokens = None, range(0), []
    for some in (_FEW, SAMPLE):
        places = rows.sample(some)
        tokens = _tokens(rows, places)
        traits = Counter(map(_trait, tokens))
        (found, count), *_ = traits.most_common(1)
        if found is None or 2 * count <= len(tokens):
            begins = Counter(
                words[0] for t in tokens if b" " in t and (words := t.split(None, 1))
            )
            first, count = max(begins.items(), key=lambda b: b[1], default=(b"", 0))
            if 2 * count <= len(tokens) or len(tokens) < _TOO_FEW:
                return None
            found = _SAME_START, first
    assert found is not None
    trait, same = found
    if trait is _TWO_COLUMNS and not tabs:
        return None
    if trait is _SAME_WORD and len(tokens) < _TOO_FEW:
        return None
    if trait is _GLUED:  # but for host:8080
        sure = sum(_OF_VECTOR.search(token) is not None for token in tokens)
        if sure < _SURE * len(tokens):
            return None
    if trait is _COUNTED and not _are_counted(places, tokens):
        return None
    if trait is _NUMBERED and not _are_counted(places, tokens):
        what = "most tokens begin with a whole number, and it is taken for theirs"
        return trait._replace(what=what, remedy="")
    name = _NAMES.get(same) or repr(same.decode("utf-8", "backslashreplace"))
    return trait._replace(what=trait.what.format(name))


def _tokens(rows: Shapes, places: range) -> list[bytes]:
    """Return some tokens, of those that end in numbers what is before these."""
    spans = np.column_stack([rows.begin, rows.front_end])[places]
    return [rows.head[begin:end] for begin, end in spans.tolist()]


def _trait(token: bytes) -> tuple[Trait, bytes] | None:
    """Return the first trait that fits a token, and what is the same in all."""
    if len(token) > _LONGEST or _PLAIN.fullmatch(token):
        return None
    for pattern, trait in _TRAITS.items():
        if (match := pattern.fullmatch(token)) is not None:
            return trait, match.groupdict().get("same", b"")
    return None


def _are_counted(places: range, tokens: list[bytes]) -> bool:
    """Whether the numbers before most tokens are those of their rows."""
    if len(tokens) < 2:
        return False
    patterns = [re.compile(t.pattern, re.DOTALL) for t in (_NUMBERED, _COUNTED)]
    found = [patterns[0].fullmatch(t) or patterns[1].fullmatch(t) for t in tokens]
    rest = {
        token[match.end(1) :]
        for token, match in zip(tokens, found, strict=True)
        if match
    }
    if 2 * len(rest) <= len(tokens):  # 1 day, 2 days, 3 days
        return False
    numbers = [-1 if match is None else int(match[1][:18]) for match in found]
    steps = sum(b - a == places.step for a, b in pairwise(numbers))
    from_start = min(number for number in numbers if number >= 0) < 2
    return 2 * steps >= len(tokens) - 1 and from_start


def are_base64(rows: Shapes) -> bool:
    """Whether most tokens are in base64, as deeplearning4j writes them."""
    for some in (_FEW, SAMPLE):
        tokens = _tokens(rows, rows.sample(some))
        if 2 * sum(map(base64_tokens.is_encoded, tokens)) <= len(tokens):
            return False
    return True


#: Quotes around a token, and around one that CSV has to quote.
_IN_QUOTES = re.compile(rb'"(?:[^"]|"")+"$')
_QUOTED = re.compile(rb'"[^"]*(?:[ \t]|"").*"$')


def are_quoted(rows: Shapes) -> bool:
    """Whether quotes stand around most tokens, or around those with a blank in them."""
    quoted = np.frombuffer(rows.head, np.uint8)[rows.begin] == ord('"')
    places = np.flatnonzero(quoted)[:SAMPLE]
    tokens = [rows.head[rows.begin[i] : rows.front_end[i]] for i in places]
    if any(_QUOTED.match(token) for token in tokens):
        return True
    return 2 * int(quoted.sum()) > len(rows) and all(map(_IN_QUOTES.match, tokens))
