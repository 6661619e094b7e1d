"""Bundles: what was fitted in memory is what the folder predicts, and it says honestly what it is."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import glomfeat
from glomfeat.bundle import format as bundle_format
from glomfeat.bundle.card import make_card
from glomfeat.bundle.codecs import dump_skops, load_skops
from glomfeat.bundle.evaluate import paced
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.load import OtherVersionsWarning
from glomfeat.bundle.save import folder_of, save_bundle
from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import read_outcome, refit_arm, save_models
from glomfeat.core.installed import NotInstalledError
from glomfeat.core.memory import BudgetError, held_bytes
from glomfeat.core.seeds import seed_for
from glomfeat.core.settings import read_settings, write_settings
from glomfeat.data.images.decode import ImageError, Preprocess
from glomfeat.data.splits import inner_splits
from glomfeat.features.extract import extract
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.models.reducers.kept import fit_reducer, transform_all
from glomfeat.models.selection import fit_chosen, score_settings, settings_of
from studies import refit
from studies._cli import run_main

KINDS = ("logreg", "svm", "deep", "net")
pytestmark = pytest.mark.usefixtures("fewer_trees", "dealt_once")


def paths_of(models):
    return models.extracted.manifest.table["path"].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_scores_to_the_last_bit_as_the_refit_in_memory(models, kind):
    images, loaded = paths_of(models), glomfeat.load_bundle(models.folders[kind], device="cpu")
    in_memory, read = models.made[kind].predict(images), loaded.predict(images)
    pd.testing.assert_frame_equal(in_memory, read, check_exact=True)
    for batch in (1, 5) if kind != "deep" else (5,):
        other = loaded.predict(images, batch=batch)["score"]
        assert np.array_equal(other, read["score"]) if kind != "net" else np.abs(other - read["score"]).max() <= 1e-6
    proba = loaded.predict_proba(images)
    assert proba.shape == (24, 2) and np.array_equal(proba[:, 1], read["score"])
    assert (read["status"].str.startswith("ok")).all() and read["name"].tolist() == images
    assert (read["prediction"] == (read["score"] >= loaded.threshold)).all()
    assert (read["label"] == loaded.classes_[read["prediction"].astype(int)]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["deep", "net"])
def test_a_gpu_gives_a_bundles_scores_within_a_thousandth(models, kind):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images = paths_of(models)
    here, there = (glomfeat.load_bundle(models.folders[kind], device=device) for device in ("cpu", "cuda"))
    apart = np.abs(here.predict(images)["score"] - there.predict(images)["score"])
    # the last digits of a feature may lie on the other side of a tree's split for an image here and there
    assert np.quantile(apart, 0.9 if kind == "deep" else 1) <= 1e-3


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_head_is_what_the_harness_would_fit_on_all_rows(models, kind):
    arm = models.arms[kind]
    prepared, extracted = models.prepared, models.extracted
    feature, reducer, head = arm.split("/")
    manifest, rows = extracted.manifest, np.arange(24)
    X = np.asarray(extracted.matrices[feature][:])

    def reduced(learnt):
        return X if reducer == "none" else reduce_rows(reducer, X, learnt, standardise=True)["rows"]

    inner = inner_splits(manifest.labels, manifest.cases, rows, rows[:0], seed_for(0, "inner", "refit"))
    made_by = make_head(head, seed_for(prepared.study.seed, arm, "refit"), reducer != "none")
    scored = []
    for fit, held in inner:
        assert not set(manifest.cases[fit]) & set(manifest.cases[held])
        nested = reduced(fit)
        scored.append(score_settings(made_by, settings_of(made_by), nested[fit], manifest.labels[fit], nested[held], 2))
    X = reduced(rows)
    given = manifest.labels, rows, inner, 2, prepared.study.threshold
    chosen = fit_chosen(made_by, X, *given, scored=scored)
    made = models.made[kind]
    assert made.about["chosen"]["params"] == chosen.params and made.threshold == chosen.threshold
    assert np.array_equal(made.predict(paths_of(models), batch=24)["score"], scores_of(chosen.estimator, X, 2))


@pytest.mark.parametrize(("shape", "route", "exact"), [((90, 12), "scatter", True), ((20, 60), "gram", False)])
@pytest.mark.parametrize("standardise", [True, False])
def test_a_kept_reducer_gives_the_rows_of_the_reducer_of_a_fold(shape, route, exact, standardise):
    X = (np.random.default_rng(0).normal(size=shape) * np.linspace(1, 5, shape[1]) + 3).astype(np.float32)
    expected = reduce_rows("pca5", X, np.arange(len(X)), standardise)["rows"]
    found = transform_all(fit_reducer("pca5", X, standardise, route, 1), X)
    if exact:
        assert np.array_equal(found, expected)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("kind", ["platt", pytest.param("isotonic", marks=pytest.mark.slow)])
def test_calibration_goes_with_the_model(models, tmp_path, kind):
    study, arm, images = replace(models.prepared.study, calibration=kind), models.arms["svm"], paths_of(models)
    made = refit_arm(replace(models.prepared, study=study), models.extracted, arm)
    save_bundle(made, tmp_path / kind)
    loaded, plain = glomfeat.load_bundle(tmp_path / kind), models.made["svm"].predict_proba(images)[:, 1]
    scores = loaded.predict_proba(images)[:, 1]
    assert np.array_equal(scores, made.predict_proba(images)[:, 1])
    assert np.array_equal(scores, made.calibration.apply(plain)) and np.abs(scores - plain).max() > 0.01
    assert f"Scores are calibrated ({kind})" in (tmp_path / kind / "card.md").read_text()
    about = json.loads((tmp_path / kind / "bundle.json").read_text())
    about["calibration"]["maps"][0] = {"slope": -2.0, "intercept": 0.0, "score": [0, 1], "frequency": [1, 0]}
    (tmp_path / kind / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match="a calibration that does not rise from 0 to 1"):
        glomfeat.load_bundle(tmp_path / kind)


def test_arrays_are_read_like_files(models, tmp_path):
    bundle, path = models.made["logreg"], tmp_path / "image.png"
    array = np.random.default_rng(0).integers(0, 256, (70, 60, 3), np.uint8)
    Image.fromarray(array).save(path)
    by_array, by_path = bundle.predict([array]), bundle.predict([path])
    assert by_array["name"].tolist() == ["0"]
    pd.testing.assert_frame_equal(by_array.drop(columns="name"), by_path.drop(columns="name"), check_exact=True)
    assert bundle.predict_proba([]).shape == (0, 2) and bundle.predict([]).columns.tolist() == list(by_path.columns)


class OfThree:
    """A model of three classes that goes by the brightness of the first pixel."""

    def score(self, pixels, sizes):
        shares = np.clip(pixels[:, 0, 0, :].astype(float), 1, None)
        return shares / shares.sum(axis=1, keepdims=True), None


def test_of_three_classes_the_score_is_that_of_the_class_that_is_told(models):
    about = {"classes": ["r", "g", "b"], "threshold": {"value": None}}
    bundle = replace(models.made["net"], about=about, model=OfThree())
    images = [np.full((8, 8, 3), colour, np.uint8) for colour in ((200, 50, 0), (0, 30, 90))]
    table = bundle.predict(images)
    assert table["label"].tolist() == ["r", "b"] and table["prediction"].tolist() == [0, 2]
    assert table["score"].tolist() == [200 / 251, 90 / 121] and table["threshold"].isna().all()
    assert np.array_equal(bundle.predict_proba(images).argmax(axis=1), table["prediction"])


def test_a_file_that_cannot_be_read_has_a_row_and_stops_predict_proba(models, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    files = [paths_of(models)[0], tmp_path / "empty.png", tmp_path / "gone.png", tmp_path, np.zeros((2, 2), float)]
    table = models.made["logreg"].predict(files)
    assert table["status"].tolist()[1:] == [
        "empty file",
        "cannot be opened: No such file or directory",
        "not a file",
        "an array of float64 of shape (2, 2): bytes of shape (height, width, 3) or (height, width) are read",
    ]
    assert table["prediction"].isna().tolist() == [False, True, True, True, True]
    assert table["score"].isna().tolist() == [False, True, True, True, True]
    with pytest.raises(ImageError, match="image 1 cannot be read: empty file; predict gives such images a row"):
        models.made["logreg"].predict_proba(files)


def test_an_array_that_is_no_image_has_a_row(models):
    shapes = [(9,), (9, 8, 1), (9, 8, 2), (9, 8, 5), (3, 9, 8), (0, 8, 3), (9, 0), (1, 9, 8, 3)]
    table = models.made["logreg"].predict([np.zeros(shape, np.uint8) for shape in shapes])
    said = "bytes of shape (height, width, 3) or (height, width) are read"
    assert table["status"].tolist() == [f"an array of uint8 of shape {shape}: {said}" for shape in shapes]
    grey = np.random.default_rng(0).integers(0, 256, (9, 8), np.uint8)
    rgb, clear = np.dstack([grey] * 3), np.full((9, 8), 255, np.uint8)
    scores = models.made["logreg"].predict([grey, rgb, np.dstack([rgb, clear])])["score"]
    assert scores.nunique() == 1 and scores.notna().all()


def test_images_unlike_the_training_images_are_marked(models):
    green, noise = np.zeros((70, 70, 3), np.uint8), np.random.default_rng(0).integers(0, 256, (75, 75, 3), np.uint8)
    green[..., 1] = 200
    with Image.open(paths_of(models)[0]) as image:
        large = np.asarray(image.convert("RGB").resize((900, 900)))
    for kind in KINDS:
        table = models.made[kind].predict([green, noise, large])
        assert table["status"].tolist() == ["ok (unlike training data)"] * 3, kind
        usual = models.made[kind].predict(paths_of(models))["status"]
        assert (usual == "ok").mean() > 0.85, kind


def test_a_batch_below_one_is_refused(models):
    for predict in (models.made["svm"].predict, models.made["svm"].predict_proba):
        with pytest.raises(ValueError, match="batch is -1: at least 1"):
            predict(paths_of(models)[:2], batch=-1)
    assert models.made["svm"].predict([]).empty


def test_a_card_has_no_limits_with_nothing_between_them(models):
    about = models.made["svm"].about
    for high, shown in ((0.9, "| 0.900 |  |"), (0.95, "| 0.900 | 0.900 to 0.950 |")):
        expected = about["expected"] | {"auroc": 0.9, "auroc_lo": 0.9, "auroc_hi": high}
        assert shown in make_card(about | {"expected": expected})


def test_a_bundle_says_what_it_is_and_names_no_case(models):
    table = models.extracted.manifest.table
    out = Path(models.prepared.study.out)
    results = pd.read_csv(out / "results.csv").set_index("arm")
    for kind, folder in models.folders.items():
        arm = models.arms[kind]
        about = json.loads((folder / "bundle.json").read_text())
        assert about["expected"]["auroc"] == results.loc[arm, "auroc"]
        assert about["trained_on"]["cases"] == [f"C{k:03d}" for k in range(1, 9)]
        card = (folder / "card.md").read_text()
        others = results["auroc"].drop("none/none/dummy")
        ranked = f"it ranks {1 + (others > others[arm]).sum()} of {len(others)} arms by AUROC"
        auroc = f"{others[arm]:.3f}"
        for text in (auroc, ranked, "outer folds", "no re-evaluation"):
            assert text in card
        everything = b"".join(path.read_bytes() for path in folder.iterdir())
        assert not any(name.encode() in everything for name in [*table["case"], *table["slide"], *table["name"]])
        arrays, predictions = load_file(folder / "arrays.safetensors"), pd.read_parquet(out / "predictions.parquet")
        scores = predictions[predictions["arm"] == arm]["score"].to_numpy()
        assert np.array_equal(arrays["out_of_fold.score"].ravel(), scores)
        assert len(np.unique(arrays["out_of_fold.case"])) == 8


def test_an_arm_that_no_bundle_can_hold_is_refused(models, tmp_path):
    out = models.prepared.study.out
    with pytest.raises(BundleError, match=r"no arm 'shortcut\.v1/none/svn': did you mean 'shortcut\.v1/none/svm'"):
        read_outcome(out, "shortcut.v1/none/svn")
    with pytest.raises(BundleError, match="is the floor and looks at no image"):
        read_outcome(out, "none/none/dummy")
    with pytest.raises(BundleError, match=r"holds no finished study: run python -m studies\.compare"):
        read_outcome(tmp_path, "a/b/c")
    with pytest.raises(BundleError, match="already exists: delete it, or choose another folder"):
        save_bundle(models.made["logreg"], models.folders["logreg"])


def test_every_arm_of_a_study_is_saved_once(models, tmp_path):
    said, out = [], tmp_path / "out"
    out.mkdir()
    for name in ("results.csv", "predictions.parquet"):
        shutil.copy(Path(models.prepared.study.out) / name, out / name)
    prepared = replace(models.prepared, study=replace(models.prepared.study, out=str(out)))
    arms = ["shortcut.v1/none/svm", "shortcut.v1/pca4/xgboost", "none/none/dummy"]
    found = save_models(prepared, models.extracted, said.append, arms)
    assert {path.name for path in (out / "models").iterdir()} == {folder_of(arm) for arm in arms[:2]}
    assert list(found) == arms[:2] and any("no bundle: none/none/dummy is the floor" in line for line in said)
    again = save_models(prepared, models.extracted, said.append, arms[:1])
    assert again == {arms[0]: found[arms[0]]} and said[-1].endswith("already exists and is kept")
    results = pd.read_csv(out / "results.csv")
    results[results["arm"].isin([models.arms["svm"], arms[1], "none/none/dummy"])].to_csv(out / "results.csv")
    assert (
        list(save_models(prepared, models.extracted, said.append))[-1]
        == results["arm"][results["arm"].isin([models.arms["svm"], arms[1]])].iloc[0]
    )  # the best one is the newest


def test_other_versions_are_said_and_other_scores_refused(models, tmp_path, monkeypatch):
    folder = models.folders["logreg"]
    monkeypatch.setattr(bundle_format, "version", lambda name: "0.1" if name == "numpy" else "1.0")
    with pytest.warns(OtherVersionsWarning, match="numpy .*, but here it is 0.1.*its test image scores the same"):
        glomfeat.load_bundle(folder)
    monkeypatch.undo()
    about = json.loads((folder / "bundle.json").read_text())
    about["checks"]["rows"][2] += 0.01
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(
        BundleError, match=r"test image scores 0\.01 away from what it scored where the bundle was made"
    ):
        glomfeat.load_bundle(other)


def test_a_bundle_is_not_written_by_halves(models, tmp_path, monkeypatch):
    def fails(about):
        raise OSError("disk full")

    monkeypatch.setattr("glomfeat.bundle.save.make_card", fails)
    with pytest.raises(OSError, match="disk full"):
        save_bundle(models.made["logreg"], tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_deep_features_go_with_their_weights_or_check_them(models, tmp_path):
    made, images = models.made["deep"], paths_of(models)[:16]
    save_bundle(made, tmp_path / "with", include_weights=True)
    with_weights = glomfeat.load_bundle(tmp_path / "with", device="cpu")
    assert (tmp_path / "with" / "weights.safetensors").stat().st_size > 1_000_000
    assert np.array_equal(with_weights.predict_proba(images), made.predict_proba(images))
    shutil.copytree(models.folders["deep"], tmp_path / "without")
    about = json.loads((tmp_path / "without" / "bundle.json").read_text())
    about["feature"]["weights"]["sha256"] = "0" * 64
    (tmp_path / "without" / "bundle.json").write_text(json.dumps(about))
    needs = "needs the weights 'random' of squeezenet1_1, with sha256 000.*, and those found here have .*--weights"
    with pytest.raises(BundleError, match=needs):
        glomfeat.load_bundle(tmp_path / "without")
    about["feature"]["weights"]["name"] = "mine"
    (tmp_path / "without" / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(
        OSError, match=r"needs the weights 'mine' of squeezenet1_1.*pass --weights with its file or folder"
    ):
        glomfeat.load_bundle(tmp_path / "without", weights=tmp_path / "gone")


def test_a_bundle_works_in_the_batch_in_which_the_study_described_its_images(models, tmp_path):
    name = models.prepared.features[1].name
    extracted = replace(models.extracted, keys={**models.extracted.keys, name: {"batch": 64}})
    made = refit_arm(models.prepared, extracted, f"{name}/none/logreg")
    save_bundle(made, tmp_path / "wide")
    loaded = glomfeat.load_bundle(tmp_path / "wide", device="cpu")
    assert made.about["feature"]["batch"] == made.model.feature.batch == loaded.model.feature.batch == 64
    held = held_bytes(psutil.Process())
    kept, _, _ = paced(loaded, paths_of(models), 32, 1, held + 40_000_000)
    assert kept.model.feature.batch == 64 > loaded.model.feature.within(40_000_000, 64).batch
    with pytest.raises(BudgetError, match=r"networks' extraction needs .* in batches of 64\) .*: raise --mem"):
        paced(loaded, paths_of(models), 32, 1, held + 20_000_000)
    about = json.loads((tmp_path / "wide" / "bundle.json").read_text())
    about["feature"]["batch"] = 10**9
    (tmp_path / "wide" / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match="batch is no number"):
        glomfeat.load_bundle(tmp_path / "wide", device="cpu")


OWN = """
from glomfeat import Handcrafted
from glomfeat.features.handcrafted.shortcut import describe
print("imported")
def plain():
    return Handcrafted("plain.v1", describe)
