"""Small data sets as people bring them: what is read of each, what is printed, and what the audit says."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.data.embeddings import open_rows
from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.schemes import CrossValidation
from glomfeat.data.tables.columns import Asked
from studies import audit, compare

pytestmark = pytest.mark.usefixtures("only_exact_copies", "dealt_once")
TWO = ("normal", "sclerotic")
RNG = np.random.default_rng(42)


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(RNG.integers(0, 255, (24, 24, 3), np.uint8)))


def pairs(folder, cases, name="patient{case}_{letter}.png"):
    """An image of each class of each case; names and classes."""
    names = [(name.format(case=case, letter=kind[0]), kind) for case in range(cases) for kind in TWO]
    for each, _ in names:
        image(folder / each)
    return names


def rows_of_features(**columns):
    """96 rows of 12 patients, sorted by class, as a frame with two columns of noise."""
    names = [f"patient{case}_{kind[0]}{k}" for kind in TWO for case in range(12) for k in range(4)]
    frame = pd.DataFrame({"name": names, "label": [kind for kind in TWO for _ in range(48)], **columns})
    return frame.assign(f0=RNG.normal(size=96), f1=RNG.normal(size=96))


def plan(capsys, tmp_path, data, *options):
    """What compare prints before it works."""
    where = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--jobs", "1", "--folds", "2"]
    assert compare.main([str(data), *where, "--heads", "logreg", "--reducers", "none", *options, "--dry-run"]) == 0
    return capsys.readouterr().out.splitlines()


def audited(capsys, tmp_path, data, *options):
    """The findings of the audit by their codes."""
    where = ["--out", str(tmp_path / "audit"), "--cache", str(tmp_path / "cache"), "--jobs", "1", "--folds", "2"]
    audit.main([str(data), *where, "--size", "32", "--jobs", "1", *options])
    capsys.readouterr()
    findings = json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]
    return {finding["code"]: finding for finding in findings}


def test_the_row_number_of_pandas_is_no_feature(tmp_path, capsys):
    data = tmp_path / "table.csv"
    rows_of_features().to_csv(data)
    manifest = read_manifest(data, scheme=CrossValidation(5))
    assert len(manifest) == 96 and manifest.table["case"].nunique() == 12
    assert open_rows(data).columns == ["f0", "f1"]
    with pytest.raises(
        ManifestError, match=r"; if you mean a table of features, name the table itself: it holds table\.csv$"
    ):
        read_manifest(tmp_path)
    said = plan(capsys, tmp_path, data)
    assert "table.csv: 2 columns are used: f0, f1" in said
    assert "table.csv: left out: Unnamed: 0 (numbers the rows)" in said
    found = audited(capsys, tmp_path, data)
    assert "2 columns describe: f0, f1; left out: Unnamed: 0 (numbers the rows)" in found["columns.used"]["what"]
    assert "columns.telling" not in found


def test_the_index_of_pandas_in_parquet_is_no_feature(tmp_path):
    frame = rows_of_features()
    frame.sort_values("f0").to_parquet(tmp_path / "t.parquet")  # writes the row number as a column
    assert open_rows(tmp_path / "t.parquet").columns == ["f0", "f1"]
    assert open_rows(tmp_path / "t.parquet").left == {"__index_level_0__": "numbers the rows"}
    frame.set_index("name").to_parquet(tmp_path / "named.parquet")
    assert sorted(open_rows(tmp_path / "named.parquet").names) == sorted(frame["name"])


def test_places_sites_numbers_and_second_labels_are_no_features(tmp_path, capsys):
    data = tmp_path / "table.csv"
    n = np.arange(96)
    more = {"target": n // 48, "ImageNumber": n, "x": 7 * n, "y": 5 * n, "site": [f"site{k % 2}" for k in n]}
    rows_of_features(**more).to_csv(data, index=False)
    assert open_rows(data).columns == ["f0", "f1"]
    left = "target (a second column of classes); ImageNumber (an id); x, y (a place); site (a site)"
    assert f"table.csv: left out: {left}" in plan(capsys, tmp_path, data)
    assert open_rows(data, Asked(keep=("x", "f*"))).columns == ["x", "f0", "f1"]
    said = plan(capsys, tmp_path, data, "--columns", "target", "f0")
    assert "table.csv: 2 columns are used: target, f0" in said
    assert any(
        line.startswith("warning: column 'target' of table.") and "tells the classes alone" in line for line in said
    )
    found = audited(capsys, tmp_path, data, "--columns", "target", "x", "f0")
    assert found["columns.telling"]["severity"] == "warning"
    assert [row["column"] for row in found["columns.telling"]["rows"]] == ["target", "x"]


def test_a_table_of_labels_with_an_age_is_no_feature_table(tmp_path, capsys):
    folder, rows = tmp_path / "data", []
    for case in range(8):
        for kind in TWO:
            image(folder / "images" / f"patient{case}" / f"patient{case}_{kind[0]}.png")
            rows.append((f"patient{case}_{kind[0]}.png", kind, 40 + case))
    pd.DataFrame(rows, columns=["name", "label", "age"]).to_csv(folder / "labels.csv")
    manifest = read_manifest(folder / "labels.csv", scheme=CrossValidation(5))
    assert len(manifest) == 16 and manifest.table["case"].nunique() == 8 and manifest.source == ""
    assert read_manifest(folder, scheme=CrossValidation(5)).digest == manifest.digest
    said = plan(capsys, tmp_path, folder / "labels.csv", "--features", "shortcut")
    assert "columns that are not used: Unnamed: 0, age" in said
    assert any("names images below its folder and is read as their labels; file:" in line for line in said)
    assert read_manifest(f"file:{folder}/labels.csv").source.endswith("labels.csv")
    assert audited(capsys, tmp_path, folder / "labels.csv")["classes.balance"]["what"].startswith(
        "8 normal, 8 sclerotic"
    )


def test_names_without_their_suffix(tmp_path, capsys):
    rows = [(name.removesuffix(".png"), kind) for name, kind in pairs(tmp_path / "data", 8)]
    pd.DataFrame(rows, columns=["name", "label"]).to_csv(tmp_path / "data" / "labels.csv", index=False)
    manifest = read_manifest(tmp_path / "data", scheme=CrossValidation(5))
    assert len(manifest) == 16 and manifest.table["name"].str.endswith(".png").all()
    said = plan(capsys, tmp_path, tmp_path / "data", "--features", "shortcut")
    assert said[0] == "16 images of 8 cases: 8 normal, 8 sclerotic"
    assert "manifest" not in audited(capsys, tmp_path, tmp_path / "data")


def test_a_column_of_patients_beats_names_of_files(tmp_path, capsys):
    rows = [
        (name, kind, f"PT{k // 4}")
        for k, (name, kind) in enumerate(pairs(tmp_path / "data", 16, "case{case}_{letter}.png"))
    ]
    pd.DataFrame(rows, columns=["name", "label", "Patient ID"]).to_csv(tmp_path / "data" / "labels.csv", index=False)
    manifest = read_manifest(tmp_path / "data", scheme=CrossValidation(5))
    assert manifest.table["case"].nunique() == 8 and manifest.said[1] == "cases: column Patient ID"
    said = plan(capsys, tmp_path, tmp_path / "data", "--features", "shortcut")
    assert "images per case: 4" in said and not any("PT" in line for line in said)
    assert sum(line.startswith("  C00") and ", case C00" in line for line in said) == 5
    assert not any("case0_" in line or "case1_" in line for line in said), "names may say who PT0 is"
    assert "  case0_n.png -> class normal, case PT0" in plan(
        capsys, tmp_path, tmp_path / "data", "--features", "shortcut", "--show-names"
    )
    said = plan(capsys, tmp_path, tmp_path / "data", "--features", "shortcut", "--groups", r"^(?P<case>case\d+)")
    assert any(line.startswith("warning: column 'Patient ID' gives 8 cases and pattern ") for line in said)
    found = audited(capsys, tmp_path, tmp_path / "data")
    assert found["cases.spread"]["what"].startswith("8 cases of 4 to 4 images")


def test_a_spoilt_cell_stops_with_column_row_and_cell(tmp_path, capsys):
    data = tmp_path / "table.csv"
    frame = rows_of_features(area=RNG.normal(size=96).round(3)).astype({"area": object})
    frame.loc[5, "area"] = "#DIV/0!"
    frame.to_csv(data, index=False)
    said = r"- column 'area' holds '#DIV/0!' in row 6 \(patient1_n1\): correct the cell, take .* --drop 'area'$"
    with pytest.raises(ManifestError, match=said):
        read_manifest(data)
    assert "table.csv: left out: area (by --drop)" in plan(capsys, tmp_path, data, "--drop", "area")
    found = audited(capsys, tmp_path, data)
    assert found["manifest"]["severity"] == "severe" and "'#DIV/0!' in row 6" in found["manifest"]["what"]


def test_a_table_of_a_european_excel(tmp_path, capsys):
    frame = rows_of_features().rename(columns={"f0": "Fläche µm"}).replace({"sclerotic": "skleros. Größe"})
    data = tmp_path / "table.csv"
    frame.to_csv(data, index=False, sep=";", encoding="latin-1")
    frame.to_csv(tmp_path / "usual.csv", index=False)
    manifest, usual = (
        read_manifest(data, scheme=CrossValidation(5)),
        read_manifest(tmp_path / "usual.csv", scheme=CrossValidation(5)),
    )
    assert manifest.digest == usual.digest and manifest.classes == ("normal", "skleros. Größe")
    said = plan(capsys, tmp_path, data)
    assert "table.csv: 2 columns are used: Fläche µm, f1" in said
    assert "table.csv: read with semicolons between columns, latin-1 (Windows-1252)" in said
    assert audited(capsys, tmp_path, data)["columns.used"]["figures"] == {"columns": 2}


def test_names_that_are_numbers_keep_their_zeros(tmp_path, capsys):
    for k in range(32):
        image(tmp_path / "data" / TWO[k % 2] / f"{k:03d}.png")
    table = tmp_path / "numbers.csv"
    pd.DataFrame({"Name": [f"{k:03d}" for k in range(32)], "f0": RNG.normal(size=32)}).to_csv(table, index=False)
    options = "--features", f"file:{table}", "--groups", "none"
    said = plan(capsys, tmp_path, tmp_path / "data", *options)
    assert any(line.startswith("numbers.") and line.endswith(": 1 column is used: f0") for line in said)
    found = audited(capsys, tmp_path, tmp_path / "data", "--groups", "none")
    assert found["classes.balance"]["what"].startswith("16 normal, 16 sclerotic")


def test_a_column_with_a_split_is_named(tmp_path, capsys):
    rows = [
        (name, kind, "train" if k < 24 else "val" if k < 30 else "test")
        for k, (name, kind) in enumerate(pairs(tmp_path / "data", 20))
    ]
    pd.DataFrame(rows, columns=["name", "label", "split"]).to_csv(tmp_path / "data" / "labels.csv", index=False)
    said = plan(capsys, tmp_path, tmp_path / "data", "--features", "shortcut")
    what = "column 'split' holds a split (24 train, 10 test, 6 val) and is not used: new folds are made"
    assert f"{what}; --scheme given:split takes it" in said
    assert read_manifest(tmp_path / "data", scheme=CrossValidation(5)).table["case"].nunique() == 20
    assert "manifest" not in audited(capsys, tmp_path, tmp_path / "data")


def test_the_audit_reads_the_columns_that_it_is_told(tmp_path, capsys):
    frame = rows_of_features(label=["a", "b"] * 48, diagnosis=[kind for kind in TWO for _ in range(48)])
    frame.to_csv(tmp_path / "table.csv", index=False)
    audited(capsys, tmp_path, tmp_path / "table.csv", "--label-column", "diagnosis")
    assert f"48 {TWO[0]}" in (tmp_path / "audit" / "audit.txt").read_text()
    audited(capsys, tmp_path, tmp_path / "table.csv", "--label-column", "label")
    assert "48 a, 48 b" in (tmp_path / "audit" / "audit.txt").read_text()


def test_columns_that_options_name_are_listed_as_what_they_are_used_for(tmp_path):
    frame = rows_of_features()
    n = len(frame)
    patient = np.arange(n) // 4 % 12
    frame = frame.assign(patient=patient, place=patient % 2, age=np.arange(n), town="Bern")
    frame.to_csv(tmp_path / "t.csv", index=False)
    study = Study(str(tmp_path / "t.csv"), groups="patient", scheme="leave-out:place", subgroups=("town", "age:50"))
    said = []
    prepare(replace(study, cache=str(tmp_path / "cache"), out=str(tmp_path / "out")), said.append)
    lines = [line for line in said if line.startswith("t.csv: ")]
    uses = "town (texts; --subgroups groups by it)"
    assert lines[0] == "t.csv: 3 columns are used: f0, f1, age"
    assert lines[1] == f"t.csv: left out: patient (the case, by --groups); place (--scheme splits by it); {uses}"
    assert any(line.startswith("subgroups: age also describes the images") for line in said)
