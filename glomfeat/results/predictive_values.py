"""What a call means if the positive class is as frequent as assumed: predictive values by Bayes' rule."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.scores import decide
from glomfeat.results.parts import by_repeat, parts_by_unit, pooled
from glomfeat.results.unfinished import note_unfinished

COLUMNS = (
    *("arm", "class", "at", "prevalence", "of", "sensitivity", "specificity"),
    *("ppv", "ppv_lo", "ppv_hi", "npv", "npv_lo", "npv_hi", "split", "note"),
)
OF_DATA, ASKED = "data", "asked"


def predictive_values_table(run, prevalences=()):
    """PPV and NPV of each arm if the positive class is as frequent as in the data, and at the shares asked for.

    PPV = p Se / (p Se + (1 - p)(1 - Sp)) and NPV = (1 - p) Sp / ((1 - p) Sp + p (1 - Se)) at a share p, from the
    sensitivity and specificity of the results. Limits come from leaving out each case, which changes both and, for the
    data's own share, the share as well. At a bound they are the rule's values at the limits of sensitivity and
    specificity.

    Parameters
    ----------
    run : Run
    prevalences : sequence of float
        Shares, above 0 and below 1.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: at the threshold of each trial, and at 0.5; with more than two classes, for the last class
        against the rest, at the largest score. ``of`` says where the share is from: ``data`` or ``asked``. ``note``
        names arms whose figures are from some of their trials only.
    """
    rows, classes = [], run.manifest.classes
    for arm, parts in parts_by_unit(run):
        for at in ("threshold", "0.5") if len(classes) == 2 else ("largest score",):
            rates = _Rates(parts, at, len(classes) - 1)
            shares = [(OF_DATA, *rates.share), *((ASKED, one, one) for one in prevalences)]
            found = ({"of": of, **rates.values(one, left)} for of, one, left in shares)
            head = {"arm": arm, "class": classes[-1], "at": at, "split": run.manifest.split, "note": ""}
            rows += [head | row for row in found]
    return note_unfinished(pd.DataFrame(rows, columns=COLUMNS), run)


class _Rates:
    """Sensitivity, specificity and share of positives of an arm, each also without each case."""

    def __init__(self, parts, at, label):
        y, cases = pooled(parts, "y", "cases")
        self.n_cases, self.y, self.cases = cases.max() + 1, (y == label).astype(np.int64), cases
        found = [self._of_repeat(mine, at, label) for mine in by_repeat(parts)]
        self.sensitivity, self.specificity, self.share = (
            tuple(np.mean(sides, axis=0) for sides in zip(*of, strict=True)) for of in zip(*found, strict=True)
        )

    def _of_repeat(self, parts, at, label):
        y, cases = pooled(parts, "y", "cases")
        y, decided = y == label, [decide(part.score, part.threshold if at == "threshold" else None) for part in parts]
        call = np.concatenate(decided) == label
        pairs = (y & call, y), (~y & ~call, ~y), (y, np.ones(len(y)))
        return [ratio_by_case(*(case_sums(of * 1.0, cases, self.n_cases) for of in pair)) for pair in pairs]

    def _own(self, made_of):
        return own_cases(made_of, self.y, self.cases, self.n_cases)

    def values(self, share, left):
        """Predictive values at a share of positives, which is `left` without each case."""
        (se, se_left), (sp, sp_left) = self.sensitivity, self.specificity
        row = {"prevalence": share, "sensitivity": se, "specificity": sp}
        if not 0 < share < 1:
            return row
        own, holders = self._own("each")
        ends = {}
        for name, (value, without), made_of in (("se", (se, se_left), "positive"), ("sp", (sp, sp_left), "other")):
            of, number = self._own(made_of)
            ends[name] = jackknife_limits(value, without[of], holders=number)
        sides = (
            ("ppv", share, left, (se, se_left, ends["se"]), (sp, sp_left, ends["sp"])),
            ("npv", 1 - share, 1 - left, (sp, sp_left, ends["sp"]), (se, se_left, ends["se"])),
        )
        for name, p, p_left, (hit, hit_left, hit_ends), (spare, spare_left, spare_ends) in sides:
            value, without = bayes(p, hit, spare), bayes(p_left, hit_left, spare_left)
            limits = jackknife_limits(value, np.broadcast_to(without, self.n_cases)[own], holders=holders)
            if value in (0, 1) or limits[0] == limits[1]:
                limits = tuple(bayes(p, *pair) for pair in zip(hit_ends, spare_ends, strict=True))
            row |= zip((name, f"{name}_lo", f"{name}_hi"), (value, *limits), strict=True)
        return row


def bayes(share, hit, spared):
    """How often a call is right, by Bayes' rule.

    Parameters
    ----------
    share : float or ndarray
        Share of images that deserve the call.
    hit : float or ndarray
        Share of these that get it.
    spared : float or ndarray
        Share of the others that do not.

    Returns
    -------
    float or ndarray
        NaN if nothing gets the call.

    Examples
    --------
    >>> round(float(bayes(0.01, 0.9, 0.91)), 3)
    0.092
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.float64(share * hit) / (share * hit + (1 - share) * (1 - spared))
