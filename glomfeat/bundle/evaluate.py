"""Put files or rows through a bundle: one output row each, in order of name, written continuously and resumable."""

import contextlib
import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import psutil

from glomfeat.bundle.model import COLUMNS, UNOPENED, FeatureModel
from glomfeat.core.atomic import write_text
from glomfeat.core.disk import writing
from glomfeat.core.errors import UserError
from glomfeat.core.memory import BudgetError, held_bytes
from glomfeat.core.progress import track
from glomfeat.core.starting import spread
from glomfeat.core.words import guarded, number_of, unguarded
from glomfeat.data.files import OUTPUT, is_hidden, names_below, split
from glomfeat.data.labels.samples import BESIDE
from glomfeat.data.sources import is_image
from glomfeat.data.unread import lines_on_outputs
from glomfeat.features.budget import find_pace, largest_source
from glomfeat.features.make import Handcrafted

STATUS = COLUMNS.index("status")


class OutputError(UserError, ValueError):
    """An output exists already and is not this evaluation's; the message gives the remedy."""


@dataclass
class Tally:
    """The counts of an evaluation.

    Attributes
    ----------
    rows, bad, unlike : int
        Files or rows of a table in all, those without a prediction, and those unlike the training data.
    ways : dict of str to int
        Of those scored in this run, how many are unlike the training data in size, colour or features.
    """

    rows: int = 0
    bad: int = 0
    unlike: int = 0
    ways: dict = None

    def count(self, status):
        self.rows += 1
        self.bad += not status.startswith("ok")
        self.unlike += status.startswith("ok (")


def list_files(place, but=(), notes=None):
    """List the files of a folder and of all folders below it, even linked ones, or of an archive.

    Hidden files are left out, and folders that a study wrote; in an archive, labels that lie beside images as in a
    WebDataset, too.

    Parameters
    ----------
    place : path-like
        From `glomfeat.data.sources.places_of`.
    but : sequence of path-like
        Files to leave out.
    notes : list of str, optional
        Lines are added on hidden files and folders that a study wrote.

    Returns
    -------
    list of str
        Relative names with slashes, sorted; as text, because a hundred thousand then take only 10 MB.

    Raises
    ------
    FolderError
        A folder cannot be listed, or has no end.
    """
    place, found, hidden, written = Path(place), [], [], []
    for name in names_below(place, hidden=True):
        (hidden if is_hidden(name) else written if name.endswith(OUTPUT) else found).append(name)
    if hidden and notes is not None:
        notes.append(f"left out: {number_of(len(hidden), 'hidden file or folder', 'hidden files or folders')}")
    if notes is not None:
        notes += lines_on_outputs(written)
    if split(place)[0]:
        keys = {name.rpartition(".")[0] for name in found if is_image(name)}
        return sorted(name for name in found if not (name.endswith(BESIDE) and name.rpartition(".")[0] in keys))
    left_out = {Path(path).resolve() for path in but}
    near = {path.name for path in left_out}
    return sorted(
        name for name in found if not (name.rpartition("/")[2] in near and (place / name).resolve() in left_out)
    )


def open_output(out, identity, names, columns=COLUMNS):
    """Open an output: a new one, or one of the same evaluation, whose complete rows are kept.

    Parameters
    ----------
    out : Path
        The CSV; a JSON file of the same name beside it says which evaluation it belongs to.
    identity : dict
        Plain data that is equal for two evaluations only if they are the same.
    names : list of str
    columns : sequence of str
        From `glomfeat.bundle.model.Bundle.columns`.

    Returns
    -------
    Tally
        Counts of the rows that are there and are kept.

    Raises
    ------
    OutputError
        The output belongs to something else.
    """
    about = out.with_suffix(".json")
    other = f"choose another file with --out, or delete {out} and {about.name}"
    if out.exists() or about.exists():
        try:
            there = json.loads(about.read_bytes())
        except (OSError, ValueError):
            raise OutputError(f"{out} already exists and belongs to something else: {other}") from None
        changed = sorted(name for name in identity if not isinstance(there, dict) or there.get(name) != identity[name])
        if changed:
            raise OutputError(f"{out} belongs to another evaluation, and differs in {' and '.join(changed)}: {other}")
    else:
        write_text(about, json.dumps(identity, indent=1) + "\n")
    if not out.exists():
        with writing(out.parent):
            out.touch()
    tally, whole = _rows_there(out, names, columns, other)
    with writing(out.parent), out.open("r+b") as file:
        file.truncate(whole)
        if not whole:
            file.write(_lines([columns]))
    return tally


