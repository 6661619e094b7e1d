"""More than two classes: each against the rest, and in their order; against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.agreement import kappa, mean_distance
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.results.classes import COLUMNS, classes_table
from glomfeat.results.ordinal import KAPPA, STEPS, ordinal_table
from glomfeat.results.parts import with_limits
from glomfeat.results.tables import results_table

ORDER = ("b", "a", "c")


@pytest.fixture(scope="module")
def run():
    return make_run(3)


def test_each_class_has_the_figures_of_scikit_learn(run):
    table = classes_table(run)
    assert table.columns.tolist() == list(COLUMNS) and len(table) == 9
    for label, row in enumerate(table[table["arm"] == WEAK].itertuples()):
        folds = of_arm(run, WEAK)
        assert row.auroc == pytest.approx(np.mean([sk.roc_auc_score(y == label, s[:, label]) for y, s, _ in folds]))
        areas = [sk.average_precision_score(y == label, s[:, label]) for y, s, _ in folds]
        assert row.average_precision == pytest.approx(np.mean(areas))
        y, called = np.concatenate([y for y, _, _ in folds]), np.concatenate([s.argmax(1) for _, s, _ in folds])
        found = sk.precision_score(y == label, called == label), sk.recall_score(y == label, called == label)
        assert (row.precision, row.sensitivity) == pytest.approx(found, abs=0.02)  # pooled over repeats, not their mean
        assert row.auroc_lo < row.auroc < row.auroc_hi and row.specificity_lo < row.specificity < row.specificity_hi
    mean = table.groupby("arm")["auroc"].mean()
    assert mean[WEAK] == pytest.approx(results_table(run).set_index("arm").loc[WEAK, "auroc"])


@pytest.mark.parametrize("order", [ORDER, ("a", "b", "c")])
def test_quadratic_kappa_is_scikit_learns(run, order):
    row = ordinal_table(run, order).set_index("arm").loc[GOOD]
    places = np.argsort([("a", "b", "c").index(name) for name in order])
    found, steps = [], []
    for repeat in range(REPEATS):
        folds = of_arm(run, GOOD, repeat)
        y, called = (places[np.concatenate(of)] for of in zip(*((y, s.argmax(1)) for y, s, _ in folds), strict=True))
        found.append(sk.cohen_kappa_score(y, called, weights="quadratic"))
        steps.append(np.abs(y - called).mean())
    assert row[KAPPA] == pytest.approx(np.mean(found)) and row[STEPS] == pytest.approx(np.mean(steps))
    assert row[f"{KAPPA}_lo"] < row[KAPPA] < row[f"{KAPPA}_hi"] and row[f"{STEPS}_lo"] < row[STEPS] < row[f"{STEPS}_hi"]
    assert (row["order"], row["n_trials"], row["images"], row["cases"]) == (" < ".join(order), 6, 144, 18)


def test_limits_of_kappa_leave_out_each_case():
    run = make_run(3)
    row, table = ordinal_table(run, ("a", "b", "c")).set_index("arm").loc[GOOD], run.manifest.table
    left_out = []
    for case in sorted(set(table["case"])):
        of_repeats = []
        for repeat in range(REPEATS):
            calls = []
            for (arm, its, fold), record in run.records.items():
                here = run.folds[(run.folds["repeat"] == its) & (run.folds["fold"] == fold)]
                kept = (here["case"] != case).to_numpy()
                if arm == GOOD and its == repeat:
                    calls.append((here["label"].to_numpy()[kept], np.argmax(record["scores"], axis=1)[kept]))
            y, called = (np.concatenate(of) for of in zip(*calls, strict=True))
            of_repeats.append(sk.cohen_kappa_score(y, called, weights="quadratic"))
        left_out.append(np.mean(of_repeats))
    expected = jackknife_limits(row[KAPPA], np.array(left_out), -1, 1)
    assert (row[f"{KAPPA}_lo"], row[f"{KAPPA}_hi"]) == pytest.approx(expected)


def test_kappa_is_scikit_learns_of_any_calls():
    rng = np.random.default_rng(2)
    one, two = rng.integers(0, 4, (2, 60))
    counts = sk.confusion_matrix(one, two).astype(float)
    for quadratic, weights in ((False, None), (True, "quadratic")):
        assert kappa(counts, quadratic) == pytest.approx(sk.cohen_kappa_score(one, two, weights=weights))
    assert mean_distance(counts) == pytest.approx(np.abs(one - two).mean())
    assert kappa(np.stack([counts, 2 * counts])) == pytest.approx(np.repeat(kappa(counts), 2))
    assert np.isnan(kappa(np.diag([5.0, 0, 0]))) and np.isnan(mean_distance(np.zeros((2, 2))))


def test_the_floor_agrees_with_nothing_and_arms_without_a_trial_have_no_figures():
    run = end(make_run(3), WEAK, "failed", "broke")
    order, classes = ordinal_table(run, ORDER).set_index("arm"), classes_table(run).set_index("arm")
    assert order.loc[FLOOR, KAPPA] == 0 and order.loc[FLOOR, STEPS] > 0.5
    assert order.loc[WEAK, "status"] == "failed" and np.isnan(order.loc[WEAK, KAPPA])
    assert classes.loc[WEAK, "auroc"].isna().all() and (classes.loc[WEAK, "images"] > 0).all()


def test_a_class_that_one_case_holds_has_figures_without_limits():
    run = make_run(3)
    table = run.manifest.table
    label = table["label"].where((table["label"] < 2) | (table["case"] == "P04"), 0)
    run = replace(run, manifest=replace(run.manifest, table=table.assign(label=label)))
    rare = classes_table(run).set_index(["arm", "class"]).loc[(GOOD, "c")]
    assert rare["cases"] == 1 and np.isfinite(rare["auroc"]) and np.isnan(rare["auroc_lo"])
    assert np.isfinite(rare["sensitivity"]) and np.isnan(rare["sensitivity_hi"])
    assert classes_table(run)["n_trials"].eq(FOLDS * REPEATS).all()


def test_limits_need_something_left_without_each_case(run):
    from glomfeat.results.parts import arms_of, trial_parts

    parts = trial_parts(run, arms_of(run)[GOOD])
    broken = lambda weights: np.array([0.5]) if weights is None else np.r_[np.nan, np.full(len(weights) - 1, 0.5)]  # noqa: E731
    assert np.isnan(with_limits(broken, parts)[1:]).all()
