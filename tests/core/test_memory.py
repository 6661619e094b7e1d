import gc
import re

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glomfeat.core import memory
from glomfeat.core.memory import PeakMemory, budget_bytes, format_bytes, limits, parse_bytes

GIB = 2**30
SLURM = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 GiB with the files given and nothing else that limits."""
    read = memory._lines

    class Total:
        total = 64 * GIB

    monkeypatch.setattr(memory, "_lines", lambda path: read(f"{tmp_path}/{path}"))
    monkeypatch.setattr(memory.psutil, "virtual_memory", Total)
    monkeypatch.setattr(memory, "resource", None)
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    return write


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("512 MiB", 512 * 2**20),
        ("512Mi", 512 * 2**20),
        ("1.5TiB", 3 * 2**39),
        ("2 kB", 2000),
        ("2KiB", 2048),
        ("1T", 10**12),
        ("100B", 100),
        ("8000000000", 8 * 10**9),
        (8_000_000_000, 8 * 10**9),
        ("1e9", 10**9),
        (" 3MB ", 3 * 10**6),
    ],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "4XB", "-4GB", "0", "0.1", "1.2.3GB", "4iB", "four", "nan", "inf", "1e999", "4GB!", None]
)
def test_sizes_that_are_none(text):
    said = f"--memory is {text!r}: write a size such as 4GB, 512MiB or 8000000000"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["1e99GB", "1e300", "2000TB"])
def test_more_than_any_machine_has(text):
    said = f"--memory is {text!r}, more than any machine has: write a size such as 4GB, 512MiB or 8000000000"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_bytes(text)


@given(st.integers(1, 10**15))
def test_what_is_written_is_read_back_within_rounding(size):
    assert abs(parse_bytes(format_bytes(size)) - size) <= 0.06 * size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (4 * 10**9, "4.0 GB"),
        (2 * 10**12, "2.0 TB"),
    ],
)
def test_sizes_for_a_person(size, text):
    assert format_bytes(size) == text


def test_a_machine_without_limits(machine):
    machine({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"})
    assert limits() == {"machine": 64 * GIB}
    assert budget_bytes() == int(0.8 * 64 * GIB)


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": 3 * GIB},  # a container
        {"proc/self/cgroup": "0::/user/app", "sys/fs/cgroup/user/app/memory.max": 3 * GIB},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": 3 * GIB},  # version 1, in a container
        {
            "proc/self/cgroup": "0::/job_7/step_0/user/task_0",  # SLURM limits the job and not the task
            "sys/fs/cgroup/job_7/step_0/user/task_0/memory.max": "max",
            "sys/fs/cgroup/job_7/memory.max": 3 * GIB,
        },
        {
            "proc/self/cgroup": "5:cpu:/x\n4:memory:/slurm/job_7",  # version 1, not in a container
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 2**63 - 4096,
            "sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": 3 * GIB,
        },
    ],
    ids=["root", "own", "version1", "ancestor", "version1_own"],
)
def test_control_groups(machine, files):
    machine(files)
    assert min(limits().values()) == 3 * GIB
    assert budget_bytes() == int(0.8 * 3 * GIB)


def test_no_limit_of_version_1_is_no_limit(machine):
    machine({"sys/fs/cgroup/memory/memory.limit_in_bytes": 2**63 - 4096})
    assert min(limits().values()) == 64 * GIB


def test_what_slurm_granted(machine, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1024")
    assert limits() == {"machine": 64 * GIB}  # without the number of CPUs it says nothing
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert limits()["SLURM_MEM_PER_CPU"] == 4 * GIB and budget_bytes() == int(0.8 * 4 * GIB)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "2048")
    assert limits()["SLURM_MEM_PER_NODE"] == 2 * GIB and budget_bytes() == int(0.8 * 2 * GIB)
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")  # "all of the node"
    assert "SLURM_MEM_PER_NODE" not in limits()


def test_address_space_limit(machine, monkeypatch):
    class Resource:
        RLIMIT_AS, RLIM_INFINITY = 9, -1
        soft = 5 * GIB

        def getrlimit(self, which):
            return (self.soft, -1) if which == 9 else (1, 1)

    monkeypatch.setattr(memory, "resource", Resource())
    assert limits()["RLIMIT_AS"] == 5 * GIB
    monkeypatch.setattr(Resource, "soft", -1)
    assert limits() == {"machine": 64 * GIB}


def test_what_was_asked_for_is_the_budget(machine):
    machine({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": 3 * GIB})
    assert budget_bytes("2GB") == 2 * 10**9


def test_limits_of_this_machine():
    assert 0 < budget_bytes() <= 0.8 * psutil.virtual_memory().total


def test_peak_sees_an_allocation_and_its_end():
    gc.collect()
    before = psutil.Process().memory_info().rss
    with PeakMemory() as during:
        block = bytearray(b"x") * 200_000_000
        during._stop.wait(0.1)
        del block
    assert during.peak_bytes - before > 150_000_000
    assert psutil.Process().memory_info().rss < during.peak_bytes
    assert not during._thread.is_alive()


def test_peak_is_kept_when_the_block_raises():
    with pytest.raises(KeyError), PeakMemory() as found:
        raise KeyError
    assert found.peak_bytes > 0 and not found._thread.is_alive()


def test_a_peak_begins_anew_from_the_last_look():
    held = iter([5, 9, 3, 4])
    with PeakMemory(lambda: next(held), every_s=600) as found:
        found.look(), found.look()
        assert found.peak_bytes == 9
        found.begin_anew()
        assert found.peak_bytes == 3
    assert found.peak_bytes == 4
