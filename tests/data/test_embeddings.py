"""Embeddings computed elsewhere, each written by hand as its tool writes it, and read as features."""

import hashlib

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.embeddings import NAMES, STEMS, X, clam, put_names, stamp, trident

from glomfeat.data.embeddings import find_rows, names_of, open_rows
from glomfeat.data.embeddings.named import mean_rows
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.read import TableError
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.table import Table

# -- npy and names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "txt", "text", "bytes"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int8])
def test_npy_with_names_beside_it(tmp_path, kind, dtype):
    np.save(tmp_path / "t.npy", (X * 10).astype(dtype))
    put_names(tmp_path, kind)
    rows = Table(str(tmp_path / "t.npy")).rows(NAMES[::-2])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, (X * 10).astype(dtype).astype(np.float32)[::-2])
    assert open_rows(tmp_path / "t.npy").columns == ["x0", "x1", "x2"]


def test_npy_in_the_order_of_fortran_or_of_other_bytes(tmp_path):
    put_names(tmp_path, "txt")
    for matrix in (np.asfortranarray(X), X.astype(">f8"), X[:, :1]):
        np.save(tmp_path / "t.npy", matrix)
        np.testing.assert_array_equal(Table(str(tmp_path / "t.npy")).rows(NAMES[::-1]), matrix[::-1])


def test_npy_depends_on_its_names_too(tmp_path):
    np.save(tmp_path / "t.npy", X)
    put_names(tmp_path, "txt")
    before = Table(str(tmp_path / "t.npy"))
    name, key = before.name, before.key
    (tmp_path / "t.txt").write_text("\n".join(NAMES[::-1]))
    after = Table(str(tmp_path / "t.npy"))
    assert after.name != name and after.key != key
    np.testing.assert_array_equal(after.rows(NAMES), X[::-1])


