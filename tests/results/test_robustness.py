"""The table of robustness by hand, its limits beside those of results.csv, and what the page says of it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.reports import write_folder
from helpers.runs import GOOD, WEAK, end, make_run, of_arm
from sklearn.metrics import roc_auc_score

from glomfeat.report.figures import robustness as figure
from glomfeat.report.sections import robustness as section
from glomfeat.report.write import write_report
from glomfeat.results.finished import Finished
from glomfeat.results.robustness import COLUMNS, robustness_table


def changed_of(run, by="blur.v1", spread=0.3, arms=(GOOD, WEAK)):
    """Scores of changed images: those of the run with noise that grows with the strength, from none at all."""
    rng, found = np.random.default_rng(1), {}
    for key, record in run.records.items():
        scores = np.array(record.get("scores", []))
        if key[0] in arms and len(scores):
            strengths = (0, 1, 2, 3, 4)
            found[key] = {by: [scores + spread * k * rng.normal(size=scores.shape) for k in strengths]}
    return found


def test_changes_are_measured_against_images_that_took_the_same_way():
    """Behind the scores of the strengths may stand those of images to which the same was done without a change."""
    run = make_run()
    changed = changed_of(run)
    before = {key: np.clip(of["blur.v1"][0] + 0.2, 0, 1) for key, of in changed.items() if key[0] == GOOD}
    for key, scores in before.items():
        changed[key]["blur.v1"].append(scores)
    table, old = (robustness_table(run, ["blur"], of).set_index("arm") for of in (changed, changed_of(run)))
    assert table.loc[WEAK].equals(old.loc[WEAK]) and table.loc[GOOD, "auroc"].equals(old.loc[GOOD, "auroc"])
    flips, images, aurocs = 0, 0, []
    for key, (y, _, at) in zip(before, of_arm(run, GOOD), strict=True):
        flips += ((before[key] >= at) != (changed[key]["blur.v1"][2] >= at)).sum()
        aurocs.append(roc_auc_score(y, changed[key]["blur.v1"][2]) - roc_auc_score(y, before[key]))
        images += len(y)
    row = table.loc[GOOD].iloc[2]
    assert row["flipped"] == pytest.approx(flips / images) and row["auroc_change"] == pytest.approx(np.mean(aurocs))
    assert row["flipped"] != old.loc[GOOD, "flipped"].iloc[2]


def test_figures_are_those_of_a_plain_computation():
    run = make_run()
    changed = changed_of(run)
    table = robustness_table(run, ["blur"], changed)
    assert table.columns.tolist() == list(COLUMNS) and len(table) == 10
    for arm in (WEAK, GOOD):
        mine = table[table["arm"] == arm].reset_index(drop=True)
        keys = [key for key in run.records if key[0] == arm]
        truth = of_arm(run, arm)
        for place, row in mine.iterrows():
            aurocs, hits, flips, positive, images = [], [], [], [], []
            for key, (y, before, at) in zip(keys, truth, strict=True):
                score = changed[key]["blur.v1"][place]
                aurocs.append(roc_auc_score(y, score))
                hits.append(((score >= at) & (y == 1)).sum())
                flips.append(((score >= at) != (before >= at)).sum())
                positive.append((y == 1).sum())
                images.append(len(y))
            assert row["auroc"] == pytest.approx(np.mean(aurocs))
            # as many in each repeat, so that the mean of repeats is the share of all
            assert row["sensitivity_t"] == pytest.approx(sum(hits) / sum(positive))
            assert row["flipped"] == pytest.approx(sum(flips) / sum(images))
            assert row["auroc_lo"] < row["auroc"] < row["auroc_hi"]
            if place:
                assert row["auroc_change_lo"] < row["auroc_change"] < row["auroc_change_hi"]
        assert mine["strength"].tolist() == [0.25, 0.5, 1.0, 1.5, 2.0]
        assert mine["in_words"][0] == "Gaussian blur, sigma 0.25 % of the side"


def test_unchanged_scores_have_the_figures_and_limits_of_the_results():
    run = make_run()
    table = robustness_table(run, ["blur"], changed_of(run)).groupby("arm").first()
    results = Finished(**run.given()).results.set_index("arm")
    for arm in (WEAK, GOOD):
        names = ["auroc", "auroc_lo", "auroc_hi", "sensitivity_t"]
        assert table.loc[arm, names].tolist() == pytest.approx(results.loc[arm, names].tolist(), abs=1e-12)
        assert (table.loc[arm, ["auroc_change", "sensitivity_t_change", "flipped", "flipped_lo"]] == 0).all()


def test_a_difference_that_no_case_changes_has_no_limits_and_its_note(tmp_path, without_figures):
    run = make_run()
    changed = {key: {"blur.v1": [of["blur.v1"][0]] * 5} for key, of in changed_of(run).items()}
    table = robustness_table(run, ["blur"], changed)
    ends = [f"{name}_change_{end}" for name in ("auroc", "sensitivity_t") for end in ("lo", "hi")]
    assert table[ends].isna().all(axis=None)
    why = "no limits, for it is the same without each case: the change of AUROC and sensitivity"
    assert (table["note"] == why).all()
    out = write_folder(tmp_path / "out", run)
    table.to_csv(out / "robustness.csv", index=False)
    page = write_report(out).read_text(encoding="utf-8")
    assert page.count("no limits: the same without each case") == 4 and "0.000 to 0.000" not in page
    assert (robustness_table(run, ["blur"], changed_of(run))["note"].iloc[1:5] == "").all()


def test_where_one_case_holds_a_class_the_note_says_that(tmp_path, without_figures):
    run = make_run(scheme="holdout")
    table, tested = run.manifest.table, run.tested(run.trials[0])
    one = (table["case"] == table["case"][tested[0]]) & (np.arange(len(table)) % 2 == 0)
    run = replace(run, manifest=replace(run.manifest, table=table.assign(label=one.astype(int))))
    trials = [trial for trial in run.trials if trial.repeat == 0]
    run = replace(run, trials=trials, folds=run.folds[run.folds["repeat"] == 0])
    table = robustness_table(run, ["blur"], changed_of(run, spread=0))
    figures = [f"{name}{part}" for name in ("auroc", "sensitivity_t") for part in ("", "_change")]
    assert table[figures].notna().all(axis=None) and (table[figures[1::2]] == 0).all(axis=None)
    assert table[[f"{name}_{end}" for name in figures for end in ("lo", "hi")]].isna().all(axis=None)
    why = "no limits, for nothing would be left without one of the cases: AUROC, sensitivity at the threshold"
    assert (table["note"] == why).all() and table["flipped_hi"].notna().all()
    out = write_folder(tmp_path / "out", run)
    table.to_csv(out / "robustness.csv", index=False)
    assert "the same without each case" not in write_report(out).read_text(encoding="utf-8")


def test_limits_of_a_change_end_where_figures_end():
    run = make_run(cases=5)
    changed = {key: {"blur.v1": [1 - np.array(run.records[key]["scores"])] * 5} for key in changed_of(run)}
    row = robustness_table(run, ["blur"], changed).set_index("arm").loc[GOOD].iloc[0]
    low, change, high = (row[f"auroc_change{end}"] for end in ("_lo", "", "_hi"))
    assert low == -1 and 2 * change - high < -1, "symmetric limits would go further"


def test_more_classes_have_the_likeliest_as_their_call_and_no_sensitivity():
    run = make_run(classes=3)
    changed = changed_of(run)
    table = robustness_table(run, ["blur"], changed)
    assert table["sensitivity_t"].isna().all() and table["auroc"].notna().all()
    keys = [key for key in run.records if key[0] == GOOD]
    others = [changed[key]["blur.v1"][4].argmax(1) != np.argmax(run.records[key]["scores"], 1) for key in keys]
    assert table[table["arm"] == GOOD]["flipped"].iloc[4] == pytest.approx(np.concatenate(others).mean())


def test_an_arm_that_has_not_scored_all_has_no_figures_and_one_that_has_none_no_row():
    run = end(make_run(), WEAK, "failed", "why", folds=[1])
    table = robustness_table(run, ["blur"], changed_of(run, arms=(WEAK,)))
    assert table["arm"].unique().tolist() == [WEAK] and (table["status"] == "partial").all()
    assert table["auroc"].isna().all() and table["flipped"].isna().all()


def test_the_page_says_which_arm_keeps_most(tmp_path, monkeypatch):
    run = make_run()
    out = write_folder(tmp_path / "out", run)
    table = robustness_table(run, ["blur"], changed_of(run))
    table.to_csv(out / "robustness.csv", index=False)
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [figure])
    page = write_report(out).read_text(encoding="utf-8")
    assert "Other stains and scanners" in page and "What each arm keeps where images are changed" in page
    worst = {arm: table.loc[table[table["arm"] == arm]["auroc"].idxmin()] for arm in (GOOD, WEAK)}
    for row in worst.values():
        before = row["auroc"] - row["auroc_change"]
        assert f"falls from {before:.3f} to {row['auroc']:.3f} at the worst ({row['in_words']})" in page
    most, least = sorted(worst, key=lambda arm: -worst[arm]["auroc_change"])
    first, second = page.index("the smallest change of these 2 arms"), page.index("The largest: ")
    names = {GOOD: "good + logistic regression", WEAK: "weak + logistic regression"}
    assert names[most] in page[first - 300 : first] and names[least] in page[second : second + 100]


def test_an_arm_at_chance_keeps_nothing():
    """It cannot fall far, so its change says nothing beside those of others; a line names it."""
    run = make_run()
    table, results = robustness_table(run, ["blur"], changed_of(run)), Finished(**run.given()).results
    at_chance = results.assign(auroc_lo=results["auroc_lo"].mask(results["arm"] == WEAK, 0.45))
    content = SimpleNamespace(robustness=table, results=at_chance, names={WEAK: "weak", GOOD: "good"}, chosen=False)
    content.loaded = SimpleNamespace(run=run, identity={"threshold": "0.25"})
    found = section.fill(content)
    (said,) = found["sentences"]
    assert (
        said.startswith("Under blur, the AUROC of good falls from ") and "weak" not in said and "smallest" not in said
    )
    assert found["untold"] == ["weak"] and {row["arm"] for row in found["rows"]} == {GOOD, WEAK}


def test_what_is_not_in_the_table_is_named():
    run = make_run()
    table = robustness_table(run, ["blur"], changed_of(run, arms=(GOOD,)))
    names = {WEAK: "weak", GOOD: "good"}
    results, given = Finished(**run.given()).results, {"threshold": "0.25"}
    content = SimpleNamespace(robustness=table, results=results, names=names, chosen=False)
    content.loaded = SimpleNamespace(run=run, identity=given)
    assert section.fill(content)["at"] == "the threshold of 0.25", "a number was chosen on no image"
    given["threshold"] = "youden"
    assert section.fill(content)["at"] == "the threshold that was chosen on unchanged images"
    assert section.fill(content)["without"] == ["weak"] and section.fill(content)["partly"] == []
    assert section.fill(content)["normalised"] == []
    content.robustness = table.assign(auroc_change=table["auroc_change"] + 0.1)
    assert section.fill(content)["normalised"] == []
    given["stain"] = ["none", "macenko"]
    assert section.fill(content)["normalised"] == ["good"]
    content.robustness = table.assign(status="partial", auroc=np.nan)
    assert section.fill(content)["partly"] == ["good"] and section.fill(content)["sentences"] == []
    assert figure.draw(content) is None
    content.robustness = None
    assert section.fill(content) is None and figure.draw(content) is None
