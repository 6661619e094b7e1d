"""Twenty studies, each within the memory that was planned for it: measured from outside, all processes together.

``pytest -m slow -n 0 -s tests/commands/test_memory_campaign.py`` prints the table.
"""

import pytest
from helpers.memory import CONFIGURATIONS, make_data, run_measured, table

pytestmark = pytest.mark.slow


def test_no_study_takes_more_than_was_planned(tmp_path):
    make_data(tmp_path)
    measured = [run_measured(number, tmp_path, tmp_path) for number in range(len(CONFIGURATIONS))]
    print(f"\n{table(measured)}")
    assert len(measured) >= 20
    for one in measured:
        assert one.status == 0, one
        assert one.held <= one.budget, one
