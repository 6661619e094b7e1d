"""Tables of labels as people have them."""

from unicodedata import normalize

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.cases import pseudonyms
from glomfeat.data.embeddings import open_rows
from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.read import CASE_COLUMNS, LABEL_COLUMNS, TableError

NAMES = [f"case{k // 2}_{k}.png" for k in range(8)]
LABELS = ["GS", "no"] * 4


def write(folder, columns, name="labels.csv", **options):
    pd.DataFrame(columns).to_csv(folder / name, index=False, **options)
    return folder / name


@pytest.mark.parametrize("label", ["label", " LABEL ", "Ground-Truth", "class", "diagnosis", "Target", "category"])
@pytest.mark.parametrize(
    "name", ["name", "File Name", "file_name", "Image_Path", "filename", "ID", "Image", "slide_id"]
)
def test_headers_without_case_blanks_and_punctuation(tmp_path, name, label):
    write(put(tmp_path, NAMES), {name: NAMES, label: LABELS})
    manifest = read_manifest(tmp_path)
    assert manifest.table["name"].tolist() == NAMES and manifest.table["case"].nunique() == 4
    assert [manifest.classes[k] for k in manifest.labels] == LABELS


@pytest.mark.parametrize(
    "case", ["Patient ID", " patient_id ", "PatientID", "case_id", "Patient No.", "Subject", "Donor ID"]
)
def test_a_column_that_looks_like_a_patient_beats_names(tmp_path, case):
    write(put(tmp_path, NAMES), {"name": NAMES, "label": LABELS, case: ["a"] * 4 + ["b"] * 4})
    manifest = read_manifest(tmp_path)
    assert manifest.table["case"].nunique() == 2 and manifest.said[1].startswith("cases: column ")


def test_a_column_that_may_be_a_patient_is_named_with_its_number(tmp_path):
    write(put(tmp_path, NAMES), {"name": NAMES, "label": LABELS, "Biopsy group": ["a"] * 4 + ["b"] * 4})
    manifest = read_manifest(tmp_path)
    warned = [
        line for line in manifest.said if line.startswith("warning: column 'Biopsy group' gives 2 cases and from n")
    ]
    assert len(warned) == 1 and warned[0].endswith(" 4: if it tells patients apart, use --groups 'Biopsy group'")
    assert read_manifest(tmp_path, groups="biopsy GROUP").table["case"].nunique() == 2


def test_where_names_hold_no_case_columns_that_could_are_offered(tmp_path):
    names = [f"{k}.png" for k in range(8)]
    write(put(tmp_path, names), {"name": names, "label": LABELS, "Group_ID": list("aabbccdd")})
    assert "; --groups 'Group_ID' gives 4 cases: 0.png, 1.png" in complaint(tmp_path)[0]


def test_a_pattern_that_leaves_out_letters_that_differ_is_answered_with_examples(tmp_path):
    put(tmp_path, [f"{kind}/{ward}{k}_{kind[0]}.png" for kind in ("sick", "well") for ward in "AB" for k in range(3)])
    asked = {"groups": r"(?P<case>\d)_"}
    hidden = pseudonyms("012")["0"]
    for shown, said in (
        (hidden, read_manifest(tmp_path, **asked).said),
        ("0", read_manifest(tmp_path, show_names=True, **asked).said),
    ):
        both = f"'A[{shown}]_s.png' and 'B[{shown}]_s.png' are both case {shown}, which is preceded by 'A' and by 'B'; "
        assert any(both in line for line in said)
    said = read_manifest(tmp_path, groups=r"^(?P<slide>[AB](?P<case>\d))_").said
    assert not any(line.startswith("warning") for line in said), "what is in the slide was seen"
    with pytest.raises(
        ManifestError, match=r"6 names that .* does not match, which fits the others \(A0_s\.png -> A0, "
    ):
        read_manifest(tmp_path, groups=r"(?P<case>A\d)_")


def test_letters_after_the_case_that_differ_are_named(tmp_path):
    put(
        tmp_path,
        [f"{kind}/carcinoma_{k}{'D' if kind == 'sick' else ''}_{k}.png" for kind in ("sick", "well") for k in "12"],
    )
    said = read_manifest(tmp_path, groups=r"_(?P<case>\d)").said
    assert any("which is followed by 'D' and by nothing; widen" in line for line in said)


