"""Which table gives the classes: the one whose columns the user names, or the only one that there is."""

import importlib

import numpy as np
import pandas as pd
import pytest
from helpers.images import put

from glomfeat import Study
from glomfeat.data.locate import is_feature_table
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.columns import Asked

SCANNERS = [f"{scanner}/case{k}_{scanner[0]}.png" for scanner in ("Aperio", "Hamamatsu") for k in range(8)]
NAMES = [name.partition("/")[2] for name in SCANNERS]
GRADES = ["low", "high"] * 8


def classes_of(manifest):
    return {row.name: manifest.classes[row.label] for row in manifest.table.itertuples(index=False)}


@pytest.mark.parametrize("spelt", ["Grade", "grade", " GRADE"])
def test_a_named_column_is_found_however_it_is_spelt(tmp_path, spelt):
    put(tmp_path, SCANNERS)
    pd.DataFrame({"file": NAMES, "Grade": GRADES}).to_csv(tmp_path / "patients.csv", index=False)
    manifest = read_manifest(tmp_path, asked=Asked(label=spelt))
    assert classes_of(manifest) == dict(zip(NAMES, GRADES, strict=True))


def test_a_named_column_that_no_table_has_does_not_leave_the_classes_to_folders(tmp_path):
    put(tmp_path, SCANNERS)
    asked = Asked(label="Grad")
    with pytest.raises(ManifestError) as alone:
        read_manifest(tmp_path, asked=asked)
    there = f"no table of labels in {tmp_path} fits --label-column 'Grad': "
    remedy = "; correct the name, give the table with --labels, or leave the option out"
    assert str(alone.value) == f"{there}there is none{remedy}"
    pd.DataFrame({"file": NAMES, "Grade": GRADES}).to_csv(tmp_path / "patients.csv", index=False)
    with pytest.raises(ManifestError) as beside:
        read_manifest(tmp_path, asked=asked)
    assert str(beside.value) == f"{there}patients.csv has the columns file, Grade{remedy}"
    assert read_manifest(tmp_path).classes == ("Aperio", "Hamamatsu")


def test_a_table_beside_class_folders_is_told_if_it_may_hold_the_classes(tmp_path):
    put(tmp_path, SCANNERS)
    table = pd.DataFrame({"image_name": NAMES, "gs": [0, 1] * 8, "area": np.arange(16) / 7})
    table.to_excel(tmp_path / "labels.xlsx", index=False)
    said = "folders give the classes, although labels.xlsx names images: if one of its columns (gs) holds classes, "
    said += "name it with --label-column, if cases with --groups"
    assert said in read_manifest(tmp_path).said
    by_column = read_manifest(tmp_path, asked=Asked(label="GS"))
    assert classes_of(by_column) == dict(zip(NAMES, ["0", "1"] * 8, strict=True))
    (tmp_path / "labels.xlsx").unlink()
    table.drop(columns="gs").to_csv(tmp_path / "features.csv", index=False)
    table.assign(image_name=[f"other{k}.png" for k in range(16)]).to_csv(tmp_path / "others.csv", index=False)
    called = {"name": NAMES, "prediction": "a", "label": "", "score": 0.5, "threshold": 0.5, "status": "ok", "gs": 1}
    pd.DataFrame(called).to_csv(tmp_path / "calls.csv", index=False)
    assert not any("names images" in line for line in read_manifest(tmp_path).said)


def test_cases_of_class_folders_may_stand_in_a_table_of_their_images(tmp_path):
    put(tmp_path, SCANNERS)
    patients = dict(zip(NAMES, [f"00{k // 3}" for k in range(16)], strict=True))
    table = pd.DataFrame({"Patient": patients.values(), "image": [name[:-4] for name in NAMES]})
    table.iloc[::-1].to_csv(tmp_path / "crops.csv", index=False)
    manifest = read_manifest(tmp_path, groups="patient")
    assert manifest.classes == ("Aperio", "Hamamatsu")
    of_folder = {
        name: manifest.classes[label] for name, label in zip(manifest.table["name"], manifest.labels, strict=True)
    }
    assert of_folder == {name.partition("/")[2]: name.partition("/")[0] for name in SCANNERS}
    assert dict(zip(manifest.table["name"], manifest.table["case"], strict=True)) == patients
    assert not any("names images" in line for line in manifest.said)
    table.rename(columns={"image": "crop"}).to_csv(tmp_path / "crops.csv", index=False)
    named = read_manifest(tmp_path, groups="patient", asked=Asked(name="crop"))
    assert named.table["case"].tolist() == manifest.table["case"].tolist()
    table.to_csv(tmp_path / "crops.csv", index=False)
    with pytest.raises(ManifestError, match="; from a table beside class folders, --groups alone takes the cases"):
        read_manifest(tmp_path, tmp_path / "crops.csv", groups="patient")


