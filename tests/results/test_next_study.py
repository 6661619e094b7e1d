"""What images are worth and what the next study needs, from the records of a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, end, make_run, manifest_of
from scipy import stats
from scipy.special import expit, logit

from glomfeat.core.arms import FLOOR
from glomfeat.data.splits import fold_rows
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import leave_out_weights
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.next_study import COLUMNS, DIFFERENCE, DIFFERENCES, LIMITS, WIDTHS, next_study_in_words
from glomfeat.results.next_study import next_study_table as table_of
from glomfeat.results.parts import arms_of, rank, trial_parts
from glomfeat.results.tables import results_table
from studies.samplesize import SampleSize, plan

NAMES = {GOOD: "good", WEAK: "weak"}


def test_what_is_reached_is_what_the_tables_say():
    run = make_run()
    found, results = table_of(run), results_table(run).set_index("arm")
    assert found.columns.tolist() == list(COLUMNS) and FLOOR not in set(found["arm"])
    assert found["target"].tolist() == [*WIDTHS, *WIDTHS, *DIFFERENCES]
    for arm, rows in found[found["asks"] == LIMITS].groupby("arm"):
        wide = results.loc[arm, "auroc_hi"] - results.loc[arm, "auroc_lo"]
        assert rows["reached"].tolist() == pytest.approx([wide] * 2)
        assert rows["auroc"].tolist() == pytest.approx([results.loc[arm, "auroc"]] * 2)
    parts = {name: trial_parts(run, arms_of(run)[name]) for name in (GOOD, WEAK)}
    value, without = (rank(parts[WEAK], w) - rank(parts[GOOD], w) for w in (None, leave_out_weights(18)))
    apart = found[found["asks"] == DIFFERENCE]
    assert set(apart["against"]) == {GOOD} and set(apart["arm"]) == {WEAK}
    assert apart["reached"].iloc[0] == pytest.approx(paired_difference(value[0], without).detectable)


def test_half_the_width_takes_about_four_times_the_cases():
    rows = table_of(make_run()).query("arm == @WEAK and asks == 'difference'").set_index("target")["cases_needed"]
    assert rows[0.01] / rows[0.02] == pytest.approx(4, rel=0.05) and rows[0.05] < rows[0.02]
    assert (rows * 8 == table_of(make_run()).query("asks == 'difference'").set_index("target")["images_needed"]).all()


def test_a_larger_pilot_does_not_ask_for_a_larger_study():
    """By hand: variance and freedom from what each image adds to the AUROC, as each is a case."""
    run = make_run(n=3000, cases=3000)
    found = table_of(replace(run, trials=[trial for trial in run.trials if str(trial.arm) == WEAK])).iloc[0]
    y, added, areas = run.manifest.labels, np.zeros(3000), []
    for key, record in run.records.items():
        if key[0] == WEAK:
            rows = fold_rows(run.folds, *key[1:])[1]
            score, truth = np.array(record["scores"]), y[rows]
            above = (score[truth == 1][:, None] > score[truth == 0]) + 0.5 * (
                score[truth == 1][:, None] == score[truth == 0]
            )
            for label, axis in ((1, 1), (0, 0)):
                of = above.mean(axis=axis)
                added[rows[truth == label]] += (of - of.mean()) / (len(of) - 1)
            areas.append(above.mean())
    area, added = np.mean(areas), added / len(areas)
    squares = (added**2).sum()
    error, freedom = np.sqrt(squares * 2999 / 3000), min(2999, 3 * squares**2 / (added**4).sum())
    holders, cases = min(np.bincount(y)), found["cases_needed"]

    def wide(n):
        step = stats.t.ppf(0.975, min(freedom * n / 3000, holders * n / 3000 - 1)) * error * np.sqrt(3000 / n)
        ends = expit(logit(area) + np.array([-1, 1]) * step / (area * (1 - area)))
        return ends[1] - ends[0]

    assert wide(cases) <= 0.1 < wide(cases - 1) and found["effective_images"] == pytest.approx(3000)


def test_copies_of_an_image_are_worth_one():
    run = make_run(n=72, cases=72)
    table = run.manifest.table.loc[run.manifest.table.index.repeat(4)].reset_index(drop=True)
    table = table.assign(name=[f"{name}-{k}" for k, name in enumerate(table["name"])])
    folds = run.folds.loc[run.folds.index.repeat(4)].reset_index(drop=True)
    records = {key: {**one, "scores": np.repeat(one["scores"], 4).tolist()} for key, one in run.records.items()}
    more = replace(run, manifest=replace(run.manifest, table=table), folds=folds, records=records)
    one, four = (table_of(found).iloc[0] for found in (run, more))
    assert one["design_effect"] == pytest.approx(1.0) and four["design_effect"] == pytest.approx(4.0, rel=0.2)
    assert four["effective_images"] == pytest.approx(72, rel=0.2) and four["icc"] == pytest.approx(1.0, abs=0.01)
    assert four["cases_needed"] == one["cases_needed"]


def test_a_pilot_of_few_cases_finds_how_alike_scores_were_drawn():
    """Three folds of four cases: a case has hardly more to be compared with than itself."""
    found = [studied(np.random.default_rng(seed), 0.4, 0.24) for seed in range(30)]
    assert np.mean([one["icc"] for one in found]) == pytest.approx(0.4, abs=0.06)
    assert np.mean([one["icc_across"] for one in found]) == pytest.approx(0.24, abs=0.06)
    found += [studied(np.random.default_rng(seed), *alike) for seed, alike in enumerate([(0, 0), (1, 1), (0.2, -0.2)])]
    for one in found:  # what a person copies from next_study.csv
        icc, across = (float(f"{one[name]:.6g}") for name in ("icc", "icc_across"))
        SampleSize(icc=(icc,), icc_across=across).check()
    assert found[-3]["icc"] < 0.1 and found[-2]["icc"] == pytest.approx(1) and found[-1]["icc_across"] < -0.05
    needed = [plan(SampleSize(icc=(one["icc"],), icc_across=one["icc_across"]))[0]["cases_width"] for one in found[-3:]]
    assert 13 <= needed[0] < needed[2] < needed[1]  # 13 if images are independent, more if alike in a class only


def studied(rng, icc, across):
    """The best arm's facts in a study of 12 cases whose scores are alike, on a scale of their own in each fold."""
    run = make_run(n=96, cases=12)
    run = replace(run, trials=[trial for trial in run.trials if str(trial.arm) == GOOD])
    cases, y = run.manifest.cases, run.manifest.labels
    case, of_class = rng.normal(size=12)[cases], rng.normal(size=(12, 2))[cases, y]
    common = np.sqrt(abs(across)) * case * np.where(y == 1, np.sign(across), 1) + np.sqrt(icc - abs(across)) * of_class
    latent = 1.8 * y + common + np.sqrt(1 - icc) * rng.normal(size=96)
    for trial in run.trials:
        own = latent[run.tested(trial)] * rng.uniform(0.7, 1.4) + rng.normal(scale=0.5)
        run.records[trial.key]["scores"] = expit(own).tolist()
    return table_of(run).iloc[0]


