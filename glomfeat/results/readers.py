"""Readers beside arms: how well people call the images, and whether an arm at its threshold does differently."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.agreement import bland_altman, kappa
from glomfeat.metrics.many import holm
from glomfeat.metrics.mean_recall import is_mean_recall, mean_recall_limits
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.scores import decide, sensitivity, specificity
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.case_level import one_class_each
from glomfeat.results.parts import (
    Part,
    arms_of,
    count_holders,
    in_columns,
    left_out_of,
    of_calls,
    rank,
    status_of,
    trial_parts,
    units_of,
    with_limits,
)
from glomfeat.results.unfinished import UNFINISHED
from glomfeat.results.unmoved import note_unmoved, say_unsure
from glomfeat.results.words import as_decided

FIGURES = {"sensitivity": sensitivity, "specificity": specificity}
LIMITED = ("kappa", *FIGURES, "auroc")
PERCENT = ("percent_bias", "percent_loa_lo", "percent_loa_hi")
COLUMNS = (
    *("reader", "images", "cases", "positives"),
    *(name for figure in LIMITED for name in (figure, *limits_of(figure))),
    *(*PERCENT, "note", "split"),
)
ENDS = ("_reader", "_other", "_difference", "_difference_lo", "_difference_hi", "_p")
PAIR_COLUMNS = (
    *("reader", "other", "kind", "images", "cases", "kappa", *limits_of("kappa")),
    *(f"{figure}{end}" for figure in FIGURES for end in (*ENDS, "_p_holm")),
    *("note", "split"),
)


def readers_table(run, readers):
    """Agreement with the truth for each reader, and the figures that arms have, one row per reader.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    readers : sequence of glomfeat.data.readers.Reader

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, on the images that the reader called. ``kappa`` is Cohen's with the truth; with more than two
        classes, sensitivity and specificity are means over classes of one against the rest. ``auroc`` is from the
        reader's scores, if there are any and there are two classes. ``percent_`` columns say how far the percentage of
        positive images in a case is from the truth, with the limits of agreement over cases (Bland & Altman 1986), if
        cases hold several classes. Other limits are those of `glomfeat.metrics.resampling.jackknife_limits` over cases;
        ``note`` says why figures or their limits are empty.
    """
    manifest, classes, rows = run.manifest, len(run.manifest.classes), []
    for reader in readers:
        calls, notes = _calls(manifest, reader), []
        seen = np.flatnonzero(calls >= 0)
        part = _part(run, seen, np.zeros(len(seen)))
        row = {"reader": reader.name, "images": len(seen), "cases": len(np.unique(manifest.cases[seen]))}
        row |= {"positives": int((part.y == classes - 1).sum()), "split": manifest.split}
        if not len(seen):
            rows.append(row | {"note": "none of the images that could be read is called"})
            continue
        missing = [name for code, name in enumerate(manifest.classes) if code not in part.y]
        if missing:
            notes.append(f"no image of {' and '.join(missing)} is called: what needs every class is empty")
        given = [part], [part.y], [calls[seen]], classes
        if not missing:
            row |= in_columns("kappa", with_limits(of_calls(kappa, *given), [part], -1.0, 1.0))
        for name, figure in FIGURES.items():
            made_of = METRICS[name].made_of if classes == 2 else "each"
            value, *ends = with_limits(of_calls(figure, *given), [part], made_of=made_of)
            if is_mean_recall(name, classes):
                ends = mean_recall_limits(ends, value, part.y, calls[seen], part.cases, classes)
            row |= in_columns(name, (value, *ends))
        if reader.scores and classes == 2 and not missing:
            scored = [_part(run, seen, np.array([reader.scores[name] for name in manifest.table["name"].iloc[seen]]))]
            row |= in_columns("auroc", with_limits(lambda weights, scored=scored: rank(scored, weights), scored))
        elif reader.scores and classes > 2:
            notes.append("scores are of one class of two, and not used")
        row |= _percent(manifest, seen, calls, classes)
        notes.append(say_unsure(row, [name for name in LIMITED if name in row]))
        rows.append(row | {"note": "; ".join(filter(None, notes))})
    table = note_unmoved(pd.DataFrame(rows).reindex(columns=COLUMNS), LIMITED)
    return table.assign(note=[as_decided(note, largest=True) for note in table["note"]])  # nor is there a threshold


def reader_pairs_table(run, readers):
    """Compare each reader with each arm and each other reader, on the images that both called, one row per pair.

    Arms call at the threshold of each trial; with more than two classes the largest score decides. ``_difference`` is
    the other less the reader, with limits and p from `glomfeat.metrics.paired.paired_difference` over cases;
    ``_p_holm`` is adjusted over all differences of the reader to arms, and to readers (Holm 1979). ``kappa`` is Cohen's
    between both. If images are tested in several repeats, figures are means over these.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    readers : sequence of glomfeat.data.readers.Reader

    Returns
    -------
    pandas.DataFrame
        Columns `PAIR_COLUMNS`. ``note`` says why a cell is empty.
    """
    calls, rows = {reader.name: _calls(run.manifest, reader) for reader in readers}, []
    for name, mine in calls.items():
        head, family = {"reader": name, "split": run.manifest.split}, []
        for arm, trials in arms_of(run).items():
            if arm != FLOOR:
                family.append(head | {"other": arm, "kind": "arm"} | _beside_arm(run, trials, mine))
        others = list(calls)[list(calls).index(name) + 1 :]
        between = [
            head | {"other": other, "kind": "reader"} | _two_readers(run, mine, calls[other]) for other in others
        ]
        rows += [*_adjusted(family), *_adjusted(between)]
    return note_unmoved(pd.DataFrame(rows).reindex(columns=PAIR_COLUMNS), ["kappa"])


def _calls(manifest, reader):
    """The class that a reader gave each image of a run, -1 for none; shape (n,)."""
    return manifest.table["name"].map(reader.calls).fillna(-1).to_numpy(int)


def _part(run, rows, score, repeat=0, threshold=0.5):
    units = units_of(run)[run.manifest.cases[rows]]
    return Part(repeat, run.manifest.labels[rows], units, score, threshold)


def _percent(manifest, seen, calls, classes):
    """How far percentages of cases are off, in points; empty if each case has one class."""
    if not manifest.by_case or one_class_each(manifest):
        return {}
    _, local = np.unique(manifest.cases[seen], return_inverse=True)
    n = np.bincount(local)
    true, called = (np.bincount(local, of[seen] == classes - 1) for of in (manifest.labels, calls))
    return dict(zip(PERCENT, bland_altman(100 * true / n, 100 * called / n), strict=True))


def _beside_arm(run, trials, calls):
    """An arm beside a reader, on the images of each trial that the reader called."""
    if status_of(map(run.record, trials)) != "done":
        return {"note": UNFINISHED}
    parts, mine, theirs, seen = [], [], [], []
    for trial, part in zip(trials, trial_parts(run, trials), strict=True):
        rows = run.tested(trial)
        called = calls[rows] >= 0
        if called.any():
            seen.append(rows[called])
            parts.append(_part(run, seen[-1], part.score[called], part.repeat, part.threshold))
            mine.append(calls[seen[-1]])
            theirs.append(decide(part.score[called], part.threshold))
    if not parts:
        return {"note": "none of the images that the reader called is tested"}
    return _pair(run, parts, mine, theirs, np.unique(np.concatenate(seen)))


def _two_readers(run, mine, theirs):
    seen = np.flatnonzero((mine >= 0) & (theirs >= 0))
    if not len(seen):
        return {"images": 0, "note": "no image is called by both"}
    return _pair(run, [_part(run, seen, np.zeros(len(seen)))], [mine[seen]], [theirs[seen]], seen)


def _pair(run, parts, mine, theirs, seen):
    """The figures of a reader and of another one, and their differences."""
    classes, notes = len(run.manifest.classes), []
    row = {"images": len(seen), "cases": len(np.unique(run.manifest.cases[seen]))}
    row |= in_columns("kappa", with_limits(of_calls(kappa, parts, mine, theirs, classes), parts, -1.0, 1.0))
    truth, cases = [part.y for part in parts], np.concatenate([part.cases for part in parts])
    for name, figure in FIGURES.items():
        of = [of_calls(figure, parts, truth, calls, classes) for calls in (mine, theirs)]
        values, (left_mine, left_theirs) = [float(one(None)[0]) for one in of], [left_out_of(one, cases) for one in of]
        apart, left_out = values[1] - values[0], left_theirs - left_mine
        found = [*values, apart]
        if not np.isfinite(apart):
            notes.append(f"{name}: its images lack a class")
        elif len(left_out) < 2 or not np.isfinite(left_out).all():
            notes.append(f"difference of {name}: it hangs on one case, so there are no limits and no p")
        else:
            tested = paired_difference(apart, left_out, count_holders(parts, classes, METRICS[name].made_of))
            found += [tested.lo, tested.hi, tested.p]
        row |= zip((f"{name}{end}" for end in ENDS), found, strict=False)
    return row | {"note": "; ".join(filter(None, [say_unsure(row, ["kappa"]), *notes]))}


def _adjusted(rows):
    """The rows, with p-values adjusted for their number."""
    known = [(row, f"{name}_p") for row in rows for name in FIGURES if np.isfinite(row.get(f"{name}_p", np.nan))]
    for (row, name), p in zip(known, holm([row[name] for row, name in known]), strict=True):
        row[f"{name}_holm"] = p
    return rows
