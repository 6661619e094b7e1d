"""Data sets that were always read are read as ever: names, contents, classes, cases and slides as recorded."""

import hashlib
from pathlib import Path

import pytest

from glomfeat.data.cases import find_cases
from glomfeat.data.labels.classes import labelled
from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.columns import Asked, sort_columns
from glomfeat.data.tables.read import read_frame

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
CROPS = ("non_globally_sclerotic_glomeruli", "globally_sclerotic_glomeruli")
BREAKHIS = r"^(?P<slide>[a-z_]+_(?P<case>\d+)[A-Z]*)_"
TEXTURE = "area perimeter aspect_ratio extent lbp_mean lbp_var glcm_contrast glcm_dissimilarity glcm_homogeneity"
KNOWN = {
    "glomeruli_images": ("none", 47, CROPS, 47, "53fed81339572a95", "f649746715689ce5"),
    "breakhis_200x": (BREAKHIS, 530, ("benign", "malignant"), 28, "3b4c4ed40d681072", "08f0516adc758182"),
    "glomeruli_texture.csv": ("auto", 2978, ("0", "1"), 120, "c3373bb33696bd2e", "93b98489b8888fbf"),
}


def sha(values):
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:16]


def shared(name):
    if not (SHARED / name).exists():
        pytest.skip(f"../shared/data/{name} is not beside the checkout")
    return SHARED / name


@pytest.mark.parametrize("name", KNOWN)
def test_names_contents_classes_cases_and_slides(name):
    groups, images, classes, cases, digest, slides = KNOWN[name]
    manifest = read_manifest(shared(name), groups=groups)
    assert (len(manifest), manifest.classes, manifest.table["case"].nunique()) == (images, classes, cases)
    assert manifest.digest.startswith(digest) and sha(manifest.table["slide"]) == slides


def test_columns_of_the_texture_table():
    found = sort_columns(read_frame(shared("glomeruli_texture.csv")), Asked())
    assert found.used == (*TEXTURE.split(), "glcm_energy", "glcm_correlation") and found.left == {} == found.spoilt


def test_the_table_of_all_labels():
    frame = labelled(shared("glomeruli_labels.csv"))
    found = find_cases(frame, "auto")
    assert len(frame) == 5758 and sha(frame["name"]) == "b9401a1921883492" and sha(frame["raw"]) == "939290eda5afdddd"
    assert sha(found.cases["case"]) == "54768e2cec810851" and sha(found.cases["slide"]) == "82061a0352dce488"
    assert found.how == "from names like <case>_PAS_<k>of<n>_<id>" and found.problems == []


def test_no_cases_asked_for_says_what_names_would_have_given():
    said = read_manifest(shared("glomeruli_images"), groups="none").said
    line = next(line for line in said if line.startswith("without --groups none"))
    assert line.startswith("without --groups none there would be 6 cases, from names like <case>_PAS_")
    assert "all 20 negatives (non_globally_sclerotic_glomeruli) are of one case" in line
