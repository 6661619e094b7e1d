"""What a finished run leaves in its folder: the table of outputs, and what follows from it."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.running import run_study
from helpers.runs import make_run
from pyarrow import parquet

from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.results import finished as of_finished
from glomfeat.results import predictions, write
from glomfeat.results.finished import Finished
from glomfeat.results.write import ALONG, OUTPUTS, Output, write_outputs

pytestmark = pytest.mark.usefixtures("dealt_once")

PAGE = Path(__file__).parents[2] / "glomfeat/docs/output.md"
OPTIONS = {"reducers": ("none",), "heads": ("svm",), "folds": 2}


def finished_run(**more):
    return Finished(**make_run().given(), title="made up", **more)


def test_a_run_leaves_the_files_that_it_has_something_for(tmp_path):
    write_outputs(finished_run(), tmp_path)
    plain = {"results.csv", "results.md", "results.tex", "comparisons.csv", "reliability.csv", "trials.csv"}
    plain |= {"predictions.parquet", "predictions.xlsx", "labels_to_check.csv"}
    plain |= {"best_of_many.csv", "pairs.csv"}
    plain |= {"calibration.csv", "calibration_curve.csv", "decision_curve.csv", "predictive_values.csv"}
    plain |= {"abstention.csv", "conformal.csv"}
    plain |= {"next_study.csv"}
    assert {path.name for path in tmp_path.iterdir()} == plain
    write_outputs(finished_run(environment={"python": "3"}, learning_curve=True), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == plain | {"environment.json", "learning_curve.csv"}
    assert (tmp_path / "environment.json").read_text() == '{\n  "python": "3"\n}\n'


def test_one_more_row_is_one_more_file(tmp_path, feature_table, monkeypatch):
    def best(finished, path):
        path.write_text(finished.results["arm"][0])

    monkeypatch.setitem(write.OUTPUTS, "best.txt", Output("best.txt", "The best arm.", best))
    never = Output("never.txt", "Nothing.", best, lambda finished: finished.seed != 0)
    monkeypatch.setitem(write.OUTPUTS, "never.txt", never)
    _, results, _, _ = run_study(tmp_path, data=str(feature_table), **OPTIONS)
    assert (tmp_path / "out" / "best.txt").read_text() == results["arm"][0]
    assert not (tmp_path / "out" / "never.txt").exists()


def test_each_table_of_a_run_is_made_once(monkeypatch):
    made = []
    for name in ("comparisons_table", "results_table", "reliability_table", "trials_table"):
        table = getattr(of_finished, name)
        said = lambda run, *rest, name=name, table=table: made.append(name) or table(run, *rest)  # noqa: E731
        monkeypatch.setattr(f"glomfeat.results.finished.{name}", said)
    run = finished_run()
    for _ in range(2):
        assert all(len(table) for table in (run.comparisons, run.results, run.reliability, run.own_trials))
    assert sorted(made) == ["comparisons_table", "reliability_table", "results_table", "trials_table"]


def test_trials_of_further_folds_follow_the_study_s_own():
    run = make_run()
    both = finished_run(beside={"image:": replace(run, trials=run.trials[:2])}).all_trials
    assert len(both) == len(run.trials) + 2
    pd.testing.assert_frame_equal(both[: len(run.trials)], finished_run().own_trials)


@pytest.mark.parametrize("classes", [2, 3])
def test_many_predictions_are_written_some_at_a_time_and_few_as_pandas_does(tmp_path, monkeypatch, classes):
    run = make_run(classes)
    whole = predictions.predictions_table(run)
    whole.to_parquet(tmp_path / "pandas.parquet", index=False)
    predictions.write_predictions(run, tmp_path / "few.parquet")
    assert (tmp_path / "few.parquet").read_bytes() == (tmp_path / "pandas.parquet").read_bytes()
    monkeypatch.setattr(predictions, "ROWS", 100)
    predictions.write_predictions(run, tmp_path / "many.parquet")
    assert parquet.ParquetFile(tmp_path / "many.parquet").num_row_groups == len(whole) // 144  # three trials of 48
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "many.parquet"), pd.read_parquet(tmp_path / "few.parquet"))
    run.records.clear()
    predictions.write_predictions(run, tmp_path / "none.parquet")
    assert pd.read_parquet(tmp_path / "none.parquet").columns.tolist() == whole.columns.tolist()[:10]


@pytest.mark.parametrize("name", [*OUTPUTS, *ALONG])
def test_the_readme_tells_of_every_file(name):
    rows = re.findall(r"^\| (`.+?) \| ", PAGE.read_text(encoding="utf-8"), re.M)
    assert f"`{name}`" in ", ".join(rows)
    assert name == (OUTPUTS[name].name if name in OUTPUTS else name)


@pytest.mark.parametrize("says", [*(output.says for output in OUTPUTS.values()), *ALONG.values()])
def test_what_a_file_holds_is_a_sentence(says):
    assert says[0].isupper() and says.endswith(".")


def test_a_run_writes_no_file_that_no_table_names(tmp_path, few_images, no_changed_copies):
    options = {"data": str(few_images), "features": ("shortcut",), "nets": ("F-D4-out",), "epochs": 1, "size": 32}
    elsewhere = make_phantom(tmp_path / "far", Phantom(images=12, cases=4, positives=0.5, seed=7, min_px=48, max_px=60))
    readers = tmp_path / "readers.csv"
    readers.write_text(f"name,A\n{min(path.name for path in few_images.rglob('*.png'))},1\n")
    beside = {"leak_price": True, "learning_curve": True, "perturb": ("jpeg",), "subgroups": ("case",)}
    beside |= {"reference": "shortcut/none/svm"}
    beside |= {"readers": str(readers)}
    run_study(tmp_path, **beside, test=(str(elsewhere),), **options, **OPTIONS)
    left = {path.name + "/" * path.is_dir() for path in (tmp_path / "out").iterdir()}
    of_report = {"report.html", "errors.html", "figures/", "cases.csv", "agreement.csv", "methods.bib", "models/"}
    of_report |= {"tensorboard/"}
    of_another_split = {"sites.csv", "joined.csv", "joined_pairs.csv"}  # and of columns beside images
    of_other_cases_or_classes = {"case_level.csv", "classes.csv", "ordinal.csv"}
    assert left == {*OUTPUTS, *ALONG} - of_report - of_another_split - of_other_cases_or_classes
