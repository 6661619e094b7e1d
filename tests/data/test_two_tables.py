"""Labels in two tables: which of them, or the folders, give the classes, and which patients are the same."""

import unicodedata

import pandas as pd
import pytest
from helpers.images import put

from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.columns import Asked

PATIENTS = range(4)


def tables(folder, patients, crops=None, images=None, write="P{}".format):
    """Two crops of each patient, whom the table of crops spells like `write`, and the table of patients."""
    crops = crops or [f"im{p}_{k}.png" for p in PATIENTS for k in range(2)]
    put(folder, images or crops)
    pd.DataFrame({"patient": [write(p) for p in PATIENTS for _ in range(2)], "image": crops}).to_csv(
        folder / "crops.csv", index=False
    )
    pd.DataFrame(patients).to_csv(folder / "patients.csv", index=False)
    return folder


def of_patients(write="P{}".format, **columns):
    return {"patient": list(map(write, PATIENTS)), **columns}


def by_class(classes):
    crops = [f"patient{p}_{k}.png" for p in PATIENTS for k in range(2)]
    return crops, [f"{classes[k % 2]}/{name}" for k, name in enumerate(crops)]


def test_folders_of_classes_are_not_given_up_for_a_column_of_patients(tmp_path):
    crops, images = by_class(("GS", "nonGS"))
    tables(tmp_path, of_patients(stage=list("abab"), age=range(40, 44)), crops, images)
    manifest = read_manifest(tmp_path)
    assert manifest.classes == ("GS", "nonGS") and len(manifest) == 8
    assert [line for line in manifest.said if line.startswith("warning: patients.csv")] == [
        "warning: patients.csv is not used, because folders give the classes: to use it, add a column 'label' to the "
        "table of its patients' files, or name the column of classes with --label-column"
    ]
    assert read_manifest(tmp_path, asked=Asked(label="stage")).classes == ("a", "b")


@pytest.mark.parametrize("folders", [("Kollaps", "Narbe"), ("1", "2")])
def test_it_is_asked_whether_folders_of_unknown_names_or_a_column_of_patients_are_classes(tmp_path, folders):
    crops, images = by_class(folders)
    tables(tmp_path, of_patients(KRAS=["wt", "mut"] * 2), crops, images)
    said = (
        f"the folders {', '.join(folders)} and a column of patients.csv may both be the classes: say which column it is"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, asked=Asked(label="KRAS")).classes == ("mut", "wt")
    assert {*read_manifest(tmp_path, layout="class/image").classes} == {*folders}


@pytest.mark.parametrize("folders", [("slide1", "slide2"), ("siteA", "siteB"), ("train", "test")])
def test_folders_that_are_no_classes_leave_them_to_the_table(tmp_path, folders):
    crops, images = by_class(folders)
    manifest = read_manifest(tables(tmp_path, of_patients(KRAS=["wt", "mut"] * 2), crops, images))
    assert manifest.classes == ("mut", "wt") and not any("not used: KRAS" in line for line in manifest.said)


@pytest.mark.parametrize("column", ["Sex", "patient_sex", "gender", "Geschlecht", "male", "site", "Hospital name"])
def test_what_describes_any_patient_is_no_class_unless_it_is_named(tmp_path, column):
    tables(tmp_path, of_patients(**{column: list("abab")}))
    with pytest.raises(ManifestError, match=rf"holds the classes \({column} \(2 values\)\): say it with --label"):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, asked=Asked(label=column)).classes == ("a", "b")


def nfd(patient):
    return unicodedata.normalize("NFD", f"José{patient}")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("00{}".format, "{}".format),
        ("P{}".format, "p{}".format),
        ("P{}".format, "P-{}".format),
        ("{}".format, "{}.0".format),
        ("José{}".format, nfd),
    ],
)
@pytest.mark.parametrize("others", [0, 2])
def test_patients_that_two_tables_spell_in_two_ways_are_not_left_out(tmp_path, ours, theirs, others):
    def write(patient):
        return f"X{patient}" if patient < others else theirs(patient)

    def spelt(patient):
        return f"X{patient}" if patient < others else ours(patient)

    tables(tmp_path, of_patients(write, KRAS=["wt", "mut"] * 2), write=spelt)
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path)
    assert str(error.value) == (
        f"{4 - others} patients are written in patients.csv with other capitals, blanks, separators, zeros or forms of "
        f"letters than in crops.csv, such as in row {others + 1} of the former and row {2 * others + 1} of the latter: "
        "write each patient in one way"
    )


def test_tables_that_share_no_patient_are_refused(tmp_path):
    tables(tmp_path, of_patients("S{}".format, KRAS=["wt", "mut"] * 2))
    said = r"^no file of crops\.csv is of a patient whose 'KRAS' patients\.csv tells: write patients in one way in 'pat"
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)


def test_two_tables_are_joined_by_the_column_that_both_have(tmp_path):
    tables(tmp_path, of_patients(KRAS=["wt", "mut"] * 2))
    crops = pd.read_csv(tmp_path / "crops.csv")
    crops.assign(case=[f"c{k}" for k in range(8)]).to_csv(tmp_path / "crops.csv", index=False)
    manifest = read_manifest(tmp_path, groups="patient")
    assert manifest.labels.tolist() == [1, 1, 0, 0, 1, 1, 0, 0] and manifest.table["case"].nunique() == 4


@pytest.mark.parametrize("theirs", ["subject_id", "patient_id", "case_id"])
def test_two_tables_are_joined_by_columns_of_persons_if_both_have_some(tmp_path, theirs):
    """Numbers of cases and of patients may overlap, and a patient may have several cases."""
    crops = [f"im{k}.png" for k in range(8)]
    put(tmp_path, crops)
    frame = pd.DataFrame({"file": crops, "case_id": range(8), "patient_id": [k // 2 for k in range(8)]})
    frame.to_csv(tmp_path / "files.csv", index=False)
    patients = pd.DataFrame({theirs: range(8), "label": list("abbaabba")})
    patients.to_csv(tmp_path / "patients.csv", index=False)
    key = frame["case_id" if theirs == "case_id" else "patient_id"]
    labels = read_manifest(tmp_path, groups="patient_id").table.set_index("name")["label"]
    assert labels[crops].tolist() == [{"a": 0, "b": 1}[patients["label"][k]] for k in key]


def test_patients_without_a_file_and_files_without_a_patient_are_counted(tmp_path):
    patients = {"patient": ["P0", "P1", "P2", "Q7", "Q8"], "KRAS": ["wt", "mut", "wt", "mut", "wt"]}
    manifest = read_manifest(tables(tmp_path, patients), groups="Patient")
    said = (
        "crops.csv names files and patients.csv tells 'KRAS' of 5 patients: joined by 'patient'; 2 files of patients "
        "without it are left out; 2 patients have no file in crops.csv"
    )
    assert said in manifest.said and manifest.table["case"].unique().tolist() == ["P0", "P1", "P2"]
