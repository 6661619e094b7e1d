"""How sure a figure is follows the cases that it is made of."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest, t
from sklearn.metrics import f1_score

from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.metrics.table import METRICS
from glomfeat.results.parts import Part, find_limits, measure

NO_ERROR = [(2, 20), (5, 12)]  # cases with positive images, cases in all


def study(holders, total, wrong=(), per_case=6):
    """Scores of a small study; every case holds negatives, the first ones positives too."""
    cases = np.repeat(np.arange(total), per_case)
    y = ((np.arange(len(cases)) % per_case < 3) & (cases < holders)).astype(int)
    score = np.where(y == 1, 0.9, 0.1)
    score[list(wrong)] = 1 - score[list(wrong)]
    return Part(0, y, cases, score, 0.5)


@pytest.mark.parametrize(("holders", "total"), NO_ERROR)
def test_without_errors_each_figure_is_as_sure_as_it_has_cases(holders, total):
    ends = find_limits([study(holders, total)], 2)
    of = {"sensitivity": holders, "f1": holders, "specificity": total, "accuracy": total, "auroc": holders}
    for name, n in of.items():
        assert ends[name] == pytest.approx(tuple(binomtest(n, n).proportion_ci())), name
    tested = 6 * total - 3 * holders
    assert ends["fp"] == pytest.approx((0, tested * (1 - ends["specificity"][0])))
    assert ends["fn_t"] == pytest.approx((0, 3 * holders * (1 - ends["sensitivity_t"][0])))


def of_share(right):
    """95 % limits of a share of cases with one image each, by hand: Clopper & Pearson, or Student's t on the logit."""
    n, p = len(right), np.mean(right)
    if p in (0, 1):
        return tuple(binomtest(int(sum(right)), n).proportion_ci())
    apart = (p * n - np.asarray(right)) / (n - 1) - p  # without each case
    freedom = min(n - 1, 3 * (apart**2).sum() ** 2 / (apart**4).sum())
    error = np.sqrt((n - 1) / n * (apart**2).sum()) / (p * (1 - p))
    return tuple(expit(logit(p) + side * t.ppf(0.975, freedom) * error) for side in (-1, 1))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_errors_leaves_balanced_accuracy_unsure(classes):
    """The last class, of eight cases, is called right throughout: it may still be missed in one of three cases."""
    sizes = [40, 30, 8] if classes == 3 else [40, 8]
    y = np.repeat(np.arange(classes), sizes)
    called = np.where((np.arange(len(y)) % 5 == 0) & (y < classes - 1), (y + 1) % classes, y)
    score = np.eye(classes)[called] if classes > 2 else called.astype(float)
    ends = find_limits([Part(0, y, np.arange(len(y)), score, 0.5)], classes)
    right = [called[y == label] == label for label in range(classes)]
    shares, lows, highs = np.array([(np.mean(one), *of_share(one)) for one in right]).T
    low, high = shares.mean() - np.linalg.norm(shares - lows) / classes, shares.mean()
    high += np.linalg.norm(highs - shares) / classes
    assert ends["balanced_accuracy"] == pytest.approx((low, high)) and lows[-1] < 0.64
    assert (ends["sensitivity"] == ends["balanced_accuracy"]) == (classes > 2)


def test_f1_counts_false_alarms_and_so_hangs_on_every_case():
    part = study(4, 12, range(27, 72, 6))  # each case that holds others only has a false alarm or two
    everywhere = np.arange(12)
    without = [f1_score(part.y[rest], part.score[rest] >= 0.5) for rest in (part.cases != one for one in everywhere)]
    ends = jackknife_limits(f1_score(part.y, part.score >= 0.5), np.array(without), holders=4)
    assert find_limits([part], 2)["f1"] == pytest.approx(ends)


def test_precision_is_made_of_cases_that_are_called_positive():
    part = study(8, 20)
    score = np.where(part.cases < 5, part.score, 0.1)  # only five cases are called positive, all of them right
    ends = find_limits([replace(part, score=score)], 2)
    assert ends["precision"] == pytest.approx(tuple(binomtest(5, 5).proportion_ci()))


def test_limits_do_not_change_with_cases_that_tell_nothing_of_a_figure():
    wrong = [0, 7, 13, 14]
    some, many = (find_limits([study(5, total, wrong)], 2)["sensitivity"] for total in (6, 60))
    assert some == pytest.approx(many) and some[1] - some[0] > 0.3


def test_a_case_that_is_all_of_a_class_in_one_repeat_leaves_no_limits():
    part = study(5, 9, [0, 20])
    alone = part.cases % 5 == 0  # a second hold-out tests case 0, which holds all its positives, and case 5
    other = Part(1, part.y[alone], part.cases[alone], part.score[alone], 0.5)
    ends = find_limits([part, other], 2)
    assert np.isnan(ends["sensitivity"]).all()
    assert np.isfinite(ends["specificity"]).all() and np.isfinite(ends["accuracy"]).all()


def test_student_s_t_has_no_more_freedom_than_the_scarcest_class_has_cases():
    left_out = 0.8 + 0.01 * np.r_[np.ones(10), -np.ones(10)]
    wide, narrow = (jackknife_limits(0.8, left_out, holders=n) for n in (3, 20))
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]
    assert np.isnan(jackknife_limits(0.8, left_out, holders=1)).all()


def test_a_sum_of_weights_that_falls_short_of_1_in_the_last_bit_is_1():
    below = np.nextafter(1.0, 0)
    assert jackknife_limits(below, np.full(9, below)) == jackknife_limits(1.0, np.ones(9))


def test_of_more_than_two_classes_a_figure_is_as_sure_as_its_scarcest_class():
    y, cases = np.array([0, 1, 2, 0, 1, 0]), np.array([0, 0, 0, 1, 1, 2])
    for made_of in ("each", "positive", "other", "called"):
        own, number = own_cases(made_of, y, cases, 4, classes=3)
        assert own.tolist() == [True, True, True, False] and number == 1
    assert own_cases("all", y, cases, 4, classes=3)[1] == 3


def test_every_metric_has_limits_that_hold_it_or_none():
    part = study(5, 9, [0, 20])
    whole, ends = measure([part], 2), find_limits([part], 2)
    assert METRICS.keys() - ends.keys() == {"ece"}
    for name, (low, high) in ends.items():
        assert low <= whole[name][0] <= high, name
