"""What is said while the user waits."""

import io
from types import SimpleNamespace

import pytest

from glomfeat.core import progress


@pytest.mark.parametrize(("slow", "line"), [(2, "fits: 2 of 30"), (3, "fits: 3 of 30, about 90 s left")])
def test_time_is_estimated_once_a_tenth_of_the_items_is_done(monkeypatch, slow, line):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    stream = io.StringIO()
    for item in progress.track(range(1, 31), "fits", 30, stream):
        clock.now = 10.0 * (item >= slow)
    assert stream.getvalue() == line + "\n"
