"""Whether an arm does as well in each group of images, such as a site or an age, as in the rest."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from glomfeat.data.subgroups import MISSING
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.many import holm
from glomfeat.metrics.mean_recall import is_mean_recall
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import apart_limits, jackknife, jackknife_limits, leave_out_weights, p_of_limits
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.parts import arms_of, measure, rank, recall_limits, status_of, trial_parts, units_of
from glomfeat.results.unfinished import UNFINISHED
from glomfeat.results.unmoved import note_unmoved

BALANCED_T = "balanced_accuracy_t"
FIGURES = (
    *("auroc", "average_precision", "sensitivity", "specificity", "balanced_accuracy"),
    *("sensitivity_t", "specificity_t", BALANCED_T, "brier"),
)
COMPARED = ("auroc", "sensitivity", "specificity", "sensitivity_t", "specificity_t")
ENDS = ("_rest", "_difference", "_difference_lo", "_difference_hi", "_p", "_p_holm")
COLUMNS = (
    *("arm", "column", "value", "status", "images", "cases", "positives", "n_trials"),
    *(name for metric in FIGURES for name in (metric, *limits_of(metric))),
    *(f"{metric}{end}" for metric in COMPARED for end in ENDS),
    *("note", "split"),
)


def subgroups_table(run, groups):
    """Figures of each arm in each group of each column, one row each.

    Figures are those of `glomfeat.results.parts.measure` on the group's images; a trial that tests only one class of
    the group does not count in AUROC and average precision (``n_trials`` do). In AUROC, trials count by their pairs of
    images of different classes, because a small group leaves some with a case or two, whose AUROC says next to nothing.
    ``balanced_accuracy_t`` is the mean of sensitivity and specificity at the threshold. Limits are those of
    `glomfeat.metrics.resampling.jackknife_limits` over the cases that have an image in the group. The difference is to
    all other images that have a value; its limits and p are from `glomfeat.metrics.paired.paired_difference`, where
    leaving out a case removes its images from both sides. If no case changes the figure of a side, as without errors,
    leaving out cases does not show how sure that side is: limits are then those of
    `glomfeat.metrics.resampling.apart_limits`, and p is that of `p_of_limits`. ``p_holm`` is adjusted over all
    differences of an arm; if there are only two groups, both have the same difference.

    Parameters
    ----------
    run : Run
    groups : list of glomfeat.data.subgroups.Groups
        Over the rows of the run's manifest.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. ``note`` says why a figure, limits or a difference is empty.
    """
    rows, units = [], units_of(run)
    for name, trials in arms_of(run).items():
        status, mine = status_of(map(run.record, trials)), []
        for of in groups:
            head = {"arm": name, "column": of.column, "status": status, "split": run.manifest.split}
            if status != "done":
                mine += [head | {"value": value, "note": UNFINISHED} for value in of.names]
                continue
            sides = _Sides(run, trials, of, units)
            mine += [head | sides.row(code) for code in range(len(of.names))]
        _adjust(mine)
        rows += mine
    return note_unmoved(pd.DataFrame(rows).reindex(columns=COLUMNS), FIGURES)


class _Sides:
    """The tested images of an arm by the groups of a column, measured once for each set of groups."""

    def __init__(self, run, trials, groups, units):
        parts = zip(trials, trial_parts(run, trials), strict=True)
        self.parts = [(part, groups.codes[run.tested(trial)]) for trial, part in parts]
        self.rows = np.unique(np.concatenate([run.tested(trial) for trial in trials]))
        self.manifest, self.groups, self.units = run.manifest, groups, units
        self.classes = len(run.manifest.classes)
        self.measured, self.ends = cache(self._measure), cache(self._ends)

    def of(self, codes):
        """The rows of the manifest that are tested and belong to one of the groups."""
        return self.rows[np.isin(self.groups.codes[self.rows], codes)]

    def rest(self, code):
        """The groups that a group is compared with, which `MISSING` is not among."""
        return tuple(other for other in self.groups.known if other != code)

    def row(self, code):
        """The row of the table for a group."""
        rows, labels, notes = self.of((code,)), self.manifest.labels, []
        here = {"value": self.groups.names[code], "images": len(rows), "n_trials": 0}
        here |= {"cases": len(np.unique(self.manifest.cases[rows]))}
        here |= {"positives": int((labels[rows] == self.classes - 1).sum())}
        if not len(rows):
            return here | {"note": "none of its images is tested"}
        whole = self.measured((code,))[0]
        classes = [self.manifest.classes[label] for label in np.unique(labels[rows])]
        if len(classes) < self.classes:
            notes.append(f"it holds {' and '.join(classes)} only: what needs every class is empty")
        elif not np.isfinite(whole["auroc"]):
            notes.append("no trial tests all classes of it: AUROC and average precision are empty")
        elif whole["n_trials"] < (testing := len(self.inside((code,)))):
            of = f"{whole['n_trials']} of {testing} trials that test it"
            notes.append(f"AUROC and average precision are of {of}: the others lack a class of it")
        here["n_trials"] = whole["n_trials"]
        here |= {name: whole[name] for name in FIGURES}
        here |= self._limits(code, notes)
        here |= self._differences(code, notes)
        return here | {"note": "; ".join(notes)}

    def _limits(self, code, notes):
        (whole, _, held), found, unsure = self.measured((code,)), {}, []
        for name in FIGURES:
            ends = self.ends(name, (code,))[0]
            if np.isfinite(ends[0]):
                found |= zip(limits_of(name), ends, strict=True)
            elif np.isfinite(whole[name]):
                unsure.append(name)
        if len(held) < 2:
            notes.append("fewer than two cases: no limits and no p")
        elif unsure:
            notes.append(f"{', '.join(unsure)}: nothing would be left without one of its cases, so there are no limits")
        return found

    def _differences(self, code, notes):
        rest = self.rest(code)
        if not len(self.of(rest)):
            notes.append("no tested image has another value: there is nothing to compare it with")
            return {}
        (mine, without, held), (theirs, left, others) = self.measured((code,)), self.measured(rest)
        either, found, unsure, unmoved = np.union1d(held, others), {}, [], []
        for name in COMPARED:
            apart, found[f"{name}_rest"] = mine[name] - theirs[name], theirs[name]
            without_each = (without[name] - left[name])[either]
            if not np.isfinite(apart):
                continue
            if min(len(held), len(others)) < 2 or not np.isfinite(without_each).all():
                found[f"{name}_difference"] = apart
                unsure.append(name)
                continue
            ends, moved, behind = zip(*(self.ends(name, codes) for codes in ((code,), rest)), strict=True)
            holders = min(behind)  # a difference is no surer than the side with fewer cases behind it
            if all(moved):
                tested = paired_difference(apart, without_each, holders)
                said = apart, tested.lo, tested.hi, tested.p
            elif any(low == high for low, high in ends):
                said = apart, np.nan, np.nan, np.nan
                unmoved.append(name)
            else:
                low, high = apart_limits(mine[name], ends[0], theirs[name], ends[1])
                said = apart, low, high, p_of_limits(apart, low, high, holders - 1)
            found |= zip((f"{name}{end}" for end in ENDS[1:5]), said, strict=True)
        if unsure and len(held) > 1:
            notes.append(
                f"difference of {', '.join(unsure)}: a side hangs on one case, so there are no limits and no p"
            )
        if unmoved:
            notes.append(
                f"difference of {', '.join(unmoved)}: a side is the same without each case, so there are no limits and "
                "no p"
            )
        return found

    def _ends(self, name, codes):
        """The limits of a figure, whether they come from leaving out cases, and how many cases are behind it."""
        whole, without, _ = self.measured(codes)
        own, holders = self._behind(self.of(codes), "each" if name == BALANCED_T else METRICS[name].made_of)
        low, high = (0.0, 1.0) if name == BALANCED_T else METRICS[name].bounds(self.classes)
        left = without[name][own]
        ends = of_all = jackknife_limits(whole[name], left, low, high, holders)
        if is_mean_recall(name, self.classes):
            ends = recall_limits(of_all, whole[name], self.inside(codes), self.classes, name == BALANCED_T)
        return ends, ends is of_all and jackknife(left)[0] != 0, holders

    def _behind(self, rows, made_of):
        """The units behind a figure of some rows, and how many of them count, as `own_cases` has it."""
        y, units = self.manifest.labels[rows], self.units[self.manifest.cases[rows]]
        return own_cases(made_of, y, units, self.units.max() + 1, self.classes)

    def inside(self, codes):
        """The tested images of some groups, with units in place of cases."""
        found = []
        for part, of in self.parts:
            rows = np.isin(of, codes)
            if rows.any():
                inside = {"y": part.y[rows], "score": part.score[rows], "cases": self.units[part.cases[rows]]}
                found.append(replace(part, **inside))
        return found

    def _measure(self, codes):
        """Figures of some groups, the same without each unit, and the units behind them."""
        parts, units = self.inside(codes), self.units.max() + 1
        whole, without = (self._figures(parts, weights) for weights in (None, leave_out_weights(units)))
        return (
            {name: values[0] for name, values in whole.items()},
            without,
            np.unique(np.concatenate([part.cases for part in parts])),
        )

    def _figures(self, parts, weights):
        with np.errstate(invalid="ignore", divide="ignore"):
            found = measure(parts, self.classes, weights)
            areas = np.array([rank([part], weights) for part in parts])
            pairs = np.isfinite(areas) * [self._pairs(part, weights) for part in parts]
            found["auroc"] = (np.nan_to_num(areas) * pairs).sum(axis=0) / pairs.sum(axis=0)
        found[BALANCED_T] = (found["sensitivity_t"] + found["specificity_t"]) / 2
        return found | {"n_trials": np.isfinite(areas).sum(axis=0)}

    def _pairs(self, part, weights):
        """How many pairs of images of different classes a trial tests, twice."""
        sizes = case_sums(np.eye(self.classes)[part.y], part.cases, self.units.max() + 1)
        sizes = sizes.sum(axis=0)[None] if weights is None else weights @ sizes
        return sizes.sum(axis=1) ** 2 - (sizes**2).sum(axis=1)


def _adjust(rows):
    """Adjust an arm's p-values for their number; the one difference that two groups share counts once."""
    families = {}
    for row in rows:
        beside = [other for other in rows if other["column"] == row["column"] and other["value"] != MISSING]
        whose = "" if len(beside) == 2 and row["value"] != MISSING else row["value"]
        for name in COMPARED:
            if np.isfinite(row.get(f"{name}_p", np.nan)):
                families.setdefault((row["column"], whose, name), []).append(row)
    adjusted = holm([same[0][f"{name}_p"] for (_, _, name), same in families.items()])
    for ((_, _, name), same), p in zip(families.items(), adjusted, strict=True):
        for row in same:
            row[f"{name}_p_holm"] = p
