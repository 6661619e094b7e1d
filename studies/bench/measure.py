"""Measuring for `studies.bench`: sides in fresh processes, in alternating order, with time and peak memory."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from glomfeat.core.memory import PeakMemory, format_bytes, held_bytes

LOOK_S = 0.1
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Side:
    """One way of doing a piece of work.

    Attributes
    ----------
    what : str
        Who does it, for the table.
    function : str
        ``module:function``, called in a new process as ``function(folder, **arguments)``. It returns plain data with
        ``work_s``, the seconds of the work without imports and preparations, and may leave an array ``kept.npy``.
    arguments : dict
        Plain data.
    template : str
        A folder that is found, with its files linked, as ``store`` in the function's folder.
    times : float
        How often the measured work makes up the whole.
    of : str
        Which part was measured if not the whole, such as "2 of 25 folds".
    units : int
        Seconds are compared per unit.
    need : int
        Bytes it is known to take; it is skipped where the budget is smaller.
    """

    what: str
    function: str
    arguments: dict = field(default_factory=dict)
    template: str = ""
    times: float = 1.0
    of: str = ""
    units: int = 1
    need: int = 0


@dataclass(frozen=True)
class Measured:
    """What was measured of a side.

    Attributes
    ----------
    process_s, work_s : float
        Medians over the rounds, of the whole process and of the work alone, extrapolated to the whole.
    peak_bytes, mapped_bytes : int
        Largest proportional set size of the process and all below it, and the file pages in it.
    rounds : int
    found : dict
        What the function returned at the last round.
    kept : str
        Path of ``kept.npy``; it may not be there.
    failed : str
        Why there are no figures; empty where there are.
    skipped : bool
        Whether it was not tried, because it is known to need more memory than there is.
    """

    process_s: float = 0.0
    work_s: float = 0.0
    peak_bytes: int = 0
    mapped_bytes: int = 0
    rounds: int = 0
    found: dict = field(default_factory=dict)
    kept: str = ""
    failed: str = ""
    skipped: bool = False


def measure(sides, folder, repeats, patience_s, memory, together=False):
    """Measure sides in turn, each round in the opposite order of the one before.

    Parameters
    ----------
    sides : dict of str to Side
    folder : Path
        For what they leave behind.
    repeats : int
        Rounds at the most.
    patience_s : float
        There is no further round if all would then take longer than this.
    memory : int
        Bytes; a side that needs more is not tried.
    together : bool
        All sides of a round in one process, for sizes so small that only starting it takes time.

    Returns
    -------
    dict of str to Measured
    """
    needs = {name: f"needs {format_bytes(side.need)}" for name, side in sides.items() if side.need > memory}
    rounds, order, failed = {name: [] for name in sides}, [name for name in sides if name not in needs], {}
    start = time.perf_counter()
    for k in range(repeats):
        waiting = [name for name in order[:: (-1) ** k] if name not in failed]
        for names in [waiting] if together else [[name] for name in waiting]:
            for name, found in zip(names, _run({name: sides[name] for name in names}, folder), strict=True):
                if "error" in found:
                    failed[name] = found["error"]
                rounds[name].append(found)
        if (time.perf_counter() - start) * (k + 2) / (k + 1) > patience_s:
            break
    found = {name: Measured(failed=f"{need} of {format_bytes(memory)}", skipped=True) for name, need in needs.items()}
    for name in order:
        why = failed.get(name)
        found[name] = Measured(failed=why) if why else _median(sides[name], rounds[name], folder / name)
    return found


def _median(side, rounds, folder):
    over = [found["process_s"] - found["work_s"] for found in rounds]
    work = [found["work_s"] * side.times for found in rounds]
    return Measured(
        statistics.median(a + b for a, b in zip(over, work, strict=True)),
        statistics.median(work),
        max(found["peak_bytes"] for found in rounds),
        max(found["mapped_bytes"] for found in rounds),
        len(rounds),
        rounds[-1],
        str(folder / "kept.npy"),
    )


def _run(sides, folder):
    """Run sides one after the other in one new process; a dict for each."""
    jobs = []
    for name, side in sides.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        if side.template:
            shutil.copytree(side.template, folder / name / "store", copy_function=os.link)
        jobs.append({"function": side.function, "folder": str(folder / name), "arguments": side.arguments})
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command, log = [sys.executable, "-m", "studies.bench.child"], folder / "log.txt"
    start = time.perf_counter()
    with log.open("w") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=os.environ | {"PYTHONPATH": path}
        )
        tree = _Tree(process.pid)
        try:
            with PeakMemory(tree, LOOK_S):
                process.communicate(json.dumps(jobs).encode())
        finally:
            for one in tree.processes():
                one.kill()
            process.wait()
    seconds = time.perf_counter() - start
    answers = [_answer(folder / name, process.returncode, log) for name in sides]
    start_s = (seconds - sum(answer.get("work_s", 0.0) for answer in answers)) / len(answers)
    for name, answer in zip(sides, answers, strict=True):
        answer["process_s"] = start_s + answer.get("work_s", 0.0)
        answer |= {"peak_bytes": tree.most, "mapped_bytes": tree.mapped}
        shutil.rmtree(folder / name / "store", ignore_errors=True)
    return answers


def _answer(folder, status, log):
    try:
        return json.loads((folder / "answer.json").read_text())
    except FileNotFoundError:
        last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        why = "killed, most likely for want of memory" if status == -9 else f"ended with status {status}: {last}"
        return {"error": f"the process was {why}" if status == -9 else f"the process {why}"}


class _Tree:
    """Called, it tells what a process and all below it hold; it remembers the most, and the file pages in that."""

    def __init__(self, pid):
        self._pid, self.most, self.mapped = pid, 0, 0

    def processes(self):
        try:
            top = psutil.Process(self._pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def __call__(self):
        processes = self.processes()
        now = sum(map(held_bytes, processes))
        if now > self.most:
            self.most, self.mapped = now, sum(map(_mapped_bytes, processes))
        return now


def _mapped_bytes(process):
    """Pages of files in a process's proportional set size; the system can take them back. 0 where it does not tell."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss_File:"))
