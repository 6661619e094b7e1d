"""With more than two classes, each one against the rest: which of them an arm knows, and which it does not."""

import numpy as np
import pandas as pd

from glomfeat.metrics import scores
from glomfeat.metrics.table import METRICS, limits_of
from glomfeat.results.curves import against_rest
from glomfeat.results.parts import (
    arms_of,
    in_columns,
    of_calls,
    rank,
    regroup,
    status_of,
    trial_parts,
    units_of,
    with_limits,
)

RANKED = ("auroc", "average_precision")
DECIDED = {name: getattr(scores, name) for name in ("sensitivity", "specificity", "precision")}
COLUMNS = (
    *("arm", "status", "class", "n_trials", "images", "cases"),
    *(name for figure in (*RANKED, *DECIDED) for name in (figure, *limits_of(figure))),
    "split",
)


def more_than_two(manifest):
    """Whether a data set has more than two classes."""
    return len(manifest.classes) > 2


def classes_table(run):
    """Figures for each class against the rest, for each arm.

    AUROC and average precision use the class's own score, are taken within each fold and averaged; results.csv has
    their mean over classes. Sensitivity, specificity and precision are about the calls, where the largest score
    decides. Limits are those of `glomfeat.metrics.resampling.jackknife_limits` over cases.

    Parameters
    ----------
    run : glomfeat.results.run.Run

    Returns
    -------
    pandas.DataFrame
        A row per arm and class, columns `COLUMNS`.
    """
    rows, manifest, units = [], run.manifest, units_of(run)
    for arm, trials in arms_of(run).items():
        head = {"arm": arm, "status": status_of(map(run.record, trials)), "split": manifest.split}
        parts = regroup(trial_parts(run, trials), units)
        called = [scores.decide(part.score) for part in parts]
        tested = np.unique(np.concatenate([run.tested(trial) for trial in trials]))
        for label, name in enumerate(manifest.classes):
            mine = tested[manifest.labels[tested] == label]
            row = {"class": name, "images": len(mine), "cases": len(np.unique(manifest.cases[mine]))}
            if parts:
                of_class = [against_rest(part, label) for part in parts]
                row |= {"n_trials": len(parts)} | _figures(of_class, called, label)
            rows.append(head | row)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _figures(parts, called, label):
    """The figures of a class with their limits; `parts` are for the class against the rest."""
    found, truth, calls = {}, [part.y.astype(int) for part in parts], [(call == label).astype(int) for call in called]
    for name in RANKED:
        found |= in_columns(name, with_limits(lambda weights, name=name: rank(parts, weights, name), parts))
    for name, metric in DECIDED.items():
        own = {"made_of": METRICS[name].made_of, "called": np.concatenate(calls) == 1}
        found |= in_columns(name, with_limits(of_calls(metric, parts, truth, calls, 2), parts, **own))
    return found
