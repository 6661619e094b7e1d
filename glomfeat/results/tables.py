"""The tables of a run: pure functions of the journal's records, the folds and the plan."""

import json

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.csvs import read_csv
from glomfeat.metrics.many import ALPHA
from glomfeat.metrics.scores import auroc
from glomfeat.metrics.table import THRESHOLD, limit_columns, limits_of, metric_columns
from glomfeat.results.case_level import WEIGHTED, case_weighted
from glomfeat.results.comparisons import comparisons_table, tested_for_trained
from glomfeat.results.doubts import inner_against_outer
from glomfeat.results.parts import arms_of, find_limits, in_columns, measure, regroup, status_of, trial_parts, units_of
from glomfeat.results.procedure import COLUMNS as OF_PROCEDURE
from glomfeat.results.procedure import limits_of_procedure, pairs_serve
from glomfeat.results.user_metrics import measure_own

BEFORE = ("arm", "kind", "feature", "weights", "reducer", "head", "status", "n_trials")
BEHIND = (
    *("p_vs_best", "tied_with_best", "fit_s", "predict_ms", "peak_rss_mb", "peak_vram_mb"),
    *("parameters", "reason", "split", "inner_auroc", "p_inner"),
)
MEASURED = ("fit_s", "predict_s", "predict_ms", "peak_rss_mb", "peak_vram_mb", "planned_mb", "tree_pss_mb")
OF_TRIALS = ("repeat", "fold", "left_out", "n_train", "n_test", "cases", "positives", "params", "seed")
SPREAD = "auroc_sd"  # over trials, after the limits of the AUROC


def result_columns():
    """The columns of `results_table`, except users' own metrics.

    Returns
    -------
    list of str
    """
    metrics = metric_columns()
    metrics.insert(metrics.index("auroc_hi") + 1, SPREAD)
    return [*BEFORE, *metrics, *BEHIND, *limit_columns(), *OF_PROCEDURE, WEIGHTED, *limits_of(WEIGHTED)]


def taken_names():
    """Names that a user's own metric cannot have, because results or trials have such a column.

    Returns
    -------
    frozenset of str
    """
    return frozenset({*result_columns(), *MEASURED, *OF_TRIALS})


def results_table(run, comparisons=None):
    """The results of a run, one row per arm, best AUROC first.

    Limits are those of `glomfeat.metrics.resampling.jackknife_limits`, from leaving out each case. ``p_vs_best`` is for
    the paired difference to the best arm, also from leaving out each case, and adjusted for the choice of the best
    among many arms by `glomfeat.metrics.many.adjust_to_best`; an arm is tied with the best if it is 0.05 or more.
    ``auroc_procedure_lo, auroc_procedure_hi`` are from `glomfeat.results.procedure.limits_of_procedure`.

    Parameters
    ----------
    run : Run
    comparisons : pandas.DataFrame, optional
        From `glomfeat.results.comparisons.comparisons_table`, if there is one already.

    Returns
    -------
    pandas.DataFrame
        Columns of `result_columns`, then those of users' own metrics. ``auroc_case_weighted`` is from
        `glomfeat.results.case_level.case_weighted`; empty if every image is its own case.
    """
    classes, units, pairs, rows = len(run.manifest.classes), units_of(run), pairs_serve(run), []
    for name, trials in arms_of(run).items():
        parts = trial_parts(run, trials)
        row = _describe(run, name, trials, len(parts))
        if parts:
            row |= _figures(parts, classes) | _inner(run, trials)
            own, said = measure_own(parts, run.metrics, run.seconds)
            row |= own | {"reason": "; ".join(filter(None, [row["reason"], *said]))}
            for metric, ends in find_limits(regroup(parts, units), classes).items():
                row |= zip(limits_of(metric), ends, strict=True)
            row |= limits_of_procedure(run, trials, tuple(row[end] for end in limits_of("auroc")), pairs, units)
            if run.manifest.by_case:
                row |= in_columns(WEIGHTED, case_weighted(parts, units))
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=[*result_columns(), *run.metrics])
    frame = frame.sort_values("auroc", ascending=False, kind="stable", na_position="last").reset_index(drop=True)
    comparisons = comparisons_table(run) if comparisons is None else comparisons
    frame["parameters"] = frame["parameters"].astype("Int64")
    # tables of many single columns are slow to take rows from; a copy joins those of a kind
    return _compare(frame.copy(), comparisons)


