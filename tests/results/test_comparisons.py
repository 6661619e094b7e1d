import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from scipy import stats
from sklearn.metrics import roc_auc_score

from glomfeat.core.arms import FLOOR, Arm
from glomfeat.core.seeds import seed_for
from glomfeat.metrics.paired import resampled_t
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.report.answer import answer
from glomfeat.report.arm_names import plain_arms
from glomfeat.results.comparisons import COLUMNS, comparisons_table, missed_in_words
from glomfeat.results.pairs import pairs_table
from glomfeat.results.resampled import Resampled, resample
from glomfeat.results.tables import results_table


@pytest.fixture(scope="module")
def compared():
    run = make_run()
    return run, comparisons_table(run)


def with_arms(run, count, clear):
    """A run with further arms, which have the good arm's scores blurred."""
    rng, trials = np.random.default_rng(3), [trial for trial in run.trials if str(trial.arm) == GOOD]
    for number in range(count):
        arm = Arm(feature=f"more{number}.v1", reducer="none", head="logreg")
        for trial in trials:
            again = type(trial)(arm, trial.repeat, trial.fold)
            score = np.asarray(run.records[trial.key]["scores"])
            run.trials.append(again)
            noisy = np.clip(score + clear * rng.normal(size=len(score)), 0, 1)
            run.records[again.key] = run.records[trial.key] | {"arm": str(arm), "scores": noisy.tolist()}
    return run


def test_differences_are_those_of_the_results(compared):
    run, table = compared
    results = results_table(run).set_index("arm")
    assert table.columns.tolist() == list(COLUMNS)
    assert table["arm"].tolist() == [WEAK, FLOOR] and (table["best"] == GOOD).all()
    for row in table.to_dict("records"):
        assert row["difference"] == results.loc[row["arm"], "auroc"] - results.loc[GOOD, "auroc"]
        assert row["lo"] < row["difference"] < row["hi"] < 0
        assert results.loc[row["arm"], "p_vs_best"] == row["p_adjusted"] >= row["p"] > 0
        assert row["n_trials"] == FOLDS * REPEATS
    assert (table["p_bootstrap"] == 2 / 2001).all()
    assert table["p_bootstrap_holm"].tolist() == pytest.approx([4 / 2001, 4 / 2001])


def test_the_bootstrap_draws_whole_cases_and_says_where_too_few_draws_count(compared):
    run, _ = compared
    found, codes = resample(run), {name: k for k, name in enumerate(np.unique(run.folds["case"]))}
    cases = [part["case"].map(codes).to_numpy() for _, part in run.folds.groupby(["repeat", "fold"])]
    times = np.random.default_rng(seed_for(run.seed, "bootstrap")).multinomial(18, np.full(18, 1 / 18), 2000)
    at, scores = found.names.index(WEAK), of_arm(run, WEAK)  # in the order of repeats and folds
    for drawn in range(5):
        areas = []
        for (y, score, _), here in zip(scores, cases, strict=True):
            rows = np.repeat(np.arange(len(y)), times[drawn][here])
            areas.append(roc_auc_score(y[rows], score[rows]))
        assert found.drawn[at, drawn] == pytest.approx(np.mean(areas))
    few = np.where(np.arange(2000) < 999, found.drawn, np.nan)
    row = comparisons_table(run, replace(found, drawn=few)).iloc[0]
    assert math.isnan(row["p_bootstrap"]) and math.isnan(row["p_bootstrap_holm"]) and row["replicates"] == 999
    assert row["note"] == "p_bootstrap: only 999 of 2,000 draws of cases keep all classes"
    enough = comparisons_table(run, found).iloc[0]
    assert (enough["replicates"], enough["note"]) == (2000, "")
    assert comparisons_table(run, replace(found, holders=4))["p_bootstrap"].tolist() == [0.125, 0.125]  # a sign test's
    alone = comparisons_table(run, replace(found, holders=1)).iloc[0]
    assert math.isnan(alone["p_bootstrap"]) and alone["note"] == "p_bootstrap: one case holds all images of a class"


