"""Tables of labels that say something twice: images with several rows, and several columns of classes."""

import os

import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.schemes import find_scheme
from glomfeat.data.tables.columns import Asked

NAMES = [f"case{k // 2}_{k}.png" for k in range(8)]
LABELS = ["GS", "no"] * 4


def table(path, names=NAMES, labels=LABELS, **columns):
    """A table of labels whose last row is an image's second one."""
    rows = pd.DataFrame({"name": [*names], "label": [*labels], **columns})
    rows.to_csv(path, index=False)
    return path


def twice(values, last):
    return [*values, last]


@pytest.mark.parametrize("column", ["patient", "slide", "Scanner"])
def test_an_image_whose_rows_differ_in_what_it_belongs_to_is_refused(tmp_path, column):
    put(tmp_path, NAMES)
    values = list("aabbccdd")
    columns = {"patient": list("aabbccdda"), column: twice(values, "d")}
    table(tmp_path / "labels.csv", twice(NAMES, NAMES[0]), twice(LABELS, LABELS[0]), **columns)
    said = (
        f"1 image with several rows in labels.csv that differ in column '{column}': keep one row of each: case0_0.png"
    )
    assert complaint(tmp_path) == [said]
    table(tmp_path / "labels.csv", twice(NAMES, NAMES[0]), twice(LABELS, LABELS[0]), **{column: twice(values, "a")})
    manifest = read_manifest(tmp_path)
    assert "1 row of labels.csv repeats an image: left out" in manifest.said and len(manifest) == 8


def test_an_image_in_two_parts_of_a_split_that_is_asked_for_is_refused(tmp_path):
    put(tmp_path, NAMES)
    parts = ["train"] * 4 + ["test"] * 4
    table(
        tmp_path / "labels.csv",
        twice(NAMES, NAMES[0]),
        twice(LABELS, LABELS[0]),
        set=twice(parts, "test"),
        age=range(9),
    )
    scheme = find_scheme("given:set", 2)
    (said,) = complaint(tmp_path, scheme=scheme, asked=Asked(but=("set",)))
    assert (
        said == "1 image with several rows in labels.csv that differ in column 'set': keep one row of each: case0_0.png"
    )
    manifest = read_manifest(tmp_path)  # neither column is used
    assert "1 row of labels.csv repeats an image: left out" in manifest.said and len(manifest) == 8
    asked = Asked(uses=(("age", "--subgroups groups by it"),))
    assert "differ in column 'age'" in complaint(tmp_path, asked=asked, subgroups=("age",))[0]


def test_labels_of_a_feature_table_that_name_a_row_twice(tmp_path):
    pd.DataFrame({"name": NAMES, "f": range(8)}).to_csv(tmp_path / "t.csv", index=False)
    given = table(tmp_path / "labels.csv", twice(NAMES, NAMES[0]), twice(LABELS, "gs"), patient=list("aabbccddd"))
    said = "1 image with several rows in labels.csv that differ in column 'patient': keep one row of each: case0_0.png"
    with pytest.raises(ManifestError) as error:
        read_manifest(f"file:{tmp_path / 't.csv'}", given)
    assert str(error.value).endswith(f": 1 problem\n- {said}")


@pytest.mark.parametrize("inside", [True, False])
def test_a_file_that_is_named_in_several_ways_counts_once(tmp_path, monkeypatch, inside):
    folder = put(tmp_path / "data", NAMES)
    monkeypatch.chdir(folder if inside else tmp_path)
    names = [*NAMES, f"./{NAMES[0]}", os.path.join("..", "data", NAMES[1]), str(folder / NAMES[2]), rf"D:\x\{NAMES[3]}"]  # noqa: PTH118 (Path drops the dot)
    frame = pd.DataFrame({"path": names, "label": [*LABELS, *LABELS[:4]]})
    frame.iloc[:-1].to_csv(folder / "labels.csv", index=False)
    source = "labels.csv" if inside else "data/labels.csv"
    manifest = read_manifest(source)
    assert "3 rows of labels.csv repeat an image: left out" in manifest.said
    assert manifest.table["name"].tolist() == NAMES and manifest.table["digest"].nunique() == 8
    frame.to_csv(folder / "labels.csv", index=False)
    assert complaint(source)[0].startswith(r"1 label without a file: D:\x")
    frame.iloc[:-1].assign(label=[*LABELS, "no", *LABELS[1:3]]).to_csv(folder / "labels.csv", index=False)
    assert complaint(source) == [f"2 rows of images under two labels: ./{NAMES[0]}, {NAMES[0]}"]


@pytest.mark.parametrize(
    "header", ["name,label,label", "name,label,Label", "name,Class,CLASS", "name,label,Metadata_label"]
)
@pytest.mark.parametrize("prefix", ["", "file:"])
def test_columns_of_one_header_that_disagree_stop_the_run(tmp_path, header, prefix):
    first, second = header.split(",")[1:]
    second = "label.1" if first == second else second  # as pandas calls it
    path = put(tmp_path, NAMES) / "labels.csv"

    def write(others):
        pairs = zip(NAMES, LABELS, others, strict=True)
        path.write_text("\n".join([f"{header},f0", *(f"{','.join(pair)},{k * 1.5}" for k, pair in enumerate(pairs))]))

    write(LABELS)
    assert read_manifest(f"{prefix}{path}").classes == ("no", "GS")
    write([*LABELS[:6], "no", "no"])
    with pytest.raises(ManifestError) as error:
        read_manifest(f"{prefix}{path}")
    assert str(error.value) == (
        f"labels.csv: columns {first!r} and {second!r} are both classes and disagree in 1 row (row 7: GS and no); say "
        "with --label-column which one is right, or take the other out"
    )


@pytest.mark.parametrize("swapped", [8, 6])
def test_rows_are_named_in_which_columns_of_the_same_classes_disagree(tmp_path, swapped):
    other = {"GS": "no", "no": "GS"}
    second = [other[label] if k < swapped else label for k, label in enumerate(LABELS)]
    table(put(tmp_path, NAMES) / "labels.csv", **{"ground truth": second})
    shown = "; ".join(f"row {k + 1}: {LABELS[k]} and {second[k]}" for k in range(5))
    with pytest.raises(ManifestError, match=rf"are both classes and disagree in {swapped} rows \({shown}\); say with"):
        read_manifest(tmp_path)
    table(tmp_path / "labels.csv", **{"ground truth": [label.lower() for label in LABELS]})
    assert read_manifest(tmp_path).classes == ("no", "GS")
