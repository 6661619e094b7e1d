import numpy as np
import pytest
from helpers.runs import GOOD, REPEATS, WEAK, end, make_run, of_arm
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.scores import ece
from glomfeat.results.reliability import COLUMNS, reliability_table


@pytest.fixture(scope="module")
def table():
    return reliability_table(make_run())


def test_bins_are_those_of_scikit_learn():
    run = make_run()
    for record in run.records.values():  # no score on a bound of two bins, which scikit-learn puts into the other bin
        record["scores"] = (0.999 * np.array(record["scores"])).tolist()
    pooled, table = of_arm(run, GOOD), reliability_table(run)
    y, score = np.concatenate([y for y, *_ in pooled]), np.concatenate([score for _, score, _ in pooled])
    mine = table[table["arm"] == GOOD]
    assert mine.columns.tolist() == list(COLUMNS) and len(mine) == 10
    filled = mine[mine["n_images"] > 0]
    frequency, mean = calibration_curve(y, score, n_bins=10)
    np.testing.assert_allclose(filled["frequency"], frequency)
    np.testing.assert_allclose(filled["mean_score"], mean)
    assert ((filled["bin_lo"] <= filled["mean_score"]) & (filled["mean_score"] <= filled["bin_hi"])).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_gaps_of_the_bins_are_the_calibration_error(classes):
    run = make_run(classes)
    of_one = [trial for trial in run.trials if trial.repeat == 0]
    run.trials[:] = of_one
    pooled = of_arm(run, WEAK, repeat=0)
    mine = reliability_table(run)
    mine = mine[mine["arm"] == WEAK]
    assert mine["n_images"].sum() == len(run.manifest)
    gaps = (mine["n_images"] * (mine["mean_score"] - mine["frequency"]).abs()).sum() / mine["n_images"].sum()
    expected = ece(np.concatenate([y for y, *_ in pooled]), np.concatenate([score for _, score, _ in pooled]))
    assert gaps == pytest.approx(expected)


def test_images_are_counted_once_a_repeat(table):
    assert (table.groupby("arm")["n_images"].sum() == 144).all() and REPEATS == 2
    assert table["n_cases"].between(0, 18).all()


def test_limits_hold_the_frequency_and_empty_bins_are_empty(table):
    filled = table[table["n_images"] > 0]
    assert ((filled["lo"] <= filled["frequency"]) & (filled["frequency"] <= filled["hi"])).all(axis=None)
    assert (filled["hi"] - filled["lo"]).min() > 0
    empty = table[table["n_images"] == 0]
    assert len(empty) == 9 + (10 - (table["arm"] == GOOD).sum())  # of the floor; all bins of the others are filled
    assert empty[["mean_score", "frequency", "lo", "hi"]].isna().all(axis=None) and (empty["n_cases"] == 0).all()
    floor = table[(table["arm"] == FLOOR) & (table["n_images"] > 0)].iloc[0]
    assert floor["mean_score"] == 0.25 and floor["n_cases"] == 18


def test_a_bin_without_errors_is_as_sure_as_it_has_cases(table):
    pure = table[table["frequency"].isin([0, 1])]
    assert len(pure)
    for row in pure.to_dict("records"):
        low, high = binomtest(int(row["frequency"] * row["n_cases"]), row["n_cases"]).proportion_ci()
        assert (row["lo"], row["hi"]) == pytest.approx((low, high))


def test_arms_that_did_not_run_have_no_curve():
    found = reliability_table(end(make_run(), GOOD, "failed", "ValueError: no luck"))
    assert set(found["arm"]) == {WEAK, FLOOR}
    run = make_run()
    run.records.clear()
    assert reliability_table(run).columns.tolist() == list(COLUMNS)
