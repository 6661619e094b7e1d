"""The learning curve: what each arm reaches with a share of the training cases."""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.csvs import read_csv
from glomfeat.results.parts import arms_of, find_limits, measure, regroup, status_of, trial_parts, units_of

COLUMNS = ("arm", "share", "cases", "images", "auroc", "auroc_lo", "auroc_hi", "status", "share_used")


def learning_table(runs):
    """AUROC of each arm against the number of training cases.

    Parameters
    ----------
    runs : dict of float to Run
        By the percentage of the training cases that was used; the whole study's is 100.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; `cases` and `images` are the means over trials of what was trained on, and `share_used` is
        the percentage that these cases are, because cases are whole. Limits are those of
        `glomfeat.results.parts.find_limits`, taking the models as they are. An arm whose trials are not all done has no
        figures.
    """
    rows, every = [], _cases_learnt(runs[100], map(runs[100].learnt, runs[100].trials))
    for share, run in sorted(runs.items()):
        for name, trials in arms_of(run).items():
            row = {"arm": name, "share": share, "status": status_of(map(run.record, trials))}
            if row["status"] == "done":
                row |= _figures(run, trials)
                row["share_used"] = 100 * row["cases"] / every
            rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def read_learning_curve(out):
    """Read the table that a run wrote into its folder.

    Returns
    -------
    pandas.DataFrame
        As from `learning_table`.
    """
    return read_csv(Path(out).expanduser() / "learning_curve.csv")


def lines_on_gaps(table):
    """Lines on points that a learning curve lacks, because trials with fewer training cases did not finish.

    Parameters
    ----------
    table : pandas.DataFrame
        From `learning_table`.

    Returns
    -------
    list of str
        One for each share that has gaps.

    Examples
    --------
    >>> rows = {"arm": ["a/none/svm"] * 2, "share": [12.5, 100.0], "status": ["failed", "done"]}
    >>> lines_on_gaps(pd.DataFrame(rows))
    ['learning curve: no figure with 12.5% of the training cases: a/none/svm (failed); trials.csv has the reasons']
    """
    lacking = table[(table["status"] != "done") & (table["share"] < 100)]
    return [
        f"learning curve: no figure with {share:g}% of the training cases: "
        f"{', '.join(f'{row.arm} ({row.status})' for row in rows.itertuples())}; trials.csv has the reasons"
        for share, rows in lacking.groupby("share")
    ]


def _figures(run, trials):
    parts, classes = trial_parts(run, trials), len(run.manifest.classes)
    learnt = [run.learnt(trial) for trial in trials]
    low, high = find_limits(regroup(parts, units_of(run)), classes)["auroc"]
    return {
        "cases": _cases_learnt(run, learnt),
        "images": float(np.mean([len(rows) for rows in learnt])),
        "auroc": measure(parts, classes)["auroc"].item(),
        "auroc_lo": low,
        "auroc_hi": high,
    }


def _cases_learnt(run, learnt):
    return float(np.mean([len(np.unique(run.manifest.cases[rows])) for rows in learnt]))
