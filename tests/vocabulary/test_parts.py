"""Parts of a vocabulary, as vocabularies of their own."""

import numpy as np

from pretrained_embed.vocabulary import Vocabulary


def whole() -> Vocabulary:
    return Vocabulary(
        {"<pad>": 0, "<unk>": 1, "a": 2, "[MASK]": 4, "b": 5},
        unk="<unk>",
        counts={"a": 7, "b": 3},
        special_tokens={"mask": "[MASK]"},
        marks="wordpiece",
    )


def test_rows_in_a_row_keep_their_holes_counts_and_what_is_special():
    part = whole().part(np.arange(1, 6))

    assert part.tokens == ("<unk>", "a", None, "[MASK]", "b")
    assert part.counts.tolist() == [0, 7, 0, 0, 3]
    assert part.special_tokens == {"unk": "<unk>", "mask": "[MASK]"}
    assert (part.pad_id, part.unk_id, part.marks) == (None, 0, "wordpiece")


def test_rows_come_in_the_order_asked_for_and_the_pad_stays_one():
    part = whole().part(np.array([5, 0]))

    assert part.tokens == ("b", "<pad>")
    assert part.special_tokens == {"pad": "<pad>"}
    assert part.pad_id == 1
    assert part.counts.tolist() == [3, 0]


def test_a_part_may_be_holes_alone_or_nothing():
    assert whole().part(np.array([3])).tokens == (None,)
    nothing = whole().part(np.empty(0, np.int64))
    assert (len(nothing), nothing.tokens, nothing.counts.tolist()) == (0, (), [])
    assert (nothing.special_tokens, "a" in nothing) == ({}, False)
