"""The learning curve: smaller folds test the same images, learn from nested shares of cases, and make a table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.comparison.compare import compare
from glomfeat.comparison.folder import journal_of
from glomfeat.comparison.options import Study
from glomfeat.comparison.outcome import find_aside
from glomfeat.comparison.prepare import prepare
from glomfeat.data.other_folds import SHARES, cases_prefix, make_smaller_folds
from glomfeat.data.splits import fold_rows
from studies.compare import main

pytestmark = pytest.mark.usefixtures("dealt_once")


def table(cases_of_fold, repeats=1):
    """Folds of so many cases each; a case holds an image of each class."""
    case = np.repeat(np.arange(sum(cases_of_fold)), 2)
    fold = np.repeat(np.repeat(np.arange(len(cases_of_fold)), cases_of_fold), 2)
    one = pd.DataFrame({"name": np.arange(len(case)), "case": case, "label": np.arange(len(case)) % 2, "fold": fold})
    return pd.concat([one.assign(repeat=repeat) for repeat in range(repeats)], ignore_index=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(4, 12), min_size=2, max_size=4), st.integers(1, 3), st.integers(0, 9))
def test_shares_are_nested_parts_of_the_same_folds(sizes, repeats, seed):
    folds, before, most = table(sizes, repeats), {}, 0
    for share in (*SHARES, 75):
        learnt = []
        smaller = make_smaller_folds(folds, share, seed)
        if smaller is None:
            continue
        for repeat in range(repeats):
            for fold in range(len(sizes)):
                train, test, valid = fold_rows(smaller, repeat, f"{cases_prefix(share)}{fold}")
                whole, same, _ = fold_rows(folds, repeat, fold)
                np.testing.assert_array_equal(test, same)
                assert set(train) <= set(whole) and not len(valid)
                assert set(before.get((repeat, fold), [])) <= set(train)
                before[repeat, fold] = train
                case = folds["case"].to_numpy()
                assert set(train) == set(whole[np.isin(case[whole], case[train])]), "cases are kept whole"
                learnt.append(len(set(case[train])))
        asked = round(sum(sizes) * share / 100)
        assert sum(learnt) == asked * (len(sizes) - 1) * repeats, "each kept case is learnt by all folds but its own"
        assert max(learnt) > most, "a larger share is more cases"
        most = max(learnt)


@pytest.mark.parametrize(
    ("cases", "learnt"), [(20, (None, [4] * 5, [8] * 5)), (40, ([4] * 5, [8] * 5, [16] * 5)), (24, (None, 4.8, 9.6))]
)
def test_shares_come_out_right_over_five_folds(cases, learnt):
    folds = table(np.bincount(np.arange(cases) % 5))
    for share, expected in zip(SHARES, learnt, strict=True):
        smaller = make_smaller_folds(folds, share)
        assert (smaller is None) == (expected is None)
        if smaller is not None:
            names = [f"{cases_prefix(share)}{fold}" for fold in range(5)]
            found = [folds["case"][fold_rows(smaller, 0, name)[0]].nunique() for name in names]
            assert found == expected or np.mean(found) == expected


def test_too_few_cases_are_left_out():
    assert make_smaller_folds(table([3, 3]), 50) is None  # two cases of each class would be left
    assert make_smaller_folds(table([6, 6]), 50) is not None
    folds = table([9, 9])
    assert make_smaller_folds(folds[(folds["label"] == 0) | (folds["case"] < 2)].reset_index(drop=True), 50) is None


def test_holdout_keeps_its_parts():
    folds = table([8, 8, 40])
    folds["fold"] = folds["fold"].map({0: "outer-test", 1: "inner-valid", 2: "train"})
    smaller = make_smaller_folds(folds, 25)
    train, test, valid = fold_rows(smaller, 0, "cases-25%:outer-test")
    assert (len(train), len(test), len(valid)) == (20, 16, 16)


@pytest.mark.parametrize(("cases", "enough"), [(20, False), (24, True)])
def test_cases_that_are_not_learnt_do_not_make_up_for_those_that_are(cases, enough):
    folds = table([8, 60, cases])  # an eighth of 24 cases are three
    folds["fold"] = folds["fold"].map({0: "outer-test", 1: "inner-valid", 2: "train"})
    smaller = make_smaller_folds(folds, 12.5)
    assert (smaller is not None) == enough
    if enough:
        train, _, valid = fold_rows(smaller, 0, "cases-12.5%:outer-test")
        assert len(set(folds["case"].to_numpy()[train])) == 3 and len(valid)


PICKY = """
from sklearn.linear_model import LogisticRegression

