"""A member of an archive is read as a file of a folder is, wherever bytes of images are read."""

import hashlib
import os
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glomfeat.bundle.evaluate import list_files
from glomfeat.checks.data.files import odd_files
from glomfeat.checks.data.sheet import draw_pairs
from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.atomic import written_whole
from glomfeat.core.cache import Store
from glomfeat.data import files
from glomfeat.data.archives import ArchiveError
from glomfeat.data.files import (
    is_archive,
    is_there,
    names_below,
    open_bytes,
    read_bytes,
    roots_of,
    sha256_of,
    split,
    stamp_of,
)
from glomfeat.data.images.decode import ImageError, Preprocess, encode_png
from glomfeat.data.manifest import read_manifest
from glomfeat.features.budget import largest_source
from glomfeat.features.extract import extract
from glomfeat.features.make import make_feature
from glomfeat.report.thumbnails import data_folder, find_images, read_square

pytestmark = pytest.mark.usefixtures("dealt_once")


def pack(folder, path, inside=""):
    """A zip or tar of a folder's files."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    names = {file: f"{inside}{file.relative_to(folder).as_posix()}" for file in found}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, name in names.items():
                archive.write(file, name)
    else:
        with tarfile.open(path, "w") as archive:
            for file, name in names.items():
                archive.add(file, name)
    return path


@pytest.fixture
def folder(tmp_path):
    for k in range(12):
        image = np.random.default_rng(k).integers(0, 256, (9 + k, 20, 3), np.uint8)
        path = tmp_path / "images" / ("sick" if k % 2 else "well") / f"case{k // 2}_{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
    return tmp_path / "images"


@pytest.fixture(params=["a.zip", "A.ZIP", "a.tar"])
def archive(folder, tmp_path, request):
    return pack(folder, tmp_path / request.param.lower(), "images/").rename(tmp_path / request.param)


def test_a_member_is_as_the_file_was(folder, archive):
    [root] = roots_of([archive])
    assert root == archive / "images" and sorted(names_below(root)) == sorted(names_below(folder))
    for name in names_below(folder):
        member, data = root / name, (folder / name).read_bytes()
        assert read_bytes(member) == read_bytes(str(member)) == data and is_there(member)
        assert sha256_of(member) == hashlib.sha256(data).hexdigest()
        assert stamp_of(member) == (len(data), archive.stat().st_mtime_ns)
        with open_bytes(member) as file, Image.open(file) as image:
            assert image.size[0] == 20
    assert split(member) == (archive, f"images/{name}") and split(archive) == (archive, "")
    assert sha256_of(archive) == hashlib.sha256(archive.read_bytes()).hexdigest()
    for gone in (root / "gone.png", archive.with_name("gone.zip") / "a.png"):
        assert not is_there(gone)
        with pytest.raises(FileNotFoundError):
            read_bytes(gone)


def test_a_folder_called_like_an_archive_is_a_folder(folder, tmp_path):
    renamed = folder.rename(tmp_path / "images.zip")
    assert not is_archive(renamed) and split(renamed / "sick" / "case0_1.png")[0] is None
    assert read_bytes(renamed / "sick" / "case0_1.png")[1:4] == b"PNG"
    assert len(read_manifest(renamed)) == 12
    inner = pack(renamed, renamed / "inner.tar")
    assert split(inner / "sick/case0_1.png") == (inner, "sick/case0_1.png")


def test_an_archive_that_changed_is_listed_again_and_one_that_did_not_is_not(folder, tmp_path, monkeypatch):
    archive, calls, read_index = pack(folder, tmp_path / "a.tar"), [], files.read_index
    monkeypatch.setattr(files, "read_index", lambda path: calls.append(path) or read_index(path))
    for name in names_below(archive):
        read_bytes(archive / name)
    assert len(calls) == 1
    (folder / "sick" / "new.png").write_bytes(b"new")
    pack(folder, archive)
    assert read_bytes(archive / "sick/new.png") == b"new" and len(calls) == 2


def test_what_is_no_file_has_no_stamp(tmp_path):
    with pytest.raises(ImageError, match=r"^not a file$"):
        stamp_of(tmp_path)
    with pytest.raises(FileNotFoundError):
        stamp_of(tmp_path / "gone")


def test_the_folder_that_was_packed_is_found(tmp_path):
    def root(*names):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            for name in names:
                file.writestr(name, b"")
        os.utime(tmp_path / "a.zip", ns=(0, len(names)))
        return roots_of([tmp_path / "a.zip"])[0].relative_to(tmp_path).as_posix()

    assert root("a/b/1.png", "a/b/c/2.png", "__MACOSX/a/1.png", ".DS_Store") == "a.zip/a/b"
    assert root("a1/1.png", "a2/2.png") == root("1.png", "a/2.png", "a/3.png") == root() == "a.zip"


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.zst", "a.7z", "a.tar.xz"])
def test_archives_without_random_access_are_refused_with_the_remedy(tmp_path, name):
    path = tmp_path / name
    assert not is_archive(path)
    path.write_bytes(b"")
    with pytest.raises(
        ArchiveError,
        match=rf"^{path} can only be read from its beginning: unpack it, or pack it as a zip or plain \.tar$",
    ):
        is_archive(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_extraction_finds_in_the_cache_what_a_folder_of_the_same_images_left(folder, tmp_path, kind, monkeypatch):
    store, features = Store(str(tmp_path / "cache")), [make_feature("shortcut")]
    first = extract(read_manifest(folder), features, Preprocess(16), store)
    manifest = read_manifest(pack(folder, tmp_path / f"a.{kind}", "images/"))
    monkeypatch.setattr(Preprocess, "read", None)  # nothing is decoded again
    again = extract(manifest, features, Preprocess(16), store)
    np.testing.assert_array_equal(again.matrices["shortcut.v1"][:], first.matrices["shortcut.v1"][:])


def test_members_that_cannot_be_had_are_set_aside_with_their_reason(folder, tmp_path):
    (folder / "sick" / "case0_99.png").write_bytes(b"0" * 100)
    (folder / "sick" / "case0_98.png").write_bytes(b"1" * 100)
    path = pack(folder, tmp_path / "a.zip")
    data = path.read_bytes()
    for name, at, value in ((b"case0_98.png", 8, 1), (b"case0_99.png", 16, 7)):
        place = data.rindex(name) - 46 - len("sick/") + at
        data = data[:place] + bytes([value]) + data[place + 1 :]
    path.write_bytes(data)
    found = extract(read_manifest(path), [make_feature("shortcut")], Preprocess(16), Store(str(tmp_path / "cache")))
    assert found.quarantine == [
        {"name": "case0_98.png", "reason": "encrypted in the archive: pack it again without a password"},
        {"name": "case0_99.png", "reason": "damaged in the archive: its size or checksum is not as stated"},
    ]
    assert len(found.manifest) == 12


def test_a_study_of_a_zip_writes_the_bytes_that_one_of_its_folder_writes(phantom_folder, tmp_path):
    found = []
    for data in (phantom_folder, pack(phantom_folder, tmp_path / "a.zip", "data/")):
        out = tmp_path / "out" / data.name
        options = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",), "folds": 2, "jobs": 1}
        study = Study(data=str(data), out=str(out), cache=str(tmp_path / "cache"), **options)
        compare(prepare(study, lambda line: None), lambda line: None)
        measured = ["fit_s", "predict_ms", "peak_rss_mb"]
        results = pd.read_csv(out / "results.csv", dtype=str).drop(columns=measured)
        found.append([results.to_csv(), *((out / name).read_bytes() for name in ("predictions.parquet", "folds.csv"))])
    assert found[0] == found[1]


def test_thumbnails_are_found_in_archives_and_in_patterns_of_shards(folder, tmp_path):
    archive = pack(folder, tmp_path / "a.zip", "images/")
    names = ["case0_1.png", "sick/case1_3.png", "gone.png"]
    for data in (archive, tmp_path / "{a,b}.zip"):
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
            file.writestr("images/sick/case9_1.png", b"")
        found = find_images(data_folder({"data": str(data)}), names)
        assert sorted(found) == names[:2] and all(read_square(path).size == (128, 128) for path in found.values())
    assert data_folder({"data": str(tmp_path / "{a,c}.zip")}) is None


def test_an_audit_looks_into_archives(folder, archive, tmp_path):
    Image.new("L", (40, 40)).save(folder / "sick" / "case0_odd.jpg", "PNG")
    packed, found = pack(folder, tmp_path / "b.tar"), []
    for data in (folder, packed):
        manifest = read_manifest(data)
        odd = odd_files(manifest, 2)
        pairs = pd.DataFrame({"first": [0], "second": [1]})
        assert draw_pairs(pairs, manifest.table["path"], ["a pair"], tmp_path / "pairs.png") == 1
        found.append((odd, (tmp_path / "pairs.png").read_bytes(), largest_source(manifest.table["path"].tolist())))
    assert found[0] == found[1] and found[0][2] == 40
    assert [row["code"] for row in found[0][0] if row["name"] == "case0_odd.jpg"] == ["suffix", "mode"]


def test_labels_beside_images_of_a_webdataset_are_no_files_to_evaluate(tmp_path):
    for name in ("a.png", "a.cls", "b.png", "b.json", "c.json", "x/d.png", ".e.png"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(b"")
    packed = pack(tmp_path / "folder", tmp_path / "a.tar")
    assert list_files(packed, notes=(notes := [])) == ["a.png", "b.png", "c.json", "x/d.png"]
    assert notes == ["left out: 1 hidden file or folder"]


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with written_whole(path) as part:
        part.write_text("first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), written_whole(path) as part:
        part.write_text("half of the sec")
        raise KeyboardInterrupt
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]
