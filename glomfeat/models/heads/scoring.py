"""From classifiers to scores: of one that is fitted, and of all settings of a grid."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone


def one_by_one(estimator, settings, X, y, held, classes):
    """Score rows by each setting of a grid, each fitted alone.

    Parameters
    ----------
    estimator : classifier
        Cloned, not fitted.
    settings : list of dict
        Of its parameters.
    X : ndarray, shape (n, width)
    y : ndarray of int, shape (n,)
    held : ndarray, shape (m, width)
        The rows to score.
    classes : int

    Returns
    -------
    list of ndarray
        Of `scores_of`, a setting each.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> settings = [{"strategy": "prior"}, {"strategy": "most_frequent"}]
    >>> one_by_one(DummyClassifier(), settings, np.zeros((4, 1)), np.array([0, 1, 1, 1]), np.zeros((1, 1)), 2)
    [array([0.75]), array([1.])]
    """
    fitted = (clone(estimator).set_params(**setting).fit(X, y) for setting in settings)
    return [scores_of(model, held, classes) for model in fitted]


def gives_scores(estimator):
    """Whether `scores_of` can score by an estimator.

    Examples
    --------
    >>> from sklearn.cluster import DBSCAN; from sklearn.svm import SVC
    >>> gives_scores(SVC()), gives_scores(DBSCAN())
    (True, False)
    """
    return hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")


def scores_of(estimator, X, classes):
    """Scores in 0..1 of a fitted classifier.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``, else ``decision_function``.
    X : ndarray, shape (n, width)
    classes : int
        How many classes there are; those not seen in training score 0.

    Returns
    -------
    ndarray of float64, shape (n,) of two classes, else (n, classes)
    """
    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(X)
    else:
        return scores_of_decision(estimator.decision_function(X), estimator.classes_, classes)
    return of_classes(found, estimator.classes_, classes)


def scores_of_decision(decision, seen, classes):
    """Scores of all classes from decision values for those that were seen."""
    decision = np.asarray(decision, np.float64)
    found = softmax(decision, axis=1) if decision.ndim == 2 else np.c_[expit(-decision), expit(decision)]
    return of_classes(found, seen, classes)


def of_classes(found, seen, classes):
    """Scores of all classes from those of the classes that were seen."""
    scores = np.zeros((len(found), classes))
    scores[:, np.asarray(seen, int)] = found
    return scores[:, 1] if classes == 2 else scores
