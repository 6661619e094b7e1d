"""The built-in heads, which turn a reduced matrix into scores, each with a small grid that inner splits choose from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from glomfeat.core.part_errors import calling, defined
from glomfeat.core.plugins import PluginError, is_own, resolve
from glomfeat.models.card import MANY_ROWS
from glomfeat.models.heads.entry import Codec, Entry, nothing
from glomfeat.models.heads.kernels import MOST_MACHINES, MOST_ROWS, NOT_ALL, OF_PARTS, kernel_bytes
from glomfeat.models.heads.scoring import may_give_scores, of_classes, one_by_one, scores_of
from glomfeat.models.heads.trees import dump_trees, load_trees
from glomfeat.models.random_states import closed

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Settings = Sequence[Mapping[str, Any]]  # the settings of a grid

FIXED_BYTES = 10_000_000  # memory that libraries take at a first fit
FEW_ROWS, TREES_OF_FEW = 150, 5
BINS, HISTOGRAMS = 64, 24  # XGBoost's bins per column, and the nodes whose sums are held at once at depth 4


@dataclass(frozen=True)
class Head:
    """A scikit-learn classifier and the settings to choose from.

    Attributes
    ----------
    estimator : estimator
        Has ``fit`` and ``predict_proba`` or ``decision_function``.
    grid : dict of str to list
        As in scikit-learn's ``ParameterGrid``; empty if there is nothing to choose. The default is the estimator's own
        setting, or else the first one of the grid; another setting must beat it by more than chance would.
    path : callable
        Scores held rows by all settings after fitting on other rows, as `one_by_one` does. Another function must return
        the same up to the solver's tolerance; it can save time by sharing work between settings.
    """

    estimator: Any
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    path: Callable[[Any, Settings, np.ndarray, np.ndarray, np.ndarray, int], list[np.ndarray]] = one_by_one


def _scaled(reduced: bool, name: str, model: Any) -> "Pipeline":
    """A pipeline in which the columns of a reducer keep their relative variances; others are scaled to variance 1."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from glomfeat.models.heads.scaling import OneScale

    return Pipeline([("scale", OneScale() if reduced else StandardScaler()), (name, model)])


