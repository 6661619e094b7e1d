"""Whether the cases of each class suffice."""

import pandas as pd
import pytest

from glomfeat.data.problems import case_problems


@pytest.mark.parametrize(("parts", "least"), [(2, 4), (3, 3), (4, 4), (5, 5)])
def test_the_least_cases_of_a_class_for_folds(parts, least):
    # with one of two folds held out, the other must hold two cases to choose by
    def problems(held):
        cases = [f"P{case}" for case in range(held + 10)]
        table = pd.DataFrame({"case": cases, "label": [0] * 10 + [1] * held})
        return [what for what, _ in case_problems(table, ("well", "sick"), parts, True)]

    assert problems(least) == []
    (said,) = problems(least - 1)
    assert said.startswith(f"the {least - 1} positives (sick) are in {least - 1} cases, {parts} parts need {least}: ")