"""


def test_a_part_of_ones_own_is_imported_only_if_it_is_trusted(models, tmp_path, monkeypatch, capsys):
    folder, images = tmp_path / "bundle", paths_of(models)[:4]
    shutil.copytree(models.folders["logreg"], folder)
    about = json.loads((folder / "bundle.json").read_text())
    about["feature"] |= {"asked": "ownpart:plain", "name": "plain.v1"}
    (folder / "bundle.json").write_text(json.dumps(about))
    (tmp_path / "ownpart.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BundleError, match=r"needs 'ownpart:plain', a part of someone's own.*--trust ownpart:plain"):
        glomfeat.load_bundle(folder, trust=("ownpart:other",))
    assert "ownpart" not in sys.modules and "imported" not in capsys.readouterr().out
    loaded = glomfeat.load_bundle(folder, trust=("ownpart:plain",))
    assert np.array_equal(loaded.predict_proba(images), models.made["logreg"].predict_proba(images))
    about["feature"]["name"] = "plain.v2"
    (folder / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match=r"needs the feature plain\.v2, and ownpart:plain is plain\.v1 here: install"):
        glomfeat.load_bundle(folder, trust=("ownpart:plain",))


@pytest.mark.parametrize("model", [LinearDiscriminantAnalysis(), RidgeClassifier(), GaussianNB(), PCA(2)])
def test_some_parts_of_ones_own_go_with_the_model(model):
    X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
    fitted = make_pipeline(StandardScaler(), model).fit(X, y)
    read = load_skops(dump_skops(fitted), "head.skops")
    for method in ("predict_proba", "decision_function", "transform"):
        if hasattr(fitted, method):
            assert np.array_equal(getattr(read, method)(X), getattr(fitted, method)(X))


def test_other_parts_of_ones_own_are_refused_when_they_are_written():
    tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(BundleError, match=r"DecisionTreeClassifier cannot be put into a bundle: its type .* own heads"):
        dump_skops(tree)


def test_refit_writes_what_a_study_promised(models, tmp_path, capsys):
    out = shutil.copytree(models.prepared.study.out, tmp_path / "out", ignore=shutil.ignore_patterns("models"))
    options, _ = read_settings(out / "study.yaml")
    gone = {"test": ["far=gone.csv"], "map": ["a=b"], "readers": "gone.csv", "metrics": ["gone:f"], "style": "gone"}
    write_settings(options | gone, out / "study.yaml")  # files and code that no model reads
    arguments = [str(out), "--arm", "shortcut.v1/none/logreg"]
    assert refit.main([*arguments, "--to", str(tmp_path / "new"), "--jobs", "1"]) == 0
    assert str(tmp_path / "new") in capsys.readouterr().out
    images, loaded = paths_of(models), glomfeat.load_bundle(tmp_path / "new")
    assert "shortcut.v1/none/logreg: " in repr(loaded) and len(repr(loaded)) < 200 and "C001" not in repr(loaded)
    found = loaded.predict(images)
    pd.testing.assert_frame_equal(found, models.made["logreg"].predict(images), check_exact=True)
    with pytest.raises(SystemExit) as ended:
        run_main(refit.main, [*arguments[:2], "x/y/z"])
    assert ended.value.code == 2 and "has no arm 'x/y/z'" in capsys.readouterr().err


def test_a_study_of_other_images_is_not_refitted(models, tmp_path):
    shutil.copytree(models.images, tmp_path / "images")
    next((tmp_path / "images").rglob("*.png")).unlink()
    csv = tmp_path / "images" / "public.csv"
    names = {path.name for path in (tmp_path / "images").rglob("*.png")}
    csv.write_text("\n".join(line for line in csv.read_text().splitlines() if line.split(",")[0] in {"name", *names}))
    arguments = [str(models.prepared.study.out), "--arm", "shortcut.v1/none/logreg", "--to", str(tmp_path / "new")]
    with pytest.raises(ValueError, match=r"holds another study \(data: 24 images.*23 images.*run python -m studies"):
        refit.main([*arguments, "--data", str(tmp_path / "images")])


def test_a_bundle_of_a_pretrained_feature_reads_as_its_configuration_says(few_images, pretrained_folder, tmp_path):
    options = {"features": ("shortcut", "squeezenet1_1"), "heads": ("logreg",), "reducers": ("none",), "inside": 0}
    options |= {"weights": str(pretrained_folder), "device": "cpu", "folds": 2, "jobs": 1}
    study = Study(str(few_images), **options, out=str(tmp_path / "out"), cache=str(tmp_path / "cache"))
    prepared = prepare(study, lambda line: None)
    compare(prepared, lambda line: None)
    arm = f"{prepared.features[1].name}/none/logreg"
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    made = refit_arm(prepared, extracted, arm)
    save_bundle(made, tmp_path / "bundle", include_weights=True)
    loaded, images = glomfeat.load_bundle(tmp_path / "bundle", device="cpu"), extracted.manifest.table["path"].tolist()
    assert made.preprocess == loaded.preprocess == Preprocess(224, "white", "bilinear")
    assert loaded.about["preprocess"] == {"size": 224, "padding": "white", "filter": "bilinear", "icc": "srgb"}
    assert "padded to a square (white), 224 px (bilinear)" in (tmp_path / "bundle" / "card.md").read_text()
    scores = loaded.predict_proba(images)[:, 1]
    assert np.array_equal(scores, made.predict_proba(images)[:, 1])
    rows = extracted.matrices[prepared.features[1].name][:]
    assert np.array_equal(scores, made.model.of_rows(rows)[0])
    assert (loaded.predict(images)["status"].str.startswith("ok")).all()


def test_a_bundle_that_does_not_say_its_filter_was_made_with_lanczos(models, tmp_path):
    shutil.copytree(models.folders["logreg"], tmp_path / "old")
    about = json.loads((tmp_path / "old" / "bundle.json").read_text())
    assert about["preprocess"].pop("filter") == "lanczos"
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(about))
    old, images = glomfeat.load_bundle(tmp_path / "old"), paths_of(models)
    assert old.preprocess == models.prepared.preprocess
    assert np.array_equal(old.predict_proba(images), models.made["logreg"].predict_proba(images))


@pytest.mark.parametrize("kind", ["svm", "deep", "net"])
def test_equal_studies_make_equal_bundles_to_the_last_byte(models, tmp_path, kind):
    again = refit_arm(models.prepared, models.extracted, models.arms[kind])
    save_bundle(again, tmp_path / "again")
    first, second = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (models.folders[kind], tmp_path / "again")
    )
    assert first == second


@pytest.mark.parametrize("kind", ["deep", "net"])
def test_a_bundle_of_a_network_says_what_it_needs_where_that_is_not_installed(models, monkeypatch, kind):
    monkeypatch.setattr("glomfeat.core.installed.is_installed", lambda name: name != "torch")
    what = f"^the bundle of {re.escape(str(models.arms[kind]))} needs torch, which is not installed: pip install torch;"
    with pytest.raises(NotInstalledError, match=what):
        glomfeat.load_bundle(models.folders[kind], device="cpu")
    assert glomfeat.load_bundle(models.folders["logreg"], device="cpu").about["arm"] == str(models.arms["logreg"])
