"""Scores from classifiers: from a fitted one, and from all settings of a grid."""

import numpy as np
from scipy.special import expit, softmax

from glomfeat.core.part_errors import MisfitError, shown
from glomfeat.core.words import number_of
from glomfeat.models.random_states import copied

ROUNDING = 1e-6  # how far float32 probabilities may lie outside 0..1
SUM_ROUNDING = 0.0051  # how far each may be from where those of a row sum to 1: two decimals, or half precision


def one_by_one(estimator, settings, X, y, held, classes):
    """Score rows with each setting of a grid, fitting each setting separately.

    An estimator may change its rows in place: each setting reads a copy, unless nobody reads the rows after it.

    Parameters
    ----------
    estimator : classifier
        Not fitted; it is cloned.
    settings : list of dict
        Settings of its parameters.
    X : ndarray, shape (n, width)
    y : ndarray of int, shape (n,)
    held : ndarray, shape (m, width)
        The rows to score.
    classes : int

    Returns
    -------
    list of ndarray
        What `scores_of` returns, for each setting.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> settings = [{"strategy": "prior"}, {"strategy": "most_frequent"}]
    >>> one_by_one(DummyClassifier(), settings, np.zeros((4, 1)), np.array([0, 1, 1, 1]), np.zeros((1, 1)), 2)
    [array([0.75]), array([1.])]
    """
    if len(settings) == 1 and X.base is None and held.base is None:  # otherwise views of rows that others read too
        return [scores_of(fit_clone(estimator, settings[0], X, y), held, classes)]
    fitted = (fit_clone(estimator, setting, copy_rows(X), y.copy()) for setting in settings)
    return [scores_of(model, copy_rows(held), classes) for model in fitted]


