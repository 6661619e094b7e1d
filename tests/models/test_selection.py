from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import sem
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ParameterGrid
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from glomfeat.data.splits import fold_rows, inner_splits
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.models.calibration import fit_calibration
from glomfeat.models.heads import svms
from glomfeat.models.heads.built_in import Head, make_head
from glomfeat.models.heads.scoring import one_by_one, scores_of
from glomfeat.models.selection import fit_chosen

N, TRAIN = 150, np.arange(110)

pytestmark = pytest.mark.usefixtures("fewer_trees")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As in a trial: sums do not depend on the machine, and workers do not get in each other's way."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def problem():
    """Rows of 15 cases, the last four of which are tested; a weak signal, so that settings differ."""
    rng = np.random.default_rng(0)
    y, cases = rng.integers(0, 2, N), np.arange(N) // 10
    X = rng.normal(size=(N, 12)).astype(np.float32)
    X[:, 0] += y
    X[:, 1] *= 1 + y
    return X, y, inner_splits(y, cases, TRAIN, np.array([], int), seed=1)


def naive(head, X, y, inner, default):
    """The setting with the largest mean AUROC over inner splits, if it beats the default by a standard error."""
    found = []
    for params in ParameterGrid(dict(head.grid)):
        areas, truth, scores = [], [], []
        for fit, held in inner:
            model = clone(head.estimator).set_params(**params).fit(X[fit], y[fit])
            proba = hasattr(model, "predict_proba")
            of_split = model.predict_proba(X[held])[:, 1] if proba else expit(model.decision_function(X[held]))
            areas.append(roc_auc_score(y[held], of_split))
            scores += list(of_split)
            truth += list(y[held])
        found.append((np.array(areas), params, np.array(truth), np.array(scores)))
    best = max(found, key=lambda one: one[0].mean())
    usual = next(one for one in found if one[1] == default)
    gain = best[0] - usual[0]
    areas, *rest = best if gain.mean() > sem(gain) else usual
    return areas.mean(), *rest


DEFAULTS = {"logreg": {"logisticregression__C": 1.0}, "svm": {"svc__C": 1.0}, "xgboost": {"max_depth": 2}}


RULES = ["balanced", "youden", "sensitivity>=0.9", "0.4"]
EACH = [(name, rule) for name in DEFAULTS for rule in RULES]


@pytest.mark.parametrize(
    ("name", "rule"),
    [pytest.param(*both, marks=[pytest.mark.slow] * (both[0] != "logreg" and both[1] != "balanced")) for both in EACH],
)
def test_choice_equals_a_naive_search_over_the_same_inner_splits(problem, name, rule):
    X, y, inner = problem
    head = make_head(name, 3)
    area, params, truth, scores = naive(head, X, y, inner, DEFAULTS[name])
    chosen = fit_chosen(head, X, y, TRAIN, inner, 2, rule)
    assert chosen.params == params and chosen.inner_auroc == pytest.approx(area)
    assert chosen.threshold == pytest.approx(choose_threshold(truth, scores, rule), abs=2e-3)
    expected = clone(head.estimator).set_params(**params).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(scores_of(chosen.estimator, X, 2), scores_of(expected, X, 2))


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        *[("platt", "balanced"), ("isotonic", "youden"), ("platt", "0.4")],
        *(pytest.param("platt", rule, marks=pytest.mark.slow) for rule in ("youden", "sensitivity>=0.9")),
        *(pytest.param("isotonic", rule, marks=pytest.mark.slow) for rule in ("balanced", "sensitivity>=0.9", "0.4")),
    ],
)
def test_calibration_and_then_threshold_are_of_the_chosen_settings_inner_scores(problem, kind, rule):
    X, y, inner = problem
    head = make_head("logreg", 3)
    area, params, truth, scores = naive(head, X, y, inner, DEFAULTS["logreg"])
    chosen = fit_chosen(head, X, y, TRAIN, inner, 2, rule, kind)
    assert chosen.params == params and chosen.inner_auroc == pytest.approx(area)
    expected = fit_calibration(kind, truth, scores)
    np.testing.assert_allclose(chosen.calibration.apply(X[:, 0] % 1), expected.apply(X[:, 0] % 1), atol=5e-3)
    assert chosen.threshold == pytest.approx(choose_threshold(truth, expected.apply(scores), rule), abs=5e-3)
    plain = fit_chosen(head, X, y, TRAIN, inner, 2, rule)
    np.testing.assert_array_equal(scores_of(chosen.estimator, X, 2), scores_of(plain.estimator, X, 2))


