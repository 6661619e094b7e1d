"""From slides with annotations to crops, their table, and a study of them."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.outlines import NEW, OLD, feature
from helpers.slides import box, make_slide
from PIL import Image

from glomfeat.core.errors import InputError
from glomfeat.data.manifest import read_manifest
from glomfeat.data.problems import ManifestError
from glomfeat.data.slides import crops
from glomfeat.data.slides import read as slides
from glomfeat.data.slides.crops import cases_of, crops_of, name_of, pair_up
from glomfeat.data.slides.outlines import Outline
from glomfeat.data.slides.read import Cut
from studies import crops as study
from studies._cli import run_main

pytestmark = pytest.mark.usefixtures("dealt_once")

pytest.importorskip("tiffslide", reason="tiffslide is not installed")


def square(label, left, top, side=40):
    corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side), (left, top)]
    classification = {} if label is None else {"classification": {"name": label, "color": [200, 0, 0]}}
    properties = {"objectType": "annotation", **classification}
    return feature(properties, {"type": "Polygon", "coordinates": [[list(corner) for corner in corners]]})


@pytest.fixture
def data(tmp_path):
    """Four slides of two cases, each with two objects, in two dialects."""
    (tmp_path / "slides").mkdir()
    (tmp_path / "annotations").mkdir()
    for k in range(4):
        image = np.random.default_rng(k).integers(0, 256, (256, 320, 3), np.uint8)
        path = make_slide(tmp_path / "slides" / f"P{k // 2}_PAS_{k % 2 + 1}of2.tiff", image)
        objects = [square("GS", 50 + k, 60), square("nonGS", 150, 100 + k, 60)]
        held = objects if k % 2 else {"type": "FeatureCollection", "features": objects}
        name = f"{path.name if k == 3 else path.stem}.geojson"
        (tmp_path / "annotations" / name).write_text(json.dumps(held))
    return tmp_path


def run(data, *options, annotations="annotations"):
    arguments = [str(data / "slides"), str(data / annotations), "--out", str(data / "crops"), *options]
    return study.main(arguments)


def files(data):
    return {
        path.relative_to(data / "crops").as_posix(): path.stat().st_mtime_ns for path in data.rglob("crops/**/*.png")
    }


def test_crops_and_their_table_and_a_manifest_of_it(data, capsys):
    assert run(data) == 0
    table = pd.read_csv(data / "crops" / "manifest.csv")
    where = ["object", "number", "bbox_x0", "bbox_y0", "bbox_x1", "bbox_y1"]
    assert table.columns.tolist() == ["path", "label", "case", "slide", *where]
    assert set(table["path"]) == set(files(data)) and table["number"].tolist() == [1, 2] * 4
    assert table.iloc[5][where[2:]].tolist() == [150, 102, 210, 162]
    assert table["case"].tolist() == [f"P{k // 4}" for k in range(8)]
    assert table["slide"].tolist() == [f"P{k // 4}_PAS_{k // 2 % 2 + 1}of2" for k in range(8)]
    assert table["label"].tolist() == ["GS", "nonGS"] * 4
    image = np.random.default_rng(2).integers(0, 256, (256, 320, 3), np.uint8)
    with Image.open(data / "crops" / table["path"][4]) as crop:
        np.testing.assert_array_equal(np.asarray(crop), image[56:104, 48:96])
    assert f"{data / 'crops' / 'manifest.csv'}: 8 crops of 4 slides of 2 cases" in capsys.readouterr().out
    for source in (data / "crops" / "manifest.csv", data / "crops"):
        manifest = read_manifest(source, positive="GS")
        assert len(manifest) == 8 and manifest.by_case and manifest.table["case"].nunique() == 2
    assert pd.read_csv(data / "crops" / "quarantine.csv").empty
    assert not [path for path in (data / "crops").rglob("*") if path.name.startswith(".")]


def test_crops_that_are_there_are_kept_and_torn_runs_gone_on_with(data, monkeypatch):
    made = []
    cut_out = crops.cut_out

    def stopped(*arguments):
        made.append(1)
        if len(made) == 4:
            raise KeyboardInterrupt
        return cut_out(*arguments)

    monkeypatch.setattr(crops, "cut_out", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(data)
    before = files(data)
    assert len(before) == 3 and not (data / "crops" / "manifest.csv").exists()
    made.extend([1] * 10)
    assert run(data) == 0
    table, after = (data / "crops" / "manifest.csv").read_bytes(), files(data)
    assert {name: after[name] for name in before} == before and len(after) == 8
    monkeypatch.setattr(slides, "open_slide", None)
    monkeypatch.setattr(crops, "open_slide", None)  # nothing is read where nothing is missing
    assert run(data) == 0 and files(data) == after
    assert (data / "crops" / "manifest.csv").read_bytes() == table
    found = [*Path(data / "crops").glob("*")]
    assert sorted(path.name for path in found if path.is_file()) == ["manifest.csv", "quarantine.csv", "study.yaml"]


def test_other_settings_are_other_crops(data, capsys):
    path, outline = next((data / "slides").iterdir()), box(0, 0, 20, 20)
    cuts = [Cut(), Cut(0.5), Cut(margin=0.2), Cut(mask="white")]
    names = {name_of(path, "s", outline, cut) for cut in cuts} | {name_of(path, "s", box(0, 0, 20, 21), Cut())}
    assert len(names) == 5 and name_of(path, "s", outline, Cut()) in names
    assert run(data) == 0 and "other PNGs" not in capsys.readouterr().out
    assert run(data, "--mpp", "0.5", "--mask", "white") == 0
    assert f"other PNGs in {data / 'crops'}: 8; name {data / 'crops' / 'manifest.csv'} as" in capsys.readouterr().out
    table = pd.read_csv(data / "crops" / "manifest.csv")
    assert len(files(data)) == 16 and len(table) == 8
    with Image.open(data / "crops" / table["path"][0]) as crop:
        assert crop.size == (24, 24) and crop.getpixel((0, 0)) == (255, 255, 255)


def test_crops_of_older_versions_are_kept_but_for_those_that_are_white_outside(data):
    path, one = next((data / "slides").iterdir()), box(0, 0, 20, 20)
    several = Outline("GS", one.polygons * 2)

    def name_before(outline, cut):
        rings = [[ring.tolist() for ring in rings] for rings in outline.polygons]
        about = json.dumps([path.stat().st_size, rings, cut.mpp, cut.margin, cut.mask])
        return f"s_{hashlib.sha256(about.encode()).hexdigest()[:16]}.png"

    for outline in (one, several):
        assert name_of(path, "s", outline, Cut(0.5)) == name_before(outline, Cut(0.5))
        assert name_of(path, "s", outline, Cut(mask="white")) != name_before(outline, Cut(mask="white"))


def test_crops_of_a_slide_that_was_replaced_are_cut_again(data):
    """Also by a file of the same size and time, as slides without compression can be."""
    slide, other = data / "slides" / "P0_PAS_1of2.tiff", data / "other.tiff"
    image = np.random.default_rng(9).integers(0, 256, (256, 320, 3), np.uint8)
    size = max(slide.stat().st_size, make_slide(other, image).stat().st_size)
    for path in (slide, other):
        with path.open("ab") as file:
            file.write(bytes(size - path.stat().st_size))
        os.utime(path, ns=(10**18, 10**18))
    assert run(data) == 0
    before = files(data)
    other.replace(slide)
    assert run(data) == 0
    after, table = files(data), pd.read_csv(data / "crops" / "manifest.csv")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {*table["path"][table["slide"] == slide.stem]} and len(changed) == 2
    with Image.open(data / "crops" / table["path"][0]) as crop:
        np.testing.assert_array_equal(np.asarray(crop), image[56:104, 46:94])


def test_what_has_no_crop_is_listed_with_the_reason_and_the_others_are_cut(data, capsys):
    bad = [
        square(None, 10, 10), square("GS", 500, 500), square("Tissue", 0, 0), square("GS", 50, 60),
        square("nonGS", 50, 60), feature(OLD, {"type": "Point", "coordinates": [1, 2]}), feature(NEW, {"type": "x"}),
    ]  # fmt: skip
    (data / "annotations" / "P0_PAS_1of2.geojson").write_text(json.dumps(bad))
    (data / "annotations" / "P0_PAS_2of2.geojson").write_text("{")
    (data / "annotations" / "P9_PAS_1of1.geojson").write_text("[]")
    (data / "slides" / "P1_PAS_1of2.tiff").write_bytes(b"no slide")
    assert run(data, "--classes", "GS", "nonGS") == 1
    assert "quarantine.csv: 10 annotations without a crop" in capsys.readouterr().out
    listed = pd.read_csv(data / "crops" / "quarantine.csv", keep_default_na=False)
    assert listed.columns.tolist() == ["slide", "number", "label", "reason"]
    found = [tuple(row) for row in listed.astype(str).itertuples(index=False)]
    first = "P0_PAS_1of2"
    assert found[:8] == [
        ("P9_PAS_1of1", "", "", "no slide of this name"),
        (first, "1", "", "without a class: give it one in QuPath, or cut it out with --unclassified"),
        (first, "2", "GS", "most of it lies outside the slide, which has 320 x 256 pixels"),
        (first, "3", "Tissue", "class 'Tissue' is not among --classes"),
        (first, "5", "nonGS", "an object of class 'GS' has the same outline"),
        (first, "6", "GS", "Point: only polygons can be cut out"),
        (first, "7", "GS", "x: only polygons can be cut out"),
        ("P0_PAS_2of2", "1", "", found[7][3]),
    ]
    assert "is not GeoJSON" in found[7][3] and found[8][3].startswith("cannot be read as a slide (tiffslide: ")
    assert len(pd.read_csv(data / "crops" / "manifest.csv")) == 3


def test_one_file_each_need_no_common_name(data):
    slide, annotations = data / "slides" / "P0_PAS_1of2.tiff", data / "annotations" / "P0_PAS_2of2.geojson"
    assert pair_up(slide, annotations) == ([("P0_PAS_1of2", slide, annotations)], [])
    pairs, alone = pair_up(slide, data / "annotations")
    assert [name for name, *_ in pairs] == ["P0_PAS_1of2"] and alone == []
    found = list(crops_of(slide, "s", annotations, Cut(), (), data / "out"))
    assert [crop.label for crop in found] == ["GS", "nonGS"]
    assert all((data / "out" / crop.name).is_file() for crop in found)
    for folder, name in (("other", annotations), ("another", slide)):
        (data / folder).mkdir()
        shutil.copy(name, data / folder)
    with pytest.raises(InputError, match=r"name them alike, such as a\.svs and a\.geojson$"):
        pair_up(data / "another", data / "other")


def message(capsys, *arguments):
    with pytest.raises(SystemExit) as status:
        run_main(study.main, [str(argument) for argument in arguments])
    assert status.value.code == 2
    return capsys.readouterr().err


def test_bad_usage_says_what_to_do(data, capsys, tmp_path):
    slides_, annotations = data / "slides", data / "annotations"
    said = message(capsys, slides_, data / "gone", "--out", data / "crops")
    assert said == f"error: there is no {data / 'gone'}: give SLIDES and ANNOTATIONS, each a file or a folder\n"
    assert "--mpp is 0: microns per pixel, such as 0.5" in message(capsys, slides_, annotations, "--mpp", "0")
    assert "--margin is -1: a share of the longer side, 0 to 10" in message(
        capsys, slides_, annotations, "--margin", "-1"
    )
    (data / "none").mkdir()
    said = message(capsys, slides_, data / "none")
    assert "has annotations in" in said and said.endswith("name them alike, such as a.svs and a.geojson\n")
    (slides_ / "P0_PAS_1of2.svs").write_bytes(b"")
    said = message(capsys, slides_, annotations)
    assert "P0_PAS_1of2.svs and P0_PAS_1of2.tiff are slides with the same name: rename one of them" in said


@pytest.mark.parametrize("older", ["P0_PAS_1of2.tiff.geojson", "P0_PAS_1of2.json"])
def test_a_slide_with_two_files_of_annotations_is_not_cut_twice(data, capsys, older):
    (data / "annotations" / older).write_text(json.dumps([square("nonGS", 52, 60)]))
    said = message(capsys, data / "slides", data / "annotations", "--out", data / "crops")
    names = sorted([older, "P0_PAS_1of2.geojson"])
    assert said.startswith(f"error: {names[0]} and {names[1]} are both annotations of the slide P0_PAS_1of2: keep one")
    assert not (data / "crops").exists()


def test_cases_by_the_names_of_slides():
    assert cases_of(["a_1", "a_2", "b_1"], r"^(?P<case>[^_]+)_") == {"a_1": "a", "a_2": "a", "b_1": "b"}
    assert cases_of(["PAS-0012", "PAS-0013"], r"(?P<case>\d+)$") == {"PAS-0012": "0012", "PAS-0013": "0013"}
    assert cases_of(["S22.A40", "S22.A41"], "^(?P<case>.+)$") == {"S22.A40": "S22.A40", "S22.A41": "S22.A41"}
    assert cases_of(["x", "y"], "none") == {"x": "x", "y": "y"}
    assert cases_of(["TCGA-AB-1234-01Z-00-DX1.B2", "TCGA-AB-1234-01Z-00-DX2.C3"], "auto") == {
        "TCGA-AB-1234-01Z-00-DX1.B2": "TCGA-AB-1234",
        "TCGA-AB-1234-01Z-00-DX2.C3": "TCGA-AB-1234",
    }
    with pytest.raises(
        ValueError, match=r"^names that hold no case \(x, y\): give --case-pattern REGEX, .* none to make"
    ):
        cases_of(["x", "y"], "auto")
    said = r"^names that --case-pattern .* does not match.* \(a, b\): give"
    with pytest.raises(ValueError, match=said):
        cases_of(["a", "b"], "(?P<case>a)")
    with pytest.raises(ValueError, match=r"^names that --case-pattern '.*' does not match \(P1, P2\): give"):
        cases_of(["P1", "P2"], "^(?P<case>P.)_")


def test_a_run_is_repeated_from_its_settings(data):
    assert run(data, "--mpp", "1", "--case-pattern", "none") == 0
    table = (data / "crops" / "manifest.csv").read_bytes()
    (data / "crops" / "manifest.csv").unlink()
    assert study.main(["--config", str(data / "crops" / "study.yaml")]) == 0
    assert (data / "crops" / "manifest.csv").read_bytes() == table


def test_objects_keep_their_ids_and_annotations_lie_beside_the_crops(data):
    """What QuPath 0.2 wrote as an id is the type of an object, and says of none which it is."""
    path = data / "annotations" / "P0_PAS_1of2.geojson"
    objects = [{**square("GS", 10, 10), "id": "7a1f"}, {**square(None, 80, 10), "id": "PathAnnotationObject"}]
    path.write_text(json.dumps(objects))
    assert run(data) == 1
    table = pd.read_csv(data / "crops" / "manifest.csv", dtype=str, keep_default_na=False)
    mine = table[table["slide"] == "P0_PAS_1of2"]
    assert mine[["object", "number"]].to_numpy().tolist() == [["7a1f", "1"]]
    assert run(data, "--unclassified") == 0
    table = pd.read_csv(data / "crops" / "manifest.csv", dtype=str, keep_default_na=False)
    mine = table[table["slide"] == "P0_PAS_1of2"]
    assert mine[["label", "object", "number"]].to_numpy().tolist() == [["GS", "7a1f", "1"], ["", "", "2"]]
    for name in table["slide"].unique():
        kept = data / "crops" / "annotations" / f"{name}.geojson"
        beside = next(path for path in (data / "annotations").iterdir() if path.name.startswith(name))
        assert kept.read_bytes() == beside.read_bytes()
    with pytest.raises(ManifestError, match="1 image without a label"):
        read_manifest(data / "crops" / "manifest.csv", positive="GS")
