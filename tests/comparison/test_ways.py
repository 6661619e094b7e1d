"""Studies that read images in several ways: what each way gives is what a study of it alone gives."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glomfeat.bundle.format import CARD
from glomfeat.bundle.load import load_bundle
from glomfeat.bundle.save import save_bundle
from glomfeat.comparison.compare import compare
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.options import Study
from glomfeat.comparison.outcome import say_as_were
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.comparison.starts import noted_starts
from glomfeat.core.arms import Arm, StudyError
from glomfeat.data.images.decode import Preprocess, decode, encode_png
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.data.images.stain import TARGETS, Stain
from glomfeat.features.base import FeatureError
from glomfeat.report.sections.methods import _sizes, paragraph
from glomfeat.results.load import load_run
from studies.compare import main

pytestmark = pytest.mark.usefixtures("dealt_once")

NET = "F-D4-out"
EXAMPLE = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",), "nets": (NET,), "folds": 2}
EXAMPLE |= {"epochs": 1, "jobs": 1, "inside": 0}


def run_study(images, place, name, **options):
    lines = []
    study = Study(data=str(images), out=str(place / name), cache=str(place / "cache"), **EXAMPLE | options)
    prepared = prepare(study, lines.append)
    finished, results, _ = compare(prepared, lines.append)
    return prepared, finished, results.set_index("arm"), lines


@pytest.fixture(scope="module")
def several(few_images, tmp_path_factory):
    """The phantom read in two sizes, each with two stains, with a mean of two ways."""
    place = tmp_path_factory.mktemp("ways")
    mean = f"shortcut@24-none/none/logreg,net:{NET}@macenko"
    options = {"size": (24, 32), "stain": ("none", "macenko"), "ensembles": (mean,), "test": ()}
    return place, *run_study(few_images, place, "several", **options)


def scores(out, arm):
    table = pd.read_parquet(out / "predictions.parquet")
    return table[table["arm"] == arm].sort_values("name")["score"].to_numpy()


def test_arms_say_what_differs_and_nothing_else(several):
    _, _, _, results, lines = several
    ways = [f"{size}-{stain}" for size in (24, 32) for stain in ("none", "macenko")]
    features = [f"shortcut.v1@{way}/none/logreg" for way in ways]
    nets = [f"net:{NET}@{stain}" for stain in ("none", "macenko")]
    mean = f"mean:shortcut.v1@24-none/none/logreg,net:{NET}@macenko"
    assert set(results.index) == {"none/none/dummy", *features, *nets, mean}
    assert (results["status"] == "done").all()
    assert [str(Arm.parse(arm)) for arm in results.index] == list(results.index)
    assert "stain: macenko to the built-in PAS reference (--stain-reference takes he, fold, an image file too)" in lines
    assert f"{NET}: the layers fix the side of images, so --size makes no difference" in lines
    compared = pd.read_csv(several[0] / "several" / "comparisons.csv")
    assert {*features, *nets} - set(compared.stack()) <= {results.index[0]}


@pytest.mark.parametrize(
    ("size", "stain", "feature", "net"),
    [(24, "none", "@24-none", "@none"), (32, "macenko", "@32-macenko", "@macenko")],
)
def test_each_way_is_the_study_of_it_alone(several, few_images, size, stain, feature, net):
    place, _, _, results, _ = several
    _, _, alone, _ = run_study(few_images, place, f"{size}{stain}", size=size, stain=stain)
    assert set(alone.index) == {"none/none/dummy", "shortcut.v1/none/logreg", f"net:{NET}"}
    pairs = {"shortcut.v1/none/logreg": f"shortcut.v1{feature}/none/logreg", f"net:{NET}": f"net:{NET}{net}"}
    for one, of_several in pairs.items():
        np.testing.assert_array_equal(
            scores(place / f"{size}{stain}", one), scores(place / "several", of_several), err_msg=one
        )
        assert alone.loc[one, "auroc"] == results.loc[of_several, "auroc"]


def test_one_value_is_written_as_ever_and_stored_once(several, few_images):
    plain, one = Study(size=24, padding="zero"), Study(size=(24,), padding=("zero",))
    assert plain.plain() == one.plain() and plain.plain()["size"] == 24
    prepared = several[1]
    identity = Study(data=str(few_images)).identity(prepared.manifest, [])
    assert "stain" not in identity and "stain_reference" not in identity
    assert several[1].identity["stain target"] == {"macenko": Stain("macenko", TARGETS["pas"]["macenko"]).key}
    before = {path.name for path in (several[0] / "cache").rglob("output.pkl")}
    assert before and several[1].features[0].key == several[1].features[1].key


@pytest.mark.slow
def test_it_is_repeated_from_its_yaml_by_two_jobs(several, tmp_path, without_report):
    place = several[0]
    again = ["--config", str(place / "several" / "study.yaml"), "--out", str(tmp_path / "again"), "--jobs", "2"]
    assert main(again) == 0
    for name in ("predictions.parquet", "folds.csv", "comparisons.csv"):
        assert (place / "several" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_methods_say_what_was_compared(several):
    loaded = load_run(several[0] / "several")
    assert loaded.about["arms"] == [str(arm) for arm in several[1].arms]
    data, models, *_ = paragraph(loaded)
    assert data.endswith(
        "The colours of images were left as they were, or brought to those of a reference by stain vectors found in "
        "each image (Macenko et al. 2009). Images were padded to a centred square with white and resized to 24 x 24 "
        f"pixels (Lanczos) or to 32 x 32 pixels (Lanczos) and for net:{NET}@none and net:{NET}@macenko to 128 x 128 "
        "pixels (Lanczos). Every combination was an arm of its own."
    )
    assert "AdamW followed a cosine schedule" in models


@pytest.mark.parametrize(("size", "said"), [(32, True), (128, False), (None, False)])
def test_a_size_that_a_network_cannot_read_is_not_said_to_be_read(few_images, tmp_path, size, said):
    lines, nets = [], (NET, "squeezenet1_1:frozen")
    options = EXAMPLE | {"nets": nets, "size": size, "weights": "none", "cache": str(tmp_path)}
    prepared = prepare(Study(data=str(few_images), out=str(tmp_path / "out"), **options), lines.append)
    line = f"{NET}: the layers fix the side of images, so --size makes no difference"
    assert (line in lines) == said and not any("reads images of 128 px" in line for line in lines)
    assert [prepared.view_of_net(net).size for net in nets] == [128, size or 224]
    apart = {} if size == 128 else {f"net:{NET}": [128, "lanczos"]}
    assert prepared.reads == prepared.identity.get("reads", {}) == apart
    again = prepare(prepared.study, lines.append, begun=noted_starts(prepared.identity))
    assert again.identity == prepared.identity
    away = f" and for net:{NET} to 128 x 128 pixels (Lanczos)" if apart else ""
    assert _sizes(prepared.identity) == f"to {size or 224} x {size or 224} pixels (Lanczos){away}"


@pytest.mark.parametrize("arm", ["shortcut.v1@24-macenko/none/logreg", f"net:{NET}@macenko"])
def test_a_bundle_normalises_stains_as_its_arm_did(several, tmp_path, arm):
    prepared = several[1]
    extracted = extract_for(prepared, prepared.manifest, prepared.features, prepared.views_of_nets)
    made = refit_arm(prepared, extracted, arm)
    save_bundle(made, tmp_path / "bundle")
    about = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert about["arm"] == arm and about["preprocess"]["stain"]["method"] == "macenko"
    loaded, paths = load_bundle(tmp_path / "bundle"), prepared.manifest.table["path"].tolist()[:6]
    assert loaded.preprocess.stain == Stain("macenko", TARGETS["pas"]["macenko"])
    np.testing.assert_allclose(loaded.predict_proba(paths), made.predict_proba(paths))
    assert "stain brought to a reference (macenko)" in (tmp_path / "bundle" / CARD).read_text()


def test_a_plan_lists_every_way(several, capsys):
    place = several[0]
    assert main(["--config", str(place / "several" / "study.yaml"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    for stage in ("24 px, lanczos, stain as it is", "32 px, lanczos, macenko", "128 px, lanczos, macenko"):
        assert stage in " ".join(said.split())


def test_changed_images_are_normalised_after_the_change(phantom_folder, tmp_path, monkeypatch):
    """And are compared with images to which the same is done without a change, so that no change makes no difference.

    Images are normalised at their full size, and changed ones at that of their square.
    """
    monkeypatch.setitem(PERTURBATIONS, "stain", replace(PERTURBATIONS["stain"], strengths=(1.0, 2.0)))
    arms = [f"shortcut.v1@{stain}/none/logreg" for stain in ("none", "macenko")]
    options = {"nets": (), "perturb": ("stain",), "stain": ("none", "macenko"), "size": 24}
    _, _, results, _ = run_study(phantom_folder, tmp_path, "out", **options, ensembles=(",".join(arms),))
    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert (table["status"] == "done").all() and table.groupby("arm").size().tolist() == [2, 2, 2]
    neutral, strong = (table[table["strength"] == one].set_index("arm") for one in (1.0, 2.0))
    assert (neutral[["auroc_change", "sensitivity_t_change", "flipped"]] == 0).all(axis=None)
    assert strong["auroc_change"].abs().min() > 0
    auroc = results["auroc"]
    assert neutral["auroc"][arms[0]] == pytest.approx(auroc[arms[0]])
    assert neutral["auroc"][arms[1]] != pytest.approx(auroc[arms[1]])  # at so small a size, the way alone tells


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": (24, 24)}, "--size is 24 24: give each value once"),
        ({"padding": ()}, "--padding is empty: give each value once"),
        ({"size": (24, 0)}, "--size is 0: at least 1"),
        ({"stain_reference": "he"}, "--stain-reference is he: say with --stain how to normalise images"),
        ({"stain": "macenko", "stain_reference": "no.png"}, "--stain-reference no.png cannot be read as an image"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(few_images, tmp_path, options, said):
    with pytest.raises(StudyError) as refused:
        prepare(Study(data=str(few_images), cache=str(tmp_path), **EXAMPLE | options), lambda line: None)
    assert str(refused.value).startswith(said)


def test_a_reference_is_an_image_that_shows_tissue(few_images, tmp_path):
    Image.new("RGB", (50, 50), "white").save(tmp_path / "blank.png")
    paths = sorted(few_images.rglob("*.png"))
    study = Study(data=str(few_images), stain="reinhard", cache=str(tmp_path), **EXAMPLE)
    with pytest.raises(StudyError, match=r"blank.png: reinhard finds in it too little tissue"):
        prepare(replace(study, stain_reference=str(tmp_path / "blank.png")), lambda line: None)
    prepared = prepare(replace(study, stain_reference=str(paths[0])), lambda line: None)
    wanted = Stain.of("reinhard", np.asarray(decode(paths[0].read_bytes())))
    assert prepared.preprocess == Preprocess(stain=wanted) and prepared.arms[1].feature == "shortcut.v1"


def test_a_table_of_features_is_read_in_no_way(feature_table, tmp_path):
    with pytest.raises(FeatureError, match=r"^--padding: .* is a feature table without images"):
        prepare(Study(data=str(feature_table), padding=("white", "zero"), cache=str(tmp_path)), lambda line: None)
    with pytest.raises(FeatureError, match=r"^--stain: .* is a feature table without images"):
        prepare(Study(data=str(feature_table), stain="macenko", cache=str(tmp_path)), lambda line: None)


def test_images_without_tissue_are_left_as_they_are_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    for kind in "ab":
        for case in range(4):
            for k in range(2):
                path = tmp_path / "images" / kind / f"P{case:02d}_PAS_1of1_{kind}{case}{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                tissue = rng.integers(60, 200, (20, 20, 3)).astype(np.uint8)
                blank = np.full((20, 20 + k * (kind == "a"), 3), 250 + (kind == "a"), np.uint8)  # b's files are equal
                path.write_bytes(encode_png(tissue if case else blank))
    groups = r"(?P<case>P\d\d)_"
    *_, lines = run_study(tmp_path / "images", tmp_path, "out", size=16, stain="reinhard", nets=(), groups=groups)
    said = "stain: reinhard leaves 4 of 16 images as they are: they show too little tissue"
    assert any(line.startswith(said) for line in lines), lines


def test_images_that_are_left_as_they_are_with_one_padding_alone_are_counted_so():
    white, black = (
        Preprocess(16, padding, stain=Stain("macenko", TARGETS["pas"]["macenko"])) for padding in ("white", "zero")
    )
    found, lines = SimpleNamespace(manifest=range(9), pixels={white: 0, black: 0}, as_were={white: 4}), []
    say_as_were([found], lines.append)
    assert lines[0].startswith("stain: macenko leaves up to 4 of 9 images as they are: ")
    say_as_were([SimpleNamespace(manifest=range(9), pixels={white: 0, black: 0}, as_were={})], lines.append)
    assert len(lines) == 1
