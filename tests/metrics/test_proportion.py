"""Limits of counted shares are those of SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest

from glomfeat.metrics.proportion import share_limits


def test_limits_are_those_of_scipy():
    pairs = [(hits, of) for of in (1, 2, 7, 40, 1000) for hits in {0, 1, of // 3, of - 1, of}]
    low, high = share_limits(*zip(*pairs, strict=True))
    for k, (hits, of) in enumerate(pairs):
        known = binomtest(hits, of).proportion_ci(method="wilson")
        assert (low[k], high[k]) == pytest.approx((known.low, known.high), abs=1e-12)
        assert 0 <= low[k] <= hits / of <= high[k] <= 1


def test_nothing_counted_has_no_limits():
    assert np.isnan(share_limits([0], [0])).all()
