"""Under a hold-out, figures are as sure as the tested cases make them, however many cases were learnt from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, make_run, of_arm
from scipy.stats import nct
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from glomfeat.core.arms import FLOOR
from glomfeat.results.best_of_many import best_of_many_table
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.curves import roc, scored, with_band
from glomfeat.results.next_study import next_study_table
from glomfeat.results.pairs import pairs_table
from glomfeat.results.resampled import resample
from glomfeat.results.robustness import robustness_table
from glomfeat.results.tables import results_table

# these ask how many cases were learnt from, as models that learn from the same ones are alike
OF_TRAINING = ("p_ttest", "p_worse", "p_equivalent", "p_better", "p_inner", "auroc_procedure")


@pytest.fixture(scope="module")
def held_out():
    return make_run(scheme="holdout", n=200, cases=40)


def with_fewer_to_learn_from(run):
    """The run without two thirds of the cases that it only learns from."""
    cases, tested = run.manifest.cases, np.unique(run.manifest.cases[run.ever_tested])
    keep = np.isin(cases, tested) | (cases % 3 == 0)
    names = run.manifest.table["name"][keep]
    kept = run.folds[run.folds["name"].isin(names)].reset_index(drop=True)
    assert 0 < len(np.unique(cases[keep])) - len(tested) < (40 - len(tested)) / 2
    return replace(run, manifest=run.manifest.keep(keep), folds=kept)


def tables_of(run):
    resampled = resample(run)
    changed = {key: {"blur.v1": [np.sqrt(one["scores"])] * 5} for key, one in run.records.items() if key[0] != FLOOR}
    return {
        "results": results_table(run),
        "comparisons": comparisons_table(run, resampled),
        "pairs": pairs_table(run, resampled),
        "best of many": best_of_many_table(run, resampled),
        "next study": next_study_table(run),
        "robustness": robustness_table(run, ["blur"], changed),
        "curve": pd.DataFrame(with_band(run, scored(run, WEAK), roc)),
    }


def test_no_figure_depends_on_how_many_cases_were_learnt_from(held_out):
    of_all, of_fewer = tables_of(held_out), tables_of(with_fewer_to_learn_from(held_out))
    for name, table in of_all.items():
        same = [column for column in table if not str(column).startswith(OF_TRAINING)]
        pd.testing.assert_frame_equal(table[same], of_fewer[name][same], obj=name, rtol=1e-9)
        assert table.notna().any(axis=None), name


def test_the_difference_is_tested_over_the_tested_cases(held_out):
    cases, labels = held_out.manifest.cases, held_out.manifest.labels
    rows = [held_out.tested(trial) for trial in held_out.trials if str(trial.arm) == GOOD]
    scores = {arm: [score for _, score, _ in of_arm(held_out, arm)] for arm in (GOOD, WEAK)}
    tested, apart = np.unique(np.concatenate([cases[own] for own in rows])), []
    for left in [-1, *tested]:
        keep = [cases[own] != left for own in rows]
        areas = [
            [roc_auc_score(labels[own][some], of[some]) for own, some, of in zip(rows, keep, scores[arm], strict=True)]
            for arm in (WEAK, GOOD)
        ]
        apart.append(np.subtract(*np.mean(areas, axis=1)))
    squares = (apart[1:] - np.mean(apart[1:])) ** 2
    error, freedom = np.sqrt(squares.sum() * (1 - 1 / len(tested))), 3 * squares.sum() ** 2 / (squares**2).sum()
    freedom = min(freedom, len(tested) - 1)
    row = comparisons_table(held_out).set_index("arm").loc[WEAK]
    assert row["p"] == pytest.approx(2 * student.sf(abs(apart[0]) / error, freedom))
    assert row["lo"] == pytest.approx(apart[0] - student.ppf(0.975, freedom) * error)
    power = nct.sf(student.ppf(0.975, freedom), freedom, row["detectable"] / error)
    assert power == pytest.approx(0.8, abs=1e-6)  # one arm and the best one: nothing to adjust for
