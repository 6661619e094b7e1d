import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from glomfeat.metrics.scores import auroc, average_precision, brier, confusion, decide, ece
from glomfeat.metrics.table import rates
from glomfeat.metrics.thresholds import choose_threshold, parse_threshold

RATES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1", "mcc")
PUBLISHED = np.array([[465.0, 6.0], [8.0, 98.0]])  # homemade-128 of the original study


GRID = st.integers(0, 64).map(lambda k: k / 64)


def problems(score=GRID, least=2):
    """Labels of two classes, both there, and scores that often tie."""
    rows = st.lists(st.tuples(st.integers(0, 1), score), min_size=least, max_size=40)
    rows = rows.filter(lambda rows: len({label for label, _ in rows}) == 2)
    return rows.map(lambda rows: (np.array([label for label, _ in rows]), np.array([value for _, value in rows])))


@settings(max_examples=100, deadline=None)
@given(problems(score=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])))
def test_ranking_equals_scikit_learn_with_ties(problem):
    y, score = problem
    assert auroc(y, score) == pytest.approx(sk.roc_auc_score(y, score), abs=1e-12)
    assert average_precision(y, score) == pytest.approx(sk.average_precision_score(y, score), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(problems(score=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), least=6), st.integers(0, 2**31))
def test_whole_weights_are_repeated_rows(problem, seed):
    y, score = problem
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(y)))
    for metric, oracle in ((auroc, sk.roc_auc_score), (average_precision, sk.average_precision_score)):
        found = metric(y, score, weights)
        assert found.shape == (3,)
        for value, weight in zip(found, weights, strict=True):
            here = np.repeat(y, weight)
            if len(set(here)) == 2:
                assert value == pytest.approx(oracle(here, np.repeat(score, weight)), abs=1e-12)
            elif metric is auroc or 1 not in here:
                assert np.isnan(value)


def test_weights_in_several_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    y, score, weights = rng.integers(0, 2, 30), rng.random(30), rng.integers(0, 3, (11, 30))
    whole = auroc(y, score, weights)
    monkeypatch.setattr("glomfeat.metrics.scores.BLOCK", 100)  # three replicates at a time
    np.testing.assert_array_equal(auroc(y, score, weights), whole)


def test_missing_class_is_nan_without_a_warning():
    assert np.isnan(auroc([1, 1], [0.2, 0.3])) and np.isnan(auroc([0, 0], [0.2, 0.3]))
    assert np.isnan(average_precision([0, 0], [0.2, 0.3])) and np.isnan(average_precision([1, 1], [0.2, 0.3]))
    assert np.isnan(auroc([0, 1], np.eye(3)[:2]))  # class 2 is nowhere
    assert np.isnan(auroc([], [])) and np.isnan(auroc([], np.zeros((0, 3)), np.zeros((2, 0)))).all()


def test_more_classes_are_a_mean_over_one_against_the_rest():
    rng = np.random.default_rng(1)
    y = np.r_[0, 1, 2, rng.integers(0, 3, 50)]
    score = rng.dirichlet(np.ones(3), len(y)).round(1)
    score /= score.sum(axis=1, keepdims=True)
    macro = sk.roc_auc_score(y, score, multi_class="ovr", average="macro")
    assert auroc(y, score) == pytest.approx(macro)
    hot = np.eye(3)[y]
    assert average_precision(y, score) == pytest.approx(sk.average_precision_score(hot, score, average="macro"))
    weights = rng.integers(1, 3, (2, len(y)))
    repeated = sk.roc_auc_score(np.repeat(y, weights[1]), np.repeat(score, weights[1], axis=0), multi_class="ovr")
    assert auroc(y, score, weights)[1] == pytest.approx(repeated)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_rates_of_two_classes_equal_scikit_learn(problem):
    y, score = problem
    predicted = decide(score)
    counts = confusion(y, predicted)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(y, predicted, labels=[0, 1]))
    found = rates(counts)
    expected = {
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
        "sensitivity": sk.recall_score(y, predicted),
        "specificity": sk.recall_score(y, predicted, pos_label=0),
        "precision": sk.precision_score(y, predicted, zero_division=0),
        "f1": sk.f1_score(y, predicted, zero_division=0),
        "mcc": sk.matthews_corrcoef(y, predicted),
        "fn": ((y == 1) & (predicted == 0)).sum(),
        "fp": ((y == 0) & (predicted == 1)).sum(),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, abs=1e-12)


