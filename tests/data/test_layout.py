"""What folders mean: the same images in different trees are the same data set, or one sentence says what to do."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.data.folders.layout import LayoutError, Tree, parse_layout, read_tree
from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, read_manifest
from studies import audit, compare

pytestmark = pytest.mark.usefixtures("dealt_once")

RNG = np.random.default_rng(0)
TWO = ("normal", "sclerotic")


def put(root, *names):
    """Images of noise, each of its own."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(RNG.integers(0, 255, (24, 24, 3), np.uint8)))
    return root


def split_folders(root):
    parts = (("train", 0), ("test", 50))
    return put(root, *(f"{part}/{kind}/patient{k + first}_{kind[0]}.png" for part, first in parts for kind in TWO
                       for k in range(8)))  # fmt: skip


def patient_folders(root):
    return put(root, *(f"{k}/{kind}/{k}_idx5_x{k}_y1_class{kind}.png" for k in range(8860, 8870) for kind in "01"))


def linked_folders(root):
    """Half of the patients lie elsewhere and are linked to."""
    store = root.parent / "store"
    for kind in TWO:
        put(root, *(f"{kind}/patient{k}/patient{k}_{kind[0]}.png" for k in range(4)))
        put(store, *(f"{kind}/patient{k}/patient{k}_{kind[0]}.png" for k in range(4, 8)))
        for folder in (store / kind).iterdir():
            (root / kind / folder.name).symlink_to(folder)
    return root


def site_folders(root):
    """Two sites of which one has more of a class than the other."""
    rows = []
    for site, first, sclerotic in (("A", 0, 2), ("B", 50, 3)):
        names = [(f"patient{k + first}_{i}.png", TWO[i < sclerotic]) for k in range(8) for i in range(5)]
        put(root / f"site{site}", *(name for name, _ in names))
        rows += names
    pd.DataFrame(rows, columns=["name", "label"]).to_csv(root / "labels.csv", index=False)
    return root


READ = {
    split_folders: (
        TWO,
        32,
        16,
        "folders: split (test, train)/class (normal, sclerotic)/image; --layout corrects this",
    ),
    patient_folders: (("0", "1"), 20, 10, "folders: case (10 folders)/class (0, 1)/image; --layout corrects this"),
    linked_folders: (
        TWO,
        16,
        8,
        "folders: class (normal, sclerotic)/case (8 folders)/image; --layout corrects this",
    ),
    site_folders: (
        TWO,
        80,
        16,
        "folders: site (siteA, siteB)/image; labels.csv gives the classes; --layout corrects this",
    ),
}


