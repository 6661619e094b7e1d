"""The tables of a run: pure functions of the journal's records, the folds and the plan."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from glomfeat.metrics import auroc, average_precision, confusion, decide, ece, rates, two_class
from glomfeat.seeds import seed_for
from glomfeat.splits import fold_rows
from glomfeat.stats import case_weights, holm, limits, paired_p

RANKED = ("auroc", "average_precision")
DECIDED = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1", "mcc")
AT_THRESHOLD = ("sensitivity", "specificity", "fn", "fp")
COLUMNS = (
    *("arm", "kind", "feature", "weights", "reducer", "head", "status", "n_trials"),
    *("auroc", "auroc_lo", "auroc_hi", "auroc_sd"),
    *("average_precision", "average_precision_lo", "average_precision_hi"),
    *(*DECIDED, "brier", "ece", "threshold", *(f"{name}_t" for name in AT_THRESHOLD), "fn", "fp"),
    *("p_vs_best", "tied_with_best", "fit_s", "predict_ms", "peak_rss_mb", "peak_vram_mb"),
    *("parameters", "reason", "split"),
    *(f"{name}_{end}" for name in (*DECIDED, "brier", "sensitivity_t", "specificity_t") for end in ("lo", "hi")),
)
MEASURED = ("fit_s", "predict_s", "predict_ms", "peak_rss_mb", "peak_vram_mb", "planned_mb", "tree_pss_mb")
ALPHA = 0.05


@dataclass(frozen=True)
class Run:
    """All that tables are made of.

    Attributes
    ----------
    manifest : Manifest
        Of the images that could be read.
    folds : pandas.DataFrame
        Of `glomfeat.splits.make_folds`.
    trials : list of Trial
        The plan, in the order of the tables.
    records : dict of (arm, repeat, fold) to dict
        Of the journal.
    weights : dict of str to str
        Where weights come from, by the feature's name or the network's arm.
    seed : int
        Of the study.
    """

    manifest: object
    folds: pd.DataFrame
    trials: list
    records: dict
    weights: dict
    seed: int

    def tested(self, trial):
        """Rows of the manifest on which a trial is tested."""
        return fold_rows(self.folds, trial.repeat, trial.fold)[1]

    def record(self, trial):
        """A trial's record, or one that says that it has not run yet."""
        return self.records.get(trial.key, {"status": "planned", "reason": ""})


@dataclass(frozen=True)
class _Part:
    """A trial's test rows with what was predicted."""

    repeat: int
    y: np.ndarray
    cases: np.ndarray
    score: np.ndarray
    threshold: float


def trial_parts(run, trials):
    """The test rows of each finished trial, with what was predicted.

    Parameters
    ----------
    run : Run
    trials : list of Trial

    Returns
    -------
    list
        In the order of `trials`: objects with ``repeat, y, cases, score, threshold``.
    """
    labels, cases = run.manifest.labels, run.manifest.cases
    parts = []
    for trial in trials:
        record = run.record(trial)
        if record["status"] == "done":
            rows = run.tested(trial)
            score = np.asarray(record["scores"], np.float64)
            parts.append(_Part(trial.repeat, labels[rows], cases[rows], score, record["threshold"]))
    return parts


