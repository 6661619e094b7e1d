"""The simulation: what is true, that it is drawn so, and that limits cover and equal arms are called equal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.running import refusal
from scipy.stats import t as student
from sklearn import metrics as sk

from glomfeat.comparison.no_effect import lines_on_no_effect
from glomfeat.core.errors import InputError, UserError
from glomfeat.core.seeds import seed_for
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.selection import fit_chosen
from glomfeat.results.parts import Part, find_limits
from studies import coverage
from studies.coverage import Coverage, few, retrain
from studies.coverage.best_of import CORRECTED, HOLM, MAX_T, SEEN, judge_best
from studies.coverage.retrain import (
    LEFT_OUT,
    MODELS,
    NESTED,
    PROCEDURE,
    RETRAINED,
    draw_features,
    even_cases,
    fit_study,
    simulate_studies,
)
from studies.coverage.run import (
    COLUMNS,
    OF_BEST,
    best_to_markdown,
    read_structure,
    simulate,
    simulate_best,
    title_of,
    to_markdown,
)
from studies.coverage.simulate import (
    ALIKE,
    CASES,
    IMAGES,
    OURS,
    PAIRED,
    PAIRED_CASES,
    PAIRED_IMAGES,
    RESAMPLED,
    SCENARIOS,
    WILCOXON,
    Structure,
    draw_scores,
    judge,
    make_twin,
    true_values,
)

SMALL = Coverage(cases=60, simulations=60, replicates=60, jobs=1)
STRONG = next(scenario for scenario in SCENARIOS if scenario.name == "strong")


@pytest.fixture(scope="module")
def small():
    return simulate(SMALL, read_structure(SMALL), [STRONG])


def rates(frame, question, metric="auroc"):
    rows = frame[(frame["question"] == question) & (frame["metric"] == metric)]
    return rows.set_index("method")["rate"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_true_values_are_those_of_very_many_images(scenario):
    n = 200_000
    y = (np.arange(n) < 0.18 * n).astype(int)
    structure = Structure(y, np.arange(n), np.zeros(n, int))
    score, truth = draw_scores(structure, scenario, np.random.default_rng(0))[0], true_values(scenario, 0.18)
    found = {
        "auroc": sk.roc_auc_score(y, score),
        "average_precision": sk.average_precision_score(y, score),
        "sensitivity": sk.recall_score(y, score >= 0.5),
        "specificity": sk.recall_score(y, score >= 0.5, pos_label=0),
        "mcc": sk.matthews_corrcoef(y, score >= 0.5),
        "brier": sk.brier_score_loss(y, score),
    }
    assert found == pytest.approx(truth, abs=0.006)


def test_images_of_a_case_are_as_alike_as_the_scenario_says():
    cases = np.repeat(np.arange(3000), 8)
    structure = Structure(np.arange(24_000) % 2, cases, np.zeros(24_000, int))
    scenario = replace(STRONG, case=0.3, class_in_case=0.2)
    one, other = draw_scores(structure, scenario, np.random.default_rng(1))
    logit = np.log(one / (1 - one)).reshape(3000, 8)
    alike = np.corrcoef(logit[:, 0], logit[:, 2])[0, 1], np.corrcoef(logit[:, 0], logit[:, 1])[0, 1]
    assert alike == pytest.approx((0.5, 0.3), abs=0.05)  # of one class, of both
    same = np.corrcoef(logit[:, 0], np.log(other / (1 - other)).reshape(3000, 8)[:, 0])[0, 1]
    assert same == pytest.approx(ALIKE, abs=0.05)


def test_the_twin_is_like_a_cohort():
    labels, cases = make_twin()
    sizes, positive = np.bincount(cases), np.bincount(cases, labels)
    assert len(sizes) == 215 and (sizes.min(), sizes.max()) == (1, 430) and 5000 < len(labels) < 7000
    assert 0.16 < labels.mean() < 0.2 and ((positive > 0) & (positive < sizes)).mean() > 0.6


def p_by_hand(structure, scores, holders):
    """The paired test of two arms, as statistics.md has it."""
    y, cases, folds = structure.labels, structure.cases, structure.folds
    pairs = [
        [sk.roc_auc_score(y[rows], score[rows]) for rows in (np.flatnonzero(keep & (folds == k)) for k in (0, 1))]
        for keep in (cases != left for left in [-1, *range(cases.max() + 1)])
        for score in scores
    ]
    apart = np.mean(pairs, axis=1).reshape(-1, 2) @ [1, -1]
    squares = (apart[1:] - apart[1:].mean()) ** 2
    error, freedom = np.sqrt(squares.sum() * (1 - 1 / len(squares))), 3 * squares.sum() ** 2 / (squares**2).sum()
    return 2 * student.sf(abs(apart[0]) / error, min(freedom, len(squares) - 1, holders - 1))


def test_arms_are_compared_as_in_a_study_where_few_cases_hold_a_class():
    number, cases = 28, np.repeat(np.arange(12), 8)  # the difference would be called one if all 12 cases told of it
    structure = Structure((cases < 4) * (np.arange(96) % 2), cases, cases % 2)
    p, scores = judge(structure, STRONG, 200, 0, number)[1], drawn(structure, STRONG.name, number)
    assert p[PAIRED] == pytest.approx(p_by_hand(structure, scores, 4))
    assert p[PAIRED_CASES] >= 2 / 2**4  # a sign test of four cases
    figures, alarm = judge_best(structure, STRONG, 2, 200, 0, number)
    scores = drawn(structure, STRONG.name, "best of", 2, number)
    assert p_by_hand(structure, scores, 4) > 0.05 > p_by_hand(structure, scores, 12) and not alarm[HOLM]
    rows = [cases % 2 == k for k in (0, 1)]
    parts = [[Part(0, structure.labels[own], cases[own], score[own], 0.5) for own in rows] for score in scores]
    assert figures[SEEN][1:] in [find_limits(found, 2)["auroc"] for found in parts]


def drawn(structure, *named):
    return draw_scores(structure, STRONG, np.random.default_rng(seed_for(0, *named)))


@pytest.mark.slow
def test_limits_cover_and_equal_arms_are_equal_where_images_taken_as_independent_fail(small):
    covered, alarms = rates(small, "coverage"), rates(small, "false alarms")
    assert covered[OURS] >= 0.85 and covered[OURS] >= covered[CASES] - 0.02 and covered[IMAGES] < 0.7
    assert alarms[PAIRED] <= 0.13 and alarms[RESAMPLED] <= 0.13
    assert alarms[PAIRED_IMAGES] > 0.2 and alarms[WILCOXON] > 0.8
    for metric in ("sensitivity", "specificity", "mcc", "brier"):
        assert rates(small, "coverage", metric)[OURS] >= 0.8, metric
    assert small["error"].max() <= 0.5 / np.sqrt(60) and (small["simulations"] == 60).all()


@pytest.mark.slow
def test_what_is_drawn_is_of_the_seed_and_not_of_the_processes():
    options = replace(SMALL, simulations=3)
    structure = read_structure(options)
    first = simulate(options, structure, [STRONG])
    pd.testing.assert_frame_equal(simulate(replace(options, jobs=2), structure, [STRONG]), first)
    assert not simulate(replace(options, seed=1), structure, [STRONG]).equals(first)


def test_the_command_writes_its_tables(tmp_path, capsys, feature_table):
    out = tmp_path / "out"
    arguments = ["--labels", str(feature_table), "--simulations", "2", "--replicates", "20", "--jobs", "1"]
    assert coverage.main([*arguments, "--out", str(out)]) == 0
    said, frame = capsys.readouterr().out, pd.read_csv(out / "coverage.csv")
    assert frame.columns.tolist() == list(COLUMNS)
    assert set(frame["scenario"]) == {scenario.name for scenario in SCENARIOS}
    assert set(frame["method"]) == {OURS, CASES, IMAGES, PAIRED, PAIRED_CASES, PAIRED_IMAGES, RESAMPLED, WILCOXON}
    shown = (out / "coverage.md").read_text()
    assert shown.startswith("# 16 cases of 10 to 10 images") and shown in said
    assert yaml.safe_load((out / "study.yaml").read_text())["simulations"] == 2


@pytest.fixture
def few_fresh(monkeypatch):
    monkeypatch.setattr(retrain, "FRESH", 400)


@pytest.mark.slow
def test_studies_that_are_trained_again_hold_limits_against_both_truths(few_fresh):
    options = replace(SMALL, simulations=5, retrain=True)
    scenario = next(one for one in RETRAINED if one.even)
    frame = simulate_studies(options, None, [scenario])
    assert frame.columns.tolist() == list(COLUMNS) and (frame["simulations"] == 5).all()
    models, procedure = (frame[frame["metric"] == metric].set_index("method") for metric in (MODELS, PROCEDURE))
    assert models.index.tolist() == procedure.index.tolist() == [OURS, LEFT_OUT, retrain.CORRECTED, NESTED]
    assert procedure.loc[LEFT_OUT, "rate"] >= 0.6 and procedure.loc[LEFT_OUT, "width"] > procedure.loc[OURS, "width"]
    assert 0.75 < procedure["truth"].iloc[0] < 0.87 and models["width"].equals(procedure["width"])


def test_a_study_that_is_drawn_chooses_as_a_trial_does(few_fresh):
    labels, cases = even_cases()
    X = draw_features(labels, cases, RETRAINED[1], np.random.default_rng(0))
    folds, head = cases % 4, make_head("logreg", 0)
    rows, scores, inner_auroc, fresh = fit_study(X, labels, folds, head, X[:7])[2]
    train, others = np.flatnonzero(folds != 2), [fold for fold in range(4) if fold != 2]
    inner = [(np.flatnonzero((folds != 2) & (folds != fold)), np.flatnonzero(folds == fold)) for fold in others]
    chosen = fit_chosen(head, X, labels, train, inner, 2, "balanced")
    assert rows.tolist() == np.flatnonzero(folds == 2).tolist()
    np.testing.assert_allclose(scores, scores_of(chosen.estimator, X[rows], 2))
    np.testing.assert_allclose(fresh, scores_of(chosen.estimator, X[:7], 2))
    assert inner_auroc == pytest.approx(chosen.inner_auroc)


def test_the_command_trains_again(tmp_path, capsys, feature_table, few_fresh, monkeypatch):
    monkeypatch.setattr(retrain, "RETRAINED", RETRAINED[:1])
    arguments = ["--labels", str(feature_table), "--simulations", "1", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert coverage.main([*arguments, "--retrain", "--folds", "4"]) == 0
    assert set(pd.read_csv(tmp_path / "out" / "coverage.csv")["scenario"]) == {"its cases, 12 features"}
    shown = capsys.readouterr().out
    assert f"| {PROCEDURE} | {LEFT_OUT} | " in shown and "called different" not in shown
    with pytest.raises(InputError, match="--best-of and --retrain are simulations of their own: ask for one of them"):
        coverage.main([*arguments, "--retrain", "--best-of", "3"])
    with pytest.raises(InputError, match="--folds is 3: --retrain takes 4 to 10, which serve each other"):
        coverage.main([*arguments, "--retrain", "--folds", "3"])


def test_the_table_shows_rates_in_per_cent(small):
    lines = to_markdown(small, "Title").splitlines()
    assert lines[0] == "# Title" and "| metric | method | strong |" in lines
    rate = 100 * rates(small, "coverage")[OURS]
    assert f"| auroc | {OURS} | {rate:.1f} |" in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na_1.png,0\n", "name that hold no case"),
        ("name,size\nP1.png,3\n", "must name images in a column name and their classes in a column label"),
        ("name,label,case\na,0,A\nb,1,B\nc,2,C\n", "holds 3 classes: scores are drawn for two"),
        ("name,label,case\na,0,A\nb,1,B\n", "is in 1 case, 5 parts need 5"),
        ("name,label,case\na,1,A\nb,,B\n", "1 image without a label: b"),
        ("name,label,case\na,0,A\na,1,A\n", "1 row of images under two labels: a"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        coverage.main(["--labels", str(path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_classes_and_images_are_those_of_a_study(tmp_path):
    path, said = tmp_path / "labels.csv", []
    table = pd.DataFrame({"name": [f"{k}.png" for k in range(24)], "case": [f"P{k % 6}" for k in range(24)]})
    table["label"] = np.where(np.arange(24) % 3 == 0, "globally_sclerotic", "non_globally_sclerotic")
    pd.concat([table, table[:5]]).to_csv(path, index=False)
    structure = read_structure(Coverage(labels=str(path), folds=2), said.append)
    assert structure.labels.tolist() == [1, 0, 0] * 8 and np.bincount(structure.cases).tolist() == [4] * 6
    assert title_of(structure) == "6 cases of 4 to 4 images, 33 % positive (globally_sclerotic)"
    assert said == ["5 rows of labels.csv repeat an image: left out"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"few": True, "labels": "a.csv", "cases": 30}, ["--labels a.csv and --cases 30 change nothing: --few makes"]),
        ({"retrain": True, "head": "svm", "replicates": 20}, ["--replicates 20 changes nothing: no bootstrap"]),
        ({"head": "svm", "replicates": 20}, ["--head svm changes nothing: it is for --retrain"]),
        ({"labels": "a.csv", "groups": "case", "cases": 30}, ["--cases 30 changes nothing: --labels gives the cases"]),
    ],
)
def test_a_line_names_options_that_a_simulation_does_not_read(options, said):
    found = lines_on_no_effect(None, Coverage(**options), coverage.NEEDS)
    assert [line[: len(start)] for line, start in zip(found, said, strict=True)] == said


@pytest.mark.parametrize("option", ["simulations", "replicates", "folds", "cases", "jobs"])
def test_numbers_that_nothing_can_be_drawn_with_are_refused(tmp_path, capsys, option):
    said = refusal(coverage.main, capsys, f"--{option}", "0", "--out", tmp_path / "out")
    assert f"--{option} is 0: at least" in said and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_coverage_is_93_to_97_percent_and_false_alarms_are_at_most_6():
    options = Coverage(simulations=1000, replicates=200)
    frame = simulate(options, read_structure(options), SCENARIOS)
    auroc = frame[(frame["metric"] == "auroc") & (frame["method"] == OURS)]
    assert len(auroc) == len(SCENARIOS)
    assert (auroc["rate"] + 2 * auroc["error"] >= 0.93).all() and (auroc["rate"] - 2 * auroc["error"] <= 0.97).all()
    assert auroc["rate"].mean() == pytest.approx(0.95, abs=0.02)
    alarms = frame[frame["method"] == PAIRED]
    assert (alarms["rate"] - 2 * alarms["error"] <= 0.06).all() and alarms["rate"].mean() <= 0.06
    assert (frame.loc[frame["method"] == WILCOXON, "rate"] > 0.5).all()
    dependent = frame[frame["scenario"].isin(["typical", "strong"])]
    assert (dependent.loc[dependent["method"] == IMAGES, "rate"] < 0.85).all()
    assert (dependent.loc[dependent["method"] == PAIRED_IMAGES, "rate"] > 0.1).all()


@pytest.fixture(scope="module")
def best_of():
    options = replace(SMALL, best_of=(6,), simulations=40)
    return options, simulate_best(options, read_structure(options), [STRONG])


def test_the_best_of_equal_arms_looks_too_good_and_is_corrected(best_of):
    rows = best_of[1].set_index("method")
    luck = rows.loc[SEEN, "bias"]
    assert luck > 0.01 and abs(rows.loc[CORRECTED, "bias"]) < luck / 4
    assert rows.loc[CORRECTED, "rate"] >= rows.loc[SEEN, "rate"] and rows.loc[CORRECTED, "rate"] >= 0.85
    assert rows.loc[MAX_T, "rate"] <= rows.loc[HOLM, "rate"] and rows.loc[MAX_T, "rate"] <= 0.1


def test_the_best_of_many_is_of_the_seed_and_is_shown(best_of):
    options, frame = best_of
    again = replace(options, jobs=2, simulations=2)
    structure = read_structure(again)
    first = simulate_best(replace(again, jobs=1), structure, [STRONG])
    pd.testing.assert_frame_equal(simulate_best(again, structure, [STRONG]), first)
    lines = best_to_markdown(frame, "Title").splitlines()
    rate = 100 * frame.set_index("method").loc[MAX_T, "rate"]
    assert lines[0] == "# Title" and f"| 6 | {MAX_T} | {rate:.1f} |" in lines
    assert "nan" not in "".join(lines)


def test_the_command_of_the_best_of_many_writes_its_tables(tmp_path, capsys):
    arguments = ["--cases", "30", "--best-of", "2", "3", "--simulations", "2", "--replicates", "20", "--jobs", "1"]
    assert coverage.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    frame = pd.read_csv(tmp_path / "out" / "best_of.csv")
    assert frame.columns.tolist() == list(OF_BEST) and set(frame["arms"]) == {2, 3}
    assert (tmp_path / "out" / "best_of.md").read_text() in capsys.readouterr().out
    said = "--best-of is 1: give two arms or more, because the best of one is no choice"
    assert said in refusal(coverage.main, capsys, "--best-of", "1", "--out", tmp_path / "one")


@pytest.mark.slow
def test_the_best_of_ten_and_of_thirty_is_corrected_to_three_thousandths():
    options = Coverage(simulations=200, replicates=300, best_of=(10, 30))
    frame = simulate_best(options, read_structure(options), SCENARIOS).set_index(["scenario", "arms"])
    of = dict(iter(frame.groupby("method")))
    bias = of[CORRECTED]["bias"]
    assert (bias.abs() < 0.003).all() and (of[SEEN]["bias"] > bias.abs()).all()
    alarms = of[MAX_T]["rate"] - 2 * of[MAX_T]["error"]
    assert (alarms <= 0.06).all() and of[MAX_T]["rate"].mean() <= 0.06


def test_limits_cover_where_few_of_many_cases_hold_a_class(monkeypatch):
    monkeypatch.setattr(few, "CASES", (4,))
    monkeypatch.setattr(few, "HELD", {"few": few.HELD["few"]})
    monkeypatch.setattr(few, "SCENARIOS", few.SCENARIOS[1:2])
    frame = few.simulate_few(Coverage(few=True, simulations=60, jobs=1))
    rate = frame.set_index(["metric", "method"])["rate"]
    assert len(frame) == 8 and frame.columns.tolist() == list(few.COLUMNS)
    assert rate["sensitivity", few.OURS] > 0.9 and rate["auroc", few.OURS] >= rate["auroc", few.ALL]
    shown = few.few_to_markdown(frame)
    assert (
        f"| AUROC 0.97, cases alike | sensitivity | {few.OURS} | {100 * rate['sensitivity', few.OURS]:.1f} |" in shown
    )


@pytest.mark.parametrize("held", few.HELD)
def test_small_studies_hold_what_they_say(held):
    structure = few.make_few(held, 5, np.random.default_rng(0))
    cases = {"both": 5, "few": 20, "one": 10}[held]
    holders = [len(np.unique(structure.cases[structure.labels == label])) for label in (1, 0)]
    assert structure.cases.max() + 1 == cases and holders == [5, 5 if held == "one" else cases]