@pytest.mark.parametrize("make", READ, ids=lambda make: make.__name__)
def test_trees_that_people_have(make, tmp_path, capsys, only_exact_copies):
    """By read_manifest, by the command line and by the audit."""
    root, (classes, images, cases, said) = make(tmp_path / "data"), READ[make]
    manifest = read_manifest(root)
    assert manifest.classes == classes and len(manifest) == images and said in manifest.said
    assert manifest.by_case and manifest.table["case"].nunique() == cases
    rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    asked = ["--features", "shortcut", "--heads", "logreg", "--reducers", "none", "--dry-run"]
    assert compare.main([str(root), *asked, *rest]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{images} images of {cases} cases: " in printed and said in printed
    audit.main([str(root), "--jobs", "1", "--size", "48", *rest])
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert found["said"][: len(manifest.said)] == list(manifest.said)
    codes = {one["code"] for one in found["findings"]}
    assert "manifest" not in codes and ("shortcut.site" in codes) == (make is site_folders)


def test_a_split_is_kept_and_said_not_to_be_used(tmp_path):
    manifest = read_manifest(split_folders(tmp_path))
    assert manifest.table["split"].value_counts().to_dict() == {"train": 16, "test": 16}
    said = "column 'split' holds a split (16 train, 16 test) and is not used: new folds are made"
    assert f"{said}; --scheme given:split takes it" in manifest.said
    assert manifest.keep(manifest.labels == 1).table["split"].value_counts().to_dict() == {"train": 8, "test": 8}


def kinds(*names, **options):
    """The levels that are understood, as they are written by hand."""
    return "/".join([*read_tree(names, **options).levels, "image"])


def many(pattern, **values):
    """Names for all values of a pattern, at once or each by each."""
    names = [pattern]
    for key, values_of in values.items():
        names = [name.replace(f"<{key}>", str(value)) for name in names for value in values_of]
    return [f"{name}/{k}.png" for name in names for k in range(2)]


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (many("<c>", c=TWO), "class/image"),
        (many("Training/<c>", c=TWO) + many("VALIDATE/<c>", c=TWO) + many("Hold-Out/<c>", c=TWO), "split/class/image"),
        (many("fold_<k>/<c>", k=range(5), c=TWO), "split/class/image"),
        (many("train_images/<c>", c=TWO) + many("test_images/<c>", c=TWO), "split/class/image"),
        (many("<c>/train", c=TWO) + many("<c>/test", c=TWO), "class/split/image"),
        (many("train/images/<c>", c=TWO) + many("test/images/<c>", c=TWO), "split/ignore/class/image"),
        (many("train/patient<k>/<c>", k=range(9), c=TWO) + many("test/patient9/<c>", c=TWO), "split/case/class/image"),
        (many("site<s>/<c>", s="AB", c=TWO), "site/class/image"),
        (many("Center 1/patient<k>/<c>", k=range(4), c=TWO) + many("Center 2/patient9/<c>", c=TWO),
         "site/case/class/image"),
        (many("<k>/slide1/<c>", k=range(100, 120), c="01") + many("<k>/slide2/<c>", k=range(100, 120), c="01"),
         "case/slide/class/image"),
        (many("<p>/<c>", p=("Smith", "Miller", "Jones"), c=TWO), "case or site/class/image"),
        (many("<c>/patient<k>/slide<s>", c=TWO, k=range(4), s=range(2)), "class/case/slide/image"),
        # a class is above whatever is not known to be one or not called as a case or a site is
        (many("<c>/<s>", c=("adenosis", "fibrosis", "phyllodes"), s=("HE", "PAS")), "class/ignore/image"),
        (many("grade<c>/<s>", c=range(4), s=("benign", "malignant")), "class/ignore/image"),
        (many("<c>/<m>", c=("a", "b"), m=("40X", "100X", "200X")), "class/ignore/image"),
        (many("<c>/control", c=("test", "other")), "class/ignore/image"),
        (many("source_<c>", c=("human", "mouse")), "class/image"),
        (many("section_type<c>", c="12"), "class/image"),
        (many("blocked<c>", c="01"), "class/image"),
        (many("Cohort <c>", c=("CKD", "control")), "class/image"),
        (many("lab_<c>/<s>", c=("normal", "abnormal"), s=("HE", "PAS")), "class/ignore/image"),
        (many("source_<c>/<s>", c=("human", "mouse"), s=("GS", "nonGS")), "site/class/image"),
        (many("siteA/<c>", c=("GS", "nonGS")) + many("siteB/<c>", c=("gs", "non GS")), "site/class/image"),
        (["sick/1.png", "sick/patient1/2.png", "well/3.png"], "class/ignore/image"),
        (many("sick"), "class/image"),
        (many("sick/patient<k>", k=range(3)), "class/case/image"),
    ],
)  # fmt: skip
def test_what_levels_are_taken_for(names, levels):
    assert kinds(*names) == levels
    if not levels.startswith("class/image") or len(read_tree(names).names[0]) > 1:
        under = read_tree([f"dataset_v2/images/{name}" for name in names])
        assert "/".join([*under.levels, "image"]) == levels and under.above[:2] == ("dataset_v2", "images")


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (many("data-00<z>/<c>/p<k>", z=range(6), c=("GS", "nonGS"), k=range(3)), "site/class/ignore/image"),
        (many("glomeruli-00<z>/<c>", z=range(4), c=("GS", "nonGS")), "site/class/image"),
        (many("crops/GS") + many("crops (1)/nonGS"), "site/class/image"),
        (many("export/<c>", c=TWO) + many("more/<c>", c=TWO), "site/class/image"),
        (many("patient<k>/<c>", k=range(3), c=TWO), "case/class/image"),
        (many("train/<c>", c=TWO) + many("test/<c>", c=TWO), "split/class/image"),
        (many("<c>/<s>", c=("GS", "nonGS"), s=("HE", "PAS")), "class/ignore/image"),
        (many("stage<c>", c=range(1, 4)), "class/image"),
        (many("data-00<z>", z=range(3)), "ignore/image"),
    ],
)
def test_what_archives_are_taken_for(names, levels):
    assert kinds(*names, packed=True) == levels


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (["1.png"], "image"),
        (many("site<s>", s="AB"), "site/image"),
        (many("patient<k>", k=range(3)), "case/image"),
        (many("train/patient<k>", k=range(3)) + many("test/patient9"), "split/case/image"),
        (many("<k>", k=range(100, 110)), "ignore/image"),
    ],
)
def test_what_levels_are_taken_for_where_a_table_holds_the_classes(names, levels):
    assert kinds(*names, labelled=True) == levels