def _rows_there(out, names, columns, other):
    """Count complete rows, and the bytes up to the end of the last one.

    If all files have a row, rows from the first file on that could not be opened do not count: it may open now.
    """
    tally, whole, consumed, before = Tally(), 0, 0, None
    with out.open("rb") as file:

        def lines():
            nonlocal consumed
            for line in file:
                if not line.endswith(b"\n"):
                    return  # cut off when the run was stopped
                consumed += len(line)
                yield line.decode("utf-8", "surrogateescape")

        try:
            for k, row in enumerate(csv.reader(lines(), strict=True)):
                expected = columns[0] if k == 0 else names[k - 1] if k <= len(names) else None
                if not row or expected not in (row[0], unguarded(row[0])) or len(row) != len(columns):
                    raise OutputError(f"{out} holds rows of something else: {other}")
                if k:
                    if before is None and row[STATUS].startswith(UNOPENED):
                        before = replace(tally), whole
                    tally.count(row[STATUS])
                whole = consumed
        except csv.Error:
            pass
    return before if before and tally.rows == len(names) else (tally, whole)


@dataclass(frozen=True)
class SideBySide:
    """A handcrafted feature computed by several processes; their number does not change an image's numbers."""

    feature: Handcrafted
    jobs: int

    def transform(self, pixels, sizes):
        parts = np.array_split(np.arange(len(pixels)), min(self.jobs, len(pixels)))
        calls = (joblib.delayed(self.feature.transform)(pixels[p], sizes[p]) for p in parts)
        return np.concatenate(spread(calls, self.jobs))


def paced(bundle, paths, batch, jobs, budget):
    """Fit a bundle and the way it is fed into a memory budget.

    Parameters
    ----------
    bundle : Bundle
    paths : list of str
    batch, jobs : int
    budget : int
        Bytes for all processes.

    Returns
    -------
    bundle : Bundle
        With handcrafted features spread over processes; networks keep their batch, because their last digits depend on
        it.
    threads, ahead : int
        Threads that decode, and batches that are decoded before they are scored.

    Raises
    ------
    BudgetError
        Not even the smallest settings fit.
    """
    views = {part.preprocess: {} for part in bundle.parts}
    for part in filter(_has_feature, bundle.parts):
        views[part.preprocess][id(part.model.feature)] = part.model.feature
    features = {key: feature for of in views.values() for key, feature in of.items()}
    free, source = (budget - held_bytes(psutil.Process())) // len(views), largest_source(paths)
    try:
        paces = [
            find_pace([*of.values()], view.size, batch, source, jobs, free, halve=False) for view, of in views.items()
        ]
    except BudgetError as error:
        need = str(error).partition(": raise --memory")[0]
        raise BudgetError(f"{need}: raise --memory, or pass a smaller --batch") from None
    threads, ahead, workers = (min(getattr(pace, name) for pace in paces) for name in ("threads", "ahead", "workers"))
    if workers > 1:
        own = {key: feature for key, feature in features.items() if isinstance(feature, Handcrafted)}
        features |= {key: SideBySide(feature, workers) for key, feature in own.items()}
    parts = [
        replace(part, model=replace(part.model, feature=features[id(part.model.feature)]))
        if _has_feature(part)
        else part
        for part in bundle.parts
    ]
    return bundle.with_parts(parts), threads, ahead


def _has_feature(part):
    return isinstance(part.model, FeatureModel)


def evaluate_all(bundle, given, out, tally, batch, threads=1, ahead=1):
    """Append the rows that an output lacks, batch by batch, flushing each to the disk.

    Batches lie on a grid over all names, so that a run that was stopped and resumed gives the same scores to the last
    bit.

    Parameters
    ----------
    bundle : Bundle
    given : glomfeat.bundle.inputs.Files or Rows
    out : Path
    tally : Tally
        From `open_output`; counting goes on from it.
    batch, threads, ahead : int

    Returns
    -------
    Tally
    """
    done, tally.ways, names = tally.rows, {}, given.names
    starts = range(done // batch * batch, len(names), batch)

    def decode(start):
        return given.decode(bundle, slice(start, start + batch), threads)

    def scored():
        with ThreadPoolExecutor(1) as pool:
            pending = []
            for k, start in enumerate(starts):
                while len(pending) <= ahead and k + len(pending) < len(starts):
                    pending.append(pool.submit(decode, starts[k + len(pending)]))
                found = bundle.rows(names[start : start + batch], pending.pop(0).result())
                yield found[max(0, done - start) :]

    for rows in track(scored(), f"batches of {batch} {given.unit}", len(starts)):
        _append(out, [row for *row, _ in rows])
        for *row, ways in rows:
            tally.count(row[STATUS])
            for way in ways:
                tally.ways[way] = tally.ways.get(way, 0) + 1
    return tally


def _append(out, rows):
    """Append rows to an output; rows that cannot be written completely are removed again."""
    data = _lines(rows)
    with writing(out.parent):
        end = out.stat().st_size
        try:
            with out.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(out, end)
            raise


def _lines(rows):
    """Rows as lines of a CSV, in bytes."""
    lines = []
    # csv quotes what its own line ends hold: a carriage return without a line feed, too
    writer = csv.writer(SimpleNamespace(write=lambda line: lines.append(line.removesuffix("\r\n") + "\n")))
    writer.writerows([repr(value) if isinstance(value, float) else guarded(value) for value in row] for row in rows)
    return "".join(lines).encode("utf-8", "surrogateescape")
