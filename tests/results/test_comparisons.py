import math

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from sklearn.metrics import roc_auc_score

from glomfeat.core.arms import FLOOR, Arm
from glomfeat.metrics.paired import resampled_t
from glomfeat.report.answer import answer
from glomfeat.report.arm_names import plain_arms
from glomfeat.results.comparisons import COLUMNS, comparisons_table, detectable, detectable_in_words
from glomfeat.results.pairs import pairs_table
from glomfeat.results.resampled import resample
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
    first, second = answer(run, results.reset_index(), plain_arms(results.index), detectable(table).median())
    assert first.startswith("The best arm is weak") and first.endswith("). No arm reaches the 0.5 of chance.")
    shown = table.set_index("arm").loc[GOOD, "detectable"]
    assert second.startswith("One other arm is worse beyond chance") and second.endswith(f"about {shown:.3f}.")


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


def test_unfinished_arms_are_not_compared():
    table = comparisons_table(end(make_run(), GOOD, "failed", "ValueError: no luck", folds=[2]))
    assert table["arm"].tolist() == [FLOOR] and table["best"].tolist() == [WEAK]
    run = make_run()
    run.records.clear()
    nothing = comparisons_table(run)
    assert nothing.columns.tolist() == list(COLUMNS) and len(nothing) == 0
    assert detectable_in_words(nothing, run.manifest) == (
        "the smallest difference in AUROC that these 18 cases could show is not known: it takes two finished arms that "
        "differ"
    )


def test_one_trial_has_no_t_test():
    run = make_run(scheme="holdout", n=400, cases=100)
    run.trials[:] = [trial for trial in run.trials if trial.repeat == 0]
    table = comparisons_table(run)
    assert table[["p_ttest", "p_ttest_holm", "p_worse"]].isna().all(axis=None) and table["p"].notna().all()


@pytest.mark.parametrize(("classes", "by_case"), [(3, True), (2, False)])
def test_more_classes_and_no_cases(classes, by_case):
    table = comparisons_table(make_run(classes, by_case=by_case))
    assert (table.set_index("arm")["p_adjusted"] < 0.05).all()


def test_what_is_detectable_in_words(compared):
    run, table = compared
    (only,) = table.loc[table["arm"] != "none/none/dummy", "detectable"]
    less = f"a difference in AUROC of less than {only:.3f} cannot be seen (80 % power, 5 % two-sided)"
    assert detectable_in_words(table, run.manifest) == f"with these 18 cases {less}", "the floor is no rival"
    more = pd.concat([table, table.assign(arm="b/none/svm", detectable=3 * only)])
    assert f"of less than {3 * only:.3f} cannot be seen (median of 3 comparisons, {only:.3f} to {3 * only:.3f}; " in (
        detectable_in_words(more, run.manifest)
    )
    none = detectable_in_words(table.assign(detectable=1.2), run.manifest)
    assert none == "with these 18 cases no difference in AUROC can be seen (80 % power, 5 % two-sided)"
    one = detectable_in_words(table, make_run(by_case=False).manifest)
    assert one.startswith("with these 144 images, each counted as its own case, a difference in AUROC of less than")


def test_same_run_same_table(compared):
    pd.testing.assert_frame_equal(comparisons_table(make_run()), compared[1])
