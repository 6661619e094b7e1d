"""Robustness: what each arm keeps when the tested images are changed, without refitting anything."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights, open_limits
from glomfeat.metrics.scores import decide
from glomfeat.results.parts import arms_of, pooled, rank, regroup, tested_units, trial_parts
from glomfeat.results.unmoved import say_unsure

MEASURES = ("auroc", "sensitivity_t")
ENDS = ("", "_lo", "_hi", "_change", "_change_lo", "_change_hi")
COLUMNS = (
    *("arm", "perturbation", "strength", "in_words"),
    *(f"{name}{end}" for name in MEASURES for end in ENDS),
    *("flipped", "flipped_lo", "flipped_hi", "status", "note"),
)
CALLED = {"auroc": "AUROC", "sensitivity_t": "sensitivity"}


def robustness_table(run, names, changed):
    """What each arm does on changed images.

    Parameters
    ----------
    run : Run
    names : sequence of str
        Keys of `glomfeat.data.images.perturb.PERTURBATIONS`.
    changed : dict of (arm, repeat, fold) to dict of str to list
        From `glomfeat.results.journal.Journal.changed`.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row for each strength of each perturbation and each arm. ``_change`` is the figure on
        changed images less that on unchanged ones, with limits from `glomfeat.metrics.resampling.open_limits` that end
        at -1 and 1; ``flipped`` is the share of images whose call changes. Calls are at each trial's own threshold,
        which was chosen on unchanged images; with more than two classes they are the likeliest class, and there is no
        sensitivity. If stains are normalised after the change, unchanged images are those that took the same way
        without one. A difference that no case changes has no limits, and ``note`` says why. An arm that has not scored
        the changed images in all of its trials has no figures; one that has in none has no row.
    """
    rows, units = [], tested_units(run)
    for arm, trials in arms_of(run).items():
        scored = {
            name: sum(PERTURBATIONS[name].key in changed.get(trial.key, {}) for trial in trials) for name in names
        }
        whole = len(trials) in scored.values()
        parts, unchanged = regroup(trial_parts(run, trials), units) if whole else [], None
        for perturbation in (PERTURBATIONS[name] for name in names if scored[name]):
            done = scored[perturbation.name] == len(trials)
            row = {"arm": arm, "perturbation": perturbation.name, "status": "done" if done else "partial", "note": ""}
            given = [changed[trial.key][perturbation.key] for trial in trials] if done else []
            if done and unchanged is None:
                unchanged = _Unchanged(_as_they_are(parts, given, len(perturbation.strengths)))
            for place, strength in enumerate(perturbation.strengths):
                row = row | {"strength": strength, "in_words": perturbation.say(strength)}
                if done:
                    row |= unchanged.beside([np.asarray(scores[place], np.float64) for scores in given])
                rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _as_they_are(parts, given, strengths):
    """An arm's parts, with the scores that follow those of all strengths, if there are any, in place of their own."""
    pairs = zip(parts, given, strict=True)
    return [replace(part, score=np.array(of[-1])) if len(of) > strengths else part for part, of in pairs]


class _Unchanged:
    """The unchanged parts of an arm, measured once for everything that is compared with them."""

    def __init__(self, parts):
        self.parts = parts
        y, cases = pooled(parts, "y", "cases")
        self.weights = leave_out_weights(cases.max() + 1)
        self.cases, two = len(np.unique(cases)), parts[0].score.ndim == 1
        of = {"auroc": "each", "sensitivity_t": "positive"} if two else {"auroc": "each"}
        self.own = {name: own_cases(made_of, y, cases, len(self.weights)) for name, made_of in of.items()}
        self.measured = self._measure(parts)

    def _measure(self, parts):
        """AUROC, and for two classes the sensitivity: each as it is, and without each case."""
        found = {"auroc": (rank(parts)[0], rank(parts, self.weights))}
        if parts[0].score.ndim == 1:
            found["sensitivity_t"] = _share(parts, _hits(parts), [part.y == 1 for part in parts], self.weights)
        return found

    def beside(self, scores):
        """The figures of scores that replace those of the parts."""
        parts, found = [replace(part, score=score) for part, score in zip(self.parts, scores, strict=True)], {}
        for name, measured in self._measure(parts).items():
            found |= _with_change(name, (self.measured[name], measured), self.own[name])
        flips = [a != b for a, b in zip(_calls(self.parts), _calls(parts), strict=True)]
        value, left_out = _share(parts, flips, [np.ones(len(part.y), bool) for part in parts], self.weights)
        low, high = jackknife_limits(value, left_out, holders=self.cases)
        found |= {"flipped": value, "flipped_lo": low, "flipped_hi": high}
        return found | {"note": "; ".join(filter(None, [say_unsure(found, [*self.own, "flipped"]), _say_same(found)]))}


