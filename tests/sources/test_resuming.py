"""Parts of files, gone on with or thrown away."""

import pytest

from pretrained_embed.errors import SourceError
from tests import servers
from tests.sources.published import DATA, entry, interrupted, left


def test_ctrl_c_leaves_a_part_that_the_next_run_goes_on_with(host, get, tmp_path):
    interrupted(host, get, entry(host))
    assert left(tmp_path) == ["v.txt.part", "v.txt.part.json"]
    size = next((tmp_path / "cache").rglob("*.part")).stat().st_size
    assert 100_000 <= size < len(DATA)

    fetched = get(entry(host))

    assert fetched.path.read_bytes() == DATA
    assert host.asked[-1] == ("v.txt", f"bytes={size}-")
    assert left(tmp_path) == ["v.txt", "v.txt.json"]


def test_a_file_that_changed_meanwhile_starts_over(host, get):
    host.files["v.txt"] = DATA.replace(b"token", b"TOKEN")
    interrupted(host, get, entry(host))
    host.files["v.txt"], host.etag = DATA, '"version-2"'

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False]


def test_a_wrong_part_without_a_validator_is_found_out_and_starts_over(host, get):
    host.etag = None
    host.files["v.txt"] = bytes(len(DATA))
    interrupted(host, get, entry(host))
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span for _, span in host.asked][1:] == [host.asked[1][1], None]


def test_a_part_of_a_file_of_another_length_starts_over(host, get):
    host.etag = None
    host.files["v.txt"] = DATA + b"old 1 2\n"
    interrupted(host, get, entry(host))
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False, True]


def test_a_part_longer_than_the_file_starts_over(host, get, tmp_path):
    host.etag = None
    host.files["v.txt"] = DATA + DATA
    interrupted(host, get, entry(host), at=len(DATA) + 1)
    host.files["v.txt"] = DATA

    assert get(entry(host)).path.read_bytes() == DATA
    assert [span is None for _, span in host.asked] == [True, False, True]


def test_a_part_that_nothing_is_known_of_is_thrown_away(host, get, tmp_path):
    interrupted(host, get, entry(host))
    next((tmp_path / "cache").rglob("*.part.json")).write_text("{")

    assert get(entry(host)).path.read_bytes() == DATA
    assert host.asked[-1] == ("v.txt", None)


def test_a_host_without_ranges_sends_the_whole_file_again(host, get):
    interrupted(host, get, entry(host))
    host.default = servers.without_ranges

    assert get(entry(host)).path.read_bytes() == DATA


def test_a_host_that_sends_another_span_is_not_believed(host, get):
    interrupted(host, get, entry(host))
    host.answers.append(servers.other_span)

    with pytest.raises(SourceError, match="another part"):
        get(entry(host))


def test_a_changed_file_is_never_joined_to_an_old_part(secure, get):
    wanted = entry(secure, checksums=())
    interrupted(secure, get, wanted)
    changed = DATA.replace(b"token", b"TOKEN")
    secure.files["v.txt"], secure.etag = changed, '"version-2"'

    assert get(wanted).path.read_bytes() == changed


def test_resuming_without_a_checksum_needs_a_validator(secure, get):
    wanted = entry(secure, checksums=())
    secure.etag = None
    interrupted(secure, get, wanted)

    assert get(wanted).path.read_bytes() == DATA
    assert secure.asked[-1] == ("v.txt", None)


def test_a_weak_validator_is_none(secure, get):
    wanted = entry(secure, checksums=())
    secure.etag = 'W/"version-1"'
    interrupted(secure, get, wanted)

    assert get(wanted).path.read_bytes() == DATA
    assert secure.asked[-1] == ("v.txt", None)
