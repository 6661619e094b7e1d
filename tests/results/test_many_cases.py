"""More than 500 cases: random groups are left out for limits, and all else is about the cases themselves."""

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, REPEATS, make_run

from glomfeat.metrics.resampling import UNITS, jackknife_limits
from glomfeat.results.abstention import abstention_table
from glomfeat.results.calibration import calibration_table
from glomfeat.results.conformal import ALL, conformal_table
from glomfeat.results.parts import units_of
from glomfeat.results.reliability import reliability_table

CASES, FAR = 600, 0.45


@pytest.fixture(scope="module")
def run():
    run, rng = make_run(n=1500, cases=CASES), np.random.default_rng(3)
    for trial in run.trials:  # no two scores are equal
        score = np.clip(0.5 * rng.random(len(run.tested(trial))) + 0.4 * run.manifest.labels[run.tested(trial)], 0, 1)
        run.records[trial.key] |= {"scores": score.tolist(), "conformal": {"quantile": FAR, "cases": 400}}
    return run


@pytest.fixture(scope="module")
def images(run):
    """Each tested image of the good arm, with the group that its case is left out with."""
    found = []
    for trial in run.trials:
        if str(trial.arm) == GOOD:
            rows, record = run.tested(trial), run.records[trial.key]
            columns = {"y": run.manifest.labels[rows], "case": run.manifest.cases[rows], "score": record["scores"]}
            found.append(pd.DataFrame(columns).assign(cut=record["threshold"], repeat=trial.repeat))
    found = pd.concat(found, ignore_index=True)
    group = units_of(run)[found["case"]]
    assert found["case"].nunique() == CASES and len(np.unique(group)) == UNITS
    return found.assign(group=group)


def test_coverage_is_the_mean_over_cases(run, images):
    covered = np.where(images["y"] == 1, 1 - images["score"], images["score"]) <= FAR
    one = (images["score"] <= FAR).astype(int) + (1 - images["score"] <= FAR) == 1
    table = conformal_table(run).set_index(["arm", "class"]).loc[GOOD]
    for name, here in ((ALL, images["y"] >= 0), ("a", images["y"] == 0), ("b", images["y"] == 1)):
        own = images.assign(covered=covered, one=one)[here].groupby("case")[["covered", "one", "group"]].mean()
        row = table.loc[name]
        assert (row["coverage"], row["one"]) == pytest.approx((own["covered"].mean(), own["one"].mean()))
        left = [own.loc[own["group"] != group, "covered"].mean() for group in own["group"].unique()]
        assert (row["coverage_lo"], row["coverage_hi"]) == pytest.approx(jackknife_limits(row["coverage"], left))
        assert row["n_cases"] == len(own)


def test_the_surest_cases_are_kept_and_counted(run, images):
    room = np.where(images["score"] >= images["cut"], 1 - images["cut"], images["cut"])
    wrong = (images["score"] >= images["cut"]) != images["y"]
    images = images.assign(sure=(images["score"] - images["cut"]).abs() / room, wrong=wrong)
    kept = []
    for _, mine in images.groupby("repeat"):
        surest = mine.groupby("case")["sure"].mean().nlargest(CASES // 2).index
        kept.append(mine[mine["case"].isin(surest)])
    table = abstention_table(run).set_index(["arm", "by", "handed_over"]).loc[GOOD]
    row = table.loc[("case", 0.5)]
    assert row["risk"] == pytest.approx(np.mean([of["wrong"].mean() for of in kept]))
    assert row["n_images"] == pytest.approx(sum(map(len, kept)) / REPEATS)
    both = pd.concat(kept)
    assert row["n_cases"] == both["case"].nunique() and table.loc[("image", 0.0), "n_cases"] == CASES
    left = [np.mean([of.loc[of["group"] != group, "wrong"].mean() for of in kept]) for group in both["group"].unique()]
    assert (row["risk_lo"], row["risk_hi"]) == pytest.approx(jackknife_limits(row["risk"], np.array(left)))


def test_calibration_counts_cases(run, images):
    assert (calibration_table(run)["n_cases"] == CASES).all()
    table = reliability_table(run)
    table = table[table["arm"] == GOOD]
    in_bins = images.groupby(np.minimum((images["score"] * 10).astype(int), 9))["case"].nunique()
    filled = table[table["n_images"] > 0]
    assert filled["n_cases"].tolist() == in_bins.tolist()
    third = images[(images["score"] >= 0.3) & (images["score"] < 0.4)]
    left = [third.loc[third["group"] != group, "y"].mean() for group in third["group"].unique()]
    row = table.set_index("bin_lo").loc[0.3]
    assert (row["lo"], row["hi"]) == pytest.approx(jackknife_limits(third["y"].mean(), np.array(left)))