def _with_change(name, sides, own):
    """A figure on changed images with its limits, and its difference to that on unchanged ones."""
    (before, before_left), (value, left_out) = sides
    low, high = jackknife_limits(value, left_out[own[0]], holders=own[1])
    change = value - before
    figures = value, low, high, change, *np.clip(open_limits(change, left_out - before_left, own[1]), -1, 1)
    return {f"{name}{end}": figure for end, figure in zip(ENDS, figures, strict=True)}


def _say_same(row):
    """Name the figures whose change has no limits although they have some."""
    limited = [name for name in CALLED if np.isfinite(row.get(f"{name}_lo", np.nan))]
    same = [CALLED[name] for name in limited if np.isnan(row[f"{name}_change_lo"])]
    return f"no limits, for it is the same without each case: the change of {' and '.join(same)}" if same else ""


def _calls(parts):
    return [decide(part.score, part.threshold) for part in parts]


def _hits(parts):
    return [(part.y == 1) & (call == 1) for part, call in zip(parts, _calls(parts), strict=True)]


def _share(parts, these, among, weights):
    """The share of some images among others, from a repeat's pooled folds, averaged over repeats.

    Returns
    -------
    value : float
    left_out : ndarray of float64, shape (cases,)
        Without each case.
    """
    values, without = [], []
    for repeat in sorted({part.repeat for part in parts}):
        mine = [place for place, part in enumerate(parts) if part.repeat == repeat]
        cases = np.concatenate([parts[place].cases for place in mine])
        sums = [
            case_sums(np.concatenate([of[place] for place in mine]).astype(float), cases, weights.shape[1])
            for of in (these, among)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            values.append(sums[0].sum() / sums[1].sum())
            without.append((weights @ sums[0]) / (weights @ sums[1]))
    return float(np.mean(values)), np.mean(without, axis=0)


def arms_to_show(table, order, most=5):
    """The arms of a table that figures show: the best of each feature first, then the next best.

    Parameters
    ----------
    table : pandas.DataFrame
        From `robustness_table`.
    order : sequence of str
        All arms, best first.
    most : int

    Returns
    -------
    list of str
        Best first.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["a/none/svm", "a/none/logreg", "b/none/svm"], "status": "done"})
    >>> arms_to_show(table, ["a/none/svm", "a/none/logreg", "net:c", "b/none/svm"], most=2)
    ['a/none/svm', 'b/none/svm']
    """
    done = set(table.loc[table["status"] == "done", "arm"])
    known = pd.Series([arm for arm in order if arm in done], dtype=object)
    again = known.map(lambda arm: arm.partition("/")[0]).duplicated()
    chosen = {*known[~again].head(most), *known[again].head(max(0, most - (~again).sum()))}
    return [arm for arm in known if arm in chosen]


def worst_rows(table, arms, kinds):
    """The row, if any, with the lowest AUROC of each arm under each perturbation, its ``kind``; list of dict."""
    found = []
    for kind, arm in product(kinds, arms):
        rows = table[(table["arm"] == arm) & (table["perturbation"] == kind)].dropna(subset="auroc")
        found += [] if rows.empty else [{"kind": kind, **rows.loc[rows["auroc"].idxmin()].to_dict()}]
    return found
