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
        (
            [("case0_0.png", "", WELL)],
            "c.csv: 1 row has an empty 'label': write its class there, or that of label_before",
        ),
        (
            [("case0_0.png", SICK, "")] * 2,
            "c.csv: 2 rows have an empty 'label_before': write the class that DATA gives",
        ),
        (
            [("case0_0.png", SICK, WELL), ("case0_0.png", WELL, WELL)],
            "1 problem\n- 1 image in c.csv with several labels, of which one must be kept: case0_0.png",
        ),
    ],
)
def test_changes_that_do_not_fit_are_refused(folder, tmp_path, rows, said):
    with pytest.raises(ManifestError, match=re.escape(said)):
        read_manifest(folder, labels=changes(tmp_path / "c.csv", rows))


def test_rows_that_stand_there_again_and_empty_ones_count_no_more_and_digests_may_be_in_capitals(folder, tmp_path):
    place = changes(tmp_path / "c.csv", [("case0_0.png", SICK, WELL)] * 3)
    frame = pd.read_csv(place)
    frame = frame.assign(name_sha256=frame["name_sha256"].str.upper())
    pd.concat([frame, pd.DataFrame({"decision": [""]})]).to_csv(place, index=False)
    found = read_manifest(folder, labels=place)
    assert [line for line in found.said if "c.csv" in line] == [
        "c.csv: 2 rows appear there again and are left out",
        f"warning: 1 of 6 labels was {CHANGED} (c.csv)",
    ]
    assert labels_of(found)["case0_0.png"] == SICK


@pytest.mark.parametrize(
    ("column", "lacks"), [("label_before", "no column 'label_before'"), (BASE, "no column 'labels_of'")]
)
def test_a_column_that_is_missing_is_named(folder, tmp_path, column, lacks):
    place = changes(tmp_path / "c.csv", [("case0_0.png", SICK, WELL)])
    pd.read_csv(place).drop(columns=column).to_csv(place, index=False)
    with pytest.raises(ManifestError) as error:
        read_manifest(folder, labels=place)
    assert str(error.value).startswith(
        f"{place} holds changes of labels and has {lacks}: a table of changes has name_sha256, label, label_before, "
        "labels_of, as the download of errors.html"
    )


def test_data_without_labels_need_the_table_that_was_changed(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in folder.rglob("*.png"):
        path.rename(flat / path.name)
    place = changes(tmp_path / "c.csv", [("case0_0.png", SICK, WELL)])
    said = (
        "; c.csv changes labels that DATA has by itself, for its column 'labels_of' is empty: where a table holds them"
    )
    with pytest.raises(ManifestError, match=re.escape(said)):
        read_manifest(flat, labels=place)


def test_changes_that_lie_in_data_are_passed_over_with_a_line(folder, tmp_path):
    there = changes(folder / "labels_corrected.csv", [("case0_0.png", SICK, WELL)])
    line = f"labels_corrected.csv holds changes of labels and is ignored: --labels {there} makes them"
    assert line in read_manifest(folder).said
    assert line not in read_manifest(folder, labels=there).said
    assert line in read_manifest(folder, labels=changes(tmp_path / "c.csv", [("case0_0.png", SICK, WELL)])).said


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