def _inner(run, trials):
    """The mean AUROC of an arm's inner splits, and whether it differs from the outer one by more than chance.

    If folds leave out values, it may well differ: inner rows have values that were learnt from.
    """
    done = run.done(trials)
    inner = [record.get("inner_auroc", np.nan) for record in done.values()]
    outer = [auroc(run.manifest.labels[run.tested(trial)], record["scores"]) for trial, record in done.items()]
    p = np.nan if run.left_out else inner_against_outer(inner, outer, tested_for_trained(run, done))[1]
    known = [value for value in inner if value is not None and np.isfinite(value)]
    return {"inner_auroc": float(np.mean(known)) if known else np.nan, "p_inner": p}


def with_figure(table, column="auroc"):
    """The rows of a table of arms that have a figure, without the floor's.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": [FLOOR, "net:compact", "net:mine"], "auroc": [0.5, 0.9, np.nan]})
    >>> with_figure(table)["arm"].tolist()
    ['net:compact']
    """
    return table[table[column].notna() & (table["arm"] != FLOOR)]


def why_without_figure(results, where):
    """Why no arm but the floor has a figure: there is no other arm, or a table says why.

    Examples
    --------
    >>> why_without_figure(pd.DataFrame({"arm": [FLOOR]}), "the table")
    'the only arm is the dummy, which reads no image: name other heads or networks'
    """
    if (results["arm"] == FLOOR).all():
        return "the only arm is the dummy, which reads no image: name other heads or networks"
    return f"no arm has a figure: {where} says why"


def finished_first(results):
    """The rows of a results table with finished arms first: only they are compared, so the best arm is one of them.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["net:compact", "net:mine"], "status": ["partial", "done"]})
    >>> finished_first(table)["arm"].tolist()
    ['net:mine', 'net:compact']
    """
    return results.iloc[np.argsort(results["status"] != "done", kind="stable")]


def ranked(results):
    """The arms of a results table that can be ranked, best first: finished ones with a figure, without the floor.

    If none is finished, those that have ended alike are ranked by what they have.

    Examples
    --------
    >>> table = pd.DataFrame({"arm": ["net:a", "net:b", "net:c"], "auroc": [0.9, 0.8, 0.7], "status": "done"})
    >>> ranked(table.assign(status=["partial", "done", "done"]))["arm"].tolist()
    ['net:b', 'net:c']
    """
    known = with_figure(finished_first(results))
    return known[known["status"] == known["status"].iloc[0]] if len(known) else known


def read_written(path, texts):
    """Read a table that a run wrote; texts such as NA and 007 stay as they are.

    Parameters
    ----------
    path : Path or None
    texts : sequence of str
        Columns of texts; in all others an empty cell is a missing value.

    Returns
    -------
    pandas.DataFrame or None
        None for None.
    """
    if path is None:
        return None
    blank = {name: [""] for name in pd.read_csv(path, nrows=0).columns if name not in texts}
    how = {"dtype": dict.fromkeys(texts, str), "keep_default_na": False, "na_values": blank}
    return read_csv(path, **how)


def own_columns(results):
    """The columns of a results table that hold users' own metrics."""
    known = {*result_columns(), *limits_of("ece")}  # which versions before 0.16.0 wrote
    return [column for column in results.columns if column not in known]


def _figures(parts, classes):
    """The figures of an arm without their limits."""
    row = {name: float(values[0]) for name, values in measure(parts, classes).items()}
    of_trials = [auroc(part.y, part.score) for part in parts]
    row[SPREAD] = float(np.std(of_trials, ddof=1)) if len(parts) > 1 else float("nan")
    row[THRESHOLD] = float(np.mean([part.threshold for part in parts]))
    return row


