"""How much memory the process may use, how many rows fit in it, and what was used at the most."""

import os
import re
import threading
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
SHARE = 0.8


def parse_bytes(text):
    """Read a size such as ``4GB``, ``512 MiB`` or ``1e9``.

    Raises
    ------
    ValueError
        Not a positive number with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB.

    Examples
    --------
    >>> parse_bytes("4GB"), parse_bytes("1.5 GiB")
    (4000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e\d+)?)\s*([kmgt]?i?)b?\s*", str(text).lower())
    try:
        size = int(float(match[1]) * UNITS[match[2]])
    except (TypeError, KeyError, ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise ValueError(f"memory is {text!r}: write a size such as 4GB, 512MiB or 8000000000")
    return size


def format_bytes(size):
    """Write a number of bytes for a person.

    Examples
    --------
    >>> format_bytes(4_000_000_000), format_bytes(1234)
    ('4.0 GB', '1.2 kB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def limits():
    """Everything that bounds this process's memory, by name, in bytes.

    psutil sees the machine and not the container, hence the control groups' files (version 2, then 1), what
    SLURM granted, and the address-space limit.
    """
    found = {"machine": psutil.virtual_memory().total}
    group = Path("/sys/fs/cgroup")
    own = [line.split(":", 2)[1:] for line in _lines("/proc/self/cgroup") if line.count(":") >= 2]
    for kind, folder in [["", "/"], ["memory", "/"], *own]:
        if kind and "memory" not in kind.split(","):
            continue
        root, file = (group / "memory", "memory.limit_in_bytes") if kind else (group, "memory.max")
        here = root / folder.strip("/")
        for level in (here, *here.parents):  # a task, its step, its job, ...
            if level.is_relative_to(root):
                found |= {f"cgroup {level / file}": int(line) for line in _lines(level / file) if line.isdigit()}
    megabytes = os.environ.get("SLURM_MEM_PER_NODE", "")
    if megabytes.isdigit():
        found["SLURM_MEM_PER_NODE"] = int(megabytes) * 2**20
    megabytes, cpus = os.environ.get("SLURM_MEM_PER_CPU", ""), os.environ.get("SLURM_CPUS_ON_NODE", "")
    if megabytes.isdigit() and cpus.isdigit():
        found["SLURM_MEM_PER_CPU"] = int(megabytes) * 2**20 * int(cpus)
    if resource and (soft := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        found["RLIMIT_AS"] = soft
    return {name: size for name, size in found.items() if size > 0}


def _lines(path):
    try:
        return Path(path).read_text().split("\n")
    except OSError:
        return []


def budget_bytes(asked=None):
    """The memory budget: what was asked for, else 80 % of the smallest of `limits`.

    Parameters
    ----------
    asked : str or None
        A size for `parse_bytes`.

    Returns
    -------
    int
        Bytes.
    """
    return parse_bytes(asked) if asked else int(SHARE * min(limits().values()))


class PeakMemory:
    """Measure this process's largest resident size while a block runs.

    A thread looks every 20 ms; shorter peaks are missed.

    Attributes
    ----------
    peak_bytes : int
        Includes what the process held before the block began.

    Examples
    --------
    >>> with PeakMemory() as memory:
    ...     block = bytes(10_000_000)
    >>> memory.peak_bytes > 10_000_000
    True
    """

    def __enter__(self):
        self._process, self._stop = psutil.Process(), threading.Event()
        self.peak_bytes = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _look(self):
        self.peak_bytes = max(self.peak_bytes, self._process.memory_info().rss)

    def _watch(self):
        while not self._stop.wait(0.02):
            self._look()

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()
        self._look()
