import pandas as pd
import pytest

from glomfeat.data.locate import is_feature_table
from glomfeat.data.tables.columns import Asked, sort_columns
from glomfeat.data.tables.read import TableError, find_column, read_frame

ROWS = pd.DataFrame({"name": ["001", "002"], "label": ["1", "0"], "case": ["07", "7"], "area": [1.5, 2.25]})


def test_csv_keeps_names_labels_and_cases_as_text(tmp_path):
    ROWS.to_csv(tmp_path / "t.csv", index=False)
    frame = read_frame(tmp_path / "t.csv")
    assert frame.to_dict("list") == ROWS.to_dict("list")  # leading zeros tell 07 from 7


def test_csv_of_a_spreadsheet(tmp_path):
    """A byte-order mark, Windows line ends, blanks after commas."""
    (tmp_path / "t.csv").write_bytes("\ufeffname, ground truth\r\na.png, 1\r\nä.png, 0\r\n".encode())
    frame = read_frame(str(tmp_path / "t.csv"))
    assert frame.to_dict("list") == {"name": ["a.png", "ä.png"], "ground truth": ["1", "0"]}


def test_suffix_in_capitals(tmp_path):
    ROWS.to_csv(tmp_path / "LABELS.CSV", index=False)
    assert read_frame(tmp_path / "LABELS.CSV")["name"].tolist() == ["001", "002"]


def test_parquet(tmp_path):
    ROWS.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.parquet"), ROWS)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("content", [b"", b"\x93\x00\xff\xfe,\n\x80"])
def test_broken_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=rf"^{name} cannot be read: ."):
        read_frame(tmp_path / name)


def test_unknown_format_says_which_there_are(tmp_path):
    kinds = r"tables are \.csv, \.tsv, \.txt, \.xlsx, \.parquet"
    with pytest.raises(TableError, match=rf"^t\.xls: {kinds}, not '\.xls'; save it as \.xlsx or \.csv$"):
        read_frame(tmp_path / "t.xls")
    with pytest.raises(
        TableError, match=rf"^t\.pt: {kinds}, not '\.pt'; save it as \.npy with .* or one \.pt for each"
    ):
        read_frame(tmp_path / "t.pt")
    with pytest.raises(TableError, match=rf"^t: {kinds}, not 'without a suffix'; save it as \.xlsx or \.csv$"):
        read_frame(tmp_path / "t")


def test_columns_are_found_whatever_their_case_in_the_order_of_preference():
    frame = pd.DataFrame(columns=["Image", " Name ", "x"])
    assert find_column(frame, ("path", "name", "image")) == " Name "
    assert find_column(frame, ("label",)) is None
    assert find_column(pd.DataFrame(columns=[0, 1]), ("label",)) is None


def test_columns_that_are_used_leave_out_what_does_not_describe():
    """A feature table must not hand the label, the case or the fold to a head."""
    known = ["path", "Name", "label", "CASE", "patient_id", "slide", "fold", "Repeat"]
    frame = pd.DataFrame({key: [1] for key in [*known, "Ground Truth", "batch"]})
    frame["text"], frame["mask"] = ["a"], [True]
    frame["area"], frame["count"] = [1.5], [3]
    assert list(sort_columns(frame, Asked()).used) == ["batch", "mask", "area", "count"]
    assert list(sort_columns(frame, Asked(but=("batch",))).used) == ["mask", "area", "count"]


def test_feature_table_or_list_of_images(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")

    def asks(text, name="t.csv"):
        (tmp_path / name).write_text(text)
        return is_feature_table(tmp_path / name)

    assert asks("name,label,area\nb.png,1,2.5\n")
    assert not asks("name,ground truth\na.png,1\n")
    assert not asks("path,label,case,slide\na.png,1,2,3\n")
    assert not asks("path,label,age\na.png,1,61\n")  # the file is there: a list of images with a further column
    assert all(is_feature_table(tmp_path / f"any.{suffix}") for suffix in ("parquet", "npy", "h5", "HDF5"))
    assert not is_feature_table(tmp_path / "any.png") and not is_feature_table(tmp_path / "any.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.h5", "deep/down/a.hdf5", "A.PT"])
def test_a_folder_holds_features_if_it_holds_no_image(tmp_path, name):
    assert not is_feature_table(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "manifest.csv").write_text("origin,embeddings\n")
    assert is_feature_table(tmp_path)
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "thumbs" / "a.JPG").write_bytes(b"x")
    assert not is_feature_table(tmp_path)


def test_broken_csv_is_named_before_anything_else(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"")
    with pytest.raises(TableError, match=r"^t\.csv cannot be read: "):
        is_feature_table(tmp_path / "t.csv")
