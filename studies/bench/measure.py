"""Measure sides for `studies.bench`: each in a fresh process, in alternating order, with time and peak memory."""

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from glomfeat.core.memory import PeakMemory, format_bytes, process_tree, tree_bytes

LOOK_S = 0.1
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, eq=False)
class Side:
    """One way of doing a piece of work."""

    what: str  # who does it, for the table
    work: Callable  # the work, which can be pickled, and is done as `studies.bench.child` says
    folds: int = 1  # how many folds are measured
    of_folds: int = 1  # how many folds the whole has
    units: int = 1  # seconds are compared per unit
    need: int = 0  # bytes that it is known to take; it is skipped if the budget is smaller
    rest: int = 0  # pause between two looks at its memory, in multiples of a look's time, if it keeps all cores busy


@dataclass(frozen=True)
class Measured:
    """The measurements of a side: medians over the rounds, extrapolated to the whole, and the peak memory."""

    process_s: float = 0.0  # of the whole process
    work_s: float = 0.0  # of the work alone
    peak_bytes: int = 0  # proportional set size of the process and all below it
    kept: Any = None  # the result of the last round
    status: str = "done"  # or failed; or skipped, because it is known to need more memory than the budget
    reason: str = ""


def measure(sides, folder, repeats, patience_s, memory, ends):
    """Measure a list of `Side` in turn, each round in the opposite order of the one before.

    There are at most `repeats` rounds, and no further round is started if all would then take longer than `patience_s`
    seconds. `memory` is in bytes: a side that needs more is not tried. What has not ended when `time.perf_counter`
    reaches `ends` is given up. Returns a dict of `Side` to `Measured`.
    """
    rounds, start = {side: [] for side in sides}, time.perf_counter()
    for k in range(repeats):
        for side in sides[:: (-1) ** k]:
            if not rounds[side] or rounds[side][-1].status == "done":
                rounds[side].append(_run(side, folder, memory, ends))
        if (time.perf_counter() - start) * (k + 2) / (k + 1) > patience_s:
            break
    return {side: _middle(side, of) for side, of in rounds.items()}


def _middle(side, rounds):
    done, times = [one for one in rounds if one.status == "done"], side.of_folds / side.folds
    if not done or rounds[-1].status == "failed":
        return rounds[-1]
    process_s = median(one.process_s + (times - 1) * one.work_s for one in done)  # the whole starts only once
    work_s = median(one.work_s * times for one in done)
    return Measured(process_s, work_s, max(one.peak_bytes for one in done), done[-1].kept)


def _run(side, folder, memory, ends):
    """Measure a side once, in a new process that starts in an empty folder."""
    if side.need > memory:
        return Measured(status="skipped", reason=f"needs {format_bytes(side.need)} of {format_bytes(memory)}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command, answer, log = [sys.executable, "-m", "studies.bench.child"], folder / "answer.pickle", folder / "log.txt"
    given, start = pickle.dumps((side.work, answer)), time.perf_counter()
    outer = {"cwd": folder, "stdin": subprocess.PIPE, "env": os.environ | {"PYTHONPATH": path}}
    with log.open("w") as out, psutil.Popen(command, stdout=out, stderr=out, **outer) as child:
        try:
            with PeakMemory(partial(tree_bytes, child), LOOK_S, rest=side.rest) as watch:
                child.communicate(given, max(0.0, ends - time.perf_counter()))
        except subprocess.TimeoutExpired:
            return Measured(status="skipped", reason="no time was left for it")
        finally:
            for one in process_tree(child):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
    process_s = time.perf_counter() - start
    found = pickle.loads(answer.read_bytes()) if answer.exists() else _why_ended(child.returncode, log)
    shutil.rmtree(folder, ignore_errors=True)
    if isinstance(found, str):
        return Measured(status="failed", reason=found)
    work_s, kept = found
    return Measured(process_s, work_s, watch.peak_bytes, kept)


def _why_ended(status, log):
    if status == -9:
        return "the process was killed, most likely because memory ran out"
    last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    return f"the process ended with status {status}: {last}"
