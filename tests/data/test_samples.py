"""What comes with packed images, in JSON beside them or in one file with them, is read as a table of labels is."""

import json

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.packing import pack
from pyarrow import parquet

from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, inspect_manifest, read_manifest
from glomfeat.data.schemes import find_scheme
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.delimited import TableError


def facts_of(k):
    """Sixteen images of eight biopsies of four patients of two sites."""
    site = "AB"[k // 8]
    return {
        "label": ("well", "sick")[k % 2],
        "case_id": f"B{k // 2}",
        "patient_id": f"P{k // 4}",
        "Site": site,
        "age": 40 + k // 4,
        "Grade": "low" if k % 4 < 2 else "high",
    }


FACTS = [facts_of(k) for k in range(16)]
IMAGES = [encode_png(np.full((2, 3, 3), k, np.uint8)) for k in range(16)]


def as_tar(path, facts=FACTS, numbers=None):
    """A shard as WebDataset has it."""
    numbers = range(len(facts)) if numbers is None else numbers
    of_image = {f"{k:06d}": (IMAGES[k], json.dumps(one).encode()) for k, one in zip(numbers, facts, strict=True)}
    members = {f"{key}.png": data for key, (data, _) in of_image.items()}
    return pack(path, members | {f"{key}.json": text for key, (_, text) in of_image.items()})


def as_parquet(path):
    """A file as Hugging Face's datasets write it."""
    image = [{"bytes": data, "path": f"{k:06d}.png"} for k, data in enumerate(IMAGES)]
    parquet.write_table(pa.table({"image": image} | pd.DataFrame(FACTS).to_dict("list")), path)
    return path


def as_csv(path):
    """The same images as files beside a table."""
    path.mkdir()
    for k, data in enumerate(IMAGES):
        (path / f"{k:06d}.png").write_bytes(data)
    names = [f"{k:06d}.png" for k in range(16)]
    pd.DataFrame({"name": names} | pd.DataFrame(FACTS).to_dict("list")).to_csv(path / "labels.csv", index=False)
    return path


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The same data set as a folder with a CSV, as a tar and as parquet."""
    folder = tmp_path_factory.mktemp("three")
    return as_csv(folder / "csv"), as_tar(folder / "a.tar"), as_parquet(folder / "a.parquet")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"groups": "patient_id"},
        {"groups": "Patient ID", "subgroups": ("grade", "age:42"), "joined": ("age",)},
        {"groups": "patient_id", "scheme": find_scheme("leave-out:site", 5)},
    ],
    ids=["auto", "patients", "columns", "sites"],
)
def test_json_and_parquet_are_read_as_the_same_columns_of_a_csv_are(three, options):
    table, *packed = (read_manifest(data, **options) for data in three)
    of_cases = table.table["case"].unique().tolist()
    assert of_cases == [f"P{k}" for k in range(4)] if options else [f"B{k}" for k in range(8)]
    said = [line for line in table.said if line != "labels.csv gives the classes"]
    for manifest in packed:
        assert manifest.digest == table.digest and [*manifest.said] == said
        assert manifest.table.drop(columns="path").equals(table.table.drop(columns="path"))


def test_a_column_of_patients_that_would_join_cases_is_named(three):
    for data in three:
        said = read_manifest(data).said
        assert "cases: column case_id" in said
        assert (
            "warning: column 'patient_id' gives 4 cases and column case_id 8: if it tells patients apart, use --groups "
            "'patient_id'"
        ) in said
        sites = inspect_manifest(data).frame["Site"]
        assert sites.tolist() == ["A"] * 8 + ["B"] * 8  # the audit finds them


@pytest.mark.parametrize(
    ("case", "label", "slide"),
    [
        ("PatientID", "GroundTruth", "Slide ID"),
        ("patient-id", "class_name", "slideId"),
        ("Case No.", "Label", "slide_name"),
        ("donor_id", " Diagnosis ", "WSI"),
        ("subject_name", "ground_truth", "slide"),
    ],
)
def test_fields_may_be_spelt_as_headers_may(tmp_path, case, label, slide):
    facts = [{label: f"c{k % 2}", case: f"P{k // 4}", slide: f"S{k // 2}"} for k in range(8)]
    found = read_manifest(as_tar(tmp_path / "a.tar", facts)).table
    assert found["case"].tolist() == [f"P{k // 4}" for k in range(8)]
    assert found["slide"].tolist() == [f"S{k // 2}" for k in range(8)] and found["label"].tolist() == [0, 1] * 4


def test_shards_may_spell_fields_in_several_ways_and_hold_anything_else(tmp_path):
    first = [{"Label": k % 2, "patient_id": 7, "note": None, "box": [1, 2], "stain": "PAS"} for k in range(4)]
    second = [{"label": str(k % 2), "PatientID": " 8 ", "stain": ""} for k in range(4)]
    as_tar(tmp_path / "s" / "0.tar", first)
    as_tar(tmp_path / "s" / "1.tar", second, range(4, 8))
    manifest = read_manifest(tmp_path / "s", subgroups=("stain",))
    assert manifest.table["case"].tolist() == ["7"] * 4 + ["8"] * 4 and manifest.classes == ("0", "1")
    assert manifest.table["of user: stain"].isna().tolist() == [False] * 4 + [True] * 4


def test_of_two_columns_of_classes_one_can_be_named_and_a_cls_gives_the_class_otherwise(tmp_path):
    facts = [{"label": "ab"[k % 2], "class": "xy"[k // 2 % 2], "case": k // 4} for k in range(8)]
    path = as_tar(tmp_path / "a.tar", facts)
    with pytest.raises(ManifestError, match=r"^a\.tar: columns 'label' and 'class' are both classes and disagree in"):
        read_manifest(path)
    assert read_manifest(path, asked=Asked(label="Class")).labels.tolist() == [0, 0, 1, 1] * 2
    with pytest.raises(TableError, match=r"^--label-column 'grade' is no column of a\.tar: allowed are "):
        read_manifest(path, asked=Asked(label="grade"))
    members = {f"{k}.png": IMAGES[k] for k in range(8)}
    members |= {
        f"{k}.json": json.dumps({"label": "?", "diagnosis": "IgAN", "case": f"P{k // 4}"}).encode() for k in range(8)
    }
    members |= {f"{k}.cls": b"%d\n" % (k % 2) for k in range(8)}
    manifest = read_manifest(pack(tmp_path / "b.tar", members), subgroups=("diagnosis",))
    assert manifest.labels.tolist() == [0, 1] * 4 and manifest.table["case"].tolist() == ["P0"] * 4 + ["P1"] * 4
    assert set(manifest.table["of user: diagnosis"]) == {"IgAN"}  # although columns of classes are often called so


def test_a_field_called_cls_is_no_class_beside_a_label(tmp_path):
    facts = [{"label": "ab"[k % 2], "cls": "xyz"[k % 3], "case": k // 4} for k in range(8)]
    manifest = read_manifest(as_tar(tmp_path / "a.tar", facts), subgroups=("cls",))
    assert manifest.classes == ("a", "b") and manifest.labels.tolist() == [0, 1] * 4
    assert manifest.table["of user: cls"].tolist() == [one["cls"] for one in facts]


def test_patients_in_json_without_classes_are_not_passed_over_in_silence(tmp_path):
    members = {f"{'ab'[k % 2]}/case{k}_1.png": IMAGES[k] for k in range(8)}
    members |= {f"{'ab'[k % 2]}/case{k}_1.json": json.dumps({"patient": k // 4}).encode() for k in range(8)}
    said = read_manifest(pack(tmp_path / "a.tar", members)).said
    assert "8 images of 8 cases" in said[0]
    assert (
        "warning: 'patient' beside images of a.tar is not used, because no class is there: write the class there too, "
        "or give a table of both with --labels"
    ) in said


@pytest.mark.parametrize("own", [True, False])
def test_a_split_in_json_takes_precedence_over_the_names_of_shards(tmp_path, own):
    for shard, part in enumerate(("train", "test")):
        of_shard = range(8 * shard, 8 * shard + 8)
        facts = [FACTS[k] | ({"split": "val" if k == 15 else part} if own else {}) for k in of_shard]
        as_tar(tmp_path / "s" / f"{part}.tar", facts, of_shard)
    split = read_manifest(tmp_path / "s", groups="patient_id").table["split"]
    assert split.tolist() == ["train"] * 8 + ["test"] * 7 + ["val" if own else "test"]


@pytest.mark.parametrize("known", [True, False])
def test_patients_beside_patch_camelyons_arrays_count_before_slides(tmp_path, known):
    with h5py.File(tmp_path / "a_x.h5", "w") as file:
        file["x"] = np.arange(8 * 3 * 3 * 3, dtype=np.uint8).reshape(8, 3, 3, 3)
    with h5py.File(tmp_path / "a_y.h5", "w") as file:
        file["y"] = np.arange(8) % 2
    meta = pd.DataFrame({"wsi": [f"S{k // 2}" for k in range(8)], "center": [f"C{k // 4}" for k in range(8)]})
    meta = meta.assign(Patient=[f"P{k // 4}" for k in range(8)]) if known else meta
    meta.to_csv(tmp_path / "a_meta.csv", index=False)
    found = read_manifest(tmp_path / "a_x.h5", subgroups=("center",)).table
    assert found["slide"].tolist() == meta["wsi"].tolist()
    assert found["case"].tolist() == meta["Patient" if known else "wsi"].tolist()
    assert found["of user: center"].tolist() == meta["center"].tolist()
