"""Files of what people called images: forms, names, and messages."""

import numpy as np
import pandas as pd
import pytest

from glomfeat.data.readers import ReadersError, read_readers

NAMES = ["sick/a.png", "sick/b.png", "well/c.png", "well/007.png"]
CLASSES = ("none", "Seg mental")


def written(tmp_path, text, name="r.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_a_column_for_each_reader(tmp_path):
    rows = ["name,Dr. A, B ", "a,none,segmental", "b.png,Seg mental,", "sick/z.png,,none", "well/c.png,none,"]
    text = "\n".join([*rows, "007,NONE,none", "x,none,none", ""])
    readers, said = read_readers(written(tmp_path, text), NAMES, CLASSES)
    first, second = readers
    assert (first.name, second.name) == ("Dr. A", "B") and first.scores == second.scores == {}
    assert first.calls == {"sick/a.png": 0, "sick/b.png": 1, "well/c.png": 0, "well/007.png": 0}
    assert second.calls == {"sick/a.png": 1, "well/007.png": 0}
    assert said == [
        "readers: 2 names are of no image of DATA, and left out",
        "readers: of 4 images Dr. A 4, B 2 called; each is compared on these images alone",
    ]


def test_calls_of_a_patient_without_images_are_not_those_of_another(tmp_path):
    names = ["P1/1.png", "P1/2.png", "P2/1.png", "P7/2.png", "P7/9.png"]
    rows = ["name,A", "P1/1.png,none", "P1/2.png,none", "P2/1.png,none", "P3/2.png,none", "P3/9.png,none", ""]
    (reader,), said = read_readers(written(tmp_path, "\n".join(rows)), names, CLASSES)
    assert reader.calls == {"P1/1.png": 0, "P1/2.png": 0, "P2/1.png": 0}
    assert "readers: 2 names are of no image of DATA, and left out" in said


def test_a_row_for_each_call_with_scores(tmp_path):
    text = "name,reader,call,score\na,B,none,-1.5\na,A,none,\nb,B,Seg mental,3\nb,A,none,\nc,B,,7\n"
    readers, _ = read_readers(written(tmp_path, text), NAMES, CLASSES)
    assert [reader.name for reader in readers] == ["B", "A"]
    assert readers[0].calls == {"sick/a.png": 0, "sick/b.png": 1}
    assert readers[0].scores == {"sick/a.png": -1.5, "sick/b.png": 3.0} and readers[1].scores == {}


def test_scores_that_may_be_a_thousand_times_as_large_are_refused(tmp_path):
    text = "name,reader,call,score\na,A,none,987\nb,A,Seg mental,1.234\n"
    ((reader,), _) = read_readers(written(tmp_path, text), NAMES, CLASSES)
    assert reader.scores == {"sick/a.png": 987, "sick/b.png": 1.234}
    said = "--readers: r.csv: '1.234' in column 'score' may be 1.234 or 1234, for '987' has no decimals: write"
    with pytest.raises(ReadersError) as error:
        read_readers(written(tmp_path, text.replace(",", ";")), NAMES, CLASSES)
    assert str(error.value).startswith(said)
    plain = written(tmp_path, text.replace(",", ";").replace("987", "987.0"))
    assert read_readers(plain, NAMES, CLASSES)[0][0].scores == reader.scores


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_every_form_of_table_with_classes_that_look_like_numbers(tmp_path, suffix):
    frame, path = (
        pd.DataFrame({"name": ["a", "b", "c"], "A": [1, 0, np.nan], "B": [0.0, 1.0, 1.0]}),
        tmp_path / f"r{suffix}",
    )
    save = {".csv": frame.to_csv, ".tsv": lambda p, index: frame.to_csv(p, index=index, sep="\t")}
    save |= {".xlsx": frame.to_excel, ".parquet": frame.to_parquet}
    save[suffix](path, index=False)
    readers, _ = read_readers(path, NAMES, ("0", "1"))
    assert [reader.calls for reader in readers] == [
        {"sick/a.png": 1, "sick/b.png": 0},
        {"sick/a.png": 0, "sick/b.png": 1, "well/c.png": 1},
    ]


def test_places_of_classes_where_none_is_a_number_and_columns_that_are_no_reader_s(tmp_path):
    readers, said = read_readers(written(tmp_path, "name,label,case,A\na,x,P1,1\nb,y,P2,0\n"), NAMES, CLASSES)
    assert readers[0].calls == {"sick/a.png": 1, "sick/b.png": 0} and len(readers) == 1
    meant = "0 is taken for none and 1 for Seg mental; write names, if they mean something else"
    assert said[0] == f"warning: classes are given as numbers: {meant}"
    assert not any("taken for" in line for line in read_readers(tmp_path / "r.csv", NAMES, ("0", "1"))[1])
    assert said[1:3] == [
        f"readers: column {name!r} does not belong to a reader, and is left out" for name in ("label", "case")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name,A\na,sklerotic\n",
            "'sklerotic' is a call, but not a class: known: Seg mental, none; an empty cell is",
        ),
        ("name,A\nx,none\ny,none\n", "none of its 2 names belongs to an image of DATA: write them as"),
        ("name,A\na,none\na,Seg mental\n", "A has two calls of 1 image: keep one of each"),
        ("name,A\na,\nb,\n", "no image is called: it needs a column that names the images and one for each reader, or"),
        ("name\na\nb\n", "it has no column of a reader: it needs a column that names the images and one for each"),
        ("one,two\nx,none\n", "no column names the images: it needs a column that names"),
        ("name,reader,call\na,,none\n", "1 call has no reader: fill the column 'reader'"),
        ("name,reader,call,score\na,A,none,much\n", "a score of A is not a number: give numbers, or leave it out"),
        ("name,reader,call,score\na,A,none,1\nb,A,none,\n", "A has scores of 1 of 2 calls: give all, or none"),
        ("name,A\na,none\na.png,Seg mental\n", "A has two calls of 1 image: keep one of each"),
        (
            "name,A\nq/a.png,none\nr/a.png,none\n",
            "2 names fit several images, or one image with others: write them with their",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(ReadersError) as error:
        read_readers(path, NAMES, CLASSES)
    assert str(error.value).startswith(f"--readers {path}: {said}")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(
        ReadersError, match=r"^--readers .*no\.csv cannot be read: No such file or directory; check that it exists"
    ):
        read_readers(tmp_path / "no.csv", NAMES, CLASSES)
    with pytest.raises(ReadersError, match=r"^--readers: r\.json: tables are \.csv, "):
        read_readers(written(tmp_path, "{}", "r.json"), NAMES, CLASSES)
    with pytest.raises(ReadersError, match=r"^--readers"):
        read_readers(written(tmp_path, ""), NAMES, CLASSES)
