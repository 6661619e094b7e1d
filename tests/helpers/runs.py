"""Runs with made-up scores."""

import math

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR, plan_arms, plan_trials
from glomfeat.data.manifest import Manifest
from glomfeat.data.schemes import find_scheme
from glomfeat.data.splits import make_folds
from glomfeat.results.run import Run

GOOD, WEAK = "good.v1/none/logreg", "weak.v1/none/logreg"
FOLDS, REPEATS = 3, 2


def write_feature_table(path):
    """A feature table of 160 rows of 16 cases, two columns of which tell the classes apart, one only weakly."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 160)
    names = [f"P{case:02d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(np.repeat(np.arange(16), 10))]
    columns = {f"x{k}": rng.normal(size=160) + label * shift for k, shift in enumerate([1.2, 0.4, 0, 0, 0, 0])}
    pd.DataFrame({"name": names, "label": label, **columns}).to_csv(path, index=False)
    return path


def manifest_of(classes=2, n=144, cases=18, by_case=True):
    label = np.random.default_rng(5).integers(0, classes, n)
    names = [f"i{row:03d}.png" for row in range(n)]
    case = [f"P{row * cases // n:02d}" for row in range(n)] if by_case else names
    table = pd.DataFrame({"name": names, "path": "", "label": label, "case": case, "slide": case, "digest": names})
    return Manifest(table, tuple("abc"[:classes]), by_case)


def scores_like(name, y, classes, rng):
    """Good scores, weak ones, or the floor's constant."""
    if name == FLOOR:
        return np.full(len(y), 0.25) if classes == 2 else np.full((len(y), classes), 1 / classes)
    clear = 2.0 if name == GOOD else 0.3
    logits = clear * np.eye(classes)[y] + rng.normal(size=(len(y), classes))
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return found[:, 1].round(2) if classes == 2 else found


def make_run(classes=2, scheme="cv", weights=None, **of_manifest):
    """A run whose trials are all done, by made-up scores."""
    manifest = manifest_of(classes, **of_manifest)
    folds = make_folds(manifest, scheme, FOLDS, REPEATS)
    arms, tested = plan_arms(["weak.v1", "good.v1"], ["none"], ["logreg"]), find_scheme(scheme, FOLDS).tested
    trials = plan_trials(arms, tested, REPEATS)
    rng, records = np.random.default_rng(0), {}
    run = Run(manifest, folds, trials, records, weights or {}, 0)
    for number, trial in enumerate(trials):
        rows = run.tested(trial)
        score = scores_like(str(trial.arm), manifest.labels[rows], classes, rng)
        records[trial.key] = {
            "arm": str(trial.arm),
            "repeat": trial.repeat,
            "fold": trial.fold,
            "status": "done",
            "reason": "",
            "params": {"C": 1.0},
            "threshold": 0.3 + 0.01 * number if classes == 2 else math.nan,
            "inner_auroc": 0.7,
            "scores": score.tolist(),
            "n_train": len(manifest) - len(rows),
            "fit_s": number / 4,
            "predict_s": 0.001 * len(rows),
            "peak_rss_mb": 100.0 + number,
            "seed": 2**31 - 1 - number,
        }
    return run


def end(run, arm, status, reason, folds=range(FOLDS)):
    """Let the trials of an arm end otherwise."""
    for key in list(run.records):
        if key[0] == arm and key[2] in folds:
            run.records[key] = {**dict(zip(("arm", "repeat", "fold"), key, strict=True)), "status": status}
            run.records[key] |= {"reason": reason, "seed": 1}
            if status == "planned":
                del run.records[key]
    return run


def of_arm(run, arm, repeat=None):
    """Labels, scores and thresholds of an arm, fold by fold, read from the records without the tables' help."""
    found = []
    for (name, its_repeat, fold), record in run.records.items():
        if name == arm and record["status"] == "done" and repeat in (None, its_repeat):
            here = run.folds[(run.folds["repeat"] == its_repeat) & (run.folds["fold"] == fold)]
            found.append((here["label"].to_numpy(), np.array(record["scores"]), record["threshold"]))
    return found