def measure(parts, classes, weights=None):
    """The metrics of an arm, from all its finished trials.

    Scores of different folds come of different models, so the ranking metrics are taken within each fold and
    averaged over folds and repeats. All others are of a repeat's pooled out-of-fold decisions, averaged over
    repeats.

    Parameters
    ----------
    parts : list of _Part
    classes : int
    weights : ndarray of float, shape (replicates, cases), optional
        Of `glomfeat.stats.case_weights`.

    Returns
    -------
    dict of str to ndarray, shape (replicates,)
        One replicate, in which every case counts once, without `weights`.
    """
    found = {name: [] for name in RANKED}
    pooled = {}
    for part in parts:
        of_rows = np.ones((1, len(part.y))) if weights is None else weights[:, part.cases]
        for name, metric in zip(RANKED, (auroc, average_precision), strict=True):
            found[name].append(metric(part.y, part.score, of_rows))
        counts, counts_t, error, total = pooled.get(part.repeat, (0, 0, 0, 0))
        natural = confusion(part.y, decide(part.score), classes, of_rows)
        chosen = confusion(part.y, decide(part.score, part.threshold), classes, of_rows)
        truth = part.y if two_class(part.score) else np.eye(classes)[part.y]
        distance = (part.score - truth) ** 2
        squared = of_rows @ (distance if two_class(part.score) else distance.sum(axis=1))
        pooled[part.repeat] = counts + natural, counts_t + chosen, error + squared, total + of_rows.sum(axis=1)
    named = {name: [] for name in (*DECIDED, "fn", "fp", "brier", *(f"{name}_t" for name in AT_THRESHOLD))}
    for counts, counts_t, error, total in pooled.values():
        at_half, at_threshold = rates(counts), rates(counts_t)
        for name in (*DECIDED, "fn", "fp"):
            named[name].append(at_half[name])
        for name in AT_THRESHOLD:
            named[f"{name}_t"].append(at_threshold[name] if classes == 2 else np.full(len(total), np.nan))
        with np.errstate(invalid="ignore"):
            named["brier"].append(error / total)
    # a replicate may leave a fold without one class: that fold does not count in it
    ranked = {name: _mean_of_finite(values) for name, values in found.items()}
    return ranked | {name: np.mean(values, axis=0) for name, values in named.items()}


def _mean_of_finite(values):
    values = np.asarray(values)
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(finite, values, 0).sum(axis=0) / finite.sum(axis=0)


def results_table(run):
    """A row per arm, best AUROC first.

    Limits are 95 % percentiles of a bootstrap over cases. ``p_vs_best`` is of the paired bootstrap of the
    difference to the best arm, adjusted by Holm for the number of arms; an arm is tied with the best if it is 0.05
    or more.

    Parameters
    ----------
    run : Run

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`.
    """
    classes = len(run.manifest.classes)
    weights = case_weights(run.manifest.labels, run.manifest.cases, seed=seed_for(run.seed, "bootstrap"))
    arms, rows, replicates = {}, [], {}
    for trial in run.trials:
        arms.setdefault(str(trial.arm), []).append(trial)
    for name, trials in arms.items():
        parts = trial_parts(run, trials)
        row = _describe(run, name, trials, len(parts))
        if parts:
            row |= _figures(parts, classes)
            sampled = measure(parts, classes, weights)
            for metric in sampled:
                row[f"{metric}_lo"], row[f"{metric}_hi"] = limits(sampled[metric])
            if row["status"] == "done":
                replicates[name] = sampled["auroc"]
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    frame = frame.sort_values("auroc", ascending=False, kind="stable", na_position="last").reset_index(drop=True)
    return _compare(frame.astype({"parameters": "Int64"}), replicates)


def _figures(parts, classes):
    """The figures of an arm without their limits."""
    row = {name: float(values[0]) for name, values in measure(parts, classes).items()}
    of_trials = [auroc(part.y, part.score) for part in parts]
    row["auroc_sd"] = float(np.std(of_trials, ddof=1)) if len(parts) > 1 else float("nan")
    row["threshold"] = float(np.mean([part.threshold for part in parts]))
    repeats = sorted({part.repeat for part in parts})
    row["ece"] = float(np.mean([ece(*_pool(parts, repeat)) for repeat in repeats]))
    return row


def _pool(parts, repeat):
    mine = [part for part in parts if part.repeat == repeat]
    return np.concatenate([part.y for part in mine]), np.concatenate([part.score for part in mine])


def _describe(run, name, trials, done):
    """What an arm is, how its trials ended, and what they cost."""
    arm, records = trials[0].arm, [run.record(trial) for trial in trials]
    states = sorted({record["status"] for record in records})
    status = states[0] if len(states) == 1 else "partial"
    reasons = dict.fromkeys(reason for record in records if (reason := record.get("reason")))
    cost = {column: [record[column] for record in records if column in record] for column in MEASURED}
    tested = sum(len(run.tested(trial)) for trial in trials if run.record(trial)["status"] == "done")
    return {
        "arm": name,
        "kind": arm.kind,
        "feature": arm.feature,
        "weights": run.weights.get(arm.source, ""),
        "reducer": arm.reducer,
        "head": arm.head or arm.net,
        "status": status,
        "n_trials": done,
        "fit_s": float(np.mean(cost["fit_s"])) if cost["fit_s"] else float("nan"),
        "predict_ms": 1000 * sum(cost["predict_s"]) / tested if tested else float("nan"),
        "peak_rss_mb": max(cost["peak_rss_mb"], default=float("nan")),
        "peak_vram_mb": max(cost["peak_vram_mb"], default=float("nan")),
        "parameters": next((record["parameters"] for record in records if "parameters" in record), np.nan),
        "reason": "; ".join(reasons),
        "split": run.manifest.split,
    }


