"""Faults that stop a command: signals at what it writes and at any time, workers that are killed, two at once."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial

from glomfeat.core.locks import alone_in, mark_of
from helpers.campaign.jobs import JOBS, Ended, folder_of
from helpers.campaign.judge import Fault
from helpers.campaign.zygote import Plan

WRITING = (
    *("compare", "compare images", "audit", "export", "report", "refit", "evaluate", "evaluate", "crops", "coverage"),
    "bench",
)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PATIENCE_S = 600  # with what may hang


def stops():
    """All faults of this file."""
    found = [
        Fault(f"{number.name} at something written", name, partial(_at_a_write, name, number), own_process=True)
        for number in SIGNALS
        for name in WRITING
    ]
    found += [
        Fault(f"{number.name} at any time", name, partial(_at_any_time, number), own_process=True)
        for number in SIGNALS
        for name in ("compare", "report", "evaluate", "refit")
    ]
    found += [
        Fault(
            f"{number.name} to a run with two workers",
            "compare workers",
            partial(_with_workers, number, send),
            own_process=True,
        )
        for number, send in (*((one, os.killpg) for one in SIGNALS), (signal.SIGTERM, os.kill))
    ]
    found += [
        Fault("mark of a killed process", name, partial(_stale_mark, name, who), fresh=name != "report")
        for name, who in (("compare", "process 4 on here"), ("audit", ""), ("evaluate", "process 4"), ("export", ""))
    ]
    found += [
        Fault("mark of another host", name, partial(_stale_mark, name, "process 77 on node-12"))
        for name in ("compare", "crops", "coverage")
    ]
    found += [
        Fault("two at once", name, _two_at_once, own_process=True)
        for name in ("compare", "audit", "evaluate", "export", "refit", "report")
    ]
    found += [
        Fault("another run holds the output", name, partial(_held, name), says=("another run",))
        for name in ("audit", "export", "crops", "coverage", "bench", "refit")
    ]
    return found


@contextlib.contextmanager
def _at_a_write(name, number, scene):
    """A signal when the n-th thing is asked of the output."""
    at = scene.rng.integers(1, scene.things(name, folder_of(name)) + 1)
    plan = Plan(int(number), int(at), str(scene.place / folder_of(name)))
    yield lambda name: scene.zygote.run(name, scene.place, plan)


@contextlib.contextmanager
def _at_any_time(number, scene):
    def run(name):
        pid = scene.zygote.start(name, scene.place)
        scene.zygote.wait_for_begin(scene.place)
        time.sleep(scene.rng.uniform(0.0, 0.6))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return scene.zygote.wait(pid, scene.place)

    yield run


@contextlib.contextmanager
def _with_workers(number, send, scene):
    """A signal to the process alone, or to its workers too, when the first trial has ended."""

    def run(name):
        command = [sys.executable, "-m", "studies.compare", *JOBS[name].arguments(scene.place)]
        pipe, place = subprocess.PIPE, str(scene.place)
        path = os.pathsep.join([place, *filter(None, sys.path)])
        process = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=os.environ | {"PYTHONPATH": path}
        )
        journal = scene.place / JOBS[name].out / "journal.jsonl"
        while process.poll() is None and not (journal.is_file() and b'"status"' in journal.read_bytes()):
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            send(process.pid, number)
        said, error = process.communicate(timeout=PATIENCE_S)
        return Ended(process.returncode, said, error)

    yield run


def _mark(name, place):
    target = {"export": "rows/f.parquet", "evaluate": "scores/scores.csv", "refit": "model/one"}.get(name)
    return (place / target, True) if target else (place / JOBS[name].out, False)


@contextlib.contextmanager
def _stale_mark(name, who, scene):
    target, beside = _mark(name, scene.place)
    mark = mark_of(target, beside)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(who)
    yield


@contextlib.contextmanager
def _held(name, scene):
    target, beside = _mark(name, scene.place)
    with alone_in(target, "--out", beside):
        yield


@contextlib.contextmanager
def _two_at_once(scene):
    """Two processes of the same command: one does it, the other is refused, waits, or finds it done."""

    def run(name):
        pids = [scene.zygote.start(name, scene.place, log=log) for log in ("one", "two")]
        ended = [scene.zygote.wait(pid, scene.place, log) for pid, log in zip(pids, ("one", "two"), strict=True)]
        return max(ended, key=lambda one: 99 if one.status is None else one.status)

    yield run
