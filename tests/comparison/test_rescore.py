"""Changed images: scored by the very models of the trials, by hand the same, and nothing else of a study changes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.comparison import rescore
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.outcome import deal
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import train
from glomfeat.core.arms import StudyError
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.features.make import make_feature
from glomfeat.models.calibration import noted_calibration
from glomfeat.results.journal import Journal
from glomfeat.results.tables import MEASURED

pytestmark = pytest.mark.usefixtures("dealt_once")

ASKED = ("stain", "noise")
OPTIONS = {"features": ("shortcut", "pixels"), "reducers": ("none", "ipca4"), "heads": ("logreg",), "size": 16}
OPTIONS |= {"folds": 2}
PLAIN = "shortcut.v1/none/logreg"


@pytest.fixture(scope="module")
def asked_after(few_images, tmp_path_factory):
    """A finished study that is asked once more with changed images: its place, its files before, and what was said."""
    place = tmp_path_factory.mktemp("perturb")
    run_study(place, data=str(few_images), **OPTIONS)
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir() if path.is_file()}
    said = run_study(place, data=str(few_images), perturb=ASKED, **OPTIONS)[-1]
    return place, before, said


def changed_in(out):
    lines = map(json.loads, (out / "journal.jsonl").read_text().splitlines())
    return {(one["arm"], one["fold"], one["by"]): one["scores"] for line in lines if (one := line.get("changed"))}


def test_it_can_be_asked_after_a_run_and_changes_no_other_table(asked_after):
    place, before, said = asked_after
    names = {path.name for path in (place / "out").iterdir() if path.is_file()}
    assert names == {*before, "robustness.csv"}
    may = {"robustness.csv", "journal.jsonl", "study.yaml", "environment.json"}
    assert [name for name in names - may if (place / "out" / name).read_bytes() != before[name]] == []
    assert [line for line in said if line.startswith("robustness")] == []
    table = pd.read_csv(place / "out" / "robustness.csv")
    arms = [f"{feature}.v1/{reducer}/logreg" for feature in ("shortcut", "pixels") for reducer in ("none", "ipca4")]
    assert table["arm"].drop_duplicates().tolist() == arms and len(table) == 4 * 2 * 5
    figures = table.drop(columns=["status", "note", *(name for name in table if "_change_" in name)])
    assert (table["status"] == "done").all() and figures.notna().all(axis=None)


def test_scores_are_those_of_a_plain_computation(asked_after, few_images):
    out = asked_after[0] / "out"
    folds = pd.read_csv(out / "folds.csv")
    y, paths = folds["label"].to_numpy(), {path.name: path for path in few_images.rglob("*.png")}
    pairs = [Preprocess(size=16).read(paths[name].read_bytes()) for name in folds["name"]]
    pixels, sizes = np.stack([image for image, _ in pairs]), np.array([size for _, size in pairs])
    trials = pd.read_csv(out / "trials.csv").query("arm == @PLAIN").set_index("fold")
    feature, changed, rows = make_feature("shortcut"), changed_in(out), pd.read_csv(out / "robustness.csv")
    C = {fold: json.loads(text)["logisticregression__C"] for fold, text in trials["params"].items()}
    before, X = {}, feature.transform(pixels, sizes)
    heads = {}
    for fold in (0, 1):
        train, test = (np.flatnonzero((folds["fold"] == fold) == side) for side in (False, True))
        head = make_pipeline(StandardScaler(), LogisticRegression(C=C[fold], class_weight="balanced", max_iter=2000))
        heads[fold] = head.fit(X[train], y[train]), test
        before[fold] = head.predict_proba(X[test])[:, 1]
    for name in ASKED:
        for place, strength in enumerate(PERTURBATIONS[name].strengths):
            other = feature.transform(PERTURBATIONS[name].apply(pixels, strength), sizes)
            aurocs, hits, flips = [], 0, 0
            for fold, (head, test) in heads.items():
                score, at = head.predict_proba(other[test])[:, 1], trials["threshold"][fold]
                assert changed[PLAIN, fold, f"{name}.v1"][place] == pytest.approx(score, abs=1e-5)
                aurocs.append(roc_auc_score(y[test], score))
                hits += ((score >= at) & (y[test] == 1)).sum()
                flips += ((score >= at) != (before[fold] >= at)).sum()
            row = rows.query("arm == @PLAIN and perturbation == @name and strength == @strength").iloc[0]
            assert row["auroc"] == pytest.approx(np.mean(aurocs), abs=1e-5)
            assert row["sensitivity_t"] == pytest.approx(hits / (y == 1).sum(), abs=1e-5)
            assert row["flipped"] == pytest.approx(flips / len(y), abs=1e-5)
            assert row["in_words"] == PERTURBATIONS[name].say(strength)


def test_asked_again_nothing_is_described(asked_after, few_images, monkeypatch):
    place, _, _ = asked_after
    kept = (place / "out" / "robustness.csv").read_bytes()
    monkeypatch.setattr("glomfeat.comparison.extraction.extract", None)
    run_study(place, data=str(few_images), perturb=ASKED, **OPTIONS)
    assert (place / "out" / "robustness.csv").read_bytes() == kept
    run_study(place, data=str(few_images), perturb=ASKED[:1], **OPTIONS)
    assert pd.read_csv(place / "out" / "robustness.csv")["perturbation"].unique().tolist() == ["stain"]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_from_the_beginning_all_is_equal(asked_after, few_images, tmp_path, jobs):
    place, before, _ = asked_after
    run_study(tmp_path, data=str(few_images), perturb=ASKED, jobs=jobs, **OPTIONS)
    one, two = (changed_in(folder / "out") for folder in (place, tmp_path))
    assert one == two
    assert (tmp_path / "out" / "predictions.parquet").read_bytes() == before["predictions.parquet"]
    tables = [pd.read_csv(folder / "out" / "results.csv", dtype=str) for folder in (place, tmp_path)]
    pd.testing.assert_frame_equal(*(table.drop(columns=[*MEASURED], errors="ignore") for table in tables))


@pytest.mark.slow
def test_images_that_are_not_changed_have_the_scores_of_the_trials(few_images, tmp_path, monkeypatch):
    monkeypatch.setitem(PERTURBATIONS, "noise", replace(PERTURBATIONS["noise"], strengths=(0.0,)))
    options = OPTIONS | {"reducers": ("none", "ipca4", "pca4"), "perturb": ("noise",)}
    options |= {"ensembles": ("shortcut/none/logreg,pixels/ipca4/logreg",)}
    run_study(tmp_path, data=str(few_images), **options)
    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert table["arm"].nunique() == 7 and (table[["auroc_change", "flipped"]] == 0).all(axis=None)
    lines = map(json.loads, (tmp_path / "out" / "journal.jsonl").read_text().splitlines())
    trials = {(one["arm"], one["fold"]): one["scores"] for one in lines if "scores" in one}
    for (arm, fold, _), (scores,) in changed_in(tmp_path / "out").items():
        assert scores == pytest.approx(trials[arm, fold], abs=1e-5)


NETS = ("F-D4-out", "shufflenet_v2_x0_5:frozen")
WITH_NETS = OPTIONS | {"features": ("shortcut",), "reducers": ("none",), "nets": NETS, "epochs": 1, "size": 32}
WITH_NETS |= {"weights": "none", "ensembles": ("shortcut/none/logreg,net:F-D4-out",), "calibration": "platt"}


@pytest.fixture(scope="module")
def with_networks(few_images, tmp_path_factory):
    """A study with networks whose trials score changed images."""
    place = tmp_path_factory.mktemp("networks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rescore, "train", None)
        said = run_study(place, data=str(few_images), perturb=("blur",), **WITH_NETS)[-1]
    return place, said


def test_networks_score_changed_images_in_their_trials(with_networks, few_images):
    out, said = with_networks[0] / "out", with_networks[1]
    assert [line for line in said if line.startswith("robustness")] == []
    table = pd.read_csv(out / "robustness.csv")
    nets = [f"net:{name}" for name in NETS]
    assert set(table["arm"]) == {PLAIN, *nets, f"mean:{PLAIN},{nets[0]}"} and (table["status"] == "done").all()
    journal = Journal(out / "journal.jsonl")
    prepared = prepare(Study(str(few_images), out=str(out), cache=str(out.parent / "cache"), **WITH_NETS), str)
    view = prepared.view_of_net(NETS[0])
    extracted = extract_for(prepared, prepared.manifest, prepared.features, [view])
    folds = pd.read_csv(out / "folds.csv").set_index("name").loc[extracted.manifest.table["name"], "fold"].to_numpy()
    pixels = extracted.pixels[view][np.arange(len(folds))]
    dealt = deal(prepared, extracted.manifest, str)
    settings = {name: (prepared.net_settings(name), 0) for name in NETS}
    trials = [trial for trial in prepared.trials if trial.key == (nets[0], 0, 1)]
    given = {}, prepared.store, prepared.free, settings, {NETS[0]: view}
    (task,) = make_tasks(trials, prepared.study, dealt, extracted, *given)
    _, net = train(task)
    mapped = noted_calibration(journal.done()[task.trial.key]).apply
    changed = journal.changed()[task.trial.key]["blur.v1"]
    for strength, scores in zip(PERTURBATIONS["blur"].strengths, changed, strict=True):
        raw = net.predict_proba(PERTURBATIONS["blur"].apply(pixels[folds == 1], strength))[:, 1]
        assert scores == pytest.approx(mapped(raw), abs=1e-6)


@pytest.mark.slow
def test_one_more_change_has_networks_trained_again(with_networks, few_images, tmp_path):
    place, asked = with_networks[0], {"data": str(few_images), "perturb": ("blur", "jpeg")}
    out = shutil.copytree(place / "out", tmp_path / "out")
    before, options = changed_in(out), WITH_NETS | asked | {"cache": str(place / "cache")}
    stages = {stage.name: stage for stage in make_plan(prepare(Study(out=str(out), jobs=1, **options), str))}
    for net in NETS:
        stage = stages[f"net:{net} trained again for changed images"]
        assert (stage.total, stage.done) == (2, 0) and stage.left_s > 0
    *_, said = run_study(tmp_path, **options)
    lines = [line.partition(" about ")[0] for line in said if "trained again" in line]
    why = "2 trials are trained again, for no network is kept, to score images changed by jpeg, which takes"
    assert lines == [f"net:{net}: {why}" for net in NETS]
    after = changed_in(out)
    assert {key: scores for key, scores in after.items() if key[2] == "blur.v1"} == before
    fresh = run_study(tmp_path / "fresh", **WITH_NETS | asked) and changed_in(tmp_path / "fresh" / "out")
    assert after == fresh


@pytest.mark.slow
def test_a_network_that_is_not_the_trials_scores_nothing(with_networks, few_images, tmp_path, monkeypatch):
    out, options = shutil.copytree(with_networks[0] / "out", tmp_path / "out"), WITH_NETS | {"perturb": ("noise",)}
    other = rescore.train
    monkeypatch.setattr(rescore, "train", lambda task: other(replace(task, seed=task.seed + 1)))
    options |= {"data": str(few_images), "cache": str(with_networks[0] / "cache")}
    *_, said = run_study(tmp_path, **options)
    assert f"robustness: net:{NETS[0]} on one fold is left out: net:{NETS[0]} is not the same when it is trained " in (
        "\n".join(said)
    )
    assert NETS[0] not in "".join(pd.read_csv(out / "robustness.csv")["arm"])


def test_a_model_that_is_not_the_trials_scores_nothing_until_it_is(few_images, tmp_path, monkeypatch):
    options = OPTIONS | {"features": ("shortcut",), "reducers": ("none",), "perturb": ("jpeg",)}
    with monkeypatch.context() as patch:
        other = rescore.fit_again
        patch.setattr(rescore, "fit_again", lambda task, *rest: other(replace(task, labels=1 - task.labels), *rest))
        *_, said = run_study(tmp_path, data=str(few_images), **options)
    why = "logreg is not the same when it is fitted again on the same rows"
    lines = [line for line in said if line.startswith("robustness")]
    assert lines == [f"robustness: {PLAIN} on one fold is left out: {why}"] * 2
    assert pd.read_csv(tmp_path / "out" / "robustness.csv").empty
    shutil.rmtree(tmp_path / "cache")
    *_, said = run_study(tmp_path, data=str(few_images), **options)
    assert [line for line in said if line.startswith("robustness")] == []
    assert len(pd.read_csv(tmp_path / "out" / "robustness.csv")) == 5


def test_a_table_has_no_images_to_change(feature_table):
    study = Study(str(feature_table), perturb=("stain",))
    with pytest.raises(StudyError) as said:
        prepare(study, print)
    assert str(said.value) == (
        f"--perturb stain: {feature_table} is a feature table without images, and no image can be changed; leave it "
        "out, or give the folder of images as DATA"
    )


def test_unknown_changes_are_refused():
    with pytest.raises(StudyError) as said:
        Study(perturb=("stian", "blur")).check()
    assert str(said.value) == "--perturb is stian: allowed are stain, blur, jpeg, noise, brightness, scale"


def test_the_plan_counts_the_changed_images(few_images, tmp_path):
    options = OPTIONS | {"perturb": ("blur", "scale"), "cache": str(tmp_path), "out": str(tmp_path / "out"), "jobs": 1}
    prepared = prepare(Study(str(few_images), **options), str)
    stages = {stage.name: stage for stage in make_plan(prepared)}
    for feature, row_bytes in (("shortcut.v1", 10 * 4), ("pixels.v1", 16 * 16 * 3)):
        stage = stages[f"{feature} of changed images"]
        assert (stage.total, stage.done, stage.disk_bytes) == (240, 0, 240 * row_bytes)
