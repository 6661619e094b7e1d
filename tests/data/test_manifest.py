import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.cases import ASK, BY_CASE, IMAGE_LEVEL, pseudonyms
from glomfeat.data.manifest import ManifestError, duplicate_problems, read_manifest
from glomfeat.data.problems import ARE_PATIENTS, case_problems
from glomfeat.data.schemes import CrossValidation
from glomfeat.data.tables.read import TableError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SCLEROTIC, OTHER = "globally_sclerotic_glomeruli", "non_globally_sclerotic_glomeruli"


def two_classes(folder, cases=6):
    """``sick`` and ``well``, an image of each class in each case."""
    return put(folder, [f"{kind}/case{c}_{kind[0]}.png" for c in range(cases) for kind in ("sick", "well")])


def test_class_folders_of_any_name(tmp_path):
    manifest = read_manifest(two_classes(tmp_path))
    assert manifest.classes == ("sick", "well") and len(manifest) == 12
    assert manifest.table["name"].tolist() == sorted(manifest.table["name"])
    expected = [manifest.classes.index(Path(path).parent.name) for path in manifest.table["path"]]
    assert manifest.labels.tolist() == expected and manifest.labels.dtype == np.int64
    for row in manifest.table.itertuples():
        assert row.digest == hashlib.sha256(Path(row.path).read_bytes()).hexdigest()
        assert row.case == row.name.split("_")[0]
    assert manifest.cases.tolist() == [c for c in range(6) for _ in range(2)]
    assert manifest.by_case and manifest.split == BY_CASE and manifest.source == ""
    assert manifest.said == (
        "12 images of 6 cases: 6 sick, 6 well",
        "cases: from names like case, patient or subject and its number",
        "images per case: 2",
        "folders: class (sick, well)/image; --layout corrects this",
        "positive class: well",
    )


def test_what_glomfeat_wrote_into_the_data_is_no_part_of_them(tmp_path):
    without = read_manifest(two_classes(tmp_path))
    for folder, names in {"runs/a": ["study.yaml", "journal.jsonl"], "sick/audit": ["audit.txt", "audit.json"]}.items():
        put(tmp_path / folder, ["figures/roc.png", "pairs.png"])
        for name in names:
            (tmp_path / folder / name).write_text("")
    put(tmp_path, ["well/study/case3_x.png"])
    (tmp_path / "well" / "study" / "study.yaml").write_text("")  # another's
    manifest = read_manifest(tmp_path)
    assert {*manifest.table["name"]} - {*without.table["name"]} == {"case3_x.png"} and len(manifest) == 13
    assert "left out: runs/a, sick/audit, which glomfeat wrote itself" in manifest.said
    for folder, what in {
        "runs/a": "a study (it holds journal.jsonl)",
        "sick/audit": "an audit (it holds audit.json)",
    }.items():
        with pytest.raises(ManifestError, match=re.escape(f"{folder} is the output of {what}: give the data as DATA")):
            read_manifest(tmp_path / folder)
    with pytest.raises(ManifestError, match=r"holds no image \(.*\); left out: a, which glomfeat wrote itself$"):
        read_manifest(tmp_path / "runs")
    two_classes(tmp_path / "runs" / "a")
    shutil.rmtree(tmp_path / "runs" / "a" / "figures")
    (tmp_path / "runs" / "a" / "pairs.png").unlink()
    assert len(read_manifest(tmp_path / "runs" / "a")) == 12, "who asks for the folder itself gets it"


def test_the_originals_folders_and_csv(tmp_path):
    names = {f"P{c}_PAS_1of2_{k}af.png": k for c in range(3) for k in (0, 1)}
    put(tmp_path, [f"{SCLEROTIC if label else OTHER}/{name}" for name, label in names.items()])
    folders = read_manifest(tmp_path)
    pd.DataFrame({"name": list(names), "ground truth": list(names.values())}).to_csv(
        tmp_path / "public.csv", index=False
    )
    both, by_csv = read_manifest(tmp_path), read_manifest(tmp_path / "public.csv")
    for manifest in (folders, both, by_csv):
        assert manifest.classes == (OTHER, SCLEROTIC)
        assert dict(zip(manifest.table["name"], manifest.labels.tolist(), strict=True)) == names
        assert manifest.table["slide"].tolist() == [f"P{c}_PAS_1of2" for c in range(3) for _ in range(2)]
        assert manifest.digest == folders.digest


