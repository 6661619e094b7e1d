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
    """One way of doing a piece of work."""

    what: str  # who does it, for the table
    function: str  # "module:function", done in a new process as `studies.bench.child` says
    arguments: dict = field(default_factory=dict)  # plain data
    template: str = ""  # a folder that is found, with its files linked, as "store" in the function's folder
    times: float = 1.0  # how often the measured work makes up the whole
    of: str = ""  # which part was measured if not the whole, such as "2 of 25 folds"
    units: int = 1  # seconds are compared per unit
    need: int = 0  # bytes it is known to take; it is skipped where the budget is smaller


@dataclass(frozen=True)
class Measured:
    """What was measured of a side: medians over the rounds, extrapolated to the whole, and the largest memory."""

    process_s: float = 0.0  # of the whole process
    work_s: float = 0.0  # of the work alone
    peak_bytes: int = 0  # proportional set size of the process and all below it
    mapped_bytes: int = 0  # file pages in that
    rounds: int = 0
    kept: str = ""  # path of what the last round gave; nothing is there where it gave nothing
    failed: str = ""  # why there are no figures
    skipped: bool = False  # not tried, because it is known to need more memory than there is


def measure(sides, folder, repeats, patience_s, memory, together=False):
    """Measure sides, a dict of `Side` by name, in turn, each round in the opposite order of the one before.

    There are at most `repeats` rounds, and no further one if all would then take longer than `patience_s`. `memory` is
    in bytes: a side that needs more is not tried. `together` puts all sides of a round in one process, for sizes so
    small that only starting it takes time. Returns a dict of `Measured`.
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
        str(folder / "kept.npz"),
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
        if status == -9:
            return {"error": "the process was killed, most likely for want of memory"}
        last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        return {"error": f"the process ended with status {status}: {last}"}


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
