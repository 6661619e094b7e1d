"""Heads: a reduced matrix in, a score out; each with the small grid that an inner split chooses from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from glomfeat.plugins import PluginError, resolve

MOST_ROWS, MOST_MACHINES = 6000, 8  # of one support vector machine: the founding data set is within it
HELD_ROWS = 256  # scored at a time
OF_PARTS, NOT_ALL = "support vector machines of parts of the rows", "others are not learnt"
CACHE_BYTES = 200 * 2**20  # of libsvm's rows of the kernel, SVC's default
BYTES_PER_VALUE = {"dummy": 16, "logreg": 24, "svm": 28, "xgboost": 28}
OTHERS_BYTES_PER_VALUE = 40
FIXED_BYTES = 10_000_000  # what libraries take at a first fit
BINS, HISTOGRAMS = 64, 24  # of XGBoost: bins of a column, and how many nodes' sums are alive at depth 4


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
    >>> settings = [{"strategy": "prior"}, {"strategy": "most_frequent"}]
    >>> one_by_one(dummy(0).estimator, settings, np.zeros((4, 1)), np.array([0, 1, 1, 1]), np.zeros((1, 1)), 2)
    [array([0.75]), array([1.])]
    """
    fitted = (clone(estimator).set_params(**setting).fit(X, y) for setting in settings)
    return [scores_of(model, held, classes) for model in fitted]


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
    path : callable
        Scores held rows by all settings after fitting on other rows, as `one_by_one` does, which it equals up to
        the solver's tolerance; another one saves what the settings have in common.
    """

    estimator: Any
    grid: Mapping = field(default_factory=dict)
    path: Callable = one_by_one


def logreg(seed):
    """Logistic regression on standardised columns; classes weigh equally; C of 0.01, 0.1, 1, 10 or 100.

    Examples
    --------
    >>> sorted(logreg(0).grid)
    ['logisticregression__C']
    """
    model = LogisticRegression(class_weight="balanced", max_iter=2000, random_state=seed)
    return Head(make_pipeline(StandardScaler(), model), {"logisticregression__C": [0.01, 0.1, 1.0, 10.0, 100.0]})


class SVMs(ClassifierMixin, BaseEstimator):
    """A support vector machine with a radial kernel, or for many rows the mean of several; classes weigh equally.

    The time of one machine grows with the square of its rows. More than `most_rows` are dealt at random into equal
    parts, each with its share of every class; a machine learns each part, and their decisions are averaged (of related
    methods: Collobert et al. 2002, doi:10.1162/089976602753633402, with a learnt gate; Zhang et al. 2015, JMLR 16:3299,
    of kernel ridge regression). Every row that is scored costs all machines, so they are not more than some.

    Parameters
    ----------
    C : float
        The bound of a row's weight, before classes are weighed.
    most_rows : int
        Of a part, beside the rows of a class that has fewer rows than there are parts: these are in every part.
    most_machines : int
        Of more parts, the others are not learnt.
    random_state : int
        How rows are dealt.

    Attributes
    ----------
    machines_ : list of SVC
    classes_ : ndarray
    note_ : str
        That there are several, and whether rows were not learnt, for the rows of tables.

    Examples
    --------
    >>> X, y = np.arange(12.0)[:, None], np.repeat([0, 1], 6)
    >>> SVMs(most_rows=4).fit(X, y).note_
    'mean of 3 support vector machines of parts of the rows'
    """

    def __init__(self, C=1.0, most_rows=MOST_ROWS, most_machines=MOST_MACHINES, random_state=0):
        self.C, self.most_rows, self.most_machines, self.random_state = C, most_rows, most_machines, random_state

    def machine(self):
        """A new machine of a part."""
        return SVC(C=self.C, kernel="rbf", gamma="scale", class_weight="balanced")

    def parts(self, y):
        """Row numbers of each part that is learnt, and of which every class has some; ndarrays of int64."""
        y, n = np.asarray(y), -(-len(y) // self.most_rows)
        order = np.random.default_rng(self.random_state).permutation(len(y))
        order = order[np.argsort(y[order], kind="stable")]
        classes, counts = np.unique(y, return_counts=True)
        rare = np.flatnonzero(np.isin(y, classes[counts < n]))
        return [np.union1d(order[k::n], rare) for k in range(min(n, self.most_machines))]

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        parts = self.parts(y)
        self.machines_ = [self.machine().fit(X[rows], y[rows]) for rows in parts]
        self.classes_ = self.machines_[0].classes_
        whole = len(np.unique(np.concatenate(parts))) == len(y)
        if len(parts) > 1:
            self.note_ = f"mean of {len(parts)} {OF_PARTS}" + ("" if whole else f" ({NOT_ALL})")
        else:
            self.note_ = "" if whole else "one part of the rows is learnt"
        return self

    def decision_function(self, X):
        check_is_fitted(self)
        if len(self.machines_) > 1 and len(self.classes_) == 2:
            return _mean_decision(self.machines_, validate_data(self, X, reset=False))
        return sum(machine.decision_function(X) for machine in self.machines_) / len(self.machines_)

    def predict(self, X):
        decision = self.decision_function(X)
        return self.classes_[(decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)]


def _mean_decision(machines, X):
    """The mean of the decisions of machines between two classes, by products of matrices, an eighth of the time.

    All products are of as many rows, the last ones zeros, in one thread: the last digits of a row depend on both.
    """
    found, block = [], np.zeros((HELD_ROWS, X.shape[1]))
    with threadpool_limits(1):
        for batch in gen_batches(len(X), HELD_ROWS):
            rows = X[batch]
            block[: len(rows)], block[len(rows) :] = rows, 0
            kernels = ((one, _radial(block, one.support_vectors_, one._gamma)) for one in machines)
            found.append(sum(kernel @ one.dual_coef_[0] + one.intercept_[0] for one, kernel in kernels)[: len(rows)])
    return np.concatenate(found) / len(machines)


def svm(seed):
    """Support vector machines with a radial kernel on standardised columns, see `SVMs`; C of 1, 10 or 100.

    The score is the logistic function of the decision value: it keeps the order and the natural decision and is
    no calibrated probability.

    Examples
    --------
    >>> svm(0).grid["svc__C"]
    [1.0, 10.0, 100.0]
    """
    model = Pipeline([("standardscaler", StandardScaler()), ("svc", SVMs(random_state=seed))])
    return Head(model, {"svc__C": [1.0, 10.0, 100.0]}, one_kernel)


def one_kernel(estimator, settings, X, y, held, classes):
    """`one_by_one` of `svm` with one kernel matrix of a part for all C, and no fit that cannot differ.

    The solver asks for most of the matrix, row by row and again for each C; a matrix product gives all of it sooner.
    Where no weight of a row has reached C, a larger C bounds nothing either, and the solution is the same. Where parts
    are much larger than `MOST_ROWS`, or a setting changes more than C, settings are fitted one by one.
    """
    svms = estimator[-1]
    only_c = isinstance(svms, SVMs) and not any(set(setting) - {"svc__C"} for setting in settings)
    parts = svms.parts(y) if only_c else []
    if not only_c or max(map(len, parts)) > 1.1 * MOST_ROWS:
        return one_by_one(estimator, settings, X, y, held, classes)
    scaler = clone(estimator[:-1]).fit(X)
    X, held = (np.asarray(scaler.transform(rows), np.float64) for rows in (X, held))
    values = [setting.get("svc__C", svms.C) for setting in settings]
    decisions = dict.fromkeys(values, 0)
    for rows in parts:
        for C, decision in _decisions(svms, sorted(decisions), X[rows], y[rows], held).items():
            decisions[C] = decisions[C] + decision
    return [_scores_of_decision(decisions[C] / len(parts), np.unique(y), classes) for C in values]


def _decisions(svms, values, X, y, held):
    """Decisions of the held rows by a machine for each C, from the smallest one on."""
    gamma = 1 / (X.shape[1] * (X.var() or 1 / X.shape[1]))
    kernel, machines = _radial(X, X, gamma), []
    for C in values:
        if machines and not _reaches_its_bound(machines[-1], y):
            machines.append(machines[-1])
        else:
            machine = svms.machine().set_params(C=C, kernel="precomputed")
            machines.append(machine.fit(kernel, y))
    del kernel
    said = {machine: [] for machine in machines}
    for batch in gen_batches(len(held), HELD_ROWS):
        of_held = _radial(held[batch], X, gamma)
        for machine, parts in said.items():
            parts.append(machine.decision_function(of_held))
    return {C: np.concatenate(said[machine]) for C, machine in zip(values, machines, strict=True)}


def _reaches_its_bound(fitted, y):
    """Whether C holds back the weight of any row in a fitted SVC."""
    weights = fitted.C * fitted.class_weight_[np.searchsorted(fitted.classes_, y[fitted.support_])]
    return (np.abs(fitted.dual_coef_) >= weights * (1 - 1e-9)).any()


def _radial(A, B, gamma):
    """exp(-gamma |a - b|²) of each row of A with each of B, in place."""
    kernel = A @ B.T
    kernel *= 2 * gamma
    kernel -= gamma * np.einsum("ij,ij->i", A, A)[:, None]
    kernel -= gamma * np.einsum("ij,ij->i", B, B)
    if A is B:
        np.fill_diagonal(kernel, 0)  # rounding there breaks ties, and the solver takes another way
    return np.exp(kernel, out=kernel)


def xgboost(seed):
    """Boosted trees (Chen & Guestrin 2016), 200 of depth 2 or 4 at rate 0.05; rows weigh so that classes are equal.

    Columns are cut into 64 bins: some thousand rows tell no more apart, and XGBoost's 256 take twice the time.

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
        n_estimators=200,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.8,
        max_bin=BINS,
        n_jobs=1,
        random_state=seed,
    )
    return Head(model, {"max_depth": [2, 4]}, one_binning)