def logreg(seed: int, reduced: bool = False) -> Head:
    """Logistic regression on scaled columns, with classes weighted equally and C of 0.01, 0.1, 1, 10 or 100.

    Parameters
    ----------
    seed : int
    reduced : bool
        Whether the columns come from a reducer. If so, one number scales all of them
        (`glomfeat.models.heads.scaling.OneScale`); otherwise each is standardised.

    Examples
    --------
    >>> sorted(logreg(0).grid)
    ['logisticregression__C']
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(class_weight="balanced", max_iter=2000, random_state=seed)
    grid = {"logisticregression__C": [0.01, 0.1, 1.0, 10.0, 100.0]}
    return Head(_scaled(reduced, "logisticregression", model), grid, one_descent)


def one_descent(
    estimator: Any, settings: Settings, X: np.ndarray, y: np.ndarray, held: np.ndarray, classes: int
) -> list[np.ndarray]:
    """`one_by_one` for `logreg`, in which each C starts from the solution of the one before.

    Columns are scaled once. The solutions are the same up to the solver's tolerance. If a setting changes more than the
    regression, settings are fitted one by one.
    """
    from sklearn.base import clone

    own = f"{estimator.steps[-1][0]}__"
    if not all(name.startswith(own) for setting in settings for name in setting):
        return one_by_one(estimator, settings, X, y, held, classes)
    scaler, model = clone(estimator[0]).fit(X), clone(estimator[-1]).set_params(warm_start=True)
    X, held, found = scaler.transform(X), scaler.transform(held), []
    for setting in settings:
        model.set_params(**{name.removeprefix(own): value for name, value in setting.items()})
        found.append(scores_of(model.fit(X, y), held, classes))
    return found


def svm(seed: int, reduced: bool = False) -> Head:
    """Support vector machines with a radial kernel on scaled columns, see `SVMs`, with C of 1, 10 or 100.

    The score is the logistic function of the decision value. It keeps the order and the natural decision, but it is not
    a calibrated probability. The parameters are those of `logreg`.

    Examples
    --------
    >>> svm(0).grid["svc__C"]
    [1.0, 10.0, 100.0]
    """
    from glomfeat.models.heads.svms import SVMs, one_kernel

    return Head(_scaled(reduced, "svc", SVMs(random_state=seed)), {"svc__C": [1.0, 10.0, 100.0]}, one_kernel)


def xgboost(seed: int, reduced: bool = False) -> Head:
    """Boosted trees (Chen & Guestrin 2016), 200 of depth 2 or 4 at rate 0.05, with classes weighted equally.

    With fewer than 150 rows, each step grows five trees, whose sum depends less on the seed. Columns are cut into 64
    bins: a few thousand rows gain nothing from more, and XGBoost's 256 take twice the time. `reduced` changes nothing,
    because trees do not depend on scales.

    Examples
    --------
    >>> xgboost(0).grid["max_depth"]
    [2, 4]
    """
    from sklearn.utils.class_weight import compute_sample_weight
    from xgboost import XGBClassifier

    class BalancedXGBClassifier(XGBClassifier):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
            self.rows_ = len(X)
            super().fit(X, y, sample_weight=compute_sample_weight("balanced", y))
            if self.device and len(X) > MANY_ROWS:
                self.note_ = f"trees grown on {self.device}"
                self.get_booster().set_param({"device": "cpu"})  # the rows that it scores are on the CPU
            return self

        def get_xgb_params(self) -> dict[str, Any]:
            rows = getattr(self, "rows_", FEW_ROWS)
            params = super().get_xgb_params() | {"num_parallel_tree": trees_at_once(rows)}
            return params if rows > MANY_ROWS or not self.device else params | {"device": "cpu"}

    model = BalancedXGBClassifier(
        max_depth=2,
        n_estimators=200,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.8,
        max_bin=BINS,
        n_jobs=1,
        random_state=seed,
    )
    return Head(model, {"max_depth": [2, 4]}, one_binning)


def trees_at_once(rows: int) -> int:
    """How many trees `xgboost` grows in each of its 200 steps.

    Examples
    --------
    >>> trees_at_once(40), trees_at_once(4000)
    (5, 1)
    """
    return TREES_OF_FEW if rows < FEW_ROWS else 1


def one_binning(
    estimator: Any, settings: Settings, X: np.ndarray, y: np.ndarray, held: np.ndarray, classes: int
) -> list[np.ndarray]:
    """`one_by_one` for `xgboost`, equal to the last bit, which cuts columns into bins once for all depths.

    If a setting changes more than the depth, or labels are not 0, 1, ..., settings are fitted one by one.
    """
    from sklearn.utils.class_weight import compute_sample_weight
    from xgboost import QuantileDMatrix, train

    seen, only_depth = np.unique(y), all(set(setting) <= {"max_depth"} for setting in settings)
    if not only_depth or len(seen) < 2 or seen[-1] != len(seen) - 1:
        return one_by_one(estimator, settings, X, y, held, classes)
    weight, params = compute_sample_weight("balanced", y), estimator.get_xgb_params()
    params["num_parallel_tree"] = trees_at_once(len(X))
    on_card = estimator.device and len(X) > MANY_ROWS
    params |= {"device": estimator.device} if on_card else {}
    if len(seen) > 2:
        params |= {"objective": "multi:softprob", "num_class": len(seen)}
    binned = QuantileDMatrix(X, y, weight=weight, max_bin=estimator.max_bin, nthread=estimator.n_jobs)
    scores = []
    for setting in settings:
        trees = train({**params, **setting}, binned, estimator.n_estimators)
        if on_card:
            trees.set_param({"device": "cpu"})
        found = trees.inplace_predict(held)
        found = np.c_[1 - found, found] if len(seen) == 2 else found
        scores.append(of_classes(found, seen, classes))
    return scores


def dummy(seed: int, reduced: bool = False) -> Head:
    """The share of each class in the training rows, whatever the image: the least that any head should reach.

    Examples
    --------
    >>> dummy(0).estimator.fit([[0]] * 4, [0, 0, 0, 1]).predict_proba([[5]]).tolist()
    [[0.75, 0.25]]
    """
    from sklearn.dummy import DummyClassifier

    return Head(DummyClassifier(strategy="prior", random_state=seed))


def _histogram_bytes(n_train: int, columns: int) -> int:
    """Gradient sums of `xgboost`: two float64 for each bin of each column in each node."""
    return 16 * columns * min(BINS, n_train) * HISTOGRAMS


_SCALED = (
    "glomfeat.models.heads.scaling.OneScale",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
)
HEADS = {
    "logreg": Entry(
        logreg,
        label="logistic regression",
        sentence="logistic regression (classes weighted equally, C of 0.01, 0.1, 1, 10 or 100)",
        bytes_per_value=24,
        types=(*_SCALED, "sklearn.linear_model._logistic.LogisticRegression"),
    ),
    "svm": Entry(
        svm,
        label="SVM",
        sentence="support vector machines with a radial kernel (classes weighted equally, C of 1, 10 or 100)",
        notes={
            OF_PARTS: f"Of more than {MOST_ROWS:,} training images, the mean of the decisions of several support "
            f"vector machines was taken, each fitted on a random part of about {MOST_ROWS:,} images or fewer.",
            NOT_ALL: f"These were {MOST_MACHINES} at the most; they did not learn from the images of further parts.",
        },
        bytes_per_value=28,
        more_bytes=kernel_bytes,
        most_rows=MOST_ROWS,
        types=(*_SCALED, "glomfeat.models.heads.svms.SVMs", "sklearn.svm._classes.SVC"),
    ),
    "xgboost": Entry(
        xgboost,
        label="boosted trees",
        sentence="gradient-boosted trees (XGBoost, classes weighted equally, depth of 2 or 4)",
        bytes_per_value=28,
        more_bytes=_histogram_bytes,
        codec=Codec("xgboost", "head.json", "boosted trees", dump_trees, load_trees),
    ),
    "dummy": Entry(
        dummy,
        label="share of each class",
        sentence="the share of each class",
        bytes_per_value=16,
        types=("sklearn.dummy.DummyClassifier",),
    ),
}


def entry_of(name: str) -> Entry:
    """The entry of a head in `HEADS`; for a head of the user's own, the defaults under its name.

    Parameters
    ----------
    name : str
        As in `make_head`; it need not be known.

    Returns
    -------
    glomfeat.models.heads.entry.Entry

    Examples
    --------
    >>> entry_of("svm").label, entry_of("mylab:lda").label
    ('SVM', 'mylab:lda')
    """
    return HEADS.get(name) or Entry(None, str(name), str(name))


def make_head(name: str, seed: int, reduced: bool = False, ahead: int = 0, card: str = "") -> Head:
    """Make a new head.

    Parameters
    ----------
    name : str
        A key of `HEADS`, or ``module:function``: a factory that takes a seed and returns a `Head` or any
        scikit-learn classifier. A random state that it leaves at None becomes the seed.
    seed : int
    reduced : bool
        Whether it will read the columns of a reducer. Heads of the user's own are not told, and get columns as they
        are.
    ahead : int
        How many of the first columns are joined to the feature's. They are scaled already and stay as they are.
    card : str
        The GPU on which `xgboost` learns many rows, see `glomfeat.models.card`; empty for none.

    Returns
    -------
    Head

    Raises
    ------
    PluginError
        The name is unknown, or what it names gives no scores.
    PartError
        The user's own factory raises.

    Examples
    --------
    >>> type(make_head("dummy", seed=0).estimator).__name__
    'DummyClassifier'
    """
    factories = {known: entry.factory for known, entry in HEADS.items()}
    factory = resolve(name, factories, "head")
    with calling("head", name, factory, seed=seed):
        made = factory(*((seed,) if is_own(name) else (seed, reduced)))
        head = made if isinstance(made, Head) else Head(made)
        if is_own(name):
            head = replace(head, estimator=closed(head.estimator, seed))
    if card and name == "xgboost":
        head.estimator.set_params(device=card)
    if ahead and name in HEADS:
        head = replace(head, estimator=_behind(head.estimator, ahead))
    if not may_give_scores(head.estimator):
        raise PluginError(
            f"head {name!r} is a {type(head.estimator).__name__}, which has neither predict_proba nor "
            "decision_function: a head must score images, so take a classifier that has one of "
            f"them{defined(factory) if is_own(name) else ''}"
        )
    return head


def _behind(estimator: Any, ahead: int) -> Any:
    """A built-in estimator whose scaler, if it has one, leaves the first columns as they are."""
    from glomfeat.models.heads.scaling import Behind

    if not hasattr(estimator, "steps"):
        return estimator
    (name, scaler), *_ = estimator.steps
    return estimator.set_params(**{name: Behind(scaler, ahead)})


def is_linear(name: str) -> bool:
    """Whether a head is a logistic regression, so that saliency maps can follow its direction.

    Examples
    --------
    >>> is_linear("logreg"), is_linear("svm")
    (True, False)
    """
    from sklearn.linear_model import LogisticRegression

    estimator = make_head(name, 0).estimator
    return isinstance(estimator[-1] if hasattr(estimator, "steps") else estimator, LogisticRegression)


def head_bytes(name: str, n_train: int, columns: int) -> int:
    """Most memory that choosing and fitting a head takes, besides the reduced matrix itself.

    It is the sum of measured bytes per value of the training rows (for their copies: selected, standardised, in
    float64) and of bytes that do not grow in step with the values, see `glomfeat.models.heads.entry.Entry`.

    Parameters
    ----------
    name : str
        As in `make_head`. For a head of the user's own, only the copies of the matrix are known, plus what its function
        says in an attribute `more_bytes`, which works as in an entry.
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
    entry = entry_of(name)
    more = _bytes_of_own(name, n_train, columns) if is_own(name) else entry.more_bytes(n_train, columns)
    return FIXED_BYTES + n_train * columns * entry.bytes_per_value + more


def _bytes_of_own(name: str, n_train: int, columns: int) -> int:
    """What the user's own function says about its memory; 0 if it cannot be found, because its trials will say why."""
    try:
        more_bytes = getattr(resolve(name, {}, "head"), "more_bytes", nothing)
    except Exception:
        return 0
    with calling("head", name, more_bytes):
        return int(more_bytes(n_train, columns))
