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
