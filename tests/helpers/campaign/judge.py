"""Whether a fault was survived, said, or lost something."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from helpers.campaign.jobs import JOBS, restore, run_here
from helpers.faults import watched

SURVIVED, CLEAR, LOST = "survived", "clear message", "lost"
STOPPED = (130, 143)
# A remedy is an order: one of these words stands in every message that has one.
ORDERS = re.compile(
    r"\b(run|free|delete|choose|take|write|give|mend|install|raise|wait|name|make|move|look|have|mount|ask|pass|see|print|start|bring|"
    r"set|correct|download|replace|save|check|convert|export|copy|close|leave|remove|rename|use|unpack|remake|pack|add|"
    r"python -m)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fault:
    """One way of disturbing a command.

    Attributes
    ----------
    kind : str
        A row of the table.
    job : str
        One of `JOBS`.
    harm : callable
        ``(scene)``: a context around the disturbed run. What lasts until it is left is the cause.
    says : tuple of str
        What a message has to name.
    fresh : bool
        Whether the command begins from nothing, instead of over what it wrote before.
    cold : bool
        Whether the cache is empty.
    own_process : bool
        Whether `harm` gives the ended command itself, which ran in a process of its own.
    elsewhere : bool
        Whether the command that follows has to be of another study, such as of a mended part.
    """

    kind: str
    job: str
    harm: Callable
    says: tuple = ()
    fresh: bool = True
    cold: bool = False
    own_process: bool = False
    elsewhere: bool = False


@dataclass(frozen=True)
class Scene:
    """Where a fault happens: the place, what lay there before, numbers at random, and processes of their own."""

    place: Path
    base: Path
    expected: dict
    rng: object
    zygote: object
    counts: dict = field(default_factory=dict)

    def things(self, name, folder, cold=False):
        """How many things a command asks of a folder below the place that it finds as it was before."""
        key = name, folder, cold
        if key not in self.counts:
            with watched(self.place / folder) as disk:
                run_here(JOBS[name], self.place)
            self.counts[key] = len(disk.asked)
            restore(self.place, self.base, [name], cold)
        return self.counts[key]


@dataclass(frozen=True)
class Judged:
    """What became of a fault, and why."""

    kind: str
    job: str
    verdict: str
    why: str


def judge(fault, scene):
    """Disturb a command, take the cause away, run the same command again, and compare."""
    job, place = JOBS[fault.job], scene.place
    restore(place, scene.base, [fault.job] if fault.fresh else [], fault.cold)
    expected, _ = scene.expected[fault.job]
    ended = None
    with fault.harm(scene) as given:
        ended = given(fault.job) if fault.own_process else run_here(job, place)
    left = job.results(place)
    if fault.elsewhere:
        shutil.rmtree(place / job.out, ignore_errors=True)
    again = run_here(job, place)
    found = job.results(place)
    wrong = _wrong(fault, ended, left, expected) or _wrong_again(again, found, expected)
    verdict = LOST if wrong else SURVIVED if ended.status in (0, -9) or _is_whole(ended, fault) else CLEAR
    said = (ended.error or ended.said).strip().splitlines()
    return Judged(fault.kind, fault.job, verdict, f"{wrong}; status {ended.status}; {' / '.join(said[-4:])}"[:1500])


def _is_whole(ended, fault):
    """Whether a command that ends with status 1 has nothing to say: an audit with findings, images set aside."""
    return ended.status == 1 and not fault.says


def _wrong(fault, ended, left, expected):
    """What is wrong with how the disturbed command ended; empty where nothing is."""
    if ended.status is None:
        return "it hung"
    if "Traceback" in ended.said + ended.error:
        return "a traceback"
    if ended.status == 0:
        return "" if fault.elsewhere or left == expected else f"done, and not the same: {_differ(left, expected)}"
    half = [name for name, content in left.items() if expected.get(name, content) != content]
    if half and ended.status not in (1,) and not fault.elsewhere and fault.fresh and not _goes_on(half):
        return f"half-written under a final name: {half}"
    if ended.status in STOPPED:
        return "" if ended.error.count("\n") == 1 else "more than one line"
    if ended.status == -9:
        return ""
    if ended.status not in (1, 2):
        return f"status {ended.status}"
    said = ended.error if ended.status == 2 else ended.said + ended.error
    if ended.status == 2 and len(re.findall(r"^error: ", said, re.MULTILINE)) != 1:
        return "not one message"
    missing = [what for what in fault.says if what not in said]
    if missing:
        return f"the message does not name {missing}"
    return "" if ended.status == 1 or ORDERS.search(said.partition("error: ")[2]) else "no remedy"


def _goes_on(names):
    """Whether these are files that grow row by row and are gone on with."""
    return all(name == "scores/scores.csv" for name in names)


def _wrong_again(again, found, expected):
    if "Traceback" in again.said + again.error:
        return "a traceback in the run after it"
    if found != expected:
        return (
            f"the run after it (status {again.status}) is not the same: {_differ(found, expected)} {again.error[-300:]}"
        )
    return ""


def _differ(found, expected):
    return sorted(name for name in {**found, **expected} if found.get(name) != expected.get(name))


def table(judged):
    """How many faults of each kind there were, and what became of them, as Markdown."""
    frame = pd.DataFrame([(one.kind, one.job, one.verdict) for one in judged], columns=["kind", "command", "verdict"])
    counts = pd.crosstab(frame["kind"], frame["verdict"]).reindex(columns=[SURVIVED, CLEAR, LOST], fill_value=0)
    counts = counts.loc[list(dict.fromkeys(frame["kind"]))]
    lines = [f"| kind | commands | faults | {SURVIVED} | {CLEAR} | {LOST} |", "|---|---|---:|---:|---:|---:|"]
    for kind, row in counts.iterrows():
        commands = ", ".join(dict.fromkeys(JOBS[job].study for job in frame.loc[frame["kind"] == kind, "command"]))
        lines.append(f"| {kind} | {commands} | {row.sum()} | " + " | ".join(map(str, row)) + " |")
    total = counts.sum()
    lines.append(f"| **{len(counts)} kinds** | | {total.sum()} | " + " | ".join(map(str, total)) + " |")
    return "\n".join(lines)
