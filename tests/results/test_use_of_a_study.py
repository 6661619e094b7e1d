"""What a study notes for sets of classes, and predictive values that are asked for after it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from helpers.runs import write_feature_table

from glomfeat.comparison.options import Study
from glomfeat.core.arms import StudyError
from glomfeat.metrics.conformal import case_quantile
from glomfeat.report.content import read_content
from glomfeat.report.sections import use

OPTIONS = {"reducers": ("none",), "heads": ("svm", "logreg"), "folds": 4}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study with an ensemble, whose members note their inner scores."""
    place = tmp_path_factory.mktemp("study")
    data = write_feature_table(place / "table.csv")
    pair = ",".join(f"file:{data}/none/{head}" for head in OPTIONS["heads"])
    options = OPTIONS | {"data": str(data), "ensembles": (pair,)}
    run, *_ = run_study(place, **options)
    return place, run, options


def test_trials_note_the_distance_that_sets_bear(study):
    place, run, _ = study
    noted = [record["conformal"] for record in run.records.values()]
    assert len(noted) == len(run.trials) and all(one["cases"] == 12 for one in noted)
    assert all(0 < one["quantile"] < 1 for one in noted)
    table = pd.read_csv(place / "out" / "conformal.csv")
    best = table[table["class"] == "all"].set_index("arm").loc[run.results["arm"][0]]
    assert best["coverage"] > 0.75 and best["calibrated_by"] == 12 and np.isnan(best["note"])


def test_predictive_values_can_be_asked_for_after_a_run(study, tmp_path):
    place, run, options = study
    out = shutil.copytree(place / "out", tmp_path / "out")
    before, journal = (out / "results.csv").read_bytes(), (out / "journal.jsonl").read_text()
    run_study(tmp_path, **options, cache=str(place / "cache"), prevalence=(0.05,))
    table = pd.read_csv(out / "predictive_values.csv")
    assert set(table["prevalence"].round(4)) == {0.05, round(run.manifest.labels.mean(), 4)}
    assert (out / "results.csv").read_bytes() == before
    added = (out / "journal.jsonl").read_text().removeprefix(journal).splitlines()
    assert all("written" in json.loads(line) for line in added)
    content = read_content(out)
    said = use.fill(content)["said"]
    assert any(sentence.startswith("If 5 % of images are class 1, ") for sentence in said)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_a_share_that_none_can_be_is_refused(share):
    with pytest.raises(StudyError, match="give shares above 0 and below 1"):
        Study(prevalence=(0.2, share)).check()


def test_sets_are_calibrated_on_inner_scores_of_training_cases(study):
    _, run, _ = study
    members = [trial for trial in run.trials if "inner_scores" in run.record(trial)]
    assert len(members) == 8
    for trial in members:
        rows, record = np.sort(run.learnt(trial)), run.record(trial)
        found = case_quantile(run.manifest.labels[rows], np.array(record["inner_scores"]), run.manifest.cases[rows])
        assert record["conformal"]["cases"] == found[1] == 12
        # where a class is in fewer than twelve cases rows are dealt twice, and the journal has means
        assert record["conformal"]["quantile"] == pytest.approx(found[0], abs=0.1 if trial.fold else 1e-12)
