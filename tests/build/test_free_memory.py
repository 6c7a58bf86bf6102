"""Free memory: the least of what the system and the groups of the process have."""

from __future__ import annotations

from pathlib import Path

import pytest

from pretrained_embed.build.work import free_memory

GB = 1 << 30
MEMINFO = "MemTotal:  32000000 kB\nMemAvailable:  16777216 kB\nHugePages_Total:  0\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    """Make files below a root, beside those of a machine with 16 GiB free."""
    for name, content in ({"proc/meminfo": MEMINFO} | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_without_groups_it_is_what_the_system_has(tmp_path):
    assert free_memory(machine(tmp_path, {})) == 16 * GB


@pytest.mark.parametrize(
    ("limit", "used", "stat", "left"),
    [
        ("max", GB, "inactive_file 5\n", 16 * GB),
        (4 * GB, GB, "anon 7\ninactive_file 0\n", 3 * GB),
        (4 * GB, 3 * GB, f"anon 7\ninactive_file {GB}\n", 2 * GB),
        (4 * GB, 5 * GB, "inactive_file 0\n", 0),
        (4 * GB, GB, None, 3 * GB),
        (64 * GB, GB, "inactive_file 0\n", 16 * GB),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container_counts(tmp_path, version, limit, used, stat, left):
    if version == 2:
        folder, names = "sys/fs/cgroup", ("memory.max", "memory.current")
        files = {"proc/self/cgroup": "0::/\n"}
    else:
        folder = "sys/fs/cgroup/memory"
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        files = {"proc/self/cgroup": "9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n"}
        limit = 0x7FFFFFFFFFFFF000 if limit == "max" else limit
        stat = stat and "".join(f"total_{line}\n" for line in stat.splitlines())
    files |= {f"{folder}/{names[0]}": f"{limit}\n", f"{folder}/{names[1]}": f"{used}\n"}
    if stat is not None:
        files[f"{folder}/memory.stat"] = stat

    assert free_memory(machine(tmp_path, files)) == left


@pytest.mark.parametrize("own", ["max", str(8 * GB)])
def test_the_least_of_all_groups_above_counts(tmp_path, own):
    top = "sys/fs/cgroup/user.slice"
    files = {
        "proc/self/cgroup": "0::/user.slice/job.scope\n",
        f"{top}/job.scope/memory.max": own,
        f"{top}/job.scope/memory.current": "0",
        f"{top}/memory.max": str(2 * GB),
        f"{top}/memory.current": str(GB),
    }

    assert free_memory(machine(tmp_path, files)) == GB


@pytest.mark.parametrize("name", ["/../../outside", "/not/there"])
def test_a_name_from_outside_of_the_container_is_its_root(tmp_path, name):
    files = {
        "proc/self/cgroup": f"0::{name}\n",
        "sys/fs/cgroup/memory.max": str(GB),
        "sys/fs/cgroup/memory.current": "0",
    }

    assert free_memory(machine(tmp_path, files)) == GB


@pytest.mark.parametrize("groups", ["", "nonsense\n", "0::/\n"])
def test_what_tells_nothing_limits_nothing(tmp_path, groups):
    files = {"proc/self/cgroup": groups, "sys/fs/cgroup/memory.max": "much"}

    assert free_memory(machine(tmp_path, files)) == 16 * GB


def test_this_machine_has_some():
    assert free_memory() > 0
