"""A run is rebuilt from its output folder: the same tables, at its end and half way."""

import json
import shutil

import pandas as pd
import pytest

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import FLOOR, Arm, StudyError, Trial
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run
from glomfeat.results.predictions import predictions_table
from glomfeat.results.tables import results_table, trials_table

pytestmark = pytest.mark.usefixtures("dealt_once")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom_folder):
    """A study of the small phantom: its run, and its folder."""
    place = tmp_path_factory.mktemp("load")
    options = {"data": str(phantom_folder), "features": ("shortcut",), "heads": ("logreg", "svm"), "repeats": 2}
    study = Study(**options, folds=2, size=16, jobs=1, out=str(place / "out"), cache=str(place / "cache"))
    run, results, _ = compare(prepare(study, say=lambda line: None), say=lambda line: None)
    return run, results, place / "out"


def test_the_folder_gives_the_same_tables(finished):
    run, results, out = finished
    loaded = load_run(out)
    assert loaded.done == (12, 12) and loaded.whole
    pd.testing.assert_frame_equal(results_table(loaded.run), results)
    pd.testing.assert_frame_equal(trials_table(loaded.run), trials_table(run))
    pd.testing.assert_frame_equal(predictions_table(loaded.run), predictions_table(run), check_dtype=False)
    assert loaded.run.manifest.said == run.manifest.said and loaded.run.manifest.classes == run.manifest.classes
    assert loaded.environment["packages"] and loaded.study["folds"] == 2 and loaded.quarantine.empty
    assert loaded.about["title"].endswith("2 folds x 2 repeats, split by case")


@pytest.mark.parametrize(
    ("reason", "several", "left"),
    [
        ("", False, False),
        ("mean of 2 support vector machines of parts of the rows", True, False),
        ("mean of 8 support vector machines of parts of the rows (others are not learnt)", True, True),
    ],
)
def test_methods_say_where_several_machines_were_averaged(finished, reason, several, left):
    loaded = load_run(finished[2])
    next(record for key, record in loaded.run.records.items() if key[0].endswith("svm"))["reason"] = reason
    said = " ".join(paragraph(loaded))
    of_parts = (
        "Of more than 6,000 training images, the mean of the decisions of several support vector machines was taken"
    )
    assert (of_parts in said, "did not learn from the images of further parts" in said) == (several, left)


def test_methods_claim_no_reduction_that_did_not_take_place(finished):
    """The ten columns of the built-in feature are fewer than the usual reducer makes of them."""
    loaded = load_run(finished[2])
    assert "; reduction: no reduction (ipca128 leaves so few columns as they are);" in " ".join(paragraph(loaded))
    (feature,) = loaded.identity["features"]
    for trial in [trial for trial in loaded.run.trials if trial.arm.head == "svm"]:
        wide = Trial(Arm("wide.v1", "ipca128", "svm"), trial.repeat, trial.fold)
        loaded.run.trials.append(wide)
        loaded.run.records[wide.key] = loaded.run.record(trial) | {"arm": str(wide.arm), "reason": ""}
    said = f"; reduction: ipca128 (which leaves the columns of {feature} as they are);"
    assert said in " ".join(paragraph(loaded))
    for key, record in loaded.run.records.items():
        record["reason"] = "" if key[0] != FLOOR else record["reason"]
    assert "; reduction: ipca128;" in " ".join(paragraph(loaded))


def test_methods_describe_no_comparison_that_was_not_made(finished):
    loaded, compared = load_run(finished[2]), "Each arm was compared with the best one"
    assert compared in " ".join(paragraph(loaded, finished[1]))
    for key, record in loaded.run.records.items():
        record["status"] = "failed" if key[0].endswith("svm") else record["status"]
    alone = " ".join(paragraph(loaded))
    assert compared not in alone and "The best figure was corrected" not in alone and "were chosen on inner" in alone
    for key, record in loaded.run.records.items():
        record["status"] = "done" if key[0] == FLOOR else "failed"
    nothing = " ".join(paragraph(loaded, finished[1][finished[1]["arm"] == FLOOR]))
    assert "No trial came to its end, so that nothing was chosen, and no test fold was scored." in nothing
    assert not any(said in nothing for said in (compared, "were chosen on inner", "trained again", "scored once"))


