"""Numbers that may be thousands are refused wherever an option uses a column as numbers, whichever table holds it."""

import numpy as np
import pandas as pd
import pytest
from helpers.images import put

from glomfeat.comparison.options import Study
from glomfeat.data.joined import JoinedError, read_joined
from glomfeat.data.manifest import read_manifest
from glomfeat.data.subgroups import make_groups
from glomfeat.data.tables.read import TableError

NAMES = [f"P{k // 2}_PAS_1of1_{k}.png" for k in range(12)]
LABELS = ["GS", "nGS"] * 6
WEIGHTS = ["987", *(f"{1 + k * 83 / 1000:.3f}" for k in range(1, 12))]
HALVES = [f"{k / 2 + 0.5:.1f}" for k in range(12)]
WHY = "'1.083' in column 'weight' may be 1.083 or 1083, for '987' has no decimals: write thousands without a sign"


def write(file, separator=";", **columns):
    pd.DataFrame(columns).to_csv(file, index=False, sep=separator)
    return file


def read(data, labels=None, **asked):
    study = Study(labels=labels, **asked)
    manifest = read_manifest(data, labels, asked=study.asked, subgroups=study.subgroups, joined=study.with_)
    assert len(manifest) == len(NAMES)
    return manifest.table


def images_with_labels(folder):
    write(put(folder, NAMES) / "labels.csv", name=NAMES, label=LABELS, weight=WEIGHTS)
    return folder, None, "labels.csv"


def paths(folder):
    return write(put(folder, NAMES) / "list.csv", path=NAMES, label=LABELS, weight=WEIGHTS), None, "list.csv"


def table_with_labels(folder):
    return write(folder / "t.csv", name=NAMES, label=LABELS, weight=WEIGHTS, f0=range(12)), None, "t.csv"


def table_and_labels(folder):
    labels = write(folder / "labels.csv", name=NAMES, label=LABELS, weight=WEIGHTS)
    return write(folder / "t.csv", name=NAMES, f0=range(12)), labels, "labels.csv"


def table_that_knows_more_than_labels(folder):
    labels = write(folder / "labels.csv", name=NAMES, label=LABELS)
    return write(folder / "t.csv", name=NAMES, weight=WEIGHTS, f0=range(12)), labels, "t.csv"


def tables_of_files_and_patients(folder):
    put(folder, NAMES)
    write(folder / "files.csv", PATIENT=[f"P{k}" for k in range(12)], FILENAME=NAMES)
    patients = {"PATIENT": [f"P{k}" for k in range(12)], "GRADE": LABELS, "weight": WEIGHTS}
    write(folder / "patients.csv", **patients)
    return folder, None, "patients.csv"


PLACES = [
    images_with_labels,
    paths,
    table_with_labels,
    table_and_labels,
    table_that_knows_more_than_labels,
    tables_of_files_and_patients,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_weight_that_may_be_a_thousand_times_as_large_is_refused_wherever_it_stands(tmp_path, place):
    data, labels, where = place(tmp_path)
    asked = {"label_column": "GRADE"} if place is tables_of_files_and_patients else {}
    asked |= {"drop": ("weight",)} if place in (table_with_labels, table_that_knows_more_than_labels) else {}
    for option, words in (("with", {"with_": ("weight",)}), ("subgroups", {"subgroups": ("weight:500",)})):
        with pytest.raises(TableError) as error:
            read(data, labels, **words, **asked)
        assert str(error.value) == f"{where}: {WHY}, or all decimals (987.0), or leave the column out of --{option}"
    with pytest.raises(TableError, match=r"^[a-z]+\.csv: '1\.083' in column 'weight' may be "):
        read(data, labels, subgroups=("weight",), **asked)
    read(data, labels, **asked)  # nothing uses it


@pytest.mark.parametrize(
    ("separator", "more"),
    [(",", {}), (";", {"bmi": HALVES}), ("\t", {"bmi": HALVES})],
)
def test_decimal_points_are_read_as_ever(tmp_path, separator, more):
    write(put(tmp_path, NAMES) / "labels.csv", separator, name=NAMES, label=LABELS, weight=WEIGHTS, **more)
    table = read(tmp_path, with_=("weight", *more), subgroups=("weight:500",))
    there = dict(zip(NAMES, map(float, WEIGHTS), strict=True))
    numbers = read_joined(table, ["weight"]).columns[0].values
    np.testing.assert_array_equal(numbers, [there[name] for name in table["name"]])
    assert make_groups(table, "weight:500").codes.tolist() == [int(there[name] > 500) for name in table["name"]]


def test_commas_in_another_joined_column_tell_that_points_are_of_thousands(tmp_path):
    """Without them, 1.083 could not be told from a decimal: no weight is below a thousand."""
    columns = {"weight": [WEIGHTS[1], *WEIGHTS[1:]], "bmi": [half.replace(".", ",") for half in HALVES]}
    write(put(tmp_path, NAMES) / "labels.csv", name=NAMES, label=LABELS, **columns)
    with pytest.raises(TableError, match=r"'1\.083' in column 'weight' may be .*, for other cells have decimal commas"):
        read(tmp_path, with_=("weight", "bmi"))
    with pytest.raises(JoinedError, match="--with bmi: 0,5, 1,0, 1,5 and 9 more would be read as texts: write numbers"):
        read_joined(read(tmp_path, with_=("bmi",)), ["bmi"])


def test_texts_cases_and_few_numbers_are_taken_as_they_are(tmp_path):
    few, texts = ["1.083", "987"] * 6, [*WEIGHTS[:11], "unknown"]
    columns = {"few": few, "texts": texts, "block": [f"1.{100 + k // 2}" for k in range(10)] + ["7", "7"]}
    write(put(tmp_path, NAMES) / "labels.csv", name=NAMES, label=LABELS, height=["0,5"] * 12, **columns)
    study = Study(groups="block", subgroups=("few", "texts"))
    manifest = read_manifest(tmp_path, groups="block", asked=study.asked, subgroups=study.subgroups)
    assert sorted(set(manifest.table["case"])) == ["1.100", "1.101", "1.102", "1.103", "1.104", "7"]
    assert make_groups(manifest.table, "few").names == ("1.083", "987")
    assert set(make_groups(manifest.table, "texts").names) == {*texts}


def test_a_column_is_found_by_the_name_that_options_may_use(tmp_path):
    write(put(tmp_path, NAMES) / "labels.csv", name=NAMES, label=LABELS, Metadata_Weight=WEIGHTS)
    with pytest.raises(TableError, match=r"^labels\.csv: '1\.083' in column 'Metadata_Weight' may be "):
        read(tmp_path, with_=("weight",))


@pytest.mark.parametrize("cell", ["1.234,5", "1,234.5", "12,5", "-0,5"])
def test_a_joined_number_with_a_comma_is_never_a_text(cell):
    table = pd.DataFrame({"of user: weight": [cell, cell, "61", None]})
    with pytest.raises(JoinedError) as error:
        read_joined(table, ["weight"])
    said = f"{cell} would be read as texts: write numbers with a decimal point, and thousands without a sign"
    assert str(error.value) == f"--with weight: {said}"
