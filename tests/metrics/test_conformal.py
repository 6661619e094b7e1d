"""Sets of classes hold the true one for 90 % of a new case's images, by simulation."""

import numpy as np
import pytest

from glomfeat.metrics.conformal import LEVEL, case_quantile, class_sets


def draw(cases, rng):
    """Images of cases that share an effect, some cases of very many images."""
    sizes = np.where(rng.random(cases) < 0.2, 60, rng.integers(1, 8, cases))
    case = np.repeat(np.arange(cases), sizes)
    y = (rng.random(len(case)) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-(3 * y - 1.5 + 1.5 * rng.normal(size=cases)[case] + rng.normal(size=len(case)))))
    return y, score, case


@pytest.mark.parametrize("cases", [9, 25])
def test_a_new_case_is_covered_as_promised(cases):
    found = []
    for number in range(800):
        rng = np.random.default_rng([cases, number])
        quantile, k = case_quantile(*draw(cases, rng))
        y, score, _ = draw(1, rng)
        found.append(class_sets(score, quantile)[np.arange(len(y)), y].mean())
        assert k == cases
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) > LEVEL - 2 * error
    assert cases == 9 or np.mean(found) < LEVEL + 1 / (cases + 1) + 3 * error


def test_every_case_weighs_the_same():
    y, far = np.ones(30, int), np.r_[np.full(10, 0.2), np.full(20, 0.7)]
    cases = np.r_[np.arange(10), np.full(20, 10)]  # the last case has twenty images of one in eleven cases
    assert case_quantile(y, 1 - far, cases) == (pytest.approx(0.7), 11)
    few = np.r_[np.arange(10), np.full(20, 9)]
    assert case_quantile(y, 1 - far, few)[1] == 10


def test_of_more_classes_the_score_of_the_true_one_counts():
    score = np.tile([0.2, 0.7, 0.1], (20, 1))
    quantile, _ = case_quantile(np.ones(20, int), score, np.arange(20))
    assert quantile == pytest.approx(0.3)
    assert class_sets(score[:1], quantile).tolist() == [[False, True, False]]
    assert class_sets(score[:1], None).tolist() == [[True, True, True]]
