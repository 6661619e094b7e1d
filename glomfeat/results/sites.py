"""Every arm at each value that was left out: how it does at a site, scanner or stain that it has not learnt from."""

from dataclasses import replace

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.seeds import seed_for
from glomfeat.core.words import number_of
from glomfeat.data.lone_values import hide_lone
from glomfeat.metrics.resampling import resampling_units
from glomfeat.metrics.table import limits_of
from glomfeat.results.parts import arms_of, find_limits, measure, trial_parts
from glomfeat.results.terminal import print_cells
from glomfeat.results.unmoved import without_limits

FIGURES = ("auroc", "average_precision", "balanced_accuracy", "sensitivity_t", "specificity_t", "brier")
COLUMNS = (
    *("arm", "left_out", "status", "images", "cases", "positives", "share"),
    *(column for name in FIGURES for column in (name, *limits_of(name))),
    *("threshold", "inner_auroc", "n_train", "note"),
)
SAID = (
    "Each value was scored by models of all the others. Limits are of its own cases, and there are none where one of "
    "them alone holds a class, or where the figure is the same without each of them.",
    "The mean over values counts each once, however many images it has. It says how arms do at these; so few of them "
    "cannot say how far a further one may fall: the lowest figure warns of that better.",
)
HIDDEN = "Values that may be the name of a case have numbers here; sites.csv has the values."


def sites_table(run):
    """Every arm's figures at each value that was left out.

    Parameters
    ----------
    run : Run
        Its folds leave out values.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, arms in the order of the plan. ``share`` is that of the positive class among the images;
        figures and limits are for the value's images and cases alone, with the model that has seen none of them.
        ``inner_auroc`` is that of the inner splits of the other values. A trial that is not done has no figures.
        Limits of no width are left out, and ``note`` says so.
    """
    labels, cases, last = run.manifest.labels, run.manifest.cases, len(run.manifest.classes) - 1
    rows = []
    for name, trials in arms_of(run).items():
        for trial in trials:
            record, tested = run.record(trial), run.tested(trial)
            row = {
                "arm": name,
                "left_out": run.left_out[trial.fold],
                "status": record["status"],
                "images": len(tested),
                "cases": len(np.unique(cases[tested])),
                "positives": int((labels[tested] == last).sum()),
                "share": float((labels[tested] == last).mean()),
            }
            if row["status"] == "done":
                row |= _figures(run, trial) | {"threshold": record["threshold"], "n_train": record["n_train"]}
                row["inner_auroc"] = record.get("inner_auroc", np.nan)
            rows.append(row)
    found, said = without_limits(pd.DataFrame(rows).reindex(columns=list(COLUMNS)), FIGURES)
    return found.assign(note=said).astype({"n_train": "Int64"})


def _figures(run, trial):
    """The figures of one trial with limits from leaving out each of the cases that it was tested on."""
    (part,) = trial_parts(run, [trial])
    own = np.unique(part.cases, return_inverse=True)[1]  # cases that were not tested cannot be left out
    units = resampling_units(own, seed=seed_for(run.seed, "units"))
    parts, classes = [replace(part, cases=units[own])], len(run.manifest.classes)
    values, row, ends = measure(parts, classes), {}, find_limits(parts, classes)
    for name in FIGURES:
        row[name] = float(values[name][0])
        row |= zip(limits_of(name), ends[name], strict=True)
    return row


def site_cells(table, names=None, show_names=False):
    """The AUROC of each arm at each value as text, best mean first, without the floor's.

    Parameters
    ----------
    table : pandas.DataFrame
        From `sites_table`.
    names : dict of str to str, optional
        What arms are called.
    show_names : bool
        Whether to show values of a single case as they are; see `glomfeat.data.lone_values.hide_lone`.

    Returns
    -------
    list of list of str
        The heading is first.

    Examples
    --------
    >>> row = dict.fromkeys(COLUMNS, 0.5) | {"arm": "a/none/svm", "left_out": "Oslo", "status": "done", "cases": 3}
    >>> site_cells(pd.DataFrame([row | {"auroc_lo": 0.25, "auroc_hi": 0.75}]))
    [['arm', 'Oslo (3 cases, 50% positive)', 'mean'], ['a/none/svm', '0.500 (0.250-0.750)', '0.500']]
    """
    values = table.drop_duplicates("left_out").to_dict("records")
    shown = shown_values(table, show_names)
    head = [
        f"{shown[row['left_out']]} ({number_of(row['cases'], 'case')}, {row['share']:.0%} positive)" for row in values
    ]
    mean, status = table.groupby("arm")["auroc"].mean(), table.groupby("arm")["status"]
    order = pd.DataFrame({"lacks": status.agg(lambda of: (of != "done").any()), "auroc": mean})
    order = order.sort_values(["lacks", "auroc"], ascending=[True, False], kind="stable").index
    found = [["arm", *head, "mean"]]
    for arm in order[order != FLOOR]:
        own = table[table["arm"] == arm].set_index("left_out").loc[[row["left_out"] for row in values]]
        cells = [_cell(row) for row in own.to_dict("records")]
        whole = own["auroc"].notna().all()
        found.append([(names or {}).get(arm, arm), *cells, f"{mean[arm]:.3f}" if whole else ""])
    return found


def shown_values(table, show_names=False):
    """How to show each value that was left out, as for `site_cells`.

    Returns
    -------
    dict of object to str
    """
    values = table.drop_duplicates("left_out")
    return dict(zip(values["left_out"], hide_lone(values["left_out"], values["cases"], show_names), strict=True))


def shown_folds(run, show_names=False):
    """How to show the value that each fold leaves out, as for `site_cells`; empty if folds are not values.

    Returns
    -------
    dict of int to str
    """
    values, held = dict(sorted(run.left_out.items())), run.folds.groupby("fold")["case"].nunique()
    return dict(zip(values, hide_lone(values.values(), [held[fold] for fold in values], show_names), strict=True))


def said_of(table, show_names=False):
    """Say what the cells of `site_cells` mean, in sentences.

    Returns
    -------
    tuple of str
    """
    shown = shown_values(table, show_names)
    return (*SAID, HIDDEN) if list(shown) != list(shown.values()) else SAID


def _cell(row):
    if row["status"] != "done":
        return row["status"]
    if np.isnan(row["auroc"]):
        return ""
    low, high = (row[end] for end in limits_of("auroc"))
    return f"{row['auroc']:.3f} ({'no limits' if np.isnan(low) else f'{low:.3f}-{high:.3f}'})"


def print_sites(table, console, show_names=False):
    """Print the AUROC of each arm at each value with rich, and say what it means.

    Parameters
    ----------
    table : pandas.DataFrame
        From `sites_table`.
    console : rich.console.Console
    show_names : bool
        As for `site_cells`.
    """
    print_cells(site_cells(table, show_names=show_names), "AUROC at each value that was left out", console)
    for said in said_of(table, show_names):
        console.print(said, markup=False, highlight=False)
