"""How often conformal sets of classes hold the true one, and how often they hold a single class."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.conformal import LEAST_CASES, LEVEL, class_sets
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.results.parts import arms_of, units_of
from glomfeat.results.unfinished import note_unfinished

COLUMNS = (
    *("arm", "class", "level", "coverage", "coverage_lo", "coverage_hi", "one", "several", "none", "error_of_one"),
    *("calibrated_by", "n_images", "n_cases", "note", "split"),
)
ALL = "all"
OLDER = "its trials were run before sets of classes were noted: a new output folder has them"
FEW = f"fewer than {LEAST_CASES} cases had inner scores: every set holds all classes"
IN_SOME = (
    f"in {{few}} of {{all}} trials fewer than {LEAST_CASES} cases had inner scores, so their sets hold all classes"
)


def conformal_table(run):
    """Conformal sets of each arm at 90 %, for all images and for those of each class.

    Each trial has noted how far a score may be from a class in its sets, from inner out-of-fold scores of training
    cases: `glomfeat.metrics.conformal.case_quantile`. The promise is for all images together, and not for each class.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. ``coverage`` is the mean over cases of the share of images whose set holds the true class,
        with limits from leaving out each case or, with very many, random groups (`glomfeat.results.parts.units_of`).
        ``one``, ``several`` and ``none`` are means over cases of the shares of sets that hold that many classes;
        ``error_of_one`` is how many of the sets with one class are wrong. Repeats are averaged.
        ``calibrated_by`` is the least number of cases. ``note`` says why sets are missing or say nothing, and names
        arms whose figures are from some of their trials only.
    """
    rows, units, classes = [], units_of(run), run.manifest.classes
    for arm, trials in arms_of(run).items():
        if not (records := run.done(trials)):
            continue
        head = {"arm": arm, "level": LEVEL, "split": run.manifest.split}
        if any("conformal" not in record for record in records.values()):
            rows.append(head | {"class": ALL, "note": OLDER})
            continue
        sets = [record["conformal"] for record in records.values()]
        head["calibrated_by"] = min(one["cases"] for one in sets)
        head["note"] = _note(sets)
        y, cases, repeat, held = _pooled(run, records)
        for label, name in ((None, ALL), *enumerate(classes)):
            here = np.ones(len(y), bool) if label is None else y == label
            if here.any():
                rows.append(head | {"class": name} | _row(y[here], cases[here], repeat[here], held[here], units))
    return note_unfinished(pd.DataFrame(rows, columns=COLUMNS), run)


def _note(sets):
    """Say in how many trials sets hold all classes; empty if in none."""
    few = sum(one["quantile"] is None for one in sets)
    if few == len(sets):
        return FEW
    return IN_SOME.format(few=few, all=len(sets)) if few else ""


def _pooled(run, records):
    """Labels, cases, repeats and sets of all tested images."""
    found = []
    for trial, record in records.items():
        rows = run.tested(trial)
        held = class_sets(np.asarray(record["scores"], np.float64), record["conformal"]["quantile"])
        found.append((run.manifest.labels[rows], run.manifest.cases[rows], np.full(len(rows), trial.repeat), held))
    return (np.concatenate(column) for column in zip(*found, strict=True))


def _row(y, cases, repeat, held, units):
    size, right = held.sum(axis=1), held[np.arange(len(y)), y]
    codes, local = np.unique(cases, return_inverse=True)
    of = np.stack([right, size == 1, size > 1, size == 0], axis=1).astype(float)
    shares = case_sums(of, local, len(codes)) / np.bincount(local)[:, None]
    coverage, one, several, none = shares.mean(axis=0)
    row = {"coverage": coverage, "one": one, "several": several, "none": none}
    groups, of_group = np.unique(units[codes], return_inverse=True)
    if len(groups) > 1:
        covered = case_sums(shares[:, 0], of_group, len(groups))
        without = (shares[:, 0].sum() - covered) / (len(codes) - np.bincount(of_group))
        row |= zip(("coverage_lo", "coverage_hi"), jackknife_limits(coverage, without), strict=True)
    row["error_of_one"] = float((~right[size == 1]).mean()) if (size == 1).any() else np.nan
    return row | {"n_images": len(y) / len(np.unique(repeat)), "n_cases": len(codes)}
