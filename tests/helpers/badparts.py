"""Parts that are broken on purpose, one way each: what `glomfeat.checks.parts` has to find."""

import itertools
import threading

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from torch import nn

from glomfeat.features.make import Handcrafted
from glomfeat.models.heads.built_in import Head
from glomfeat.models.heads.scoring import one_by_one

X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
COUNTER = itertools.count()


# heads
def takes_nothing():
    return LogisticRegression()


def gives_none(seed):
    return None


def gives_class(seed):
    return LogisticRegression


def gives_regressor(seed):
    return LinearRegression()


class Bare:
    def fit(self, X, y):
        return self


def bare(seed):
    return Bare()


ONE = LogisticRegression()


def one_object(seed):
    return ONE


def fitted(seed):
    return LogisticRegression().fit(X, Y)


class Restless(LogisticRegression):
    def __init__(self, rate=1.0):
        super().__init__()
        self.rate = [rate]


def not_cloned(seed):
    return Restless()


class Locked(LogisticRegression):
    def __init__(self, lock=None):
        super().__init__()
        self.lock = lock

    def __sklearn_clone__(self):
        return Locked(self.lock)


def not_sent(seed):
    return Locked(threading.Lock())


def halved(estimator, settings, X, y, held, classes):
    return [scores / 2 for scores in one_by_one(estimator, settings, X, y, held, classes)]


def wrong_path(seed):
    return Head(LogisticRegression(), {"C": [1.0]}, halved)


