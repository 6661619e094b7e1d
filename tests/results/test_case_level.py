"""Every case once: against scikit-learn and figures by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.data.splits import least_holders
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.table import limits_of
from glomfeat.results import case_level
from glomfeat.results.case_level import (
    WEIGHTED,
    as_cases,
    case_level_table,
    case_weighted,
    one_class_each,
    why_uncalled,
)
from glomfeat.results.cases import agreement_table, cases_table
from glomfeat.results.parts import Part, arms_of, trial_parts, units_of
from glomfeat.results.tables import result_columns, results_table


def uneven(run):
    """The run with cases of very different sizes, each within its fold."""
    table = run.manifest.table
    merged = table.assign(
        case=np.where(table["case"].isin(["P03", "P09"]) & (table.index % 3 > 0), "P03x", table["case"])
    )
    return replace(run, manifest=replace(run.manifest, table=merged))


def one_class(classes=2):
    """A run whose cases hold one class each: labels, folds and scores as recorded, cases cut by label."""
    run = make_run(classes)
    table = run.manifest.table
    return replace(
        run, manifest=replace(run.manifest, table=table.assign(case=table["case"] + "-" + table["label"].astype(str)))
    )


def weighted_by_hand(parts, without=None):
    """The mean over folds of scikit-learn's area, every image weighed by one over the images of its case."""
    found = []
    for part in parts:
        kept = np.ones(len(part.y), bool) if without is None else part.cases != without
        weight = (1 / np.maximum(np.bincount(part.cases), 1))[part.cases][kept] if kept.any() else []
        y, score = part.y[kept], part.score[kept]
        if len(np.unique(y)) < (2 if score.ndim == 1 else score.shape[1]):
            continue
        areas = (
            [sk.roc_auc_score(y == k, of, sample_weight=weight) for k, of in enumerate(score.T)]
            if score.ndim > 1
            else [sk.roc_auc_score(y, score, sample_weight=weight)]
        )
        found.append(np.mean(areas))
    return np.mean(found)


@pytest.mark.parametrize("classes", [2, 3])
def test_case_weighted_auroc_is_scikit_learns_with_weights(classes):
    run = uneven(make_run(classes))
    parts = trial_parts(run, arms_of(run)[WEAK])
    value, low, high = case_weighted(parts, units_of(run))
    assert value == pytest.approx(weighted_by_hand(parts))
    held = np.unique(run.manifest.cases)
    holders = least_holders(run.manifest.labels, run.manifest.cases)
    expected = jackknife_limits(value, np.array([weighted_by_hand(parts, case) for case in held]), holders=holders)
    assert (low, high) == pytest.approx(expected)
    plain = results_table(run).set_index("arm").loc[WEAK]
    assert plain["auroc"] != pytest.approx(value, abs=1e-4)
    assert tuple(plain[[WEIGHTED, *limits_of(WEIGHTED)]]) == pytest.approx((value, low, high))


def test_many_cases_are_worked_on_in_blocks(monkeypatch):
    run = uneven(make_run())
    parts = trial_parts(run, arms_of(run)[GOOD])
    whole = case_weighted(parts, units_of(run))
    monkeypatch.setattr(case_level, "BLOCK", 30)
    assert case_weighted(parts, units_of(run)) == pytest.approx(whole)


def test_columns_stand_behind_all_others_and_are_empty_without_cases():
    assert result_columns()[-3:] == [WEIGHTED, *limits_of(WEIGHTED)]
    assert results_table(make_run(by_case=False, cases=144))[WEIGHTED].isna().all()