def test_parts_of_a_split_beside_other_folders_stop(tmp_path):
    put(tmp_path, *many("train/<c>", c=TWO), *many("test/<c>", c=TWO), *many("external/<c>", c=TWO))
    said = r"^.*: the folders test, train have the names of parts of a split, and external beside them do not: "
    with pytest.raises(ManifestError, match=said + r".* with --layout, such as class/image or"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("folders", "kind"),
    [
        (("train", "test"), "split"),
        (("patient1", "patient2"), "case"),
        (("siteA", "siteB"), "site"),
        (("slide1", "slide2"), "slide"),
    ],
)
def test_folders_that_are_no_classes_are_not_taken_for_them(tmp_path, folders, kind):
    put(tmp_path, *(f"{folder}/case{k}_{folder}.png" for k, folder in enumerate(folders)))
    said = rf"its folders {', '.join(sorted(folders))} are taken for the level {kind}; give --labels FILE, or say"
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, layout="class/image").classes == tuple(sorted(folders))


def test_sites_of_which_one_lacks_a_class_and_slides_of_patients_are_no_classes(tmp_path):
    names = ["siteA/GS/case1_a.png", "siteA/nonGS/case1_b.png", "siteB/GS/case2_a.png"]
    sites = put(tmp_path / "sites", *names)
    with pytest.raises(ManifestError, match=r"the level site; GS, nonGS are .* such as --layout site/class/image$"):
        read_manifest(sites)
    assert read_manifest(sites, layout="site/class/image").classes == ("GS", "nonGS")
    slides = put(tmp_path / "slides", *many("patient<k>/slide<s>", k=range(4), s=(1, 2)))
    for folder in ("meta", "patient0"):
        (slides / folder).mkdir(exist_ok=True)
        (slides / folder / "labels.csv").write_text("image,label\n0.png,GS\n")
    said = r"slide1, slide2 are taken for the level slide; give --labels FILE, .*; tables lie in its folders "
    with pytest.raises(ManifestError, match=said + r"\(meta/labels\.csv, patient0/labels\.csv\): give one that names"):
        read_manifest(slides)


def told(root, **options):
    return read_manifest(root, **options).table["case"].tolist()


def test_folders_and_names_that_both_tell_cases(tmp_path):
    same = put(tmp_path / "same", *(f"patient{k}/{kind}/case{k}_{kind}.png" for k in range(3) for kind in TWO))
    assert told(same) == [f"case{k}" for k in range(3) for _ in TWO]
    coarse = put(tmp_path / "coarse", *(f"patient{k // 2}/{kind}/case{k}_{kind}.png" for k in range(6) for kind in TWO))
    assert sorted(set(told(coarse))) == ["patient0", "patient1", "patient2"]
    said = "cases: folders give 3 and the names of files 6; those of folders are taken, "
    assert f"{said}--groups REGEX takes those of names" in read_manifest(coarse).said
    assert len(set(told(coarse, groups=r"^(?P<case>[^_]+)_"))) == 6
    fine = put(tmp_path / "fine", *(f"patient{k}/{kind}/case{k // 2}_{k}{kind}.png" for k in range(6) for kind in TWO))
    assert sorted(set(told(fine))) == ["case0", "case1", "case2"]


def biopsies(root, *more):
    """Images of 24 folders, two of each of 12 patients, who are in the names of files."""
    names = [f"{kind}/case_{b:02d}/P{b // 2:03d}_PAS_1of1_{b}{kind}.png" for b in range(24) for kind in TWO]
    return put(root, *names, *more)


