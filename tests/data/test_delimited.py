"""The same table in whatever encoding and with whatever separator it is written."""

import warnings

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glomfeat.data.embeddings import open_rows
from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.data.tables.delimited import MOST_COLUMNS, look_at
from glomfeat.data.tables.read import HEAD_ROWS, TableError, read_frame

FRAME = pd.DataFrame({"name": ["000", "001", "002"], "label": ["ja", "nein", "ja"], "Größe": [0.5, 1.25, -3.0]})
ENCODINGS = {
    "utf-8": "",
    "utf-8-sig": "",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "latin-1": "latin-1 (Windows-1252)",
}
SEPARATORS = {
    ",": "",
    ";": "semicolons between columns",
    "\t": "tabs between columns",
    "|": "upright bars between columns",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_every_way_of_writing_is_the_same_table_and_is_said(tmp_path, encoding, separator, decimal, suffix):
    if decimal == separator:
        pytest.skip("a decimal comma is no separator")
    path = tmp_path / f"t{suffix}"
    FRAME.to_csv(path, index=False, sep=separator, encoding=encoding, decimal=decimal)
    frame = read_frame(path)
    assert frame.to_dict("list") == FRAME.to_dict("list")
    said = [SEPARATORS[separator], ENCODINGS[encoding], "decimal commas" if decimal == "," else ""]
    assert frame.attrs.get("said", "") == ", ".join(filter(None, said))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_the_line_that_excel_writes_first(tmp_path, end):
    (tmp_path / "t.csv").write_bytes(end.join(["sep=;", "name;label", "a;1", "b;0", ""]).encode())
    assert read_frame(tmp_path / "t.csv").to_dict("list") == {"name": ["a", "b"], "label": ["1", "0"]}


def test_separators_inside_cells_and_headers_do_not_mislead(tmp_path):
    (tmp_path / "t.csv").write_text('name;label;"Area, µm";note\np1;a;0,3;x, y\np2;b;1,5;"u; v"\n', encoding="utf-8")
    frame = read_frame(tmp_path / "t.csv")
    assert frame["Area, µm"].tolist() == [0.3, 1.5] and frame["note"].tolist() == ["x, y", "u; v"]
    (tmp_path / "t.csv").write_text("name,label\na;1.png,x\nb;2.png,y\n")
    assert read_frame(tmp_path / "t.csv")["name"].tolist() == ["a;1.png", "b;2.png"]


def test_thousands_and_a_text_among_decimal_commas(tmp_path):
    (tmp_path / "t.csv").write_text("name;f0;f1\na;1.234,5;0,5\nb;2,0;#DIV/0!\nc;7;1\n")
    frame = read_frame(tmp_path / "t.csv")
    assert frame["f0"].tolist() == [1234.5, 2.0, 7.0] and frame["f1"].tolist() == ["0.5", "#DIV/0!", "1"]


def write_cells(path, separator, columns):
    """A table of names, classes and some columns, given as texts with blanks between their cells."""
    cells = [column.split() for column in columns]
    rows = [["name", "label", *"abc"[: len(cells)]], *zip(*(("p1_0", "p1_1", "p2_0"), "xyx", *cells), strict=True)]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    return path


ONE_SIGN = "write all numbers with one decimal sign, and thousands without a sign"


@pytest.mark.parametrize(
    ("separator", "columns", "found"),
    [
        (";", ["1.500,25 1.234 999,50"], "'1.234' in column 'a' may be 1.234 or 1234, for other cells of the column"),
        (";", ["1.234 999 2.345", "0,5 0,7 1,5"], "1.234 or 1234, for other cells have decimal commas: " + ONE_SIGN),
        (";", ["1.230 2.340 12.345", "0,5 0,7 1,5"], "1.230 or 1230, for other cells have decimal commas"),
        (
            ";",
            ["1.234 999 12.345"],
            "for '999' has no decimals: write thousands without a sign, or all decimals (999.0)",
        ),
        ("\t", ["1,234 987 12,345", "0.5 0.7 0.1"], "1.234 or 1234, for other cells have decimal points: " + ONE_SIGN),
        (
            "\t",
            ["1,234 987 12,345"],
            "for '987' has no decimals: write thousands without a sign, or all decimals (987,0)",
        ),
        ("\t", ["1,234 0.5 987"], "1.234 or 1234, for other cells of the column have points"),
        (
            "\t",
            ["1,234 987 12,345", "0,1 0,2 0,3", "0.1 0.2 0.3"],
            "1.234 or 1234, for other cells have decimal points",
        ),
        ("|", ["-1.234 0,5 0,7"], "-1.234 or -1234, for other cells of the column have commas"),
        (";", ["1,234 987 12,345", "0.5 0.7 0.1"], "1.234 or 1234, for other cells have decimal points"),
        (";", ["1.234 9 2.345", "0,5 0,7 1,5", "5.678 1 2"], "column 'a' (c likewise) may be"),
    ],
)
def test_a_number_that_may_be_thousands_is_refused(tmp_path, separator, columns, found):
    path = write_cells(tmp_path / "t.tsv", separator, columns)
    with pytest.raises(TableError) as error:
        open_rows(path)
    assert str(error.value).startswith("t.tsv: '") and found in str(error.value)
    assert str(error.value).endswith(", or leave the column out with --drop 'a'")
    opened = open_rows(write_cells(tmp_path / "t.tsv", separator, [*columns[1:2], "1 2 4"]))
    assert opened.read(np.arange(3))[:, -1].tolist() == [1, 2, 4]
    with pytest.raises(TableError, match=" may be "):
        read_manifest(f"file:{write_cells(path, separator, columns)}")


@pytest.mark.parametrize(
    ("separator", "columns", "found"),
    [
        (";", ["1,234 987 12,345"], [1.234, 987, 12.345]),  # semicolons stand where the comma is the decimal sign
        (";", ["12,340 23,450 34,567", "0.2 0.3 0.5", "0,2 0,3 0,5"], [12.34, 23.45, 34.567]),
        (";", ["1.234 987.0 12.345"], [1.234, 987, 12.345]),
        (";", ["1.234 0.987 12"], [1.234, 0.987, 12]),
        (";", ["12.340 23.450 34.567"], [12.34, 23.45, 34.567]),  # as printf writes them, perhaps
        (";", ["1.500,25 1.234,00 999,50"], [1500.25, 1234, 999.5]),
        (";", ["0,5 0.7 12,25"], [0.5, 0.7, 12.25]),
        (";", ["10 1000 12345", "1,234 1,2 0,5"], [10, 1000, 12345]),
        ("\t", ["1,234 987,0 12,345"], [1.234, 987, 12.345]),
        ("\t", ["1,234 0,987 12"], [1.234, 0.987, 12]),
        ("\t", ["1,234 9,870 12,345", "0,100 0,200 0,300", "12.03 14.03 1.04"], [1.234, 9.87, 12.345]),
        ("\t", ["1.234 987 12.345", "0.5 0.7 0.1"], [1.234, 987, 12.345]),
        ("\t", ["1.234 987 12.345", "1e-5 2.5e3 0.1"], [1.234, 987, 12.345]),
        (",", ["1.234 987 12.345"], [1.234, 987, 12.345]),
    ],
)
def test_a_number_that_can_only_be_one_is_read(tmp_path, separator, columns, found):
    opened = open_rows(write_cells(tmp_path / "t.csv", separator, columns))
    np.testing.assert_array_equal(opened.read(np.arange(3))[:, 0], np.float32(found))


def test_columns_that_may_hold_thousands_and_do_not_describe_are_only_said(tmp_path):
    columns = ["1.234 999 2.345", "0,5 0,7 1,5"]
    path = write_cells(tmp_path / "t.csv", ";", columns)
    assert (
        open_rows(path, Asked(drop=("a",))).read(np.arange(3)).ravel().tolist() == np.float32([0.5, 0.7, 1.5]).tolist()
    )
    said = "semicolons between columns, decimal commas, '1.234' in a as 1.234"
    assert read_frame(path).attrs["said"] == said
    path.write_text(path.read_text().replace("a;b", "block_id;b"))
    assert open_rows(path).columns == ["b"]


def test_the_first_rows_do_not_decide_what_later_ones_make_clear(tmp_path):
    cells = [*("1.234" if k % 2 else "987" for k in range(HEAD_ROWS)), "0.5"]
    rows = [f"case{k // 4}_{k};{k % 2};{cell}" for k, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join(["name;label;area", *rows, ""]))
    assert "t.csv: 1 column is used: area" in read_manifest(tmp_path / "t.csv").said


def test_names_of_rows_as_r_writes_them_and_separators_at_the_end(tmp_path):
    (tmp_path / "r.csv").write_text('"name","f0"\n"1","a",0.5\n"2","b",1.5\n')
    assert read_frame(tmp_path / "r.csv").to_dict("list") == {"row names": [1, 2], "name": ["a", "b"], "f0": [0.5, 1.5]}
    (tmp_path / "e.csv").write_text("name,label\na,x,\nb,NA,\n")
    assert read_frame(tmp_path / "e.csv").to_dict("list") == {"name": ["a", "b"], "label": ["x", "NA"]}


@pytest.mark.parametrize("column", ["Name", "Patient ID", "block", "Klasse"])
def test_zeros_before_a_number_stay_in_every_column(tmp_path, column):
    (tmp_path / "t.csv").write_text(f"{column},f0\n" + "".join(f"{k:03d},{k}\n" for k in range(5)))
    assert read_frame(tmp_path / "t.csv")[column].tolist() == ["000", "001", "002", "003", "004"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"PK\x03\x04\x00\x01binary", "it is a workbook or an archive; save it as CSV"),
        (bytes(range(256)), "it is not text; save it as CSV"),
        (b"\xff\xfe\x00,\x80\n", "it is not text; save it as CSV"),
        (b"name,label\na,b\nc,d\ne,f,g,h\n", "line 4 has 4 fields and the lines before it have 2"),
        (b'name,label\na,"b\nc,d\n', "a quotation mark is opened and never closed"),
    ],
)
def test_what_is_no_table_is_said_in_our_own_words(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableError) as error:
        read_frame(tmp_path / "t.csv")
    assert str(error.value).startswith("t.csv cannot be read: ") and said in str(error.value)


