"""Labels that were changed after results had been seen: only these change, and it is said."""

import re

import numpy as np
import pandas as pd
import pytest

from glomfeat.data.images.decode import encode_png
from glomfeat.data.labels.corrections import BASE, CHANGED, digest_of_name
from glomfeat.data.manifest import read_manifest
from glomfeat.data.problems import ManifestError

WELL, SICK = "=well", "sick"  # a spreadsheet would take the first for a formula


@pytest.fixture
def folder(tmp_path):
    for row in range(6):
        place = tmp_path / "images" / (SICK if row % 2 else WELL)
        place.mkdir(parents=True, exist_ok=True)
        image = np.full((2, 2, 3), row, np.uint8)
        (place / f"case{row // 2}_{row}.png").write_bytes(encode_png(image))
    return tmp_path / "images"


def changes(path, rows, base=""):
    """The download of errors.html: names of images with their label now and before."""
    lines = [
        {"image": f"C00 · {k}", "name_sha256": digest_of_name(name), "label": after, "label_before": before}
        | {"decision": "accept" if after == before else "change", "labels_of": base}
        for k, (name, after, before) in enumerate(rows)
    ]
    pd.DataFrame(lines).to_csv(path, index=False)
    return path


def labels_of(manifest):
    return {name: manifest.classes[k] for name, k in zip(manifest.table["name"], manifest.labels, strict=True)}


def on_changes(manifest):
    return [line for line in manifest.said if CHANGED in line or "changes no label" in line]


def test_a_folder_of_classes_keeps_all_labels_but_those_changed(folder, tmp_path):
    asis = read_manifest(folder)
    # the apostrophe is what the download writes before a text that begins like a formula
    rows = [("case0_0.png", SICK, f"'{WELL}"), ("case1_3.png", SICK, SICK)]
    found = read_manifest(folder, labels=changes(tmp_path / "labels_corrected.csv", rows))
    assert labels_of(found) == labels_of(asis) | {"case0_0.png": SICK}
    assert on_changes(found) == [f"warning: 1 of 6 labels was {CHANGED} (labels_corrected.csv)"]
    same = found.table.drop(columns="label")
    pd.testing.assert_frame_equal(same, asis.table.drop(columns="label"))  # cases and names are as they were
    assert found.digest != asis.digest and found.classes == asis.classes


def test_the_table_of_labels_and_its_cases_are_read_as_ever(folder, tmp_path):
    names = sorted(path.name for path in folder.rglob("*.png"))
    table = pd.DataFrame({"name": names, "label": [0, 0, 1, 1, 0, 1], "patient": list("xxyyzz")})
    table.to_csv(folder / "labels.csv", index=False)
    corrected = changes(folder / "labels_corrected.csv", [(names[0], "1", "0")])  # beside it: it is not taken for one
    assert read_manifest(folder, groups="patient").table["label"].tolist() == [0, 0, 1, 1, 0, 1]
    for data in (folder, folder / "labels.csv"):
        found = read_manifest(data, labels=corrected, groups="patient")
        assert found.table["label"].tolist() == [1, 0, 1, 1, 0, 1] and found.table["case"].tolist() == list("xxyyzz")
    given = tmp_path / "elsewhere.csv"
    (folder / "labels.csv").rename(given)
    first = changes(tmp_path / "one.csv", [(names[0], "1", "0")], base=str(given))
    assert read_manifest(folder, labels=first, groups="patient").table["label"].tolist() == [1, 0, 1, 1, 0, 1]


def test_a_feature_table_is_corrected_too(feature_table, tmp_path):
    asis = read_manifest(feature_table)
    name, label = asis.table.loc[5, ["name", "label"]]
    corrected = changes(tmp_path / "c.csv", [(name, str(1 - label), str(label))])
    found = read_manifest(feature_table, labels=corrected)
    assert np.flatnonzero(found.labels != asis.labels).tolist() == [5]
    assert on_changes(found) == [f"warning: 1 of 160 labels was {CHANGED} (c.csv)"]


def test_changes_of_changes_count_from_the_first_labels(folder, tmp_path):
    changes(tmp_path / "one.csv", [("case0_0.png", SICK, WELL), ("case1_2.png", SICK, WELL)])
    two = changes(tmp_path / "two.csv", [("case0_0.png", WELL, SICK), ("case2_5.png", WELL, SICK)], base="one.csv")
    found = read_manifest(folder, labels=two)  # `one.csv` lies beside it
    assert on_changes(found) == [f"warning: 2 of 6 labels were {CHANGED} (one.csv, two.csv)"]
    assert labels_of(found)["case0_0.png"] == WELL and labels_of(found)["case1_2.png"] == SICK
    looked = changes(tmp_path / "looked.csv", [("case0_0.png", WELL, WELL)])
    assert on_changes(read_manifest(folder, labels=looked)) == ["looked.csv changes no label"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("gone.png", SICK, WELL)], "1 image in c.csv, by the digest of the name, without such a name in DATA"),
        ([("case0_0.png", WELL, SICK)], "1 label in c.csv under another label_before than DATA has now: case0_0.png"),
        ([("case0_0.png", "sik", WELL)], "1 label in c.csv without such a class in DATA: sik"),
    ],
)
def test_changes_that_do_not_fit_are_refused(folder, tmp_path, rows, said):
    with pytest.raises(ManifestError, match=re.escape(said)):
        read_manifest(folder, labels=changes(tmp_path / "c.csv", rows))


def test_labels_that_are_gone_are_named(folder, tmp_path):
    lost = changes(tmp_path / "c.csv", [("case0_0.png", SICK, WELL)], base="gone.csv")
    with pytest.raises(ManifestError, match=r"c\.csv changes the labels of gone\.csv, which is not there: run the "):
        read_manifest(folder, labels=lost)
    ring = changes(tmp_path / "ring.csv", [("case0_0.png", SICK, WELL)], base="ring.csv")
    with pytest.raises(ManifestError, match=f"its column '{BASE}' leads back to itself"):
        read_manifest(folder, labels=ring)


def test_rows_that_contradict_themselves_and_changes_of_several_tables_are_refused(folder, tmp_path):
    place = changes(tmp_path / "labels_corrected.csv", [("case0_0.png", SICK, WELL), ("case1_3.png", SICK, SICK)])
    frame = pd.read_csv(place)
    frame.assign(decision="skip").to_csv(place, index=False)
    said = "1 row has another label than label_before, and accept or skip as decision: write change there"
    with pytest.raises(ManifestError, match=said):
        read_manifest(folder, labels=place)
    frame.assign(labels_of=["one.csv", "two.csv"]).to_csv(place, index=False)
    with pytest.raises(ManifestError, match=r"names several tables \(one.csv, two.csv\)"):
        read_manifest(folder, labels=place)
