"""A column of the user's is what options name, whatever columns of the same header glomfeat has of its own."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.images import put

from glomfeat.bundle.in_cases import told_of
from glomfeat.checks.data.sites import find_sites
from glomfeat.data.manifest import inspect_manifest, read_manifest
from glomfeat.data.problems import ManifestError
from glomfeat.data.subgroups import make_groups
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.own import OURS, set_apart
from glomfeat.data.tables.read import TableError

IMAGES = 24
LABELS = [["GS", "nonGS"][k // 2 % 2] for k in range(IMAGES)]
VALUES = [f"v{k % 6 // 3 * 2 + k % 2}" for k in range(IMAGES)]  # four, and each of both classes


def table(header, **more):
    """A table whose images have a class and, in the column of the header, one of four values."""
    return pd.DataFrame({"image": [f"s{k:02d}.png" for k in range(IMAGES)], "label": LABELS, header: VALUES, **more})


def images(folder, header):
    put(folder, [f"a/b/{name}" if k % 2 else f"a/c/{name}" for k, name in enumerate(table(header)["image"])])
    table(header).to_csv(folder / "labels.csv", index=False)
    return folder, {}


def paths(folder, header):
    put(folder, table(header)["image"])
    table(header).rename(columns={"image": "image path"}).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv", {}


def features(folder, header):
    table(header, area=np.arange(IMAGES) / 7).to_csv(folder / "t.csv", index=False)
    return f"file:{folder / 't.csv'}", {}


def features_and_labels(folder, header):
    table(header)[["image", "label", header]].to_csv(folder / "labels.csv", index=False)
    table(header, area=np.arange(IMAGES) / 7)[["image", "area"]].to_csv(folder / "t.csv", index=False)
    return f"file:{folder / 't.csv'}", {"labels": folder / "labels.csv"}


def labels_and_features(folder, header):
    table(header)[["image", "label"]].to_csv(folder / "labels.csv", index=False)
    table(header, area=np.arange(IMAGES) / 7)[["image", "area", header]].to_csv(folder / "t.csv", index=False)
    return f"file:{folder / 't.csv'}", {"labels": folder / "labels.csv"}


def read(given, header, **options):
    """The manifest, with the images in the order of their table."""
    data, more = given
    asked = Asked(
        name="image path" if str(data).endswith("t.csv") and not more and "file:" not in str(data) else "image"
    )
    asked = Asked(name=asked.name, groups=options.get("groups", ""), uses=((header, "an option"),))
    return read_manifest(data, **more, **options, asked=asked)


@pytest.mark.parametrize("write", [str, str.upper])
@pytest.mark.parametrize("bring", [images, paths, features, features_and_labels, labels_and_features])
@pytest.mark.parametrize("header", OURS)
def test_options_take_a_column_of_the_user_that_is_called_like_one_of_ours(bring, header, write, tmp_path):
    given = bring(tmp_path, write(header))
    grouped = read(given, header, groups=header)
    assert grouped.table["case"].tolist() == VALUES and grouped.table["label"].tolist() == [
        int(c == "GS") for c in LABELS
    ]
    options = {"groups": "none", "subgroups": (header,), "scheme": f"leave-out:{header}"}
    found = read(given, header, **options)
    groups = make_groups(found.table, header)
    assert groups.names == ("v0", "v1", "v2", "v3") and [groups.names[code] for code in groups.codes] == VALUES
    assert found.table["given"].tolist() == VALUES
    if header not in ("name", "path"):  # which no model may read
        joined = read(given, header, groups="none", joined=(header,)).table
        assert joined[f"of user: {write(header)}"].tolist() == VALUES


def test_the_class_is_no_column_unless_the_table_has_one_of_that_header(tmp_path):
    data, _ = features(tmp_path, "batch")
    with pytest.raises(ManifestError, match="--groups 'raw' is neither a column"):
        read_manifest(data, groups="raw")
    with pytest.raises(TableError, match="--subgroups 'raw' is no column of"):
        read_manifest(data, groups="none", subgroups=("raw",))


def test_a_column_of_classes_may_be_called_like_one_of_ours(tmp_path):
    for header in ("raw", "folder", "in"):
        frame = table("batch").rename(columns={"label": header})
        frame.assign(area=np.arange(IMAGES) / 7).to_csv(tmp_path / "t.csv", index=False)
        found = read_manifest(f"file:{tmp_path / 't.csv'}", asked=Asked(label=header), groups="batch")
        assert (
            found.table["label"].tolist() == [int(c == "GS") for c in LABELS] and found.table["case"].tolist() == VALUES
        )


def test_unused_columns_sites_and_evaluations_know_them_by_their_headers(tmp_path):
    data, _ = images(tmp_path, "folder")
    found = inspect_manifest(data, groups="none")
    assert "columns that are not used: folder" in found.manifest.said
    assert find_sites(found.frame, ("folder",), data) == ["folder"] and found.frame["folder"].tolist() == VALUES
    facts = set_apart(table("name"), ["name"]).assign(name=table("name")["image"])
    told = told_of(facts["name"], (facts,), "name")
    assert told["of user: name"].tolist() == VALUES and told["name"].tolist() == table("name")["image"].tolist()


def test_rows_of_an_image_that_differ_in_such_a_column_are_refused(tmp_path):
    frame = table("raw", area=np.arange(IMAGES) / 7)
    features(tmp_path, "raw")
    pd.concat([frame, frame[:1].assign(raw="v9")])[["image", "label", "raw"]].to_csv(tmp_path / "l.csv", index=False)
    given = f"file:{tmp_path / 't.csv'}", {"labels": tmp_path / "l.csv"}
    with pytest.raises(ManifestError, match="differ in column 'raw': keep one row of each"):
        read(given, "raw", groups="none", subgroups=("raw",))


def test_the_column_of_cases_of_the_manifest_does_not_stand_for_one_of_the_user(tmp_path):
    frame = table("Case", area=np.arange(IMAGES) / 7, patient=[f"P{k // 4}" for k in range(IMAGES)])
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = read_manifest(f"file:{tmp_path / 't.csv'}", groups="patient", subgroups=("case",))
    assert make_groups(found.table, "case").names == ("v0", "v1", "v2", "v3")


def test_a_column_that_names_images_is_not_proposed_for_cases_and_taken_with_a_warning(tmp_path):
    data, _ = features(tmp_path, "name")
    with pytest.raises(ManifestError, match="columns that may hold it: name") as error:
        read_manifest(data, asked=Asked(name="image"))
    assert "takes each of its" not in str(error.value)

    def warned(groups):
        return [
            line for line in read_manifest(data, groups=groups, asked=Asked(name="image")).said if "its own" in line
        ]

    own = "makes each image a case of its own: check that no two are of one patient"
    assert warned("image") == [f"warning: column 'image' {own}"] and warned("name") == []


def test_a_number_of_each_row_is_not_proposed_for_cases_and_taken_with_a_warning(tmp_path):
    rows, values = np.arange(24), np.random.default_rng(0).normal(size=(24, 2))
    table = pd.DataFrame(
        {"id": [f"img{k}" for k in rows], "rid": 900 + 7 * rows, "hosp_no": rows // 4, "label": rows % 2}
    )
    table[["f0", "f1"]] = values
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ManifestError, match=re.escape("columns that may hold it: hosp_no (6 values)")) as error:
        read_manifest(tmp_path / "t.csv")
    assert "rid" not in str(error.value)
    own = "warning: column 'rid' makes each image a case of its own: check that no two are of one patient"
    assert own in read_manifest(tmp_path / "t.csv", groups="rid").said
    table.drop(columns="hosp_no").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ManifestError, match="--groups 'rid' gives 24 cases"):
        read_manifest(tmp_path / "t.csv")
