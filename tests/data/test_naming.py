import numpy as np
import pandas as pd
import pytest
from helpers.images import put
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.data.cases import ASK, CASE_PATTERNS, IMAGE_LEVEL, NOT_FOUND, find_cases, match_pattern, pseudonyms
from glomfeat.data.manifest import read_manifest

EXAMPLES = {
    "<case>_PAS_<k>of<n>_<id>": [
        ("P001_PAS_1of2_0134a88d.png", "P001", "P001_PAS_1of2"),
        ("P001_PAS_2of2_0412BFbd.png", "P001", "P001_PAS_2of2"),
        ("kidney_left_7_PAS_10of12_a.tiff", "kidney_left_7", "kidney_left_7_PAS_10of12"),
    ],
    "TCGA barcode": [
        ("TCGA-B0-4710-01Z-00-DX1_34_17.png", "TCGA-B0-4710", "TCGA-B0-4710-01Z-00-DX1"),
        ("TCGA-B0-4710-11A-01-TS1.3F2C.png", "TCGA-B0-4710", "TCGA-B0-4710-11A-01-TS1"),
        ("TCGA-A1-A0SB-01Z-00-DX1.jpg", "TCGA-A1-A0SB", "TCGA-A1-A0SB-01Z-00-DX1"),
    ],
    "SOB_<class>_<type>-<year>-<slide>-<zoom>-<n>": [
        ("SOB_B_A-14-22549AB-200-001.png", "22549", "22549AB"),
        ("SOB_B_A-14-22549CD-200-001.png", "22549", "22549CD"),
        ("SOB_M_DC-14-2523-100-012.png", "2523", "2523"),
    ],
    "case, patient or subject and its number": [
        ("case12_3.png", "case12", "case12"),
        ("Patient-007 a.jpg", "Patient-007", "Patient-007"),
        ("subject_4.webp", "subject_4", "subject_4"),
        ("donor9-x.bmp", "donor9", "donor9"),
    ],
}


def frame_of(names, **columns):
    return pd.DataFrame({"name": names, **columns})


def test_a_pattern_may_end_where_the_name_ends_with_its_suffix_or_without():
    for pattern in (r"_(?P<case>\d+)_\d+$", r"_(?P<case>\d+)_\d+\.png$"):
        assert match_pattern(["benign/lobe_14134_000.png"], pattern)["case"].tolist() == ["14134"]


def test_what_follows_a_point_is_a_suffix_only_if_it_looks_like_one():
    names = ["S21.4_16", "S22.10_40", "S22.10_4", "S23.104", "S23.104.tiff", "S24_1.JP2", "S25.5_1.png"]
    found = find_cases(frame_of(names), "^(?P<case>[^_]+)")
    assert found.cases["case"].tolist() == ["S21.4", "S22.10", "S22.10", "S23.104", "S23.104", "S24", "S25.5"]
    assert not found.problems


def test_a_pattern_that_finds_an_empty_case_finds_none():
    found = find_cases(frame_of(["1_a", "_b", "2_c"]), r"^(?P<case>\d*)_")
    assert found.cases["case"].isna().tolist() == [False, True, False]
    assert [names for _, names in found.problems] == [["_b"]] and "does not match" in found.problems[0][0]


def test_every_pattern_has_examples():
    assert set(EXAMPLES) == set(CASE_PATTERNS)


@pytest.mark.parametrize("title", CASE_PATTERNS)
def test_auto_finds_case_and_slide_and_says_how(title):
    names, cases, slides = zip(*EXAMPLES[title], strict=True)
    found = find_cases(frame_of(list(names)), "auto")
    assert found.cases["case"].tolist() == list(cases) and found.cases["slide"].tolist() == list(slides)
    assert found.by_case and found.how == f"from names like {title}" and found.problems == []


@pytest.mark.parametrize("title", CASE_PATTERNS)
def test_patterns_do_not_match_each_others_names(title):
    for other, examples in EXAMPLES.items():
        if other != title:
            assert match_pattern([name for name, *_ in examples], CASE_PATTERNS[title])["case"].isna().all()


@pytest.mark.parametrize("name", ["cat.png", "case.png", "showcase12.png", "patients.png", "x_PAS_1of2.png", "1.png"])
def test_names_without_a_case_are_not_guessed(name):
    found = find_cases(frame_of([name]), "auto")
    assert found.cases["case"].tolist() == [None] and found.by_case and found.how == NOT_FOUND
    assert found.problems == [(f"names that hold no case; {ASK}", [name])]


