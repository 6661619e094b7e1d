"""Every pair of arms: differences of decisions, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import GOOD, REPEATS, WEAK, make_run, of_arm
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from glomfeat.results.pairs import DECISIONS, pairs_table
from glomfeat.results.resampled import resample
from glomfeat.results.tables import results_table


def pair_of(run):
    """The row of the good arm less the weak one."""
    table = pairs_table(run, resample(run)).set_index(["arm", "other"])
    return table.loc[(GOOD, WEAK)]


def pooled(run, arm, repeat, call):
    """Labels of a repeat's images, and what an arm calls them: ``call(scores, threshold)``."""
    parts = [(y, call(score, threshold)) for y, score, threshold in of_arm(run, arm, repeat)]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def test_differences_at_the_thresholds_are_those_of_scikit_learn():
    run, found = make_run(), {GOOD: [], WEAK: []}
    for arm in found:
        for repeat in range(REPEATS):
            y, called = pooled(run, arm, repeat, np.greater_equal)
            (tn, fp), (fn, tp) = confusion_matrix(y, called)
            found[arm].append((tp / (tp + fn), tn / (tn + fp), balanced_accuracy_score(y, called)))
    apart = np.mean(found[GOOD], axis=0) - np.mean(found[WEAK], axis=0)
    row = pair_of(run)
    for name, value in zip(("sensitivity", "specificity", "balanced_accuracy"), apart, strict=True):
        assert row[f"{name}_difference"] == pytest.approx(value, abs=1e-12), name


def test_of_three_classes_balanced_accuracy_is_the_mean_of_their_sensitivities():
    run = make_run(3)
    good, weak = (
        [balanced_accuracy_score(*pooled(run, arm, repeat, lambda s, _: s.argmax(1))) for repeat in range(REPEATS)]
        for arm in (GOOD, WEAK)
    )
    apart, row = np.mean(good) - np.mean(weak), results_table(run).set_index("arm")["balanced_accuracy"]
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
