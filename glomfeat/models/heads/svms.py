"""Support vector machines: one, or for many rows the mean of several."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.svm import SVC
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from glomfeat.core.threads import limited_threads
from glomfeat.models.heads.kernels import MOST_MACHINES, MOST_ROWS, NOT_ALL, OF_PARTS
from glomfeat.models.heads.scoring import one_by_one, scores_of_decision

HELD_ROWS = 256  # rows scored at a time


class SVMs(ClassifierMixin, BaseEstimator):
    """A support vector machine with a radial kernel, or for many rows the mean of several; classes weigh equally.

    The time of one machine grows with the square of its rows. If there are more than `most_rows`, they are dealt at
    random into equal parts, each with its share of every class. A machine learns each part, and their decisions are
    averaged. Related methods: Collobert et al. 2002, doi:10.1162/089976602753633402, with a learnt gate; Zhang et al.
    2015, JMLR 16:3299, for kernel ridge regression. Every machine costs time for each row that is scored, so their
    number is limited.

    Parameters
    ----------
    C : float
        The bound of a row's weight, before classes are weighted.
    most_rows : int
        Most rows of a part. Rows of a class with fewer rows than there are parts are added to every part.
    most_machines : int
        Most parts that are learnt; further parts are left out.
    random_state : int
        How rows are dealt.

    Attributes
    ----------
    machines_ : list of SVC
    classes_ : ndarray
    note_ : str
        For the tables: says that there are several machines, and whether rows were left out. Empty if one learns all.

    Examples
    --------
    >>> X, y = np.arange(12.0)[:, None], np.repeat([0, 1], 6)
    >>> SVMs(most_rows=4).fit(X, y).note_
    'mean of 3 support vector machines of parts of the rows'
    """

    def __init__(self, C=1.0, most_rows=MOST_ROWS, most_machines=MOST_MACHINES, random_state=0):
        self.C, self.most_rows, self.most_machines, self.random_state = C, most_rows, most_machines, random_state

    def machine(self):
        """A new machine for one part."""
        return SVC(C=self.C, kernel="rbf", gamma="scale", class_weight="balanced")

    def parts(self, y):
        """Row numbers of each part that is learnt, with rows of every class in each; ndarrays of int64."""
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
    """The mean decision of machines between two classes, from matrix products, in an eighth of the time.

    The last digits of a row depend on the number of rows in a product and on threads. All products therefore have the
    same number of rows, padded with zeros, and run in one thread.
    """
    found, block = [], np.zeros((HELD_ROWS, X.shape[1]))
    with limited_threads(1):
        for batch in gen_batches(len(X), HELD_ROWS):
            rows = X[batch]
            block[: len(rows)], block[len(rows) :] = rows, 0
            kernels = ((one, _radial(block, one.support_vectors_, one._gamma)) for one in machines)
            found.append(sum(kernel @ one.dual_coef_[0] + one.intercept_[0] for one, kernel in kernels)[: len(rows)])
    return np.concatenate(found) / len(machines)


def one_kernel(estimator, settings, X, y, held, classes):
    """`one_by_one` for `svm` with one kernel matrix per part for all C, skipping fits that cannot differ.

    The solver asks for most of the matrix, row by row and again for each C; one matrix product is faster. If no weight
    of a row has reached C, a larger C bounds nothing either and gives the same solution. If parts are much larger than
    `MOST_ROWS`, or a setting changes more than C, settings are fitted one by one.
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
    return [scores_of_decision(decisions[C] / len(parts), np.unique(y), classes) for C in values]


def _decisions(svms, values, X, y, held):
    """Decisions on the held rows by a machine for each C, starting with the smallest."""
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
    """Whether C limits the weight of any row in a fitted SVC."""
    weights = fitted.C * fitted.class_weight_[np.searchsorted(fitted.classes_, y[fitted.support_])]
    return (np.abs(fitted.dual_coef_) >= weights * (1 - 1e-9)).any()


def _radial(A, B, gamma):
    """exp(-gamma |a - b|²) for each row of A with each of B, computed in place."""
    kernel = A @ B.T
    kernel *= 2 * gamma
    kernel -= gamma * np.einsum("ij,ij->i", A, A)[:, None]
    kernel -= gamma * np.einsum("ij,ij->i", B, B)
    if A is B:
        np.fill_diagonal(kernel, 0)  # rounding there would break ties and send the solver another way
    return np.exp(kernel, out=kernel)
