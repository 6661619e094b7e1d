"""Metrics of one's own in the tables: measured as the others are, and what is said where they give no number."""

import numpy as np

from glomfeat.metrics.scores import two_class
from glomfeat.metrics.user import number_of


def measure_own(parts, metrics):
    """Metrics of one's own of an arm: of a repeat's pooled out-of-fold scores, averaged over repeats.

    Of more than two classes: the mean of one class against the rest.

    Parameters
    ----------
    parts : list of glomfeat.results.parts.Part
        At least one.
    metrics : dict of str to callable
        Of `glomfeat.metrics.user.find_metrics`.

    Returns
    -------
    found : dict of str to float
        NaN where a metric gave no number.
    said : list of str
        Why, once for each such metric.
    """
    found, said, repeats = {}, [], sorted({part.repeat for part in parts})
    for name, function in metrics.items():
        try:
            found[name] = float(np.mean([_pooled(function, name, parts, k) for k in repeats]))
        except ValueError as error:
            found[name] = float("nan")
            said.append(str(error))
    return found, said


def _pooled(function, name, parts, repeat):
    y, score = (
        np.concatenate([getattr(part, field) for part in parts if part.repeat == repeat]) for field in ("y", "score")
    )
    said = f"metric {name}"
    if two_class(score):
        return number_of(function, y, score, said)
    return np.mean([number_of(function, y == k, score[:, k], said) for k in range(score.shape[1])])


def say_missing(results, metrics, say):
    """Say once of each metric of one's own for how many arms it gave no number.

    Parameters
    ----------
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    metrics : iterable of str
    say : callable
        Called with each line.
    """
    measured = results[results["n_trials"] > 0]
    for name in metrics:
        missing = int(measured[name].isna().sum())
        if missing:
            of = f"{missing} of {len(measured)} arms"
            say(f"metric {name} gave no number for {of}: the column reason of results.csv says why")
