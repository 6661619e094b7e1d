"""What a run would do, before it does it: trials, bytes, what is stored already, and how long the rest takes."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glomfeat.features.base import Handcrafted
from glomfeat.features.extract import Shards
from glomfeat.features.pixels import Pixels, decode_rows
from glomfeat.features.table import Table
from glomfeat.journal import Journal
from glomfeat.memory import format_bytes
from glomfeat.nets import net_bytes, net_seconds
from glomfeat.reducers import leaves_as_is, parse_reducer, reducer_bytes
from glomfeat.splits import HOLDOUT, INNER_VALID
from glomfeat.store import plan_shards

PROBED = 4


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes
    ----------
    name : str
    total, done : int
        Images or trials.
    disk_bytes, memory_bytes : int
        What its result takes on the disk, and what each of those that run side by side takes in memory.
    left_s : float
        Seconds; NaN where nothing has been timed yet.
    """

    name: str
    total: int
    done: int
    disk_bytes: int
    memory_bytes: int
    left_s: float


def make_plan(prepared):
    """List the stages of a run.

    Decoding and features are timed on a few images here and now, and networks on a step or two, as if they ran all of
    their epochs; trials by those of the same arm that the journal holds, if it holds any.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    list of Stage
    """
    stages, widths = _plan_features(prepared) if prepared.manifest.source == "" else ([], {})
    widths |= {f.name: f.rows(prepared.manifest.table["name"][:1]).shape[1] for f in prepared.features if _table(f)}
    return stages + _plan_trials(prepared, widths)


def _table(feature):
    return isinstance(feature, Table)


def _plan_features(prepared):
    """Decoding and each feature of pixels; also how many columns each feature has."""
    table, preprocess, jobs = prepared.manifest.table, prepared.preprocess, prepared.study.jobs
    digests = table["digest"].tolist()
    shards = Shards(plan_shards(digests), digests)
    sizes_of = [len(rows) for rows in shards.rows]
    probe = np.linspace(0, len(table) - 1, min(PROBED, len(table))).astype(int)
    start = time.perf_counter()
    arrays = decode_rows(table["path"].iloc[probe].tolist(), [digests[row] for row in probe], preprocess, 1)
    decode_s = (time.perf_counter() - start) / len(probe)
    good = arrays["sizes"][:, 0] > 0
    pixels, sizes = arrays["pixels"][good], arrays["sizes"][good]
    width = preprocess.size**2 * 3
    shard_bytes = max(sizes_of) * width

    def stage(name, key, columns, itemsize, seconds):
        done = sum(rows for shard, rows in enumerate(sizes_of) if prepared.store.has(shards.key(key, shard)))
        total = sum(sizes_of)
        memory = 2 * shard_bytes + max(sizes_of) * columns * itemsize
        return Stage(name, total, done, total * columns * itemsize, memory, (total - done) * seconds)

    stages, widths = [stage("decode", preprocess.key, width, 1, decode_s / jobs)], {}
    for feature in prepared.features:
        if isinstance(feature, Pixels):
            widths[feature.name] = width
        elif not _table(feature) and len(pixels):
            feature.transform(pixels[:1], sizes[:1])  # the first call builds the network
            start = time.perf_counter()
            columns = widths[feature.name] = feature.transform(pixels, sizes).shape[1]
            seconds = (time.perf_counter() - start) / len(pixels) / (jobs if isinstance(feature, Handcrafted) else 1)
            stages.append(stage(feature.name, {**feature.key, **preprocess.key}, columns, 4, seconds))
    return stages, widths


def _plan_trials(prepared, widths):
    """The trials of each arm."""
    records = Journal(Path(prepared.study.out).expanduser() / "journal.jsonl").done()
    stages = []
    for arm in dict.fromkeys(trial.arm for trial in prepared.trials):
        keys = [trial.key for trial in prepared.trials if trial.arm == arm]
        done = [records[key] for key in keys if key in records]
        disk, memory, guess = _plan_net(prepared, arm.net) if arm.net else _plan_head(prepared, arm, widths)
        seconds = np.mean([record["fit_s"] + record["predict_s"] for record in done]) if done else guess
        left = (len(keys) - len(done)) * seconds / prepared.study.jobs if len(done) < len(keys) else 0.0
        stages.append(Stage(str(arm), len(keys), len(done), len(keys) * disk, memory, left))
    return stages


def _plan_head(prepared, arm, widths):
    """Bytes on the disk and in memory of a trial, and its seconds: unknown."""
    n, width = len(prepared.manifest), widths.get(arm.feature, 0)
    kept = 0 if leaves_as_is(arm.reducer, width) or not width else min(parse_reducer(arm.reducer)[1] or width, width)
    return n * kept * 4, reducer_bytes(arm.reducer, width, n), math.nan


def _plan_net(prepared, net):
    """Bytes on the disk and in memory of a training, and its seconds, measured on a step or two."""
    study, settings, n = prepared.study, prepared.net_settings(net), len(prepared.manifest)
    share = HOLDOUT["train"] if study.scheme == "holdout" else (1 - 1 / study.folds) * (1 - INNER_VALID)
    fit = round(n * share)
    valid = round(fit * INNER_VALID)
    return 0, net_bytes(net, settings), net_seconds(net, settings, fit, valid, study.threads)


def print_plan(prepared, console):
    """Print the stages of a run and their sums.

    Parameters
    ----------
    prepared : Prepared
    console : rich.console.Console
    """
    from rich.table import Table as Listing

    stages = make_plan(prepared)
    listing = Listing(title=prepared.title, title_justify="left")
    for column in ("stage", "total", "done", "disk", "memory each", "time left"):
        listing.add_column(column, justify="left" if column == "stage" else "right", overflow="fold")
    for s in stages:
        left = "not timed yet" if math.isnan(s.left_s) else f"{s.left_s:.0f} s"
        sizes = [format_bytes(size) if size else "" for size in (s.disk_bytes, s.memory_bytes)]
        listing.add_row(s.name, str(s.total), str(s.done), *sizes, left)
    console.print(listing)
    trials = stages[-len({trial.arm for trial in prepared.trials}) :]
    timed = sum(s.left_s for s in stages if not math.isnan(s.left_s))
    untimed = any(math.isnan(s.left_s) for s in stages)
    console.out(
        f"{sum(s.total for s in trials)} trials, {sum(s.done for s in trials)} done; "
        f"budget {format_bytes(prepared.budget)}, {prepared.study.jobs} jobs; about {timed:.0f} s left"
        + (" besides what has not been timed yet" if untimed else "")
    )
