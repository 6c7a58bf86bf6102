from __future__ import annotations

import pytest

from pretrained_embed.errors import RowError
from pretrained_embed.formats.findings import Doubt, Findings, check_bad_rows


def findings(bad: int, rows: int) -> Findings:
    doubts = [Doubt(row, 2 * row, f"fault {row}") for row in range(1, bad + 1)]
    return Findings(rows=rows, bad_rows=bad, doubts=doubts)


@pytest.mark.parametrize("most", [5, 6, 0.05, 0.5, 1.0])
def test_bad_rows_that_are_allowed_are_fine(most):
    check_bad_rows(findings(5, 100), most, "file")


@pytest.mark.parametrize(
    ("most", "allowed"), [(4, 4), (0, 0), (0.04, 4), (0.0, 0), (0.049, 4)]
)
def test_more_bad_rows_are_an_error_that_names_the_first(most, allowed):
    with pytest.raises(RowError) as caught:
        check_bad_rows(findings(5, 100), most, "file")

    message = str(caught.value)
    assert message.startswith(f"file: 5 of 100 rows are malformed, {allowed} may be")
    assert "line 2: fault 1; line 4: fault 2; line 6: fault 3." in message
    assert "fault 4" not in message
    assert caught.value.line == 2


def test_rows_of_a_binary_file_are_named_by_their_number():
    found = Findings(rows=7, bad_rows=1, doubts=[Doubt(6, None, "cut")])

    with pytest.raises(RowError, match="row 6: cut") as caught:
        check_bad_rows(found, 0, "file")

    assert caught.value.line is None


def test_a_share_is_not_lost_to_rounding():
    check_bad_rows(findings(29, 100), 0.29, "file")


def test_no_bad_row_is_always_allowed():
    check_bad_rows(findings(0, 0), 0, "file")
    check_bad_rows(findings(0, 0), 0.0, "file")