@pytest.mark.parametrize(("cases", "warned"), [(["ductal", "lobular"], True), (["P001", "P002"], False)])
def test_cases_of_file_names_without_a_digit_are_doubted(tmp_path, cases, warned):
    names = [f"{case}_{k}{kind}.png" for case in cases for kind in ("sick", "well") for k in range(2)]
    put(tmp_path, [f"{'sick' if 'sick' in name else 'well'}/{name}" for name in names])
    said = read_manifest(tmp_path, groups="^(?P<case>[^_]+)_").said
    doubt = "warning: none of the 2 cases has a digit in its name: check with --show-names that cases are patients"
    assert (doubt in said) == warned and any("a digit" in line for line in said) == warned


def test_labels_that_differ_by_case_or_blanks_are_one_class(tmp_path):
    spelt = ["GS", "gs", " Non GS", "nonGS", "GS ", "gS", "non gs", "GS"]
    write(put(tmp_path, NAMES), {"name": NAMES, "label": spelt})
    manifest = read_manifest(tmp_path, positive="gs")
    assert manifest.classes == ("Non GS", "GS") and manifest.labels.tolist() == [1, 1, 0, 0, 1, 1, 0, 1]
    warned = [line for line in manifest.said if line.startswith("warning: ")]
    assert warned[0] == (
        "warning: 'GS' (3) and 'gS' (1) and 'gs' (1) differ by case, blanks or the form of letters and are one class, "
        "'GS'"
    )
    assert len(warned) == 2


def test_labels_that_differ_by_a_blank_that_is_never_seen_are_one_class(tmp_path):
    write(put(tmp_path, NAMES), {"name": NAMES, "label": ["GS", "no", "GS\u200b", "\ufeffno", *LABELS[4:]]})
    manifest = read_manifest(tmp_path, positive="GS")
    assert manifest.classes == ("no", "GS") and manifest.labels.tolist() == [1, 0] * 4


def test_class_folders_that_differ_by_case_are_one_class(tmp_path):
    put(tmp_path, [f"{('GS', 'no', 'gs', 'no')[k % 4]}/{name}" for k, name in enumerate(NAMES)])
    assert read_manifest(tmp_path).classes == ("no", "GS")


@pytest.mark.parametrize("usual", ["NFC", "NFD"])
def test_class_folders_whose_accents_are_stored_in_two_ways_are_one_class(tmp_path, usual):
    common, other = (
        normalize(usual, "scl\u00e9ros\u00e9"),
        normalize({"NFC": "NFD"}.get(usual, "NFC"), "scl\u00e9ros\u00e9"),
    )
    put(tmp_path, [f"{(common, 'no', common, 'no', other, 'no')[k % 6]}/{name}" for k, name in enumerate(NAMES)])
    manifest = read_manifest(tmp_path, positive=other)
    assert manifest.classes == ("no", common) and manifest.labels.tolist() == [1, 0] * 4
    assert any(line.endswith(f"the form of letters and are one class, {common!r}") for line in manifest.said)


def test_two_columns_of_classes_that_disagree_stop_the_run(tmp_path):
    columns = {"name": NAMES, "label": LABELS, "ground truth": ["1", "0"] * 4}
    write(put(tmp_path, NAMES), columns)
    assert read_manifest(tmp_path).classes == ("no", "GS")  # one tells the other
    columns["ground truth"] = ["1", "0"] * 3 + ["1", "1"]
    write(tmp_path, columns)
    said = (
        r"^labels\.csv: columns 'label' and 'ground truth' are both classes and disagree in 1 row \(row 8: no and 1\)"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, asked=Asked(label="ground truth")).classes == ("0", "1")


def test_a_column_that_tells_something_else_is_named(tmp_path):
    columns = {"name": NAMES, "label": LABELS, "diagnosis": ["IgA", "DM", "DM", "FSGS", "FSGS", "IgA", "DM", "IgA"]}
    write(put(tmp_path, NAMES), columns)
    said = read_manifest(tmp_path).said
    assert "column 'diagnosis' of labels.csv tells something else than 'label', which is used as the class" in said


