"""Every arm against the named reference, and what a margin says about the difference."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from glomfeat.metrics.many import adjust_pairs, holm
from glomfeat.metrics.paired import paired_difference, within_margin
from glomfeat.results.words import count

ALPHA, ONE_SIDED = 0.05, 0.025
BEFORE, AFTERWARDS = "before the first trial", "after the first trial"
OF_MARGIN = ("p_noninferior", "p_noninferior_adjusted", "p_equivalent", "p_equivalent_adjusted")
COLUMNS = (
    *("arm", "reference", "difference", "lo", "hi", "p", "p_adjusted", "margin", "lo_90", "hi_90"),
    *OF_MARGIN,
    *("verdict", "named", "split"),
)


@dataclass(frozen=True)
class Reference:
    """The arm that every arm is compared to.

    Attributes
    ----------
    arm : str
        In full.
    margin : float or None
        In AUROC.
    before : bool
        Whether both were named before the first trial was run.
    """

    arm: str
    margin: float | None
    before: bool

    @classmethod
    def of(cls, journal):
        """The reference that a `glomfeat.results.journal.Journal` holds, or None."""
        found = journal.reference()
        return found and cls(**found)

    @property
    def named(self):
        """When it was named, in words."""
        return BEFORE if self.before else AFTERWARDS

    @property
    def in_words(self):
        """The arm with the margin, and when it was named."""
        margin = "" if self.margin is None else f", with a margin of {self.margin:g} in AUROC"
        return f"{self.arm}{margin}; named {self.named} was run"


def reference_table(run, resampled, reference):
    """The difference in AUROC between each finished arm and the reference.

    Parameters
    ----------
    run : Run
    resampled : Resampled
        From `glomfeat.results.resampled.resample`.
    reference : Reference

    Returns
    -------
    pandas.DataFrame
        One row per finished arm except the reference and the floor, best AUROC first; none if the reference itself is
        not finished. ``difference`` is the arm less the reference; ``lo, hi`` are its 95 % limits and ``p`` its
        p-value, from `glomfeat.metrics.paired.paired_difference`. With a margin, ``lo_90, hi_90, p_noninferior,
        p_equivalent`` are from `glomfeat.metrics.paired.within_margin`. ``_adjusted`` is for the number of arms: by
        `glomfeat.metrics.many.adjust_pairs`, and by Holm for ``p_equivalent``. ``verdict`` sums them up: superior or
        inferior at 5 % two-sided; non-inferior at 2.5 % one-sided, equivalent at 5 % on either side; otherwise not
        shown.
    """
    if reference.arm not in resampled.names:
        return pd.DataFrame(columns=COLUMNS)
    base, margin, rows = resampled.names.index(reference.arm), reference.margin, []
    others = [k for k in resampled.looking if k != base]
    for k in others:
        value, left_out = resampled.less(k, base)
        found = paired_difference(value, left_out, resampled.holders)
        row = {"arm": resampled.names[k], "difference": value, "lo": found.lo, "hi": found.hi, "p": found.p}
        if margin is not None:
            within = within_margin(value, left_out, margin, resampled.holders)
            row |= {"lo_90": within.lo, "hi_90": within.hi}
            row |= {"p_noninferior": within.p_noninferior, "p_equivalent": within.p_equivalent}
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    frame = frame.assign(reference=reference.arm, margin=margin, named=reference.named, split=run.manifest.split)
    frame = frame.astype({"margin": float})
    pairs = [(k, base) for k in others]
    for column, sides in (("p", 2), ("p_noninferior", 1)):
        frame[f"{column}_adjusted"] = adjust_pairs(frame[column].to_numpy(float), pairs, resampled.errors, sides)
    known = frame["p_equivalent"].notna()
    frame.loc[known, "p_equivalent_adjusted"] = holm(frame.loc[known, "p_equivalent"])
    return frame.assign(verdict=[_verdict(row) for row in frame.to_dict("records")])


def _verdict(row):
    found = []
    if row["p_adjusted"] < ALPHA:
        found.append("superior" if row["difference"] > 0 else "inferior")
    if row["p_equivalent_adjusted"] < ALPHA:
        found.append("equivalent")
    elif row["p_noninferior_adjusted"] < ONE_SIDED and "superior" not in found:
        found.append("non-inferior")
    return ", ".join(found) or "not shown"


def reference_in_words(reference, table, names):
    """What the comparison with the reference says, as sentences for the answer.

    Parameters
    ----------
    reference : Reference
    table : pandas.DataFrame
        From `reference_table`.
    names : dict of str to str
        Names of arms, as the page shows them.

    Returns
    -------
    list of str
    """
    name = names.get(reference.arm, reference.arm)
    margin = "" if reference.margin is None else f", with a margin of {reference.margin:g} in AUROC"
    said = f"The reference is {name}{margin}, named {reference.named} was run"
    said += "." if reference.before else ", so that what follows is no test of a plan."
    if table.empty:
        return [said, "There is nothing to compare with it: no other arm is finished, or it is not."]
    groups = {}
    for row in table.to_dict("records"):
        groups.setdefault(row["verdict"], []).append(row)
    return [said, *(_group_in_words(verdict, rows, reference, names) for verdict, rows in groups.items())]


def _group_in_words(verdict, rows, reference, names):
    """A sentence on the arms that share a verdict."""
    one = len(rows) == 1
    who = names.get(rows[0]["arm"], rows[0]["arm"]) if one else count(len(rows), "other arm").capitalize()
    verb, limits = "is" if one else "are", ""
    if one and np.isfinite(rows[0]["lo"]):
        row = rows[0]
        limits = f" (difference {row['difference']:+z.3f}, 95 % limits {row['lo']:+z.3f} to {row['hi']:+z.3f})"
    by = "" if reference.margin is None else f"{reference.margin:g}"
    untold = "not told from it" if not by else f"neither told from it nor shown to be worse by less than {by}"
    words = {
        "superior": "better than it beyond chance",
        "inferior": "worse than it beyond chance",
        "equivalent": f"equivalent: neither better nor worse than it by {by} or more",
        "non-inferior": f"not worse than it by {by} or more",
        "not shown": untold,
    }
    return f"{who} {verb} {' and '.join(words[part] for part in verdict.split(', '))}{limits}."
