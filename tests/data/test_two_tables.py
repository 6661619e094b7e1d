"""Labels in two tables: which of them, or the folders, give the classes, and which patients are the same."""

import unicodedata

import pandas as pd
import pytest
from helpers.images import put

from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.columns import Asked

PATIENTS = range(4)


def tables(folder, patients, write="P{}".format):
    """Two crops of each patient, whom the table of crops spells like `write`, and the table of patients."""
    crops = [f"im{p}_{k}.png" for p in PATIENTS for k in range(2)]
    put(folder, crops)
    pd.DataFrame({"patient": [write(p) for p in PATIENTS for _ in range(2)], "image": crops}).to_csv(
        folder / "crops.csv", index=False
    )
    pd.DataFrame(patients).to_csv(folder / "patients.csv", index=False)
    return folder


def of_patients(write="P{}".format, **columns):
    return {"patient": list(map(write, PATIENTS)), **columns}


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


VISITS = [0, *PATIENTS]  # the first patient has two rows


def of_visits(**columns):
    return {"patient": [f"P{p}" for p in VISITS], "label": [list("abab")[p] for p in VISITS], **columns}


@pytest.mark.parametrize("column", ["age", "site", "part"])
def test_patients_whose_rows_differ_in_a_column_that_is_used_are_refused(tmp_path, column):
    """Otherwise all files of a patient would have what the first row says, such as the age at the first visit."""
    tables(tmp_path, of_visits(**{column: [20, 61, 40, 50, 60]}))
    asked = Asked() if column == "site" else Asked(but=("age", "part"))
    with pytest.raises(ManifestError, match=rf"^patients\.csv: patients have several rows with different '{column}'"):
        read_manifest(tmp_path, asked=asked)


def test_further_rows_of_patients_that_agree_in_what_is_used_are_left_out_with_a_line(tmp_path):
    tables(tmp_path, of_visits(visit=[1, 2, 1, 1, 1], site=list("uuvuv")))
    assert "patients.csv: 1 row repeats a patient: it is left out" in read_manifest(tmp_path).said


def test_patients_without_files_may_have_rows_that_differ(tmp_path):
    tables(tmp_path, {"patient": ["P0", "P1", "P2", "P3", "P9", "P9"], "label": list("ababab"), "site": list("uvuvuv")})
    assert read_manifest(tmp_path).classes == ("a", "b")


def test_what_only_a_later_row_of_a_patient_tells_is_known_of_all_its_files(tmp_path):
    """As in an export of several visits whose later rows leave the rest empty."""
    visits = of_patients(visit=[1] * 4, site=["a", "", "b", "b"], outcome=["0", "1", "0", ""])
    later = of_patients(visit=[2] * 4, site=["", "a", "", ""], outcome=["", "", "", "1"])
    patients = {name: [*visits[name], *later[name]] for name in visits}
    tables(tmp_path, patients)
    found = read_manifest(tmp_path, asked=Asked(label="outcome"), subgroups=("site",))
    assert found.labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert found.table["of user: site"].tolist() == list("aaaabbbb")
    assert "patients.csv: 4 rows repeat a patient: they are left out" in found.said
