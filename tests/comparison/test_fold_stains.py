"""References of stains that each fold draws from its training images: they are those, and nothing else is looked at."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glomfeat
from glomfeat.bundle.save import folder_of
from glomfeat.comparison.fold_stains import draw_stains, order_drawn
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.cache_listing import list_stored
from glomfeat.data.images.decode import Preprocess, decode
from glomfeat.data.images.stain import Stain, look, macenko_of
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.features.make import make_feature
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run
from studies.compare import main

NET, HEAD = "F-D4-out", "shortcut.v1@macenko-fold/none/logreg"
OPTIONS = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",), "size": 24, "folds": 2}
OPTIONS |= {"stain": ("none", "macenko"), "stain_reference": "fold", "inside": 0}


@pytest.fixture(scope="module")
def study(few_images, tmp_path_factory):
    """A study whose folds learn from fewer images than a reference takes, with another place and bundles."""
    place = tmp_path_factory.mktemp("fold")
    far = make_phantom(place / "far", Phantom(images=8, cases=4, min_px=60, max_px=90, seed=9))
    more = {"nets": (NET,), "epochs": 1, "ensembles": (f"shortcut@macenko-fold/none/logreg,net:{NET}@macenko-fold",)}
    more |= {"test": (f"far={far}",), "save_models": True, "calibration": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.data.splits.MOST_DEALS", 1)
        patch.setattr("glomfeat.comparison.score_cohorts.refuse_near_copies", lambda *rest: None)
        _, results, _, said = run_study(place, data=str(few_images), **OPTIONS | more)
    options = (
        OPTIONS | more | {"data": str(few_images), "out": str(place / "out"), "cache": str(place / "cache"), "jobs": 1}
    )
    return SimpleNamespace(place=place, out=place / "out", far=far, results=results, said=said, options=options)


def reference_of(paths):
    """The median over images, by hand."""
    images = [np.asarray(decode(path.read_bytes())) for path in paths]
    return Stain("macenko", tuple(np.median([macenko_of(look(image)[1]) for image in images], axis=0)))


def test_scores_of_a_fold_are_those_of_a_plain_computation(study, few_images):
    folds, paths = pd.read_csv(study.out / "folds.csv"), {path.name: path for path in few_images.rglob("*.png")}
    trials = pd.read_csv(study.out / "trials.csv", dtype={"fold": str}).set_index(["arm", "fold"])
    scores = pd.read_parquet(study.out / "predictions.parquet").query("arm == @HEAD").set_index("name")["score"]
    feature, y = make_feature("shortcut"), folds["label"].to_numpy()
    references = []
    for fold in (0, 1):
        test = (folds["fold"] == fold).to_numpy()
        stain = reference_of([paths[name] for name in folds["name"][~test]])
        pairs = [Preprocess(24, stain=stain).read(paths[name].read_bytes()) for name in folds["name"]]
        X = feature.transform(np.stack([pixels for pixels, _ in pairs]), np.array([size for _, size in pairs]))
        C = json.loads(trials.loc[(HEAD, str(fold)), "params"])["logisticregression__C"]
        head = make_pipeline(StandardScaler(), LogisticRegression(C=C, class_weight="balanced", max_iter=2000))
        expected = head.fit(X[~test], y[~test]).predict_proba(X[test])[:, 1]
        np.testing.assert_allclose(scores[folds["name"][test]], expected, atol=1e-4)
        references.append(stain)
    assert references[0] != references[1]


def test_every_arm_is_done_in_every_fold_and_place(study):
    arms = {"none/none/dummy", "shortcut.v1@none/none/logreg", HEAD, f"net:{NET}@none", f"net:{NET}@macenko-fold"}
    arms |= {f"mean:{HEAD},net:{NET}@macenko-fold"}
    trials, external = pd.read_csv(study.out / "trials.csv"), pd.read_csv(study.out / "external.csv")
    assert set(trials["arm"]) == set(external["arm"]) == arms
    assert (trials["status"] == "done").all() and (external["status"] == "done").all()
    assert [str(Arm.parse(arm)) for arm in arms] == list(arms) and Arm.parse(HEAD).way == "macenko-fold"
    line = "stain: macenko to references that are drawn from the training images of each fold (--stain-reference takes "
    assert f"{line}pas, he, an image file too)" in study.said


def test_a_bundle_holds_a_reference_of_all_images_and_scores_the_cohort_as_its_arm(study):
    found, prepared = pd.read_parquet(study.out / "external_predictions.parquet"), prepare_again(study)
    whole = draw_stains(prepared, prepared.manifest, np.arange(len(prepared.manifest)), "all")["macenko", 255]
    paths = {path.name: path for path in study.far.rglob("*.png")}
    for arm in (HEAD, f"net:{NET}@macenko-fold"):
        bundle, own = glomfeat.load_bundle(study.out / "models" / folder_of(arm)), found[found["arm"] == arm]
        assert bundle.preprocess.stain == whole
        told = bundle.predict([paths[name] for name in own["name"]])
        np.testing.assert_allclose(told["score"], own["score"], atol=1e-6)


def prepare_again(study, **changed):
    return prepare(Study(**study.options | changed), lambda line: None)


def test_pixels_that_are_tested_change_no_reference(study, few_images, tmp_path):
    prepared = prepare_again(study, test=())
    folds = pd.read_csv(study.out / "folds.csv")
    train = np.flatnonzero(folds["fold"] == 1)
    before = draw_stains(prepared, prepared.manifest, train, 0, 0)
    table = prepared.manifest.table.copy()
    for row in np.flatnonzero(folds["fold"] == 0):  # as other images, which cannot even be read
        table.loc[row, "path"], table.loc[row, "digest"] = str(tmp_path / "gone.png"), f"{row:064x}"
    other = replace(prepared, store=replace(prepared.store, folder=str(tmp_path / "cache")))
    changed = replace(prepared.manifest, table=table)
    assert draw_stains(other, changed, train, 0, 0) == before
    with pytest.raises(OSError, match=r"gone\.png"):
        draw_stains(other, changed, np.flatnonzero(folds["fold"] == 0), 0, 1)


def test_cases_are_drawn_in_turn_and_by_their_images_alone():
    digests, cases = np.array([f"{k * 7919 % 101:064x}" for k in range(40)], object), np.repeat(np.arange(4), 10)
    order = order_drawn(digests, cases, np.arange(40), seed=1)
    assert sorted(order.tolist()) == list(range(40))
    assert all(len(set(cases[order[k : k + 4]])) == 4 for k in range(0, 40, 4))
    assert order.tolist() != order_drawn(digests, cases, np.arange(40), seed=2).tolist()
    turned = order_drawn(digests[::-1], cases[::-1], np.arange(40), seed=1)
    assert (39 - turned).tolist() == order.tolist()


def test_the_plan_counts_a_description_of_each_fold_and_what_is_stored(study):
    stages = {stage.name: (stage.total, stage.done) for stage in make_plan(prepare_again(study))}
    every = 24 * 3, 24 * 3  # two folds, and all of DATA
    assert stages["shortcut.v1@macenko-fold"] == stages["decode to 24 px, lanczos, macenko-fold"] == every
    assert stages["shortcut.v1@none"] == (24, 24)
    more = {"repeats": 2, "leak_price": True, "test": (), "save_models": False}
    stages = {stage.name: (stage.total, stage.done) for stage in make_plan(prepare_again(study, **more))}
    assert stages["shortcut.v1@macenko-fold"] == (24 * 8, 24 * 2), "the second repeat and folds of images are left"


def test_methods_say_whence_references_come(study):
    data = paragraph(load_run(study.out))[0]
    assert (
        "The reference was estimated anew for each fold: the median of the method's values for up to 16 of its "
        "training images, each of another case if there were enough cases. Images were padded"
    ) in data


def test_a_reference_is_listed_among_what_is_stored(study):
    said = {entry.what for entry in list_stored(study.place / "cache")[0]}
    assert "a stain reference of pixels" in said


def test_images_without_tissue_give_no_reference(tmp_path):
    for k, kind in enumerate("aabb" * 4):
        path = tmp_path / "images" / kind / f"P{k:02d}_PAS_1of1_{k:024x}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + k, 30), "white").save(path)
    said = (
        "--stain-reference fold: none of 8 images, drawn from those that models of a fold learn from, shows what "
        "macenko needs, tissue of more than one colour or stain: give pas, he or an image that is filled with tissue"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(said)}$"):
        run_study(tmp_path, data=str(tmp_path / "images"), **OPTIONS | {"stain": "macenko"})


def test_changed_images_are_refused(few_images):
    said = (
        "--perturb stain with --stain-reference fold: changed images would be described once more for each fold; leave "
        "out --perturb, or give pas, he or an image file as the reference"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(said)}$"):
        prepare(Study(data=str(few_images), perturb=("stain",), **OPTIONS), lambda line: None)


@pytest.mark.slow
def test_it_is_the_same_bytes_by_two_jobs_with_leak_price(study, tmp_path, without_report, dealt_once):
    again = ["--config", str(study.out / "study.yaml"), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    assert main([*again, "--jobs", "2", "--leak-price"]) == 0
    for name in ("predictions.parquet", "external.csv", "external_predictions.parquet"):
        assert (study.out / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert set(trials["fold"]) == {"0", "1", "image:0", "image:1"} and (trials["status"] == "done").all()


@pytest.mark.parametrize("reference", ["fold", "image"])
def test_a_reference_is_measured_on_the_colour_that_its_images_are_laid_over(tmp_path, reference):
    """Transparent parts are white or black, and white tells how bright the light was."""
    folder, paths = make_phantom(tmp_path / "data", Phantom(images=8, cases=4, min_px=60, max_px=90)), []
    for path in sorted(folder.rglob("*.png")):
        image = Image.open(path).convert("RGB")
        dark = np.asarray(image) * 0.8  # so that what is white is brighter than the light
        y, x = np.mgrid[-1 : 1 : 1j * image.height, -1 : 1 : 1j * image.width]
        Image.fromarray(np.dstack([dark, 255 * (x**2 + y**2 < 1)]).astype(np.uint8)).save(path)
        paths.append(path)

    def measured(path, colour):
        return macenko_of(look(np.asarray(decode(path.read_bytes(), colour)))[1])

    telling = next(path for path in paths if measured(path, 0) != measured(path, 255))
    of = "fold" if reference == "fold" else str(telling)
    options = OPTIONS | {"stain_reference": of, "stain": "macenko", "padding": ("white", "zero")}
    study = Study(data=str(folder), cache=str(tmp_path / "cache"), out=str(tmp_path / "out"), **options)
    prepared = prepare(study, lambda line: None)
    if reference == "fold":
        stains = draw_stains(prepared, prepared.manifest, np.arange(8), "all")
    else:
        stains, paths = {("macenko", one.view.colour): one.view.stain for one in prepared.features}, [telling]
        assert len(prepared.identity["stain target"]) == 2
    for colour in (0, 255):
        numbers = [measured(path, colour) for path in paths]
        assert stains["macenko", colour] == Stain("macenko", tuple(np.median(numbers, axis=0)))
    assert stains["macenko", 0] != stains["macenko", 255]
