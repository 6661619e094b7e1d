"""Net benefit, predictive values, abstaining and sets of classes: each from its definition."""

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from scipy import stats

from glomfeat.core.arms import FLOOR
from glomfeat.metrics.resampling import jackknife, jackknife_limits
from glomfeat.results.abstention import KEPT, abstention_table
from glomfeat.results.calibration import calibration_table
from glomfeat.results.cases import agreement_table
from glomfeat.results.conformal import ALL, FEW, OLDER, conformal_table
from glomfeat.results.decision_curve import THRESHOLDS, decision_curve_table
from glomfeat.results.predictive_values import bayes, predictive_values_table
from glomfeat.results.tables import results_table
from glomfeat.results.unfinished import UNFINISHED


def images_of(run, arm, repeat=None):
    """Label, score, case and threshold of each tested image, read without the tables' help."""
    found = []
    for trial in run.trials:
        if str(trial.arm) == arm and repeat in (None, trial.repeat):
            rows, record = run.tested(trial), run.records[trial.key]
            columns = {"y": run.manifest.labels[rows], "case": run.manifest.cases[rows], "row": rows}
            columns |= {"score": record["scores"]} if np.ndim(record["scores"]) == 1 else {}
            found.append(pd.DataFrame(columns).assign(threshold=record["threshold"], repeat=trial.repeat))
    return pd.concat(found, ignore_index=True)


def net_benefit(y, score, threshold):
    """As Vickers & Elkin (2006) write it."""
    true_positives = ((score >= threshold) & (y == 1)).sum()
    false_positives = ((score >= threshold) & (y == 0)).sum()
    return true_positives / len(y) - false_positives / len(y) * threshold / (1 - threshold)


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_net_benefit_is_that_of_its_definition(run):
    table, images = decision_curve_table(run), images_of(run, GOOD)
    mine = table[table["arm"] == GOOD].set_index("threshold")
    assert mine.index.tolist() == THRESHOLDS.tolist() and (mine["treat_none"] == 0).all()
    for threshold in THRESHOLDS:
        own = np.mean([net_benefit(part["y"], part["score"], threshold) for _, part in images.groupby("repeat")])
        everybody = net_benefit(images["y"], np.ones(len(images)), threshold)
        assert mine.loc[threshold, "net_benefit"] == pytest.approx(own)
        assert mine.loc[threshold, "treat_all"] == pytest.approx(everybody)
        assert mine.loc[threshold, "gain"] == pytest.approx(own - max(everybody, 0))


def test_limits_of_net_benefit_are_from_leaving_out_each_case(run):
    images, mine = images_of(run, GOOD), decision_curve_table(run).set_index(["arm", "threshold"]).loc[GOOD]
    for threshold in (0.3, 0.7):  # where two or more cases hold a miss, and a false alarm
        left = []
        for case in np.unique(images["case"]):
            rest = images[images["case"] != case]
            treat = max(net_benefit(rest["y"], np.ones(len(rest)), threshold), 0) * (
                mine.loc[threshold, "treat_all"] > 0
            )
            left.append((net_benefit(rest["y"], rest["score"], threshold), treat))
        own, treat = np.array(left).T
        row = mine.loc[threshold]
        assert (row["net_benefit_hi"] - row["net_benefit_lo"]) / 2 > jackknife(own)[0] * 1.96
        middle = (row["gain_hi"] + row["gain_lo"]) / 2
        assert middle == pytest.approx(row["gain"]) and (row["gain_hi"] - middle) > jackknife(own - treat)[0] * 1.96


