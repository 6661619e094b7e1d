"""What metrics and threshold rules must do: they take labels and scores and return a number."""

import numpy as np

from glomfeat.checks.parts.findings import brief, note, wrong
from glomfeat.checks.parts.parts import sent, takes
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.metrics.user import number_of


def cases():
    """Labels and scores that a function may meet, by kind."""
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.3).astype(np.int64)
    score = np.clip(0.3 * y + rng.normal(0.35, 0.2, 200), 0.01, 0.99)
    few = np.array([0, 0, 0, 1, 0, 1])
    return {
        "ordinary scores": (y, score),
        "rounded scores": (y, score.round(1)),
        "scores of 0 and 1": (y, (score > 0.5).astype(float)),
        "perfect scores": (y, np.where(y == 1, 0.9, 0.1)),
        "scores the wrong way round": (y, np.where(y == 1, 0.1, 0.9)),
        "scores that all tie": (y, np.full(200, 0.4)),
        "six rows": (few, np.array([0.1, 0.5, 0.2, 0.6, 0.7, 0.4])),
    }


def _value(part, y, score):
    if part.kind == "threshold":
        return choose_threshold(y, score, part.make)
    return number_of(part.make, y, score, "it")


def _takes_two(part):
    if not takes(part.make, [0, 1], [0.1, 0.9]):
        return [wrong("it does not take labels and scores: write it as def NAME(y_true, score)")]
    try:
        _value(part, *cases()["ordinary scores"])
    except ValueError as error:
        return [wrong(f"with ordinary scores it {_after(error)}")]
    return []


def _gives_a_number(part):
    said = {}
    for name, (y, score) in cases().items():
        try:
            _value(part, y, score)
        except ValueError as error:
            said.setdefault(_after(error), []).append(name)
    return [wrong(f"with {' and with '.join(names)} it {text}") for text, names in said.items()]


def _after(error):
    """What a message says after the name of the function."""
    text = str(error)
    for verb in ("raised ", "returned "):
        if verb in text:
            return verb + text.partition(verb)[2]
    return f"raised {text}"


def _leaves_inputs(part):
    y, score = cases()["ordinary scores"]
    labels, before = y.copy(), score.copy()
    part.make(y, score)
    said = [] if np.array_equal(y, labels) else [wrong("it changes the labels that it is given: work on a copy")]
    return said if np.array_equal(score, before) else [*said, wrong("it changes the scores: work on a copy")]


def _any_order(part):
    said = []
    for name, (y, score) in cases().items():
        mixed = np.random.default_rng(3).permutation(len(y))
        try:
            one, other = _value(part, y, score), _value(part, y[mixed], score[mixed])
        except ValueError:  # already reported
            continue
        if not said and not np.isclose(one, other, rtol=1e-9, atol=1e-12):
            said.append(wrong(f"with {name} it gives {one:.6g}, and {other:.6g} with the rows in another order"))
    return said


def _repeats(part):
    y, score = cases()["ordinary scores"]
    found = {_value(part, y, score) for _ in range(3)}
    return [wrong("it gives another number when asked again: draw nothing at random")] if len(found) > 1 else []


def _one_class(part):
    y, score = cases()["ordinary scores"]
    try:
        _value(part, np.zeros_like(y), score)
    except ValueError as error:
        return [note(f"if a fold holds only one class it {_after(error)}")]
    return []


def _what_is_good(part):
    known = cases()
    try:
        good, bad = (_value(part, *known[name]) for name in ("perfect scores", "scores the wrong way round"))
    except ValueError:  # already reported
        return []
    return [note(f"it is {good:.4g} for perfect scores and {bad:.4g} for scores the wrong way round")]


def _travels(part):
    try:
        sent(part.make)
    except Exception as error:
        return [wrong(f"it cannot be sent to a worker process: {brief(error)}")]
    return []


def _what_it_chooses(part):
    y, score = cases()["ordinary scores"]
    found = _value(part, y, score)
    called = score >= found
    sensitivity, specificity = called[y == 1].mean(), (~called[y == 0]).mean()
    return [
        note(
            f"with ordinary scores it chooses {found:.3g}: sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
        )
    ]


BASIC = (
    ("takes labels and scores", _takes_two),
    ("repeats itself", _repeats),
)
SHARED = (
    ("gives one finite number, also where scores tie or are perfect", _gives_a_number),
    ("leaves labels and scores as they are", _leaves_inputs),
    ("does not depend on the order of rows", _any_order),
)
OTHERS = {
    "metric": (*SHARED, ("works with one class only", _one_class), ("values", _what_is_good)),
    "threshold": (*SHARED, ("can be sent to worker processes", _travels), ("choice", _what_it_chooses)),
}
