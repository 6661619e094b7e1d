"""Networks as arms: on the folds of the features, in the same tables, resumed, and honest about what chose what."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core.arms import StudyError
from glomfeat.core.plugins import PluginError
from glomfeat.data.manifest import Manifest
from glomfeat.data.splits import fold_rows, inner_valid_split, make_folds
from glomfeat.features.extract import extract
from glomfeat.models.nets.training import IS_COMPILED

pytestmark = pytest.mark.usefixtures("dealt_once")

TINY = {"nets": ("compact", "shufflenet_v2_x0_5:frozen"), "epochs": 2, "size": 32, "weights": "none"}


def run_study(tmp_path, **options):
    places = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    options, said = places | {"jobs": 1, "folds": 2, "inside": 0} | options, []
    return *compare(prepare(Study(**options), said.append), said.append), said


@pytest.fixture(scope="module")
def finished(few_images, tmp_path_factory):
    """A run of two networks and a feature."""
    place = tmp_path_factory.mktemp("nets")
    options = {"data": str(few_images), "features": ("shortcut",), "heads": ("logreg",)} | TINY
    return place, options, run_study(place, **options)


def test_networks_and_heads_stand_in_one_table_on_one_set_of_folds(finished):
    place, _, (_, _, _, said) = finished
    table = pd.read_csv(place / "out" / "results.csv").set_index("arm")
    assert set(table.index) == {
        *("none/none/dummy", "shortcut.v1/ipca128/logreg", "net:compact", "net:shufflenet_v2_x0_5:frozen")
    }
    assert (table["status"] == "done").all() and table["kind"].value_counts().to_dict() == {"features": 2, "net": 2}
    assert table.loc["net:compact", "parameters"] < 300_000 and table.loc["net:compact", "fit_s"] > 0
    assert table.loc["net:compact", "weights"] == "none, trained from the beginning"
    assert table.loc["net:shufflenet_v2_x0_5:frozen", "weights"].startswith("random (seed 0)")
    predictions = pd.read_parquet(place / "out" / "predictions.parquet")
    where = predictions.pivot(index="name", columns="arm", values="fold")
    assert (where.nunique(axis=1) == 1).all()
    assert any("net:compact: 2 trials take about" in line for line in said)


def test_curves_are_kept_for_every_trial(finished):
    place, _, _ = finished
    curves = pd.read_csv(place / "out" / "curves.csv")
    assert set(curves["arm"]) == {"net:compact"}
    assert (
        curves.groupby("fold")[["epoch", "learns"]].agg(list).values.tolist()
        == [[[1, 2, 3], ["fit", "fit", "all"]]] * 2
    )
    assert curves["train_loss"].notna().all()
    judged = curves[["inner_valid_loss", "inner_valid_auroc"]].notna().all(axis=1)
    assert (judged == (curves["learns"] == "fit")).all()
    trials = pd.read_csv(place / "out" / "trials.csv").set_index(["arm", "fold"])
    for fold, mine in curves[judged].groupby("fold"):
        trial = trials.loc[("net:compact", fold)]
        assert json.loads(trial["params"]) == {"epochs": 2, "then on all": 1}
        assert trial["inner_auroc"] == pytest.approx(mine["inner_valid_auroc"].iloc[-1], abs=1e-6)
        assert "logisticregression__C" in trials.loc[("net:shufflenet_v2_x0_5:frozen", fold), "params"]
    folds = pd.read_csv(place / "out" / "folds.csv")["fold"].value_counts()
    assert (trials["n_train"] == [folds.sum() - folds[fold] for _, fold in trials.index]).all()


@pytest.mark.slow
def test_a_frozen_network_scores_as_the_head_on_its_features_does(phantom_folder, tmp_path):
    feature = {"features": ("shufflenet_v2_x0_5",), "reducers": ("none",), "heads": ("logreg",)}
    options = TINY | {"data": str(phantom_folder), "nets": ("shufflenet_v2_x0_5:frozen",), "class_weight": "balanced"}
    _, results, _, _ = run_study(tmp_path, **options, **feature, calibration="platt")
    (head, *_), (net, *_) = (results[results["kind"] == kind].to_dict("records") for kind in ("features", "net"))
    assert head["arm"].endswith("logreg") and net["auroc"] == pytest.approx(head["auroc"], abs=0.01)
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    scores = predictions.pivot(index="name", columns="arm", values="score")
    assert np.abs(scores[net["arm"]] - scores[head["arm"]]).max() < 0.01
    trials = pd.read_csv(tmp_path / "out" / "trials.csv").set_index(["arm", "fold"])
    for column in ("params", "n_train"):
        assert trials.loc[net["arm"], column].tolist() == trials.loc[head["arm"], column].tolist()
    assert trials.loc[net["arm"], "threshold"].tolist() == pytest.approx(trials.loc[head["arm"], "threshold"], abs=0.01)


def test_a_second_run_trains_nothing(finished, monkeypatch):
    place, options, _ = finished
    before = (place / "out" / "results.csv").read_bytes()
    monkeypatch.setattr("glomfeat.comparison.run.run_trial", None)
    run_study(place, **options)
    assert (place / "out" / "results.csv").read_bytes() == before


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_same_seed_same_scores_and_training_resumes_at_the_trial(finished, tmp_path, jobs):
    place, options, _ = finished
    options = options | {"nets": ("compact",), "features": ("shortcut",)}
    run_study(tmp_path, **options)
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    whole = (tmp_path / "out" / "predictions.parquet").read_bytes()
    journal.write_text("".join(lines[:-2]))  # a trial, and how files were written
    run_study(tmp_path, **options, jobs=jobs)
    assert len(journal.read_text().splitlines()) == len(lines)
    assert (tmp_path / "out" / "predictions.parquet").read_bytes() == whole
    both = pd.read_parquet(place / "out" / "predictions.parquet")
    again = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    columns = ["name", "fold", "score"]
    one, other = (t[t["arm"] == "net:compact"][columns].reset_index(drop=True) for t in (both, again))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.slow
def test_labels_of_the_outer_test_fold_change_no_loss_threshold_or_score(few_images, tmp_path):
    options = {"data": str(few_images), "features": (), "nets": ("compact",), "epochs": 1, "folds": 2, "jobs": 1}
    study = Study(**options, out=str(tmp_path / "out"), cache=str(tmp_path / "cache"))
    prepared = prepare(study, lambda line: None)
    run, _, _ = compare(prepared, lambda line: None)
    views = {"compact": prepared.view_of_net("compact")}
    extracted = extract(prepared.manifest, [], prepared.preprocess, prepared.store, also=views.values())
    nets = {"compact": (prepared.net_settings("compact"), 0)}
    trial = prepared.trials[-1]
    (task,) = make_tasks([trial], prepared.study, run.folds, extracted, {}, prepared.store, prepared.free, nets, views)
    shuffled = task.labels.copy()
    shuffled[task.test] = 1 - shuffled[task.test]
    honest, garbled = run_trial(task), run_trial(replace(task, labels=shuffled))
    for name in ("scores", "threshold", "params", "inner_auroc"):
        assert honest[name] == garbled[name]
    losses = [[epoch["train_loss"] for epoch in record["curves"]] for record in (honest, garbled)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("scheme", ["cv", "holdout"])
def test_the_inner_split_of_networks_shares_no_case_and_no_test_row(scheme):
    rng = np.random.default_rng(0)
    case = np.repeat(np.arange(30), 6)
    table = pd.DataFrame(
        {"name": [f"{k}" for k in range(180)], "case": case.astype(str), "label": rng.integers(0, 2, 180)}
    )
    manifest = Manifest(table, ("a", "b"), True)
    folds = make_folds(manifest, scheme, 3, 2, seed=1)
    for repeat in range(2):
        for fold in ["outer-test"] if scheme == "holdout" else range(3):
            train, test, valid = fold_rows(folds, repeat, fold)
            fit, inner_valid = inner_valid_split(manifest.labels, manifest.cases, train, valid, seed=2)
            parts = [set(manifest.cases[rows]) for rows in (fit, inner_valid, test)]
            assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
            assert set(manifest.labels[inner_valid]) == {0, 1} and len(inner_valid) < 0.3 * len(fit)


def test_the_papers_preset_leaves_the_inner_valid_cases_alone(few_images, tmp_path):
    options = {"data": str(few_images), "features": (), **TINY, "nets": ("compact",), "preset": "paper"}
    run_study(tmp_path, **options)
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    trials = trials[trials["arm"] == "net:compact"]
    assert trials["params"].map(json.loads).tolist() == [{"epochs": 2}] * 2
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")["fold"].value_counts()
    assert (trials["n_train"] < folds.sum() - folds[trials["fold"]].to_numpy()).all()


def test_wrong_networks_are_refused_before_work_begins(few_images, feature_table, tmp_path):
    with pytest.raises(PluginError, match="did you mean 'homemade-128'"):
        run_study(tmp_path, data=str(few_images), nets=("homemade128",))
    with pytest.raises(ValueError, match="is a feature table without images; leave out --nets"):
        run_study(tmp_path, data=str(feature_table), nets=("compact",))
    with pytest.raises(StudyError, match="nothing to compare: name some --features or --nets"):
        run_study(tmp_path, data=str(few_images), features=())


def test_a_network_that_does_not_fit_the_budget_is_skipped(few_images, tmp_path):
    options = {"data": str(few_images), "features": ("shortcut",), "heads": ("logreg",), "nets": ("compact",)}
    _, results, _, _ = run_study(tmp_path, **options, size=16, memory="1.2GB")
    rows = results.set_index("arm")
    reason = rows.loc["net:compact", "reason"]
    assert rows.loc["net:compact", "status"] == "skipped"
    assert re.search(r"raise --memory by [\d.]+ [MG]B, or pass a smaller --batch", reason)
    assert rows.loc["shortcut.v1/ipca128/logreg", "status"] == "done"


def test_a_network_of_your_own_is_a_function(few_images, tmp_path, monkeypatch, parts_here):
    (tmp_path / "mynets.py").write_text(
        "from torch import nn\n"
        "def tiny(classes):\n"
        "    pool = nn.AdaptiveAvgPool2d(1)\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 4), pool, nn.Flatten(), nn.Linear(4, classes))\n"
        "def wide(classes):\n"
        "    return tiny(5)\n"
    )
    monkeypatch.chdir(tmp_path)
    nets = "mynets:tiny", "mynets:wide"
    options = {"data": str(few_images), "features": (), "nets": nets, "epochs": 1, "size": 24}
    _, results, _, _ = run_study(tmp_path, **options)
    rows = results.set_index("arm")
    assert rows.loc["net:mynets:tiny", "status"] == "done" and rows.loc["net:mynets:wide", "status"] == "failed"
    said = r"forward gives shape \((\d+), 5\) for \1 images and 2 classes: return \(\1, 2\) or \(\1, 1\) \("
    assert re.search(said, rows.loc["net:mynets:wide", "reason"])


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_networks_train_on_a_gpu_and_say_what_memory_they_took(few_images, tmp_path, compiled):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    options = {"data": str(few_images), "features": (), "device": "cuda", "weights": "none", "folds": 2}
    nets = ("compact", "resnet18:finetune", "resnet18:frozen")
    _, results, _, _ = run_study(tmp_path, **options, nets=nets, epochs=2, size=224, compile=compiled)
    trained = results[results["kind"] == "net"]
    assert (trained["status"] == "done").all() and (trained["peak_vram_mb"] > 0).all()
    assert trained["reason"].str.contains(IS_COMPILED).tolist() == [compiled, compiled, False]