def test_where_no_false_alarm_was_seen_a_benefit_is_as_sure_as_specificity():
    """An arm without errors: the limit below which its 18 cases would hold a false alarm, at the price of each."""
    run = make_run()
    for trial in run.trials:
        if str(trial.arm) == GOOD:
            y = run.manifest.labels[run.tested(trial)]
            run.records[trial.key]["scores"] = np.where(y == 1, 0.995, 0.005).tolist()
    mine, images = decision_curve_table(run).set_index(["arm", "threshold"]).loc[GOOD], images_of(run, GOOD)
    worst = stats.binomtest(18, 18).proportion_ci(method="exact").low  # each case holds both classes
    positive = images["y"].mean()
    left = np.array([images.loc[images["case"] != case, "y"].mean() for case in np.unique(images["case"])])
    error, freedom = jackknife(left)
    for threshold in (0.6, 0.9, 0.99):
        row, odds = mine.loc[threshold], threshold / (1 - threshold)
        apart = stats.t.ppf(0.975, freedom) * error, (1 - worst) * positive, (1 - worst) * (1 - positive) * odds
        low = positive - np.linalg.norm(apart)
        assert row["gain"] == pytest.approx(positive) and row["gain_lo"] == pytest.approx(low)
        assert row["net_benefit_lo"] == row["gain_lo"] and row["gain_hi"] == pytest.approx(positive + apart[0])
    assert mine.loc[0.5, "gain_lo"] > 0 > mine.loc[0.9, "gain_lo"]


def test_a_decision_curve_says_why_limits_are_empty(run):
    mine = decision_curve_table(run).set_index(["arm", "threshold"]).loc[GOOD]
    empty = mine["net_benefit_lo"].isna() | mine["gain_lo"].isna()
    assert (empty == (mine["note"] != "")).all() and mine.loc[0.3, "note"] == ""
    floor = decision_curve_table(run).set_index(["arm", "threshold"]).loc[FLOOR]  # calls nothing above its 0.25
    assert floor.loc[0.9, "note"] == "no limits of net benefit and gain, for it is the same without each case"
    assert floor.loc[0.1, "note"] == "no limits of gain, for it is the same without each case"


def test_figures_of_some_trials_of_an_arm_say_so():
    run = end(make_run(), WEAK, "failed", "why", folds=[1])
    values, curve = predictive_values_table(run, (0.1,)), decision_curve_table(run)
    assert values.groupby("arm")["note"].unique().map(list).to_dict() == {WEAK: [UNFINISHED], GOOD: [""], FLOOR: [""]}
    assert set(curve["arm"][curve["note"].str.contains(UNFINISHED)]) == {WEAK}
    assert curve.loc[curve["arm"] == WEAK, "note"].str.startswith(UNFINISHED).all()
    for table in (calibration_table, abstention_table, conformal_table, agreement_table):
        said = table(run).groupby("arm")["note"].apply(lambda notes: notes.str.startswith(UNFINISHED).mean())
        assert said.to_dict() == {WEAK: 1, GOOD: 0, FLOOR: 0}, table.__name__


def test_each_of_more_classes_has_a_decision_curve():
    run = make_run(3)
    table = decision_curve_table(run)
    assert len(table) == 3 * 3 * len(THRESHOLDS)
    y, score = (np.concatenate([part[k] for part in of_arm(run, WEAK)]) for k in (0, 1))
    row = table[(table["arm"] == WEAK) & (table["class"] == "b") & (table["threshold"] == 0.4)].iloc[0]
    assert row["net_benefit"] == pytest.approx(net_benefit((y == 1).astype(int), score[:, 1], 0.4))


def test_predictive_values_follow_bayes_rule(run):
    table, results = predictive_values_table(run, (0.05, 0.5)), results_table(run).set_index("arm")
    mine = table[(table["arm"] == WEAK) & (table["at"] == "threshold")].set_index("prevalence")
    share = run.manifest.labels.mean()
    assert mine.index.tolist() == pytest.approx([share, 0.05, 0.5]) and mine["of"].tolist() == [
        "data",
        "asked",
        "asked",
    ]
    for p, row in mine.iterrows():
        se, sp = results.loc[WEAK, "sensitivity_t"], results.loc[WEAK, "specificity_t"]
        assert (row["sensitivity"], row["specificity"]) == pytest.approx((se, sp))
        called, spared = p * se + (1 - p) * (1 - sp), (1 - p) * sp + p * (1 - se)
        assert (row["ppv"], row["npv"]) == pytest.approx((p * se / called, (1 - p) * sp / spared))
        assert 0 < row["ppv_lo"] < row["ppv"] < row["ppv_hi"] < 1 and row["npv_lo"] < row["npv"] < row["npv_hi"]
    assert mine.loc[0.05, "ppv"] < mine.loc[0.5, "ppv"]


