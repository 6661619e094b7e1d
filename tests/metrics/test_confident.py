"""Confident learning: what is in doubt is what cleanlab finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.metrics.confident import confident_class


def by_loops(y, p):
    """Northcutt, Jiang & Chuang 2021, equation 1, with cleanlab's way of ties, one image at a time."""
    classes, found = p.shape[1], []
    means = [np.mean([row[k] for row, label in zip(p, y, strict=True) if label == k] or [2]) for k in range(classes)]
    for row, label in zip(p, y, strict=True):
        bins = [k for k in range(classes) if row[k] >= means[k] - 1e-6]
        other = label if not bins else bins[0] if len(bins) == 1 else int(np.argmax(row))
        largest = int(np.argmax([value + 1e-8 * (k == label) for k, value in enumerate(row)]))
        found.append(label if largest == label else other)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 60))
def test_it_is_the_rule_of_the_paper(seed, classes, n):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    p = np.round(rng.dirichlet(np.ones(classes), n) + np.eye(classes)[y] * rng.random(), 1)
    assert confident_class(y, p).tolist() == by_loops(y.tolist(), p)


def test_cleanlab_finds_the_same():
    # as find_label_issues of cleanlab 2.9.0 does, by "confident_learning", ranked by "self_confidence"
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    z = 1.5 * np.eye(3)[y] + rng.normal(size=(60, 3))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    rows = np.flatnonzero(confident_class(y, p) != y)
    assert rows[np.argsort(p[rows, y[rows]])].tolist() == [36, 49, 10, 55]


def test_labels_that_nothing_contradicts_are_kept():
    y = np.array([0, 0, 1, 1])
    assert confident_class(y, np.eye(2)[y]).tolist() == y.tolist()
    assert confident_class(y, np.full((4, 2), 0.5)).tolist() == y.tolist()
    assert confident_class(np.array([0, 0]), np.array([[0.4, 0.6], [0.3, 0.7]])).tolist() == [0, 0]  # one class only


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_labels_that_were_turned_over_are_found(share):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    z = 3 * (truth - 0.5) + rng.normal(size=400)
    p = 1 / (1 + np.exp(-2 * z))
    turned = rng.random(400) < share
    doubted = confident_class(truth ^ turned, np.column_stack([1 - p, p])) != (truth ^ turned)
    assert turned[doubted].mean() > 0.75 and doubted[turned].mean() > 0.6