@pytest.mark.parametrize(
    ("labels", "positive", "classes"),
    [
        (["b", "a", "c"], None, ("a", "b", "c")),
        (["b", "a", "c"], "a", ("b", "c", "a")),
        (["10", "9", "-1"], None, ("-1", "9", "10")),
        (["2", "1"], None, ("2", "1")),
        (["2", "1", "0"], None, ("0", "1", "2")),
        (["x", "10", "9"], None, ("9", "10", "x")),
        (["well", "Globally_Sclerotic"], None, ("well", "Globally_Sclerotic")),
        (["globally sclerotic", "normal"], None, ("normal", "globally sclerotic")),
        (["GS", "nonGS"], None, ("nonGS", "GS")),
        (["gs", "SS", "none"], None, ("SS", "none", "gs")),
        (["0_GS", "1-other GS"], None, ("1-other GS", "0_GS")),
        (["crescent", "no crescent"], None, ("no crescent", "crescent")),
        (["crescent", "not-crescent"], None, ("not-crescent", "crescent")),
        (["C4d", "C4d-negative"], None, ("C4d-negative", "C4d")),
        (["abnormal", "0_Normal"], None, ("0_Normal", "abnormal")),
        (["false", "true"], None, ("false", "true")),
        (["lesion", "other"], None, ("other", "lesion")),
        (["benign", "normal"], None, ("benign", "normal")),
        (["lesion", "MCD", "other"], None, ("MCD", "lesion", "other")),
        (["IgAN", "nonsense"], None, ("IgAN", "nonsense")),
        (["1", "absent"], None, ("absent", "1")),
        (["GS: no", "GS: yes"], None, ("GS: no", "GS: yes")),
        (["Globally sclerotic +", "Globally sclerotic -"], None, ("Globally sclerotic -", "Globally sclerotic +")),
        (["normal", "not normal"], None, ("normal", "not normal")),
        (["Halbmond", "kein Halbmond"], None, ("kein Halbmond", "Halbmond")),
        (["C4d+", "C4d-"], None, ("C4d-", "C4d+")),
        (["0", "1"], "0", ("1", "0")),
    ],
)
def test_order_of_classes(tmp_path, labels, positive, classes):
    names = [f"{row}.png" for row in range(len(labels))]
    put(tmp_path, names)
    pd.DataFrame({"name": names, "label": labels}).to_csv(tmp_path / "l.csv", index=False)
    manifest = read_manifest(tmp_path, positive=positive, groups="none")
    assert manifest.classes == classes and manifest.said[-1] == f"positive class: {classes[-1]}"
    assert [classes[label] for label in manifest.labels] == labels


def test_csv_of_paths_with_case_and_slide(tmp_path):
    put(tmp_path / "images", ["x/1.png", "y/1.png", "2.png", "not_listed.png"])
    csv = tmp_path / "list.csv"
    csv.write_text("path,label,case,slide\nimages/x/1.png,a,07,s1\nimages/y/1.png,b,7,\nimages/2.png,b,07,s2\n")
    manifest = read_manifest(csv)
    assert manifest.table["name"].tolist() == ["images/2.png", "images/x/1.png", "images/y/1.png"]
    assert manifest.table["case"].tolist() == ["07", "07", "7"]
    assert manifest.table["slide"].tolist() == ["s2", "s1", "7"]
    assert manifest.said[1] == "cases: column case"
    assert all(Path(path).is_file() for path in manifest.table["path"])


def test_csv_of_absolute_paths(tmp_path):
    put(tmp_path / "far", ["1.png", "2.png"])
    (tmp_path / "list.csv").write_text("".join(["path,label\n", *(f"{tmp_path}/far/{k}.png,{k}\n" for k in (1, 2))]))
    manifest = read_manifest(tmp_path / "list.csv", groups="none")
    assert manifest.table["path"].tolist() == [f"{tmp_path}/far/1.png", f"{tmp_path}/far/2.png"]


def test_csv_of_paths_that_lies_in_the_folder_given(tmp_path):
    put(tmp_path, ["x/1.png", "y/2.png"])
    (tmp_path / "labels.csv").write_text("path,label,case\nx/1.png,a,A\ny/2.png,b,B\n")
    manifest = read_manifest(tmp_path)
    assert manifest.table["case"].tolist() == ["A", "B"] and sorted(manifest.classes) in (["a", "b"], ["x", "y"])


