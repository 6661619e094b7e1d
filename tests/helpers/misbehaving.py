"""Parts that misbehave, one way each and in one method each: METHOD_WAY is a factory of one of them.

``fit_loops`` makes a head whose ``fit`` never comes back; ``transform_short`` a reducer that loses a row.
"""

import itertools
import os
import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression

COUNTER = itertools.count()


def raises(found):
    raise ValueError("too few rows")


def exits(found):
    raise SystemExit(0)


def dies(found):
    os._exit(0)


def aborts(found):
    os.abort()


def loops(found):
    while True:
        time.sleep(0.05)


def none(found):
    return None


def text(found):
    return "many words"


def short(found):
    return found[1:]


def nan(found):
    return np.where(np.arange(len(found)).reshape(-1, *[1] * (found.ndim - 1)) == 0, np.nan, found)


def percent(found):
    return 100 * found


def huge(found):
    return 1e4 * found


def wide(found):
    return np.c_[found, found]


def varying(found):
    return found[:, : 1 + next(COUNTER) % 2]


def ragged(found):
    return [list(row)[: 1 + place % 2] for place, row in enumerate(found)]


WAYS = {
    way.__name__: way
    for way in (raises, exits, dies, aborts, loops, none, text, short, nan, percent, huge, wide, varying, ragged)
}
LINES = {
    "raises": 'raise ValueError("too few rows")',
    "exits": "raise SystemExit(0)",
    "dies": "os._exit(0)",
    "aborts": "os.abort()",
    "loops": "time.sleep(0.05)",
}
SAID = {
    "raises": "raised ValueError: too few rows",
    "exits": "raised SystemExit: 0",
    "dies": "ended its process (exit status 0)",
    "aborts": "ended its process (SIGABRT)",
    "loops": "took longer than --timeout 3 s",
}


class Spoilt(BaseEstimator):
    """What is spoilt in one method; the way is a function of this module."""

    def __init__(self, method="", way=""):
        self.method = method
        self.way = way

    def spoil(self, method, found):
        return WAYS[self.way](found) if method == self.method else found


class Head(ClassifierMixin, Spoilt):
    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self.spoil("fit", self)

    def predict_proba(self, X):
        return self.spoil("predict_proba", self.model_.predict_proba(X))


class Late(Head):
    """Spoilt where it learns as many rows as a table has, and not in a trial."""

    def spoil(self, method, found):
        return found

    def fit(self, X, y):
        super().fit(X, y)
        return WAYS[self.way](self) if len(X) == int(self.method) else self


class Decides(ClassifierMixin, Spoilt):
    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def decision_function(self, X):
        return self.spoil("decision_function", self.model_.decision_function(X))


class Reducer(TransformerMixin, Spoilt):
    def fit(self, X, y=None):
        self.spoil("fit", X)
        return self

    def transform(self, X):
        return self.spoil("transform", X[:, :2])


def good(seed):
    return Head()


def make_head(seed, method, way):
    if method == "make_head":
        return WAYS[way](None)
    return (Decides if method == "decision_function" else Head)(method, way)


def takes_no_seed():
    return Head()


def make_reducer(method, way):
    return WAYS[way](None) if method == "make_reducer" else Reducer(method, way)


def measure(y, score, way):
    return WAYS[way](np.zeros(3))


def make_feature(way):
    from glomfeat import Handcrafted

    def describe(image, size):
        found = np.array([image[..., 0].mean(), size[0] > 60], float)
        if way == "nan":
            return found * (np.nan if next(COUNTER) == 3 else 1)
        if way == "varying":
            return found[: 1 + next(COUNTER) % 2]
        return WAYS[way](found)

    return Handcrafted(f"{way}.v1", describe)


class ByShard:
    """A feature that is a class, and describes many images at once."""

    key, weights, standardise = {"feature": "shard"}, "", True

    def __init__(self, way):
        self.way, self.name = way, f"shard{way}.v1"
        self.key = {"feature": self.name}

    def transform(self, pixels, sizes):
        return WAYS[self.way](pixels.mean(axis=(1, 2)).astype(np.float32))


def make_net(classes, method, way):
    from torch import nn

    if method == "make_net":
        return WAYS[way](None)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(3, classes)

        def forward(self, images):
            found = self.last(images.mean((2, 3)))
            return found * float("nan") if way == "nan" else WAYS[way](found)

    return Net()


def __getattr__(name):
    """The factories: ``head_METHOD_WAY``, ``late_ROWS_WAY``, ``reducer_METHOD_WAY``, ``feature_WAY``, and so on."""
    kind, _, rest = name.partition("_")
    method, _, way = rest.rpartition("_")
    if way not in WAYS:
        raise AttributeError(name)
    if kind == "head":
        return lambda seed: make_head(seed, method, way)
    if kind == "late":
        return lambda seed: Late(method, way)
    if kind == "reducer":
        return lambda: make_reducer(method, way)
    if kind == "feature":
        return (lambda: WAYS[way](None)) if method == "make" else (lambda: make_feature(way))
    if kind == "shard":
        return lambda: ByShard(way)
    if kind in ("metric", "rule"):
        return lambda y, score: measure(y, score, way)
    if kind == "net":
        return lambda classes: make_net(classes, method, way)
    raise AttributeError(name)