def test_a_wide_table_is_read_twice_at_the_most_and_in_one_piece(tmp_path, monkeypatch):
    """Each column kept by itself takes minutes at the most columns that are read: pandas warns of it."""
    count, reads, read_csv = 1500, [], pd.read_csv
    header = ",".join(["name", "label", *(f"f{k}" for k in range(count))])
    rows = "".join(f"patient{k}_1,{'ab'[k % 2]}{f',{k}.5' * count}\n" for k in range(4))
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}")
    monkeypatch.setattr(pd, "read_csv", lambda *given, **more: reads.append(1) or read_csv(*given, **more))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_manifest(tmp_path / "t.csv")) == 4
    assert 1 <= len(reads) <= 2


def test_a_million_columns_stop_with_a_word(tmp_path):
    header = ",".join(["name", "label", *(f"f{k}" for k in range(10**6))])
    (tmp_path / "t.csv").write_text(f"{header}\na,1{',0.5' * 10**6}\n")
    with pytest.raises(TableError, match=rf"^t\.csv has 1000002 columns, and text is read up to {MOST_COLUMNS}: save "):
        look_at(tmp_path / "t.csv")


def test_workbooks(tmp_path):
    book = openpyxl.Workbook()
    book.create_sheet("data")
    sheet = book["data"]
    for row in (["Name", "Ground Truth", "area"], ["a.png", 1, 0.5], ["b.png", 0.0, "#DIV/0!"], [7, "gs ", None]):
        sheet.append(row)
    sheet["A4"].number_format = "000"
    book.save(tmp_path / "t.xlsx")
    frame = read_frame(tmp_path / "t.xlsx")
    assert frame["Name"].tolist() == ["a.png", "b.png", "007"] and frame["Ground Truth"].tolist() == ["1", "0", "gs"]
    assert frame["area"].tolist()[:2] == [0.5, "#DIV/0!"] and frame.attrs["said"] == "sheet 'data'"
    (tmp_path / "t.xlsx").write_bytes(b"name,label\n")
    with pytest.raises(TableError, match=r"^t\.xlsx cannot be read: it is not an Excel workbook"):
        read_frame(tmp_path / "t.xlsx")