def test_npy_alone_or_with_names_that_do_not_fit(tmp_path):
    np.save(tmp_path / "t.npy", X)
    lacking = (
        r"^t\.npy needs names beside it: t\.csv \(a column name\), t\.txt \(one name on each line\) or t_names\.npy$"
    )
    with pytest.raises(FeatureError, match=lacking):
        Table(str(tmp_path / "t.npy")).rows(NAMES)
    put_names(tmp_path, "txt")
    np.save(tmp_path / "t.npy", X[:3])
    with pytest.raises(
        TableError, match=r"^t\.npy has shape \(3, 3\) of float32 and t\.txt 8 names: rows x columns of "
    ):
        open_rows(tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", X[0])
    with pytest.raises(TableError, match=r"^t\.npy has shape \(3,\) of float32"):
        open_rows(tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", np.array(NAMES)[:, None])
    with pytest.raises(TableError, match=r"^t\.npy has shape \(8, 1\) of <U"):
        open_rows(tmp_path / "t.npy")
    put_names(tmp_path, "csv")
    with pytest.raises(TableError, match=r"^t\.npy has names in t\.csv and t\.txt: keep one of them$"):
        open_rows(tmp_path / "t.npy")


def test_npy_that_would_run_code_is_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.array([{}] * 8, object), allow_pickle=True)
    put_names(tmp_path, "csv")
    with pytest.raises(TableError, match=r"^t\.npy cannot be read: .*Python objects"):
        open_rows(tmp_path / "t.npy")
    np.save(tmp_path / "t.npy", X)
    (tmp_path / "t.csv").unlink()
    np.save(tmp_path / "t_names.npy", np.array(NAMES, object), allow_pickle=True)
    with pytest.raises(TableError, match=r"^t_names\.npy cannot be read: .* without Python objects$"):
        open_rows(tmp_path / "t.npy")


# -- one HDF5 file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", ["features", "feats", "embeddings", "group/whatever"])
@pytest.mark.parametrize("names", ["names", "filenames", "ids", "group/whose"])
def test_hdf5_of_a_matrix_and_names(tmp_path, matrix, names):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file[matrix] = X
        file[names] = NAMES
        file["made_in"] = 2026
    assert Table(str(tmp_path / "t.h5")).rows([NAMES[5], NAMES[0]]).tolist() == X[[5, 0]].tolist()
    digest = hashlib.sha256((tmp_path / "t.h5").read_bytes()).hexdigest()
    assert Table(str(tmp_path / "t.h5")).name == f"t.{digest[:8]}"


def test_names_and_labels_of_hdf5_are_those_of_the_groups_own(tmp_path):
    """``uni`` holds the same images in another order, in no dataset whose name is known."""
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["conch/features"], file["conch/ids"], file["labels"] = X, NAMES, [*"abababab"]
        file["uni/rows"], file["uni/names"], file["uni/labels"] = X[::-1], NAMES[::-1], [*"babababa"]
    np.testing.assert_array_equal(Table(str(tmp_path / "t.h5")).rows(NAMES), X)
    found = names_of(tmp_path / "t.h5")
    assert found["name"].tolist() == NAMES and found["label"].tolist() == [*"abababab"]


@pytest.mark.parametrize(
    ("matrix", "group"),
    [("features", "meta"), ("X", "obs"), ("model/features", "model/meta"), ("data/features", "meta")],
)
def test_names_and_labels_of_the_only_matrix_may_have_a_group_of_their_own(tmp_path, matrix, group):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file[matrix], file[f"{group}/names"], file[f"{group}/labels"] = X, NAMES, [0, 1] * 4
        file["var/names"] = [*"xyz"]
    found = names_of(tmp_path / "t.h5")
    assert found["name"].tolist() == NAMES and found["label"].tolist() == [*"01010101"]


@pytest.mark.parametrize("coords", [np.arange(16).reshape(8, 2), np.arange(16).reshape(1, 8, 2)])
def test_hdf5_of_one_slide_in_a_batch(tmp_path, coords):
    (tmp_path / "slides").mkdir()
    with h5py.File(tmp_path / "slides" / "s.h5", "w") as file:
        file["features"], file["coords"] = X[None], coords
    assert open_rows(tmp_path / "slides" / "s.h5").names[:2] == ["s_0_1", "s_2_3"]
    np.testing.assert_array_equal(Table(str(tmp_path / "slides" / "s.h5")).rows(["s_14_15", "s_0_1"]), X[[7, 0]])
    np.testing.assert_allclose(Table(str(tmp_path / "slides")).rows(["s.svs"])[0], X.mean(axis=0), rtol=1e-6)


def test_hdf5_of_fixed_length_names_and_compressed_chunks(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file.create_dataset("features", data=X.astype(np.float64), chunks=(5, 2), compression="gzip", shuffle=True)
        file["names"] = np.array(NAMES, "S")
    order = np.random.default_rng(1).permutation(8)
    np.testing.assert_array_equal(Table(str(tmp_path / "t.hdf5")).rows([NAMES[k] for k in order]), X[order])


def test_rows_far_apart_and_in_any_order(tmp_path):
    """Runs are read where rows lie densely, single rows where they do not."""
    matrix = np.arange(6000.0, dtype=np.float32).reshape(3000, 2)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"], file["names"] = matrix, [str(k) for k in range(3000)]
    for seed, count in ((0, 5), (1, 700), (2, 3000)):
        rows = np.random.default_rng(seed).permutation(3000)[:count]
        np.testing.assert_array_equal(Table(str(tmp_path / "t.h5")).rows([str(k) for k in rows]), matrix[rows])


@pytest.mark.parametrize(("write", "dtype"), [(trident, np.float32), (clam, np.float32), (stamp, np.float16)])
def test_rows_of_a_slide_go_by_their_place(tmp_path, write, dtype):
    coords = [(256 * k, 100_000 + k) for k in range(8)]
    write(tmp_path / "P0_PAS_1of1.h5", X, coords)
    names = [f"P0_PAS_1of1_{x}_{y}.png" for x, y in coords]
    rows = Table(str(tmp_path / "P0_PAS_1of1.h5")).rows(names[::-1])
    np.testing.assert_array_equal(rows, X.astype(dtype).astype(np.float32)[::-1])


def test_places_in_micrometres_keep_their_fraction(tmp_path):
    stamp(tmp_path / "s.h5", X[:2], [(1024.0, 0.5), (123456.75, 3.0)])
    assert names_of(tmp_path / "s.h5")["name"].tolist() == ["s_1024_0.5", "s_123456.75_3"]


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"coords": np.zeros((4, 2), np.int64)}, r"holds coords \(4, 2\) int64: rows are .* and here is no matrix of "),
        ({}, r"^t\.h5 holds no dataset: rows are a dataset features or feats or .* of shape \(n, d\)"),
        ({"a": X, "b": X}, r"holds a \(8, 3\) float32, b \(8, 3\) float32: .* is several \(a, b\): write each to a "),
        ({"feats": X, "features": X}, r"and here is several \(feats, features\): write each to a file of its own$"),
        ({"test/features": X, "train/features": X}, r"here is several \(test/features, train/features\): write "),
        ({"a/features": X, "b/whatever": X, "b/names": NAMES}, r"holds a/features .* does not say what its rows are"),
        (
            {"features": X, "b/whatever": X, "b/names": NAMES},
            r"^t\.h5 holds features .* does not say what its rows are",
        ),
        ({"features": X, "a/names": NAMES, "b/ids": NAMES[::-1]}, r"does not say what its rows are"),
        ({"features": np.stack([X, X])}, r"holds features \(2, 8, 3\) float32: .* no matrix of numbers$"),
        (
            {"features": X},
            r"^t\.h5 holds features \(8, 3\) and does not say what its rows are: add a dataset names of ",
        ),
        ({"features": X, "names": ["a"] * 8}, r"^t\.h5: 1 name has several rows: a$"),
        ({"features": X, "names": NAMES[:7]}, r"does not say what its rows are"),
        ({"features": X, "coords": np.ones((8, 2))}, r"^t\.h5: 1 name has several rows: t_1_1$"),
    ],
)
def test_hdf5_that_cannot_be_understood_says_what_it_holds(tmp_path, datasets, message):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for key, value in datasets.items():
            file[key] = value
    with pytest.raises(TableError, match=message):
        open_rows(tmp_path / "t.h5")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + bytes(100), b"name,x\na,1\n"])