@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".xlsx"])
def test_other_tables_in_the_folder_are_found(tmp_path, suffix):
    frame = pd.DataFrame({"name": NAMES, "label": LABELS})
    put(tmp_path, NAMES)
    if suffix == ".xlsx":
        frame.to_excel(tmp_path / "labels.xlsx", index=False)
    else:
        frame.to_csv(tmp_path / f"labels{suffix}", sep="\t", index=False)
    (tmp_path / "notes.txt").write_bytes(b"\x00\x01 no table")
    manifest = read_manifest(tmp_path)
    assert [manifest.classes[k] for k in manifest.labels] == LABELS
    other = write(tmp_path, {"name": NAMES, "label": ["x", "y"] * 4}, "others.csv")
    with pytest.raises(ManifestError, match=rf"several tables of labels \(others\.csv, labels\{suffix}\): say with"):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, other).classes == ("x", "y")


def test_a_table_of_something_else_does_not_get_in_the_way(tmp_path):
    put(tmp_path, [f"{kind}/{name}" for kind, name in zip(LABELS, NAMES, strict=True)])
    write(tmp_path, {"id": ["P1", "P2"], "diagnosis": ["IgA", "DM"]}, "patients.csv")
    assert read_manifest(tmp_path).classes == ("no", "GS")


def test_names_with_drives_and_backslashes(tmp_path):
    put(tmp_path / "data", [f"{kind}/{k}.png" for kind in ("sick", "well") for k in range(4)])
    names = [rf"C:\Users\me\data\{kind}\{k}.png" for kind in ("sick", "well") for k in range(4)]
    csv = write(tmp_path / "data", {"path": names, "label": [0] * 4 + [1] * 4, "case": list("abcd") * 2})
    for data in (tmp_path / "data", csv):
        manifest = read_manifest(data)
        assert len(manifest) == 8 and sorted(manifest.labels.tolist()) == [0] * 4 + [1] * 4


def test_names_that_fit_several_files_are_said(tmp_path):
    put(tmp_path, ["a/1.png", "b/1.png", "b/2.png"])
    write(tmp_path, {"name": ["1", "2"], "label": [0, 1]})
    lines = complaint(tmp_path, groups="none")
    assert "1 name in labels.csv that fits several files: write them with their folders: 1" in lines


@pytest.mark.parametrize("write_name", [str, lambda name: f"C:\\data\\{name}".replace("/", "\\")])
def test_labels_of_a_patient_without_files_are_not_those_of_a_patient_without_labels(tmp_path, write_name):
    names = [f"patient{patient}/{k}.png" for patient in range(1, 6) for k in range(4)]
    put(tmp_path / "images", [name for name in names if "patient2" not in name])
    rows = [name for name in names if "patient4" not in name]
    write(tmp_path, {"name": map(write_name, rows), "label": ["GS", "no"] * 8})
    first, second = complaint(tmp_path / "images", labels=tmp_path / "labels.csv")
    assert first.startswith("4 labels of labels.csv without a file: ") and write_name("patient2/0.png") in first
    assert second.startswith("4 files without a label in labels.csv: patient4/0.png")


def test_paths_that_lead_nowhere_are_not_those_of_another_patient(tmp_path):
    put(tmp_path, [*(f"patient{patient}/1.png" for patient in range(6)), "patient6/2.png"])
    rows = [*(f"patient{patient}/1.png" for patient in range(6)), "patient7/2.png"]
    write(tmp_path, {"path": rows, "label": ["GS", "no", "GS", "no", "GS", "no", "GS"]}, "m.csv")
    assert complaint(tmp_path / "m.csv")[0].startswith("1 label without a file: patient7/2.png (")


