"""Outlines in the dialects of GeoJSON that QuPath has written."""

import json

import numpy as np
import pytest
from helpers.outlines import NEW, OLD, SQUARE, feature

from glomfeat.data.slides.outlines import Outline, read_outlines

HOLE = [[20, 30], [30, 30], [30, 40], [20, 30]]


def read(tmp_path, held):
    path = tmp_path / "a.geojson"
    path.write_text(held if isinstance(held, str) else json.dumps(held), encoding="utf-8")
    return read_outlines(path)


DERIVED = {"objectType": "detection", "classification": {"names": ["GS", "positive"], "color": [1, 2, 3]}}


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        (NEW, "GS"),
        (OLD, "GS"),
        (DERIVED, "GS: positive"),
        ({"classification": " GS "}, "GS"),
        ({"objectType": "annotation"}, ""),
        ({"classification": None}, ""),
        ({"classification": {"name": None}}, ""),
        (None, ""),
    ],
)
def test_the_class_in_every_dialect(tmp_path, properties, label):
    [outline] = read(tmp_path, {"type": "FeatureCollection", "features": [feature(properties)]})
    assert outline.label == label and outline.box == (10, 20, 40, 60) and outline.problem == ""


@pytest.mark.parametrize("wrap", [lambda f: [f, f], lambda f: {"type": "FeatureCollection", "features": [f, f]}])
def test_a_list_and_a_collection_and_a_single_feature(tmp_path, wrap):
    one = feature(OLD, id="PathAnnotationObject")
    assert [outline.label for outline in read(tmp_path, wrap(one))] == ["GS", "GS"]
    assert [outline.label for outline in read(tmp_path, one)] == ["GS"]
    assert [outline.label for outline in read(tmp_path, "\ufeff" + json.dumps(wrap(one)))] == ["GS", "GS"]


def test_polygons_with_holes_and_several_parts(tmp_path):
    [one] = read(tmp_path, [feature(NEW, {"type": "Polygon", "coordinates": [SQUARE, HOLE], "plane": {"c": -1}})])
    np.testing.assert_array_equal(one.polygons[0][1], HOLE)
    far = [[100, 100, 0], [110, 100, 0], [110, 120, 0], [100, 100, 0]]
    [two] = read(tmp_path, [feature(NEW, {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [far]]})])
    assert two.box == (10, 20, 110, 120) and [len(rings) for rings in two.polygons] == [2, 1]


@pytest.mark.parametrize(
    ("geometry", "problem"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "Point: only polygons can be cut out"),
        ({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "LineString: only polygons can be cut out"),
        ({"type": "Polygon", "coordinates": []}, "an empty polygon"),
        ({"type": "Polygon", "coordinates": [[]]}, "its coordinates cannot be read"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [2, 2], [3, 3], [1, 1]]]}, "an empty polygon"),
        ({"type": "Polygon", "coordinates": [[["a", 1], [2, 2], [1, 1]]]}, "its coordinates cannot be read"),
        ({"type": "Polygon"}, "its coordinates cannot be read"),
        ({"type": "Polygon", "coordinates": [[[float("inf"), 1], [2, 2], [1, 9]]]}, "its coordinates are not finite"),
        ({"type": None}, "None: only polygons can be cut out"),
    ],
)
def test_what_has_no_area_says_why(tmp_path, geometry, problem):
    found = read(tmp_path, [feature(NEW, geometry), feature(NEW)])
    assert [outline.problem for outline in found] == [problem, ""]
    none = dict(feature(NEW), geometry=None)
    assert read(tmp_path, [none])[0] == Outline("GS", (), "no geometry: only polygons can be cut out")


@pytest.mark.parametrize("held", ["", "{", "3", '"a"', "[1]", '[{"type": "Feature"}]', '{"type": "other"}'])
def test_what_is_no_geojson_is_refused_with_the_remedy(tmp_path, held):
    with pytest.raises(
        ValueError, match=r"a\.geojson (is not GeoJSON|holds no GeoJSON features).*QuPath's File > Export"
    ):
        read(tmp_path, held)