def test_cases_that_are_alone_in_their_folds_do_not_tell_how_alike_their_images_are():
    run = make_run(n=24, cases=3)
    found = table_of(run)
    assert found[["icc", "icc_across"]].isna().all(axis=None) and len(found)
    assert found["note"].str.startswith("icc: no fold has two cases of one class").all()
    assert "ICC of scores" not in next_study_in_words(found, NAMES)


def test_the_sentences_name_the_best_arm_and_the_next():
    found = table_of(make_run())
    said = next_study_in_words(found, NAMES)
    row = found.iloc[0]
    assert said.startswith(
        f"For the AUROC of good, these 144 images of 18 cases are worth {row['effective_images']:.0f} independent ones "
        f"(design effect {row['design_effect']:.1f}; ICC of scores {row['icc']:.2f}). Limits that are 0.05 wide take "
        f"about {found['cases_needed'].iloc[1]} cases of the same sizes. A difference of 0.02 between good and weak is "
        "seen with 80 % power in about "
    )
    of_images = f"Limits that are 0.05 wide take about {found['cases_needed'].iloc[1]:,} images. A difference"
    assert next_study_in_words(found, NAMES, "image").startswith(of_images)
    assert next_study_in_words(found.head(0), NAMES) == ""


def test_an_arm_without_errors_has_rows_and_no_numbers_of_cases():
    run = make_run()
    for trial in run.trials:
        if str(trial.arm) == GOOD:
            run.records[trial.key]["scores"] = run.manifest.labels[run.tested(trial)].astype(float).tolist()
    found = table_of(run)
    best = found[found["arm"] == GOOD]
    assert (best["auroc"] == 1).all() and best[["design_effect", "reached", "cases_needed"]].isna().all(axis=None)
    assert found[found["arm"] == WEAK]["cases_needed"].notna().all()
    said = next_study_in_words(found, NAMES)
    assert said.startswith("For the AUROC of weak, ") and "A difference of 0.02 between good and weak is seen" in said