class Picky(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if len(X) < 60:
            raise ValueError("these are too few rows")
        return super().fit(X, y)

def head(seed):
    return Picky()
"""


@pytest.mark.slow  # a study with its report
def test_trials_of_the_curve_that_fail_are_said_and_leave_the_study_incomplete(
    feature_table, tmp_path, monkeypatch, capsys, without_figures
):
    (tmp_path / "picky.py").write_text(PICKY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["--scheme", "holdout", "--reducers", "none", "--jobs", "1", "--learning-curve"]
    options += ["--heads", "picky:head", "--out", "out", "--cache", "cache"]
    status = main([str(feature_table), *options])
    said, results = capsys.readouterr().out, pd.read_csv("out/results.csv")
    assert (results["status"] == "done").all(), "the study itself is whole"
    lines = [line for line in said.splitlines() if line.startswith("learning curve: no figure with")]
    assert status == 1 and len(lines) >= 1
    assert all("picky:head (failed)" in line and line.endswith("; trials.csv has the reasons") for line in lines)
    trials = pd.read_csv("out/trials.csv")
    assert trials.loc[trials["status"] == "failed", "reason"].str.contains("these are too few rows").all()


@pytest.mark.parametrize("scheme", ["cv", pytest.param("holdout", marks=pytest.mark.slow)])
def test_the_curve_ends_in_the_study_and_changes_nothing_of_it(feature_table, tmp_path, scheme):
    options = {"data": str(feature_table), "heads": ("svm",), "folds": 2, "scheme": scheme, "jobs": 1}
    options |= {"cache": str(tmp_path / "cache")}
    said = []
    compare(prepare(Study(**options, out=str(tmp_path / "plain")), said.append), said.append)
    prepared = prepare(Study(**options, out=str(tmp_path / "curve"), learning_curve=True), said.append)
    compare(prepared, said.append)
    for name in ("predictions.parquet", "folds.csv"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "curve" / name).read_bytes()
    curve = pd.read_csv(tmp_path / "curve" / "learning_curve.csv").set_index(["arm", "share"])
    results = pd.read_csv(tmp_path / "curve" / "results.csv").set_index("arm")
    assert (curve["status"] == "done").all()
    for arm, row in results.iterrows():
        assert curve.loc[(arm, 100.0), "auroc"] == pytest.approx(row["auroc"], abs=1e-5)
        assert curve.loc[arm, "cases"].is_monotonic_increasing and curve.loc[arm, "images"].is_monotonic_increasing
        mine, whole = curve.loc[arm], curve.loc[(arm, 100.0), "cases"]
        assert mine["share_used"].tolist() == pytest.approx((100 * mine["cases"] / whole).tolist())
        assert mine["share_used"].tolist() == pytest.approx(mine.index.tolist(), abs=100 / whole), (
            "off by part of a case"
        )
    trials = pd.read_csv(tmp_path / "curve" / "trials.csv")
    assert set(trials["fold"].astype(str).str.partition(":")[0]) >= {"cases-50%"}
    left_out = [line for line in said if line.startswith("learning curve: 12.5% of the training cases are too few")]
    assert len(left_out) == 1
    assert len(prepared.all_trials) == len(trials), "what a plan counts"
    assert find_aside(prepared, journal_of(prepared.study), said.append) == [], "all that can be run is done"
