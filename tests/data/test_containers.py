"""Images in arrays and in parquet are read as files are, with what lies beside them."""

import io
import json

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.running import SMALL
from PIL import Image
from pyarrow import parquet

from glomfeat.data.archives import ArchiveError
from glomfeat.data.containers import is_container, read_container
from glomfeat.data.files import index_of, read_bytes, sha256_of, stamp_of
from glomfeat.data.images.decode import decode, encode_png
from glomfeat.data.locate import is_feature_table
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.sources import find_archives
from studies import compare

pytestmark = pytest.mark.usefixtures("dealt_once")

RNG = np.random.default_rng(0)


def pixels(n, *shape):
    return RNG.integers(0, 255, (n, *shape), np.uint8)


def camelyon(folder, meta=True):
    """As PatchCamelyon comes: for each part images, labels and a table."""
    held = {}
    for part, n in (("train", 12), ("valid", 6), ("test", 6)):
        held[part] = pixels(n, 9, 9, 3)
        base = f"camelyonpatch_level_2_split_{part}"
        with h5py.File(folder / f"{base}_x.h5", "w") as file:
            file["x"] = held[part]
        with h5py.File(folder / f"{base}_y.h5", "w") as file:
            file["y"] = (np.arange(n) % 2).astype(np.uint8).reshape(n, 1, 1, 1)
        if meta:
            wsi = [f"{part}_{k // 2:03d}" for k in range(n)]
            pd.DataFrame({"coord_x": range(n), "tumor_patch": np.arange(n) % 2 == 1, "wsi": wsi}).to_csv(
                folder / f"{base}_meta.csv"
            )
    return held


def test_patch_camelyon(tmp_path, capsys, without_figures):
    held = camelyon(tmp_path)
    manifest = read_manifest(tmp_path)
    assert len(manifest) == 24 and manifest.classes == ("0", "1") and manifest.table["case"].nunique() == 12
    assert manifest.table["split"].value_counts().to_dict() == {"train": 12, "val": 6, "test": 6}
    assert manifest.said[1] == "cases: column case"
    said = next(line for line in manifest.said if line.startswith("column 'split' holds a split ("))
    assert all(part in said for part in ("12 train", "6 val", "6 test")) and "is not used" in said
    row = manifest.table.set_index("name").loc["camelyonpatch_level_2_split_valid_x_000003"]
    np.testing.assert_array_equal(decode(read_bytes(row["path"])), held["valid"][3])
    assert (row["label"], row["case"], row["slide"]) == (1, "valid_001", "valid_001")
    one = read_manifest(tmp_path / "camelyonpatch_level_2_split_test_x.h5")
    assert len(one) == 6 and one.table["case"].nunique() == 3
    rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert compare.main([str(tmp_path), *SMALL, *rest]) == 0
    assert "24 images of 12 cases: 12 0, 12 1" in capsys.readouterr().out
    assert "data:image/jpeg;base64," in (tmp_path / "out" / "report.html").read_text()


def test_arrays_without_cases_ask_for_them(tmp_path):
    camelyon(tmp_path, meta=False)
    with pytest.raises(ManifestError, match="24 names that hold no case; say where the case is with --groups"):
        read_manifest(tmp_path)
    assert len(read_manifest(tmp_path, groups="none")) == 24


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8)])
def test_medmnist(tmp_path, save, shape):
    held = {f"{part}_images": pixels(n, *shape) for part, n in (("train", 8), ("val", 4), ("test", 4))}
    labels = {name.replace("images", "labels"): np.arange(len(array))[:, None] % 3 for name, array in held.items()}
    save(tmp_path / "pathmnist.npz", **held, **labels)
    manifest = read_manifest(tmp_path / "pathmnist.npz", groups="none")
    assert len(manifest) == 16 and manifest.classes == ("0", "1", "2")
    assert manifest.table["split"].value_counts().to_dict() == {"train": 8, "val": 4, "test": 4}
    for row in manifest.table.itertuples():
        part, _, number = row.name.partition("_")
        found = np.asarray(decode(read_bytes(row.path)))
        expected = held[f"{part}_images"][int(number)]
        np.testing.assert_array_equal(found, expected if expected.ndim == 3 else np.dstack([expected] * 3))
        assert row.digest == sha256_of(row.path) and row.label == int(number) % 3
        assert stamp_of(row.path)[0] == expected.size


def as_hugging_face(path, rows, names=("normal", "sclerotic"), **more):
    """Parquet as `datasets` writes it: image.bytes and image.path, and the names of classes in the schema."""
    image = pa.array([{"bytes": data, "path": name} for name, data, _ in rows],
                     pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # fmt: skip
    table = pa.table({"image": image, "label": pa.array([label for *_, label in rows], pa.int64())} | more)
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}}}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path, row_group_size=3)
    return path


def images(first, n, named=True):
    return [
        (f"patient{first + k}_a.png" if named else None, encode_png(pixels(1, 6, 7, 3)[0]), k % 2) for k in range(n)
    ]