def _compare(frame, replicates):
    """Fill in how each finished arm stands to the best finished one."""
    ranked = [name for name in frame["arm"] if name in replicates]
    frame["tied_with_best"] = frame["tied_with_best"].astype(object)
    if not ranked:
        return frame
    best, others = ranked[0], ranked[1:]
    adjusted = dict(zip(others, holm([paired_p(replicates[best] - replicates[name]) for name in others]), strict=True))
    frame["p_vs_best"] = frame["arm"].map(adjusted)
    tied = {best: True} | {name: p >= ALPHA for name, p in adjusted.items()}
    frame["tied_with_best"] = frame["arm"].map(tied).astype(object)
    return frame


def trials_table(run):
    """A row per arm x repeat x fold, in the order of the plan.

    Returns
    -------
    pandas.DataFrame
    """
    rows = []
    cases, labels, classes = run.manifest.cases, run.manifest.labels, len(run.manifest.classes)
    for trial in run.trials:
        record, tested = run.record(trial), run.tested(trial)
        parts = trial_parts(run, [trial])
        found = _figures(parts, classes) if parts else {}
        rows.append(
            {
                "arm": str(trial.arm),
                "repeat": trial.repeat,
                "fold": trial.fold,
                "status": record["status"],
                "reason": record.get("reason", ""),
                **{name: found.get(name, np.nan) for name in (*RANKED, *DECIDED, "brier", "ece")},
                "threshold": record.get("threshold", np.nan),
                **{f"{name}_t": found.get(f"{name}_t", np.nan) for name in AT_THRESHOLD},
                "fn": found.get("fn", np.nan),
                "fp": found.get("fp", np.nan),
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
            }
        )
    return pd.DataFrame(rows).astype({"n_train": "Int64", "seed": "Int64", "parameters": "Int64"})


def predictions_table(run):
    """A row per arm x repeat x image that was tested.

    Returns
    -------
    pandas.DataFrame
        ``arm, repeat, name, case, fold, label, score, split``; with more than two classes also a column
        ``score_<class>`` each, and `score` is the last class's.
    """
    table, parts = run.manifest.table, []
    for trial in run.trials:
        record = run.record(trial)
        if record["status"] != "done":
            continue
        part = table.iloc[run.tested(trial)][["name", "case", "label"]].reset_index(drop=True)
        score = np.asarray(record["scores"], np.float64)
        part = part.assign(arm=str(trial.arm), repeat=trial.repeat, fold=str(trial.fold), split=run.manifest.split)
        part["score"] = score if two_class(score) else score[:, -1]
        if not two_class(score):
            part = part.assign(**{f"score_{name}": score[:, k] for k, name in enumerate(run.manifest.classes)})
        parts.append(part)
    first = ["arm", "repeat", "name", "case", "fold", "label", "score", "split"]
    if not parts:
        return pd.DataFrame(columns=first)
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*first, *(column for column in frame.columns if column not in first)]]


def curves_table(run):
    """A row per network, repeat, fold and epoch: how training went.

    Returns
    -------
    pandas.DataFrame
        ``arm, repeat, fold, epoch, train_loss, inner_valid_loss, inner_valid_auroc, epoch_s``.
    """
    rows = [
        {"arm": str(trial.arm), "repeat": trial.repeat, "fold": trial.fold, **curve}
        for trial in run.trials
        for curve in run.record(trial).get("curves", [])
    ]
    columns = ["arm", "repeat", "fold", "epoch", "train_loss", "inner_valid_loss", "inner_valid_auroc", "epoch_s"]
    return pd.DataFrame(rows, columns=columns)
