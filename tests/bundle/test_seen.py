"""What a bundle has learnt from, recognised in new data: images saved again, cases of the same names, copies."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.running import refusal
from PIL import Image

from glomfeat.bundle.load import load_bundle
from glomfeat.bundle.save import save_bundle
from glomfeat.bundle.seen import Seen, digests_of_cases, read_seen
from glomfeat.data.images.decode import encode_png
from studies import evaluate

pytestmark = pytest.mark.usefixtures("without_figures")

TRAINED = "24 of the images are images that the model was trained on: the figures are too good.\n"
ALIKE = "named like cases that the model was trained on: if they are the same patients, the figures are too good.\n"
OLDER = (
    "the bundle is of an older version: it does not say which images were saved again, nor which cases are named like "
    "those that it was trained on"
)


def run(bundle, *arguments):
    return evaluate.main([str(bundle), *map(str, arguments), "--device", "cpu", "--jobs", "1"])


def new_images(place, models, names, seed=0):
    """Images of noise under given names in the folders of the classes."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(names):
        path = place / models.extracted.manifest.classes[k % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)))
    return place


@pytest.fixture(scope="module")
def resaved(models, tmp_path_factory):
    """The images that the bundles learnt, as TIFF, in the folders of the classes and under the names of other cases."""
    place, manifest = tmp_path_factory.mktemp("resaved"), models.extracted.manifest
    for k, (path, label) in enumerate(zip(manifest.table["path"], manifest.labels, strict=True)):
        (place / manifest.classes[label]).mkdir(exist_ok=True)
        with Image.open(path) as image:
            image.save(place / manifest.classes[label] / f"new{k // 3}_PAS_1of1_{k}.tiff")
    return place


@pytest.fixture(scope="module")
def ensemble(models, tmp_path_factory):
    """The folder of a bundle whose members read images in the same way."""
    from glomfeat.comparison.refit import refit_arm

    arm = next(str(arm) for arm in models.prepared.arms if arm.members and not any(one.net for one in arm.members))
    folder = tmp_path_factory.mktemp("ensemble") / "bundle"
    save_bundle(refit_arm(models.prepared, models.extracted, arm), folder)
    return folder


