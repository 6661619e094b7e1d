"""Whether the cases of each class suffice."""

import pandas as pd
import pytest

from glomfeat.data.problems import ARE_PATIENTS, case_problems


@pytest.mark.parametrize(("parts", "least"), [(2, 4), (3, 3), (4, 4), (5, 5)])
def test_the_least_cases_of_a_class_for_folds(parts, least):
    # with one of two folds held out, the other must hold two cases to choose by
    def problems(held):
        cases = [f"P{case}" for case in range(held + 10)]
        table = pd.DataFrame({"case": cases, "label": [0] * 10 + [1] * held})
        return [what for what, _ in case_problems(table, ("well", "sick"), parts, True)]

    assert problems(least) == []
    (said,) = problems(least - 1)
    assert said.startswith(f"the {least - 1} positives (sick) are in {least - 1} cases, {parts} folds need {least}; ")


def test_all_classes_that_lack_cases_have_one_remedy():
    table = pd.DataFrame({"case": [f"P{case}" for case in (0, 1, 2, 0, 1, 2, 3)], "label": [0] * 3 + [1] * 4})
    few, more = (what for what, _ in case_problems(table, ("well", "sick"), 5, True))
    assert few == "the 3 negatives (well) are in 3 cases, 5 folds need 5"
    assert more == f"the 4 positives (sick) are in 4 cases, 5 folds need 5; use --folds 3{ARE_PATIENTS}"
    assert case_problems(table, ("well", "sick"), 3, True) == []
    ((of_two, _),) = case_problems(table, ("well", "sick"), 2, True)
    assert of_two == f"the 3 negatives (well) are in 3 cases, 2 folds need 4; use --folds 3{ARE_PATIENTS}"


@pytest.mark.parametrize("show_names", [False, True])
def test_names_of_patients_that_are_taken_for_classes_are_not_told_beside_their_pseudonyms(show_names):
    names = ["Bauer", "Koch", "Meyer"]
    table = pd.DataFrame({"case": ["c0", "c0", "c1", "c2"], "label": [0, 0, 1, 2]})
    ((said, rows),) = case_problems(table, names, 5, True, show_names)
    assert said.startswith("3 of 3 classes are in fewer than 5 cases, 3 of them in a single one: check that these are ")
    assert said.endswith(f"; if they are, add cases{ARE_PATIENTS}") and rows == []
    assert not any(text in said for text in (*names, "C00", "c0"))


def test_dates_that_are_taken_for_classes_are_counted_and_not_listed():
    dates = [f"2023-01-{day:02d}" for day in range(1, 22)]
    table = pd.DataFrame({"case": [f"c{k % 30}" for k in range(63)], "label": [k % 21 for k in range(63)]})
    ((said, _),) = case_problems(table, dates, 5, False)
    assert said.startswith("21 of 21 classes are in fewer than 5 images: check") and said.endswith("use --folds 3")


def test_a_rare_class_among_three_is_named():
    table = pd.DataFrame({"case": [*range(8), *range(8), 3], "label": [0] * 8 + [1] * 8 + [2]})
    ((said, _),) = case_problems(table.astype({"case": str}), ("none", "segmental", "global"), 5, True)
    assert said.startswith("the only image (global) is of case C00")