def test_why_scores_are_not_calibrated_is_a_note(problem):
    X, y, inner = problem
    chosen = fit_chosen(make_head("dummy", 0), X, y, TRAIN, inner, 2, "balanced", "platt")
    assert chosen.calibration.kind == "none"
    assert chosen.notes == ("platt: scores are left as they are, because inner scores do not rise with the class",)


def test_settings_that_differ_are_told_apart(problem):
    X, y, inner = problem
    head = Head(LogisticRegression(), {"C": [1e-9, 1.0]})
    X = X.copy()
    X[:, 1] = 1e3 * np.random.default_rng(1).normal(size=N)  # noise in large units: hardly any signal if C is small
    assert fit_chosen(head, X, y, TRAIN, inner, 2, "balanced").params == {"C": 1.0}


@pytest.mark.parametrize(("grid", "expected"), [([300, 100, 200], 100), ([300, 200], 300)])
def test_of_equally_good_settings_the_estimators_own_is_taken_or_else_the_first(problem, grid, expected):
    X, y, inner = problem
    head = Head(LogisticRegression(), {"max_iter": grid})
    assert fit_chosen(head, X, y, TRAIN, inner, 2, "balanced").params == {"max_iter": expected}


@pytest.mark.parametrize("name", ["logreg", "svm", pytest.param("xgboost", marks=pytest.mark.slow), "dummy"])
def test_test_rows_change_nothing(problem, name):
    X, y, inner = problem
    clean = fit_chosen(make_head(name, 3), X, y, TRAIN, inner, 2, "balanced")
    soiled, other = X.copy(), y.copy()
    soiled[110:], other[110:] = np.nan, 1 - y[110:]
    found = fit_chosen(make_head(name, 3), soiled, other, TRAIN, inner, 2, "balanced")
    assert (found.params, found.threshold, found.inner_auroc) == (clean.params, clean.threshold, clean.inner_auroc)
    np.testing.assert_array_equal(scores_of(found.estimator, X, 2), scores_of(clean.estimator, X, 2))


def test_labels_of_training_rows_do_matter(problem):
    X, y, inner = problem
    other = y.copy()
    other[TRAIN] = np.random.default_rng(5).permutation(y[TRAIN])
    clean, found = (fit_chosen(make_head("logreg", 3), X, of, TRAIN, inner, 2, "balanced") for of in (y, other))
    assert clean.inner_auroc > found.inner_auroc + 0.1


