"""What spreadsheets leave in tables of labels: bare rows, titles, legends, numbers; and columns that mislead."""

import openpyxl
import pandas as pd
import pytest
from helpers.images import complaint, put

from glomfeat.data.labels.classes import class_numbers, clean_label, order_classes
from glomfeat.data.locate import NoClassesError
from glomfeat.data.manifest import ManifestError, read_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.read import TableError

NAMES = [f"case{k // 2}_{k}.png" for k in range(8)]
LABELS = ["GS", "no"] * 4
ROWS = "".join(f"{name},{label},{k}\n" for k, (name, label) in enumerate(zip(NAMES, LABELS, strict=True)))


@pytest.mark.parametrize("bare", [",,\n", ",,\n" * 3, ";;\n;;"])
def test_bare_rows_at_the_end_say_nothing(tmp_path, bare):
    text = "name,grade,age\n" + ROWS
    text = text.replace(",", ";") if ";" in bare else text
    (put(tmp_path, NAMES) / "labels.csv").write_text(text + bare)
    asked = Asked(label="grade", uses=(("age", "--subgroups groups by it"),))
    assert len(read_manifest(tmp_path, asked=asked)) == 8
    assert len(read_manifest(f"file:{tmp_path / 'labels.csv'}", asked=Asked(label="grade"))) == 8


def test_a_table_of_nothing_but_bare_rows_has_no_rows(tmp_path):
    (put(tmp_path, NAMES) / "labels.csv").write_text("name,label\n,\n,\n")
    with pytest.raises(ManifestError, match=r"labels\.csv holds a header but no rows: save it again with its rows$"):
        read_manifest(tmp_path)


def test_a_bare_row_in_between_keeps_its_number(tmp_path):
    first, rest = ROWS.split("\n", 1)
    (tmp_path / "t.csv").write_text(f"name,label,area\n{first}\n,,\n{rest.replace(',5', ',?')},,\n")
    with pytest.raises(ManifestError, match=r"column 'area' holds '\?' in row 7 \(case2_5\.png\)"):
        read_manifest(tmp_path / "t.csv")


@pytest.mark.parametrize("title", ["Cohort 2021\n", "Cohort 2021,,\n", "# exported in 2021\n"])
def test_a_title_above_the_header_is_named(tmp_path, title):
    (put(tmp_path, NAMES) / "labels.csv").write_text(f"{title}image,label,age\n{ROWS}")
    for given in (None, tmp_path / "labels.csv"):
        with pytest.raises(ManifestError, match=r"has the columns .*2021.* \(delete the rows above the header\)"):
            read_manifest(tmp_path, given)


@pytest.mark.parametrize(("name", "label"), [("", ""), ("Dateiname", ""), ("Dateiname", "Befund")])
def test_titles_above_a_header_of_any_language_are_named(tmp_path, name, label):
    book = openpyxl.Workbook()
    rows = (("Biopsien", None), ("Angaben", None), ("Dateiname", "Befund"), *zip(NAMES, LABELS, strict=True))
    for row in rows:
        book.active.append([None, *row])
    put(tmp_path, NAMES)
    book.save(tmp_path / "labels.xlsx")
    said = r"Biopsien \(the first row must hold the headers: delete what is above them\)"
    with pytest.raises((ManifestError, TableError), match=said):
        read_manifest(tmp_path, tmp_path / "labels.xlsx", asked=Asked(name, label))
    book.active.delete_rows(1, 2)
    book.save(tmp_path / "labels.xlsx")
    if label:
        assert len(read_manifest(tmp_path, tmp_path / "labels.xlsx", asked=Asked(name, label))) == 8
    else:  # an empty column in front is no title
        with pytest.raises(ManifestError, match="has the columns Unnamed: 0, Dateiname, Befund: one of"):
            read_manifest(tmp_path, tmp_path / "labels.xlsx", asked=Asked(name, label))


