"""What the first lines show of cases, and that no name says who they are unless names are asked for."""

import pandas as pd
import pytest
from helpers.images import put

from glomfeat.data.case_notes import case_examples
from glomfeat.data.cases import pseudonyms
from glomfeat.data.manifest import inspect_manifest, read_manifest

CLASSES = ("sick", "well")


def table(names, cases, slides=None):
    return pd.DataFrame({"name": names, "label": 0, "case": cases, "slide": cases if slides is None else slides})


@pytest.mark.parametrize("cases", [["PT7", "PT7", "PT8"], ["PT7", "PT7", "Koch"], ["7", "7", "8"]])
def test_names_and_slides_that_do_not_hold_their_case_are_numbers_within_it(cases):
    names, slides = ["Meyer_a.png", "Meyer_b.png", "Koch_7.png"], ["S22-11", "S22-12", "S22-7"]
    hidden = pseudonyms(cases)
    first, second = hidden[cases[0]], hidden[cases[2]]
    assert case_examples(table(names, cases, slides), CLASSES) == [
        f"  {first} · 1 -> class sick, case {first}, slide {first} · 1",
        f"  {second} · 1 -> class sick, case {second}, slide {second} · 1",
        f"  {first} · 2 -> class sick, case {first}, slide {first} · 2",
    ]
    shown = "\n".join(case_examples(table(names, cases, slides), CLASSES, show_names=True))
    assert all(name in shown.replace("[", "").replace("]", "") for name in (*names, *slides, *cases))


def test_names_that_hold_their_case_are_shown_with_its_pseudonym():
    names, cases = ["P7_PAS_1.png", "P7_PAS_2.png", "P8_PAS_1.png"], ["P7", "P7", "P8"]
    hidden = pseudonyms(cases)
    found = case_examples(table(names, cases, ["P7_x", "P7_y", "P8"]), CLASSES)
    assert sorted(found) == sorted(
        [
            f"  [{hidden['P7']}]_PAS_1.png -> class sick, case {hidden['P7']}, slide [{hidden['P7']}]_x",
            f"  [{hidden['P7']}]_PAS_2.png -> class sick, case {hidden['P7']}, slide [{hidden['P7']}]_y",
            f"  [{hidden['P8']}]_PAS_1.png -> class sick, case {hidden['P8']}",
        ]
    )
    joined = case_examples(table(["P7_a.png", "P9_a.png"], ["P7+P9"] * 2), CLASSES)
    assert joined == [f"  [C001]_{k}.png -> class sick, case C001" for k in "aa"]


@pytest.mark.parametrize(
    "names",
    [
        ["Bauer_Eva_01.png", "Huber_Max_01.png"],
        ["Bauer_1_Eva.png", "Huber_1.png"],
        ["Bauer_1961-03-05_1.png", "Huber_1970-12-31_1.png"],
        ["Bauer_19610305.png", "Huber_19701231.png"],
        ["Bauer_05.03.1961_1.png", "Huber_31.12.1970_1.png"],
        ["Eva/Bauer_1.png", "sick/Huber_2.png"],
    ],
)
def test_names_with_a_date_or_a_word_of_one_case_are_numbers_within_it(names):
    cases = ["Bauer", "Huber"]
    hidden = pseudonyms(cases)
    expected = [f"  {hidden[case]} · 1 -> class sick, case {hidden[case]}" for case in cases]
    assert case_examples(table(names, cases), CLASSES) == expected
    shown = case_examples(table(names, cases), CLASSES, show_names=True)
    assert [line.replace("[", "").replace("]", "").split()[0] for line in shown] == names


@pytest.mark.parametrize(
    ("names", "cases"),
    [
        (["P001_PAS_1of2_a3f9.png", "P002_PAS_2of2_beef.png"], ["P001", "P002"]),
        (["SOB_B_A-14-22549AB-40-001.png", "SOB_M_DC-14-2523-40-001.tif"], ["22549", "2523"]),
        (["TCGA-B0-4710-01Z-00-DX1_7.png", "TCGA-B0-4711-01Z-00-DX1_7.png"], ["TCGA-B0-4710", "TCGA-B0-4711"]),
        (["sick/P1_1.png", "well/P2_1.png"], ["P1", "P2"]),
        (["P1_Eva.png", "P1_Eva_2.png"], ["P1", "P1"]),
        (["P1_20611305.png", "P2_1961030512.png"], ["P1", "P2"]),
    ],
)
def test_names_with_words_of_several_cases_and_other_numbers_are_shown(names, cases):
    hidden = pseudonyms(cases)
    shown = [line.split()[0] for line in case_examples(table(names, cases), CLASSES)]
    assert shown == [name.replace(case, f"[{hidden[case]}]") for name, case in zip(names, cases, strict=True)]


def test_a_warning_about_a_pattern_shows_no_names_that_say_who_it_is(tmp_path):
    names = [f"{kind}/{who}_{k}.png" for kind in CLASSES for who in ("Bauer12", "Huber12", "Koch13") for k in (1, 2)]
    folder = put(tmp_path, names)
    for show_names in (False, True):
        found = inspect_manifest(folder, groups=r"(?P<case>\d+)_", show_names=show_names).manifest.said
        (said,) = [line for line in found if "ignores letters that differ" in line]
        assert "widen (?P<case>...)" in said and (" case 12" in said) == show_names
        assert [who in said for who in ("Bauer", "Huber")] == [show_names] * 2


