"""The case as the endpoint: percentages, and agreement by examples that were published or computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.agreement import bland_altman, icc_agreement
from glomfeat.results.cases import AGREEMENT_COLUMNS, CASE_COLUMNS, agreement_table, cases_table, worst_cases
from glomfeat.results.tables import results_table

# peak flow of 17 people by a large and a mini meter, l/min: Bland & Altman (1986), Lancet 327, table
LARGE = (494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
MINI = (512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)


def test_limits_of_agreement_are_those_that_bland_and_altman_published():
    bias, low, high = bland_altman(MINI, LARGE)
    spread = (high - low) / 2 / 1.959963984540054
    assert round(bias, 1) == -2.1 and round(spread, 1) == 38.8
    assert low == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.1) and high == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.1)


def test_limits_of_a_single_case_are_unknown():
    bias, low, high = bland_altman([20.0], [30.0])
    assert bias == 10 and np.isnan([low, high]).all()


def test_icc_falls_by_a_bias_that_a_correlation_does_not_see():
    true = np.array([0.0, 20, 40, 60])
    assert icc_agreement(np.column_stack([true, true])) == 1
    # by hand: MSR 4000/3, MSC 200, MSE 0 -> 4000/3 / (4000/3 + 2 * 200 / 4)
    assert icc_agreement(np.column_stack([true, true + 10])) == pytest.approx(4000 / 3 / (4000 / 3 + 100))


def test_icc_of_equal_ratings_is_unknown():
    assert np.isnan(icc_agreement(np.full((5, 2), 33.3)))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(0, 3)), min_size=3, max_size=12))
def test_a_weight_counts_a_subject_as_often(rows):
    ratings, times = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    repeated = np.repeat(ratings, times, axis=0)
    if len(repeated) < 2 or np.ptp(repeated) < 1:
        return
    assert icc_agreement(ratings, times[None])[0] == pytest.approx(icc_agreement(repeated), abs=1e-6)


def by_hand(run, arm, case):
    """Percentages of a case, counted image by image from the records and folds."""
    shares = []
    for repeat in range(REPEATS):
        rows = run.folds[(run.folds["repeat"] == repeat)].reset_index(drop=True)
        fold = rows.loc[rows["case"] == case, "fold"].iloc[0]
        record, here = run.records[arm, repeat, fold], rows[rows["fold"] == fold]
        called = np.array(record["scores"]) >= record["threshold"]
        shares.append((100 * here["label"][here["case"] == case].mean(), 100 * called[here["case"] == case].mean()))
    return np.mean(shares, axis=0)


def test_percentages_of_cases_are_counted_out_of_fold_and_averaged_over_repeats():
    run = make_run()
    table = cases_table(run)
    assert table.columns.tolist() == list(CASE_COLUMNS)
    assert table.groupby("arm", sort=False)["case"].nunique().to_dict() == {FLOOR: 18, WEAK: 18, GOOD: 18}
    assert (table["n_images"] == 8).all()
    for row in table.iloc[[0, 20, 40, 53]].itertuples():
        assert (row.true_percent, row.predicted_percent) == pytest.approx(tuple(by_hand(run, row.arm, row.case)))
    np.testing.assert_allclose(table["error"], table["predicted_percent"] - table["true_percent"])
    assert dict(zip(table["case"], table["pseudonym"], strict=True)) == pseudonyms(table["case"])


def split(run):
    """The run with the images of all cases but the first three dealt to the folds in turn, and scored anew."""
    here, rng, records = run.folds[run.folds["repeat"] == 0], np.random.default_rng(7), {}
    dealt = np.where(here["case"] < "P03", here["fold"], np.arange(len(here)) % FOLDS)
    folds = run.folds.assign(fold=np.tile(dealt, REPEATS))
    found = replace(run, manifest=replace(run.manifest, torn=True), folds=folds, records=records)
    for number, trial in enumerate(run.trials):
        scores = rng.random(len(found.tested(trial))).tolist()
        records[trial.key] = {"status": "done", "reason": "", "threshold": 0.3 + 0.01 * number, "scores": scores}
    return found


def test_images_of_a_case_in_several_folds_count_once_a_repeat():
    whole = split(make_run())
    images, called = whole.folds[whole.folds["repeat"] == 0].groupby("case").size(), []
    for (arm, repeat, fold), record in whole.records.items():
        here = whole.folds[(whole.folds["repeat"] == repeat) & (whole.folds["fold"] == fold)]
        of_trial = here.assign(arm=arm, called=100.0 * (np.array(record["scores"]) >= record["threshold"]))
        called.append(of_trial)
    called = pd.concat(called).groupby(["arm", "case"])["called"].mean()
    table = cases_table(whole).set_index(["arm", "case"])
    assert table.loc[GOOD, "n_images"].to_dict() == images.to_dict()
    np.testing.assert_allclose(table["predicted_percent"], called.loc[table.index])
    assert (agreement_table(whole)["n_images"] == len(whole.manifest)).all()
    half = end(whole, GOOD, "planned", "", folds=[2])  # what is not tested yet does not count
    tested = half.folds[(half.folds["repeat"] == 0) & (half.folds["fold"] != 2)].groupby("case").size()
    assert cases_table(half).set_index(["arm", "case"]).loc[GOOD, "n_images"].to_dict() == tested.to_dict()


def test_agreement_is_of_the_table_of_cases():
    run = make_run()
    cases, table = cases_table(run), agreement_table(run).set_index("arm")
    assert ["arm", *table.columns] == list(AGREEMENT_COLUMNS)
    error = cases.loc[cases["arm"] == GOOD, "error"]
    row = table.loc[GOOD]
    assert row["bias"] == pytest.approx(error.mean()) and row["mae"] == pytest.approx(error.abs().mean())
    assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    for name in ("bias", "mae", "rmse", "icc"):
        assert row[f"{name}_lo"] < row[name] < row[f"{name}_hi"]
    assert row["loa_lo"] < row["bias_lo"] and row["bias_hi"] < row["loa_hi"]  # of cases, not of their mean
    assert table.loc[GOOD, "icc"] > table.loc[WEAK, "icc"] and table.loc[GOOD, "mae"] < table.loc[WEAK, "mae"]
    pd.testing.assert_frame_equal(agreement_table(make_run()).set_index("arm"), table)


def test_limits_of_agreement_per_case_are_from_leaving_out_each_case():
    run = make_run()
    cases, table = cases_table(run), agreement_table(run).set_index("arm")
    true, predicted = (cases.loc[cases["arm"] == GOOD, f"{name}_percent"].to_numpy() for name in ("true", "predicted"))
    row, n, error = table.loc[GOOD], 18, predicted - true
    without = [np.delete(np.arange(n), case) for case in range(n)]
    ratings = np.column_stack([true, predicted])

    def t_of(values):
        """Standard error by leaving out each case, times Student's quantile."""
        apart = values - values.mean()
        freedom = min(n - 1, 3 * (apart**2).sum() ** 2 / (apart**4).sum())
        return stats.t.ppf(0.975, freedom) * np.sqrt((n - 1) / n * (apart**2).sum())

    def ends(value, values, low, high):
        share = (value - low) / (high - low)
        step = t_of(values) / (high - low) / share / (1 - share)
        return low + (high - low) * expit(logit(share) + np.array([-step, step]))

    bias = t_of(np.array([error[keep].mean() for keep in without]))
    assert bias == pytest.approx(stats.t.ppf(0.975, 17) * stats.sem(error), rel=0.15)  # few degrees of freedom less
    by_hand = {
        "bias": error.mean() + np.array([-bias, bias]),
        "mae": ends(np.abs(error).mean(), np.array([np.abs(error[keep]).mean() for keep in without]), 0, 100),
        "rmse": np.sqrt(ends((error**2).mean(), np.array([(error[keep] ** 2).mean() for keep in without]), 0, 1e4)),
        "icc": ends(icc_agreement(ratings), np.array([icc_agreement(ratings[keep]) for keep in without]), -1, 1),
    }
    for name, (low, high) in by_hand.items():
        assert row[[f"{name}_lo", f"{name}_hi"]].tolist() == pytest.approx([low, high]), name
    assert row["note"] == "" and table.loc[FLOOR, "note"].endswith("the same without each case: icc")
    assert table.loc[FLOOR, ["icc_lo", "icc_hi"]].isna().all()
    two = end(make_run(n=16, cases=6), GOOD, "planned", "", folds=[1, 2])
    del two.records[GOOD, 1, 0]
    alone = agreement_table(two).set_index("arm").loc[GOOD]
    assert alone["n_cases"] == 2 and np.isfinite(alone[["icc", "bias_lo"]].astype(float)).all()
    assert math.isnan(alone["icc_lo"]) and alone["note"].endswith("nothing would be left without one of the cases: icc")