def test_a_legend_in_front_of_the_sheet_of_labels_is_named(tmp_path):
    book = openpyxl.Workbook()
    for row in (("code", "meaning"), (0, "normal"), (1, "GS")):
        book.active.append(row)
    sheet = book.create_sheet("data")
    for row in (("image", "label"), *zip(NAMES, LABELS, strict=True)):
        sheet.append(row)
    put(tmp_path, NAMES)
    book.save(tmp_path / "labels.xlsx")
    said = r"has the columns code, meaning \(sheet 'Sheet' is read: put the sheet of labels first\), and --name-"
    with pytest.raises(NoClassesError, match=said):
        read_manifest(tmp_path)


def test_a_number_is_one_class_however_many_zeros_stand_behind_its_point():
    assert [clean_label(text) for text in ("1", "1.0", " 1.00", 1.0, "-1.0")] == ["1", "1", "1", "1", "-1"]
    assert [clean_label(text) for text in ("1.01", "v1.0", "1.", "1,00")] == ["1.01", "v1.0", "1.", "1,00"]


def test_classes_that_look_like_numbers_but_are_none(tmp_path):
    names = [f"{kind}/patient{k}_1.png" for kind in "①②" for k in range(3)]
    assert read_manifest(put(tmp_path, names)).classes == ("①", "②")
    assert order_classes({"10", "9", "-1", "²"}, "9", []) == ("-1", "10", "²", "9")
    assert order_classes({"--1", "1", "01", "0"}, "1", []) == ("0", "01", "--1", "1")
    assert class_numbers(pd.Series(["1", "0"]), ["①", "②"]).tolist() == [1, 0]


@pytest.mark.parametrize("columns", [("Name", "Image"), ("file", "crop"), ("path", "image_id")])
def test_a_column_that_names_no_image_is_one_problem_with_its_remedy(tmp_path, columns):
    other, images = columns
    names = [name.removesuffix(".png") for name in NAMES] if images == "image_id" else NAMES
    frame = pd.DataFrame({other: [f"Kim {k // 3}" for k in range(8)], images: names, "label": LABELS})
    frame.to_csv(put(tmp_path, NAMES) / "labels.csv", index=False)
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path)
    said = f"{other!r} of labels.csv names no image, and {images!r} does: say --name-column {images!r}"
    assert str(error.value) == said
    assert len(read_manifest(tmp_path, asked=Asked(name=images))) == 8


def test_names_of_no_image_are_not_called_images_under_two_labels(tmp_path):
    frame = pd.DataFrame({"name": [f"Kim {k // 3}" for k in range(8)], "label": LABELS})
    frame.to_csv(put(tmp_path, NAMES) / "labels.csv", index=False)
    said = complaint(tmp_path)
    assert [line.partition(":")[0] for line in said] == [
        "3 labels of labels.csv without a file",
        "8 files without a label in labels.csv",
        "no image with a label was found",
    ]


def test_a_table_of_labels_in_a_folder_beside_its_images_is_not_read_as_features_without_a_word(tmp_path):
    put(tmp_path, [f"images/{name}" for name in NAMES])
    frame = pd.DataFrame({"path": [f"images/{name}" for name in NAMES], "label": LABELS, "age": range(8)})
    path = tmp_path / "meta" / "labels.csv"
    path.parent.mkdir()
    frame.to_csv(path, index=False)
    said = (
        f"warning: labels.csv names images below {tmp_path} and is read as a table of features: if it holds labels, "
        f"give {tmp_path} as DATA, with --labels {path}; file:{path} says that it holds features"
    )
    assert [line for line in read_manifest(path).said if line.startswith("warning")] == [said]
    assert not any(line.startswith("warning") for line in read_manifest(f"file:{path}").said)
    assert read_manifest(tmp_path, path).source == ""
    frame.assign(path=frame["path"].str.replace("images", "elsewhere")).to_csv(path, index=False)
    assert not any(line.startswith("warning") for line in read_manifest(path).said)
