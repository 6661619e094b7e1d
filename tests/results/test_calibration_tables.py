"""Slope, intercept and smooth curve: against an unpenalised regression, and against fits without each case."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import GOOD, WEAK, end, make_run, of_arm
from scipy.special import expit, logit
from scipy.stats import t
from sklearn.linear_model import LogisticRegression

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.recalibration import calibration_line, fit_logistic, fit_without_cases, lines_without_cases
from glomfeat.results.calibration import (
    COLUMNS,
    CURVE_COLUMNS,
    NO_LINE,
    ONE_DECIDES,
    calibration_curve_table,
    calibration_table,
    spline,
)


def clipped(run):
    for record in run.records.values():  # a score of 0 has no logit
        record["scores"] = np.clip(record["scores"], 0.01, 0.99).tolist()
    return run


def regression(y, score):
    return LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(score)[:, None], y)


def test_the_line_is_that_of_an_unpenalised_regression_on_the_logit():
    run = clipped(make_run())
    table = calibration_table(run).set_index("arm")
    assert ["arm", *table.columns] == list(COLUMNS)
    for arm in (GOOD, WEAK):
        pooled = of_arm(run, arm)
        y, score = (np.concatenate([part[k] for part in pooled]) for k in (0, 1))
        expected = regression(y, score)
        assert table.loc[arm, "slope"] == pytest.approx(expected.coef_.item(), abs=1e-5)
        assert table.loc[arm, "intercept"] == pytest.approx(expected.intercept_.item(), abs=1e-5)
        assert (table.loc[arm, "mean_score"], table.loc[arm, "share"]) == pytest.approx((score.mean(), y.mean()))
        assert table.loc[arm, "n_images"] == 144 and table.loc[arm, "n_cases"] == 18
    assert table.loc[FLOOR, "note"] == NO_LINE and np.isnan(table.loc[FLOOR, "slope"])


def test_the_mean_gap_has_the_limits_of_a_mean_over_cases():
    run = make_run()
    found = calibration_table(run).set_index("arm").loc[GOOD]
    y, score = (np.concatenate([part[k] for part in of_arm(run, GOOD)]) for k in (0, 1))
    gap = score.mean() - y.mean()
    off = [np.zeros(0)] * 18  # cases hold eight images each, so the gap is the plain mean of those of the cases
    for trial in [trial for trial in run.trials if str(trial.arm) == GOOD]:
        rows = run.tested(trial)
        for row, of in zip(rows, run.record(trial)["scores"] - run.manifest.labels[rows], strict=True):
            off[row // 8] = np.append(off[row // 8], of)
    error = np.std([of.mean() for of in off], ddof=1) / np.sqrt(18)
    assert found["gap_hi"] - gap == pytest.approx(gap - found["gap_lo"])
    assert 2.1 * error < found["gap_hi"] - gap < 2.4 * error  # Student's t of 17 degrees of freedom or fewer


def test_of_more_classes_each_is_set_against_the_rest():
    run = make_run(3)
    table = calibration_table(run)
    assert table.loc[table["arm"] == GOOD, "class"].tolist() == ["a", "b", "c"]
    pooled = of_arm(run, GOOD)
    y, score = (np.concatenate([part[k] for part in pooled]) for k in (0, 1))
    for k, name in enumerate("abc"):
        row = table[(table["arm"] == GOOD) & (table["class"] == name)].iloc[0]
        assert row["slope"] == pytest.approx(regression(y == k, score[:, k]).coef_.item(), abs=1e-5)


def test_limits_are_a_jackknife_of_fits_without_each_case():
    rng = np.random.default_rng(0)
    cases = np.repeat(np.arange(30), 20)
    x = rng.normal(size=600) + rng.normal(size=30)[cases]
    y = (rng.random(600) < expit(0.7 * x + 0.5 * rng.normal(size=30)[cases])).astype(float)
    X = np.column_stack([np.ones(600), x])
    beta = fit_logistic(X, y)
    quick = fit_without_cases(X, y, beta, cases, 30)
    exact = np.array([fit_logistic(X[cases != case], y[cases != case]) for case in range(30)])
    np.testing.assert_allclose(quick, exact, atol=0.005)
    spread = np.sqrt(29 / 30 * ((exact - exact.mean(axis=0)) ** 2).sum(axis=0))
    np.testing.assert_allclose(np.sqrt(29 / 30 * ((quick - quick.mean(axis=0)) ** 2).sum(axis=0)), spread, rtol=0.02)


def sharp(seed, cases=24, images=10):
    """Scores that are the true probabilities, most of them near 0 or 1; a few errors decide on the line."""
    rng, of = np.random.default_rng(seed), np.repeat(np.arange(cases), images)
    x = np.where(rng.random(len(of)) < 0.4, 5, -5) + rng.normal(size=len(of)) + 0.5 * rng.normal(size=cases)[of]
    return (rng.random(len(of)) < expit(x)).astype(int), expit(x), of


def given(run, y, score):
    """The run with other scores and labels; each trial tests its rows, as before."""
    manifest = replace(run.manifest, table=run.manifest.table.assign(label=y))
    for trial in run.trials:
        run.records[trial.key]["scores"] = score[run.tested(trial)].tolist()
    return replace(run, manifest=manifest)


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_limits_of_a_line_are_those_of_fits_without_each_case_even_if_a_few_errors_decide(seed):
    y, score, cases = sharp(seed)
    row = calibration_table(given(make_run(n=240, cases=24), y, score)).iloc[0]
    exact = np.array([regression(y[cases != case], score[cases != case]) for case in range(24)])
    exact = np.array([[model.coef_.item(), model.intercept_.item()] for model in exact])
    apart = exact - exact.mean(axis=0)
    squares = (apart**2).sum(axis=0)
    holders = min(len(np.unique(cases[y == label])) for label in (0, 1))
    freedom = np.minimum(holders - 1, 3 * squares**2 / (apart**4).sum(axis=0))
    error = np.sqrt(23 / 24 * squares)
    for place, name in enumerate(("slope", "intercept")):
        reach = t.ppf(0.975, freedom[place]) * error[place]
        assert (row[f"{name}_hi"] - row[name], row[name] - row[f"{name}_lo"]) == pytest.approx((reach, reach), rel=1e-3)
    assert row["slope_p"] == pytest.approx(2 * t.sf(abs(row["slope"] - 1) / error[0], freedom[0]), rel=1e-3)


def test_a_line_that_only_one_case_makes_possible_has_no_limits():
    y, score, cases = sharp(0)
    score = np.where(y == 1, np.maximum(score, 0.6), np.minimum(score, 0.4))
    score[np.flatnonzero(y == 1)[0]] = 0.6
    score[np.flatnonzero((cases == 3) & (y == 0))[0]] = 0.7  # the one error
    row = calibration_table(given(make_run(n=240, cases=24), y, score)).iloc[0]
    assert np.isfinite(row["slope"]) and row["note"] == ONE_DECIDES
    assert row[["slope_lo", "slope_hi", "slope_p", "intercept_lo", "intercept_hi"]].isna().all()
    assert row["gap_lo"] < row["mean_score"] - row["share"] < row["gap_hi"]


def test_lines_without_each_case_are_those_of_fits_by_themselves():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n_cases, images = rng.integers(3, 14), rng.integers(2, 8)
        cases = np.repeat(np.arange(n_cases), images)
        score = expit(rng.choice([-3, 3, 6], len(cases)) + rng.normal(size=len(cases))).round(2)
        y = (rng.random(len(cases)) < np.clip(score, 0.05, 0.95)).astype(int)
        line = calibration_line(y, score)
        if np.isfinite(line[0]):
            each = np.array([calibration_line(y[cases != case], score[cases != case]) for case in range(n_cases)])
            np.testing.assert_allclose(lines_without_cases(y, score, line, cases, n_cases), each, rtol=1e-5, atol=1e-6)


def test_limits_widen_with_the_t_of_few_cases():
    table = calibration_table(clipped(make_run())).set_index("arm").loc[WEAK]
    half = (table["slope_hi"] - table["slope_lo"]) / 2
    assert table["slope_lo"] < table["slope"] < table["slope_hi"] and half > 0
    few = calibration_table(clipped(make_run(n=48, cases=6))).set_index("arm").loc[WEAK]
    assert (few["slope_hi"] - few["slope_lo"]) / 2 > half and t.ppf(0.975, 5) > t.ppf(0.975, 17)


def test_classes_that_a_threshold_parts_have_no_line():
    assert np.isnan(calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])).all()
    run = make_run()
    for trial in run.trials:
        if str(trial.arm) == GOOD:
            run.records[trial.key]["scores"] = (0.2 + 0.6 * run.manifest.labels[run.tested(trial)]).tolist()
    row = calibration_table(run).set_index("arm").loc[GOOD]
    assert row["note"] == NO_LINE and np.isnan(row["slope_lo"])
    assert GOOD not in set(calibration_curve_table(run)["arm"])


def test_lines_without_each_of_few_cases_are_those_of_fits_by_themselves_also_where_steps_lead_nowhere():
    for seed in (*range(60), 407):
        rng = np.random.default_rng(seed)
        n_cases = rng.integers(4, 10)
        cases = np.repeat(np.arange(n_cases), rng.integers(1, 9, n_cases))
        far = rng.normal(0, rng.uniform(0.5, 9), len(cases))
        score, y = expit(far), (rng.random(len(far)) < expit(far * rng.uniform(0.1, 2))).astype(int)
        line = calibration_line(y, score)
        if np.isfinite(line).all():
            each = [calibration_line(y[cases != case], score[cases != case]) for case in range(n_cases)]
            np.testing.assert_allclose(lines_without_cases(y, score, line, cases, n_cases), each, rtol=1e-6, atol=1e-6)


def test_a_line_is_found_although_newtons_method_would_leave_it():
    x = np.array([-2.96, -2.84, 2.38, 2.52, 2.55, 2.61, 2.88, 2.89, 3.17, 3.46, 3.77])
    y = np.array([1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    expected = regression(y, expit(x))
    line = expected.coef_.item(), expected.intercept_.item()
    assert calibration_line(y, expit(x)) == pytest.approx(line, abs=1e-4)


def test_a_spline_is_smooth_and_straight_outside_of_its_knots():
    knots, x = np.array([-1.0, 0.0, 0.5, 2.0]), np.linspace(-4, 5, 9001)
    columns = spline(x, knots)
    assert columns.shape == (9001, 4)
    bend = np.diff(columns, n=2, axis=0)
    outside = (x[1:-1] < -1.001) | (x[1:-1] > 2.001)
    assert np.abs(bend[outside]).max() < 1e-9 < np.abs(bend[~outside]).max()
    assert np.abs(np.diff(bend, axis=0)).max() < 2e-8  # no jump in the second derivative
    assert spline(x, knots[:2]).shape == (9001, 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_curve_follows_frequencies_and_stays_within_its_limits(classes):
    run = make_run(classes)
    table = calibration_curve_table(run)
    assert table.columns.tolist() == list(CURVE_COLUMNS) and set(table["arm"]) == {GOOD, WEAK}
    assert ((table["lo"] < table["frequency"]) & (table["frequency"] < table["hi"])).all()
    assert table[["lo", "hi"]].stack().between(0, 1).all()
    mine = table[table["arm"] == GOOD]
    pooled = of_arm(run, GOOD)
    y, score = (np.concatenate([part[k] for part in pooled]) for k in (0, 1))
    sure, true = (score, y == 1) if classes == 2 else (score.max(axis=1), score.argmax(axis=1) == y)
    near = np.abs(sure - 0.5) < 0.1
    assert np.interp(0.5, mine["score"], mine["frequency"]) == pytest.approx(true[near].mean(), abs=0.15)


def test_a_curve_whose_errors_are_of_one_case_has_no_limits():
    run, rng = make_run(3), np.random.default_rng(0)
    for trial in run.trials:
        rows = run.tested(trial)
        y, odd = run.manifest.labels[rows], run.manifest.cases[rows] == 0
        sure = rng.uniform(0.4, 0.9, len(rows))[:, None]
        called = np.eye(3)[np.where(odd, (y + rng.integers(0, 3, len(y))) % 3, y)]
        run.records[trial.key]["scores"] = (called * sure + (1 - called) * (1 - sure) / 2).tolist()
    table = calibration_curve_table(run)
    assert len(table) and table["frequency"].between(0, 1).all() and table[["lo", "hi"]].isna().all(axis=None)


def test_arms_that_did_not_run_have_no_rows():
    run = end(make_run(), GOOD, "failed", "ValueError: no luck")
    assert GOOD not in {*calibration_table(run)["arm"], *calibration_curve_table(run)["arm"]}
    run.records.clear()
    assert calibration_table(run).empty and calibration_curve_table(run).empty