def test_columns_that_may_hold_the_case_are_named_where_names_hold_none():
    frame = frame_of([f"{k}.png" for k in range(6)])
    told = {
        "Fall": list("aabbcc"),
        "seite": list("lrlrlr"),
        "nr": range(6),
        "site": list("xyzxyz"),
        "mass": [0.5, 1, 1, 2, 2, 3],
    }
    ((what, _),) = find_cases(frame.assign(**told, rows=[[1]] * 6, label="GS"), "auto").problems
    assert what == f"names that hold no case; {ASK}; columns that may hold it: Fall (3 values)"


def test_asking_names_every_way_out():
    assert "--groups COLUMN" in ASK and "--groups REGEX" in ASK and "--groups none" in ASK
    assert repr(IMAGE_LEVEL) in ASK and IMAGE_LEVEL == "image-level split: scores are optimistic"


def test_one_odd_name_among_known_ones_is_reported():
    names = ["P1_PAS_1of1_a.png", "P2_PAS_1of1_b.png", "overview.png"]
    found = find_cases(frame_of(names), "auto")
    title = "<case>_PAS_<k>of<n>_<id>"
    assert found.problems == [(f"names hold no case although the others look like {title}; {ASK}", ["overview.png"])]


def test_folders_in_a_name_are_not_searched():
    found = match_pattern(["case1/case2_a.png"], CASE_PATTERNS["case, patient or subject and its number"])
    assert found["case"].tolist() == ["case2"]


def test_bytes_that_are_not_utf_8_divide_no_name():
    """Names show them as \\xe9, and these are two patients."""
    found = find_cases(frame_of([r"Andr\xe9_1.png", r"a/Ren\xe9_1.png"]), "^(?P<case>[^_]+)_")
    assert found.cases["case"].tolist() == [r"Andr\xe9", r"Ren\xe9"]


@pytest.mark.parametrize(
    ("layout", "patients"),
    [
        ("class/case", {"patient0_b1": "patient0", "patient0_b2": "patient0", "patient1_b1": "patient1"}),
        ("class/case", {"case0_slide1": "case0", "case0_slide2": "case0", "case1_slide1": "case1"}),
        ("case/class", {"patient 12 left": "patient 12", "patient 12 right": "patient 12", "patient 3": "patient 3"}),
        ("class/case", {f"TCGA-B0-500{k // 2}-01Z-00-DX{k}": f"TCGA-B0-500{k // 2}" for k in range(4)}),
        ("case/class", {"pt1 (1)": "pt1", "pt1 (2)": "pt1", "pt2-L": "pt2"}),
        (
            "class/case",
            {"case_2021_5_b1": "case_2021_5", "case_2021_5_b2": "case_2021_5", "case_2021_17": "case_2021_17"},
        ),
        # of several patients, and one folder of each, whose names are as ever
        ("class/case", {name: name for name in ("case_2021_5", "case_2021_17", "case_2021_101", "case_2022_0034")}),
        ("case/class", {name: name for name in ("subject-01-03", "subject-01-04", "pt1.1", "pt1.2", "pt 1 - 3")}),
        ("class/case", {name: name for name in ("patient7a", "patient7b", "patient8a")}),
        ("class/case", {name: name for name in ("case_2021_S101", "case_2021_S102", "patient_01-AB", "patient_01-CD")}),
        ("class/case", {"case1_PAS": "case1", "case1_HE": "case1", "case2_slide12": "case2", "case2_b": "case2"}),
        ("class/case", {name: name for name in ("patient0_b1", "patient1_b1", "patient2_b2")}),
    ],
)
def test_folders_of_biopsies_and_slides_of_a_patient_are_one_case(tmp_path, layout, patients):
    pairs = [(kind, folder) for folder in patients for kind in ("GS", "no")]
    names = {"/".join(pair if layout == "class/case" else pair[::-1]) + "/1.png": pair[1] for pair in pairs}
    table = read_manifest(put(tmp_path, names)).table
    assert dict(zip(table["name"], table["slide"], strict=True)) == names
    assert table["case"].tolist() == table["slide"].map(patients).tolist() and len(table) == len(names)
    assert read_manifest(tmp_path, layout=f"{layout}/image").table["case"].tolist() == table["slide"].tolist()


@pytest.mark.parametrize("column", ["case", "Patient", "patient_id", "SUBJECT"])
def test_auto_prefers_a_column_over_names(column):
    frame = frame_of(["case1_a.png", "case1_b.png"], **{column: ["X", "Y"]})
    found = find_cases(frame, "auto")
    assert found.cases["case"].tolist() == ["X", "Y"] and found.by_case and found.problems == []
    assert found.how == f"column {column}"


def test_column_by_name_with_slides_where_known():
    frame = frame_of(["a", "b", "c"], block=["K", "K", "L"], slide=["K1", None, "L7"])
    found = find_cases(frame, "block")
    assert found.cases["case"].tolist() == ["K", "K", "L"] and found.cases["slide"].tolist() == ["K1", "K", "L7"]
    assert found.by_case and found.how == "column block" and found.problems == []