def warned(folder, name="im{c}_{k}.png", **columns):
    """The warnings on 16 cases, two each of one of 8 patients, with three images each; columns by case and image."""
    images = [(c, k) for c in range(16) for k in range(3)]
    names = [name.format(c=c, k=k, p=c // 2, s=c // 8, q=c % 8) for c, k in images]
    table = {column: [value(c, k) for c, k in images] for column, value in columns.items()}
    table = pd.DataFrame({"image": names, "label": [k % 2 for _, k in images], **table})
    table.to_csv(put(folder, names) / "labels.csv", index=False)
    return [line for line in read_manifest(folder).said if line.startswith("warning: ")]


def ends(groups, count=8):
    return f" gives {count} cases and column case 16: if it tells patients apart, use --groups {groups}"


def biopsy(c, k):
    return f"B{c:02}"


@pytest.mark.parametrize("column", ["patient", "MRN", "Subject ID", "proband", "group"])
def test_a_column_that_joins_cases_is_told_although_a_cell_is_empty_or_wrong(tmp_path, column):
    said = [f"warning: column {column!r}{ends(repr(column))}"]
    for last in (7, None, 6):  # the patient of the last image of the last case
        values = {column: lambda c, k, last=last: last if (c, k) == (15, 2) else c // 2}
        assert warned(tmp_path, case=biopsy, **values) == said


def test_patients_of_many_cases_are_told_and_groups_of_many_are_not(tmp_path):
    told = (
        "mrn",
        "accession",
        "biopsy_id",
        "Specimen No.",
        "proband",
        "Patienten-ID",
        "patient identifier",
        "patient_uid",
    )
    groups = ("kidney", "block", "group", "patient_group", "biopsy", "biopsy_score", "patient_sex")
    said = warned(tmp_path, case=biopsy, **dict.fromkeys((*told, *groups), lambda c, k: f"x{c // 4}"))
    assert said == [f"warning: column {column!r}{ends(repr(column), 4)}" for column in told]


def test_a_column_of_patients_is_told_although_it_tears_cases(tmp_path):
    """The number of a case starts again at a second site, so that it holds images of two patients."""
    torn = {"patient": lambda c, k: f"{c // 4}{k % 2}", "biopsy_id": lambda c, k: f"{c // 4}{k % 2}"}
    assert warned(tmp_path, case=biopsy, **torn) == [f"warning: column 'patient'{ends(repr('patient'))}"]


def test_folders_and_names_that_join_the_cases_of_a_column_are_told(tmp_path):
    """A leak: the table calls biopsies cases, and a folder or a name holds both biopsies of a patient."""
    said = [f"warning: the folder of an image{ends(repr('subfolder'))}"]
    assert warned(tmp_path / "folders", "patient{p}/B{c}_{k}.png", case=biopsy) == said
    assert read_manifest(tmp_path / "folders", groups="subfolder").table["case"].nunique() == 8
    assert warned(tmp_path / "biopsies", "patient{p}_b{c}/B{c}_{k}.png", case=biopsy) == said
    assert warned(tmp_path / "site", "site{s}/patient{p}/B{c}_{k}.png", case=biopsy) == said
    names = [f"warning: the name of a file{ends('REGEX')}"]
    for name in ("patient{p}_{c}{k}.png", "patient{p}_{c}_{k}.png", "patient{p}_512_{c}{k}.png"):
        assert warned(tmp_path / name, name, case=biopsy) == names
    for name in (
        *("patient{c}/B{c}_{k}.png", "patient{c}_{k}.png", "case{k}/B{c}_{k}.png", "case{k}_{c}.png"),
        *("case_202{s}_0{c:02}_{k}.png", "site{s}/patient{q}/{k}.png"),  # the year; a number that starts again
    ):
        assert warned(tmp_path / name.replace("/", " "), name, case=biopsy) == []


def test_columns_that_describe_patients_are_not_taken_for_them(tmp_path):
    """With --groups and one of these, folds would be of two groups, of years or of days."""
    columns = {
        "group": lambda c, k: ("control", "disease")[c % 2],
        "age_group": lambda c, k: ("<50", "50+")[c % 2],
        "kidney": lambda c, k: "LR"[c // 8],
        "biopsy": lambda c, k: k % 2 + 1,
        "biopsy_year": lambda c, k: 2010 + c // 2,
        "Date of biopsy": lambda c, k: f"2020-01-{c // 2 + 1:02}",
        "patient age": lambda c, k: 40 + c // 2,
        "biopsy_type": lambda c, k: ("needle", "wedge")[c % 2],
        "block": lambda c, k: f"A{c % 2 + 1}",
        "specimen": lambda c, k: ("nephrectomy", "biopsy")[k % 2],
        "accession": lambda c, k: f"S{c}-{k}",
    }
    assert warned(tmp_path, patient=biopsy, **columns) == []


@pytest.mark.parametrize("column", ["SUBJID", "USUBJID", "pid", "trial_eid", "RID", "pseudonym"])
def test_ids_of_persons_in_trials_and_registers_are_named_if_they_would_join_cases(tmp_path, column):
    """Names of files may number visits, of which a person has several."""
    frame = pd.DataFrame(
        {"name": [f"case_{k}_0" for k in range(12)], "label": [0, 1] * 6, "f": [k / 3 for k in range(12)]}
    )
    frame.assign(**{column: [4000 + k // 3 for k in range(12)]}).to_csv(tmp_path / "t.csv", index=False)
    (line,) = [line for line in read_manifest(tmp_path / "t.csv").said if line.startswith("warning: column")]
    assert line.startswith(f"warning: column '{column}' gives 4 cases and from names ")