def test_rates_of_more_classes():
    rng = np.random.default_rng(2)
    y, predicted = rng.integers(0, 4, 80), rng.integers(0, 4, 80)
    found = rates(confusion(y, predicted, classes=4))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, predicted))
    for name, oracle in (("sensitivity", sk.recall_score), ("precision", sk.precision_score), ("f1", sk.f1_score)):
        assert found[name] == pytest.approx(oracle(y, predicted, average="macro"))
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(y, predicted))
    rest = [sk.recall_score(y != k, predicted != k) for k in range(4)]
    assert found["specificity"] == pytest.approx(np.mean(rest))
    assert found["fn"] == found["fp"] == (y != predicted).sum()


def test_published_row():
    found = rates(PUBLISHED)
    expected = {"accuracy": 563 / 577, "sensitivity": 98 / 106, "specificity": 465 / 471}
    expected |= {"precision": 98 / 104, "f1": 196 / 210}
    expected["balanced_accuracy"] = (98 / 106 + 465 / 471) / 2
    expected["mcc"] = (98 * 465 - 6 * 8) / np.sqrt(104 * 106 * 471 * 473)
    assert {name: float(found[name]) for name in RATES} == pytest.approx(expected)
    assert (found["fn"], found["fp"]) == (8, 6)


def test_rates_without_a_denominator():
    none_called = rates(np.array([[5.0, 0.0], [3.0, 0.0]]))
    assert none_called["precision"] == none_called["f1"] == none_called["mcc"] == none_called["sensitivity"] == 0
    no_positive = rates(np.array([[4.0, 1.0], [0.0, 0.0]]))
    assert np.isnan(no_positive["sensitivity"]) and no_positive["specificity"] == 0.8


def test_weighted_confusion_and_its_rates_by_replicate():
    y, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    weights = np.array([[1, 1, 1, 1, 1], [2, 0, 3, 1, 1]])
    counts = confusion(y, predicted, weights=weights)
    again = confusion(np.repeat(y, weights[1]), np.repeat(predicted, weights[1]))
    np.testing.assert_array_equal(counts[1], again)
    assert rates(counts)["mcc"][1] == pytest.approx(float(rates(again)["mcc"]))


def test_a_score_of_one_half_is_positive():
    below = np.nextafter(0.5, 0)
    assert decide(np.array([below, 0.5])).tolist() == [0, 1]
    assert decide(np.array([0.3, 0.7]), 0.7).tolist() == [0, 1]
    assert decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])).tolist() == [1, 0]


def test_brier_equals_scikit_learn():
    rng = np.random.default_rng(3)
    y, score = rng.integers(0, 2, 40), rng.random(40)
    assert brier(y, score) == pytest.approx(sk.brier_score_loss(y, score))
    assert brier([0, 2], [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]]) == pytest.approx((0.5**2 + 0.25**2 + 0.75**2) / 2)


def test_ece_by_hand_and_by_brute_force():
    assert ece([0, 1, 1, 0], [0.05, 0.05, 0.95, 1.0]) == pytest.approx((2 * 0.45 + 2 * 0.475) / 4)
    rng = np.random.default_rng(4)
    y, score = rng.integers(0, 2, 200), rng.random(200)
    gaps = []
    for k in range(10):
        here = (score >= k / 10) & (score < (k + 1) / 10)
        gaps.append(here.sum() * abs(score[here].mean() - y[here].mean()))
    assert ece(y, score) == pytest.approx(sum(gaps) / 200)
    assert ece([0, 1], [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1]]) == pytest.approx((0.1 + 0.8) / 2)