def test_only_whole_numbers_of_a_workbook_are_shown_with_leading_zeros(tmp_path):
    book = openpyxl.Workbook()
    for row in (["name", "score"], ["a", 7.6], ["b", 7.0], ["c", 12]):
        book.active.append(row)
        book.active.cell(book.active.max_row, 2).number_format = "00"
    book.save(tmp_path / "t.xlsx")
    assert read_frame(tmp_path / "t.xlsx")["score"].tolist() == [7.6, "07", "12"]
    assert open_rows(tmp_path / "t.xlsx").read(np.arange(3)).ravel().tolist() == np.float32([7.6, 7, 12]).tolist()


def test_repeated_headers_of_a_workbook_are_numbered_as_those_of_a_csv(tmp_path):
    header = ["name", "area", "area", "area.1", None, "area", "area"]
    book = openpyxl.Workbook()
    book.active.append(header)
    book.active.append(["a", 1, 2, 3, 4, 5, 6])
    book.save(tmp_path / "t.xlsx")
    (tmp_path / "t.csv").write_text("name,area,area,area.1,,area,area\na,1,2,3,4,5,6\n")
    expected = {"name": "a", "area": 1, "area.2": 2, "area.1": 3, "Unnamed: 4": 4, "area.3": 5, "area.4": 6}
    for kind in ("csv", "xlsx"):
        frame = read_frame(tmp_path / f"t.{kind}")
        assert list(frame.columns) == list(expected) and frame.iloc[0].to_dict() == expected


