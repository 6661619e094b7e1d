"""What a head must do."""

import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ParameterGrid
from sklearn.utils.validation import check_is_fitted

from glomfeat.checks.parts.findings import brief, describe, note, wrong
from glomfeat.checks.parts.parts import SEED, sent, takes
from glomfeat.core.global_generators import seeded
from glomfeat.core.memory import PeakMemory, format_bytes
from glomfeat.core.outliving import changed, checksums
from glomfeat.core.part_errors import MisfitError
from glomfeat.core.plugins import did_you_mean
from glomfeat.metrics.scores import auroc
from glomfeat.models.heads.built_in import Head
from glomfeat.models.heads.scoring import fit_clone, may_give_scores, one_by_one, scores_of
from glomfeat.models.random_states import closed

LARGE = 1000, 128
MANY = 20


def toy(n=60, width=5, classes=2):
    """Rows whose columns tell the classes apart: float32 of shape (n, width), and labels."""
    y = np.arange(n) % classes
    return (np.random.default_rng(0).normal(size=(n, width)) + 2 * y[:, None]).astype(np.float32), y


def _head(part):
    made = part.make(SEED)
    return made if isinstance(made, Head) else Head(made)


def _fitted(part, X, y):
    """A head fitted with the first setting of its grid, seeded as in a study."""
    head = _head(part)
    first = next(iter(ParameterGrid(dict(head.grid))))
    with seeded(SEED):
        return fit_clone(closed(head.estimator, SEED), first, X, y)


def _is_a_head(part):
    if not takes(part.make, SEED):
        return [wrong("it cannot be called with the seed: write it as def NAME(seed)")]
    made = part.make(SEED)
    estimator = made.estimator if isinstance(made, Head) else made
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        return [
            wrong(f"it returns {describe(made)}: return a scikit-learn classifier, or glomfeat.Head(classifier, grid)")
        ]
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "set_params")):
        return [wrong(f"{describe(estimator)} has no get_params: derive it from sklearn.base.BaseEstimator")]
    if not may_give_scores(estimator):
        return [wrong(f"{describe(estimator)} has neither predict_proba nor decision_function: choose one that scores")]
    return []


def _new_each_time(part):
    made, again = part.make(SEED), part.make(SEED)
    same = made is again
    if isinstance(made, Head) and isinstance(again, Head):
        same = same or made.estimator is again.estimator
    said = [wrong("two calls return the same object: make a new one in the function")] if same else []
    try:
        check_is_fitted(_head(part).estimator)
    except (NotFittedError, TypeError):
        return said
    return [*said, wrong("it comes fitted, and every fold forgets that: return it before fit")]


def _travels(part):
    estimator = _head(part).estimator
    try:
        clone(estimator)
    except Exception as error:
        return [wrong(f"it cannot be cloned ({brief(error)}): __init__ must store its arguments and do nothing else")]
    try:
        sent(estimator)
    except Exception as error:
        return [wrong(f"it cannot be pickled ({brief(error)}): hold no open files, locks or connections")]
    return []


def _grid(part):
    head, said = _head(part), []
    known = head.estimator.get_params()
    for name, values in dict(head.grid).items():
        if name not in known:
            said.append(wrong(f"its grid names {name!r}, which is no parameter: {did_you_mean(name, known)}"))
        elif isinstance(values, str) or not np.iterable(values) or not len(values):
            said.append(wrong(f"its grid gives {values!r} for {name!r}: give a list of values"))
    if said:
        return said
    settings, (X, y) = list(ParameterGrid(dict(head.grid))), toy()
    for setting in settings:
        try:
            fit_clone(head.estimator, setting, X, y)
        except Exception as error:
            said.append(wrong(f"it cannot be fitted with {setting}: {brief(error)}"))
    if not said and len(settings) > MANY:
        said.append(note(f"its grid has {len(settings)} settings: each is fitted on every inner split"))
    return said


def _searches(part):
    """Check that what scikit-learn splits inside a fit is split by rows."""
    params = _head(part).estimator.get_params()
    names = sorted(name for name in params if name.rpartition("__")[2] == "cv")
    return [
        note(
            f"its {name} splits by rows within the training cases, so images of a case lie on both sides: "
            "choose settings by glomfeat.Head(classifier, grid), and calibrate by --calibration"
        )
        for name in names
        if params[name] != "prefit"
    ]


def _path(part):
    head = _head(part)
    if head.path is one_by_one:
        return []
    X, y = toy()
    y[::5] = 1 - y[::5]
    halves = head.estimator, list(ParameterGrid(dict(head.grid))), X[:40], y[:40], X[40:], 2
    gap = max(np.abs(a - b).max() for a, b in zip(head.path(*halves), one_by_one(*halves), strict=True))
    said = f"its path gives scores up to {gap:.2g} from those of fits one by one: correct it or leave it out"
    return [wrong(said)] if gap > 1e-3 else []