def test_column_with_holes_names_the_rows():
    frame = frame_of(["a", "b", "c"], case=["K", None, float("nan")])
    found = find_cases(frame, "auto")
    assert found.cases["case"].isna().tolist() == [False, True, True]
    assert found.problems == [("images without a case in column 'case'", ["b", "c"])]


def test_blanks_around_a_case_do_not_make_another_case():
    """Two spellings of one patient would be dealt to training and test."""
    found = find_cases(frame_of(["a", "b"], case=["K7", "K7 "]), "auto")
    assert found.cases["case"].nunique() == 1


def test_whole_numbers_of_cases_are_the_same_whatever_type_their_column_has():
    """A column of parquet may hold floats, and the same patients are whole numbers in a CSV."""
    found = find_cases(frame_of(["a", "b", "c"], case=[12.0, 3.0, 12.0], slide=[1.0, 2.0, None]), "auto")
    assert found.cases["case"].tolist() == ["12", "3", "12"] and found.cases["slide"].tolist() == ["1", "2", "12"]
    found = find_cases(frame_of(["a", "b"], case=[1.5, 2.0]), "auto")
    assert found.cases["case"].tolist() == ["1.5", "2"]
    found = find_cases(frame_of(["a", "b"], case=["007", "12.0"]), "auto")
    assert found.cases["case"].tolist() == ["007", "12.0"], "texts stay as they are written"


@pytest.mark.parametrize(
    ("cases", "named"),
    [
        (np.arange(8) // 2, list("00112233")),
        (np.arange(8) // 2 + 0.0, list("00112233")),
        (
            np.repeat(pd.date_range("2020-01-01", periods=4), 2),
            [f"2020-01-0{k} 00:00:00" for k in (1, 1, 2, 2, 3, 3, 4, 4)],
        ),
    ],
)
def test_cases_of_a_parquet_are_texts(tmp_path, cases, named):
    """The tables of a run have texts, and a case is looked up among them."""
    frame = pd.DataFrame({"name": list("abcdefgh"), "label": [0, 1] * 4, "case": cases, "x": np.arange(8.0)})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    assert read_manifest(f"file:{tmp_path / 't.parquet'}").table["case"].tolist() == named


def test_regex_with_and_without_slide():
    names = ["ward/A-1-x.png", "ward/A-2-y.png", "B-1-z.png"]
    found = find_cases(frame_of(names), r"^(?P<slide>(?P<case>[A-Z])-\d)")
    assert found.cases["case"].tolist() == ["A", "A", "B"] and found.cases["slide"].tolist() == ["A-1", "A-2", "B-1"]
    assert found.by_case and found.problems == [] and found.how == r"pattern ^(?P<slide>(?P<case>[A-Z])-\d)"
    found = find_cases(frame_of(names), r"(?P<case>\d)")
    assert found.cases["slide"].tolist() == found.cases["case"].tolist() == ["1", "2", "1"]


def test_regex_that_misses_some_names_says_which():
    pattern = r"^(?P<case>[A-Z])-"
    found = find_cases(frame_of(["A-1", "b-2", "C-3"]), pattern)
    said = f"names that --groups {pattern!r} does not match, which fits the others (A-1 -> A, C-3 -> C)"
    assert found.problems == [(said, ["b-2"])]


def test_regex_that_is_none_and_regex_without_the_group():
    found = find_cases(frame_of(["a"]), "(")
    assert (
        "'(' is not a regular expression from its letter 1 on: write one such as" in found.problems[0][0]
        and found.problems[0][1] == []
    )
    found = find_cases(frame_of(["a"], batch=[1]), "bach")
    expected = "--groups 'bach' is neither a column (there are 'name', 'batch') nor does it have a group (?P<case>...)"
    assert found.problems == [(expected, [])]


def test_none_makes_every_image_a_case_of_its_own_even_beside_a_column():
    found = find_cases(frame_of(["a", "b"], case=["K", "K"]), "none")
    assert found.cases["case"].tolist() == ["a", "b"] and not found.by_case and found.problems == []
    assert found.how == "not used (--groups none)"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=30))
def test_pseudonyms_are_one_to_one_stable_and_hide_the_name(cases):
    names = pseudonyms(cases)
    assert set(names) == set(cases) and len(set(names.values())) == len(set(cases))
    assert sorted(names.values()) == [f"C{k:03d}" for k in range(1, len(set(cases)) + 1)]
    assert names == pseudonyms(cases[::-1] + cases)


def test_pseudonyms_do_not_follow_the_order_of_names():
    cases = [f"case{k:02d}" for k in range(40)]
    names = pseudonyms(cases)
    assert [names[case] for case in cases] != sorted(names.values())
    assert len(next(iter(pseudonyms(range(1200)).values()))) == 5  # C0001: all of one width
