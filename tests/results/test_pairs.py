"""Differences of decisions between two arms: with three classes, and where a case holds all of one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from helpers.runs import GOOD, REPEATS, WEAK, make_run, of_arm
from sklearn.metrics import balanced_accuracy_score

from glomfeat.results.pairs import DECISIONS, pairs_table
from glomfeat.results.resampled import resample
from glomfeat.results.tables import results_table


def pair_of(run):
    """The row of the good arm less the weak one."""
    table = pairs_table(run, resample(run)).set_index(["arm", "other"])
    return table.loc[(GOOD, WEAK)]


def test_of_three_classes_balanced_accuracy_is_the_mean_of_their_sensitivities():
    run, means = make_run(3), {GOOD: [], WEAK: []}
    for arm, repeat in product(means, range(REPEATS)):
        parts = [(y, score.argmax(axis=1)) for y, score, _ in of_arm(run, arm, repeat)]
        y, called = map(np.concatenate, zip(*parts, strict=True))
        means[arm].append(balanced_accuracy_score(y, called))
    apart, row = np.mean(means[GOOD]) - np.mean(means[WEAK]), results_table(run).set_index("arm")["balanced_accuracy"]
    assert pair_of(run)["balanced_accuracy_difference"] == pytest.approx(apart, abs=1e-12)
    assert row[GOOD] - row[WEAK] == pytest.approx(apart, abs=1e-12)


def test_where_a_case_holds_all_others_of_a_repeat_nothing_is_said_of_specificity():
    run = make_run(scheme="holdout")
    label = run.manifest.table["label"].to_numpy().copy()
    tested = next(run.tested(trial) for trial in run.trials if trial.repeat == 0)
    one = run.manifest.cases[tested] == run.manifest.cases[tested[0]]
    label[tested] = np.where(one, np.arange(len(tested)) % 2, 1)
    run = replace(run, manifest=replace(run.manifest, table=run.manifest.table.assign(label=label)))
    row, limits = pair_of(run), results_table(run).set_index("arm").loc[GOOD]
    assert np.isnan(limits["specificity_t_lo"]) and np.isfinite(limits["sensitivity_t_lo"])
    for name in DECISIONS:
        known = np.isfinite(row[[f"{name}_lo", f"{name}_hi", f"{name}_p"]].astype(float))
        assert np.isfinite(row[f"{name}_difference"])
        assert known.all() if name in ("sensitivity", "brier") else not known.any(), name