def test_csv_of_labels_lies_elsewhere(tmp_path):
    folder = put(tmp_path / "images", ["a.png", "deeper/b.png"])
    (tmp_path / "l.csv").write_text("filename,class\na.png,no\nb.png,yes\n")
    manifest = read_manifest(folder, labels=tmp_path / "l.csv", groups="none")
    assert manifest.classes == ("no", "yes") and manifest.table["name"].tolist() == ["a.png", "b.png"]


def test_other_files_and_hidden_ones_are_left_alone(tmp_path):
    two_classes(tmp_path, 1)
    (tmp_path / "sick" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "sick" / "._case0_s.png").write_bytes(b"resource fork")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    shutil.copy(tmp_path / "sick" / "case0_s.png", tmp_path / ".ipynb_checkpoints" / "case0_s-checkpoint.png")
    assert read_manifest(tmp_path).table["name"].tolist() == ["case0_s.png", "case0_w.png"]


def test_suffixes_in_capitals_and_all_formats(tmp_path):
    put(tmp_path, ["a/1.PNG", "a/2.jpeg", "b/3.TIF", "b/4.webp", "b/5.bmp", "b/6.tiff", "b/7.jpg"])
    assert len(read_manifest(tmp_path, groups="none")) == 7


def test_moving_the_folder_keeps_the_digest_and_what_matters_changes_it(tmp_path):
    before = read_manifest(two_classes(tmp_path / "here"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    after = read_manifest(tmp_path / "there")
    assert before.digest == after.digest and before.table["path"][0] != after.table["path"][0]
    others = [read_manifest(tmp_path / "there", groups="none"), read_manifest(tmp_path / "there", positive="sick")]
    put(tmp_path / "there", ["sick/case9_s.png"])
    others.append(read_manifest(tmp_path / "there"))
    assert len({after.digest, *(manifest.digest for manifest in others)}) == 4


def test_groups_none_marks_the_split(tmp_path):
    manifest = read_manifest(two_classes(tmp_path), groups="none", scheme=CrossValidation(5))
    assert not manifest.by_case and manifest.split == IMAGE_LEVEL
    assert manifest.table["case"].is_unique
    assert manifest.said[:2] == ("12 images: 6 sick, 6 well", "cases: not used (--groups none)")


def test_keep_leaves_the_rest_as_it_was(tmp_path):
    manifest = read_manifest(two_classes(tmp_path))
    kept = manifest.keep(manifest.labels == 1)
    assert kept.table["name"].tolist() == [f"case{c}_w.png" for c in range(6)] and kept.table.index.tolist() == [
        *range(6)
    ]
    assert kept.classes == manifest.classes and len(manifest) == 12


def test_all_problems_in_one_message(tmp_path):
    put(tmp_path, ["case1_a.png", "case1_b.png", "case2_c.png", "overview.png"])
    shutil.copy(tmp_path / "case1_a.png", tmp_path / "case2_c.png")
    rows = ["case1_a.png,no", "case1_b.png,", "case2_c.png,yes", "gone.png,no", "twice.png,no", "twice.png,yes"]
    (tmp_path / "l.csv").write_text("\n".join(["name,label", *rows]))
    only = "; to use only some images, give a table of these as DATA, with a column 'path')"
    assert complaint(tmp_path, positive="maybe") == [
        "1 row of images under two labels: twice.png",
        "2 labels of l.csv without a file: gone.png, twice.png (take the rows out, or bring the files)",
        f"1 file without a label in l.csv: overview.png (give each a row with its class, or move it out of DATA{only}",
        f"1 image without a label: case1_b.png (give each a row with its class, or move it out of DATA{only}",
        "--positive 'maybe' is not a class: there are no, yes",
        "1 set of byte-identical images across classes: keep one of each: case1_a.png = case2_c.png (no, yes)",
    ]


def test_only_the_first_rows_are_shown_and_all_are_counted(tmp_path):
    put(tmp_path, ["a/1.png", "b/2.png"])
    names = [f"gone{k}.png" for k in range(7)]
    pd.DataFrame({"name": ["1.png", "2.png", *names], "label": list("ab") + ["a"] * 7}).to_csv(
        tmp_path / "l.csv", index=False
    )
    shown = ", ".join(names[:5])
    assert complaint(tmp_path, groups="none") == [
        f"7 labels of l.csv without a file: {shown}, ... (take the rows out, or bring the files; all names: "
        "python -m studies.audit with --show-names)"
    ]


def test_missing_files_of_a_csv_of_paths(tmp_path):
    put(tmp_path, ["a.png", "b.png"])
    (tmp_path / "l.csv").write_text("path,label\na.png,0\nb.png,1\nx/gone.png,1\n")
    assert complaint(tmp_path / "l.csv", groups="none") == [
        "1 label without a file: x/gone.png (take the rows out, or bring the files)"
    ]


def test_duplicates_across_cases_classes_and_within_a_case(tmp_path):
    two_classes(tmp_path)
    shutil.copy(tmp_path / "sick/case1_s.png", tmp_path / "sick/case2_copy.png")
    shutil.copy(tmp_path / "sick/case3_s.png", tmp_path / "well/case3_copy.png")
    shutil.copy(tmp_path / "sick/case4_s.png", tmp_path / "sick/case4_copy.png")  # within a case: nothing leaks
    assert complaint(tmp_path) == [
        "1 set of byte-identical images across classes: keep one of each: case3_copy.png = case3_s.png (well, sick)",
        "1 set of byte-identical images across cases: keep one of each: case1_s.png = case2_copy.png",
    ]
    table = pd.DataFrame({"name": list("ab"), "digest": ["1", "1"], "label": [0, 0], "case": ["A", "B"]})
    assert duplicate_problems(table, ("x", "y"), by_case=False) == []


def test_too_few_cases_for_the_folds(tmp_path):
    two_classes(tmp_path, 3)
    assert read_manifest(tmp_path, scheme=CrossValidation(3)).table["case"].nunique() == 3
    assert complaint(tmp_path, scheme=CrossValidation(5)) == [
        "the 3 negatives (sick) are in 3 cases, 5 folds need 5",
        f"the 3 positives (well) are in 3 cases, 5 folds need 5; use --folds 3{ARE_PATIENTS}",
    ]
    two_classes(tmp_path / "two", 2)
    assert complaint(tmp_path / "two", scheme=CrossValidation(3)) == [
        "the 2 negatives (sick) are in 2 cases, 3 folds need 3",
        f"the 2 positives (well) are in 2 cases, 3 folds need 3; add cases{ARE_PATIENTS}",
    ]
    assert complaint(tmp_path / "two", scheme=CrossValidation(3), groups="none")[1] == (
        "the 2 positives (well) are in 2 images, 3 folds need 3; add images"
    )


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_a_class_of_one_case_names_it_by_pseudonym_unless_asked(parts):
    cases = ["Smith"] * 3 + ["Miller", "Jones", "Brown", "White", "Green"]
    table = pd.DataFrame({"label": [0] * 3 + [1] * 5, "case": cases})
    remedy = f"folds by case are impossible; add cases{ARE_PATIENTS}"
    hidden = pseudonyms(cases)["Smith"]
    said = f"all 3 negatives (well) are of case {hidden}: {remedy}"
    assert case_problems(table, ("well", "sick"), parts, True) == [(said, [])]
    assert case_problems(table, ("well", "sick"), parts, True, show_names=True) == [
        (f"all 3 negatives (well) are of case Smith: {remedy}", [])
    ]


def test_no_message_of_too_few_cases_tells_a_name(tmp_path):
    put(tmp_path, [f"{kind}/Smith_{k}.png" for k, kind in enumerate(["sick", "well"])])
    put(tmp_path, [f"well/Miller{k}_3.png" for k in range(5)])
    lines = complaint(tmp_path, groups="^(?P<case>[^_]+)_", scheme=CrossValidation(5))
    assert len(lines) == 1 and re.search(r"of case C00\d: folds by case are impossible", lines[0])
    assert "Smith" not in lines[0] and "Miller" not in lines[0]


def test_no_case_found_stops_and_asks(tmp_path):
    put(tmp_path, ["sick/1.png", "well/2.png"])
    assert complaint(tmp_path) == [f"2 names that hold no case; {ASK}: 1.png, 2.png"]
    assert len(read_manifest(tmp_path, groups="none")) == 2


def test_bad_regex_and_unknown_column(tmp_path):
    two_classes(tmp_path, 1)
    assert complaint(tmp_path, groups="(")[0].startswith(
        "--groups '(' is not a regular expression from its letter 1 on: write"
    )
    assert "is neither a column" in complaint(tmp_path, groups="patientid")[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f: f / "nothing",
            r"^there is no .*nothing: give a folder of images, a zip or tar, a CSV or a feature table$",
        ),
        (lambda f: f, r"holds no image \(PNG, JPEG, JPEG 2000, TIFF, BMP, WebP, GIF, DICOM\)$"),
        (lambda f: put(f, ["1.png"]), r"has neither class folders nor a table of labels: give --labels FILE$"),
    ],
)
def test_nothing_to_read(tmp_path, make, message):
    with pytest.raises(ManifestError, match=message):
        read_manifest(make(tmp_path))