def one_binning(estimator, settings, X, y, held, classes):
    """`one_by_one` of `xgboost`, to the last bit, with columns cut into bins once for all depths.

    Where a setting changes more than the depth, or labels are not 0, 1, ..., settings are fitted one by one.
    """
    from sklearn.utils.class_weight import compute_sample_weight
    from xgboost import QuantileDMatrix, train

    seen, only_depth = np.unique(y), all(set(setting) <= {"max_depth"} for setting in settings)
    if not only_depth or len(seen) < 2 or seen[-1] != len(seen) - 1:
        return one_by_one(estimator, settings, X, y, held, classes)
    weight, params = compute_sample_weight("balanced", y), estimator.get_xgb_params()
    if len(seen) > 2:
        params |= {"objective": "multi:softprob", "num_class": len(seen)}
    binned = QuantileDMatrix(X, y, weight=weight, max_bin=estimator.max_bin, nthread=estimator.n_jobs)
    scores = []
    for setting in settings:
        found = train({**params, **setting}, binned, estimator.n_estimators).inplace_predict(held)
        found = np.c_[1 - found, found] if len(seen) == 2 else found
        scores.append(_of_classes(found, seen, classes))
    return scores


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
        The name is unknown, or what it stands for gives no scores.

    Examples
    --------
    >>> type(make_head("dummy", seed=0).estimator).__name__
    'DummyClassifier'
    """
    made = resolve(name, HEADS, "head")(seed)
    head = made if isinstance(made, Head) else Head(made)
    if not (hasattr(head.estimator, "predict_proba") or hasattr(head.estimator, "decision_function")):
        raise PluginError(
            f"head {name!r} is a {type(head.estimator).__name__}, which has neither predict_proba nor "
            "decision_function: a head must score images, so take a classifier that has one of them"
        )
    return head


def head_bytes(name, n_train, columns):
    """Memory that choosing and fitting a head takes at the most, beside the reduced matrix itself.

    Measured bytes per value of the training rows (their copies: picked, standardised, in float64), and what does not
    go with the values: of `svm` the kernel of an inner split and libsvm's cache, of `xgboost` gradient sums, two
    float64 for each bin of each column in each node.

    Parameters
    ----------
    name : str
        Of `make_head`. Of a plugged-in head only the matrix's copies are known.
    n_train, columns : int

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> head_bytes("logreg", 4606, 128) < head_bytes("xgboost", 4606, 128) < head_bytes("svm", 4606, 128) < 4e8
    True
    """
    need = FIXED_BYTES + n_train * columns * BYTES_PER_VALUE.get(name, OTHERS_BYTES_PER_VALUE)
    if name == "svm":
        rows = min(n_train, MOST_ROWS)
        need += 9 * rows**2 + min(4 * rows**2, CACHE_BYTES)
    if name == "xgboost":
        need += 16 * columns * min(BINS, n_train) * HISTOGRAMS
    return need


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
        return _scores_of_decision(estimator.decision_function(X), estimator.classes_, classes)
    return _of_classes(found, estimator.classes_, classes)


def _scores_of_decision(decision, seen, classes):
    """Scores of all classes from decision values for those that were seen."""
    decision = np.asarray(decision, np.float64)
    found = softmax(decision, axis=1) if decision.ndim == 2 else np.c_[expit(-decision), expit(decision)]
    return _of_classes(found, seen, classes)


def _of_classes(found, seen, classes):
    """Scores of all classes from those of the classes that were seen."""
    scores = np.zeros((len(found), classes))
    scores[:, np.asarray(seen, int)] = found
    return scores[:, 1] if classes == 2 else scores