def test_limits_of_predictive_values_are_from_leaving_out_each_case(run):
    table, images = predictive_values_table(run, (0.1,)), images_of(run, GOOD)
    row = table[(table["arm"] == GOOD) & (table["at"] == "0.5") & (table["of"] == "asked")].iloc[0]
    left = []
    for case in np.unique(images["case"]):
        rest = images[images["case"] != case]
        call = rest["score"] >= 0.5
        se, sp = call[rest["y"] == 1].mean(), (~call)[rest["y"] == 0].mean()
        left.append(bayes(0.1, se, sp))
    expected = jackknife_limits(row["ppv"], np.array(left), holders=18)
    assert (row["ppv_lo"], row["ppv_hi"]) == pytest.approx(expected, abs=1e-6)


def test_without_false_alarms_a_predictive_value_is_as_sure_as_specificity():
    run = make_run()
    for trial in run.trials:
        y = run.manifest.labels[run.tested(trial)]
        if str(trial.arm) == GOOD:  # a third of the positive images is missed, and nothing else is wrong
            found = np.where((y == 1) & (np.arange(len(y)) % 3 > 0), 0.9, 0.1)
            run.records[trial.key] |= {"scores": found.tolist(), "threshold": 0.5}
    table = predictive_values_table(run, (0.01,))
    row = table[(table["arm"] == GOOD) & (table["at"] == "threshold") & (table["of"] == "asked")].iloc[0]
    assert row["ppv"] == row["ppv_hi"] == 1 and row["ppv_lo"] < 0.1  # at one in a hundred, few false alarms are many
    common = table[(table["arm"] == GOOD) & (table["at"] == "threshold") & (table["of"] == "data")].iloc[0]
    assert 0.5 < common["ppv_lo"] < 1


def test_of_more_classes_predictive_values_are_of_the_last_one():
    run = make_run(3)
    table = predictive_values_table(run)
    assert table["class"].unique().tolist() == ["c"] and table["at"].unique().tolist() == ["largest score"]
    y, score = (np.concatenate([part[k] for part in of_arm(run, GOOD)]) for k in (0, 1))
    call = score.argmax(axis=1) == 2
    row = table.set_index("arm").loc[GOOD]
    assert row["sensitivity"] == pytest.approx(call[y == 2].mean())
    assert row["ppv"] == pytest.approx((y == 2)[call].mean())


def test_risk_is_that_of_the_images_that_are_kept(run):
    table, found = abstention_table(run), []
    for repeat in range(REPEATS):
        images = images_of(run, GOOD, repeat)
        call = images["score"] >= images["threshold"]
        room = np.where(call, 1 - images["threshold"], images["threshold"])
        sure = (images["score"] - images["threshold"]).abs() / room
        wrong = (
            (call != images["y"]).groupby(sure).transform("mean").to_numpy()
        )  # of equally sure ones, any may be kept
        wrong = wrong[np.argsort(-sure.to_numpy(), kind="stable")]
        found.append([wrong[: round(share * len(images))].mean() for share in KEPT])
    mine = table[(table["arm"] == GOOD) & (table["by"] == "image")]
    np.testing.assert_allclose(mine["risk"], np.mean(found, axis=0))
    assert mine["handed_over"].tolist() == [round(1 - share, 2) for share in KEPT]
    assert ((mine["risk_lo"] <= mine["risk"]) & (mine["risk"] <= mine["risk_hi"])).all()
    whole, results = mine.iloc[0], results_table(run).set_index("arm").loc[GOOD]
    assert (whole["sensitivity"], whole["specificity"]) == pytest.approx(
        (results["sensitivity_t"], results["specificity_t"])
    )
    assert whole["n_images"] == 144 and whole["n_cases"] == 18


def test_an_arm_that_is_equally_sure_of_all_images_has_one_risk():
    run = make_run()
    for record in run.records.values():
        record |= {"scores": [0.9] * len(record["scores"]), "threshold": 0.5}
    mine = abstention_table(run)
    mine = mine[(mine["arm"] == GOOD) & (mine["by"] == "image")]
    assert np.ptp(mine["risk"]) < 1e-12 and mine["n_images"].tolist() == [round(share * 144) for share in KEPT]


