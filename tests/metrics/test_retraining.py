"""Variance of training from folds that are left out, and limits of the procedure."""

import numpy as np
import pytest

from glomfeat.metrics.procedure import procedure_limits, retraining


@pytest.mark.parametrize("covariance", [0.0, 0.6])
def test_what_training_adds_to_the_variance_of_a_mean_over_folds_is_found(covariance):
    """Folds that move every model that learns them by some amount, and their own test by another."""
    rng, k, n = np.random.default_rng(0), 5, 4000
    learnt = rng.normal(0, 0.02, (n, k))
    tested = covariance * learnt + rng.normal(0, 0.04, (n, k))
    total = learnt.sum(axis=1, keepdims=True)
    outer = 0.8 + tested + (total - learnt) / (k - 1)
    inner = np.zeros((n, k))
    for i in range(k):
        others = [j for j in range(k) if j != i]
        inner[:, i] = np.mean(
            [0.8 + tested[:, j] + (total[:, 0] - learnt[:, i] - learnt[:, j]) / (k - 2) for j in others], axis=0
        )
    found = np.mean([retraining(one[None], other[None])[0] for one, other in zip(inner, outer, strict=True)])
    adds = outer.mean(axis=1).var() - tested.mean(axis=1).var()
    assert found == pytest.approx(adds, rel=0.6) and found >= 0.8 * adds
    each = [retraining(inner[[r]], outer[[r]])[0] for r in range(2)]
    if min(each) > 0:
        assert retraining(inner[:2], outer[:2])[0] == pytest.approx(np.mean(each)), "repeats are averaged"


def test_models_that_training_does_not_change_add_nothing():
    outer = np.array([[0.8, 0.9, 0.7, 0.85, 0.75]])
    inner = (outer.sum() - outer) / 4
    assert retraining(inner, outer) == (pytest.approx(0.0, abs=1e-18), 4.0)


def test_limits_of_the_procedure_hold_those_of_the_models():
    own = (0.82, 0.95)
    alone = procedure_limits(0.9, (0.03**2, 20.0), (0.0, 4.0), own)
    more = procedure_limits(0.9, (0.03**2, 20.0), (0.03**2, 4.0), own)
    assert more[0] < alone[0] <= own[0] and own[1] <= alone[1] < more[1] < 1
    assert procedure_limits(0.9, (1e-9, 20.0), (0.0, 4.0), own) == own
    assert procedure_limits(1.0, (0.0, 20.0), (0.01, 4.0), (0.9, 1.0)) == (0.9, 1.0)
    assert procedure_limits(0.5, (0.0, 20.0), (0.0, 4.0), (0.5, 0.5)) == (0.5, 0.5)
