"""Users' own metrics in the tables: measured like the others, with a message if they give no number."""

import numpy as np

from glomfeat.core.part_errors import PartError
from glomfeat.core.workers import alone
from glomfeat.metrics.scores import two_class
from glomfeat.metrics.user import number_of
from glomfeat.results.parts import by_repeat, pooled


def measure_own(parts, metrics, seconds=None):
    """Users' own metrics of an arm: from a repeat's pooled out-of-fold scores, averaged over repeats.

    With more than two classes: the mean of one class against the rest.

    Parameters
    ----------
    parts : list of glomfeat.results.parts.Part
        At least one.
    metrics : dict of str to callable
        From `glomfeat.metrics.user.find_metrics`. Each is called in a worker process, which it may end.
    seconds : float, optional
        The time that each may take.

    Returns
    -------
    found : dict of str to float
        NaN if a metric gave no number.
    said : list of str
        Why, once for each such metric.
    """
    found, said = {}, []
    for name, function in metrics.items():
        try:
            repeats = [pooled(mine, "y", "score") for mine in by_repeat(parts)]
            found[name] = alone(_measured, function, name, repeats, seconds=seconds)
        except PartError as error:
            found[name] = float("nan")
            said.append(str(error))
    return found, said


def _measured(function, name, repeats):
    return float(np.mean([_number(function, f"metric {name}", y, score) for y, score in repeats]))


def _number(function, said, y, score):
    if two_class(score):
        return number_of(function, y, score, said)
    return np.mean([number_of(function, y == k, score[:, k], said) for k in range(score.shape[1])])


def lacks_numbers(results, metrics):
    """Count the arms for which each of the user's metrics gave no number; metrics that always gave one are left out.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    metrics : iterable of str

    Returns
    -------
    dict of str to int
    """
    measured = results[results["n_trials"] > 0]
    missing = {name: int(measured[name].isna().sum()) for name in metrics}
    return {name: count for name, count in missing.items() if count}


def say_missing(results, metrics, say):
    """Say once for each of the user's metrics for how many arms it gave no number.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    metrics : iterable of str
    say : callable
        Called with each line.
    """
    measured = results[results["n_trials"] > 0]
    for name, missing in lacks_numbers(results, metrics).items():
        of = f"{missing} of {len(measured)} arms"
        reasons = measured["reason"][measured[name].isna()].astype(str)
        why = next((one[one.index(at) :] for one in reasons if (at := f"metric {name} ") in one), "")
        first = f", such as: {why.removeprefix(f'metric {name} ')}" if why else ""
        say(f"metric {name} gave no number for {of}: the column reason of results.csv says why{first}")