def test_damaged_hdf5_is_named(tmp_path, content):
    (tmp_path / "t.h5").write_bytes(content)
    with pytest.raises(TableError, match=r"^t\.h5 cannot be read: ."):
        open_rows(tmp_path / "t.h5")


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folder_of_hdf5_with_a_row_an_image(tmp_path):
    (tmp_path / "uni").mkdir()
    for stem, row in zip(STEMS, X, strict=True):
        trident(tmp_path / "uni" / f"{stem}.h5", row[None], [(0, 0)])
    table = Table(str(tmp_path / "uni"))
    np.testing.assert_array_equal(table.rows(NAMES[::-1]), X[::-1])
    assert table.name == f"uni.{table.sha256[:8]}"


def test_slide_encoders_write_one_vector(tmp_path):
    (tmp_path / "titan").mkdir()
    for stem, row in zip(STEMS, X, strict=True):
        with h5py.File(tmp_path / "titan" / f"{stem}.h5", "w") as file:
            file["features"], file["coords"] = row, np.zeros((5, 2))
    np.testing.assert_array_equal(Table(str(tmp_path / "titan")).rows(NAMES), X)


@pytest.mark.parametrize("write", [trident, stamp])
def test_several_rows_of_an_image_are_averaged_and_the_name_says_so(tmp_path, write):
    (tmp_path / "tiles").mkdir()
    tiles = np.random.default_rng(0).normal(size=(8, 5, 3)).astype(np.float32)
    for stem, rows in zip(STEMS, tiles, strict=True):
        write(tmp_path / "tiles" / f"{stem}.h5", rows, [(256 * k, 0) for k in range(5)])
    table = Table(str(tmp_path / "tiles"), images=tuple(NAMES))
    seen = tiles if write is trident else tiles.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(table.rows(NAMES), seen.mean(axis=1), rtol=1e-6, atol=1e-7)
    assert table.name == f"tiles.mean.{table.sha256[:8]}" and table.key["kind"] == "mean"


def test_images_that_are_tiles_of_slides_in_a_folder(tmp_path):
    (tmp_path / "slides").mkdir()
    for slide in range(2):
        trident(tmp_path / "slides" / f"S{slide}.h5", X[4 * slide :][:4], [(k, slide) for k in range(4)])
    images = [f"S{slide}_{k}_{slide}.png" for slide in (1, 0) for k in (3, 0)]
    table = make_feature(f"file:{tmp_path / 'slides'}", images=images)
    np.testing.assert_array_equal(table.rows(images), X[[7, 4, 3, 0]])
    assert table.name == f"slides.rows.{table.sha256[:8]}"
    assert make_feature(f"file:{tmp_path / 'slides'}", images=["S0.svs", "S1.svs"]).name.startswith("slides.mean.")


