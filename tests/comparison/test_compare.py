"""The main job from end to end: what it writes, that it resumes, and that nothing but the study changes its numbers."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.running import run_study

from glomfeat.comparison.compare import compare
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.memory import BudgetError
from glomfeat.data.manifest import read_manifest
from glomfeat.data.splits import MOST_DEALS
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run
from glomfeat.results.tables import MEASURED, result_columns

pytestmark = pytest.mark.usefixtures("dealt_once")

ROOT = Path(__file__).parents[2]
FILES = {
    *("results.csv", "results.md", "trials.csv", "predictions.parquet", "folds.csv", "study.yaml"),
    *("environment.json", "journal.jsonl", "quarantine.csv", "comparisons.csv", "reliability.csv"),
    *("neighbours.csv", "importance.csv", "best_of_many.csv", "pairs.csv"),
    *("next_study.csv", "calibration.csv", "calibration_curve.csv", "decision_curve.csv"),
    *("predictive_values.csv", "abstention.csv", "conformal.csv"),
    *("predictions.xlsx", "labels_to_check.csv", "results.tex"),
}


def same_bytes(one, other):
    """Compare what two runs wrote, without the columns that are measured."""
    assert (one / "predictions.parquet").read_bytes() == (other / "predictions.parquet").read_bytes()
    assert (one / "folds.csv").read_bytes() == (other / "folds.csv").read_bytes()
    for name in ("results.csv", "trials.csv"):
        a, b = (
            pd.read_csv(out / name, dtype=str).drop(columns=list(MEASURED), errors="ignore") for out in (one, other)
        )
        pd.testing.assert_frame_equal(a, b)


def test_a_study_writes_everything(phantom_folder, tmp_path, fewer_trees):
    features, heads = ("classical", "shortcut"), ("logreg", "xgboost")
    options = {"features": features, "heads": heads, "size": 32, "folds": 2}
    _, results, quarantine, _ = run_study(tmp_path, data=str(phantom_folder), **options)
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == FILES and not quarantine
    written = pd.read_csv(out / "results.csv")
    assert written.columns.tolist() == result_columns() and len(written) == 5
    assert (written["status"] == "done").all() and (written["n_trials"] == 2).all()
    assert written["auroc"].is_monotonic_decreasing and results["arm"].tolist() == written["arm"].tolist()
    assert (written["auroc_lo"] <= written["auroc"]).all() and (written["auroc"] <= written["auroc_hi"]).all()
    assert written.set_index("arm").loc["none/none/dummy", "auroc"] == 0.5
    assert all(str(Arm.parse(arm)) == arm for arm in written["arm"])
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert predictions.groupby("arm")["name"].nunique().eq(48).all() and len(predictions) == 240
    assert json.loads((out / "environment.json").read_text())["packages"]["scikit-learn"]
    assert yaml.safe_load((out / "study.yaml").read_text())["features"] == list(features)
    # the phantom is meant to be learnable: something must beat the floor
    assert written["auroc"][0] > 0.75


def test_the_second_run_computes_nothing(phantom_folder, tmp_path, monkeypatch):
    options = {"data": str(phantom_folder), "features": ("shortcut", "pixels"), "heads": ("svm",), "size": 24}
    options["folds"] = 2
    run_study(tmp_path, **options)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def refuse(*arguments, **more):
        raise AssertionError("computed again")

    monkeypatch.setattr("glomfeat.features.extract.decode_rows", refuse)
    monkeypatch.setattr("glomfeat.features.base.Handcrafted.transform", refuse)
    monkeypatch.setattr("glomfeat.comparison.run.run_trial", refuse)
    run_study(tmp_path, **options)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.slow
def test_jobs_and_caches_change_no_byte(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "features": ("shortcut", "pixels"), "reducers": ("ipca8",), "size": 24}
    run_study(tmp_path, **options)
    run_study(tmp_path, **options, jobs=2, out=str(tmp_path / "two"), cache=str(tmp_path / "cold"))
    same_bytes(tmp_path / "out", tmp_path / "two")


def start(*arguments):
    command, quiet = [sys.executable, "-m", "studies.compare", *map(str, arguments)], subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(feature_table, tmp_path, monkeypatch):
    monkeypatch.setattr("glomfeat.data.splits.MOST_DEALS", MOST_DEALS)  # as the command does
    options = {"data": str(feature_table), "reducers": ("none", "ipca3"), "repeats": 3, "folds": 2, "heads": ("svm",)}
    run_study(tmp_path, **options)
    out, cache = tmp_path / "killed", str(tmp_path / "cold")
    command = [feature_table, "--heads", "svm", "--reducers", "none", "ipca3", "--repeats", "3"]
    killed = start(*command, "--folds", "2", "--jobs", "1", "--out", out, "--cache", cache)
    journal, until = out / "journal.jsonl", time.monotonic() + 120
    while time.monotonic() < until and (not journal.exists() or journal.read_bytes().count(b"\n") < 8):
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 6 <= done < 18, "the run must be killed half way for this test to mean anything"
    with journal.open("ab") as file:
        file.write(b'{"arm": "torn')  # a crash in the middle of a line
    run_study(tmp_path, **options, out=str(out), cache=cache)
    same_bytes(tmp_path / "out", out)


@pytest.mark.slow
def test_a_killed_command_ends_with_the_same_bytes_when_it_is_typed_again(feature_table, tmp_path):
    command = [feature_table, "--heads", "logreg", "svm", "--folds", "3", "--jobs", "1", "--cache"]
    assert start(*command, tmp_path / "cache", "--out", tmp_path / "whole").wait(300) == 0
    killed = start(*command, tmp_path / "cold", "--out", tmp_path / "killed")
    journal, until = tmp_path / "killed" / "journal.jsonl", time.monotonic() + 120
    while time.monotonic() < until and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert 2 <= journal.read_bytes().count(b"\n") - 1 < 9
    assert start(*command, tmp_path / "cold", "--out", tmp_path / "killed").wait(300) == 0
    same_bytes(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_a_study_is_repeated_from_its_yaml(feature_table, tmp_path, monkeypatch):
    monkeypatch.setattr("glomfeat.data.splits.MOST_DEALS", MOST_DEALS)  # as the command does
    run_study(tmp_path, data=str(feature_table), heads=("logreg",))
    command = [sys.executable, "-m", "studies.compare", "--config", str(tmp_path / "out" / "study.yaml")]
    subprocess.run([*command, "--out", str(tmp_path / "again")], cwd=ROOT, check=True, capture_output=True)
    same_bytes(tmp_path / "out", tmp_path / "again")


def test_another_study_is_refused_with_the_difference(feature_table, tmp_path):
    options = {"data": str(feature_table), "heads": ("svm",), "folds": 2}
    run_study(tmp_path, **options)
    with pytest.raises(StudyError) as refused:
        run_study(tmp_path, **options, seed=1)
    assert "holds another study (seed: 0 there, 1 now): choose another folder with --out" in str(refused.value)
    frame = pd.read_csv(feature_table)
    frame.iloc[1:].to_csv(feature_table, index=False)
    with pytest.raises(StudyError, match=r"160 images.* there, 159 images.* now"):
        run_study(tmp_path, **options)


def test_a_folder_with_other_files_is_refused(feature_table, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("mine")
    with pytest.raises(StudyError, match="holds files but no study: choose another folder with --out"):
        run_study(tmp_path, data=str(feature_table))


@pytest.mark.slow
def test_seeds_and_repeats_change_folds_and_scores(feature_table, tmp_path):
    options = {"data": str(feature_table), "heads": ("svm",), "folds": 2}
    run_study(tmp_path, **options, repeats=2)
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    apart = folds.groupby("repeat")["fold"].agg(tuple)
    assert apart[0] != apart[1]
    run_study(tmp_path, **options, seed=1, out=str(tmp_path / "other"))
    assert tuple(pd.read_csv(tmp_path / "other" / "folds.csv")["fold"]) != apart[0]


def test_adding_an_arm_changes_no_other_arm(feature_table, tmp_path):
    run_study(tmp_path, data=str(feature_table), heads=("svm",), folds=2)
    run_study(tmp_path, data=str(feature_table), heads=("logreg", "svm"), folds=2, out=str(tmp_path / "more"))
    one, more = (pd.read_parquet(tmp_path / out / "predictions.parquet") for out in ("out", "more"))
    pd.testing.assert_frame_equal(one, more[more["arm"].isin(one["arm"])].reset_index(drop=True))


def test_an_image_level_split_marks_every_output(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "features": ("shortcut",), "size": 16, "heads": ("svm",), "folds": 2}
    _, _, _, said = run_study(tmp_path, **options, groups="none", learning_curve=True, perturb=("blur",))
    mark, out = "image-level split: scores are optimistic", tmp_path / "out"
    tables = {path.name: pd.read_csv(path) for path in out.glob("*.csv") if path.name != "quarantine.csv"}
    filled = {"results.csv", "trials.csv", "folds.csv", "learning_curve.csv", "robustness.csv", "importance.csv"}
    assert not any(tables[name].empty for name in filled)
    assert [name for name, table in tables.items() if (table["split"] != mark).any()] == []
    assert (pd.read_parquet(out / "predictions.parquet")["split"] == mark).all()
    assert mark.upper() in (out / "results.md").read_text() and any(
        f"folds: {mark}; no image is in two of them; " in line for line in said
    )


def test_holdout_tests_each_repeat_once(feature_table, tmp_path):
    run_study(tmp_path, data=str(feature_table), heads=("svm",), scheme="holdout", repeats=3)
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert (trials["fold"] == "outer-test").all() and len(trials) == 6
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    train = folds[folds["fold"] == "train"].groupby("repeat").size()
    assert trials.groupby("repeat")["n_train"].first().tolist() == train.tolist()


@pytest.mark.slow
def test_a_study_leaves_no_workers_that_joblib_takes_for_its_own(feature_table, tmp_path):
    joblib.Parallel(2)([joblib.delayed(abs)(-1)])
    run_study(tmp_path, data=str(feature_table), heads=("logreg",), jobs=2)
    assert joblib.Parallel(2)([joblib.delayed(abs)(-1)]) == [1]


def test_a_head_that_fails_is_a_row_and_the_rest_goes_on(feature_table, tmp_path, monkeypatch, parts_here):
    (tmp_path / "badheads.py").write_text(
        "from sklearn.base import BaseEstimator, ClassifierMixin\n"
        "class Bad(ClassifierMixin, BaseEstimator):\n"
        "    def fit(self, X, y):\n"
        "        raise RuntimeError('no such luck')\n"
        "    def predict_proba(self, X):\n"
        "        return X[:, :2]\n"
        "def bad(seed):\n"
        "    return Bad()\n"
    )
    monkeypatch.chdir(tmp_path)
    _, results, _, _ = run_study(tmp_path, data=str(feature_table), heads=("badheads:bad", "svm"), folds=2)
    row = results.set_index("head").loc["badheads:bad"]
    where = "(badheads.py:4: raise RuntimeError('no such luck'))"
    why = f"head badheads:bad: fit raised RuntimeError: no such luck {where}"
    assert (row["status"], row["n_trials"], row["reason"]) == ("failed", 0, why)
    assert results.set_index("head").loc["svm", "status"] == "done"


def test_a_trial_that_gets_no_memory_is_skipped_and_tried_again(feature_table, tmp_path, monkeypatch, parts_here):
    (tmp_path / "hungry.py").write_text(
        "import pathlib\n"
        "from glomfeat.models.heads.built_in import logreg\n"
        "def head(seed):\n"
        "    if not pathlib.Path('enough').exists():\n"
        "        raise MemoryError('Unable to allocate 9 TiB')\n"
        "    return logreg(seed)\n"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "enough").touch()
    prepared = prepare(Study(str(feature_table), heads=("hungry:head",), out="o", cache="c", jobs=1, folds=2), print)
    (tmp_path / "enough").unlink()
    _, results, _ = compare(prepared, print)
    row = results.set_index("head").loc["hungry:head"]
    assert row["status"] == "skipped" and row["reason"] == (
        "memory: the system gives no more (Unable to allocate 9 TiB): free some"
    )
    (tmp_path / "enough").touch()
    assert (compare(prepared, print)[1]["status"] == "done").all()


@pytest.mark.slow
def test_the_trials_of_a_killed_worker_are_run_again(feature_table, tmp_path, monkeypatch, without_report):
    from studies import compare as study
    from studies._cli import run_main

    (tmp_path / "killed.py").write_text(
        "import os, pathlib, signal\n"
        "from glomfeat.models.heads.built_in import logreg\n"
        "def once(seed):\n"
        "    mark = pathlib.Path('killed-once')\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return logreg(seed)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glomfeat.comparison.prepare.make_head", lambda name, seed: None)  # the parent must live
    monkeypatch.setattr("glomfeat.core.workers.how_many", lambda calls, jobs, budget: (1, budget))
    arguments = [str(feature_table), "--heads", "svm", "killed:once", "--folds", "2", "--jobs", "2"]
    arguments += ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    with pytest.raises(SystemExit) as stopped:
        run_main(study.main, arguments)
    assert stopped.value.code == 0 and (tmp_path / "killed-once").exists()
    assert (pd.read_csv(tmp_path / "out" / "results.csv")["status"] == "done").all()


@pytest.mark.slow
def test_a_worker_killed_for_memory_is_a_row_and_the_rest_goes_on(feature_table, tmp_path, monkeypatch):
    (tmp_path / "greedy.py").write_text(
        "import os, signal\ndef always(seed):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("glomfeat.comparison.prepare.make_head", lambda name, seed: None)
    heads = ("logreg", "greedy:always")
    _, results, _, _ = run_study(tmp_path, data=str(feature_table), heads=heads, folds=2, jobs=2)
    row = results.set_index("head").loc["greedy:always"]
    assert (row["status"], row["n_trials"]) == ("skipped", 0)
    assert row["reason"].startswith("memory: its worker process was killed twice, most likely because memory ran out")
    assert (results[results["head"] != "greedy:always"]["status"] == "done").all()


@pytest.mark.slow
def test_workers_find_modules_where_each_run_was_started(feature_table, tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        text = "from glomfeat.models.heads.built_in import logreg\n\ndef head(seed):\n    return logreg(seed)\n"
        (tmp_path / name / f"{name}mod.py").write_text(text)
        monkeypatch.chdir(tmp_path / name)
        options = {
            "data": str(feature_table),
            "heads": (f"{name}mod:head",),
            "jobs": 2,
            "out": str(tmp_path / name / "o"),
        }
        _, results, _, _ = run_study(tmp_path, **options)
        assert (results["status"] == "done").all()


@pytest.mark.slow
def test_what_does_not_fit_the_budget_is_skipped_with_need_and_have(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "features": ("pixels", "shortcut"), "heads": ("logreg",), "size": 224}
    options |= {"folds": 2}
    _, results, _, said = run_study(tmp_path, **options, memory="900MB")
    pixels = results[results["feature"] == "pixels.v1"].iloc[0]
    assert pixels["status"] == "skipped"
    assert re.fullmatch(
        r"memory: needs 1\.\d GB \(slices of rows, one at a time\) of 389\.9 MB: raise --memory by [\d.]+ [MG]B",
        pixels["reason"],
    )
    assert any(line.startswith("skipped for memory: pixels.v1/ipca128/logreg needs 1.") for line in said)
    assert (results[results["feature"] != "pixels.v1"]["status"] == "done").all()
    planned = pd.read_csv(tmp_path / "out" / "trials.csv").set_index("arm")["planned_mb"]
    assert planned["pixels.v1/ipca128/logreg"].min() > 1000 > planned["shortcut.v1/ipca128/logreg"].max() > 200
    _, results, _, _ = run_study(tmp_path, **options)
    assert (results["status"] == "done").all(), "what was skipped is tried again"


def test_a_budget_that_nothing_fits_is_refused_before_any_work(feature_table, phantom_folder, tmp_path):
    with pytest.raises(BudgetError) as refused:
        run_study(tmp_path, data=str(feature_table), heads=("logreg",), memory="400MB")
    assert re.fullmatch(
        r"\S+/ipca128/logreg needs 10\.0 MB \(160 rows of 6 columns, and what logreg makes of them\) and 0 B of "
        r"400\.0 MB are left beside the processes: raise --memory to 520\.5 MB",
        str(refused.value),
    )
    with pytest.raises(BudgetError, match=r"decoding needs .*: raise --memory by \d+\.0 MB, or pass a smaller --size"):
        run_study(tmp_path, data=str(phantom_folder), features=("pixels",), memory="100MB")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_exact_components_are_shared_by_folds_and_repeats_and_say_their_route(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "features": ("pixels", "classical"), "heads": ("logreg",), "size": 24}
    _, results, _, _ = run_study(tmp_path, **options, reducers=("pca8", "pca16"), repeats=2)
    rows = results.set_index("arm")
    assert (results["status"] == "done").all()
    for reducer in ("pca8", "pca16"):
        said = f"{reducer} by the gram route; {reducer[3:]} components are more than a fifth of the training rows"
        assert rows.loc[f"pixels.v1/{reducer}/logreg", "reason"] == said
    kept = {path.parent.name for path in (tmp_path / "cache").rglob("output.pkl")}
    sums = [text for text in map(Path.read_text, (tmp_path / "cache").rglob("metadata.json")) if "statistics" in text]
    grams = [text for text in sums if "'gram'" in text]
    assert len(kept) > len(sums) and len(grams) <= 2  # one of each feature, for all folds, repeats and reducers


def test_a_broken_image_is_quarantined(phantom_folder, tmp_path):
    import shutil

    data = tmp_path / "data"
    shutil.copytree(phantom_folder, data)
    whole = read_manifest(data)
    victims = [Path(path) for path in whole.table["path"][whole.table["case"] == whole.table["case"][0]]]
    for k, victim in enumerate(victims):
        victim.write_bytes(victim.read_bytes()[: 200 + k])
    options = {"features": ("shortcut",), "heads": ("svm",), "size": 16, "folds": 2}
    run, _, quarantine, said = run_study(tmp_path, data=str(data), **options)
    listed = pd.read_csv(tmp_path / "out" / "quarantine.csv")
    names = {victim.name for victim in victims}
    assert {*listed["name"]} == {row["name"] for row in quarantine} == names and "truncated" in listed["reason"][0]
    assert not any(name in line for line in said for name in names)
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    assert names.isdisjoint(folds["name"]) and folds["case"].nunique() == 7
    counts = folds["label"].value_counts()
    images = ", ".join(f"{counts[label]} {name}" for label, name in enumerate(whole.classes))
    title = f"{48 - len(names)} images of 7 cases: {images}; 2 folds, split by case"
    assert said[0].startswith("48 images of 8 cases: ") and run.title == title
    assert (tmp_path / "out" / "results.md").read_text(encoding="utf-8").startswith(f"# {title}\n")


def test_more_than_two_classes_work_everywhere(tmp_path):
    rng = np.random.default_rng(0)
    label = np.tile(["open", "segmental", "global"], 40)
    x = pd.factorize(label)[0][:, None] + rng.normal(0, 0.7, (120, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=label, case=np.repeat(np.arange(12), 10))
    frame.assign(name=[f"{k}.png" for k in range(120)]).to_csv(tmp_path / "three.csv", index=False)
    options = {"data": str(tmp_path / "three.csv"), "positive": "global", "folds": 2}
    run, results, _, _ = run_study(tmp_path, **options)
    assert run.manifest.classes == ("open", "segmental", "global")
    assert (results["status"] == "done").all() and results["auroc"].iloc[0] > 0.8
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    scores = predictions[[f"score_{name}" for name in run.manifest.classes]]
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6) and (predictions["score"] == scores["score_global"]).all()


@pytest.mark.parametrize("kind", ["platt", pytest.param("isotonic", marks=pytest.mark.slow)])
def test_calibration_is_part_of_the_study_and_moves_scores_to_frequencies(feature_table, tmp_path, kind):
    options = {"data": str(feature_table), "heads": ("svm",), "folds": 2}
    _, plain, _, _ = run_study(tmp_path, **options)
    with pytest.raises(StudyError, match=f"holds another study .calibration: none there, {kind} now.: choose another"):
        run_study(tmp_path, **options, calibration=kind)
    run, results, _, _ = run_study(tmp_path, **options, calibration=kind, out=str(tmp_path / kind))
    before, after = (table.set_index("head").loc["svm"] for table in (plain, results))
    assert after["auroc"] == pytest.approx(before["auroc"], abs=1e-12 if kind == "platt" else 0.06)
    records = [run.record(trial) for trial in run.trials if trial.arm.head == "svm"]
    assert all(list(record["calibration"]) == [kind] for record in records)
    floor = results.set_index("head").loc["dummy"]
    assert floor["auroc"] == 0.5 and (kind == "isotonic" or "platt: scores are left as they are" in floor["reason"])


def test_more_than_two_classes_are_calibrated(tmp_path):
    rng = np.random.default_rng(0)
    label = np.tile(["open", "segmental", "global"], 40)
    x = pd.factorize(label)[0][:, None] + rng.normal(0, 0.7, (120, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=label, case=np.repeat(np.arange(12), 10))
    frame.assign(name=[f"{k}.png" for k in range(120)]).to_csv(tmp_path / "three.csv", index=False)
    options = {"data": str(tmp_path / "three.csv"), "positive": "global", "heads": ("svm",), "calibration": "isotonic"}
    options["folds"] = 2
    _, results, _, _ = run_study(tmp_path, **options)
    assert (results["status"] == "done").all() and results["auroc"].iloc[0] > 0.8
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    scores = predictions[predictions["arm"].str.endswith("svm")][["score_open", "score_segmental", "score_global"]]
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6) and len(scores) == 120


@pytest.mark.slow
def test_random_twins_are_rows_of_pretrained_features_alone(phantom_folder, tmp_path):
    from safetensors.torch import save_file

    from glomfeat.features.deep.weights import random_network

    small = "shufflenet_v2_x0_5"
    save_file(random_network(small).state_dict(), tmp_path / f"{small}.mine.safetensors")
    options = {"data": str(phantom_folder), "heads": ("logreg",), "size": 32, "folds": 2, "random_twin": True}
    features = (small, "shortcut")
    _, results, _, said = run_study(tmp_path, **options, features=features, weights=str(tmp_path))
    rows = results[results["kind"] == "features"].set_index("feature")["weights"].drop("none")
    twin = next(name for name in rows.index if ".random-" in name)
    mine = next(name for name in rows.index if name.startswith(f"{small}.mine"))
    assert len(rows) == 3 and not rows[mine].startswith("random") and rows[twin].startswith("random (seed 0)")
    assert (results["status"] == "done").all() and any(line.startswith(f"{twin}: weights random") for line in said)
    options |= {"features": (small,), "weights": "none"}
    prepared = prepare(Study(**options, out=str(tmp_path / "b"), cache=str(tmp_path / "cache")), said.append)
    assert [feature.name for feature in prepared.features] == [twin]
    assert f"{twin}: no random twin, because its own weights are random" in said
    prepare(Study(str(phantom_folder), features=("shortcut",), random_twin=True, cache=str(tmp_path)), said.append)
    assert said[-1] == "random twins: no feature has weights"


@pytest.mark.slow
def test_labels_shuffled_by_case_give_no_signal(feature_table, tmp_path):
    frame = pd.read_csv(feature_table)
    aurocs = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        shuffled = frame.assign(label=rng.permutation(frame["label"].to_numpy()))
        shuffled.to_csv(feature_table, index=False)
        _, results, _, _ = run_study(
            tmp_path, data=str(feature_table), heads=("logreg",), out=str(tmp_path / str(seed))
        )
        aurocs.append(results.set_index("head").loc["logreg", "auroc"])
    assert abs(np.mean(aurocs) - 0.5) < 0.08


def test_the_plan_runs_nothing_and_knows_what_is_done(feature_table, tmp_path, capsys, without_report):
    from studies.compare import main

    arguments = [str(feature_table), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c"), "--folds", "2"]
    arguments += ["--heads", "logreg", "svm", "--jobs", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "6 trials, 0 done" in capsys.readouterr().out and not (tmp_path / "out").exists()
    assert main(arguments) == 0
    assert "none/none/dummy" in capsys.readouterr().out
    assert main([*arguments, "--dry-run"]) == 0
    assert "6 trials, 6 done" in capsys.readouterr().out
    messages = []
    for asked in ([*arguments, "--seed", "1"], [*arguments, "--seed", "1", "--dry-run"]):
        with pytest.raises(StudyError) as refused:
            main(asked)
        messages.append(str(refused.value))
    assert messages[0] == messages[1] and "holds another study (seed: 0 there, 1 now)" in messages[1]
    assert "done; budget" not in capsys.readouterr().out


def test_case_names_are_pseudonyms_in_messages(tmp_path):
    frame = pd.DataFrame({"name": ["a", "b", "c", "d"], "label": [0, 1, 1, 1], "case": ["Smith", "Doe", "Doe", "Roe"]})
    frame.assign(x=1.0).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="is of case C00") as hidden:
        run_study(tmp_path, data=str(tmp_path / "t.csv"))
    with pytest.raises(ValueError, match="is of case Smith: folds by case are impossible"):
        run_study(tmp_path, data=str(tmp_path / "t.csv"), show_names=True)
    assert "Smith" not in str(hidden.value)


@pytest.fixture(scope="module")
def configured(few_images, pretrained_folder, tmp_path_factory):
    """A finished study of a pretrained feature that reads what its configuration says, and of one that does not."""
    place = tmp_path_factory.mktemp("configured")
    options = {"data": str(few_images), "weights": str(pretrained_folder), "heads": ("logreg",), "folds": 2}
    options |= {"features": ("shortcut", "squeezenet1_1"), "jobs": 1, "device": "cpu", "inside": 1}
    options |= {"reducers": ("none",), "out": str(place / "out"), "cache": str(place / "cache")}
    return options, place, run_study(place, **options)


@pytest.mark.slow
def test_a_pretrained_feature_reads_what_its_configuration_says_whatever_is_beside_it(configured, tmp_path):
    options, place, (_, results, _, said) = configured
    name = results.loc[results["feature"].str.startswith("squeezenet1_1"), "feature"].item()
    assert (
        f"{name}: reads images of 224 px, bilinear, as its weights' configuration says (--size N sets one size for all "
        in (" ".join(said))
    )
    assert "shortcut.v1: reads" not in " ".join(said)
    written = pd.read_parquet(place / "out" / "predictions.parquet").set_index("arm")
    for feature in options["features"]:
        run_study(tmp_path, **options | {"features": (feature,), "inside": 0, "out": str(tmp_path / feature)})
        alone = pd.read_parquet(tmp_path / feature / "predictions.parquet").set_index("arm").drop("none/none/dummy")
        pd.testing.assert_frame_equal(alone, written.loc[alone.index.unique()])
    _, given, _, said = run_study(tmp_path, **options | {"size": 224, "inside": 0, "out": str(tmp_path / "given")})
    assert "reads images" not in " ".join(said)
    one, other = (frame.set_index("feature")["auroc"] for frame in (results, given))
    assert one["shortcut.v1"] == other["shortcut.v1"]
    other = pd.read_parquet(tmp_path / "given" / "predictions.parquet").set_index("arm")
    assert (other.loc[f"{name}/none/logreg", "score"] != written.loc[f"{name}/none/logreg", "score"]).any()


def test_what_was_read_is_part_of_the_study_and_of_its_methods(configured, monkeypatch):
    options, place, (_, results, _, _) = configured
    name = results.loc[results["feature"].str.startswith("squeezenet1_1"), "feature"].item()
    loaded = load_run(place / "out")
    assert loaded.identity["reads"] == {name: [224, "bilinear"]} and loaded.inside
    said = (
        f"resized to 224 x 224 pixels (Lanczos) and for {name} to 224 x 224 pixels (bilinear), size and filter as the"
    )
    assert said in " ".join(paragraph(loaded))
    before = (place / "out" / "journal.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("glomfeat.data.images.decode.decode", lambda *_: pytest.fail("decoded again"))
        _, again, _, _ = run_study(place, **options)
    pd.testing.assert_frame_equal(again, results)
    assert (place / "out" / "journal.jsonl").read_bytes() == before
    with pytest.raises(
        StudyError, match=r"holds another study \(size: None there, 224 now; reads: .* there, None now\)"
    ):
        run_study(place, **options | {"size": 224})


def test_the_plan_lists_how_images_are_decoded_for_each_feature(configured, tmp_path):
    options, _, _ = configured
    for study, done in ((Study(**options), 24), (Study(**options | {"cache": str(tmp_path), "out": str(tmp_path)}), 0)):
        stages = make_plan(prepare(study, lambda line: None))[:4]
        name = stages[3].name
        expected = ["decode to 224 px, lanczos", "shortcut.v1", "decode to 224 px, bilinear", name]
        assert [stage.name for stage in stages] == expected and name.startswith("squeezenet1_1.mine-")
        assert [stage.done for stage in stages] == 4 * [done]


@pytest.mark.slow
def test_code_that_was_edited_is_another_study_and_is_computed_anew(phantom_folder, tmp_path, monkeypatch, parts_here):
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    (folder / "labbase.py").write_text("SCALE = 1.0\n")

    def write(columns, components):
        (folder / "editedlab.py").write_text(
            "from sklearn.decomposition import TruncatedSVD\n"
            "from sklearn.linear_model import LogisticRegression\n"
            "import labbase\n"
            "from glomfeat import Handcrafted\n"
            "from glomfeat.models.heads.built_in import Head\n"
            f"def describe(image, size):\n    return [image[..., k].mean() for k in range({columns})]\n"
            "def red():\n    return Handcrafted('red.v1', describe)\n"
            f"def svd():\n    return TruncatedSVD({components}, random_state=0)\n"
            "def head(seed):\n    return Head(LogisticRegression(C=labbase.SCALE))\n"
        )
        for name in ("editedlab", "labbase"):
            sys.modules.pop(name, None)
            (folder / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc").unlink(missing_ok=True)
        importlib.invalidate_caches()

    names = {"features": ("editedlab:red",), "reducers": ("editedlab:svd",), "heads": ("editedlab:head",)}
    options = names | {"data": str(phantom_folder), "size": 24, "folds": 2}

    def scores(out):
        run_study(tmp_path, **options, out=str(tmp_path / out))
        found = pd.read_parquet(tmp_path / out / "predictions.parquet")
        return found[found["arm"].str.endswith("head")]["score"].to_numpy()

    write(2, 1)
    first = scores("out")
    write(2, 1)
    np.testing.assert_array_equal(scores("out"), first)  # written again, the same
    for columns, components, changed in ((3, 1, "editedlab:red"), (2, 2, "editedlab:svd")):
        write(columns, components)
        with pytest.raises(
            StudyError, match=rf"holds another study \(the code or an attribute of {changed} has changed\): choose"
        ):
            scores("out")
        assert not np.array_equal(scores(f"new{columns}"), first)  # nothing stored by the old code is taken
    (folder / "labbase.py").write_text("SCALE = 0.001\n")
    write(2, 1)
    with pytest.raises(StudyError, match=r"\(the code or an attribute of editedlab:head has changed\)"):
        scores("out")
