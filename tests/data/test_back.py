"""Calls go back into QuPath's annotations, of which all else stays as it is."""

import copy
import json

import pandas as pd
import pytest
from helpers.outlines import NEW, OLD, feature

from glomfeat.core.errors import InputError
from glomfeat.data.slides.back import BEFORE, find_manifest, write_calls
from glomfeat.data.slides.outlines import read_outlines

CLASSES = ["nonGS", "GS"]
ID = "3f0e6c1e-8d0a-4c55-9f53-0d7b6a1c2e11"
OBJECTS = [
    feature({**NEW, "name": "G 1", "measurements": {"Area": 12.5}, "metadata": {"ward": "3"}}, id=ID, extra=[1]),
    feature({"objectType": "annotation"}, {"type": "Point", "coordinates": [0.1, 2]}),
    feature(None, id="PathAnnotationObject"),
    feature({"objectType": "detection", "classification": {"name": "nonGS", "color": [1, 2, 3]}}),
]


@pytest.fixture
def crops(tmp_path):
    """A folder as studies.crops leaves it, of one slide with four objects, of which the second has no crop."""
    place = tmp_path / "crops"
    (place / "annotations").mkdir(parents=True)
    held = {"type": "FeatureCollection", "features": OBJECTS, "by": "é"}
    (place / "annotations" / "s1.geojson").write_text(json.dumps(held), encoding="utf-8")
    rows = [(f"s1/{number}.png", "GS", "c", "s1", ID if number == 1 else "", number) for number in (1, 3, 4)]
    frame = pd.DataFrame(rows, columns=["path", "label", "case", "slide", "object", "number"])
    boxes = dict.fromkeys(["bbox_x0", "bbox_y0", "bbox_x1", "bbox_y1"], 0)
    frame.assign(**boxes).to_csv(place / "manifest.csv", index=False)
    return place


def calls(**of):
    return {f"s1/{number[1:]}.png": (name, {"glomfeat: score of GS": score}) for number, (name, score) in of.items()}


def written(crops, found, out):
    result = write_calls(*find_manifest(crops), found, CLASSES, out)
    return result, json.loads((out / "s1.geojson").read_text(encoding="utf-8"))


def test_geometry_ids_and_all_other_properties_are_kept(crops, tmp_path):
    found = calls(n1=("nonGS", 0.25), n3=("GS", 0.75), n4=("nonGS", float("nan")))
    result, held = written(crops, found, tmp_path / "out")
    assert result == (1, 3, 1) and held["by"] == "é" and held["type"] == "FeatureCollection"
    expected = copy.deepcopy(OBJECTS)
    about = expected[0]["properties"]
    about["classification"] = {"name": "nonGS", "color": [1, 2, 3]}  # as the annotations colour it
    about["measurements"]["glomfeat: score of GS"] = 0.25
    about["metadata"][BEFORE] = "GS"
    classification = {"name": "GS", "color": [200, 0, 0]}
    expected[2]["properties"] = {"classification": classification, "measurements": {"glomfeat: score of GS": 0.75}}
    expected[3]["properties"]["measurements"] = {}
    assert held["features"] == expected
    assert [outline.label for outline in read_outlines(tmp_path / "out" / "s1.geojson")] == ["nonGS", "", "GS", "nonGS"]
    again, second = written(crops, found, tmp_path / "out")
    assert again == result and second == held
    assert json.loads((crops / "annotations" / "s1.geojson").read_text())["features"] == OBJECTS


def test_measurements_of_before_0_4_stay_a_list(crops, tmp_path):
    own = [{"name": "Area", "value": 3}, {"name": "glomfeat: score of GS", "value": 9}]
    held = [feature({**OLD, "measurements": own}, id=ID), feature(OLD), feature({"name": "x"}), feature(None)]
    (crops / "annotations" / "s1.geojson").write_text(json.dumps(held))
    _, found = written(crops, calls(n1=("GS", 0.5), n3=("nonGS", 0.1)), tmp_path / "out")
    assert isinstance(found, list) and found[0]["properties"]["classification"] == OLD["classification"]
    assert found[0]["properties"]["measurements"] == [own[0], {"name": "glomfeat: score of GS", "value": 0.5}]
    assert found[2]["properties"]["measurements"] == [{"name": "glomfeat: score of GS", "value": 0.1}]
    assert found[2]["properties"]["classification"] == {"name": "nonGS", "color": [0, 114, 178]}
    assert found[1] == held[1] and found[3] == held[3]


def test_what_cannot_go_back_is_refused_before_anything_is_written(crops, tmp_path):
    manifest, frame = find_manifest(crops)
    kept = crops / "annotations" / "s1.geojson"
    with pytest.raises(InputError, match="the annotations themselves: name another folder"):
        write_calls(manifest, frame, {}, CLASSES, crops / "annotations")
    before = kept.read_text()
    kept.write_text(json.dumps(OBJECTS[1:]))
    with pytest.raises(InputError, match="has changed since crops were cut out: cut them out again"):
        write_calls(manifest, frame, {}, CLASSES, tmp_path / "out")
    kept.write_text(before)
    with pytest.raises(InputError, match=r"which .* tells of: cut them out again"):
        write_calls(manifest, frame.assign(slide="../annotations/s1"), {}, CLASSES, tmp_path / "out")
    kept.unlink()
    with pytest.raises(InputError, match=r"there is no .*s1\.geojson, which"):
        write_calls(manifest, frame, {}, CLASSES, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_not_of_crops_is_told_from_an_old_one(crops, tmp_path):
    (tmp_path / "list.csv").write_text("name,label\na.png,GS\n")
    with pytest.raises(InputError, match=r"has no column path, slide, object, .*: give their manifest\.csv as DATA$"):
        find_manifest(tmp_path / "list.csv")
    (tmp_path / "old.csv").write_text("path,label,case,slide\na.png,GS,c,s\n")
    with pytest.raises(InputError, match="of one that an older version wrote, cut them out again with python -m"):
        find_manifest(tmp_path / "old.csv")
    with pytest.raises(InputError, match=r"there is no .*: --geojson needs crops"):
        find_manifest(tmp_path)