@pytest.mark.parametrize("as_eva", [False, True])
def test_folder_of_pt_files(tmp_path, as_eva):
    """kidney-hfm-eval saves a tensor (d,) under the image's folder; eva a list of tensors, and a manifest."""
    for k, (stem, row) in enumerate(zip(STEMS, X, strict=True)):
        path = tmp_path / "emb" / ("sick" if k % 2 else "well") / f"{stem}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        tensor = torch.from_numpy(row.copy())
        torch.save([tensor] if as_eva else tensor, path)
    if as_eva:
        rows = [
            {"origin": f"data/{name}", "embeddings": f"{'sick' if k % 2 else 'well'}/{stem}.pt", "target": k % 2}
            for k, (name, stem) in enumerate(zip(NAMES, STEMS, strict=True))
        ]
        pd.DataFrame(rows).assign(split="train").to_csv(tmp_path / "emb" / "manifest.csv", index=False)
    wanted = [f"data/{name}" for name in NAMES] if as_eva else NAMES
    np.testing.assert_array_equal(Table(str(tmp_path / "emb")).rows(wanted[::-1]), X[::-1])


def test_linked_folders_of_pt_files_are_read(tmp_path):
    for k, (stem, row) in enumerate(zip(STEMS, X, strict=True)):
        path = tmp_path / ("emb/own" if k % 2 else "elsewhere") / f"{stem}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.from_numpy(row.copy()), path)
    (tmp_path / "emb" / "linked").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(Table(str(tmp_path / "emb")).rows(NAMES), X)


@pytest.mark.parametrize("runs", [["run1"], ["run1", "run2"]])
def test_a_link_to_a_folder_of_rows_beside_it_gives_no_row_twice(tmp_path, runs):
    for run in runs:
        for stem, row in zip(STEMS, X, strict=True):
            (tmp_path / "emb" / run).mkdir(parents=True, exist_ok=True)
            torch.save(torch.from_numpy(row.copy()), tmp_path / "emb" / run / f"{stem}.pt")
    for link in ("latest", "z"):
        (tmp_path / "emb" / link).symlink_to(runs[-1])
    names = STEMS if len(runs) == 1 else [f"{run}/{stem}" for run in runs for stem in STEMS]
    assert sorted(names_of(tmp_path / "emb")["name"]) == sorted(names)


def test_files_of_another_width_are_listed(tmp_path):
    for k, width in enumerate([3, 3, 4, 3, 0]):
        torch.save(torch.ones(width), tmp_path / f"{k}.pt")
    said = r": 2 of 5 files are not of width 3: 2\.pt \(1, 4\), 4\.pt \(1, 0\)$"
    with pytest.raises(FeatureError, match=said):
        _ = Table(str(tmp_path)).name