def test_an_abstention_says_why_cells_are_empty():
    run = make_run()
    for trial in run.trials:  # surest of all are the positive images of the first case of each fold
        cases, y = run.manifest.cases[run.tested(trial)], run.manifest.labels[run.tested(trial)]
        sure = (cases == cases[0]) & (y == 1)
        run.records[trial.key] |= {"scores": np.where(sure, 1.0, 0.55).tolist(), "threshold": 0.5}
    table = abstention_table(run)
    mine = table[(table["arm"] == GOOD) & (table["by"] == "image")].set_index("handed_over")
    assert mine.loc[0.0, "note"] == "" and mine[["risk_lo", "specificity"]].notna().all(axis=1).tolist() == [
        "no" not in note for note in mine["note"]
    ]
    last = mine.iloc[-1]
    assert np.isnan(last["specificity"]) and last["note"].endswith("in a repeat no negative image is kept")
    assert not abstention_table(make_run(3))["note"].str.contains("image is kept").any()  # there is no sensitivity


def test_whole_cases_are_handed_over(run):
    mine = abstention_table(run)
    mine = mine[(mine["arm"] == WEAK) & (mine["by"] == "case")].set_index("handed_over")
    assert mine.loc[0.5, "n_images"] == 72  # nine cases of eight images
    images = images_of(run, WEAK, 0)
    assert 9 <= mine.loc[0.5, "n_cases"] <= 18 and len(images) == 144


def test_without_cases_only_images_are_handed_over():
    table = abstention_table(make_run(3, by_case=False))
    assert set(table["by"]) == {"image"} and table["sensitivity"].isna().all()


def with_sets(run, quantile, cases=12):
    for record in run.records.values():
        record["conformal"] = {"quantile": quantile, "cases": cases}
    return run


def test_coverage_of_sets_counts_every_case_once():
    run = with_sets(make_run(), 0.6)
    row = conformal_table(run).set_index(["arm", "class"]).loc[(GOOD, ALL)]
    images = images_of(run, GOOD)
    holds = np.column_stack([images["score"] <= 0.6, 1 - images["score"] <= 0.6])
    right, size = holds[np.arange(len(images)), images["y"]], holds.sum(axis=1)
    by_case = images.assign(right=right, one=size == 1).groupby("case")[["right", "one"]].mean().mean()
    assert (row["coverage"], row["one"]) == pytest.approx((by_case["right"], by_case["one"]))
    assert row["coverage_lo"] < row["coverage"] < row["coverage_hi"] and row["note"] == ""
    assert row["one"] + row["several"] + row["none"] == pytest.approx(1)
    assert row["error_of_one"] == pytest.approx((~right[size == 1]).mean()) and row["calibrated_by"] == 12


@pytest.mark.parametrize("classes", [2, 3])
def test_sets_of_all_classes_say_so(classes):
    table = conformal_table(with_sets(make_run(classes), None, 4))
    assert (table["coverage"] == 1).all() and (table["several"] == 1).all() and (table["note"] == FEW).all()
    assert table[table["arm"] == GOOD]["class"].tolist() == [ALL, *"abc"[:classes]]


def test_sets_of_all_classes_in_some_folds_are_counted():
    run = with_sets(make_run(), 0.4)
    for record in run.records.values():
        if record["fold"] == 2:
            record["conformal"] = {"quantile": None, "cases": 8}
    table = conformal_table(run)
    assert (table["calibrated_by"] == 8).all()
    assert set(table["note"]) == {
        "in 2 of 6 trials fewer than 9 cases had inner scores, so their sets hold all classes"
    }
    row, firm = table.set_index(["arm", "class"]).loc[(GOOD, ALL)], []
    for number, (_, score, _) in enumerate(of_arm(run, GOOD)):
        firm += (((score <= 0.4) | (1 - score <= 0.4)) & (number % FOLDS < 2)).tolist()
    assert row["one"] == pytest.approx(np.mean(firm)) and row["one"] > 0.5  # all cases have eight images


def test_trials_of_an_older_run_have_no_sets_and_say_why():
    run = with_sets(make_run(), 0.6)
    del next(record for key, record in run.records.items() if key[0] == GOOD)["conformal"]
    table = conformal_table(run).set_index("arm")
    assert table.loc[GOOD, "note"] == OLDER and np.isnan(table.loc[GOOD, "coverage"]) and len(table.loc[[WEAK]]) == 3
