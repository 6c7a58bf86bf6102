"""`Origin`: the codes of a ledger, one for each row."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from pretrained_embed.arrays import UInt8Array

OriginArray = UInt8Array

#: The code of the first form of a match chain that is no plain named one: a
#: composition, a form with a language, a callable. The second has the next code.
OWN_FORMS = 64

#: As many as a chain can have, see `match_chain`.
OWN_CODES = range(OWN_FORMS, OWN_FORMS + 64)


class Origin(IntEnum):
    """How a row was filled; codes from `EXACT` on: found in the source, by that form.

    Codes from ``OWN_FORMS`` on are called ``FORM_0``, ``FORM_1`` and so on, by their
    position in the match chain, whose names are in the provenance.

    Examples
    --------
    >>> Origin(16).label()
    'exact'
    """

    UNUSED = 0  # no token has this id; the row is zeros
    PAD = 1  # the padding row; zeros
    OOV = 2  # not in the source; filled by the OOV policy
    SUBWORD = 3  # not in the source; made of the source's own subword pieces
    PARTS = 4  # not in the source; the mean of tokens of the source it consists of
    NGRAM = 5  # not in the source; predicted from its character n-grams
    EXACT = 16  # found as it stands
    LOWER = 17  # found in lower case
    TITLE = 18  # found in title case
    UPPER = 19  # found in upper case
    NFC = 20  # found in Unicode normalisation form C
    NFKC = 21  # found in Unicode normalisation form KC
    STRIP_ACCENTS = 22  # found without its accents
    DIGITS_HASH = 23  # found with # for digits
    DIGITS_ZERO = 24  # found with 0 for digits
    QUOTES = 25  # found with other quotes and dashes
    JOINED = 26  # found with its words joined otherwise
    COMPOUND = 27  # its parts were found; the mean of their vectors
    UNMARKED = 28  # found without the mark of a subword tokenizer
    CONCEPTNET = 29  # found as ConceptNet would have it

    @property
    def found(self) -> bool:
        """Whether the row's vector is from the source."""
        return self >= Origin.EXACT

    @classmethod
    def of_form(cls, name: str) -> Origin:
        """Return the code of a plain named form of a match chain.

        Parameters
        ----------
        name : str
            The form, such as "strip-accents".

        Returns
        -------
        Origin
            The code.
        """
        return cls[name.upper().replace("-", "_")]

    def label(self, match: Sequence[str] = ()) -> str:
        """Return the name as users write it, such as "strip-accents".

        Parameters
        ----------
        match : sequence of str, optional
            The names of the chain, which has the names of its own forms.

        Returns
        -------
        str
            The name.
        """
        place = self - OWN_FORMS
        if 0 <= place < len(match):
            return match[place]
        return self.name.lower().replace("_", "-")

    @classmethod
    def _missing_(cls, value: object) -> Origin | None:
        if not isinstance(value, int | np.integer) or value not in OWN_CODES:
            return None
        member = int.__new__(cls, value)
        member._name_ = f"FORM_{value - OWN_FORMS}"
        member._value_ = int(value)
        return member