def test_the_t_test_is_over_repeats_and_folds(compared):
    run, table = compared
    areas = {arm: np.array([roc_auc_score(y, score) for y, score, _ in of_arm(run, arm)]) for arm in (GOOD, WEAK)}
    expected = resampled_t(areas[WEAK] - areas[GOOD], 1 / (FOLDS - 1))
    row = table.set_index("arm").loc[WEAK]
    assert row["p_ttest"] == pytest.approx(expected) and row["p_ttest_holm"] >= row["p_ttest"]
    assert row["p_worse"] > 0.95 and row[["p_worse", "p_equivalent", "p_better"]].sum() == pytest.approx(1)


def test_the_error_is_that_of_leaving_out_each_case(compared):
    run, table = compared
    cases = {(r, f): part["case"].to_numpy() for (r, f), part in run.folds.groupby(["repeat", "fold"])}
    of_arms = {arm: of_arm(run, arm) for arm in (GOOD, WEAK)}  # in the order of repeats and folds
    found = []
    for case in np.unique(run.folds["case"]):
        without = {}
        for arm, parts in of_arms.items():
            pairs = zip(parts, [there != case for there in cases.values()], strict=True)
            without[arm] = np.mean([roc_auc_score(y[keep], score[keep]) for (y, score, _), keep in pairs])
        found.append(without[WEAK] - without[GOOD])
    row, n = table.set_index("arm").loc[WEAK], len(found)
    error = math.sqrt((n - 1) * np.var(found))
    step = (row["hi"] - row["lo"]) / 2
    assert 1.96 < step / error < 2.8  # Student's quantile of a few degrees of freedom
    assert step < row["detectable"] < 2 * step


def test_the_floor_is_never_the_best_one():
    """Where all arms rank images the wrong way round, they are still compared with each other."""
    run = make_run()
    for record in run.records.values():
        if record["arm"] != FLOOR:
            record["scores"] = (1 - np.asarray(record["scores"])).tolist()
    own, other = (np.mean([roc_auc_score(y, score) for y, score, _ in of_arm(run, arm)]) for arm in (WEAK, GOOD))
    assert other < own < 0.5
    resampled = resample(run)
    table, pairs = comparisons_table(run, resampled), pairs_table(run, resampled)
    assert (table["best"] == WEAK).all() and table["arm"].tolist() == [FLOOR, GOOD]
    assert table["difference"].tolist() == pytest.approx([0.5 - own, other - own])
    for row in table.to_dict("records"):
        (pair,) = [pair for pair in pairs.to_dict("records") if {pair["arm"], pair["other"]} == {WEAK, row["arm"]}]
        assert row["p"] == pytest.approx(pair["p"])
    results = results_table(run, table).set_index("arm")
    assert results.loc[WEAK, "tied_with_best"] is True and results.loc[GOOD, "tied_with_best"] is False
    first, second = answer(run, results.reset_index(), plain_arms(results.index), missed_in_words(table))
    assert first.startswith("The best arm is weak") and first.endswith("). No arm reaches the 0.5 of chance.")
    assert second == "One other arm is worse beyond chance on these 18 cases."


def test_a_floor_alone_is_compared_with_nothing():
    run = end(end(make_run(), GOOD, "failed", ""), WEAK, "failed", "")
    assert comparisons_table(run).empty and results_table(run)["tied_with_best"].isna().all()


def test_many_arms_can_still_be_told_from_the_best():
    table = comparisons_table(with_arms(make_run(), 60, clear=1.5)).set_index("arm")
    assert len(table) == 62
    assert table["p_bootstrap_holm"].min() > 0.05  # 2 / 2001 is the smallest p of 2000 replicates
    assert table.loc[FLOOR, "p_adjusted"] < 0.001


def test_equal_scores_and_a_perfect_arm():
    run = make_run()
    for (arm, repeat, fold), record in list(run.records.items()):
        if arm == WEAK:
            record["scores"] = run.records[GOOD, repeat, fold]["scores"]
    row = comparisons_table(run).iloc[0]
    assert (row["difference"], row["p"], row["p_bootstrap"], row["p_ttest"]) == (0, 1, 1, 1)
    assert math.isnan(row["p_equivalent"]) and math.isnan(row["detectable"])
    for (arm, repeat, fold), record in run.records.items():
        if arm == GOOD:
            here = run.folds[(run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)]
            record["scores"] = here["label"].astype(float).tolist()
    table = comparisons_table(run).set_index("arm")  # 1 against 0.5, whichever case is left out
    assert table.loc[FLOOR, "p_adjusted"] < 0.01
    assert results_table(run).set_index("arm").loc[FLOOR, "tied_with_best"] is False


