"""What is said if one patient seems to count as several cases, and that ordinary names of cases say nothing."""

import unicodedata

import numpy as np
import pandas as pd
import pytest

from glomfeat.data.case_doubts import doubts_on_cases
from glomfeat.data.cases import connected, pseudonyms
from glomfeat.data.manifest import read_manifest

NFC, NFD = (unicodedata.normalize(form, "M\u00fcller") for form in ("NFC", "NFD"))


def told(cases, slides=None, show_names=False, **columns):
    table = pd.DataFrame({"case": cases, "slide": cases if slides is None else slides}, dtype=object)
    return doubts_on_cases(pd.DataFrame(columns, index=table.index), table, show_names)


@pytest.mark.parametrize(
    "twins",
    [("P1", "p1"), ("P 1", "P1"), (NFC, NFD), ("12", "012"), ("12", "12.0"), (12, "12.0"), ("P01", "P1")]
    + [("P-1", "P_1"), ("P-1", "P\u20131"), ("P1", "P-01"), ("P1", "P1\u200b")],
)
def test_two_spellings_of_a_case_are_told_by_pseudonyms_or_by_name(twins):
    cases = [*twins, "A", "B", twins[0]]
    one, other = (pseudonyms(cases)[case] for case in sorted(twins, key=str))
    ends = "if they are one patient, write its name in one way, or both sides of a split may hold it"
    differ = "differ only in capitals, blanks, separators, zeros or the form of letters"
    assert told(cases) == [f"warning: cases {one} and {other} {differ}: {ends}; --show-names shows the names of cases"]
    first, second = (repr(str(case)) for case in sorted(twins, key=str))
    assert told(cases, show_names=True) == [f"warning: cases {first} and {second} {differ}: {ends}"]


@pytest.mark.parametrize(
    "cases",
    [
        ["001", "002", "010", "100"],
        ["1", "10", "100", "11"],
        ["P1-1", "P11", "P1_1", "P1-11"],
        ["1.5", "15", "1.50", "150"],
        ["0", "00a", "b0", "0134a8"],
        ["TCGA-AA-0001", "TCGA-AA-0010", "TCGA-AB-0001"],
    ],
)
def test_ordinary_names_say_nothing(cases):
    assert told(cases * 2) == []


def test_slides_in_two_cases_are_told_unless_slides_are_numbers_within_a_case_or_hold_many_patients():
    cases = np.array([f"K{k // 2}" for k in range(24)])
    torn = cases.copy()
    torn[3] = "K99"  # of slide S1, whose other image is of K1
    slides = [f"S{k // 2}" for k in range(24)]
    both = " and ".join(sorted(pseudonyms(torn)[case] for case in ("K1", "K99")))
    assert told(torn, slides) == [
        f"warning: 1 slide lies in several cases ({both}): if a slide is of one patient, write one case for it; "
        "--show-names shows the names of cases"
    ]
    assert told(cases, slides) == []
    assert told(cases, [k % 2 for k in range(24)]) == [], "slides 0 and 1 of each case"
    assert told(cases, [f"TMA{k // 12}" for k in range(24)]) == [], "arrays of six patients"
    assert told(cases, ["TMA"] * 8 + slides[8:]) == [], "an array of four patients beside slides of one"


def test_numbers_that_a_spreadsheet_has_shortened_are_told():
    cases = ["1.23457E+12", "7E+11", "1E5", "2E-10", "1.5", "E+12"]
    first, second = (pseudonyms(cases)[case] for case in cases[:2])
    assert told(cases) == [
        f"warning: 2 cases are numbers that a spreadsheet has shortened, such as 1.23E+12 ({first}, {second}): "
        "different patients may have become one; save the numbers as text, with all digits; --show-names shows the "
        "names of cases"
    ]


def test_cases_at_several_sites_are_counted_but_not_those_that_several_scanners_have_read():
    cases = [1, 1, 2, 2, 3, 3]
    assert told(cases, Site=["A", "B", "A", "B", "A", None]) == [
        "2 of 3 cases lie at several sites (column 'Site'): if each site counts its patients by itself, put the site "
        "in front of their numbers"
    ]
    assert told(cases, site=["A", "A", "B", "B", "A", None]) == told(cases, scanner=["x", "y"] * 3) == []


def test_the_lines_stand_among_those_of_a_data_set(tmp_path):
    rows = [(f"i{k}", k % 2, f"{'Pp'[k % 2]}{k // 4}", k * 1.5) for k in range(24)]
    pd.DataFrame(rows, columns=["name", "label", "patient", "a"]).to_csv(tmp_path / "t.csv", index=False)
    manifest = read_manifest(tmp_path / "t.csv")
    assert manifest.table["case"].nunique() == 12, "they are told, not merged"
    (line,) = [line for line in manifest.said if "differ only in" in line]
    assert line.startswith("warning: cases C") and " and 3 more differ only" in line
    assert not any("differ only in" in line for line in read_manifest(tmp_path / "t.csv", groups="none").said)


def test_groups_of_pairs_are_those_of_a_search_by_hand():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 12, 15), rng.integers(0, 12, 15)
        groups = [{k} for k in range(15)]
        for _ in range(15):  # merge whatever shares a value until nothing changes
            for a in range(15):
                for b in range(15):
                    if one[a] == one[b] or other[a] == other[b]:
                        merged = groups[a] | groups[b]
                        for k in merged:
                            groups[k] = merged
        found = connected(one, other)
        assert all((found[a] == found[b]) == (b in groups[a]) for a in range(15) for b in range(15))
