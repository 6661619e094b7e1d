"""What a plan says of work that is too long to be tried."""

from itertools import count
from types import SimpleNamespace

import pytest

from glomfeat import planning
from glomfeat.harness import free_bytes


@pytest.mark.parametrize("head", ["logreg", "xgboost"])
def test_a_head_on_twenty_times_as_many_rows_is_planned_to_take_at_least_twenty_times_as_long(head, monkeypatch):
    # a clock by which every fit takes a second: nothing is seen to grow
    monkeypatch.setattr(planning, "time", SimpleNamespace(perf_counter=count().__next__))
    few, many = (planning._head_seconds(head, 8, rows, 1) for rows in (40_000, 800_000))
    assert many == pytest.approx(20 * few)
    assert planning._head_seconds(head, 8, 4_000, 1) == planning._head_seconds(head, 8, 2_000, 1)


def test_what_names_and_scores_of_all_images_take_is_no_longer_free():
    assert free_bytes(8 * 10**9, True, 0) - free_bytes(8 * 10**9, True, 10**6) == 3 * 10**9