def _describe(run, name, trials, done):
    """Describe an arm, how its trials ended, and what they cost."""
    arm, records = trials[0].arm, [run.record(trial) for trial in trials]
    reasons = dict.fromkeys(reason for record in records if (reason := record.get("reason")))
    cost = {column: [record[column] for record in records if column in record] for column in MEASURED}
    weights = [run.weights.get(of.source, "") for of in arm.members or [arm]]
    tested = sum(len(run.tested(trial)) for trial in run.done(trials))
    return {
        "arm": name,
        "kind": arm.kind,
        "feature": arm.feature,
        "weights": "; ".join(dict.fromkeys(filter(None, weights))),
        "reducer": arm.reducer,
        "head": arm.head or arm.net or "mean",
        "status": status_of(records),
        "n_trials": done,
        "fit_s": float(np.mean(cost["fit_s"])) if cost["fit_s"] else float("nan"),
        "predict_ms": 1000 * sum(cost["predict_s"]) / tested if tested else float("nan"),
        "peak_rss_mb": max(cost["peak_rss_mb"], default=float("nan")),
        "peak_vram_mb": max(cost["peak_vram_mb"], default=float("nan")),
        "parameters": next((record["parameters"] for record in records if "parameters" in record), np.nan),
        "reason": "; ".join(reasons),
        "split": run.manifest.split,
    }


def _compare(frame, comparisons):
    """Fill in how each finished arm compares with the best finished one."""
    done = with_figure(frame[frame["status"] == "done"])["arm"]
    adjusted = dict(zip(comparisons["arm"], comparisons["p_adjusted"], strict=True))
    frame["p_vs_best"] = frame["arm"].map(adjusted).astype(float)
    # if nothing is known about an arm, nothing separates it from the best
    tied = dict.fromkeys(done[:1], True) | {name: not p < ALPHA for name, p in adjusted.items()}
    frame["tied_with_best"] = frame["arm"].map(tied).astype(object)
    return frame


def trials_table(run):
    """The trials of a run, one row per arm x repeat x fold, in the order of the plan.

    Returns
    -------
    pandas.DataFrame
    """
    rows, metrics, left_out = [], metric_columns(limits=False), run.left_out
    cases, labels, classes = run.manifest.cases, run.manifest.labels, len(run.manifest.classes)
    for trial in run.trials:
        record, tested = run.record(trial), run.tested(trial)
        parts = trial_parts(run, [trial])
        found = _figures(parts, classes) if parts else {}
        own, said = measure_own(parts, run.metrics, run.seconds) if parts else ({}, [])
        rows.append(
            {
                "arm": str(trial.arm),
                "repeat": trial.repeat,
                "fold": trial.fold,
                **({"left_out": left_out[trial.fold]} if left_out else {}),
                "status": record["status"],
                "reason": "; ".join(filter(None, [record.get("reason", ""), *said])),
                **{name: found.get(name, np.nan) for name in metrics},
                "n_train": record.get("n_train", np.nan),
                "n_test": len(tested),
                "cases": len(np.unique(cases[tested])),
                "positives": int((labels[tested] == classes - 1).sum()),
                "params": json.dumps(record.get("params", {})),
                "inner_auroc": record.get("inner_auroc", np.nan),
                **{name: record.get(name, np.nan) for name in MEASURED if name != "predict_ms"},
                "parameters": record.get("parameters", np.nan),
                "seed": record.get("seed", np.nan),
                "split": run.manifest.split,
                **{name: own.get(name, np.nan) for name in run.metrics},
            }
        )
    return pd.DataFrame(rows).astype({"n_train": "Int64", "seed": "Int64", "parameters": "Int64"})


def curves_table(run):
    """How the training of networks went, one row per network, repeat, fold and epoch.

    Returns
    -------
    pandas.DataFrame
        ``arm, repeat, fold, epoch, learns, train_loss, inner_valid_loss, inner_valid_auroc, epoch_s``: in the first
        epochs the inner-valid rows are held out (learns ``fit``); in the last ones all training rows are used.
    """
    rows = [
        {"arm": str(trial.arm), "repeat": trial.repeat, "fold": trial.fold, **curve}
        for trial in run.trials
        for curve in run.record(trial).get("curves", [])
    ]
    judged = ["train_loss", "inner_valid_loss", "inner_valid_auroc", "epoch_s"]
    columns = ["arm", "repeat", "fold", "epoch", "learns", *judged]
    return pd.DataFrame(rows, columns=columns)