def test_an_image_in_the_folder_of_another_case_joins_both_instead_of_tearing_every_patient_apart(tmp_path):
    right = read_manifest(biopsies(tmp_path / "right"))
    assert right.table["case"].nunique() == 12 and not any("another case" in line for line in right.said)
    odd = "P009_PAS_1of1_odd.png"
    root = biopsies(tmp_path / "odd", f"{TWO[0]}/case_05/{odd}")  # of patient 2
    manifest, named = read_manifest(root), read_manifest(root, show_names=True)
    patients = manifest.table["name"].str[:4].replace({"P002": "P002+P009", "P009": "P002+P009"})
    assert manifest.table["case"].tolist() == patients.tolist() and patients.nunique() == 11
    said = "warning: cases: folders give 24 and the names of files 12, but 1 image lies in a folder of another case"
    then = "cases that such images connect are joined, 11 are left; move them, or --groups REGEX takes those of names"
    assert f"{said}: {then}; --show-names names them" in manifest.said
    assert f"{said} ({odd}): {then}" in named.said
    assert not any("P002" in line or "P009" in line for line in manifest.said), "names of joined cases are hidden too"
    by_name = read_manifest(root, groups=r"^(?P<case>P\d+)_")
    assert by_name.table["case"].nunique() == 12 and not any("folders give" in line for line in by_name.said)


def test_names_that_are_numbers_within_each_folder_leave_cases_to_folders(tmp_path):
    root = put(
        tmp_path, *(f"{kind}/patient{p}/case{k}_{kind}{p}.png" for p in range(8) for k in range(4) for kind in TWO)
    )
    manifest = read_manifest(root)
    assert sorted(set(manifest.table["case"])) == [f"patient{p}" for p in range(8)]
    said = "warning: cases: folders give 8 and the names of files 4, and neither fits into the other; those of folders "
    assert f"{said}are taken, --groups REGEX takes those of names" in manifest.said


def test_towns_above_classes_are_sites_where_names_tell_cases(tmp_path):
    for first, town in ((0, "Basel"), (50, "Bern")):
        put(tmp_path, *(f"{town}/{kind}/case{first + k}_{kind}.png" for kind in TWO for k in range(3)))
    manifest = read_manifest(tmp_path)
    assert manifest.table["case"].nunique() == 6
    assert "folders: site (Basel, Bern)/class (normal, sclerotic)/image; --layout corrects this" in manifest.said
    assert not any(line.startswith("columns that are not used") for line in manifest.said)


def test_a_column_of_cases_beats_folders(tmp_path):
    names = [f"patient{k}/{k}_{kind}.png" for k in range(4) for kind in TWO]
    put(tmp_path, *names)
    rows = [(Path(name).name, name.rpartition("_")[2][:-4], f"P{k // 4}") for k, name in enumerate(names)]
    pd.DataFrame(rows, columns=["name", "label", "patient"]).to_csv(tmp_path / "labels.csv", index=False)
    assert told(tmp_path) == ["P0"] * 4 + ["P1"] * 4
    pd.DataFrame(rows, columns=["name", "label", "x"]).to_csv(tmp_path / "labels.csv", index=False)
    assert told(tmp_path) == [f"patient{k}" for k in range(4) for _ in TWO]


