"""Data sets in archives: classes by folder, by a CSV, or beside the image as in a WebDataset."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.packing import pack

from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.sources import expand_braces, find_archives


def image(k):
    return encode_png(np.full((2, 3, 3), k, np.uint8))


def tree(cases=3):
    names = [f"{kind}/case{c}_{kind[0]}.png" for c in range(cases) for kind in ("sick", "well")]
    return {name: image(k) for k, name in enumerate(names)}


def unpacked(folder, members):
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def shown(manifest):
    return [(row.name, manifest.classes[row.label], row.case) for row in manifest.table.itertuples(index=False)]


def test_archives_beside_images_are_counted_if_they_hold_other_images(tmp_path):
    folder = unpacked(tmp_path / "data", tree())
    pack(folder / "download.zip", {f"data/{name}": data for name, data in tree().items()})  # the same images
    pack(folder / "code.tar", {"fit.py": b"", "notes.txt": b""})
    assert not read_manifest(folder).unread
    others = {f"x/{name.replace('case', 'case9')}": data for name, data in tree().items()}
    pack(folder / "siteB.zip", others)
    pack(folder / "sick" / "more.tar", others)
    pack(folder / "old" / "older.zip", others)
    (folder / "broken.zip").write_bytes(b"PK")
    manifest = read_manifest(folder)
    assert (
        "not read: 2 .zip, 1 .zip of old, 1 .tar of sick; unpack what is packed, or move it out of DATA"
        in manifest.said
    )
    assert len(manifest) == len(tree()) and manifest.classes == ("sick", "well")
    assert {row["name"]: row["reason"] for row in manifest.unread} == {
        name: f".{name[-3:]} beside images is not read: unpack it, or move it out of DATA"
        for name in ("siteB.zip", "sick/more.tar", "old/older.zip", "broken.zip")
    }


def test_an_archive_of_other_cases_is_told_although_files_have_the_same_names(tmp_path):
    names = [f"{kind}/P0{case}/{k}.png" for kind in ("sick", "well") for case in range(3) for k in range(2)]
    here = {name: image(k) for k, name in enumerate(names)}
    folder = unpacked(tmp_path / "data", here)
    pack(folder / "download.zip", {f"data/{name}": data for name, data in here.items()})
    assert not read_manifest(folder, groups="subfolder").unread
    pack(folder / "siteB.zip", {name.replace("/P0", "/P5"): data for name, data in here.items()})
    assert [row["name"] for row in read_manifest(folder, groups="subfolder").unread] == ["siteB.zip"]


@pytest.mark.parametrize("shared", [True, False])
def test_archives_whose_classes_cannot_be_told_are_refused_with_a_remedy_that_helps(tmp_path, shared):
    """GS2 may hold a part of GS, or a class of its own; without a name that both hold, archives count for nothing."""
    held = {"GS": ["case1.png", "case2.png"], "GS2": ["case1.png" if shared else "case3.png"], "nonGS": ["case4.png"]}
    for k, (name, members) in enumerate(held.items()):
        images = {member: image(10 * k + j) for j, member in enumerate(members)}
        pack(tmp_path / "zips" / f"{name}.zip", images)
        unpacked(tmp_path / "folders" / ("GS" if name == "GS2" else name) / name, images)
    remedy = r"; if archives are named for classes, unpack those of each class below a folder that is named for it$"
    with pytest.raises(ManifestError, match=remedy):
        read_manifest(tmp_path / "zips")
    counts = read_manifest(tmp_path / "folders").table["label"].value_counts().to_dict()
    assert counts == {1: 3, 0: 1}


def test_a_class_of_which_there_is_only_an_archive_is_told_with_the_remedy(tmp_path):
    folder = unpacked(tmp_path, {name: data for name, data in tree().items() if name.startswith("sick")})
    for k in range(2):
        pack(folder / "well" / f"{k}.zip", {f"case{k}_w.png": image(99 + k)})
    with pytest.raises(ManifestError) as error:
        read_manifest(folder)
    assert (
        "- 2 files, all of folder well, cannot be read (2 .zip): unpack them, or move the folder out of "
        "DATA: well/0.zip, well/1.zip"
    ) in str(error.value)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("inside", ["", "./", "images/", "a/b/"])
def test_an_archive_is_the_data_set_that_its_folder_is(tmp_path, name, inside):
    folder = read_manifest(unpacked(tmp_path / "folder", tree()))
    noise = {"__MACOSX/images/sick/._case0_s.png": b"", ".DS_Store": b""}
    found = read_manifest(pack(tmp_path / name, noise | {inside + member: data for member, data in tree().items()}))
    assert found.digest == folder.digest and found.said == folder.said
    assert found.table.drop(columns="path").equals(folder.table.drop(columns="path"))


def labels_of(members, names=None):
    rows = [f"{names[k] if names else Path(name).name},{int('sick' in name)}" for k, name in enumerate(members)]
    return "\n".join(["name,ground truth", *rows]).encode()


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_a_csv_of_labels_inside_or_beside(tmp_path, name):
    flat = {Path(member).name: data for member, data in tree().items()}
    inside = read_manifest(
        pack(tmp_path / "one" / name, {"x/public.csv": labels_of(tree())} | {f"x/{k}": v for k, v in flat.items()})
    )
    assert inside.classes == ("0", "1") and shown(inside)[:2] == [
        ("case0_s.png", "1", "case0"),
        ("case0_w.png", "0", "case0"),
    ]
    packed = pack(tmp_path / "two" / name, flat)
    with pytest.raises(ManifestError, match="has neither class folders nor a table of labels: give --labels FILE"):
        read_manifest(packed)
    (tmp_path / "labels.csv").write_bytes(labels_of(tree()))
    assert read_manifest(packed, tmp_path / "labels.csv").digest == inside.digest
    with pytest.raises(ManifestError, match=r"there is no .*gone\.csv: --labels must be a table"):
        read_manifest(packed, packed / "gone.csv")
    assert read_manifest(packed, tmp_path / "one" / name / "x/public.csv").digest == inside.digest


def test_a_csv_may_name_members(tmp_path):
    pack(tmp_path / "a.zip", tree())
    (tmp_path / "list.csv").write_text(
        "path,label\na.zip/sick/case0_s.png,x\na.zip/well/case1_w.png,y\na.zip/gone.png,y\n"
    )
    with pytest.raises(
        ManifestError, match=r"- 1 label without a file: a\.zip/gone\.png \(take the rows out, or bring the files\)$"
    ):
        read_manifest(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("path,label\na.zip/sick/case0_s.png,x\na.zip/well/case1_w.png,y\n")
    manifest = read_manifest(tmp_path / "list.csv")
    assert manifest.table["digest"].nunique() == 2 and manifest.classes == ("x", "y")


def samples(keys, kind):
    """A WebDataset: images with their labels beside them."""
    members = {}
    for k, key in enumerate(keys):
        label = ("well", "sick")[k % 2]
        members[f"{key}.png"] = image(k)
        if kind == "index":
            members[f"{key}.cls"] = f"{k % 2}\n".encode()
        elif kind == "name":
            members[f"{key}.cls"] = label.encode()
        else:
            facts = {
                "Label": label if kind == "json" else k % 2,
                "patient": f"P{k // 2}",
                "slide": f"S{k}",
                "stain": ["PAS"],
            }
            members[f"{key}.json"] = json.dumps(facts).encode()
    return members


@pytest.mark.parametrize(
    ("kind", "classes"),
    [("index", ("0", "1")), ("name", ("sick", "well")), ("json", ("sick", "well")), ("number", ("0", "1"))],
)
@pytest.mark.parametrize("folder", ["", "x/", "sick/", "./"])
def test_labels_of_a_webdataset(tmp_path, kind, classes, folder):
    keys = [f"{folder}case{k // 2}_{k}" for k in range(6)]
    manifest = read_manifest(pack(tmp_path / "a.tar", samples(keys, kind)))
    assert manifest.classes == classes and manifest.table["name"].tolist() == [
        f"case{k // 2}_{k}.png" for k in range(6)
    ]
    assert [manifest.classes[label] for label in manifest.labels] == (
        ["0", "1"] * 3 if classes[0] == "0" else ["well", "sick"] * 3
    )
    of_json = kind in ("json", "number")
    assert manifest.table["case"].tolist() == [f"{'P' if of_json else 'case'}{k // 2}" for k in range(6)]
    assert not of_json or manifest.table["slide"].tolist() == [f"S{k}" for k in range(6)]


def test_further_images_of_a_sample_are_left_out_and_bad_labels_named(tmp_path):
    members = samples(["case0_0", "case0_1", "case1.PAS_2", "case1.PAS_3"], "index")
    members |= {"case0_0.mask.png": image(9), "case0_1.seg.jpg": image(8)}
    manifest = read_manifest(pack(tmp_path / "a.tar", members), groups=r"^(?P<case>case\d)")
    assert manifest.table["name"].tolist() == ["case0_0.png", "case0_1.png", "case1.PAS_2.png", "case1.PAS_3.png"]
    members |= {"case2_0.png": image(20), "case2_1.png": image(21), "case2_1.json": b"{", "case2_2.png": image(22)}
    members |= {"case2_2.json": b'{"stain": "PAS"}'}
    with pytest.raises(ManifestError, match=r"- 3 images without a label: case2_0\.png, case2_1\.png, case2_2\.png"):
        read_manifest(pack(tmp_path / "a.tar", members), groups=r"^(?P<case>case\d)")


def test_json_without_labels_leaves_the_classes_to_the_folders(tmp_path):
    members = tree() | {f"{name.removesuffix('.png')}.json": b'{"stain": "PAS"}' for name in tree()}
    assert read_manifest(pack(tmp_path / "a.tar", members)).classes == ("sick", "well")


def test_shards_are_one_data_set_by_folder_by_braces_and_by_wildcards(tmp_path):
    keys, whole = [f"case{k // 2}_{k}" for k in range(8)], tmp_path / "whole.tar"
    members = samples(keys, "json")
    for shard in range(4):
        part = [name for name in members if int(name.partition(".")[0][-1]) // 2 == shard]
        pack(tmp_path / "shards" / f"s-{shard:03d}.tar", {name: members[name] for name in part})
    one = read_manifest(pack(whole, members))
    shards = tmp_path / "shards"
    for data in (
        shards,
        shards / "s-{000..003}.tar",
        shards / "s-*.tar",
        shards / "s-00{0,1,2,3}.tar",
        shards / "s-00?.tar",
    ):
        assert read_manifest(data).digest == one.digest
    two = read_manifest(shards / "s-{001..002}.tar")
    assert two.table["name"].tolist() == [f"{key}.png" for key in keys[2:6]]
    with pytest.raises(
        ManifestError, match=r"^there is no .*s-004\.tar, which .*s-\{000\.\.004\}\.tar stands for: give all"
    ):
        read_manifest(shards / "s-{000..004}.tar")
    with pytest.raises(ManifestError, match=r"^there is no .*t-\*\.tar: give a folder of images, a zip or tar"):
        read_manifest(shards / "t-*.tar")


def test_shards_of_which_each_holds_one_class(tmp_path):
    for kind in ("sick", "well"):
        pack(tmp_path / f"{kind}.tar", {f"x/{name}": data for name, data in tree().items() if kind in name})
    assert read_manifest(tmp_path).said == read_manifest(unpacked(tmp_path / "folder", tree())).said
    assert find_archives(tmp_path) == []  # now there are images


@pytest.mark.parametrize("inside", ["{kind}/{stain}/patient{case}_{k}.png", "{kind}/patient{case}/{k}.png"])
def test_zips_of_sites_that_share_some_names_are_read_as_their_folders_are(tmp_path, inside):
    for site, cases in (("siteA", 3), ("siteB", 5)):
        names = [
            inside.format(kind=kind, stain="PH"[k], case=case, k=k)
            for kind in ("sick", "well")
            for case in range(cases)
            for k in range(2)
        ]
        members = {name: image(k + 100 * (site == "siteB")) for k, name in enumerate(names)}
        pack(tmp_path / "zips" / f"{site}.zip", members | {"sick/scan.svs": b""})
        unpacked(tmp_path / "folders" / site, members | {"sick/scan.svs": b""})
    zips, folders = read_manifest(tmp_path / "zips"), read_manifest(tmp_path / "folders")
    assert zips.digest == folders.digest and zips.said == folders.said and zips.classes == ("sick", "well")
    assert zips.unread == folders.unread and zips.table["case"].nunique() == 5


def test_what_is_wrong_with_an_archive_is_said_at_once(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in [*tree(), "sick/case0_s.png", "../out.png"]:
            file.writestr(name, name.encode())
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path / "a.zip")
    lines = str(error.value).splitlines()
    assert f"- 1 name that several members of {tmp_path / 'a.zip'} have: keep one of each: sick/case0_s.png" in lines
    outside = f"- 1 name in {tmp_path / 'a.zip'} that leads out of it: pack it again from inside its folder: ../out.png"
    assert outside in lines


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.zip", b"no zip", r"^{} is not a zip, or is cut off: copy or pack it again$"),
        ("a.tar", b"no tar" * 200, r"^{} is damaged or cut off: copy or pack it again$"),
        ("a.tar.gz", b"", r"^{} can only be read from its beginning: unpack it, or pack it as a zip or plain \.tar$"),
    ],
)
def test_an_archive_that_cannot_be_read_is_one_message(tmp_path, name, data, said):
    path = tmp_path / "data" / name
    path.parent.mkdir()
    path.write_bytes(data)
    for source in (path, path.parent):
        with pytest.raises(ManifestError, match=said.format(path)):
            read_manifest(source)
    with pytest.raises(ManifestError, match="holds no image"):
        read_manifest(pack(tmp_path / "b.zip", {"notes.txt": b""}))


def test_braces():
    assert expand_braces("a") == ["a"] and expand_braces("{a}") == ["a"]
    assert expand_braces("{a,b}-{9..11}") == [f"{letter}-{k}" for letter in "ab" for k in (9, 10, 11)]
    assert len(expand_braces("s-{000000..000123}.tar")) == 124


def test_a_member_outside_the_file_system_is_never_written(tmp_path):
    path = pack(tmp_path / "data" / "a.tar", tree() | {"/abs.png": image(1), "../../up.png": image(2)})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ManifestError, match="lead out of it"):
        read_manifest(path)
    assert sorted(tmp_path.rglob("*")) == before