def test_methods_say_in_how_many_trials_nothing_could_be_chosen(finished):
    loaded = load_run(finished[2])
    record = next(record for key, record in loaded.run.records.items() if key[0].endswith("svm"))
    record |= {"reason": "inner splits cannot hold both classes: the head has its default setting", "threshold": 0.25}
    said = " ".join(paragraph(loaded))
    assert "Hyper-parameters and decision thresholds were chosen on inner splits by case" in said
    assert said.count(
        "In 1 of 8 trials, inner splits of the training data could not hold all classes: hyper-parameters kept their "
        "defaults and the threshold was 0.25."
    )


def test_methods_say_how_limits_of_the_procedure_were_found(finished):
    loaded = load_run(finished[2])
    results = results_table(loaded.run)
    said = paragraph(loaded, results)[3]
    assert said.endswith(
        "Limits of the AUROC of a procedure that is trained again on other cases are those from the corrected variance "
        "over trials (Nadeau & Bengio 2003)."
    )
    several = results.assign(auroc_procedure_by=["folds left out", "corrected variance", None][: len(results)])
    assert (
        "without one more fold (delete-a-group jackknife: Shao & Wu 1989) or those from the corrected variance"
        in (paragraph(loaded, several)[3])
    )
    assert "Limits of the AUROC of a procedure" not in paragraph(loaded, results.assign(auroc_procedure_by=None))[3]


def test_half_a_run_is_read_too(finished, tmp_path):
    out = tmp_path / "half"
    shutil.copytree(finished[2], out)
    lines = (out / "journal.jsonl").read_text().splitlines()
    (out / "journal.jsonl").write_text("\n".join(lines[:8]) + '\n{"arm": "torn')
    (out / "environment.json").unlink()
    loaded = load_run(out)
    assert loaded.done == (5, 12) and not loaded.whole and loaded.environment == {}
    assert set(results_table(loaded.run)["status"]) <= {"done", "partial", "planned"}


def test_what_the_run_is_about_is_written_once(finished):
    lines = [json.loads(line) for line in (finished[2] / "journal.jsonl").read_text().splitlines()]
    assert ["study" in line for line in lines] == [True] + [False] * 15
    assert ["about" in line for line in lines] == [False, True] + [False] * 14


def test_names_that_look_like_numbers_stay_what_they_are(tmp_path):
    cases = ["=1+1", "007", "7", "07", "1e3", "7.0"]
    rows = [f"{k:03d},{k // 6 % 2},{cases[k % 6]},{k * 1.5}" for k in range(24)]
    (tmp_path / "table.csv").write_text("name,label,case,x\n" + "\n".join(rows))
    settings = {"heads": ("logreg",), "reducers": ("none",), "folds": 3, "jobs": 1, "groups": "case"}
    study = Study(data=str(tmp_path / "table.csv"), out=str(tmp_path / "out"), cache=str(tmp_path / "c"), **settings)
    run, _, _ = compare(prepare(study, say=lambda line: None), say=lambda line: None)
    loaded = load_run(tmp_path / "out")
    assert loaded.run.manifest.table["case"].tolist() == [str(case) for case in run.manifest.table["case"]]
    assert loaded.run.manifest.table["name"].tolist() == run.manifest.table["name"].tolist()
    written = pd.read_csv(tmp_path / "out" / "folds.csv", dtype=str)  # in which no text is a formula
    assert set(written["case"]) == {*cases[1:], "'=1+1"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no run (no journal.jsonl): give the folder"),
        ({"one/journal.jsonl": "{}"}, "there are runs in its folders one: give the folder"),
        ({"journal.jsonl": '{"study": {}}\n'}, "was written before reports were made: run `python -m studies.compare"),
        ({"journal.jsonl": '{"study": {}}\n{"about": {}}\n'}, "has no folds yet: its images are still being read"),
    ],
)
def test_a_folder_that_is_no_run_says_what_to_do(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(StudyError) as error:
        load_run(tmp_path)
    assert said in str(error.value)