def test_holdout_chooses_on_inner_valid_and_fits_on_train(problem):
    X, y, _ = problem
    valid = np.arange(90, 110)
    train = np.arange(90)
    inner = inner_splits(y, np.arange(N) // 10, train, valid, seed=0)
    chosen = fit_chosen(make_head("logreg", 0), X, y, train, inner, 2, "youden")
    # of one split there is no standard error: the best setting is taken
    model = clone(make_head("logreg", 0).estimator).set_params(**chosen.params).fit(X[train], y[train])
    scores = model.predict_proba(X[valid])[:, 1]
    assert chosen.inner_auroc == pytest.approx(roc_auc_score(y[valid], scores))
    assert chosen.threshold == pytest.approx(choose_threshold(y[valid], scores, "youden"), abs=2e-3)
    expected = clone(make_head("logreg", 0).estimator).set_params(**chosen.params).fit(X[train], y[train])
    np.testing.assert_array_equal(scores_of(chosen.estimator, X, 2), scores_of(expected, X, 2))


def test_fixed_threshold_is_kept(problem):
    X, y, inner = problem
    assert fit_chosen(make_head("dummy", 0), X, y, TRAIN, inner, 2, "0.3").threshold == 0.3


def test_warnings_of_fits_are_notes_each_once(problem):
    X, y, inner = problem
    chosen = fit_chosen(Head(LogisticRegression(max_iter=1)), X, y, TRAIN, inner, 2, "balanced")
    assert len(chosen.notes) == 1 and chosen.notes[0].startswith("ConvergenceWarning: lbfgs failed to converge")
    assert fit_chosen(make_head("logreg", 0), X, y, TRAIN, inner, 2, "balanced").notes == ()


@pytest.mark.parametrize("alone", [False, True])
def test_what_a_fitted_classifier_says_of_itself_is_a_note(problem, alone):
    X, y, inner = problem
    head = make_head("svm", 3)
    head.estimator.set_params(svc__most_rows=40)
    head = Head(head.estimator[-1]) if alone else head
    said = "mean of 3 support vector machines of parts of the rows"
    assert fit_chosen(head, X, y, TRAIN, inner, 2, "balanced").notes == (said,)


def test_more_classes_have_no_threshold(problem):
    X, _, inner = problem
    y = np.arange(N) % 3
    chosen = fit_chosen(make_head("logreg", 0), X, y, TRAIN, inner, 3, "balanced")
    assert np.isnan(chosen.threshold) and np.isfinite(chosen.inner_auroc)
    assert scores_of(chosen.estimator, X, 3).shape == (N, 3)


class Broken(LogisticRegression):
    """Scores some rows as not a number."""

    def predict_proba(self, X):
        found = super().predict_proba(X)
        found[:3] = np.nan
        return found


def test_scores_that_are_not_finite_are_an_error(problem):
    X, y, inner = problem
    with pytest.raises(ValueError, match=r"^its scores of the inner splits are not finite: give a number"):
        fit_chosen(Head(Broken()), X, y, TRAIN, inner, 2, "balanced")


def test_inner_rows_are_training_rows_of_the_fold():
    cases = np.repeat(np.arange(12), 5)
    folds = pd.DataFrame({"repeat": 0, "fold": cases % 3})
    y = np.arange(60) % 2
    train, test, valid = fold_rows(folds, 0, 2)
    for fit, held in inner_splits(y, cases, train, valid, 0):
        assert not set(np.r_[fit, held]) & set(test) and set(np.r_[fit, held]) == set(train)


def data_of(what):
    """A matrix, labels and rows of 12 cases, of which the last three are tested."""
    rng = np.random.default_rng(7)
    classes = 3 if what in ("three classes", "a class missing in an inner fit") else 2
    n = 36 if what == "few rows" else 300
    y, cases = rng.integers(0, classes, n), np.arange(n) * 12 // n
    X = rng.normal(size=(n, 10)).astype(np.float32)
    X[:, 0] += y
    X[:, 1] *= 1 + y
    if what == "constant columns":
        X[:, 5:] = 3
    if what == "nothing but constants":
        X[:] = 3
    if what == "equal rows":
        X = X[rng.integers(0, 40, n)]
    if what == "large units":
        X = 1e4 + 1e3 * X
    train = np.flatnonzero(cases < 9)
    inner = inner_splits(y, cases, train, np.array([], int), seed=2)
    if what == "a class missing in an inner fit":
        fit, held = inner[0]
        inner[0] = fit[y[fit] != 1], held
    return X, y, train, inner, classes


WHATS = ["two classes", "three classes", "constant columns", "few rows", "equal rows", "large units"]


@pytest.mark.parametrize("what", [*WHATS, "nothing but constants", "a class missing in an inner fit"])
def test_one_kernel_scores_and_chooses_as_each_fit_alone(what):
    X, y, train, inner, classes = data_of(what)
    head = make_head("svm", 3)
    settings = list(ParameterGrid(dict(head.grid)))
    for fit, held in inner:
        data = head.estimator, settings, X[fit], y[fit], X[held], classes
        for found, expected in zip(head.path(*data), one_by_one(*data), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    found, expected = (
        fit_chosen(of, X, y, train, inner, classes, "balanced") for of in (head, replace(head, path=one_by_one))
    )
    assert found.params == expected.params and found.notes == expected.notes
    assert found.inner_auroc == pytest.approx(expected.inner_auroc, abs=1e-9)
    assert found.threshold == pytest.approx(expected.threshold, abs=1e-6, nan_ok=True)
    np.testing.assert_array_equal(scores_of(found.estimator, X, classes), scores_of(expected.estimator, X, classes))


def kernel_calls(monkeypatch):
    """How often `glomfeat.models.heads.svms` makes a kernel matrix."""
    calls, radial = [], svms._radial
    monkeypatch.setattr(svms, "_radial", lambda *data: calls.append(data) or radial(*data))
    return calls


@pytest.mark.parametrize(
    ("grid", "most"),
    [({"svc__C": [1.0, 10.0]}, 30), ({"svc__C": [1.0], "scale__with_std": [True, False]}, 6000)],
)
def test_where_one_kernel_does_not_do_settings_are_fitted_alone(monkeypatch, problem, grid, most):
    X, y, inner = problem
    head = replace(make_head("svm", 3), grid=grid)
    monkeypatch.setattr(svms, "MOST_ROWS", most)
    calls = kernel_calls(monkeypatch)
    found = fit_chosen(head, X, y, TRAIN, inner, 2, "balanced")
    assert not calls
    expected = fit_chosen(replace(head, path=one_by_one), X, y, TRAIN, inner, 2, "balanced")
    assert (found.params, found.threshold, found.inner_auroc) == (
        expected.params,
        expected.threshold,
        expected.inner_auroc,
    )


def test_one_kernel_serves_all_settings_of_an_inner_split(monkeypatch, problem):
    X, y, inner = problem
    calls = kernel_calls(monkeypatch)
    fit_chosen(make_head("svm", 3), X, y, TRAIN, inner, 2, "balanced")
    assert len(calls) == 2 * len(inner)
    assert [len(rows) for rows, *_ in calls] == [len(rows) for split in inner for rows in split]


@pytest.mark.parametrize("name", ["logreg", "svm", pytest.param("xgboost", marks=pytest.mark.slow)])
def test_the_same_rows_give_the_same_bits(problem, name):
    X, y, inner = problem
    first, second = (fit_chosen(make_head(name, 3), X, y, TRAIN, inner, 2, "balanced") for _ in range(2))
    assert (first.params, first.threshold, first.inner_auroc) == (second.params, second.threshold, second.inner_auroc)
    np.testing.assert_array_equal(scores_of(first.estimator, X, 2), scores_of(second.estimator, X, 2))


def test_a_path_sees_each_inner_split_once_and_no_label_of_its_held_rows(problem):
    X, y, inner = problem
    seen = []

    def path(estimator, settings, X, y, held, classes):
        seen.append((settings, len(X), len(y), len(held), classes))
        return [held[:, 0] * 0 + 0.5, 1 / (1 + np.exp(-held[:, 0]))]

    head = Head(LogisticRegression(), {"C": [1.0, 2.0]}, path)
    chosen = fit_chosen(head, X, y, TRAIN, inner, 2, "balanced")
    assert seen == [([{"C": 1.0}, {"C": 2.0}], len(fit), len(fit), len(held), 2) for fit, held in inner]
    areas = [roc_auc_score(y[held], X[held, 0]) for _, held in inner]
    assert chosen.params == {"C": 2.0} and chosen.inner_auroc == pytest.approx(np.mean(areas))


class InPlace(LogisticRegression):
    """Logistic regression on squares with their sign, which it writes over the rows that it is given."""

    def fit(self, X, y):
        return super().fit(np.multiply(X, abs(X), out=X), y)

    def predict_proba(self, X):
        return super().predict_proba(np.multiply(X, abs(X), out=X))


@pytest.mark.parametrize(
    ("grid", "prefixes"), [({"C": [100.0, 0.01, 1.0]}, ()), ({}, (3, 6, 9)), ({"C": [1.0, 0.1]}, (3, 9))]
)
def test_a_head_that_changes_its_rows_in_place_spoils_no_other_setting(problem, grid, prefixes):
    X, y, inner = problem
    before = X.copy()
    squared = X * abs(X)
    head, expected = (Head(kind(), grid) for kind in (InPlace, LogisticRegression))
    found = fit_chosen(head, X, y, TRAIN, inner, 2, "balanced", prefixes=prefixes)
    of = fit_chosen(expected, squared, y, TRAIN, inner, 2, "balanced", prefixes=prefixes)
    assert (found.params, found.threshold, found.inner_auroc) == (of.params, of.threshold, of.inner_auroc)
    np.testing.assert_array_equal(found.inner_scores, of.inner_scores)
    np.testing.assert_array_equal(X, before)


def test_a_path_that_forgets_a_setting_is_an_error(problem):
    X, y, inner = problem
    head = Head(LogisticRegression(), {"C": [1.0, 2.0]}, lambda *data: one_by_one(*data)[:1])
    with pytest.raises(ValueError, match=r"^its path gave no scores of shape .30,. of each of 2 settings"):
        fit_chosen(head, X, y, TRAIN, inner, 2, "balanced")


def test_a_grid_of_logistic_regression_may_hold_more_than_its_penalty(problem):
    X, y, inner = problem
    grid = {"logisticregression__C": [1.0], "scale__with_std": [True, False]}
    head = replace(make_head("logreg", 3), grid=grid)
    found = fit_chosen(head, X, y, TRAIN, inner, 2, "balanced")
    expected = fit_chosen(replace(head, path=one_by_one), X, y, TRAIN, inner, 2, "balanced")
    assert (found.params, found.threshold, found.inner_auroc) == (
        expected.params,
        expected.threshold,
        expected.inner_auroc,
    )


def test_settings_may_be_arrays(problem):
    X, y, inner = problem
    head = Head(GaussianNB(), {"priors": [None, np.array([0.5, 0.5]), np.array([0.2, 0.8])]})
    assert fit_chosen(head, X, y, TRAIN, inner, 2, "balanced").params["priors"] is None