class Own(ClassifierMixin, BaseEstimator):
    """Logistic regression, to be spoilt in one place."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.spoil(self.model_.predict_proba(X), X)

    def spoil(self, found, X):
        return found


class Rated(Own):
    def __init__(self, rate=1.0):
        self.rate = rate

    def fit(self, X, y):
        if self.rate <= 0:
            raise ValueError("rate must be positive")
        return super().fit(X, y)


def wrong_name(seed):
    return Head(Rated(), {"rte": [1.0]})


def wrong_values(seed):
    return Head(Rated(), {"rate": 1.0})


def wrong_setting(seed):
    return Head(Rated(), {"rate": [1.0, -1.0]})


def searches(seed):
    return GridSearchCV(LogisticRegression(), {"C": [1.0, 10.0]}, cv=3)


def many_settings(seed):
    return Head(Rated(), {"rate": list(range(1, 26))})


def scaled(found, by):
    """Other probabilities of two classes, whose rows still sum to 1."""
    if found.shape[1] > 2:
        return found
    score = found[:, 1:] * by
    return np.c_[1 - score, score]


class Halved(Own):
    def spoil(self, found, X):
        return found / 2


class ThreeOff(Own):
    def spoil(self, found, X):
        return found * (1.5 if found.shape[1] > 2 else 1)


class Constant(Own):
    def spoil(self, found, X):
        return np.full_like(found, 1 / found.shape[1])


class ManyRows(Own):
    def fit(self, X, y):
        if len(X) < 20:
            raise ValueError("20 rows are needed")
        return super().fit(X, y)


class Nameless(Own):
    def fit(self, X, y):
        super().fit(X, y)
        del self.classes_
        return self


class Percent(Own):
    def spoil(self, found, X):
        return found * 100


class Missing(Own):
    def spoil(self, found, X):
        return np.where(found > 0.9, np.nan, found)


class Upside(Own):
    def spoil(self, found, X):
        return found[:, ::-1]


class Batch(Own):
    def spoil(self, found, X):
        return scaled(found, 1 / found.max())


class Placed(Own):
    def spoil(self, found, X):
        return scaled(found, np.linspace(0.5, 1, len(found))[:, None]) if len(found) > 1 else found


class Twice(Own):
    def spoil(self, found, X):
        self.asked_ = getattr(self, "asked_", 0) + (len(X) == 1)
        return scaled(found, 0.5) if self.asked_ >= 60 and len(X) > 1 else found


class Random(Own):
    def fit(self, X, y):
        super().fit(X, y)
        self.model_.coef_ += 0.1 * next(COUNTER)
        return self


class Greedy(Own):
    def fit(self, X, y):
        super().fit(X, y)
        if X.flags.writeable:
            X -= X.mean(axis=0)
            y[:] = 1 - y
        return self


class Writing(Own):
    def fit(self, X, y):
        X *= 1.0
        return super().fit(X, y)


class TwoOnly(Own):
    def fit(self, X, y):
        if len(np.unique(y)) > 2:
            raise ValueError("two at the most")
        return super().fit(X, y)


class Ordered(Own):
    def fit(self, X, y):
        return super().fit(X[: len(X) // 2], y[: len(X) // 2])


def linear_svm(seed):
    return SVC(kernel="linear")


# features
def no_feature():
    return [1, 2]


def with_seed(seed):
    return good_feature()


def mean(image, size):
    return [image.mean(), image.std()]


def good_feature():
    return Handcrafted("good.v1", mean)


FEATURE = good_feature()


def one_feature():
    return FEATURE


def no_version():
    return Handcrafted("redness", mean)


def changing_name():
    return Handcrafted(f"redness.v{next(COUNTER)}", mean)


class ArrayKey(Handcrafted):
    @property
    def key(self):
        return {"mean": np.zeros(3)}


def array_key():
    return ArrayKey("good.v1", mean)


class LongKey(Handcrafted):
    @property
    def key(self):
        return {"words": "very " * 400}


def long_key():
    return LongKey("long.v1", mean)


def odd_weights():
    return OddWeights("odd.v1", mean)


class OddWeights(Handcrafted):
    weights = None


class Unkeyed:
    name = "bare.v1"

    def transform(self, pixels, sizes):
        return np.zeros((len(pixels), 1), np.float32)


def unkeyed():
    return Unkeyed()


def divides():
    return Handcrafted("divides.v1", lambda image, size: [1 / int(image.max()), image.mean()])


def spread():
    def relative(image, size):
        with np.errstate(invalid="ignore"):
            return [np.float64(image.mean()) / image.std() if image.std() else np.nan]

    return Handcrafted("spread.v1", relative)


class Doubles(Handcrafted):
    def transform(self, pixels, sizes):
        return super().transform(pixels, sizes).astype(np.float64)


def doubles():
    return Doubles("doubles.v1", mean)


class Flat(Handcrafted):
    def transform(self, pixels, sizes):
        return super().transform(pixels, sizes)[:, 0]


def flat():
    return Flat("flat.v1", mean)


class Centred(Handcrafted):
    def transform(self, pixels, sizes):
        rows = super().transform(pixels, sizes)
        return rows - rows.mean(axis=0)


def centred():
    return Centred("centred.v1", mean)


class Ranked(Handcrafted):
    def transform(self, pixels, sizes):
        rows = super().transform(pixels, sizes)
        return rows + (np.arange(len(rows))[:, None] if len(rows) > 1 else np.zeros((1, 1))).astype(np.float32)


def ranked():
    return Ranked("ranked.v1", mean)


class Forgets(Handcrafted):
    def __reduce__(self):
        return Forgets, (self.name, turned)


def turned(image, size):
    return mean(image, size)[::-1]


def forgets():
    return Forgets("forgets.v1", mean)


def drawn():
    rng = np.random.default_rng()
    return Handcrafted("drawn.v1", lambda image, size: [image.mean() + rng.random()])


def inverts():
    def invert(image, size):
        before = image.mean()
        if image.flags.writeable:
            image[:] = 255 - image
        return [before]

    return Handcrafted("inverts.v1", invert)


def writes():
    def write(image, size):
        image += np.uint8(0)
        return [image.mean()]

    return Handcrafted("writes.v1", write)


def locked():
    lock = threading.Lock()
    return Handcrafted("locked.v1", lambda image, size: [image.mean() + lock.locked()])


def only_64():
    return Handcrafted("only.v1", lambda image, size: image.reshape(64, 64, 3).mean(axis=(0, 1)))


def rows_of_size():
    return Handcrafted("rows.v1", lambda image, size: image.mean(axis=(1, 2)))


def tall():
    return Handcrafted("tall.v1", lambda image, size: [image.mean() / (size[0] // 3 - 1)])


def unbounded():
    return Handcrafted("unbounded.v1", Unbounded())


class Unbounded:
    def __call__(self, image, size):
        return [image.mean()] * (2 if size[0] == 4000 else 1)


class Changing(Handcrafted):
    def transform(self, pixels, sizes):
        if sizes.flags.writeable:
            sizes += 1
        return super().transform(pixels, sizes)


def changing_sizes():
    return Changing("changing.v1", mean)


# reducers
def reducer_with(seed):
    return PCA(2)


def no_reducer():
    return 3


PROJECTION = PCA(2)


def one_reducer():
    return PROJECTION


class OwnReducer(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X[:, :3] - self.mean_[:3]


class FitsNothing(OwnReducer):
    def fit(self, X, y=None):
        super().fit(X)


class Lists(OwnReducer):
    def transform(self, X):
        return super().transform(X).tolist()


class Holes(OwnReducer):
    def transform(self, X):
        return np.full((len(X), 3), np.nan)


class Beside(OwnReducer):
    def transform(self, X):
        return super().transform(X) / X.std()


class NoFit:
    def transform(self, X):
        return X


class Varying(OwnReducer):
    def fit(self, X, y=None):
        self.n_ = len(X)
        return super().fit(X)

    def transform(self, X):
        return X[:, : 2 + (self.n_ > 40)] * 1.0


class Steady(OwnReducer):
    def fit(self, X, y=None):
        if abs(X.std() - 1) < 0.05:
            raise ValueError("nothing to scale")
        return super().fit(X)


class RandomReducer(OwnReducer):
    def transform(self, X):
        return super().transform(X) + next(COUNTER)


class InPlace(OwnReducer):
    def transform(self, X):
        if X.flags.writeable:
            X -= self.mean_
            return X[:, :3].copy()
        return super().transform(X)


def many_components():
    return PCA(25)


def by_variance():
    return PCA(0.3)


# nets
def net_without(n):
    return nn.Flatten()


def no_net(classes):
    return "network"


class Tiny(nn.Module):
    def __init__(self, classes, out=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.last = nn.Linear(24, out or classes)

    def forward(self, images):
        return self.last(self.body(images))


def good_net(classes):
    return Tiny(classes)


NET = Tiny(2)


def one_net(classes):
    return NET


def shared_layer(classes):
    net = Tiny(classes)
    net.body = NET.body
    return net


def numpy_start(classes):
    net = Tiny(classes)
    with torch.no_grad():
        net.last.bias += float(np.random.default_rng().random())
    return net


def fixed_side(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, classes))


def side_of_study(classes):
    return nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(3 * 7 * 7, classes))


def two_only_net(classes):
    return Tiny(2)


class Softmax(Tiny):
    def forward(self, images):
        return super().forward(images).softmax(dim=1)


class Tuple(Tiny):
    def forward(self, images):
        return super().forward(images), images


class Half(Tiny):
    def forward(self, images):
        return super().forward(images).double()


class BatchNormed(Tiny):
    def forward(self, images):
        found = super().forward(images)
        return found - found.mean(dim=0)


class Dropping(Tiny):
    def forward(self, images):
        return nn.functional.dropout(super().forward(images), 0.5, training=True)


class Unused(Tiny):
    def __init__(self, classes):
        super().__init__(classes)
        self.spare = nn.Linear(3, 2)


class Frozen(Tiny):
    def __init__(self, classes):
        super().__init__(classes)
        self.requires_grad_(False)


class Climbing(Tiny):
    def forward(self, images):
        found = super().forward(images)
        return 2 * found.detach() - found


class Forgetful(Tiny):
    def __init__(self, classes):
        super().__init__(classes)
        self.shift = torch.zeros(1)

    def forward(self, images):
        if self.training:
            self.shift = self.shift + 0.5
        return super().forward(images) * (1 + self.shift)


def raises_on_three(classes):
    if classes > 2:
        raise ValueError("two classes at the most")
    return Tiny(classes)


class PartFrozen(Tiny):
    def __init__(self, classes):
        super().__init__(classes)
        self.body.requires_grad_(False)


# metrics and rules
def one_argument(y):
    return 0.5


def text(y, score):
    return "0.5"


def mean_of_ties(y, score):
    return float("nan") if len(np.unique(score)) == 1 else score[y == 1].mean()


def sorts(y, score):
    y.sort()
    return float(y[-1])


def scales(y, score):
    score *= 0.5
    return 0.5


def first(y, score):
    return float(score[0])


def random_metric(y, score):
    return next(COUNTER) % 7 / 7


def above_one(y, score):
    return score.max() + 0.5


class LockedRule:
    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, y, score):
        return 0.5


locked_rule = LockedRule()


def of_positives(y, score):
    return float(score[y == 1].min())


def one_class_only(y, score):
    if len(np.unique(y)) == 1:
        raise ValueError("one class")
    return 0.5


def one_for_all(seed, one=LogisticRegression()):  # noqa: B008 -- the mistake to be found
    """A head that is made once, when the function is defined."""
    return one


LAYER = nn.Linear(5, 2)


class Outside(Own):
    def fit(self, X, y):
        steps = torch.optim.Adam(LAYER.parameters(), 0.01, fused=True)
        nn.functional.cross_entropy(LAYER(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        steps.step()
        return super().fit(X, y)