def test_a_named_column_may_be_for_other_tables_alone(tmp_path):
    put(tmp_path, SCANNERS)
    study = Study(str(tmp_path), label_column="outcome", features=("shortcut",))
    with pytest.raises(ManifestError, match="fits --label-column 'outcome': there is none"):
        read_manifest(tmp_path, asked=study.asked)
    study = Study(str(tmp_path), label_column="outcome", features=("shortcut", "file:t.csv"))
    manifest = read_manifest(tmp_path, asked=study.asked)
    said = f"no table of labels in {tmp_path} fits --label-column 'outcome', which is used for other tables alone"
    assert said in manifest.said and manifest.classes == ("Aperio", "Hamamatsu")


@pytest.mark.parametrize("spelt", ["Crop", "crop"])
def test_a_named_column_of_images_makes_a_table_of_labels_however_it_is_spelt(tmp_path, spelt):
    put(tmp_path, NAMES)
    table = tmp_path / "table.csv"
    pd.DataFrame({"Crop": NAMES, "label": GRADES, "age": np.arange(16) * 1.5}).to_csv(table, index=False)
    assert not is_feature_table(table, Asked(spelt))
    assert classes_of(read_manifest(table, asked=Asked(spelt))) == dict(zip(NAMES, GRADES, strict=True))


def save(frame, path):
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv", ".txt"])
def test_tables_of_other_formats_do_not_lose_against_a_csv_without_a_word(tmp_path, suffix):
    frame = pd.DataFrame({"name": NAMES, "label": GRADES, "age": range(16)})
    save(frame, put(tmp_path, NAMES) / "labels.csv")
    assert "labels.csv gives the classes" in read_manifest(tmp_path).said
    corrected = tmp_path / f"corrected{suffix}"
    save(frame.assign(label=GRADES[::-1]), corrected)
    said = rf"holds several tables of labels \(labels\.csv, corrected\{suffix}\): say with --labels which one is right$"
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert classes_of(read_manifest(tmp_path, corrected)) == dict(zip(NAMES, GRADES[::-1], strict=True))
    save(frame.assign(age=range(1, 17)), corrected)
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    save(frame.iloc[::-1][["age", "label", "name"]], corrected)  # the same cells
    manifest = read_manifest(tmp_path)
    assert f"corrected{suffix} says the same as labels.csv, which is read" in manifest.said
    assert classes_of(manifest) == dict(zip(NAMES, GRADES, strict=True))


def without(suffix, names=NAMES):
    return [name.removesuffix(suffix) for name in names]


@pytest.mark.parametrize(
    ("images", "names"),
    [(NAMES, without(".png")), (SCANNERS, without(".png")), (SCANNERS, without(".png", SCANNERS)), (NAMES, NAMES)],
)
def test_a_table_of_labels_with_numbers_is_known_by_its_images_however_they_are_named(tmp_path, images, names):
    put(tmp_path, images)
    path = tmp_path / "labels.csv"
    pd.DataFrame({"name": names, "label": GRADES, "age": np.arange(16) * 1.5}).to_csv(path, index=False)
    manifest = read_manifest(path)
    assert manifest.source == "" and classes_of(manifest) == dict(zip(NAMES, GRADES, strict=True))
    said = f"labels.csv names images below its folder and is read as their labels; file:{path} reads its numbers"
    assert said in manifest.said and read_manifest(f"file:{path}").source == str(path)


def test_a_table_of_other_rows_than_images_beside_it_is_a_feature_table(tmp_path):
    put(tmp_path, [f"figures/plot{k}.png" for k in range(16)])
    (tmp_path / "loop").symlink_to(tmp_path)  # which no search gets through
    pd.DataFrame({"name": without(".png"), "label": GRADES, "area": np.arange(16) * 1.5}).to_csv(
        tmp_path / "t.csv", index=False
    )
    manifest = read_manifest(tmp_path / "t.csv")
    assert manifest.source == str(tmp_path / "t.csv") and len(manifest) == 16


def test_columns_of_numbers_are_for_tables_of_numbers(tmp_path):
    put(tmp_path, SCANNERS)
    for options, said in (
        ({"drop": ("lot",)}, "--drop lot"),
        ({"columns": ("area*", "sd")}, "--columns area* sd"),
        ({"columns": ("a",), "drop": ("b",)}, "--columns a and --drop b"),
    ):
        with pytest.raises(ManifestError) as error:
            read_manifest(tmp_path, asked=Study(str(tmp_path), features=("shortcut",), **options).asked)
        assert str(error.value) == (
            f"{tmp_path} holds images, and {said} is for tables of numbers: leave it out, or give such a table with "
            "--features file:PATH"
        )
        read_manifest(tmp_path, asked=Study(str(tmp_path), features=("shortcut", "file:t.csv"), **options).asked)
    said = "--missing impute changes nothing: it is for tables of numbers, and there is none"
    assert said in read_manifest(tmp_path, asked=Study(str(tmp_path), missing="impute").asked).said
    both = Study(str(tmp_path), missing="impute", features=("file:t.csv",)).asked
    assert said not in read_manifest(tmp_path, asked=both).said


@pytest.mark.parametrize("command", ["audit", "export"])
def test_other_commands_leave_columns_to_other_tables_too(command):
    options = importlib.import_module(f"studies.{command}").Options
    assert options(features=("file:t.csv", "shortcut")).asked.others
    assert not options(features=("shortcut",)).asked.others