def test_what_is_the_same_without_each_case_needs_no_number_of_cases():
    run = make_run()
    for trial in run.trials:
        if str(trial.arm) == WEAK:
            run.records[trial.key]["scores"] = run.records[GOOD, trial.repeat, trial.fold]["scores"]
    apart = table_of(run).query("asks == 'difference'")
    assert apart[["reached", "cases_needed"]].isna().all(axis=None)
    for trial in run.trials:
        if str(trial.arm) == WEAK:
            run.records[trial.key]["scores"] = np.full(len(run.tested(trial)), 0.5).tolist()
    same = table_of(run).query("arm == @WEAK and asks == 'limits'")
    assert (same["auroc"] == 0.5).all() and same[["reached", "cases_needed"]].isna().all(axis=None)


def test_a_class_in_few_cases_makes_figures_less_sure(monkeypatch):
    """What is reached is what the other tables say, and Student's quantile counts the cases that hold the class."""

    def with_few_positives(*more, **of_manifest):
        manifest = manifest_of(*more, **of_manifest)
        table = manifest.table
        return replace(manifest, table=table.assign(label=table["label"].where(table["case"] < "P06", 0)))

    monkeypatch.setattr("helpers.runs.manifest_of", with_few_positives)
    run = make_run()
    found, results, compared = table_of(run), results_table(run).set_index("arm"), comparisons_table(run)
    for arm, rows in found[found["asks"] == LIMITS].groupby("arm"):
        low, high = results.loc[arm, ["auroc_lo", "auroc_hi"]].astype(float)
        assert rows["reached"].tolist() == pytest.approx([high - low] * 2)
        area, parts = results.loc[arm, "auroc"], trial_parts(run, arms_of(run)[arm])
        without = rank(parts, leave_out_weights(18))
        error, n = np.sqrt(17 / 18 * ((without - without.mean()) ** 2).sum()), rows["cases_needed"].iloc[0]
        wide = [_wide(area, error * np.sqrt(18 / cases), cases / 3 - 1) for cases in (18, n, n - 1)]
        assert high - low == pytest.approx(wide[0]) and wide[1] <= rows["target"].iloc[0] < wide[2]
    shown = compared.set_index("arm").loc[WEAK, "detectable"]
    assert found[found["asks"] == DIFFERENCE]["reached"].tolist() == pytest.approx([shown] * 3)


def _wide(area, error, freedom):
    """Width of limits on the logit scale, by hand; the jackknife's own degrees of freedom are more here."""
    step = stats.t.ppf(0.975, freedom) * error / area / (1 - area)
    return np.ptp(expit(logit(area) + np.array([-step, step])))


@pytest.mark.parametrize("more", [{"classes": 3}, {"scheme": "holdout"}, {"by_case": False}])
def test_every_kind_of_run_has_the_table(more):
    found = table_of(make_run(**more))
    assert found["cases_needed"].notna().all() and (found["design_effect"] > 0).all()
    assert found["icc_across"].isna().all() == (more != {"scheme": "holdout"})
    assert (found["note"] == "").all() == (more == {"scheme": "holdout"})
    if "classes" in more:
        assert (found["note"] == "icc_across: for two classes only").all() and found["icc"].notna().all()
    if "by_case" in more:
        assert found["design_effect"].tolist() == pytest.approx([1.0] * len(found)) and found["icc"].isna().all()
        assert found["note"].str.contains("no case has two images of one").all()


def test_arms_that_did_not_finish_are_left_out():
    run = end(make_run(), WEAK, "failed", "broke", folds=[1])
    assert set(table_of(run)["arm"]) == {GOOD}
    empty = table_of(end(end(make_run(), WEAK, "planned", ""), GOOD, "planned", ""))
    assert empty.empty and empty.columns.tolist() == list(COLUMNS)
    pd.testing.assert_series_equal(empty.dtypes[["cases"]], table_of(run).dtypes[["cases"]])
