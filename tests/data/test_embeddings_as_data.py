"""Embeddings computed elsewhere as the data of a study."""

import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.embeddings import NAMES, STEMS, X, put_names, trident

from glomfeat.core.cache import Store
from glomfeat.data.embeddings import names_of
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.schemes import CrossValidation
from glomfeat.data.tables.columns import Asked
from glomfeat.features.extract import extract
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.table import Table

pytestmark = pytest.mark.usefixtures("dealt_once")


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    pd.DataFrame({"name": NAMES, "label": [0, 1] * 4}).to_csv(path, index=False)
    return path


def as_hdf5(folder):
    with h5py.File(folder / "t.h5", "w") as file:
        file["features"], file["names"] = X, NAMES
    return folder / "t.h5"


def as_hdf5_folder(folder):
    (folder / "t").mkdir()
    for stem, row in zip(STEMS, X, strict=True):
        trident(folder / "t" / f"{stem}.h5", row[None], [(0, 0)])
    return folder / "t"


def as_pt_folder(folder):
    (folder / "t").mkdir()
    for stem, row in zip(STEMS, X, strict=True):
        torch.save(torch.from_numpy(row.copy()), folder / "t" / f"{stem}.pt")
    return folder / "t"


def as_npy(folder):
    np.save(folder / "t.npy", X)
    put_names(folder, "txt")
    return folder / "t.npy"


@pytest.mark.parametrize("make", [as_hdf5, as_hdf5_folder, as_pt_folder, as_npy])
@pytest.mark.parametrize("prefix", ["", "file:"])
def test_embeddings_and_a_csv_of_labels_are_a_data_set(tmp_path, labels, make, prefix):
    source = make(tmp_path)
    manifest = read_manifest(f"{prefix}{source}", labels, scheme=CrossValidation(4))
    assert manifest.table["name"].tolist() == NAMES and manifest.labels.tolist() == [0, 1] * 4
    assert manifest.table["case"].tolist() == [f"P{k // 2}" for k in range(8)] and manifest.source == str(source)
    found = extract(manifest, [Table(manifest.source)], Preprocess(8), Store(str(tmp_path / "store")))
    (matrix,) = found.matrices.values()
    np.testing.assert_array_equal(matrix[:], X)
    with pytest.raises(ManifestError, match=r"holds 8 rows and does not say which class each has: give --labels FILE$"):
        read_manifest(source)


def test_tiles_of_slides_and_their_labels_are_a_data_set(tmp_path):
    (tmp_path / "slides").mkdir()
    for slide in range(4):
        trident(tmp_path / "slides" / f"case{slide}.h5", X[2 * slide :][:2], [(k, 7) for k in range(2)])
    names = [f"case{slide}_{k}_7" for slide in range(4) for k in range(2)]
    pd.DataFrame({"name": names[1:], "label": [1, 0] * 3 + [1]}).to_csv(tmp_path / "l.csv", index=False)
    manifest = read_manifest(tmp_path / "slides", tmp_path / "l.csv")
    assert manifest.table["name"].tolist() == names[1:] and manifest.table["case"].nunique() == 4
    assert manifest.said[-2] == "1 of 8 rows has no label in l.csv: left out"
    table = make_feature(f"file:{manifest.source}", images=manifest.table["name"])
    found = extract(manifest, [table], Preprocess(8), Store(str(tmp_path / "store")))
    np.testing.assert_array_equal(found.matrices[table.name][:], X[1:])


def test_labels_of_kidney_hfm_eval(tmp_path):
    csv = tmp_path / "l.csv"
    pd.DataFrame({"ID": NAMES, "class": [0, 1] * 4, "Group_ID": list("aabbccdd")}).to_csv(csv, index=False)
    manifest = read_manifest(as_pt_folder(tmp_path), csv, groups="Group_ID")
    assert manifest.table["case"].tolist() == list("aabbccdd") and manifest.labels.tolist() == [0, 1] * 4


def test_eva_says_the_class_itself(tmp_path):
    source = as_pt_folder(tmp_path)
    rows = {"origin": NAMES, "embeddings": [f"{stem}.pt" for stem in STEMS], "target": [0, 1] * 4, "split": "val"}
    pd.DataFrame(rows).to_csv(source / "manifest.csv", index=False)
    manifest = read_manifest(source, scheme=CrossValidation(4))
    assert manifest.labels.tolist() == [0, 1] * 4 and manifest.table["name"].tolist() == NAMES


def test_labels_that_lie_in_the_folder_are_found(tmp_path, labels):
    source = as_hdf5_folder(tmp_path)
    labels.rename(source / "labels.csv")
    assert read_manifest(source).labels.tolist() == [0, 1] * 4


