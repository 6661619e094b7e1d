"""The errors that remain when the images or cases that an arm is least sure of go to the pathologist."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.scores import decide, how_sure
from glomfeat.results.parts import arms_of, by_repeat, pooled, trial_parts, units_of
from glomfeat.results.unfinished import note_unfinished

KEPT = np.arange(20, 0, -1) / 20
BY = ("image", "case")
COLUMNS = (
    *("arm", "by", "handed_over", "risk", "risk_lo", "risk_hi", "sensitivity", "specificity"),
    *("n_images", "n_cases", "note", "split"),
)


def abstention_table(run):
    """The risk of each arm, the share of wrong calls, against how much it calls (Geifman & El-Yaniv 2017).

    The images of a repeat whose calls are least sure (`glomfeat.metrics.scores.how_sure`) are handed over, or the cases
    whose images are least sure on average. If several are equally sure, as when all scores are the same, each is kept
    in part, by its share of the places that are left, whatever their order. Repeats are averaged. Limits come from
    leaving out each case or, with very many, random groups (`glomfeat.results.parts.units_of`), with the cut-off as it
    is.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: a row for each share that is handed over, by images and, if cases are known, by cases.
        Sensitivity and specificity (two classes only) are of the images that are kept; so are ``n_images``, for one
        repeat, and ``n_cases``. ``note`` says why one of these, or the limits, are empty,
        and names arms whose figures are from some of their trials only.
    """
    rows, units, two = [], units_of(run), len(run.manifest.classes) == 2
    for arm, trials in arms_of(run).items():
        if not (parts := trial_parts(run, trials)):
            continue
        for by in BY if run.manifest.by_case else BY[:1]:
            head = {"arm": arm, "by": by, "split": run.manifest.split}
            rows += [head | row for row in _rows(parts, units, by, two)]
    return note_unfinished(pd.DataFrame(rows, columns=COLUMNS), run)


def _rows(parts, units, by, two):
    n_units, repeats = max(units[part.cases].max() for part in parts) + 1, by_repeat(parts)
    risks, kept, rates, seen = [], 0, [], np.zeros((len(units), len(KEPT)), bool)
    for mine in repeats:
        y, cases = pooled(mine, "y", "cases")
        call, sure = (np.concatenate([of(part.score, part.threshold) for part in mine]) for of in (decide, how_sure))
        places, codes = _places(sure, cases, by), units[cases]
        for k in range(len(KEPT)):
            seen[cases[places[:, k] > 0], k] = True
        wrong, of = (_kept(places, codes, n_units, rows) for rows in (call != y, np.ones(len(y), bool)))
        risks.append(ratio_by_case(wrong, of))
        kept = kept + of
        if two:
            pairs = ((y == label) & (call == y) for label in (1, 0)), (y == label for label in (1, 0))
            hits, images = ([_kept(places, codes, n_units, rows).sum(axis=0) for rows in side] for side in pairs)
            with np.errstate(invalid="ignore"):
                rates.append(np.divide(hits, images))
    whole, without = (np.mean(side, axis=0) for side in zip(*risks, strict=True))
    rates = np.mean(rates, axis=0) if two else np.full((2, len(KEPT)), np.nan)
    for k, share in enumerate(KEPT):
        left = without[kept[:, k] > 0, k]  # nothing is left of a repeat that keeps images of only one case
        low, high = jackknife_limits(whole[k], left)
        found = {"handed_over": round(1 - share, 2), "risk": whole[k], "risk_lo": low, "risk_hi": high}
        found |= {"sensitivity": rates[0][k], "specificity": rates[1][k]}
        found |= {"n_images": round(kept[:, k].sum() / len(repeats), 6), "n_cases": int(seen[:, k].sum())}
        yield found | {"note": _note(found, two)}


def _note(row, two):
    """Say why a row has empty cells; empty if it has none."""
    unsure = ["no limits, for in a repeat nothing is kept without one of the cases"]
    notes = [] if np.isfinite(row["risk_lo"]) else unsure
    asked = {"sensitivity": "positive", "specificity": "negative"} if two else {}
    lost = [kind for name, kind in asked.items() if np.isnan(row[name])]
    return "; ".join([*notes, *(f"in a repeat no {kind} image is kept" for kind in lost)])


def _places(sure, cases, by):
    """How much of each image (row) is kept at each of `KEPT`, if the surest images or the surest cases are kept."""
    if by == "image":
        return _shares(sure)
    held, local = np.unique(cases, return_inverse=True)
    # sums of equal values may differ in the last bit, and that must not rank cases
    return _shares(np.round(case_sums(sure, local, len(held)) / np.bincount(local), 12))[local]


def _shares(values):
    """The share of each value in the places kept at each of `KEPT`; equal values have equal shares."""
    _, local, tied = np.unique(-values, return_inverse=True, return_counts=True)
    before = np.cumsum(tied) - tied
    places = np.maximum(1, np.round(KEPT * len(values)))
    return np.clip((places - before[:, None]) / tied[:, None], 0, 1)[local]


def _kept(places, cases, n_cases, rows):
    """How many of some images of each case (row) are kept at each of `KEPT` (column)."""
    return case_sums(places[rows], cases[rows], n_cases)