def candidates(y, score):
    """Every threshold that there is to choose from: its place, sensitivity and specificity."""
    distinct = sorted(set(score.tolist()))
    middles = [distinct[0]] + [(a + b) / 2 for a, b in pairwise(distinct)]
    for middle in middles:
        called = score >= middle
        yield middle, (called & (y == 1)).sum() / (y == 1).sum(), (~called & (y == 0)).sum() / (y == 0).sum()


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from(["balanced", "youden"]))
def test_threshold_is_the_best_and_then_nearest_to_one_half(problem, rule):
    y, score = problem
    losses = {
        middle: round(abs(sens - spec) if rule == "balanced" else -(sens + spec), 9)
        for middle, sens, spec in candidates(y, score)
    }
    best = [middle for middle, loss in losses.items() if loss == min(losses.values())]
    chosen = choose_threshold(y, score, rule)
    assert chosen in best and abs(chosen - 0.5) == min(abs(middle - 0.5) for middle in best)


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.95, 1.0]))
def test_sensitivity_rule_takes_the_highest_threshold_that_reaches_it(problem, least):
    y, score = problem
    enough = [middle for middle, sens, _ in candidates(y, score) if sens >= least]
    assert choose_threshold(y, score, f"sensitivity>={least}") == max(enough)


@settings(max_examples=200, deadline=None)
@given(problems(score=st.floats(0, 1)), st.sampled_from([0.5, 0.9, 1.0]))
def test_sensitivity_is_reached_whatever_the_scores(problem, least):
    y, score = problem
    called = decide(score, choose_threshold(y, score, f"sensitivity>={least}"))
    assert called[y == 1].mean() >= least


@settings(max_examples=200, deadline=None)
@given(problems(score=st.floats(0, 1)))
def test_balanced_threshold_parts_the_scores_as_meant(problem):
    y, score = problem
    called = decide(score, choose_threshold(y, score, "balanced"))
    gap = abs(called[y == 1].mean() - (1 - called[y == 0].mean()))
    cuts = [score >= value for value in set(score.tolist())]
    assert gap == pytest.approx(min(abs(cut[y == 1].mean() - (1 - cut[y == 0].mean())) for cut in cuts))


@pytest.mark.parametrize("rule", ["balanced", "youden", "sensitivity>=0.95"])
@pytest.mark.parametrize("constant", [0.0, 0.25, 1 / 3, 2 / 3, 1.0])
def test_constant_scores_are_all_called_positive(rule, constant):
    score = np.full(4, constant)
    threshold = choose_threshold([0, 1, 1, 0], score, rule)
    assert threshold == pytest.approx(constant) and decide(score, threshold).tolist() == [1] * 4


def test_fixed_threshold_is_as_given():
    assert choose_threshold([0, 1], [0.1, 0.9], "0.37") == 0.37


@pytest.mark.parametrize(
    ("rule", "parsed"),
    [
        ("balanced", ("balanced", None)),
        ("youden", ("youden", None)),
        ("sensitivity>=.9", ("sensitivity", 0.9)),
        ("0.5", ("fixed", 0.5)),
        ("1", ("fixed", 1.0)),
        ("0", ("fixed", 0.0)),
        ("1e-3", ("fixed", 0.001)),
    ],
)
def test_threshold_rules(rule, parsed):
    assert parse_threshold(rule) == parsed


@pytest.mark.parametrize("rule", ["", "best", "1.5", "-0.1", "sensitivity>=2", "sensitivity>0.9", "specificity>=0.9"])
def test_unknown_threshold_rules_say_what_is_allowed(rule):
    rules = "balanced, youden, 'sensitivity>=0.95' (a shell needs the quotes), a number in 0..1"
    allowed = f"allowed are {rules}, or your own module:function"
    with pytest.raises(ValueError, match=f"^{re.escape(f'threshold is {rule!r}: {allowed}')}$"):
        parse_threshold(rule)
