"""The simulation: what is true, that it is drawn so, and that limits cover and equal arms are called equal."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics as sk

from glomfeat.metrics.scores import ece
from studies import coverage
from studies._cli import run_main
from studies.coverage import Coverage
from studies.coverage.run import COLUMNS, read_structure, simulate, to_markdown
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
        "ece": ece(y, score),
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


def test_limits_cover_and_equal_arms_are_equal_where_images_taken_as_independent_fail(small):
    covered, alarms = rates(small, "coverage"), rates(small, "false alarms")
    assert covered[OURS] >= 0.85 and covered[OURS] >= covered[CASES] - 0.02 and covered[IMAGES] < 0.7
    assert alarms[PAIRED] <= 0.13 and alarms[RESAMPLED] <= 0.13
    assert alarms[PAIRED_IMAGES] > 0.2 and alarms[WILCOXON] > 0.8
    for metric in ("sensitivity", "specificity", "mcc", "brier"):
        assert rates(small, "coverage", metric)[OURS] >= 0.8, metric
    assert small["error"].max() <= 0.5 / np.sqrt(60) and (small["simulations"] == 60).all()


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


def test_the_table_shows_rates_in_per_cent(small):
    lines = to_markdown(small, "Title").splitlines()
    assert lines[0] == "# Title" and "| metric | method | strong |" in lines
    rate = 100 * rates(small, "coverage")[OURS]
    assert f"| auroc | {OURS} | {rate:.1f} |" in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na_1.png,0\n", "names that hold no case"),
        ("name,size\nP1.png,3\n", "must name images in a column name and their classes in a column label"),
        ("name,label,case\na,0,A\nb,1,B\nc,2,C\n", "holds 3 classes: scores are drawn for two"),
        ("name,label,case\na,0,A\nb,1,B\n", "is in 1 case, 5 parts need 5"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, capsys, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        run_main(coverage.main, ["--labels", str(path), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
