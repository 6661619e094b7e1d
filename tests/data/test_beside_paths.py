"""Tables that name images by their path, and images that they do not name."""

import csv
import zipfile

import pytest
from helpers.images import complaint, put

from glomfeat.data.manifest import ManifestError, read_manifest

NAMES = [f"case{k // 2}_{k}.png" for k in range(8)]


def table(path, names, header="path"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[header, "label"], *([name, ["GS", "no"][k % 2]] for k, name in enumerate(names))])
    return path


def said(path):
    return [line for line in read_manifest(path).said if "beside those that" in line]


def test_images_that_a_table_of_paths_does_not_name_are_counted(tmp_path):
    others = ["a/x.png", "a/.hidden.png", "a/below/y.png", "b/z.png", "case9_w.png"]
    put(tmp_path, [*(f"a/{name}" for name in NAMES), *others])
    (tmp_path / "a" / "notes.txt").write_text("no image")
    one = "1 image beside those that t.csv names is not in it, and is left out"
    assert said(table(tmp_path / "t.csv", [f"a/{name}" for name in NAMES])) == [one]
    two = "2 images beside those that t.csv names are not in it, and are left out"
    assert said(table(tmp_path / "t.csv", [*(f"a/{name}" for name in NAMES), "b/../case9_w.png"])) == [one]
    put(tmp_path, ["v.png"])
    assert said(table(tmp_path / "t.csv", [*(f"a/{name}" for name in NAMES), "./case9_w.png"])) == [two]


def test_images_that_are_all_named_say_nothing(tmp_path):
    names = [name.replace("_", "_e\u0301") for name in NAMES]
    put(tmp_path, names)
    assert said(table(tmp_path / "t.csv", [str(tmp_path / "elsewhere" / ".." / name) for name in names])) == []
    assert said(table(tmp_path / "elsewhere" / "t.csv", [str(tmp_path / name) for name in names])) == []


def test_members_of_an_archive_that_a_table_does_not_name_are_counted(tmp_path):
    put(tmp_path / "images", [*NAMES, "x.png"])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name in [*NAMES, "x.png"]:
            packed.write(tmp_path / "images" / name, f"in/{name}")
        packed.write(tmp_path / "images" / "x.png", "out/x.png")
    one = "1 image beside those that t.csv names is not in it, and is left out"
    assert said(table(tmp_path / "t.csv", [f"a.zip/in/{name}" for name in NAMES])) == [one]


def test_a_table_under_another_header_says_how_to_use_only_its_images(tmp_path):
    put(tmp_path, [*NAMES, *(f"x{k}.png" for k in range(6))])
    (only,) = complaint(table(tmp_path / "t.csv", NAMES, "image"))
    assert only.startswith("6 files without a label in t.csv: x0.png, x1.png, x2.png, x3.png, x4.png, ... (")
    assert "; to use only some images, give a table of these as DATA, with a column 'path'; all names: " in only
    assert len(read_manifest(table(tmp_path / "t.csv", NAMES, "path"))) == 8


def test_a_table_of_images_elsewhere_says_which_header_reads_them(tmp_path):
    put(tmp_path / "images", NAMES)
    path = table(tmp_path / "tables" / "t.csv", [f"../images/{name}" for name in NAMES], "image")
    with pytest.raises(ManifestError, match=r"; t\.csv names images that lie elsewhere: rename its column 'image' to"):
        read_manifest(path)
    assert len(read_manifest(table(path, [f"../images/{name}" for name in NAMES], "path"))) == 8
    with pytest.raises(ManifestError, match=r"holds no image \([^)]*\); if you mean a table of features"):
        read_manifest(table(path, NAMES, "image"))