def test_labels_and_rows_that_do_not_fit(tmp_path, labels):
    source = as_hdf5(tmp_path)
    labels.write_text(labels.read_text().replace("P0_PAS_1of1_0.png", "gone.png"))
    with pytest.raises(ManifestError, match=r"- 1 label of labels\.csv without a row of features: gone\.png$"):
        read_manifest(source, labels)
    pd.DataFrame({"name": NAMES[:6], "label": [0, 1] * 3}).to_csv(labels, index=False)
    manifest = read_manifest(source, labels)
    assert manifest.table["name"].tolist() == NAMES[:6]
    assert manifest.said[-2] == "2 of 8 rows have no label in labels.csv: left out"
    with pytest.raises(
        ManifestError,
        match=r"^there is no .*x\.csv: --labels must be a table \(CSV, Excel or parquet\) of names and classes$",
    ):
        read_manifest(source, tmp_path / "x.csv")


def test_labels_can_be_given_to_a_table_that_has_none(tmp_path, labels):
    pd.DataFrame({"name": STEMS, "area": range(8)}).to_csv(tmp_path / "t.csv", index=False)
    assert read_manifest(tmp_path / "t.csv", labels).table["name"].tolist() == NAMES


def test_parquet_whose_rows_are_damaged_is_named(tmp_path):
    names = [f"P{k // 2}_{k}.png" for k in range(400)]
    x = np.random.default_rng(0).normal(size=400)
    frame = pd.DataFrame({"name": names, "label": [k % 2 for k in range(400)], "x": x})
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    data = bytearray(path.read_bytes())
    data[60:600] = bytes(len(data[60:600]))  # the first column's pages; what a parquet file is lies at its end
    path.write_bytes(data)
    said = r"^t\.parquet cannot be read: it is not a parquet file, or is damaged; copy or save it again$"
    with pytest.raises(ValueError, match=said):
        read_manifest(path)
    frame.to_parquet(path)
    data = bytearray(path.read_bytes())
    at = data.rindex(x[7].tobytes())
    data[at - 80 : at - 8] = bytes([255]) * 72
    path.write_bytes(data)
    with pytest.raises(FeatureError, match=said.replace("^t", ".*t")):
        Table(str(path)).rows(names)


def test_parquet_is_read_by_row_groups(tmp_path):
    frame = pd.DataFrame(
        {"name": NAMES, "label": [0, 1] * 4, "batch": range(8), **{f"v{k}": X[:, k] for k in range(3)}}
    )
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=3)
    table = Table(str(tmp_path / "t.parquet"), asked=Asked(but=("batch",)))
    np.testing.assert_array_equal(table.rows(NAMES[::-1]), X[::-1])
    assert table.columns == ["v0", "v1", "v2"]
    assert names_of(tmp_path / "t.parquet", Asked(but=("batch",))).columns.tolist() == ["name", "label", "batch"]


def write_large(folder, kind):
    matrix = np.random.default_rng(0).normal(size=(6000, 1000)).astype(np.float16)
    names = [f"{k:04}" for k in np.random.default_rng(1).permutation(6000)]
    if kind == "h5":
        with h5py.File(folder / "t.h5", "w") as file:
            file["features"], file["names"] = matrix, names
        return folder / "t.h5", matrix, names
    np.save(folder / "t.npy", matrix)
    np.save(folder / "t_names.npy", np.array(names))
    return folder / "t.npy", matrix, names


@pytest.mark.parametrize("kind", ["h5", "npy"])
def test_rows_are_never_held_as_a_whole(tmp_path, kind):
    path, matrix, names = write_large(tmp_path, kind)
    csv = tmp_path / "l.csv"
    pd.DataFrame({"name": names, "label": [0, 1] * 3000}).to_csv(csv, index=False)
    manifest = read_manifest(path, csv, groups="none")
    tracemalloc.start()
    found = extract(manifest, [Table(str(path))], Preprocess(8), Store(str(tmp_path / "store")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (stored,) = found.matrices.values()
    assert peak < 6000 * 1000 * 4 / 1.5
    order = np.argsort(names)
    np.testing.assert_array_equal(stored[:], matrix[order].astype(np.float32))


@pytest.mark.slow
def test_a_comparison_of_hdf5_is_that_of_the_csv(tmp_path, feature_table):
    from glomfeat.comparison.compare import compare
    from glomfeat.comparison.options import Study
    from glomfeat.comparison.prepare import prepare

    frame = pd.read_csv(feature_table)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"] = frame.drop(columns=["name", "label"]).to_numpy(np.float32)
        file["names"], file["labels"] = frame["name"].tolist(), frame["label"].to_numpy()
    results = {}
    for data in (feature_table, tmp_path / "t.h5"):
        options = {"reducers": ("none",), "heads": ("logreg",), "folds": 3, "jobs": 1}
        study = Study(data=str(data), out=str(tmp_path / data.suffix), cache=str(tmp_path / "cache"), **options)
        results[data.suffix] = compare(prepare(study, lambda line: None), lambda line: None)[1]
    same = ["auroc", "auroc_lo", "auroc_hi", "sensitivity", "sensitivity_t", "brier", "threshold"]
    pd.testing.assert_frame_equal(results[".csv"][same], results[".h5"][same], check_exact=True)
    assert results[".h5"]["auroc"].max() > 0.7
