"""Figures elsewhere: limits of a difference of two places, calibration lines, and whether a ranking held."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, make_run, manifest_of, scores_like
from rich.console import Console
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.recalibration import calibration_line
from glomfeat.metrics.resampling import apart_limits
from glomfeat.results.external import (
    Cohort,
    external_cells,
    external_tables,
    held_in_words,
    print_external,
    read_external,
)
from glomfeat.results.tables import results_table

ARMS = (GOOD, WEAK, FLOOR)


def cohort(name, classes=2, n=60, cases=10, arms=ARMS, seed=3, keep=None):
    """A cohort with made-up scores."""
    manifest = manifest_of(classes, n, cases)
    if keep is not None:
        manifest = manifest.keep(manifest.labels == keep)
    rng, y = np.random.default_rng(seed), manifest.labels
    found = {arm: scores_like(arm, y, classes, rng) for arm in arms}
    threshold = 0.4 if classes == 2 else float("nan")
    records = {
        arm: {"status": "done", "threshold": threshold, "scores": score.tolist()} for arm, score in found.items()
    }
    return Cohort(name, manifest, [{"name": "x.png", "reason": "torn"}], records)


def test_limits_of_a_difference_hold_it_as_often_as_they_say():
    rng, held, times = np.random.default_rng(0), 0, 2000
    for _ in range(times):
        means = rng.normal((0.8, 0.6), (0.03, 0.05))
        ends = [(mean - 1.96 * error, mean + 1.96 * error) for mean, error in zip(means, (0.03, 0.05), strict=True)]
        low, high = apart_limits(means[0], ends[0], means[1], ends[1])
        held += low <= 0.2 <= high
    assert 0.94 < held / times < 0.96


def test_limits_of_a_difference_are_newcombes_of_two_proportions():
    def wilson(k, n, z=1.959964):
        middle, reach = (k + z**2 / 2) / (n + z**2), z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
        return middle - reach, middle + reach

    low, high = apart_limits(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339), "method 10 of Newcombe (1998), table II, example (a)"
    assert np.isnan(apart_limits(0.5, (np.nan, np.nan), 0.4, (0.3, 0.5))).all()


def test_a_calibration_line_is_the_logistic_regression_without_penalty():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    score = 1 / (1 + np.exp(-(rng.normal(size=300) + 1.5 * y - 0.2)))
    line = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(np.log(score / (1 - score))[:, None], y)
    np.testing.assert_allclose(calibration_line(y, score), (line.coef_.item(), line.intercept_.item()), rtol=1e-4)


@pytest.mark.parametrize("score", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.5] * 4, [0.1, 0.5, 0.5, 0.9]])
def test_there_is_no_line_where_a_threshold_parts_the_classes(score):
    assert np.isnan(calibration_line([0, 0, 1, 1], score)).all()


def test_scores_of_0_and_1_have_a_line():
    slope, intercept = calibration_line([0, 1, 0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    assert 0 < slope < 1 and np.isfinite(intercept)


def test_tables_of_a_cohort():
    run, north = make_run(), cohort("north")
    internal = results_table(run)
    found = external_tables(run, internal, [north, cohort("south", seed=4)])
    rows = found.results.set_index(["cohort", "arm"])
    for arm in ARMS:
        score, y = np.array(north.records[arm]["scores"]), north.manifest.labels
        row = rows.loc["north", arm]
        assert row["auroc"] == pytest.approx(roc_auc_score(y, score)) and row["positives"] == y.sum()
        assert row["sensitivity_t"] == pytest.approx(np.mean(score[y == 1] >= 0.4))
        home = internal.set_index("arm").loc[arm]
        expected = apart_limits(
            row["auroc"], (row["auroc_lo"], row["auroc_hi"]), home["auroc"], (home["auroc_lo"], home["auroc_hi"])
        )
        np.testing.assert_array_equal(row[["difference_lo", "difference_hi"]].to_numpy(float), expected)
    assert {"fit_s", "inner_auroc", "n_trials", "auroc_sd"}.isdisjoint(found.results.columns)
    assert found.comparisons["cohort"].tolist() == ["north"] * 2 + ["south"] * 2
    assert found.predictions.columns.tolist() == [
        "cohort",
        "arm",
        "name",
        "case",
        "label",
        "score",
        "threshold",
        "prediction",
    ]
    assert found.aside.to_numpy().tolist() == [["north", "x.png", "torn"], ["south", "x.png", "torn"]]
    pd.testing.assert_frame_equal(results_table(run), internal)


def test_a_figure_that_is_the_same_without_each_case_has_no_limits_and_its_reason():
    run, there = make_run(), cohort("north", keep=1)
    there.records[FLOOR]["scores"] = [0.5] * len(there.manifest)
    row = external_tables(run, results_table(run), [there]).results.set_index("arm").loc[FLOOR]
    assert row["brier"] == 0.25 and np.isnan(row["brier_lo"]) and np.isnan(row["brier_hi"])
    assert row["reason"].startswith("no limits, for it is the same without each case: ") and "Brier" in row["reason"]
    both = external_tables(run, results_table(run), [cohort("north")]).results
    pairs = [name.removesuffix("_lo") for name in both if name.endswith("_lo")]
    for name in pairs:
        assert not (both[f"{name}_lo"] == both[f"{name}_hi"]).drop(both.index[both["arm"] == FLOOR]).any(), name
    floor = both.set_index("arm").loc[FLOOR]
    assert floor["auroc_case_weighted"] == 0.5 and "AUROC, each case once" in floor["reason"]
    assert floor[["auroc_case_weighted_lo", "auroc_case_weighted_hi"]].isna().all()
    cells = {cell["arm"]: cell for cell in external_cells(both)}
    assert cells[FLOOR]["external"] == cells[FLOOR]["internal"] == "0.500" and "(" in cells[GOOD]["external"]


@pytest.mark.parametrize("holders", [12, 3])
def test_limits_of_a_calibration_line_are_those_of_leaving_out_each_case(holders):
    run, there = make_run(), cohort("north", n=120, cases=12)
    label = np.where(there.manifest.cases < holders, there.manifest.labels, 0)  # positives in the first cases only
    there = replace(there, manifest=replace(there.manifest, table=there.manifest.table.assign(label=label)))
    row = external_tables(run, results_table(run), [there]).results.set_index("arm").loc[WEAK]
    y, cases, score = there.manifest.labels, there.manifest.cases, np.array(there.records[WEAK]["scores"])

    def line(rest):
        model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
        model.fit(np.log(score[rest] / (1 - score[rest]))[:, None], y[rest])
        return np.array([model.coef_.item(), model.intercept_.item()])

    without = np.array([line(cases != case) for case in range(12)])
    apart = without - without.mean(axis=0)
    squares = (apart**2).sum(axis=0)
    freedom = np.minimum(holders - 1, 3 * squares**2 / (apart**4).sum(axis=0))
    reach = student.ppf(0.975, freedom) * np.sqrt(11 / 12 * squares)
    for place, name in enumerate(("calibration_slope", "calibration_intercept")):
        ends = [row[name] - reach[place], row[name] + reach[place]]
        assert row[[f"{name}_lo", f"{name}_hi"]].tolist() == pytest.approx(ends, rel=1e-3), name


def test_cohorts_of_three_classes():
    run, there = make_run(3), cohort("north", 3)
    found = external_tables(run, results_table(run), [there])
    own = found.predictions[found.predictions["arm"] == GOOD]
    scores = own[["score_a", "score_b", "score_c"]].to_numpy()
    assert (own["prediction"] == scores.argmax(axis=1)).all() and found.results["calibration_slope"].isna().all()
    area = found.results.set_index("arm").loc[GOOD, "auroc"]
    assert area == pytest.approx(roc_auc_score(there.manifest.labels, scores, multi_class="ovr"))
    lacking = external_tables(run, results_table(run), [cohort("north", 3, keep=1)]).results
    assert lacking["auroc"].isna().all() and lacking["accuracy"].notna().all()
    why = "the cohort holds no image of a, c: no AUROC, nor what else takes all classes"
    assert lacking["reason"].str.endswith(why).all() and (lacking["reason"] == why).any()


def test_an_arm_without_scores_has_a_row_that_says_why():
    run, there = make_run(), cohort("north", arms=(GOOD, FLOOR))
    there.records[WEAK] = {"status": "failed", "reason": "ValueError: no"}
    rows = external_tables(run, results_table(run), [there]).results
    cells = {cell["arm"]: cell for cell in external_cells(rows)}
    assert (
        cells[WEAK]["status"] == "failed: ValueError: no" and cells[WEAK]["external"] == cells[WEAK]["difference"] == ""
    )
    assert cells[WEAK]["internal"] and cells[GOOD]["status"] == "" and cells[GOOD]["difference"]
    nothing = external_tables(run, results_table(run), [replace(there, records={})]).results
    assert nothing["status"].unique().tolist() == ["planned"]


def test_cohorts_are_called_in_the_file_as_they_were_given(tmp_path):
    run, names = make_run(), ["NA", "007"]
    rows = external_tables(run, results_table(run), [cohort(name) for name in names]).results
    rows.to_csv(tmp_path / "external.csv", index=False)
    found = read_external(tmp_path / "external.csv")
    assert found["cohort"].unique().tolist() == names and (found["reason"][found["arm"] == GOOD] == "").all()
    assert found["auroc"].tolist() == rows["auroc"].tolist() and read_external(None) is None


def test_whether_a_ranking_held_is_one_sentence():
    rows = pd.DataFrame({"cohort": "n", "arm": list("abcd"), "internal_auroc": [0.9, 0.8, 0.7, 0.6]})
    rows = rows.assign(auroc=[0.7, 0.8, 0.6, 0.5], tied_with_best=[False, True, False, False], p_vs_best=0.5)
    at_home = rows.assign(auroc=rows["internal_auroc"], status="done")
    text = held_in_words(rows, at_home, {"a": "A"})
    assert text == (
        "n: the study's best arm, A, is behind the best there, b (AUROC 0.700 and 0.800); Kendall's tau of the ranks "
        "of 4 arms is 0.67"
    )
    best = rows.assign(auroc=[0.9, 0.8, 0.6, 0.5])
    others = {0: "", 1: ", but one other arm does not differ from it beyond chance"}
    others[2] = ", but two other arms do not differ from it beyond chance"
    for many, said in others.items():
        text = held_in_words(best.assign(tied_with_best=np.arange(4) <= many), at_home)
        assert text.startswith(f"n: the study's best arm, a, is the best there too (AUROC 0.900){said}; Kendall's tau")
    tied = held_in_words(rows.assign(tied_with_best=True)[:2], at_home)
    assert (
        tied
        == "n: the study's best arm, a, does not differ beyond chance from the best there, b (AUROC 0.700 and 0.800)"
    )
    unknown = "n: whether the ranking of arms held cannot be said: "
    assert held_in_words(rows.assign(auroc=np.nan), at_home) == f"{unknown}no arm has an AUROC in both"
    assert held_in_words(rows[1:], at_home) == f"{unknown}the study's best arm, a, has no AUROC there"
    equal = "n: the study's best arm, a, is one of the best there too (AUROC 0.700)"
    assert held_in_words(rows.assign(auroc=0.7), at_home) == equal, "where all are equal there is no tau"


def test_arms_that_cannot_be_tested_elsewhere_are_not_said_not_to_differ():
    """One case of the cohort holds all of its positives, so that no difference has limits or p."""
    run, there = make_run(), cohort("north", n=96, cases=12)
    label = np.where(there.manifest.cases == 0, 1, 0)
    there = replace(there, manifest=replace(there.manifest, table=there.manifest.table.assign(label=label)))
    rows = external_tables(run, results_table(run), [there]).results
    assert rows["p_vs_best"].isna().all() and (rows["tied_with_best"] == True).all()  # noqa: E712
    best, other = rows.sort_values("auroc", ascending=False)["arm"][lambda arms: arms != FLOOR]
    areas = rows.set_index("arm")["auroc"].map("{:.3f}".format)
    text = held_in_words(rows, ranked_as(rows, best, other))
    cannot = "whether one other arm differs from it beyond chance cannot be told"
    assert text == f"north: the study's best arm, {best}, is the best there too (AUROC {areas[best]}); {cannot}"
    assert held_in_words(rows, ranked_as(rows, other, best)) == (
        f"north: whether the study's best arm, {other}, differs beyond chance from the best there, {best} (AUROC "
        f"{areas[other]} and {areas[best]}) cannot be told"
    )


def ranked_as(rows, *arms):
    """The results of a study in which these arms are the best, in this order."""
    return rows.set_index("arm").loc[[*arms]].reset_index().assign(auroc=[0.9, 0.8], status="done")


def test_the_best_arm_of_the_study_is_a_finished_one_elsewhere_too():
    rows = pd.DataFrame({"cohort": "n", "arm": list("abcd"), "internal_auroc": [0.9, 0.8, 0.7, 0.6]})
    rows = rows.assign(auroc=[0.9, 0.6, 0.7, 0.8], tied_with_best=[True, False, False, True], p_vs_best=0.5)
    at_home = rows.assign(auroc=rows["internal_auroc"], status=["partial", "done", "done", "done"])
    assert held_in_words(rows, at_home) == (
        "n: the study's best arm, b, is behind the best there, a (AUROC 0.600 and 0.900); Kendall's tau of the ranks "
        "of 3 arms is -1.00"
    )


@pytest.mark.parametrize("keep", [None, 1], ids=["all classes", "one class there"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_terminal_speaks_of_a_threshold_only_where_one_decides(classes, keep):
    run, there = make_run(classes), cohort("north", classes, keep=keep)
    internal, stream = results_table(run), io.StringIO()
    console = Console(file=stream, width=200, color_system=None)
    print_external(external_tables(run, internal, [there]).results, internal, console)
    said = " ".join(stream.getvalue().split())
    assert ("sens. and spec. at the threshold of DATA" in said) == (classes == 2)
    assert ("slope" in said) == ("┃ spec. ┃" in said) == (classes == 2) and "in DATA" in said
