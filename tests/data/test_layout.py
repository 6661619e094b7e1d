"""What folders mean: the same images in different trees are the same data set, or one sentence says what to do."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.data.folders.layout import LayoutError, Tree, lines_on_drawings, parse_layout, read_tree
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
        (many("Training/<c>", c=TWO) + many("VALIDATE/<c>", c=TWO) + many("Hold-Out/<c>", c=TWO), "split/class/image"),
        (many("fold_<k>/<c>", k=range(5), c=TWO), "split/class/image"),
        (many("<p>/<c>", p=("Smith", "Miller", "Jones"), c=TWO), "case or site/class/image"),
        # a class is above whatever is not known to be one or not called as a case or a site is
        (many("<c>/<s>", c=("adenosis", "fibrosis", "phyllodes"), s=("HE", "PAS")), "class/ignore/image"),
        (many("grade<c>/<s>", c=range(4), s=("benign", "malignant")), "class/ignore/image"),
        (many("<c>/<m>", c=("a", "b"), m=("40X", "100X", "200X")), "class/ignore/image"),
        (many("blocked<c>", c="01"), "class/image"),
        (many("Cohort <c>", c=("CKD", "control")), "class/image"),
        (many("lab_<c>/<s>", c=("normal", "abnormal"), s=("HE", "PAS")), "class/ignore/image"),
        (many("source_<c>/<s>", c=("human", "mouse"), s=("GS", "nonGS")), "site/class/image"),
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


def test_folders_of_slides_by_hand_below_cases_of_names(tmp_path):
    root = put(tmp_path / "data", *(f"{kind}/w{k}/case{k // 2}_{kind}{k}.png" for kind in TWO for k in range(6)))
    manifest = read_manifest(root, layout="class/slide/image")
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


def test_masks_that_are_no_images_do_not_stop_and_those_named_like_crops_are_told(tmp_path):
    root = put(tmp_path, *(f"{kind}/case{k}_{kind[0]}.png" for kind in TWO for k in range(4)))
    (root / TWO[0] / "masks").mkdir()
    (root / TWO[0] / "masks" / "case0_n.npy").write_bytes(b"")
    assert len(read_manifest(root)) == 8 and not any("named like" in line for line in read_manifest(root).said)
    put(root, *(f"{TWO[1]}/case{k}_s_{what}.png" for k in range(3) for what in ("mask", "overlay", "left")))
    said = "warning: 6 images named like another with _mask or _overlay at the end: move what is no crop out of DATA"
    assert said in read_manifest(root).said


@pytest.mark.parametrize("end", ["seg", "GT", "bw", "binary", "roi", "ann", "anno", "annotation", "segment", "pred"])
def test_further_endings_of_drawings_are_told_if_the_image_is_there(tmp_path, end):
    names = "1.png", f"1_{end}.png", f"2-{end}.png", f"3{end}.png", "3.png"
    found = lines_on_drawings([f"sick/case{name}" for name in names])
    assert [line.partition(":")[2] for line in found] == [
        f" 1 image named like another with _{end} at the end: move what is no crop out of DATA"
    ]


def test_images_that_differ_in_the_suffix_of_their_names_are_told(tmp_path):
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind[0]}.jpg" for kind in TWO for k in range(4)))
    put(root, f"{TWO[0]}/case1_x.4.jpg", f"{TWO[0]}/case1_x.5.jpg", f"{TWO[1]}/case1_{TWO[0][0]}.png")
    assert not any("but for the suffix" in line for line in read_manifest(root).said)
    put(root, *(f"{TWO[1]}/case{k}_{TWO[1][0]}.{suffix}" for k, suffix in enumerate(["png", "tif", "JPG"])))
    said = (
        "warning: 3 images named like another but for the suffix: move what is no crop, and all but one version of "
        "each image, out of DATA"
    )
    assert said in read_manifest(root).said
    assert said in read_manifest(shutil.make_archive(str(tmp_path / "packed"), "zip", root)).said


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
