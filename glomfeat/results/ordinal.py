"""Classes that have an order: how far calls are from the truth, and not only whether they are right."""

import numpy as np
import pandas as pd

from glomfeat.metrics.agreement import kappa, mean_distance
from glomfeat.metrics.scores import decide
from glomfeat.metrics.table import limits_of
from glomfeat.results.parts import arms_of, in_columns, of_calls, regroup, status_of, trial_parts, units_of, with_limits

KAPPA, STEPS = "kappa_quadratic", "mean_absolute_error"
COLUMNS = (
    *("arm", "status", "order", "n_trials", "images", "cases"),
    *(name for figure in (KAPPA, STEPS) for name in (figure, *limits_of(figure))),
    "split",
)


def ordinal_table(run, order):
    """Quadratic kappa and mean absolute error of each arm, with the largest score deciding.

    Both are taken from a repeat's pooled out-of-fold calls and averaged over repeats. Limits are those of
    `glomfeat.metrics.resampling.jackknife_limits` over cases.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    order : sequence of str
        All classes, the lowest first.

    Returns
    -------
    pandas.DataFrame
        One row per arm, columns `COLUMNS`; the mean absolute error is in steps of the order.
    """
    places, units, rows = np.argsort([run.manifest.classes.index(name) for name in order]), units_of(run), []
    for arm, trials in arms_of(run).items():
        parts = trial_parts(run, trials)
        row = {"arm": arm, "status": status_of(map(run.record, trials)), "n_trials": len(parts)}
        if parts:
            tested = np.concatenate([part.cases for part in parts])
            row |= {"images": len(tested) // len({part.repeat for part in parts}), "cases": len(np.unique(tested))}
            for name, found in _figures(regroup(parts, units), places).items():
                row |= in_columns(name, found)
        rows.append(row | {"order": " < ".join(order), "split": run.manifest.split})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _figures(parts, places):
    """Both figures with their limits; `places` are the classes' positions in the order."""
    truth, calls = [places[part.y] for part in parts], [places[decide(part.score)] for part in parts]
    given = parts, truth, calls, len(places)
    return {
        KAPPA: with_limits(of_calls(lambda counts: kappa(counts, quadratic=True), *given), parts, -1.0, 1.0),
        STEPS: with_limits(of_calls(mean_distance, *given), parts, 0.0, len(places) - 1.0, "all"),
    }
