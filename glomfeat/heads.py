"""Heads: a reduced matrix in, a score out; each with the small grid that an inner split chooses from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from glomfeat.plugins import resolve


@dataclass(frozen=True)
class Head:
    """A scikit-learn classifier and the settings to choose from.

    Attributes
    ----------
    estimator : estimator
        Has ``fit`` and ``predict_proba`` or ``decision_function``.
    grid : dict of str to list
        As scikit-learn's ``ParameterGrid``; the first of equally good settings is taken, so write the
        simplest one first. Empty: there is nothing to choose.
    """

    estimator: Any
    grid: Mapping = field(default_factory=dict)


def logreg(seed):
    """Logistic regression on standardised columns; classes weigh equally; C of 0.01, 0.1, 1, 10 or 100.

    Examples
    --------
    >>> sorted(logreg(0).grid)
    ['logisticregression__C']
    """
    model = LogisticRegression(class_weight="balanced", max_iter=2000, random_state=seed)
    return Head(make_pipeline(StandardScaler(), model), {"logisticregression__C": [0.01, 0.1, 1.0, 10.0, 100.0]})


def svm(seed):
    """Support vector machine with a radial kernel on standardised columns; classes weigh equally; C of 1, 10 or 100.

    The score is the logistic function of the decision value: it keeps the order and the natural decision and is
    no calibrated probability.

    Examples
    --------
    >>> svm(0).grid["svc__C"]
    [1.0, 10.0, 100.0]
    """
    model = SVC(kernel="rbf", gamma="scale", class_weight="balanced", random_state=seed)
    return Head(make_pipeline(StandardScaler(), model), {"svc__C": [1.0, 10.0, 100.0]})


def xgboost(seed):
    """Boosted trees (Chen & Guestrin 2016), 200 of depth 2 or 4 at rate 0.05; rows weigh so that classes are equal.

    Examples
    --------
    >>> xgboost(0).grid["max_depth"]
    [2, 4]
    """
    from sklearn.utils.class_weight import compute_sample_weight
    from xgboost import XGBClassifier

    class BalancedXGBClassifier(XGBClassifier):
        def fit(self, X, y):
            return super().fit(X, y, sample_weight=compute_sample_weight("balanced", y))

    model = BalancedXGBClassifier(
        n_estimators=200, learning_rate=0.05, subsample=0.8, colsample_bytree=0.8, n_jobs=1, random_state=seed
    )
    return Head(model, {"max_depth": [2, 4]})


def dummy(seed):
    """The share of each class in the training rows, whatever the image: the floor of every table.

    Examples
    --------
    >>> dummy(0).estimator.fit([[0]] * 4, [0, 0, 0, 1]).predict_proba([[5]]).tolist()
    [[0.75, 0.25]]
    """
    return Head(DummyClassifier(strategy="prior", random_state=seed))


HEADS = {"logreg": logreg, "svm": svm, "xgboost": xgboost, "dummy": dummy}


def make_head(name, seed):
    """Make a new head.

    Parameters
    ----------
    name : str
        A key of `HEADS`, or ``module:function``: a factory that takes a seed and returns a `Head` or any
        scikit-learn classifier.
    seed : int

    Returns
    -------
    Head

    Raises
    ------
    PluginError
        The name is unknown.

    Examples
    --------
    >>> type(make_head("dummy", seed=0).estimator).__name__
    'DummyClassifier'
    """
    made = resolve(name, HEADS, "head")(seed)
    return made if isinstance(made, Head) else Head(made)


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
        found = np.asarray(estimator.predict_proba(X), np.float64)
    else:
        decision = np.asarray(estimator.decision_function(X), np.float64)
        found = softmax(decision, axis=1) if decision.ndim == 2 else np.c_[expit(-decision), expit(decision)]
    scores = np.zeros((len(X), classes))
    scores[:, np.asarray(estimator.classes_, int)] = found
    return scores[:, 1] if classes == 2 else scores
