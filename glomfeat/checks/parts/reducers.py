"""What a reducer must do."""

import numpy as np

from glomfeat.checks.parts.findings import brief, describe, note, wrong
from glomfeat.checks.parts.parts import takes
from glomfeat.models.reducers.fit import leaves_as_is, reduce_rows

ROWS, COLUMNS = 90, 40
TRAIN = np.arange(0, ROWS, 3)


def toy():
    """Rows of decreasing spread: float32 of shape (90, 40)."""
    spread = np.linspace(3, 0.5, COLUMNS)
    return (np.random.default_rng(0).normal(size=(ROWS, COLUMNS)) * spread).astype(np.float32)


def _reduced(part, X, train=TRAIN, standardise=False):
    if leaves_as_is(part.name, X.shape[1]):
        return X
    return reduce_rows(part.name, X, train, standardise)["rows"]


def _is_a_reducer(part):
    if part.make is None:
        return []
    if not takes(part.make):
        return [wrong("it cannot be called with nothing: write it as def NAME()")]
    made = part.make()
    if isinstance(made, type) or not hasattr(made, "transform"):
        return [wrong(f"it returns {describe(made)}: return a scikit-learn transformer")]
    if not hasattr(made, "fit"):
        return [wrong(f"{describe(made)} has no fit: return a scikit-learn transformer")]
    return []


def _new_each_time(part):
    if part.make is not None and part.make() is part.make():
        return [wrong("two calls return the same object: make a new one in the function")]
    return []


def _fits(part):
    if part.make is None:
        return []
    X = toy()
    made = part.make().fit(X[TRAIN])
    if made is None:
        return [wrong("its fit returns None: return self")]
    rows = made.transform(X)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) != len(X):
        return [wrong(f"transform returns {describe(rows)}: return an array of a row for each row")]
    return []


def _reduces(part):
    X = toy()
    rows = _reduced(part, X)
    if not np.isfinite(rows).all():
        return [wrong("it gives NaN or infinity: give a number for every row")]
    if part.make is not None:
        made = part.make().fit(X[TRAIN])
        alone = np.concatenate([made.transform(X[k : k + 1]) for k in range(len(X))])
        if not np.allclose(alone, made.transform(X), rtol=1e-4, atol=1e-4 * np.abs(rows).max()):
            return [wrong("what it makes of a row depends on the rows beside it: transform each row by itself")]
    if rows.shape[1] > X.shape[1]:
        return [note(f"it makes {X.shape[1]} columns into {rows.shape[1]}, which is not a reduction")]
    return []


def _trains_on_training_rows(part):
    return _looks_aside(part, False) or _looks_aside(part, True)


def _looks_aside(part, standardise):
    X, held = toy(), np.setdiff1d(np.arange(ROWS), TRAIN)
    rows = _reduced(part, X, TRAIN, standardise)
    garbage = X.copy()
    garbage[held] = np.random.default_rng(2).normal(size=(len(held), COLUMNS)) * 100
    if not np.array_equal(_reduced(part, garbage, TRAIN, standardise)[TRAIN], rows[TRAIN]):
        return [wrong("rows that are not trained on change what it gives: keep to the rows that fit is given")]
    one = held[5]
    garbage[one] = X[one]
    found = _reduced(part, garbage, TRAIN, standardise)[one]
    if not np.allclose(found, rows[one], rtol=1e-4, atol=1e-4 * np.abs(rows).max()):
        return [wrong("what it makes of a row depends on the rows beside it: transform each row by itself")]
    mixed = np.r_[TRAIN[::-1], held[::-1]]
    place = np.empty(ROWS, int)
    place[mixed] = np.arange(ROWS)
    found = _reduced(part, X[mixed], place[TRAIN], standardise)[place]
    if not np.allclose(found, rows, rtol=1e-3, atol=1e-3 * np.abs(rows).max()):
        return [wrong("what it makes of a row depends on where the row stands in the table")]
    return []


def _repeats(part):
    X = toy()
    if not np.array_equal(_reduced(part, X), _reduced(part, X), equal_nan=True):
        return [wrong("two fits differ: set its random_state")]
    return []


def _same_width(part):
    X, widths = toy(), set()
    for train in (TRAIN, np.arange(0, ROWS, 2), np.arange(60)):
        widths.add(_reduced(part, X, train).shape[1])
    if len(widths) > 1:
        return [note(f"how many columns it keeps depends on the training rows: {', '.join(map(str, sorted(widths)))}")]
    return []


def _standardised(part):
    rows = _reduced(part, toy(), standardise=True)
    return [] if np.isfinite(rows).all() else [wrong("with standardised columns it gives NaN or infinity")]


def _leaves_inputs(part):
    X = toy()
    _reduced(part, X)
    if part.make is not None:
        rows = X.copy()
        part.make().fit(rows).transform(rows)
        if not np.array_equal(rows, X):
            return [wrong("it changes the rows that it is given: work on a copy (copy=True)")]
    X.flags.writeable = False
    try:
        _reduced(part, X)
    except Exception as error:
        return [wrong(f"it cannot read rows that may not be written to: {brief(error)}")]
    return []


def _few_rows(part):
    try:
        _reduced(part, toy(), np.arange(20))
    except Exception as error:
        return [wrong(f"it cannot be fitted on 20 rows of {COLUMNS} columns: {brief(error)}")]
    return []


def _slices(part):
    if part.make is None:
        kept = "leaves 40 columns as they are" if leaves_as_is(part.name, COLUMNS) else "is fed slice by slice"
        return [note(f"it {kept}")]
    return [note("it is fitted by its fit: all training rows must fit into memory at once")]


BASIC = (
    ("returns a transformer", _is_a_reducer),
    ("fits and transforms", _fits),
    ("leaves rows as they are, and reads those that may not be written to", _leaves_inputs),
    ("repeats itself", _repeats),
    ("gives a row of finite numbers for each row by itself", _reduces),
    ("works with standardised columns", _standardised),
)
OTHERS = (
    ("makes a new one each time", _new_each_time),
    ("learns from training rows only", _trains_on_training_rows),
    ("keeps as many columns whatever it is trained on", _same_width),
    ("fits few rows of many columns", _few_rows),
    ("memory", _slices),
)
