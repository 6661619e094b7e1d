"""A table of features and a table of labels: each says of the rows what the other does not."""

import h5py
import numpy as np
import pandas as pd
import pytest

from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.schemes import find_scheme
from glomfeat.data.tables.columns import Asked

NAMES = [f"case{k}_1" for k in range(12)]  # names alone give twelve cases
PATIENTS = [f"P{k // 3}" for k in range(12)]
X = np.random.default_rng(0).normal(size=(12, 2))


def features(path, **columns):
    """A table of features, in another order than the labels."""
    order = np.random.default_rng(1).permutation(12)
    frame = pd.DataFrame({"name": NAMES, **columns, "f0": X[:, 0], "f1": X[:, 1]}).iloc[order]
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["features"] = frame[["f0", "f1"]].to_numpy()
            for column in ("name", *columns):
                file[f"{column}s"] = frame[column].to_list()
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def labels(path, **columns):
    pd.DataFrame({"name": NAMES, "label": [0, 1] * 6, **columns}).to_csv(path, index=False)
    return path


def cases_of(manifest):
    return dict(zip(manifest.table["name"], manifest.table["case"], strict=True))


@pytest.mark.parametrize(("suffix", "column"), [(".csv", "patient"), (".parquet", "Patient ID"), (".h5", "case")])
def test_cases_of_the_features_own_table_count_if_the_labels_have_none(tmp_path, suffix, column):
    table = features(tmp_path / f"t{suffix}", **{column: PATIENTS})
    manifest = read_manifest(f"file:{table}", labels(tmp_path / "labels.csv"))
    assert cases_of(manifest) == dict(zip(NAMES, PATIENTS, strict=True))
    assert f"t{suffix} gives {column}, which labels.csv does not have" in manifest.said


def test_what_the_labels_say_of_a_row_counts_first(tmp_path):
    table = features(tmp_path / "t.csv", patient=PATIENTS)
    theirs = [f"Q{k // 6}" for k in range(12)]
    manifest = read_manifest(f"file:{table}", labels(tmp_path / "labels.csv", subject=theirs))
    assert cases_of(manifest) == dict(zip(NAMES, theirs, strict=True))
    assert not any("which labels.csv does not have" in line or "warning" in line for line in manifest.said)
    finer = [f"Q{k}" for k in range(12)]
    manifest = read_manifest(f"file:{table}", labels(tmp_path / "labels.csv", subject=finer))
    assert cases_of(manifest) == dict(zip(NAMES, finer, strict=True))
    said = (
        "warning: 4 cases of column 'patient' of t.csv are several cases of column 'subject' of labels.csv, which is "
        "taken: if 'patient' tells patients apart, take 'subject' out of labels.csv"
    )
    assert said in manifest.said


def test_sites_splits_and_columns_that_options_name_are_taken_from_the_features_own_table(tmp_path):
    parts = ["train"] * 6 + ["test"] * 6
    columns = {"patient": PATIENTS, "site": list("ab") * 6, "part": parts, "Block": list("uvwxyz") * 2, "stain": "PAS"}
    table, given = features(tmp_path / "t.csv", **columns), labels(tmp_path / "labels.csv")
    scheme = find_scheme("given:part", 2)
    asked = Asked(but=("part",), uses=(("site", "--subgroups groups by it"),))
    manifest = read_manifest(f"file:{table}", given, scheme=scheme, asked=asked, subgroups=("site",))
    rows = manifest.table.set_index("name").loc[NAMES]
    assert rows["given"].tolist() == parts and rows["of user: site"].tolist() == columns["site"]
    assert "t.csv gives patient, site, part, which labels.csv does not have" in manifest.said
    manifest = read_manifest(f"file:{table}", given, groups="block")
    assert cases_of(manifest) == dict(zip(NAMES, columns["Block"], strict=True))


def test_rows_without_features_do_not_move_the_cases_of_others(tmp_path):
    table, given = features(tmp_path / "t.csv", patient=PATIENTS), labels(tmp_path / "labels.csv")
    given.write_text(given.read_text().replace("case4_1,", "gone,"))
    with pytest.raises(ManifestError, match=r"- 1 label of labels\.csv without a row of features: gone"):
        read_manifest(f"file:{table}", given)
    given.write_text("\n".join(line for line in given.read_text().split("\n") if not line.startswith("gone")))
    ours = dict(zip(NAMES, PATIENTS, strict=True))
    assert cases_of(read_manifest(f"file:{table}", given)) == {name: ours[name] for name in NAMES if name != "case4_1"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".h5"])
@pytest.mark.parametrize("swapped", [0, 3])
def test_classes_of_the_features_own_table_are_left_out_with_a_line_and_a_warning_if_they_differ(
    tmp_path, suffix, swapped
):
    own = [["well", "ill"][(k + (k < swapped)) % 2] for k in range(12)]
    table, given = features(tmp_path / f"t{suffix}", label=own), labels(tmp_path / "labels.csv")
    said = read_manifest(f"file:{table}", given).said
    assert f"t{suffix}: left out: label (labels.csv gives the classes)" in said
    warning = f"warning: labels.csv gives other classes than column 'label' of t{suffix} in 3 of 12 rows: the former "
    assert (f"{warning}are used" in said) == (swapped == 3)