def test_csvs_that_do_not_serve(tmp_path):
    two_classes(tmp_path, 2)
    (tmp_path / "notes.csv").write_text("scanner,date\nA,2020\n")  # not of labels: left alone
    assert read_manifest(tmp_path).classes == ("sick", "well")
    with pytest.raises(
        ManifestError, match=r"notes\.csv has the columns scanner, date: one of path, name, .* its class"
    ):
        read_manifest(tmp_path, labels=tmp_path / "notes.csv")
    with pytest.raises(
        ManifestError,
        match=r"^there is no .*l\.csv: --labels must be a table \(CSV, Excel or parquet\) of names and classes$",
    ):
        read_manifest(tmp_path, labels=tmp_path / "l.csv")
    for name, label in (("l1.csv", 1), ("l2.csv", 0)):
        (tmp_path / name).write_text(f"name,label\ncase0_s.png,{label}\n")
    with pytest.raises(
        ManifestError,
        match=r"holds several tables of labels \(l1\.csv, l2\.csv\): say with --labels which one is right$",
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00,\x80\n"])
def test_a_broken_csv_in_the_folder_is_named(tmp_path, content):
    two_classes(tmp_path, 2)
    (tmp_path / "broken.csv").write_bytes(content)
    with pytest.raises((ManifestError, TableError), match=r"broken\.csv"):
        read_manifest(tmp_path)


def test_a_file_that_vanishes_is_a_problem_and_no_traceback(tmp_path):
    two_classes(tmp_path, 2)
    (tmp_path / "sick" / "case5_x.png").symlink_to(tmp_path / "nowhere.png")
    look = "check that they exist and may be read, or move them out of DATA"
    assert complaint(tmp_path) == [f"1 file that cannot be opened: case5_x.png ({look})"]


def test_shared_glomeruli_say_that_folds_by_case_are_impossible():
    data = SHARED / "glomeruli_images"
    if not data.is_dir():
        pytest.skip("../shared/data/glomeruli_images is not beside the checkout")
    assert complaint(data, scheme=CrossValidation(5)) == [
        "all 20 negatives (non_globally_sclerotic_glomeruli) are of case C004: folds by case are impossible; "
        f"add cases{ARE_PATIENTS}"
    ]
    assert len(read_manifest(data, scheme=CrossValidation(5), groups="none")) == len(list(data.glob("*/*.png")))


def test_shared_breakhis_by_patient():
    data = SHARED / "breakhis_200x"
    if not data.is_dir():
        pytest.skip("../shared/data/breakhis_200x is not beside the checkout")
    manifest = read_manifest(data, groups=r"^(?P<slide>[a-z_]+_(?P<case>\d+)[A-Z]*)_", scheme=CrossValidation(5))
    assert manifest.classes == ("benign", "malignant") and manifest.table["case"].nunique() == 28
    assert np.bincount(manifest.labels).tolist() == [len(list((data / kind).iterdir())) for kind in manifest.classes]


def test_names_of_files_keep_their_order_and_hidden_ones_are_left_out(tmp_path):
    files = ["a-b/1.png", "a/2.png", "a/deep/3.PNG", "b/1.png"]
    put(tmp_path, [*reversed(files), ".hidden/4.png", "a/.5.png"])
    (tmp_path / "a" / "notes.txt").write_text("no image")
    table = read_manifest(tmp_path, groups="none").table
    assert sorted(table["name"]) == sorted(files)
    for name, path in zip(table["name"], table["path"], strict=True):
        assert Path(path) == tmp_path / name and Path(path).is_file()