def test_parquet_with_bytes(tmp_path):
    rows = {
        "train-00000-of-00002": images(0, 7),
        "train-00001-of-00002": images(20, 5),
        "test-00000-of-00001": images(40, 4),
    }
    for stem, held in rows.items():
        as_hugging_face(tmp_path / "repo" / "data" / f"{stem}.parquet", held)
    (tmp_path / "repo" / "README.md").write_text("card")
    manifest = read_manifest(tmp_path / "repo")
    assert len(manifest) == 16 and manifest.classes == ("normal", "sclerotic")
    assert manifest.table["case"].nunique() == 16 and set(manifest.table["split"]) == {"train", "test"}
    known = {name: (data, label) for held in rows.values() for name, data, label in held}
    for row in manifest.table.itertuples():
        assert (read_bytes(row.path), row.label) == known[row.name]
    one = tmp_path / "repo" / "data" / "train-00000-of-00002.parquet"
    assert len(read_manifest(one)) == 7
    assert len(read_manifest(str(one).replace("00000-of", "*-of"))) == 12
    case = pa.array([f"P{k // 2}" for k in range(8)])
    plain = as_hugging_face(tmp_path / "plain.parquet", images(0, 8, named=False), patient_id=case)
    found = read_manifest(plain)
    assert found.table["name"][0] == "plain_000000" and found.table["case"].nunique() == 4


def test_labels_may_lie_elsewhere(tmp_path):
    path = as_hugging_face(tmp_path / "a.parquet", images(0, 6))
    pd.DataFrame({"name": [f"patient{k}_a.png" for k in range(6)], "label": list("xyzxyz")}).to_csv(tmp_path / "l.csv")
    assert read_manifest(path, labels=tmp_path / "l.csv").classes == ("x", "y", "z")


def test_an_image_that_is_missing_in_parquet_is_set_aside(tmp_path):
    rows = [*images(0, 4), ("patient9_a.png", None, 1)]
    container = index_of(as_hugging_face(tmp_path / "a.parquet", rows))
    assert container.read(container.find("patient9_a.png")) == b"" and container.find("x") is None


def test_what_is_no_container(tmp_path):
    """Features in the same formats stay features."""
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file["features"], file["names"] = np.eye(3), list("abc")
    pd.DataFrame({"name": list("ab"), "label": [0, 1], "f0": [1.0, 2.0]}).to_parquet(tmp_path / "rows.parquet")
    np.savez(tmp_path / "other.npz", a=np.eye(3))
    (tmp_path / "broken.h5").write_bytes(b"...")
    for name in ("features.h5", "rows.parquet", "other.npz", "broken.h5", "gone.h5"):
        assert not is_container(tmp_path / name) and find_archives(tmp_path / name) == []
    assert is_feature_table(tmp_path / "features.h5") and find_archives(tmp_path) == []


def test_containers_beside_images_are_told_if_they_hold_other_images(tmp_path):
    rows = images(0, 6)
    for name, data, label in rows:
        path = tmp_path / ("sick" if label else "well") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    as_hugging_face(tmp_path / "same.parquet", rows)
    table = pd.DataFrame({"name": [name for name, *_ in rows], "f0": np.arange(6.0)})
    table.to_parquet(tmp_path / "features.parquet")
    for folder in ("", "features"):
        (tmp_path / folder).mkdir(exist_ok=True)
        with h5py.File(tmp_path / folder / "resnet.h5", "w") as file:
            file["features"], file["names"] = np.eye(6), [name for name, *_ in rows]
    assert not read_manifest(tmp_path).unread
    camelyon(tmp_path)
    as_hugging_face(tmp_path / "sick" / "more.parquet", images(20, 4))
    manifest = read_manifest(tmp_path)
    assert len(manifest) == 6 and manifest.classes == ("sick", "well")
    apart = "move it out of DATA, and give it as DATA by itself, or save its images as PNG"
    assert f"not read: 3 .h5, 1 .parquet of sick; a file with many images: {apart}" in manifest.said
    base = "camelyonpatch_level_2_split"
    assert {row["name"]: row["reason"] for row in manifest.unread} == {
        name: f".{name.rpartition('.')[2]} with images beside others is not read: {apart}"
        for name in (*(f"{base}_{part}_x.h5" for part in ("train", "valid", "test")), "sick/more.parquet")
    }


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"x": (4, 5, 5, 3), "y": (3, 1)},
            r"a\.npz: y holds 3 labels and there are 4 images: give the labels of these images",
        ),
        (
            {"x": (4, 5, 5, 3), "y": (4, 14)},
            r"a\.npz: y holds 14 labels for each image: one is needed; give a CSV of names",
        ),
    ],
)
def test_labels_that_do_not_fit(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **{name: pixels(*shape) for name, shape in arrays.items()})
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path / "a.npz")


def test_images_without_labels_and_a_table_that_does_not_fit(tmp_path):
    with h5py.File(tmp_path / "a_x.h5", "w") as file:
        file["x"] = pixels(4, 5, 5, 3)
    with pytest.raises(ManifestError, match="has neither class folders nor a table of labels: give --labels FILE"):
        read_manifest(tmp_path / "a_x.h5")
    (tmp_path / "a_meta.csv").write_text("wsi\nA\n")
    with pytest.raises(ArchiveError, match=r"a_meta\.csv has 1 row, but the number of images is 4: give the table"):
        read_container(tmp_path / "a_x.h5")
    whole = (tmp_path / "a_x.h5").read_bytes()
    (tmp_path / "b.npz").write_bytes(whole[:50])
    with pytest.raises(ArchiveError, match=r"b\.npz is damaged or cut off: copy or pack it again$"):
        read_container(tmp_path / "b.npz")


def test_rows_are_the_same_bytes_everywhere(tmp_path):
    """Digests stand in keys of what is stored, and must not follow a compressor's version."""
    np.savez(tmp_path / "a.npz", x=np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3), y=[0, 1])
    data = read_bytes(tmp_path / "a.npz" / "a_000001")
    assert data[:2] == b"BM" and Image.open(io.BytesIO(data)).size == (2, 2)
    assert (
        sha256_of(tmp_path / "a.npz" / "a_000001") == "a86f175366871c808b6c890530e261036346c96aeffcf46400c0e5b45b8cac10"
    )
