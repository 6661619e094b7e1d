"""Limits of the procedure in the table of results: by what, for which arms, and in words."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers import runs
from helpers.runs import GOOD, WEAK, end, make_run

from glomfeat.core.arms import FLOOR, Arm
from glomfeat.metrics.procedure import procedure_limits
from glomfeat.metrics.scores import auroc
from glomfeat.results.parts import units_of
from glomfeat.results.procedure import (
    COLUMNS,
    CORRECTED,
    LEFT_OUT,
    limits_of_procedure,
    pairs_serve,
    procedure_in_words,
)
from glomfeat.results.tables import result_columns, results_table


@pytest.fixture
def of_pairs(monkeypatch):
    """A run of five folds that serve each other, whose inner figures differ from fold to fold."""
    monkeypatch.setattr(runs, "FOLDS", 5)
    run = make_run()
    for number, record in enumerate(run.records.values()):
        record["inner_auroc"] = 0.5 if record["arm"] == FLOOR else 0.5 + 0.1 * (number % 5)
    return run


def by_arm(run):
    return results_table(run).set_index("arm")


def test_folds_that_serve_each_other_are_left_out(of_pairs):
    rows = by_arm(of_pairs)
    assert pairs_serve(of_pairs) and {*COLUMNS} < {*result_columns()}
    for arm in (GOOD, WEAK):
        row = rows.loc[arm]
        assert row["auroc_procedure_by"] == LEFT_OUT
        assert 0 <= row["auroc_procedure_lo"] < row["auroc_lo"] < row["auroc_hi"] < row["auroc_procedure_hi"] <= 1
    floor = rows.loc[FLOOR]
    assert floor["auroc_procedure_lo"] == floor["auroc_lo"] and floor["auroc_procedure_hi"] == floor["auroc_hi"]


def test_inner_figures_that_do_not_differ_from_what_folds_show_add_nothing(of_pairs):
    for repeat in range(runs.REPEATS):
        keys = [(WEAK, repeat, fold) for fold in range(5)]
        areas = [auroc(y, score) for y, score, _ in runs.of_arm(of_pairs, WEAK, repeat)]
        for key, own in zip(keys, areas, strict=True):
            of_pairs.records[key]["inner_auroc"] = (sum(areas) - own) / 4
    row = by_arm(of_pairs).loc[WEAK]
    assert row["auroc_procedure_lo"] == pytest.approx(row["auroc_lo"], abs=1e-9)
    assert row["auroc_procedure_hi"] == pytest.approx(row["auroc_hi"], abs=1e-9)


def test_three_folds_do_not_serve_each_other_and_have_the_corrected_variance():
    run = make_run()
    row = by_arm(run).loc[WEAK]
    assert not pairs_serve(run) and row["auroc_procedure_by"] == CORRECTED
    areas = np.array([auroc(y, score) for y, score, _ in runs.of_arm(run, WEAK)])
    error = np.sqrt((1 / 6 + 1 / 2) * areas.var(ddof=1))  # three folds, twice; a tested image for two that are learnt
    middle, half = math.log(areas.mean() / (1 - areas.mean())), 2.5706 * error / (areas.mean() * (1 - areas.mean()))
    low, high = (1 / (1 + math.exp(-(middle + side))) for side in (-half, half))
    expected = min(low, row["auroc_lo"]), max(high, row["auroc_hi"])
    assert (row["auroc_procedure_lo"], row["auroc_procedure_hi"]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("lost", [None, math.nan])
def test_without_inner_figures_the_corrected_variance_is_taken(of_pairs, lost):
    of_pairs.records[WEAK, 1, 3]["inner_auroc"] = lost
    del of_pairs.records[GOOD, 0, 0]["inner_auroc"]
    rows = by_arm(of_pairs)
    assert rows.loc[WEAK, "auroc_procedure_by"] == rows.loc[GOOD, "auroc_procedure_by"] == CORRECTED


def test_trials_that_failed_and_networks_have_the_corrected_variance(of_pairs):
    trials = [trial for trial in of_pairs.trials if str(trial.arm) == GOOD]
    net = Arm(net="compact")
    for arm in (net, Arm(members=(trials[0].arm, net))):
        moved = [replace(trial, arm=arm) for trial in trials]
        records = {trial.key: of_pairs.record(old) for trial, old in zip(moved, trials, strict=True)}
        found = limits_of_procedure(replace(of_pairs, records=records), moved, (0.7, 0.8), True, units_of(of_pairs))
        assert found["auroc_procedure_by"] == CORRECTED
    end(of_pairs, WEAK, "failed", "broke", folds=[2])
    assert by_arm(of_pairs).loc[WEAK, "auroc_procedure_by"] == CORRECTED


def test_the_corrected_variance_is_that_of_the_trials_that_are_done():
    run = end(make_run(n=97, cases=8), WEAK, "failed", "broke", folds=[2])
    done = [key for key, record in run.records.items() if key[0] == WEAK and record["status"] == "done"]
    areas = np.array([auroc(y, score) for y, score, _ in runs.of_arm(run, WEAK)])
    of = [(run.folds["repeat"] == repeat) & (run.folds["fold"] == fold) for _, repeat, fold in done]
    tested = sum(test.sum() for test in of)
    error = areas.var(ddof=1) * (1 / len(done) + tested / (len(done) * 97 - tested))  # Nadeau & Bengio (2003)
    expected = procedure_limits(areas.mean(), (error, len(done) - 1), (0.0, 1.0), (0.45, 0.55))
    trials = [trial for trial in run.trials if str(trial.arm) == WEAK]
    found = limits_of_procedure(run, trials, (0.45, 0.55), False, units_of(run))
    assert (found["auroc_procedure_lo"], found["auroc_procedure_hi"]) == pytest.approx(expected, abs=1e-12)


def test_a_single_trial_tells_nothing_of_the_procedure():
    run = end(make_run(), WEAK, "failed", "broke", folds=[1, 2])
    trials = [trial for trial in run.trials if str(trial.arm) == WEAK and trial.fold == 0 and trial.repeat == 0]
    assert limits_of_procedure(run, trials, (0.4, 0.6), False, units_of(run)) == {}
    row = by_arm(end(make_run(), WEAK, "failed", "broke")).loc[WEAK]
    assert row[list(COLUMNS)].isna().all() and procedure_in_words(row.to_dict()) == ""


def test_a_sentence_says_which_limits_are_of_what():
    row = {"auroc_lo": 0.85, "auroc_hi": 0.93, "auroc_procedure_lo": 0.84, "auroc_procedure_hi": 0.94}
    assert procedure_in_words({**row, "auroc_procedure_by": CORRECTED}) == (
        "The limits of the best AUROC, 0.850 to 0.930, are for these fitted models on other cases. If the same "
        "procedure were trained again on other cases, they would be 0.840 to 0.940 (by the corrected variance over "
        "trials of Nadeau and Bengio (2003))."
    )
    same = {**row, "auroc_procedure_lo": 0.85, "auroc_procedure_hi": 0.93, "auroc_procedure_by": CORRECTED}
    assert procedure_in_words(same) == (
        "The limits of the best AUROC, 0.850 to 0.930, are for these fitted models on other cases."
    ), "training again adds something, even where it cannot be estimated"
    said = procedure_in_words({**row, "auroc_procedure_by": LEFT_OUT}, "image")
    assert "other images. If the same" in said and "of testing, over images, and of training" in said