def _scores_two(part):
    X, y = toy()
    model = _fitted(part, X, y)
    try:
        scores = scores_of(model, X, 2)
    except MisfitError as error:
        return [wrong(str(error))]
    if not np.isfinite(scores).all():
        return [wrong("its scores are NaN or infinite: give a number for every row")]
    if auroc(y, scores) < 0.3:
        return [wrong("its scores fall where they should rise: columns of predict_proba go by classes_")]
    return [] if auroc(y, scores) > 0.6 else [note("it does not tell classes apart that are clearly apart")]


def _scores_more(part):
    X, y = toy(classes=3)
    try:
        scores = scores_of(_fitted(part, X, y), X, 3)
    except MisfitError as error:
        return [wrong(f"with three classes: {error}")]
    except Exception as error:
        return [note(f"with three classes it raises {brief(error)}: it is for two classes only")]
    if not np.isfinite(scores).all():
        return [wrong("with three classes its scores are NaN or infinite: give a number for every row and class")]
    return []


def _each_row_alone(part):
    X, y = toy()
    model = _fitted(part, X, y)
    scores = scores_of(model, X, 2)
    backwards = scores_of(model, X[::-1].copy(), 2)[::-1]
    alone = np.concatenate([scores_of(model, X[k : k + 1], 2) for k in range(len(X))])
    for other, what in ((backwards, "their order"), (alone, "the rows beside it")):
        if not np.allclose(other, scores, atol=1e-5):
            gap = np.abs(other - scores).max()
            return [wrong(f"a row's score depends on {what}, by up to {gap:.2g}: score each row by itself")]
    if not np.allclose(scores_of(model, X, 2), scores, atol=1e-5):
        return [wrong("it gives other scores when asked twice: predicting must not change the model")]
    return []


def _repeats(part):
    X, y = toy(120)
    one, other = (scores_of(_fitted(part, X, y), X, 2) for _ in range(2))
    if not np.array_equal(one, other):
        gap = np.abs(one - other).max()
        return [wrong(f"two fits with one seed differ by up to {gap:.2g}: pass the seed on, random_state=seed")]
    return []


def _leaves_inputs(part):
    X, y = toy()
    before, labels = X.copy(), y.copy()
    model = _fitted(part, X, y)
    (model.predict_proba if hasattr(model, "predict_proba") else model.decision_function)(X)
    said = [] if np.array_equal(X, before) else [wrong("it changes the rows that it is given: work on a copy")]
    return (
        said if np.array_equal(y, labels) else [*said, wrong("it changes the labels that it is given: work on a copy")]
    )


def _reads_maps(part):
    X, y = toy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, X)
        rows = np.load(path, mmap_mode="r")
        try:
            scores_of(_fitted(part, rows, y), rows, 2)
        except Exception as error:
            return [wrong(f"it cannot read rows that may not be written to: {brief(error)}")]
        finally:
            del rows
    return []


def _few_rows(part):
    X, y = toy(12, 40)
    try:
        scores_of(_fitted(part, X, y), X, 2)
    except Exception as error:
        return [wrong(f"it cannot be fitted on 12 rows of 40 columns, 6 of each class: {brief(error)}")]
    return []


def _order(part):
    X, y = toy(120)
    mixed = np.random.default_rng(1).permutation(len(X))
    gap = np.abs(scores_of(_fitted(part, X, y), X, 2) - scores_of(_fitted(part, X[mixed], y[mixed]), X, 2)).max()
    return [note(f"its scores depend on the order of the training rows, by up to {gap:.2g}")] if gap > 1e-3 else []


def _cost(part):
    X, y = toy(*LARGE)
    with PeakMemory() as memory:
        before, start = memory.look(), time.perf_counter()
        model = _fitted(part, X, y)
        fitted = time.perf_counter()
        scores_of(model, X, 2)
    took, more = fitted - start, format_bytes(max(memory.peak_bytes - before, 0))
    of = f"{LARGE[0]:,} rows of {LARGE[1]} columns"
    return [note(f"{of}: fitted in {took:.2g} s, scored in {time.perf_counter() - fitted:.2g} s, {more} more memory")]


def _forgets(part):
    before = checksums(part.make)
    _fitted(part, *toy())
    if changed(before) is None:
        return []
    return [wrong("its fit changes layers that outlive it, so the next fold would start from them: make all in fit")]


BASIC = (
    ("returns a classifier that scores", _is_a_head),
    ("can be cloned and sent to other processes", _travels),
    ("every setting of its grid can be fitted", _grid),
    ("leaves rows and labels as they are", _leaves_inputs),
    ("fits two classes and scores every row in 0..1", _scores_two),
    ("leaves nothing of a fit to the next", _forgets),
)
OTHERS = (
    ("chooses nothing by splits that ignore cases", _searches),
    ("makes a new, unfitted one each time", _new_each_time),
    ("its path agrees with fits one by one", _path),
    ("scores three classes", _scores_more),
    ("scores each row by itself", _each_row_alone),
    ("repeats itself with the same seed", _repeats),
    ("reads float32 rows mapped from the disk", _reads_maps),
    ("fits few rows of many columns", _few_rows),
    ("does not depend on the order of the training rows", _order),
    ("time and memory", _cost),
)