def test_percentages_without_an_error_are_no_surer_than_their_cases():
    run = make_run()
    for trial in run.trials:
        run.records[trial.key]["scores"] = run.manifest.labels[run.tested(trial)].astype(float).tolist()
    row, reach = agreement_table(run).set_index("arm").loc[GOOD], 1 - stats.binomtest(18, 18).proportion_ci().low
    assert row[["bias", "mae", "rmse", "icc"]].tolist() == [0, 0, 0, 1]
    assert row[["bias_lo", "bias_hi", "mae_lo", "mae_hi"]].tolist() == pytest.approx(
        [-100 * reach, 100 * reach, 0, 100 * reach]
    )
    assert row[["rmse_lo", "rmse_hi"]].tolist() == pytest.approx([0, 100 * np.sqrt(reach)])
    assert row[["icc_lo", "icc_hi"]].isna().all() and row["note"].endswith("the same without each case: icc")


def test_the_worst_tenth_is_the_reference_arms_for_every_arm():
    run = make_run()
    cases, table = cases_table(run), agreement_table(run).set_index("arm")
    worst = worst_cases(cases, GOOD)
    assert (table["reference"] == GOOD).all() and (table["worst_cases"] == 2).all() and len(worst) == 2
    for arm in (GOOD, WEAK, FLOOR):
        errors = cases[(cases["arm"] == arm) & cases["case"].isin(worst)]["error"]
        assert table.loc[arm, "worst_mae"] == pytest.approx(errors.abs().mean())
        assert table.loc[arm, "worst_bias"] == pytest.approx(errors.mean())
    mine = cases[cases["arm"] == GOOD]["error"].abs()
    assert table.loc[GOOD, "worst_mae"] == pytest.approx(mine.nlargest(2).mean())
    other = agreement_table(run, reference=WEAK)
    assert (other["reference"] == WEAK).all() and other["worst_mae"].tolist() != table["worst_mae"].tolist()