@pytest.mark.parametrize("rule", ["mean", "maximum", "share"])
def test_a_case_is_one_call(rule):
    run = one_class()
    found = case_level_table(run, rule).set_index("arm").loc[GOOD]
    areas, hits = [], []
    for part in trial_parts(run, arms_of(run)[GOOD]):
        frame = pd.DataFrame(
            {"case": part.cases, "y": part.y, "score": part.score, "call": part.score >= part.threshold}
        )
        of = frame.groupby("case").agg({"y": "first", "score": ["mean", "max"], "call": "mean"})
        score = of[{"mean": ("score", "mean"), "maximum": ("score", "max"), "share": ("call", "mean")}[rule]]
        areas.append(sk.roc_auc_score(of["y", "first"], score))
        call = score >= (0.5 if rule == "share" else part.threshold)
        hits.append(pd.DataFrame({"y": of["y", "first"], "call": call, "at_half": score >= 0.5}))
    called = pd.concat(hits)
    assert found["auroc"] == pytest.approx(np.mean(areas))
    assert found["sensitivity_t"] == pytest.approx(called.loc[called["y"] == 1, "call"].mean())
    assert found["specificity_t"] == pytest.approx(1 - called.loc[called["y"] == 0, "call"].mean())
    assert found["sensitivity"] == pytest.approx(called.loc[called["y"] == 1, "at_half"].mean())
    assert found["specificity"] == pytest.approx(1 - called.loc[called["y"] == 0, "at_half"].mean())
    assert found["accuracy"] == pytest.approx((called["at_half"] == called["y"]).mean())
    assert found["auroc_lo"] < found["auroc"] <= found["auroc_hi"] and found["rule"] == rule
    assert (found["cases"], found["positives"]) == (36, 18) and found["n_trials"] == FOLDS * REPEATS


def test_equal_scores_of_images_are_equal_scores_of_cases():
    floor = case_level_table(one_class()).set_index("arm").loc[FLOOR]
    assert floor["auroc"] == 0.5
    part = Part(0, np.array([0, 0, 0, 1, 1]), np.array([4, 4, 4, 9, 9]), np.full(5, 0.780856), 0.5)
    assert np.unique(as_cases(part, "mean", 2).score).size == 1


@pytest.mark.parametrize("rule", ["mean", "maximum", "share"])
def test_more_classes_have_a_score_each(rule):
    run = one_class(3)
    row = case_level_table(run, rule).set_index("arm").loc[GOOD]
    assert np.isnan(row["sensitivity_t"]) and row["sensitivity_lo"] < row["sensitivity"] <= 1
    part = as_cases(trial_parts(run, arms_of(run)[GOOD])[0], rule, 3)
    assert part.score.shape == (len(part.y), 3) == (len(np.unique(part.cases)), 3)


def test_cases_of_one_class_each_have_a_class_and_no_agreement_of_shares():
    run = one_class()
    assert one_class_each(run.manifest) and not one_class_each(make_run().manifest)
    assert not one_class_each(make_run(by_case=False, cases=144).manifest)
    table, cases = agreement_table(run), cases_table(run)
    assert table[["icc", "icc_lo", "icc_hi", "loa_lo", "loa_hi"]].isna().all(axis=None) and table["mae"].notna().all()
    assert (
        set(cases["label"]) == {"a", "b"} and (cases["label"] == cases["case"].str[-1].map({"0": "a", "1": "b"})).all()
    )
    assert (cases_table(make_run())["label"] == "").all()


def test_the_mean_score_of_a_case_is_that_of_its_images():
    run = make_run()
    table = cases_table(run).set_index(["arm", "case"])
    frames = []
    for repeat in range(REPEATS):
        for fold, (_, score, _) in enumerate(of_arm(run, GOOD, repeat)):
            here = run.folds[(run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)]
            frames.append(here.assign(score=score))
    expected = pd.concat(frames).groupby("case")["score"].mean()
    np.testing.assert_allclose(table.loc[GOOD, "mean_score"], expected)


def test_a_case_that_several_models_test_has_no_single_call():
    run = one_class()
    assert why_uncalled(run) == "" and why_uncalled(make_run()).startswith("cases hold several classes")
    table = run.manifest.table
    moved = table.loc[table["case"] == table["case"].iloc[0], "name"].iloc[1:]
    torn = replace(run, manifest=replace(run.manifest, torn=True))
    assert why_uncalled(torn) == ""  # other parts of a split may be torn, as a training and a test part
    folds = run.folds
    other = np.where(folds["name"].isin(moved), (folds["fold"] + 1) % FOLDS, folds["fold"])
    torn = replace(torn, folds=folds.assign(fold=other))
    assert (
        why_uncalled(torn) == "some cases are tested in several folds, by several models, so these have no single call"
    )


def test_arms_without_a_trial_have_a_row_without_figures():
    run = end(one_class(), WEAK, "failed", "broke")
    row = case_level_table(run).set_index("arm").loc[WEAK]
    assert row["status"] == "failed" and np.isnan(row["auroc"])
