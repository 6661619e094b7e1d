"""Tables of features as the data of a study."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.schemes import CrossValidation
from glomfeat.features.make import make_feature
from glomfeat.features.telling import lines_on_tables

TABLE = pd.DataFrame(
    {
        "name": [f"P{k // 2}_PAS_1of1_{k}.png" for k in range(8)],
        "label": [0, 1] * 4,
        "area": np.arange(8) / 2,
        "mean": np.arange(8.0),
    }
)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
@pytest.mark.parametrize("prefix", ["", "file:"])
def test_feature_tables(tmp_path, kind, prefix):
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        TABLE.to_csv(path, index=False)
    elif kind == "parquet":
        TABLE.to_parquet(path)
    else:
        np.save(path, TABLE[["area", "mean"]].to_numpy())
        TABLE[["name", "label"]].to_csv(tmp_path / "t.csv", index=False)
    manifest = read_manifest(f"{prefix}{path}", scheme=CrossValidation(4))
    assert manifest.classes == ("0", "1") and manifest.labels.tolist() == [0, 1] * 4
    assert manifest.table["case"].tolist() == [f"P{k // 2}" for k in range(8)]
    assert manifest.source == str(path) and (manifest.table["path"] == "").all()
    assert manifest.table["digest"].tolist() == [hashlib.sha256(n.encode()).hexdigest() for n in TABLE["name"]]


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
def test_paths_of_windows_give_the_cases_of_their_files(tmp_path, kind):
    names = [rf"D:\study\{('GS', 'nonGS')[k % 2]}\{name}" for k, name in enumerate(TABLE["name"])]
    table, path = TABLE.assign(name=names), tmp_path / f"t.{kind}"
    if kind == "npy":
        np.save(path, table[["area", "mean"]].to_numpy())
        (tmp_path / "t.txt").write_text("\n".join(names))
        table[["name", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    else:
        getattr(table, f"to_{kind}")(path, index=False)
    labels = tmp_path / "labels.csv" if kind == "npy" else None
    for groups in ("auto", "^(?P<case>[^_]+)_"):
        found = read_manifest(path, labels, groups=groups).table
        assert dict(zip(found["name"], found["case"], strict=True)) == {
            name: f"P{k // 2}" for k, name in enumerate(names)
        }


def test_feature_table_with_a_name_twice(tmp_path):
    pd.concat([TABLE, TABLE[:2]]).to_csv(tmp_path / "t.csv", index=False)
    expected = "2 names with several rows in the feature table: P0_PAS_1of1_0.png, P0_PAS_1of1_1.png"
    assert complaint(tmp_path / "t.csv") == [expected]


def test_file_prefix_on_a_list_of_images(tmp_path):
    (put(tmp_path, ["a.png"]) / "l.csv").write_text("name,label\na.png,1\n")
    with pytest.raises(
        ManifestError, match=r"l\.csv is no feature table: it needs numeric columns beside name and label$"
    ):
        read_manifest(f"file:{tmp_path / 'l.csv'}")


@pytest.mark.parametrize(("rows", "said"), [(8, []), (7, ["1 of 8 rows belongs"]), (6, ["2 of 8 rows belong"])])
def test_rows_of_no_image_are_counted(tmp_path, rows, said):
    names = TABLE["name"][:rows]
    put(tmp_path / "images", [f"{['GS', 'no'][k % 2]}/{name}" for k, name in enumerate(names)])
    TABLE.drop(columns="label").to_csv(tmp_path / "t.csv", index=False)
    feature = make_feature(f"file:{tmp_path / 't.csv'}")
    lines = [line for line in lines_on_tables([feature], read_manifest(tmp_path / "images")) if "no image" in line]
    left = "is left out" if rows == 7 else "are left out"
    assert lines == [f"{feature.name}: {text} to no image and {left}" for text in said]