def copy_rows(rows):
    """A copy of rows with the same strides, so that sums over it are equal to the last bit.

    An estimator may change its rows in place, so it gets a copy of rows that others read after it.

    Parameters
    ----------
    rows : ndarray, shape (n, width)

    Returns
    -------
    ndarray

    Examples
    --------
    >>> rows = np.ones((3, 5), np.float32)
    >>> copy_rows(rows[:, :2]).strides == rows.strides
    True
    """
    if rows.flags.forc or rows.strides[1] != rows.itemsize or rows.strides[0] < rows.shape[1] * rows.itemsize:
        return rows.copy(order="K")
    wide = np.empty((len(rows), rows.strides[0] // rows.itemsize), rows.dtype)
    wide[:, : rows.shape[1]] = rows
    return wide[:, : rows.shape[1]]


def fit_clone(estimator, setting, X, y):
    """Fit a clone of an estimator.

    Raises
    ------
    MisfitError
        ``fit`` returned something that gives no scores.
    """
    from sklearn.base import clone

    new = clone(copied(estimator))  # some are their own clones
    setting = clone(setting, safe=False)  # estimators of the grid stay unfitted, for others fit them too
    new.set_params(**setting)  # what it returns may be None
    made = new.fit(X, y)
    if gives_scores(made):
        return made
    if type(made) is type(new):
        said = "after fit it has neither predict_proba nor decision_function: take a classifier that has one of them"
        raise MisfitError(said, new.fit)
    raise MisfitError(f"fit returned {shown(made)}: return self", new.fit)


def gives_scores(estimator):
    """Whether `scores_of` can use an estimator.

    Examples
    --------
    >>> from sklearn.cluster import DBSCAN; from sklearn.svm import SVC
    >>> gives_scores(SVC()), gives_scores(DBSCAN())
    (True, False)
    """
    return hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")


def may_give_scores(estimator):
    """Whether an estimator that is not fitted gives scores, or is a classifier, which may show them after fit.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression; from sklearn.ensemble import StackingClassifier
    >>> may_give_scores(StackingClassifier([])), may_give_scores(LinearRegression())
    (True, False)
    """
    from sklearn.base import is_classifier

    is_estimator = hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type)
    return gives_scores(estimator) or (is_estimator and is_classifier(estimator))


def scores_of(estimator, X, classes):
    """Scores of a fitted classifier, between 0 and 1.

    Parameters
    ----------
    estimator : classifier
        Has ``predict_proba`` or else ``decision_function``.
    X : ndarray, shape (n, width)
    classes : int
        How many classes there are; classes not seen in training score 0.

    Returns
    -------
    ndarray of float64, shape (n,) of two classes, else (n, classes)
        NaN if the classifier returns NaN.

    Raises
    ------
    MisfitError
        It does not return a number for each row and class, or ``predict_proba`` returns values outside 0..1 or rows
        that do not sum to 1, or ``decision_function`` compares pairs of more than two classes.
    """
    own = hasattr(estimator, "predict_proba")
    method = estimator.predict_proba if own else estimator.decision_function
    seen = _seen(estimator, classes)
    if own:
        return of_classes(_probabilities(method(X), method, len(X), len(seen)), seen, classes)
    if len(seen) > 2 and _decides_pairs(estimator):
        said = "decision_function compares two classes at a time, which scores no class"
        raise MisfitError(f'{said}: set decision_function_shape="ovr"', method)
    return scores_of_decision(_decisions(method(X), method, len(X), len(seen)), seen, classes)


def _decides_pairs(estimator):
    """Whether the last step has been told to return the decisions of all pairs of classes."""
    if hasattr(estimator, "best_estimator_"):
        return _decides_pairs(estimator.best_estimator_)
    if hasattr(estimator, "steps"):
        return _decides_pairs(estimator.steps[-1][1])
    return getattr(estimator, "decision_function_shape", None) == "ovo"


def _seen(estimator, classes):
    """The classes that a classifier was trained on."""
    seen = getattr(estimator, "classes_", None)
    if seen is None:
        raise MisfitError(
            "it has no classes_ after fit: set self.classes_ = np.unique(y)", getattr(estimator, "fit", None)
        )
    seen = np.asarray(seen)
    if seen.ndim != 1 or not len(seen) or not np.isin(seen, np.arange(classes)).all():
        said = f"its classes_ are {shown(seen)}: set self.classes_ = np.unique(y), of the y that fit is given"
        raise MisfitError(said, getattr(estimator, "fit", None))
    return seen


def _numbers(found, method, *shape):
    """Return what a method returned as an array, after checking that it holds numbers of the right shape."""
    name, rows = getattr(method, "__name__", "it"), shape[0]
    try:
        values = np.asarray(found)
    except Exception:  # rows differ in length
        values = np.asarray(None)
    if values.dtype.kind not in "fiub" or values.ndim == 0:
        raise MisfitError(f"{name} returned {shown(found)}: return an array of numbers of shape {shape}", method)
    if len(values) != rows:
        raise MisfitError(f"{name} returned {number_of(len(values), 'row')} for {rows}: return one for each", method)
    if values.shape != shape:
        raise MisfitError(
            f"{name} returned the shape {values.shape}: return {shape}, a column for each of classes_", method
        )
    return values


def _probabilities(found, method, rows, seen):
    values = _numbers(found, method, rows, seen)
    if ((values < -ROUNDING) | (values > 1 + ROUNDING)).any():
        said = "predict_proba gave scores outside of 0..1: scale them, or name the method decision_function"
        raise MisfitError(f"{said}, whose values may have any range", method)
    sums = values.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > SUM_ROUNDING * values.shape[1])
    if len(wrong):
        said = f"predict_proba gave rows that do not sum to 1, such as one of {sums[wrong[0]]:.4g}"
        raise MisfitError(f"{said}: divide each row by its sum, or name the method decision_function", method)
    return values


def _decisions(found, method, rows, seen):
    values = np.asarray(_numbers(found, method, rows, *([seen] if seen > 2 else [])), np.float64)
    if values.ndim == 1:
        score, finite = expit(values), np.isfinite(values)
        edge = finite & ((score == 0) | (score == 1))
        if len(np.unique(values[edge & (values > 0)])) > 1 or len(np.unique(values[edge & (values < 0)])) > 1:
            raise MisfitError(
                "decision_function gave values so large that the logistic function makes equal scores of them: divide "
                "them by one number, so that most lie in -10..10, or scale the columns before",
                method,
            )
    return values


def scores_of_decision(decision, seen, classes):
    """Scores of all classes from the decision values of the classes seen in training."""
    decision = np.asarray(decision, np.float64)
    found = softmax(decision, axis=1) if decision.ndim == 2 else np.c_[expit(-decision), expit(decision)]
    return of_classes(found, seen, classes)


def of_classes(found, seen, classes):
    """Scores of all classes from those of the classes seen in training."""
    scores = np.zeros((len(found), classes))
    scores[:, np.asarray(seen, int)] = found
    return scores[:, 1] if classes == 2 else scores
