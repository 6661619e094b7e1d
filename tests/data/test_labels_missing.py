"""Texts in a column of labels that may mean that there is no label."""

import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.manifest import read_manifest
from glomfeat.data.subgroups import MISSING, make_groups
from glomfeat.data.tables.columns import Asked

NAMES = [f"case{k // 2}_{k}.png" for k in range(8)]
LABELS = ["GS", "no"] * 4


def table(folder, labels, suffix=".csv", column="label"):
    frame = pd.DataFrame({"name": NAMES, column: labels})
    path = put(folder, NAMES) / f"labels{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_excel(path, index=False)
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("text", ["NaN", "nan", "#N/A", " #VALUE!", "<NA>"])
def test_what_programs_write_for_no_value_is_no_class(tmp_path, text, suffix):
    said = f"2 images without a label: {NAMES[0]}, {NAMES[7]} (give each a row with its class, or move it out of DATA; "
    (only,) = complaint(table(tmp_path, [text, *LABELS[1:7], text], suffix))
    assert only.startswith(said)


@pytest.mark.parametrize("text", ["None", "NA", "n/a", "null", "?", "??", "-", "–", "."])
def test_what_may_be_a_class_is_one_with_a_warning(tmp_path, text):
    manifest = read_manifest(table(tmp_path, [text, *LABELS[1:7], text]))
    assert set(manifest.classes) == {"GS", "no", text}
    said = f"warning: {text!r} in 2 rows of labels.csv is taken for a class: if it means no label, empty the cells"
    assert said in manifest.said


def test_cells_may_be_lists(tmp_path):
    frame = pd.DataFrame({"name": [f"i{k}" for k in range(12)], "label": ["no", "GS"] * 6, "case": list("abcdef") * 2})
    frame.assign(x=range(12), rows=[[1.0, 2.0]] * 12).to_parquet(tmp_path / "t.parquet")
    assert sorted(read_manifest(tmp_path / "t.parquet").classes) == ["GS", "no"]


@pytest.mark.parametrize("text", ["NAT", "none"])  # normal adjacent tissue, and no lesion
def test_a_class_is_one_without_a_warning(tmp_path, text):
    manifest = read_manifest(table(tmp_path, [text, *LABELS[1:7], text]))
    assert text in manifest.classes and not any(line.startswith("warning") for line in manifest.said)


def test_a_sign_beside_a_plus_is_a_class_without_a_warning(tmp_path):
    manifest = read_manifest(table(tmp_path, ["+", "-"] * 3 + ["?", "?"]))
    warnings = [line for line in manifest.said if "taken for a class" in line]
    assert set(manifest.classes) == {"+", "-", "?"} and [line.split()[1] for line in warnings] == ["'?'"]


def test_categories_without_a_row_and_those_that_are_classes_say_nothing(tmp_path):
    label = pd.Categorical(["no", "GS"] * 6, ["no", "GS", "None"])
    frame = pd.DataFrame(
        {"name": [f"i{k}" for k in range(12)], "label": label, "case": list("abcdef") * 2, "x": range(12)}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    assert not any("taken for a class" in line for line in read_manifest(tmp_path / "t.parquet").said)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("features", [False, True])
def test_texts_of_other_columns_that_count_as_no_value_are_named(tmp_path, suffix, features):
    frame = pd.DataFrame({"name": NAMES, "label": LABELS, "site": ["NA", "Oslo"] * 4, "age": ["NA", *range(7)]})
    if features:
        frame = frame.assign(f=[0.5, *range(7)])
    path = put(tmp_path, NAMES) / f"table{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_excel(path, index=False)
    uses = (("site", "--subgroups groups by it"), ("age", "--subgroups groups by it"))
    asked = Asked(keep=("f",) if features else (), uses=uses)
    found = read_manifest(f"file:{path}" if features else tmp_path, subgroups=["site"], asked=asked)
    said = "table.csv: 'NA' in 4 rows of column 'site' counts as no value: if it is a value, write another text"
    assert [line for line in found.said if "counts as no value" in line] == ([said] if suffix == ".csv" else [])
    assert make_groups(found.table, "site").names == (("Oslo", MISSING) if suffix == ".csv" else ("NA", "Oslo"))


def test_in_a_column_that_the_user_names_it_is_none(tmp_path):
    table(tmp_path, ["NA", *LABELS[1:]], column="grade")
    assert complaint(tmp_path, asked=Asked(label="grade"))[0].startswith(f"1 image without a label: {NAMES[0]}")
