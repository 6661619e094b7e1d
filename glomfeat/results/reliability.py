"""Whether scores mean what they say: how often images with such a score were positive, bin by bin."""

import numpy as np
import pandas as pd

from glomfeat.metrics.by_case import case_sums, ratio_by_case
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.scores import ECE_BINS, sureness
from glomfeat.results.parts import arms_of, trial_parts, units_of

COLUMNS = ("arm", "bin_lo", "bin_hi", "mean_score", "frequency", "lo", "hi", "n_images", "n_cases", "split")


def reliability_table(run):
    """The reliability curve of each arm that has finished trials, in the ten bins of `glomfeat.metrics.scores.ece`.

    With more than two classes it is about the largest score, and how often that is right.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Ten rows per arm: bounds of the bin, mean score, frequency of positives with its 95 % limits from leaving out
        each case or, with very many, random groups (`glomfeat.results.parts.units_of`), images per repeat and cases in
        the bin. An empty bin has NaN.
    """
    rows, units = [], units_of(run)
    for name, trials in arms_of(run).items():
        if parts := trial_parts(run, trials):
            rows += [{"arm": name, **row, "split": run.manifest.split} for row in _curve(parts, units)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(parts, units):
    repeats = len({part.repeat for part in parts})
    found = [sureness(part.y, part.score) for part in parts]
    sure, true, bins = (np.concatenate(column) for column in zip(*found, strict=True))
    cases = np.concatenate([part.cases for part in parts])
    for number in range(ECE_BINS):
        here = bins == number
        held, local = np.unique(units[cases[here]], return_inverse=True)
        row = {"bin_lo": number / ECE_BINS, "bin_hi": (number + 1) / ECE_BINS, "n_images": here.sum() / repeats}
        row |= dict.fromkeys(("mean_score", "frequency", "lo", "hi"), np.nan)
        row["n_cases"] = len(np.unique(cases[here]))
        if len(held):
            hits, images = case_sums(np.stack([true[here], np.ones(here.sum())], axis=1), local, len(held)).T
            row |= {"mean_score": sure[here].mean(), "frequency": true[here].mean()}
            left_out = ratio_by_case(hits, images)[1]
            row["lo"], row["hi"] = jackknife_limits(row["frequency"], left_out)
        yield row
