"""Many processes, killed processes, full disks: the cache is never wrong."""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import servers

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes are forked and killed by signals here"
)

DATA = b"".join(b"token%d %d.5 -1e-3\n" % (i, i * 7919 % 1000) for i in range(20000))
DIGEST = hashlib.sha256(DATA).hexdigest()

#: More of them where thoroughness is worth minutes.
ROUNDS = int(os.environ.get("PRETRAINED_EMBED_KILLS", "20"))


@pytest.fixture
def host():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("v.txt", DATA)
        made.writestr("other", hashlib.shake_256(b"noise").digest(100_000))
    with servers.serving() as host:
        host.files["v.txt"] = DATA
        host.files["a.zip"] = file.getvalue()
        yield host


@pytest.fixture
def run(host, tmp_path):
    """Fetch in forked processes; return what became of each."""

    def run(name: str, rounds: list[dict], *, at_once: bool = False) -> list[str]:
        task = {
            "url": host.url + name,
            "cache": str(tmp_path / "cache"),
            "sha256": DIGEST,
            "member": "v.txt" if name == "a.zip" else None,
            "rounds": rounds,
            "at_once": at_once,
        }
        program = Path(__file__).with_name("fetch_and_die.py")
        done = subprocess.run(
            [sys.executable, program],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("name", ["v.txt", "a.zip"])
def test_eight_processes_download_once(name, host, run):
    answers = run(name, [{}] * 8, at_once=True)

    assert answers == [DIGEST] * 8
    once = 1 if name == "v.txt" else 2  # the archive's directory, and the member
    assert len(host.asked) == once


@pytest.mark.parametrize("name", ["v.txt", "a.zip"])
def test_processes_killed_anywhere_leave_nothing_wrong(name, host, run, tmp_path):
    chance = random.Random(20)

    def send_some(handler, data):
        for path in (tmp_path / "cache").rglob("v.txt"):
            assert path.read_bytes() == DATA
        servers.cut(chance.randrange(2 * len(data)))(handler, data)

    host.default = send_some
    deaths = [{"die_at": chance.randrange(1, 15)} for _ in range(ROUNDS)]
    for i in range(4, ROUNDS, 5):
        deaths[i] = {"clear": True}

    answers = run(name, deaths)

    assert set(answers) == {"killed", DIGEST}
    assert set(answers[4::5]) == {DIGEST}


@pytest.mark.parametrize("name", ["v.txt", "a.zip"])
def test_each_single_operation_may_be_the_last(name, run):
    operations = range(1, 30)
    rounds = [
        one for number in operations for one in ({"die_at": number}, {"clear": True})
    ]

    answers = run(name, rounds)

    assert set(answers[1::2]) == {DIGEST}
    died = answers[::2]
    assert died == ["killed"] * died.count("killed") + [DIGEST] * died.count(DIGEST)
    assert died.count("killed") >= 8
    assert died[-1] == DIGEST


@pytest.mark.parametrize("name", ["v.txt", "a.zip"])
@pytest.mark.parametrize("largest", [1, 1000, 100_000])
def test_a_disk_that_takes_no_more_is_a_clear_error(name, largest, run):
    refused, after = run(name, [{"largest": largest}, {}])

    assert "cannot be" in refused
    assert "File too large" in refused
    assert after == DIGEST
