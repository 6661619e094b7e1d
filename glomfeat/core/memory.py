"""How much memory a run may use, how much a part of it needs, and the most that its processes used."""

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from glomfeat.core.errors import InputError, UserError

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
MOST_BYTES = 10**15
ROUND = 10_000_000  # what a user is told to add is a multiple of this
REST = 50  # the pause after a look at memory, as a multiple of the time that the look took


def parse_bytes(text):
    """Read a size such as ``4GB``, ``512 MiB`` or ``1e9``.

    Raises
    ------
    InputError
        Not a positive number with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, or more than a petabyte.

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
    if not 0 < size <= MOST_BYTES:
        why = "" if size <= MOST_BYTES else ", more than any machine has"
        raise InputError(f"--memory is {text!r}{why}: write a size such as 4GB, 512MiB or 8000000000")
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


class BudgetError(UserError, ValueError):
    """The memory budget has no room for a part of the work."""


@dataclass(frozen=True)
class Need:
    """What a part of the work takes, on top of what its idle process holds.

    Attributes
    ----------
    bytes : int
        The most that each of those running side by side takes.
    how : str
        How it was derived, in words.

    Examples
    --------
    >>> Need(1_200_000_000, "two shards").bytes
    1200000000
    """

    bytes: int
    how: str

    def check(self, what, free, remedy, beside=0):
        """Refuse a need that is larger than what is free.

        Parameters
        ----------
        what : str
        free : int
            Bytes; negative if the processes alone hold more than the budget.
        remedy : str
            What else helps, other than more memory.
        beside : int
            Bytes needed at the same time by something else.

        Raises
        ------
        BudgetError
            The need does not fit; the message gives the need, what there is, and the remedy.

        Examples
        --------
        >>> Need(90_000_000, "two shards").check("decoding", -200_000_000, "pass a smaller --size")
        Traceback (most recent call last):
        ...
        glomfeat.core.memory.BudgetError: decoding needs 90.0 MB (two shards) ...: raise --memory by 290.0 MB, or ...
        """
        if self.bytes > free:
            raise BudgetError(
                f"{what} needs {format_bytes(self.bytes)} ({self.how}) and {format_bytes(max(free, 0))} of the budget "
                f"are free: {self.remedy(free, beside)}, or {remedy}"
            )

    def remedy(self, free, beside=0):
        """Advise by how much to raise the budget; the parameters are those of `check`.

        Examples
        --------
        >>> Need(90_000_000, "two shards").remedy(free=50_000_000)
        'raise --memory by 40.0 MB'
        """
        return f"raise --memory by {format_bytes(-(-(self.bytes + beside - free) // ROUND) * ROUND)}"


def held_bytes(process):
    """Bytes that a process holds: its proportional set size, which counts pages shared by several processes only once.

    Parameters
    ----------
    process : psutil.Process

    Returns
    -------
    int
        Bytes; the resident size if the system does not give it, 0 for a process that has ended.
    """
    try:
        found = process.memory_full_info()
        return getattr(found, "pss", 0) or found.rss
    except psutil.AccessDenied:
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0


def tree_bytes(process=None):
    """What a process, by default this one, and all below it hold together, in bytes.

    Examples
    --------
    >>> tree_bytes() > 10_000_000
    True
    """
    return sum(map(held_bytes, process_tree(process or psutil.Process())))


def process_tree(process):
    """List a process and all below it."""
    return [process, *_all_below(process)]


def _all_below(process):
    """All processes below a process, without a look at every process where Linux lists children."""
    try:
        below = [
            int(child)
            for path in Path(f"/proc/{process.pid}/task").glob("*/children")
            for child in path.read_text().split()
        ]
    except OSError:  # it has ended in the meantime
        return []
    found = []
    if not below and not Path(f"/proc/{process.pid}/task/{process.pid}/children").exists():
        with suppress(psutil.NoSuchProcess):
            found = process.children(recursive=True)
    for child in below:
        with suppress(psutil.NoSuchProcess):
            one = psutil.Process(child)
            found += [one, *_all_below(one)]
    return found


class PeakMemory:
    """Measure the peak memory while a block runs.

    A thread looks at it again and again; shorter peaks are missed. Looking takes a fiftieth of the time at most,
    because reading what large processes hold takes long and stops them meanwhile.

    Parameters
    ----------
    look : callable, optional
        Returns bytes; this process's resident size by default, or `tree_bytes`.
    every_s : float
        Seconds between two looks.
    rest : int
        The pause after each look, as a multiple of the time that the look took.

    Attributes
    ----------
    peak_bytes : int
        Includes what was held before the block began.

    Examples
    --------
    >>> with PeakMemory() as memory:
    ...     block = bytes(10_000_000)
    >>> memory.peak_bytes > 10_000_000
    True
    """

    def __init__(self, look=None, every_s=0.02, rest=REST):
        self._read, self._every_s = look or (lambda: psutil.Process().memory_info().rss), every_s
        self._rest = rest
        self.peak_bytes, self._now_bytes, self._rest_until = 0, 0, 0.0

    def __enter__(self):
        self._stop = threading.Event()
        self._now_bytes = self.peak_bytes = self._read()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def look(self):
        """Look once more, now.

        Returns
        -------
        int
            Bytes held now.
        """
        began = time.perf_counter()
        self._now_bytes = self._read()
        ended = time.perf_counter()
        self._rest_until = ended + self._rest * (ended - began)
        self.peak_bytes = max(self.peak_bytes, self._now_bytes)
        return self._now_bytes

    def look_if_rested(self):
        """Look once more unless it is too soon for that, and return what was seen last."""
        return self.look() if time.perf_counter() >= self._rest_until else self._now_bytes

    def begin_anew(self):
        """Forget the peak, and start again from what was held at the last look."""
        self.peak_bytes = self._now_bytes

    def _watch(self):
        while not self._stop.wait(self._every_s):
            self.look_if_rested()

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()
        self.look_if_rested()