@pytest.mark.parametrize(("of_files", "of_labels"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_one_letter_however_they_are_stored(tmp_path, of_files, of_labels):
    names = [name.replace("_", "_\u00e9") for name in NAMES]
    put(tmp_path, [normalize(of_files, name) for name in names])
    write(tmp_path, {"name": [normalize(of_labels, name) for name in names], "label": LABELS})
    manifest = read_manifest(tmp_path)
    assert manifest.labels.tolist() == [LABELS.index(manifest.classes[-1]) == k % 2 for k in range(8)]


def test_labels_of_clam(tmp_path):
    folder = tmp_path / "h5_files"
    folder.mkdir()
    slides = [f"slide_{k}" for k in range(8)]
    for slide in slides:
        with h5py.File(folder / f"{slide}.h5", "w") as file:
            file["features"], file["coords"] = np.random.default_rng(0).normal(size=(5, 3)), np.arange(10).reshape(5, 2)
    columns = {"case_id": [f"patient_{k // 2}" for k in range(8)], "slide_id": slides, "label": ["tumor", "normal"] * 4}
    csv = write(tmp_path, columns)
    manifest = read_manifest(folder, csv)
    assert manifest.table["name"].tolist() == slides and manifest.table["case"].nunique() == 4
    assert manifest.classes == ("normal", "tumor") and manifest.said[1] == "cases: column case_id"


@pytest.mark.parametrize("given", ["clini.csv", "slide.csv", None])
@pytest.mark.parametrize("images", [True, False])
def test_the_two_tables_of_stamp(tmp_path, given, images):
    folder = tmp_path / "data"
    files = [f"slide{k}{'.png' if images else '.h5'}" for k in range(8)]
    put(folder, files if images else [])
    folder.mkdir(exist_ok=True)
    if not images:
        for name in files:
            with h5py.File(folder / name, "w") as file:
                file["feats"] = np.ones((2, 3), np.float16)
    where = folder if given is None else tmp_path
    write(where, {"PATIENT": ["P1", "P1", "P2", "P2", "P3", "P3", "P4", "P4"], "FILENAME": files}, "slide.csv")
    clini = {"PATIENT": ["P1", "P2", "P3"], "isMSIH": ["MSIH", "nonMSIH", "MSIH"], "AGE": [61.5, 70.2, 66.1]}
    write(where, clini | {"AGE": [61.5, 70.2, 70.2]}, "clini.csv")
    asked = Asked(label="isMSIH")
    manifest = read_manifest(folder, None if given is None else where / given, asked=asked)
    assert len(manifest) == 6 and manifest.table["case"].nunique() == 3 and manifest.classes == ("nonMSIH", "MSIH")
    assert any("2 files of patients without it are left out" in line for line in manifest.said)


def test_tables_that_are_not_taken_for_labels_are_named(tmp_path):
    names = [f"patient{k}_1.png" for k in range(4)]
    for k, name in enumerate(names):
        (tmp_path / name).write_bytes(encode_png(np.full((4, 4, 3), k, np.uint8)))
    rows = "".join(f"{name},{'ab'[k % 2]}\n" for k, name in enumerate(names))
    (tmp_path / "l.csv").write_text("Bild,Befund\n" + rows)
    (tmp_path / "old.xls").write_bytes(b"?")
    said = (
        r"has neither class folders nor a table of labels: give --labels FILE; l\.csv has the columns Bild, Befund; "
        r"old\.xls is no table that is read, save it as \.xlsx or \.csv, and --name-column and --label-column say "
        r"which names images and which holds classes$"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert len(read_manifest(tmp_path, asked=Asked("Bild", "Befund"))) == 4
    (tmp_path / "l.csv").rename(tmp_path / "LABELS.CSV")
    (tmp_path / "LABELS.CSV").write_text("Image,Diagnosis\n" + rows)
    assert len(read_manifest(tmp_path)) == 4
    (tmp_path / "LABELS.CSV").write_text("Image,Diagnosis\n")
    with pytest.raises(ManifestError, match=r"LABELS\.CSV holds a header but no rows: save it again with its rows$"):
        read_manifest(tmp_path)


def test_windows_paths_in_a_table_that_is_given(tmp_path):
    (tmp_path / "x").mkdir()
    rows = []
    for k in range(4):
        (tmp_path / "x" / f"patient{k}_1.png").write_bytes(encode_png(np.full((4, 4, 3), k, np.uint8)))
        rows.append(f"C:\\data\\x\\patient{k}_1.png,{'ab'[k % 2]}\n")
    (tmp_path / "m.csv").write_text("path,label\n" + "".join(rows))
    assert read_manifest(tmp_path / "m.csv").table["case"].tolist() == [f"patient{k}" for k in range(4)]


def test_what_is_no_data_set_is_said_in_a_sentence(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_png(np.zeros((4, 4, 3), np.uint8)))
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    for data, said in (
        (tmp_path / "a.png", r"a\.png is a single image: give the folder that holds those of all classes$"),
        ("https://example.org/a.zip", r"^https://example\.org/a\.zip is an address: download what is there, and give "),
        (
            tmp_path / "a.npz",
            r"images in it must be called train_images and their classes train_labels; save numbers ",
        ),
    ):
        with pytest.raises((ManifestError, TableError), match=said):
            read_manifest(data)


def test_a_class_of_patients_that_cannot_be_guessed_is_asked_for(tmp_path):
    put(tmp_path, NAMES)
    write(tmp_path, {"PATIENT": list("aabbccdd"), "FILENAME": NAMES}, "slide.csv")
    write(tmp_path, {"PATIENT": list("abcd"), "KRAS": [0, 1, 0, 1], "SEX": list("mfmf")}, "clini.csv")
    said = (
        r"clini\.csv does not say which column holds the classes \(KRAS \(2 values\), SEX \(2 values\)\): say it with"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path, asked=Asked(label="kras")).classes == ("0", "1")


def test_columns_that_the_user_names(tmp_path):
    write(put(tmp_path, NAMES), {"bild": [name.removesuffix(".png") for name in NAMES], "befund": LABELS, "alter": 3})
    csv = tmp_path / "labels.csv"
    with pytest.raises(
        ManifestError, match=r"has the columns bild, befund, alter: one of .* --name-column and --label-c"
    ):
        read_manifest(tmp_path, csv)
    manifest = read_manifest(tmp_path, csv, asked=Asked("Bild", "befund"))
    assert [manifest.classes[k] for k in manifest.labels] == LABELS
    assert "columns that are not used: alter" in manifest.said
    with pytest.raises(
        TableError, match=r"^--name-column 'gone' is no column of labels\.csv: allowed are bild, befund, al"
    ):
        read_manifest(tmp_path, csv, asked=Asked("gone", "befund"))


def qupath(rows=12, object_id=True):
    """Measurements as QuPath exports them."""
    rng, frame = np.random.default_rng(0), {}
    frame["Image"] = [f"case{k // 2}_PAS.svs" for k in range(rows)]
    if object_id:
        frame["Object ID"] = [f"0a{k:02d}-11ee" for k in range(rows)]
    frame |= {"Object type": "Annotation", "Name": "", "Classification": ["GS", "nonGS"] * (rows // 2)}
    frame |= {"Parent": "Root object (Image)", "ROI": "Polygon"}
    frame |= {f"Centroid {axis} µm": rng.uniform(0, 9e4, rows).round(2) for axis in "XY"}
    return pd.DataFrame(frame | {"Area µm^2": rng.normal(9e3, 1e3, rows), "Circularity": rng.uniform(0.5, 1, rows)})


@pytest.mark.parametrize("object_id", [True, False])
@pytest.mark.parametrize(("separator", "suffix"), [("\t", ".tsv"), (",", ".csv"), ("\t", ".txt")])
def test_measurements_of_qupath(tmp_path, object_id, separator, suffix):
    path = tmp_path / f"measurements{suffix}"
    qupath(object_id=object_id).to_csv(path, sep=separator, index=False)
    manifest = read_manifest(path)
    assert manifest.classes == ("nonGS", "GS") and len(manifest) == 12 and manifest.table["case"].nunique() == 6
    assert open_rows(path).columns == ["Area µm^2", "Circularity"]
    assert {"Centroid X µm", "Centroid Y µm"} <= {c for c, why in open_rows(path).left.items() if why == "a place"} or (
        not object_id
    )


def test_objects_of_cellprofiler(tmp_path):
    rng, k = np.random.default_rng(0), np.arange(12)
    columns = {"ImageNumber": k // 2 + 1, "ObjectNumber": k % 2 + 1, "FileName_PAS": [f"case{n // 2}.tif" for n in k]}
    columns |= {"Metadata_Class": ["a", "b"] * 6, "Metadata_Well": 7 * k, "AreaShape_Area": rng.normal(size=12)}
    columns |= {"AreaShape_BoundingBoxMaximum_X": 3 * k, "AreaShape_Center_Y": 2 * k, "Location_Center_X": k}
    columns |= {"Parent_Kidney": 1, "Intensity_MeanIntensity_PAS": rng.normal(size=12), "Number_Object_Number": k}
    path = write(tmp_path, columns, "Glomeruli.csv")
    manifest = read_manifest(path)
    assert manifest.table["name"].tolist()[:2] == ["case0_1", "case0_2"] and manifest.table["case"].nunique() == 6
    assert open_rows(path).columns == ["AreaShape_Area", "Intensity_MeanIntensity_PAS"]


def test_notes_of_pyradiomics(tmp_path):
    columns = {"Image": NAMES, "Mask": NAMES, "label": LABELS, "diagnostics_Image-original_Mean": range(8)}
    path = write(tmp_path, columns | {"original_shape_Sphericity": np.arange(8) / 9})
    assert open_rows(path).columns == ["original_shape_Sphericity"]


def test_words_for_headers_are_told_apart():
    assert not {*CASE_COLUMNS} & {*LABEL_COLUMNS}