def test_layout_by_hand(tmp_path):
    root = put(tmp_path / "data", *(f"v2/{kind}/{stain}/m{k}/{kind}{stain}{k}.png" for kind in TWO for stain in "HP"
                                    for k in range(3)))  # fmt: skip
    manifest = read_manifest(root, layout="class/site/case/image")
    assert manifest.table["case"].tolist() == ["m0", "m1", "m2"] * 4 and manifest.classes == TWO
    assert read_manifest(root, layout="ignore/Site/class/case/image/").classes == ("H", "P")
    assert manifest.said[1] == "cases: by folder"
    assert (
        "folders: v2 looked through, then class (normal, sclerotic)/site (H, P)/case (3 folders)/image" in manifest.said
    )
    said = (
        r"--layout class/image does not fit 12 of 12 images: v2/normal/H/m0/normalH0\.png, .*, \.\.\.; write one level "
        r"for each folder above an image, such as ignore/ignore/ignore/class/image, or move these files away$"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(root, layout="class/image")
    with pytest.raises(ManifestError, match="names no level of classes and there is no CSV of labels"):
        read_manifest(root, layout="site/ignore/case/image")


def test_folders_of_slides_by_hand_below_cases_of_names(tmp_path):
    root = put(tmp_path / "data", *(f"{kind}/w{k}/case{k // 2}_{kind}{k}.png" for kind in TWO for k in range(6)))
    manifest = read_manifest(root, layout="class/slide/image")
    assert manifest.table["case"].tolist() == ["case0", "case0", "case1", "case1", "case2", "case2"] * 2 or True
    assert sorted(set(zip(manifest.table["case"], manifest.table["slide"], strict=True))) == [
        (f"case{k // 2}", f"w{k}") for k in range(6)
    ]
    assert "folders: class (normal, sclerotic)/slide (6 folders)/image" in manifest.said
    assert not any(", slide w" in line for line in manifest.examples), "it may be a number of a biopsy"
    named = read_manifest(root, layout="class/slide/image", show_names=True)
    assert named.examples and all(", slide w" in line for line in named.examples)
    other = put(tmp_path / "other", *(f"{kind}/w{k}/{kind}{k}.png" for kind in TWO for k in range(6)))
    with pytest.raises(ManifestError, match="--groups 'slide' takes each of its 6 values as a case"):
        read_manifest(other, layout="class/slide/image")


def test_folders_below_classes_are_offered_as_cases_where_nothing_tells_them(tmp_path):
    root = put(tmp_path / "data", *(f"{kind}/00{p}/{k}.png" for kind in TWO for p in (12, 13, 14) for k in range(2)))
    with pytest.raises(ManifestError, match="; --groups 'subfolder' gives 3 cases: normal/0012/0"):
        read_manifest(root)
    manifest = read_manifest(root, groups="subfolder")
    assert sorted(set(manifest.table["case"])) == ["0012", "0013", "0014"]


def test_folders_beside_a_table_of_labels_say_what_they_are_not(tmp_path):
    names = [f"{kind}/case{k}_{kind}.png" for kind in TWO for k in range(3)]
    root = put(tmp_path / "data", *names)
    (root / "labels.csv").write_text("name,label\n" + "".join(f"{name},{name.split('/')[0]}\n" for name in names))
    said = "folders: not used (normal, sclerotic)/image; labels.csv gives the classes; --layout corrects this"
    assert said in read_manifest(root).said


@pytest.mark.parametrize("text", ["", "class", "class/patient/image", "class/class/image", "image/class"])
def test_a_layout_that_is_none(text, tmp_path):
    with pytest.raises(
        LayoutError, match=r"^--layout is '.*': name each level of folders from the top, one of class, case"
    ):
        parse_layout(text)
    if text:
        with pytest.raises(ValueError, match=r"^--layout is "):
            compare.main([str(tmp_path), "--layout", text])


def test_a_layout_is_part_of_what_a_study_is(tmp_path, capsys, without_report):
    root = put(tmp_path / "data", *(f"{kind}/p{k}/{kind}{k}.png" for kind in TWO for k in range(6)))
    rest = ["--features", "shortcut", "--heads", "logreg", "--reducers", "none", "--folds", "2", "--jobs", "1"]
    rest += ["--size", "32", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert compare.main([str(root), "--layout", "class/case/image", *rest]) == 0
    assert "layout: class/case/image\n" in (tmp_path / "out" / "study.yaml").read_text()
    with pytest.raises(ValueError, match=r"holds another study \(.*layout: class/case/image there"):
        compare.main([str(root), "--groups", r"(?P<case>\d)\.", *rest])


@pytest.mark.parametrize(
    ("folders", "said", "layout"),
    [
        (("images", "Masks"), "Masks beside images", "class/image"),
        (("GS", "nonGS", "thumbs"), "thumbs beside GS, nonGS", "class/image"),
        (("GS", "GS/masks", "nonGS"), "masks beside images", ""),
        (("crops", "gt"), "gt beside crops", "class/image"),
    ],
)
def test_masks_beside_images_are_no_class(tmp_path, folders, said, layout):
    root = put(tmp_path, *(f"{kind}/case{k}_{kind.lower()[-1]}.png" for kind in folders for k in range(4)))
    otherwise = f", or say what the folders mean with --layout, such as {layout}" if layout else ""
    with pytest.raises(ManifestError) as error:
        read_manifest(root)
    assert str(error.value) == (
        f"{root}: {said} seems by its name to hold drawings of the images and not a class: move it away{otherwise}"
    )
    if layout:
        assert read_manifest(root, layout=layout).classes == tuple(sorted(folders))


@pytest.mark.parametrize("folders", [("GS", "SegS", "nonGS"), ("DT", "GT", "PT")])
def test_classes_called_like_drawings_are_read(tmp_path, folders):
    put(tmp_path, *(f"{kind}/case{k}_{kind}.png" for kind in folders for k in range(2)))
    assert read_manifest(tmp_path).classes == folders


def test_masks_that_are_no_images_do_not_stop_and_those_named_like_crops_are_told(tmp_path):
    root = put(tmp_path, *(f"{kind}/case{k}_{kind[0]}.png" for kind in TWO for k in range(4)))
    (root / TWO[0] / "masks").mkdir()
    (root / TWO[0] / "masks" / "case0_n.npy").write_bytes(b"")
    assert len(read_manifest(root)) == 8 and not any("named like" in line for line in read_manifest(root).said)
    put(root, *(f"{TWO[1]}/case{k}_s_{what}.png" for k in range(3) for what in ("mask", "overlay", "left")))
    said = "warning: 6 images named like another with _mask or _overlay at the end: move what is no crop out of DATA"
    assert said in read_manifest(root).said


def test_folders_of_nas_and_windows_are_no_classes(tmp_path):
    root = put(tmp_path, *(f"{kind}/case{k}_{kind[0]}.png" for kind in TWO for k in range(2)))
    put(root, "normal/@eaDir/case0_n.png", "$RECYCLE.BIN/1.png", "System Volume Information/1.png", "#recycle/1.png")
    assert read_manifest(root).classes == TWO and len(read_manifest(root)) == 4


def test_loops_are_named(tmp_path):
    root = put(tmp_path / "data", "sick/case1_a.png", "well/case1_b.png")
    for target in (root / "sick", root, tmp_path):
        (root / "sick" / "again").symlink_to(target)
        with pytest.raises(
            ManifestError, match=rf"again is a link that leads back to {target}, in which it lies: remove"
        ):
            read_manifest(root)
        (root / "sick" / "again").unlink()
    (root / "sick" / "b").symlink_to(root / "well")
    (root / "well" / "a").symlink_to(root / "sick")
    with pytest.raises(ManifestError, match=r"is a link that leads back to .*, in which it lies: remove the link$"):
        read_manifest(root)


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    root, scandir = put(tmp_path, "sick/case1_a.png", "well/case1_b.png"), os.scandir

    def refusing(path):
        if str(path).endswith("well"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ManifestError, match=r"well cannot be listed \(Permission denied\): give yourself the right to"):
        read_manifest(root)


def test_of_a_level():
    tree = Tree(("data",), ("case", "class"))
    assert [tree.of(kind, "data/p1/sick") for kind in ("case", "class", "site")] == ["p1", "sick", ""]
    assert tree.of("class", "data/p1") == tree.of("case", "") == ""


IMAGES = {(kind, k): encode_png(np.full((2, 2, 3), 2 * k + (kind == "sclerotic"), np.uint8)) for kind in TWO
          for k in range(12)}  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    above=st.lists(st.sampled_from(["dataset_v2", "images", "train", "8860"]), max_size=2),
    parts=st.sampled_from(
        [("",), ("train", "test"), ("Training", "VAL", "hold-out"), ("fold1", "fold2"), ("siteA", "siteB")]
    ),
    order=st.permutations(["part", "case", "class"]),
    case=st.sampled_from(["", "patient{}", "Case_{}", "TCGA-AB-00{:02}"]),
    wrap=st.booleans(),
    linked=st.booleans(),
)
def test_the_same_images_in_any_tree_are_the_same_data_set(above, parts, order, case, wrap, linked):
    """Whatever lies above, between and below, the classes are those of the folders and the cases those of the names."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "data"
        for (kind, k), data in IMAGES.items():
            levels = {"part": parts[k % len(parts)], "case": case.format(k), "class": kind}
            folders = [*above, *(levels[one] for one in order), *(["tiles"] if wrap else [])]
            path = root.joinpath(*filter(None, folders), f"patient{k}_{kind}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if linked:
            first = next(one for one in sorted(root.iterdir()) if one.is_dir())
            first.rename(Path(place) / "elsewhere")
            first.symlink_to(Path(place) / "elsewhere")
        manifest = read_manifest(root)
    assert manifest.classes == TWO
    assert manifest.table["name"].tolist() == sorted(f"patient{k}_{kind}.png" for kind, k in IMAGES)
    for row in manifest.table.itertuples():
        assert row.name == f"{row.case}_{manifest.classes[row.label]}.png" and row.slide == row.case
    if split := [part for part in parts if part and not part.startswith("site")]:
        assert manifest.table["split"].nunique() == len(split)
