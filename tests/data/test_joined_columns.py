"""Columns that join features: what is read, what is refused, and what is said of those that know too much."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glomfeat.core.arms import MARKS, Arm, split_joined, tagged
from glomfeat.data.joined import Column, Joined, JoinedError, keep_joined, lines_on_joined, read_joined
from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.read import TableError

LABELS = ["sick", "well"] * 6
CASES = [f"P{row // 2}" for row in range(12)]


def held(**columns):
    return pd.DataFrame({f"of user: {name}": pd.Series(values, dtype=object) for name, values in columns.items()})


def kept(frame, *asked, **known):
    table = pd.DataFrame({"name": frame["name"], "case": CASES, "slide": CASES})
    return keep_joined(table, frame.assign(raw=LABELS), asked, "labels.csv", **known)


def told(column, labels=None, cases=None):
    labels = np.array([0, 1] * 6) if labels is None else labels
    cases = np.repeat(np.arange(6), 2) if cases is None else cases
    return lines_on_joined(Joined((column,)), labels, cases, ["sick", "well"])


def test_texts_that_differ_only_in_writing_are_told():
    sites = ["M\xfcnchen", "Mu\u0308nchen", "Oslo", "Oslo", "Rome", "Rome"] * 2
    cases = np.tile(np.arange(6), 2) // 2 * 2 + np.repeat([0, 1], 6)  # two of each site
    (line,) = told(Column("site", np.array(sites)), cases=cases)[1:]
    assert r"column site: 'Mu\u0308nchen' and 'M\xfcnchen' differ only in" in line and "one way" in line
    assert len(told(Column("site", np.array(["Oslo", "Rome", "Oslo"] * 4)))) == 1


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "name": [f"a{row}.png" for row in range(12)],
            "ground truth": LABELS,
            "patient": CASES,
            "age": rng.integers(20, 80, 12),
            "person": CASES,
            "call": [one.upper() for one in LABELS],
        }
    )


def test_numbers_and_texts_are_told_apart_and_what_is_missing_is_kept_as_such():
    found = read_joined(
        held(age=[61, "", " 50.5 "], grade=["1a", None, "2"], flag=[True, False, True]), ["Age", "grade", "flag"]
    )
    age, grade, flag = found.columns
    assert age.values.tolist()[::2] == [61.0, 50.5] and age.missing.tolist() == [False, True, False]
    assert grade.values.tolist() == ["1a", "missing", "2"] and grade.missing.tolist() == [False, True, False]
    assert flag.values.tolist() == ["True", "False", "True"]
    assert found.word == "age+grade+flag" and found.most_columns == 2 + 3 + 2
    assert found.take([0, 2]).most_columns == 1 + 2 + 1  # of numbers that none lack, no column says where


def test_a_cohort_reads_its_columns_as_those_of_data():
    data = read_joined(held(age=[61, 50], grade=["a", "1"]), ["age", "grade"])
    theirs = read_joined(held(age=[None, None], grade=[1, 2]), ["age", "grade"], data)
    assert np.isnan(theirs.columns[0].values).all() and theirs.columns[1].values.tolist() == ["1", "2"]
    with pytest.raises(JoinedError, match=r"^--with age: 1 of its 2 values is no number \(old\) and the others are"):
        read_joined(held(age=["old", 3], grade=["a", "b"]), ["age", "grade"], data)


@pytest.mark.parametrize(
    ("columns", "asked", "message"),
    [
        ({"age": [1, 2, "?"]}, ["age"], "--with age: 1 of its 3 values is no number (?) and the others are: correct"),
        ({"age": [None, "", " "]}, ["age"], "--with age: no image has a value: leave it out"),
        ({"age": [1, 2]}, ["sex"], "--with 'sex': the data do not hold this column, for they were read without it;"),
        ({"age": [1, 2]}, ["age", "Age"], "--with age Age: give the column 'age' once"),
        ({"a b": [1, 2], "a-b": [3, 4]}, ["a b", "a-b"], "--with: arms would call 'a b' and 'a-b' alike: rename one"),
        ({"%": [1, 2]}, ["%"], "--with '%': arms cannot be named after it: rename it with letters or digits"),
    ],
)  # fmt: skip
def test_what_cannot_join_is_refused_with_the_remedy(columns, asked, message):
    with pytest.raises(JoinedError) as error:
        read_joined(held(**columns), asked)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ("ground truth", "the classes"),
        ("call", "the classes"),
        ("name", "the name of the image"),
        ("patient", "the case"),
        ("person", "the case"),
    ],
)
def test_columns_by_which_images_are_named_classed_or_grouped_are_refused(frame, asked, holds):
    with pytest.raises(JoinedError) as error:
        kept(frame, asked)
    assert str(error.value) == (
        f"--with {asked}: the column {asked!r} holds {holds}, and a model that reads it knows what it is asked, or on "
        "what it is tested: leave it out"
    )


def test_a_column_that_an_option_names_is_refused_and_an_unknown_one_gets_the_nearest(frame):
    assert "of user: age" in kept(frame, "AGE")
    with pytest.raises(JoinedError, match="holds what images are named, classed or grouped by"):
        kept(frame, "age", known=("", "Age"))
    with pytest.raises(TableError, match=r"--with 'aeg' is no column of labels.csv: allowed are age"):
        kept(frame, "aeg")


def test_names_between_commas_are_told_how_to_be_written(frame):
    with pytest.raises(JoinedError) as error:
        kept(frame.assign(sex="F"), "Age,sex")
    assert str(error.value) == "--with Age,sex: write blanks between names, not commas: --with Age sex"
    assert "of user: age,sex" in kept(frame.rename(columns={"age": "age,sex"}), "age,sex")
    with pytest.raises(TableError, match=r"^--with 'age,sx' is no column of labels\.csv"):
        kept(frame, "age,sx")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.sampled_from(["a.v1", "b+c.v1", "v1.2+x.1a2b"]))
def test_arms_are_read_back_whatever_columns_are_called(names, base):
    columns = [Column(name, np.ones(1)) for name in names]
    assume(all(column.word and column.word not in MARKS for column in columns))
    word = Joined(tuple(columns)).word
    arm = Arm.parse(str(Arm(tagged(f"{base}+{word}", "96-edge"), "none", "svm")))
    assert split_joined(arm.feature) == (f"{base}@96-edge", word) and arm.way == "96-edge"
    assert Arm.parse(f"{word}/none/svm") == Arm(word, "none", "svm") and split_joined(word) == (word, "")


def test_what_a_column_holds_is_said_and_no_value_of_one_case_alone():
    ages = Column("age", np.array([30.0, 40, np.nan] * 4))
    assert told(ages) == [
        "joined column age: a number, 30 to 40, brought to mean 0 and variance 1; 4 of 12 images have none: the median "
        "of the training images stands for it, and a column of 0 and 1 says where"
    ]
    line, _ = told(Column("age (a+b)", np.array([30.0, 40] * 6)))
    assert line.startswith("joined column age (a+b) (arms call it age-a-b): a number, 30 to 40")
    (line, *_) = told(Column("ward", np.array(["x"] * 12)))
    assert line == "joined column ward: 1 value (x 12), of each a column of 0 and 1"
    sexes = Column("sex", np.array(["F", "F", "M", "missing"] * 3))
    assert told(sexes) == [
        "joined column sex: 2 values (F 6, M 3), of each a column of 0 and 1; 3 of 12 images have none: that is a "
        "value, 'missing'"
    ]
    line, doubt = told(Column("who", np.repeat(["Ann", "Bob", "Cy", "Di", "Ed", "Flo"], 2)))
    assert line == "joined column who: 6 values, most of one case each, of each a column of 0 and 1"
    assert doubt.startswith("warning: joined column who: it has a value for every case, as an id has")
    (line, *_) = told(Column("surname", np.repeat(["Ann", "Bob", "Bob", "Di", "Ed", "Flo"], 2)))  # two cases are Bob
    assert line == "joined column surname: 5 values, most of one case each, of each a column of 0 and 1"


@pytest.mark.parametrize(
    ("values", "labels", "doubt"),
    [
        (["a", "b"] * 6, [0, 1] * 6, "it tells the class exactly: if it was known only with the class"),
        ([1.0, 2.0, 1.0] * 4, [0, 1, 0] * 4, "it tells the class exactly"),
        (list(map(float, range(12))), [0] * 5 + [1] * 7, "it tells the class exactly"),
        (["a"] * 12, [0, 1] * 6, "all images have the same value, which tells nothing"),
        ([f"u{k}" for k in range(12)], [0, 1] * 6, "it has a value for every image, as an id has"),
        ([np.nan, 1.0, np.nan, 2.0] * 3, [0, 1] * 6, "whether a value is missing tells the class exactly"),
        (list(map(float, range(12))), [0, 1] * 6, None),
        (["a", "b", "b", "a"] * 3, [0, 1] * 6, None),
    ],
)
def test_columns_that_know_too_much_or_nothing_are_warned_of(values, labels, doubt):
    lines = told(Column("x", np.array(values)), np.array(labels))
    assert len(lines) == 1 + (doubt is not None)
    assert doubt is None or lines[1].startswith(f"warning: joined column x: {doubt}")


def test_a_manifest_keeps_them_and_they_are_no_part_of_its_digest(tmp_path, frame):
    rows = frame.assign(x0=np.arange(12.0)).drop(columns=["person", "call"])
    rows.to_csv(tmp_path / "table.csv", index=False)
    manifest, without = (read_manifest(tmp_path / "table.csv", joined=one) for one in (["age"], []))
    assert manifest.digest == without.digest
    found = read_joined(manifest.table, ["age"])
    by_name = dict(zip(frame["name"], frame["age"], strict=True))
    assert found.columns[0].values.tolist() == [by_name[name] for name in manifest.table["name"]]


def test_decimal_commas_are_refused_and_values_that_cases_share_are_no_id():
    with pytest.raises(JoinedError, match="crea: 6,9, 5,25 would be read as texts: write numbers"):
        read_joined(held(crea=["6,9", "7", "5,25", None]), ["crea"])
    shared = Column("day", np.array([f"d{k // 2}" for k in range(12)]))
    assert len(told(shared, cases=np.arange(12) % 6)) == 1
