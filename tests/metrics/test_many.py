"""What is due to many arms: the bootstrap written out, Sidak's formula, and the studentized range as oracles."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from glomfeat.metrics.by_case import auroc_by_case
from glomfeat.metrics.many import adjust_pairs, adjust_to_best, best_of_many, critical_p, joint_errors
from glomfeat.metrics.paired import least_found, paired_difference
from glomfeat.metrics.resampling import jackknife

CASES, ARMS = 12, 4


def test_the_corrected_figure_is_that_of_cases_that_were_not_drawn():
    rng = np.random.default_rng(0)
    y, cases = np.tile([0, 1, 1, 0, 1], CASES), np.repeat(np.arange(CASES), 5)
    scores = [y + 1.5 * rng.normal(size=len(y)) + rng.normal(size=CASES)[cases] for _ in range(ARMS)]
    times = rng.multinomial(CASES, np.full(CASES, 1 / CASES), size=30)
    seen = np.array([roc_auc_score(y, score) for score in scores])
    inside, outside = (
        np.array([auroc_by_case(y, score, cases, weights.astype(float)) for score in scores])
        for weights in (times, times == 0)
    )
    found = best_of_many(seen, inside, outside)

    chosen, figures = [], []  # Tsamardinos, Greasidou & Borboudakis 2018, algorithm 5, row by row
    of_arms = np.zeros((ARMS, len(times)))
    for b, drawn in enumerate(times):
        rows = np.concatenate([np.flatnonzero(cases == case) for case in range(CASES) for _ in range(drawn[case])])
        left = np.flatnonzero(np.isin(cases, np.flatnonzero(drawn == 0)))
        best = max(range(ARMS), key=lambda arm: roc_auc_score(y[rows], scores[arm][rows]))
        of_arms[:, b] = [roc_auc_score(y[left], score[left]) for score in scores]
        chosen.append(best)
        figures.append(of_arms[best, b])
    literal = np.mean(figures)
    of_fewer_cases = np.mean([of_arms[arm].mean() - seen[arm] for arm in set(chosen)])
    assert len(set(chosen)) > 1 and found.value < seen.max()
    assert found.value == pytest.approx(literal - of_fewer_cases, abs=1e-12)
    np.testing.assert_allclose(found.chosen, np.bincount(chosen, minlength=ARMS) / len(times))


def test_a_clear_winner_keeps_its_figure_and_lost_replicates_do_not_count():
    inside = np.array([[0.9, 0.95, 0.8], [0.6, 0.5, 0.7]])
    outside = np.array([[0.92, 0.86, np.nan], [0.6, 0.6, 0.6]])
    found = best_of_many(np.array([0.9, 0.6]), inside, outside)
    assert found.value == pytest.approx(0.9) and found.chosen.tolist() == [1, 0] and len(found.figures) == 2
    assert found.shared == 0
    assert found.replicates == 2
    fewer = best_of_many(np.array([0.9, 0.6]), inside, np.where(np.arange(3) < 1, outside, np.nan))
    for nothing in (fewer, best_of_many(np.array([0.9, 0.6]), inside, np.full((2, 3), np.nan))):
        assert np.isnan(nothing.value) and np.isnan(nothing.chosen).all() and len(nothing.figures) == 0
    assert fewer.replicates == 1


def test_arms_that_are_equally_best_share_the_draw():
    inside = np.array([[0.9, 0.9, 0.7], [0.9, 0.6, 0.8], [0.8, 0.9, 0.8]])
    outside = np.array([[0.7, 0.6, 0.9], [0.5, 0.9, 0.4], [0.9, 0.5, 0.6]])
    found = best_of_many(np.array([0.8, 0.7, 0.6]), inside, outside)
    figures = np.array([(0.7 + 0.5) / 2, (0.6 + 0.5) / 2, (0.4 + 0.6) / 2]) - (outside.mean() - 0.7)
    np.testing.assert_allclose(found.figures, figures)
    assert found.value == pytest.approx(np.mean(figures)) and found.chosen.tolist() == [1 / 3] * 3 and found.shared == 1
    same = best_of_many(np.full(5, 0.8), np.full((5, 4), 0.9), np.full((5, 4), 0.7))
    assert same.chosen.tolist() == [0.2] * 5 and same.value == pytest.approx(0.8)
    swapped = best_of_many(np.array([0.6, 0.7, 0.8]), inside[::-1], outside[::-1])
    assert swapped.value == pytest.approx(found.value)  # whichever arm comes first


def test_errors_come_together_as_the_jackknife_says():
    left_out = np.random.default_rng(1).normal(size=(3, 40)) @ np.diag(np.linspace(0.2, 2, 40))
    left_out[2] += left_out[0]
    errors = joint_errors(left_out)
    assert joint_errors(left_out).tolist() == errors.tolist()
    largest = max(jackknife(row)[0] for row in left_out)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        expected = jackknife(left_out[one] - left_out[other])[0] / largest
        assert (errors[:, one] - errors[:, other]).std() == pytest.approx(expected, rel=0.02)
    left_out[1, 5] = np.nan  # a figure that is not known without one case
    assert np.isfinite(joint_errors(left_out)).all()
    assert (joint_errors(np.full((2, 5), 0.7)) == 0).all() and joint_errors(np.zeros((0, 0))).shape == (20000, 0)


@pytest.mark.parametrize("sides", [1, 2])
def test_independent_differences_are_adjusted_as_sidak_says(sides):
    errors = np.random.default_rng(0).normal(size=(20000, 6))
    errors[:, 0] = 0  # the others then differ from it independently
    p = np.array([0.3, 0.004, 0.02, 0.9, np.nan])
    found = adjust_pairs(p, [(k, 0) for k in range(1, 6)], errors, sides)
    steps = [1 - (1 - p[arm]) ** left for left, arm in ((4, 1), (3, 2), (2, 0), (1, 3))]
    assert found[[1, 2, 0, 3]] == pytest.approx(np.maximum.accumulate(steps), rel=0.08, abs=0.004)
    assert np.isnan(found[4])


def test_differences_to_the_best_are_adjusted_as_the_studentized_range_says():
    errors = np.random.default_rng(0).normal(size=(20000, 5))
    z = np.array([np.nan, 1.2, 3.1, 2.6, 2.9])
    found = adjust_to_best(2 * stats.norm.sf(z), 0, errors)
    steps = [stats.studentized_range.sf(z[arm] * np.sqrt(2), left, np.inf) for arm, left in ((1, 2), (3, 3), (4, 4))]
    assert found[[1, 3, 4]] == pytest.approx(steps, rel=0.05)
    last = stats.studentized_range.sf(3.1 * np.sqrt(2), 5, np.inf)
    assert found[2] == pytest.approx(last, rel=0.08)
    assert np.isnan(found[0])


def test_adjusted_values_lie_between_p_and_bonferroni_and_keep_the_order():
    rng = np.random.default_rng(2)
    errors = rng.normal(size=(20000, 8)) + 2 * rng.normal(size=(20000, 1))
    p = np.r_[np.nan, 10.0 ** -np.arange(1, 8)]
    found = adjust_to_best(p, 0, errors)[1:]
    assert (found >= p[1:]).all() and (found <= 28 * p[1:] + 1e-15).all() and (np.diff(found) <= 0).all()
    assert found[-1] < 1e-5  # not bound by the number of draws
    same = np.repeat(errors[:, :1], 3, axis=1)
    assert adjust_to_best(np.array([np.nan, 1.0, 1.0]), 0, same).tolist()[1:] == [1, 1]
    assert np.isnan(adjust_to_best(np.array([0.5]), 0, errors)).all()


def test_some_of_ten_equal_arms_is_called_worse_in_at_most_six_percent():
    rng, cases, alarms = np.random.default_rng(3), 60, []
    for number in range(200):
        values = rng.normal(size=(10, cases)) + rng.normal(size=cases)
        left_out = (values.sum(axis=1, keepdims=True) - values) / (cases - 1)
        means = values.mean(axis=1)
        best = int(means.argmax())
        errors = [jackknife(one - left_out[best]) for one in left_out]
        p = np.array(
            [
                2 * stats.t.sf(abs(mean - means[best]) / error, freedom) if error else np.nan
                for mean, (error, freedom) in zip(means, errors, strict=True)
            ]
        )
        alarms.append(np.nanmin(adjust_to_best(p, best, joint_errors(left_out, number, 2000))) < 0.05)
    assert 0.01 <= np.mean(alarms) <= 0.09  # 0.05, give or take 2.6 Monte-Carlo errors


@pytest.mark.parametrize("arms", [2, 4, 8])
def test_the_critical_p_of_independent_arms_is_tukeys(arms):
    errors = np.random.default_rng(arms).normal(size=(100_000, arms))
    tukey = 2 * stats.norm.sf(stats.studentized_range.ppf(0.95, arms, np.inf) / np.sqrt(2))
    assert critical_p(errors) == pytest.approx(tukey, rel=0.06) and critical_p(errors) <= 0.05


def test_below_the_critical_p_a_difference_is_clear_whatever_the_others_give():
    rng, ties = np.random.default_rng(1), 0
    for alike in (0.0, 0.9):
        errors = joint_errors(rng.normal(size=(6, 40)) + 3 * alike * rng.normal(size=40), draws=4000)
        critical = critical_p(errors)
        for _ in range(40):
            p = critical * np.exp(rng.normal(scale=2, size=6))
            adjusted = adjust_to_best(p, 0, errors)
            assert (adjusted[1:][p[1:] < critical] < 0.05).all()
            ties += (adjusted[1:][p[1:] < 0.05] >= 0.05).sum()
        together = np.full(6, critical * (1 + 1e-6))  # the least clear that they can be together
        assert (adjust_to_best(together, 0, errors)[1:] >= 0.05).all()
    assert ties, "with p below 0.05 alone nothing was clear"


def test_a_difference_that_is_detectable_is_called_clear_in_four_of_five_studies():
    """Studies of 24 cases: an arm is behind by what the true errors say can be found, three others are equal."""
    cases, arms, rng = 24, 5, np.random.default_rng(2)
    errors = rng.normal(size=(20_000, arms))  # of the mean over cases, in units of its own
    behind = least_found(np.sqrt(2 / cases), cases - 1, critical_p(errors))
    clear = 0
    for _ in range(400):
        values = rng.normal(size=(arms, cases))
        values[-1] -= behind
        left_out = (values.sum(axis=1, keepdims=True) - values) / (cases - 1)
        p = [
            paired_difference((own - values[0]).mean(), left - left_out[0]).p
            for own, left in zip(values, left_out, strict=True)
        ]
        clear += adjust_to_best(np.array(p), 0, errors)[-1] < 0.05
    assert clear / 400 >= 0.8 - 2 * np.sqrt(0.8 * 0.2 / 400)