@pytest.mark.parametrize("kind", ["svm", "net", "ensemble"])
def test_images_that_were_saved_again_without_loss_are_recognised(models, ensemble, resaved, tmp_path, kind, capsys):
    place, out = models.folders.get(kind, ensemble), tmp_path / "e.csv"
    for _ in range(2):  # what was predicted before is not decoded again, and must be recognised nevertheless
        assert run(place, resaved, "--out", out) == 0
        said = capsys.readouterr().out
        assert TRAINED in said and "named like" not in said and "older version" not in said
        assert TRAINED.partition(":")[0] in out.with_suffix(".html").read_text()
    for path in resaved.rglob("*.tiff"):
        with Image.open(path) as image:
            changed = np.asarray(image).copy()
        changed[len(changed) // 2, image.width // 2, 0] ^= 128
        (tmp_path / "changed" / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(changed).save(tmp_path / "changed" / path.parent.name / path.name)
    assert run(place, tmp_path / "changed", "--out", tmp_path / "changed.csv") == 0
    assert "that the model was trained on" not in capsys.readouterr().out


def test_images_of_a_single_colour_are_no_copies_of_each_other(models):
    def seen_of(colour):
        return load_bundle(models.folders["svm"]).decode(np.full((9, 9, 3), colour, np.uint8))

    from glomfeat.bundle.seen import digest_of_decoded

    assert digest_of_decoded(*seen_of(7)) == 0 and digest_of_decoded(*seen_of([7, 8, 9])) == 0


def test_cases_of_the_same_names_are_counted_and_never_named(models, tmp_path, capsys):
    cases = sorted(set(models.extracted.manifest.table["case"]))
    called = [*(case.upper() for case in cases[:3] for _ in range(2)), *["other1", "other1", "other2", "other2"]]
    place = new_images(tmp_path / "new", models, [f"{case}_PAS_1of1_{k}.png" for k, case in enumerate(called)])
    assert run(models.folders["svm"], place, "--out", tmp_path / "e.csv") == 0
    said, page = capsys.readouterr().out, (tmp_path / "e.html").read_text()
    assert f"3 of the 5 cases are {ALIKE}" in said and "images that the model was trained on" not in said
    assert "3 of the 5 cases are named like cases that the model was trained on:</strong> if they" in page
    held = b"".join(path.read_bytes() for path in models.folders["svm"].iterdir())
    assert not any(case.encode() in held for case in cases)
    assert run(models.folders["svm"], place, "--groups", "none", "--out", tmp_path / "none.csv") == 0
    assert "named like" not in capsys.readouterr().out


def test_digests_of_cases_have_a_salt_and_no_order_of_names():
    cases = [f"P{k}" for k in range(20)]
    found = digests_of_cases(cases, "a")
    assert len(found) == 20 and (np.diff(found.astype(float)) > 0).all()
    assert not np.isin(found, digests_of_cases(cases, "b")).any()
    seen = Seen(cases={"a": found[:0], "b": digests_of_cases(cases[:2], "b")})
    assert seen.count_cases(["p 01", "P1", "P9"]) == 2 and Seen().count_cases(["P1"]) == 0


def test_what_was_learnt_before_is_kept_with_its_own_salt(tmp_path):
    one = Seen(np.array([1, 2], np.uint64), np.array([7], np.uint64), {"a": digests_of_cases(["P1"], "a")})
    two = Seen(np.array([2, 3], np.uint64), None, {"b": digests_of_cases(["P2"], "b")})
    both = two.after([one, Seen(np.array([1], np.uint64))])
    assert both.files.tolist() == [2, 3, 1] and both.pixels.tolist() == [7]
    assert both.count_cases(["P1", "P2", "P3"]) == 2 and both.older
    assert Seen.from_arrays(both.arrays()).older and Seen().after([both]).older
    assert not two.after([one]).older and not Seen.from_arrays(one.arrays()).older


def test_a_bundle_of_an_older_version_is_read_and_says_what_it_cannot_tell(models, resaved, tmp_path, capsys):
    made, older = models.made["svm"], tmp_path / "older"
    save_bundle(replace(made, seen=Seen(made.seen.files)), older)
    assert read_seen(older).pixels is None and read_seen(older).cases is None
    assert run(older, resaved, "--out", tmp_path / "e.csv") == 0
    assert f"\n{OLDER}\n" in capsys.readouterr().out and OLDER in (tmp_path / "e.html").read_text()
    assert run(older, models.images, "--recursive", "--out", tmp_path / "own.csv") == 0
    assert TRAINED in capsys.readouterr().out
    began = tmp_path / "began"
    save_bundle(replace(made, seen=made.seen.after([read_seen(older)])), began)
    assert run(began, resaved, "--out", tmp_path / "began.csv") == 0
    said = capsys.readouterr().out
    assert TRAINED in said and OLDER.replace("bundle is", "network started from a bundle") in said


def test_a_bundle_that_learnt_without_cases_says_that_it_cannot_tell_them(models, tmp_path, capsys):
    made, place = models.made["svm"], new_images(tmp_path / "new", models, [f"P{k}_PAS_1of1_{k}.png" for k in range(6)])
    none = {models.extracted.manifest.digest: np.empty(0, np.uint64)}
    save_bundle(replace(made, seen=replace(made.seen, cases=none)), tmp_path / "none")
    said = "the model was trained without cases: whether these are among those cannot be told"
    for groups, expected in (("auto", True), ("none", False)):
        assert run(tmp_path / "none", place, "--groups", groups, "--out", tmp_path / f"{groups}.csv") == 0
        assert (said in " ".join(capsys.readouterr().out.split())) is expected


@pytest.mark.parametrize(("across", "copy"), [("cases", "P8_PAS_1of1_8.png"), ("classes", "P0_PAS_1of1_8.png")])
def test_copies_across_cases_or_classes_are_refused_as_in_a_study(models, tmp_path, across, copy, capsys):
    place = new_images(tmp_path / "new", models, [f"P{k}_PAS_1of1_{k}.png" for k in range(6)])
    classes = models.extracted.manifest.classes
    first = place / classes[0] / "P0_PAS_1of1_0.png"
    shutil.copy(first, place / classes[across == "classes"] / copy)
    said = f"{place}: 1 set of byte-identical images across {across}: keep one of each"
    assert run(models.folders["svm"], place, "--out", tmp_path / "e.csv") == 0
    shown = capsys.readouterr().out
    assert f"\nno figures: {said}; --show-names says which\n" in shown and "No labels say" not in shown
    assert f"No figures: {said}; --show-names says which." in " ".join(shown.replace(f"no figures: {said}", "").split())
    page = (tmp_path / "e.html").read_text()
    assert f"no figures: {said}" in page and "Against the labels" not in page and first.name not in page
    table = pd.DataFrame({"path": sorted(place.rglob("*.png"))})
    table.assign(name=table["path"].map(lambda path: path.relative_to(place).as_posix()),
                 label=table["path"].map(lambda path: path.parent.name))[["name", "label"]].to_csv(
        tmp_path / "labels.csv", index=False)  # fmt: skip
    given = "--labels", tmp_path / "labels.csv", "--show-names", "--out", tmp_path / "l.csv"
    told = refusal(evaluate.main, capsys, *map(str, (models.folders["svm"], place, *given)))
    assert said in told and first.name in told