def test_of_cases_with_equal_errors_the_one_with_more_images_is_the_worst():
    called = pd.DataFrame({"arm": "a", "case": ["P1", "P2"], "n_images": [3, 6], "true": [0, 1], "predicted": [1, 3]})
    true, predicted = (100 * called[of] / called["n_images"] for of in ("true", "predicted"))  # a third off, both
    assert worst_cases(called.assign(error=predicted - true), "a", share=0.5) == ["P2"]


def test_an_unknown_reference_names_the_arms():
    with pytest.raises(
        ValueError, match=r"no finished trial of the reference 'x/none/svm': there are none/none/dummy, "
    ):
        agreement_table(make_run(), reference="x/none/svm")


def test_half_a_run_has_the_cases_that_were_tested():
    run = end(make_run(), GOOD, "planned", "", folds=[1, 2])
    table = cases_table(run)
    tested = {case for r in range(REPEATS) for case in run.folds.query(f"repeat == {r} and fold == 0")["case"]}
    assert set(table.loc[table["arm"] == GOOD, "case"]) == tested
    assert (agreement_table(run)["reference"] == WEAK).all()  # the best of those that are finished


def test_the_floor_never_says_which_cases_are_the_worst():
    run = make_run()
    for key, record in run.records.items():
        if key[0] != FLOOR:  # worse than a coin
            record["scores"] = [1 - score for score in record["scores"]]
    assert results_table(run)["arm"].iloc[0] == FLOOR and (agreement_table(run)["reference"] == WEAK).all()


def test_more_classes_and_no_trial_at_all():
    run = make_run(classes=3)
    table = cases_table(run)
    here = run.folds[run.folds["repeat"] == 0]
    np.testing.assert_allclose(
        table[table["arm"] == GOOD]["true_percent"],
        here.groupby("case")["label"].apply(lambda label: 100 * (label == 2).mean()),
    )
    for arm in (GOOD, WEAK, FLOOR):
        run = end(run, arm, "planned", "")
    assert cases_table(run).empty and cases_table(run).columns.tolist() == list(CASE_COLUMNS)
    assert agreement_table(run).empty and agreement_table(run).columns.tolist() == list(AGREEMENT_COLUMNS)