@pytest.mark.parametrize("holders", [5, 6, 8, 12])
def test_a_perfect_arm_is_better_than_chance_exactly_where_its_limits_say_so(holders):
    """As many cases that agree, by the exact test of a share of one half."""
    found = Resampled((GOOD, FLOOR), np.array([1, 0.5]), *[np.zeros((2, 0))] * 2, np.ones((2, 30)), holders, 0)
    found.left_out[1] = 0.5
    row, exact = found.less_best(1), stats.binomtest(holders, holders)
    low = exact.proportion_ci(method="exact").low
    assert (row.value, row.p) == (-0.5, pytest.approx(exact.pvalue)) and (row.p < 0.05) == (low > 0.5)
    assert (row.lo, row.hi) == (-0.5, pytest.approx(0.5 - low))
    assert found.p_adjusted[1] == pytest.approx(row.p)
    assert jackknife_limits(1.0, found.left_out[0], holders=holders)[0] == pytest.approx(low)


def test_unfinished_arms_are_not_compared():
    table = comparisons_table(end(make_run(), GOOD, "failed", "ValueError: no luck", folds=[2]))
    assert table["arm"].tolist() == [FLOOR] and table["best"].tolist() == [WEAK]
    run = make_run()
    run.records.clear()
    nothing = comparisons_table(run)
    assert nothing.columns.tolist() == list(COLUMNS) and len(nothing) == 0
    assert missed_in_words(nothing) == ""


def test_one_trial_has_no_t_test():
    run = make_run(scheme="holdout", n=400, cases=100)
    run.trials[:] = [trial for trial in run.trials if trial.repeat == 0]
    table = comparisons_table(run)
    assert table[["p_ttest", "p_ttest_holm", "p_worse"]].isna().all(axis=None) and table["p"].notna().all()


@pytest.mark.parametrize(("classes", "by_case"), [(3, True), (2, False)])
def test_more_classes_and_no_cases(classes, by_case):
    table = comparisons_table(make_run(classes, by_case=by_case))
    assert (table.set_index("arm")["p_adjusted"] < 0.05).all()


def test_a_difference_beyond_what_is_detectable_is_never_tied():
    """Both come from the p-value that is adjusted for the number of arms, so one cannot contradict the other."""
    ties, clear = 0, 0
    for share in (0.1, 0.15, 0.2, 0.4):
        table = comparisons_table(with_arms(make_run(), 7, clear=share))
        rows = table[table["arm"] != FLOOR]
        beyond = rows["difference"].abs() > rows["detectable"]
        assert (rows.loc[beyond, "p_adjusted"] < 0.05).all()
        plain = (rows["hi"] - rows["lo"]) / 2  # what p alone takes
        ties += (~beyond & (rows["difference"].abs() > plain) & (rows["p_adjusted"] >= 0.05)).sum()
        clear += beyond.sum()
    assert ties and clear, "neither case occurs, so that nothing is tested"


def test_what_may_have_been_missed_in_words(compared):
    _, table = compared
    assert missed_in_words(table) == "", "an arm that is worse beyond chance was not missed"
    tied = table.assign(p_adjusted=0.2, detectable=[0.05, 0.9])
    assert missed_in_words(tied) == "a difference below 0.050 may have been missed", "the floor is no rival"
    more = pd.concat([tied, tied.assign(arm="b/none/svm", detectable=1.2)])
    assert missed_in_words(more) == ("differences below 0.050 to 1.000, depending on the arm, may have been missed"), (
        "no two AUROCs differ by more than 1"
    )
    assert missed_in_words(tied.assign(detectable=1.2)) == "no difference could be seen on so few"
    assert missed_in_words(tied.assign(detectable=np.nan)) == ""


def test_same_run_same_table(compared):
    pd.testing.assert_frame_equal(comparisons_table(make_run()), compared[1])