HEADERS = {
    "name": ["name", "Name", "FILE_NAME", " file name ", "Filename", "image path", "Image", "ID", "image_id"],
    "label": ["label", "Ground Truth", "ground_truth", "CLASS", "Diagnosis", "target", " Label"],
    "case": ["case", "Patient ID", "patient_id", "PatientID", " Case_ID ", "Subject", "patient no."],
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_same_data_are_the_same_manifest(tmp_path_factory, data):
    """Whatever headers, separator, encoding, decimal sign, order of columns, quotation and suffix a table has."""
    draw, folder = data.draw, tmp_path_factory.mktemp("t")
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    frame = pd.DataFrame(
        {
            "name": [f"{k:03d}" for k in range(12)],
            "label": ["größer", "kleiner"] * 6,
            "case": [f"{k // 3:02d}" for k in range(12)],
            "f0": rng.normal(size=12).round(3),
            "f1": rng.integers(0, 9, 12),
        }
    )
    frame.to_csv(folder / "usual.csv", index=False)
    usual = read_manifest(f"file:{folder}/usual.csv")
    headers = {column: draw(st.sampled_from(names)) for column, names in HEADERS.items()}
    shown = frame.rename(columns=headers)[draw(st.permutations([*headers.values(), "f0", "f1"]))]
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimal = draw(st.sampled_from([".", ","])) if separator != "," else "."
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    path = folder / f"t{draw(st.sampled_from(['.csv', '.tsv', '.txt']))}"
    options = {"index": draw(st.booleans()), "quoting": draw(st.sampled_from([0, 1]))}
    shown.to_csv(path, sep=separator, decimal=decimal, encoding=encoding, **options)
    found = read_manifest(f"file:{path}")
    assert found.digest == usual.digest and found.table.equals(usual.table)
    assert any(line.endswith("2 columns are used: f0, f1") or "used: f1, f0" in line for line in found.said)