def test_rows_without_numbers(tmp_path):
    torch.save(torch.ones(2, 0), tmp_path / "a.pt")
    with pytest.raises(FeatureError, match=r": its rows hold no numbers$"):
        Table(str(tmp_path)).rows(["a"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_a_row_without_a_name_is_refused(tmp_path, suffix):
    path, frame = tmp_path / f"t{suffix}", pd.DataFrame({"name": ["a", None, "c"], "area": [1.0, 2.0, 3.0]})
    if suffix == ".npy":
        np.save(path, frame[["area"]].to_numpy())
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path.with_suffix(".csv"), index=False)
    with pytest.raises(FeatureError, match=r": 1 row has no name \(row 2\): write a name, or delete such rows$"):
        Table(str(path)).rows(["a"])


def test_parquet_with_lists_or_an_index_of_numbers(tmp_path):
    frame = pd.DataFrame(
        {"name": ["a", "b"], "area": [1.5, 2.5], "both": [[1.0, 2.0], [3.0, 4.0]], "depth": [7.0, 8.0]}
    )
    frame.set_index("depth").to_parquet(tmp_path / "t.parquet")
    opened = Table(str(tmp_path / "t.parquet")).open()
    assert opened.columns == ["area", "depth"] and opened.read(np.arange(2)).tolist() == [[1.5, 7], [2.5, 8]]
    assert opened.left == {"both": "lists: save each number as a column"}


def test_parquet_without_names_says_which_columns_it_has(tmp_path):
    pd.DataFrame({"who": ["a"], "label": ["x"], "area": [1.0]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ManifestError, match=r"t\.parquet has the columns who, label, area: one of path, name, "):
        read_manifest(tmp_path / "t.parquet")
    with pytest.raises(FeatureError, match=r"t\.parquet: needs a column that names its rows \(path, .*--name-column$"):
        Table(str(tmp_path / "t.parquet")).rows(["a"])


def test_a_folder_of_images_is_no_feature_table(tmp_path):
    for name in ("a.pt", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ManifestError, match=r"is no feature table: it needs HDF5 or \.pt files and no image$"):
        read_manifest(f"file:{tmp_path}")


def test_folders_that_do_not_serve(tmp_path):
    with pytest.raises(FeatureError, match=r"^there is no .*gone: give a feature table or a folder of \.h5 or \.pt f"):
        _ = Table(str(tmp_path / "gone")).name
    with pytest.raises(
        FeatureError, match=r"holds no \.h5, \.hdf5, \.pt file: embeddings are one file for each image$"
    ):
        _ = Table(str(tmp_path)).name
    for name in ("h5_files/a.h5", "pt_files/a.pt"):  # as CLAM leaves them
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FeatureError, match=r"holds HDF5 and \.pt files \(in h5_files, pt_files\): name the folder of "):
        _ = Table(str(tmp_path)).name


def test_eva_manifest_that_does_not_fit(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "a.pt")
    rows = pd.DataFrame({"origin": ["a.png", "b.png"], "embeddings": ["a.pt", "../b.pt"], "target": [0, 1]})
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(FeatureError, match=r"manifest\.csv names 1 file that is not there: \.\./b$"):
        Table(str(tmp_path)).rows(["a.png"])
    torch.save([torch.ones(2)], tmp_path / "c.pt")
    rows[:1].to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(FeatureError, match=r"manifest\.csv does not name 1 of the files: c$"):
        Table(str(tmp_path)).rows(["a.png"])
    rows = pd.DataFrame({"origin": [*"xyz"], "embeddings": ["a.pt", "c.pt", "a"], "target": [0, 1, 1]})
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(TableError, match=r"manifest\.csv: 1 name has several rows: a\b"):
        names_of(tmp_path)


def test_the_digest_of_a_folder_covers_names_and_content(tmp_path):
    def digest(change):
        change()
        return Table(str(tmp_path)).sha256

    def save(name, value):
        return lambda: torch.save(torch.full((2,), value), tmp_path / name)

    seen = [digest(save("a.pt", 1.0)), digest(save("b.pt", 2.0)), digest(save("b.pt", 3.0))]
    seen.append(digest(lambda: (tmp_path / "b.pt").rename(tmp_path / "c.pt")))
    seen.append(digest(lambda: (tmp_path / "manifest.csv").write_text("origin,embeddings\nx,a.pt\ny,c.pt\n")))
    assert len(set(seen)) == 5
    assert digest(lambda: (tmp_path / "notes.txt").write_text("x")) == seen[-1]
    assert digest(lambda: (tmp_path / "._a.pt").write_text("x")) == seen[-1]  # left by macOS


# -- joining ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [["d/a.png", "d/b.png"], ["d/a", "d/b"], ["a.png", "b.png"], ["a", "b"]])
def test_names_are_found_with_or_without_folder_and_suffix(known):
    assert find_rows(["d/b.png", "d/a.png"], known)[0].tolist() == [1, 0]


def test_mean_is_of_all_blocks():
    rows = np.random.default_rng(0).normal(size=(2500, 4)).astype(np.float32)
    np.testing.assert_allclose(mean_rows(rows), rows.astype(np.float64).mean(axis=0), rtol=1e-6)
    assert mean_rows(rows[:1]).tobytes() == rows[:1].tobytes()


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "f4"), (np.inf, "f2"), (1e300, "f8")])
def test_rows_that_are_not_finite_as_float32(tmp_path, value, dtype):
    matrix = X.astype(dtype)
    matrix[2, 1] = value
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"], file["names"] = matrix, NAMES
    what = "NaN" if np.isnan(value) else "infinity, or numbers beyond 3.4e38,"
    with pytest.raises(
        FeatureError, match=rf"t\.h5: {what} in x1, first in the row of P1_PAS_1of1_2\.png: fill .* --drop$"
    ):
        Table(str(tmp_path / "t.h5")).rows(NAMES)
    assert Table(str(tmp_path / "t.h5")).rows(NAMES[3:]).shape == (5, 3)


def test_an_empty_npy_is_named(tmp_path):
    (tmp_path / "t.npy").touch()
    (tmp_path / "t.txt").write_text("P0_1.png\n")
    with pytest.raises(TableError, match=r"t\.npy cannot be read: .* is not an array that numpy\.save wrote"):
        open_rows(tmp_path / "t.npy")
