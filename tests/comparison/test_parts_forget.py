"""Parts of the user's own that share what learns: no fold starts from what another one has learnt.

Images are noise and labels random, so a network that has seen its test images before scores far better than others.
"""

import importlib
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from glomfeat.comparison.budget import needs_of_nets
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.fold_stains import common_parts
from glomfeat.comparison.objects import own_names
from glomfeat.comparison.options import Study
from glomfeat.comparison.outcome import deal
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core.arms import FLOOR
from glomfeat.core.outliving import changed, checksums
from glomfeat.core.part_errors import PartError, calling
from glomfeat.core.plugins import definition_of
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import one_by_one
from glomfeat.models.nets import net_bytes
from glomfeat.models.nets.network import Network
from glomfeat.models.reducers.fit import reduce_rows

FOLDS, NETS = 2, ("shared", "cached", "same", "in_place", "hooked", "normed", "beside")
PARTS = """
import copy, functools
import numpy as np, torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from torch import nn
from glomfeat.models.nets import ARCHITECTURES
from glomfeat.models.nets.build import build

torch.manual_seed(0)
BACK = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.BatchNorm1d(16), nn.ReLU())
WEIGHT, SCALE = torch.randn(16, 768) / 30, torch.ones(16)
NORM = nn.BatchNorm2d(3)
ONE = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.ReLU(), nn.Linear(16, 2))

def shared(classes):
    return nn.Sequential(BACK, nn.Linear(16, classes))

@functools.cache
def _kept():
    return copy.deepcopy(BACK)

def cached(classes):
    return nn.Sequential(_kept(), nn.Linear(16, classes))

def same(classes):
    return ONE

def in_place(classes):
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.ReLU(), nn.Linear(16, classes))
    net[1].weight = nn.Parameter(WEIGHT)
    return net

def as_compact(classes):
    return build(ARCHITECTURES["compact"], classes, 16)

class Normed(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(768, classes))
    def forward(self, x):
        return self.net(x - SCALE[:3, None, None])

def normed(classes):
    return Normed(classes)

class Beside(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(768, classes))
    def forward(self, x):
        return self.net(NORM(x))

def beside(classes):
    return Beside(classes)

class Hooked(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(768, 16), nn.ReLU())
        self.net[1].register_forward_hook(lambda module, given, found: setattr(self, "found", found))
        self.last = nn.Linear(16, classes)
    def forward(self, x):
        self.net(x)
        return self.last(self.found)

def hooked(classes):
    return Hooked(classes)

def learn(net, X, y):
    loss, steps = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), 0.05, fused=True)
    for _ in range(20):
        steps.zero_grad()
        loss(net(torch.from_numpy(np.asarray(X, np.float32))), torch.from_numpy(y)).backward()
        steps.step()

class Onwards(ClassifierMixin, BaseEstimator):
    "Is its own clone, and goes on learning."
    def __sklearn_clone__(self):
        return self
    def fit(self, X, y):
        torch.manual_seed(0)
        self.net_ = getattr(self, "net_", nn.Linear(X.shape[1], 2))
        learn(self.net_, X, y)
        self.classes_ = np.unique(y)
        return self
    def predict_proba(self, X):
        return self.net_(torch.from_numpy(np.asarray(X, np.float32))).softmax(1).detach().numpy()

ONWARDS, LAYER = Onwards(), nn.Linear(4, 2)

def onwards(seed):
    return ONWARDS

class Global(Onwards):
    def __sklearn_clone__(self):
        return Global()
    def fit(self, X, y):
        self.net_ = LAYER
        learn(LAYER, X[:, :4], y)
        self.classes_ = np.unique(y)
        return self
    def predict_proba(self, X):
        return super().predict_proba(X[:, :4])

def outside(seed):
    return Global()

class Once(Global):
    learnt = []
    def fit(self, X, y):
        if not self.learnt:
            learn(LAYER, X[:, :4], y)
            self.learnt.append(True)
        self.net_, self.classes_ = LAYER, np.unique(y)
        return self

def once(seed):
    return Once()

class Hoarder(TransformerMixin, BaseEstimator):
    "Keeps all rows that it was ever fitted on."
    def fit(self, X, y=None):
        self.rows = np.concatenate([getattr(self, "rows", X[:0]), X])
        return self
    def transform(self, X):
        return (X - self.rows.mean(axis=0))[:, :5] ** 2

HOARDER = Hoarder()

def hoarder():
    return HOARDER

class Encoder(Hoarder):
    def fit(self, X, y=None):
        with torch.no_grad():
            SCALE.add_(float(X.mean()))
        return super().fit(X)

def encoder():
    return Encoder()
"""


@pytest.fixture
def anew(tmp_path, monkeypatch, parts_here):
    """A function that has the module imported anew, as a worker process does that makes only one trial."""
    (tmp_path / "forgetful.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda: sys.modules.pop("forgetful", None)
    sys.modules.pop("forgetful", None)


@pytest.fixture
def noise(tmp_path):
    """Images of noise whose labels are random."""
    rng = np.random.default_rng(4)
    for k, label in enumerate(rng.permutation(24) % 2):
        folder = tmp_path / "noise" / ("pos" if label else "neg")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"C{k // 2:02d}_{k}.png")
    return tmp_path / "noise"


def trials_of(noise, place):
    """Every trial of a study of the parts above, by arm and fold, with a cache of its own."""
    study = Study(
        data=str(noise),
        groups="^(?P<case>[^_]+)_",
        positive="pos",
        features=("shortcut",),
        reducers=("none", "forgetful:hoarder"),
        heads=("forgetful:onwards", "forgetful:outside"),
        nets=tuple(f"forgetful:{name}" for name in NETS),
        folds=FOLDS,
        size=16,
        epochs=2,
        batch=8,
        inside=0,
        out=str(place / "out"),
        cache=str(place / "cache"),
    )
    prepared = prepare(study, lambda line: None)
    extracted = extract_for(prepared, prepared.manifest, *common_parts(prepared))
    folds = deal(prepared, extracted.manifest, lambda line: None)
    views = {name: prepared.view_of_net(name) for name in prepared.nets}
    given = prepared.standardise, prepared.store, prepared.free, needs_of_nets(prepared), views
    tasks = make_tasks(prepared.trials, prepared.study, folds, extracted, *given)
    return {(str(task.trial.arm), task.trial.fold): task for task in tasks if str(task.trial.arm) != FLOOR}


@pytest.mark.usefixtures("dealt_once")
def test_a_fold_scores_the_same_whether_it_runs_first_last_or_alone(noise, tmp_path, anew):
    anew()
    tasks = trials_of(noise, tmp_path / "in turn")
    found = {key: run_trial(task) for key, task in tasks.items()}
    refused = {key for key, record in found.items() if record["status"] != "done"}
    assert refused == {key for key in tasks if key[0].endswith(("/forgetful:outside", "forgetful:beside"))}
    for key in refused:
        assert "that outlives the fit" in found[key]["reason"] and "copy.deepcopy" in found[key]["reason"]
    for fold in (0, FOLDS - 1):
        anew()
        for key, task in trials_of(noise, tmp_path / f"fold {fold} alone").items():
            if key[1] == fold and key not in refused:
                assert run_trial(task)["scores"] == found[key]["scores"], key


def test_an_estimator_that_is_its_own_clone_learns_each_setting_from_the_start(anew):
    X, y = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), np.arange(20) % 2
    anew()
    head = make_head("forgetful:onwards", 0)
    one, other = one_by_one(head.estimator, [{}, {}], X, y, X, 2)
    np.testing.assert_array_equal(one, other)
    mine = sys.modules["forgetful"].Onwards()
    (name,) = own_names("heads", {"mine": mine})
    for _ in range(2):
        np.testing.assert_array_equal(make_head(name, 0).estimator.fit(X, y).predict_proba(X)[:, 1], one)
    assert not hasattr(mine, "net_")


def test_what_is_learnt_in_the_first_fit_alone_spoils_all_later_ones(anew):
    X, y = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), np.arange(20) % 2
    anew()
    for _ in range(2):
        called = calling("head", "forgetful:once", definition_of("forgetful:once"), learns=True)
        with pytest.raises(PartError, match="that outlives the fit"), called:
            make_head("forgetful:once", 0).estimator.fit(X, y)


def test_layers_are_found_however_a_part_reaches_them(anew):
    anew()
    parts = importlib.import_module("forgetful")
    ways = {
        "an estimator given from Python": own_names("heads", {"mine": parts.Global()})[0].brings,
        "a closure": (lambda layer: lambda seed: layer)(parts.LAYER),
        "a cache": parts.cached,
        "a default": lambda seed, layer=parts.LAYER: layer,
        "a partial function": partial(parts.learn, parts.LAYER),
    }
    parts.cached(2)
    for way, part in ways.items():
        layer = parts._kept()[1] if way == "a cache" else parts.LAYER
        before = checksums(part)
        assert changed(before) is None
        with torch.no_grad():
            layer.weight.add_(1.0)
        assert changed(before) is layer.weight, way
    lazy = torch.nn.LazyLinear(2)
    assert changed(checksums(lambda: lazy)) is None  # it has no numbers yet
    assert checksums(len) == checksums(parts.hoarder.__code__) == []


def test_planning_counts_the_parameters_once_more_and_leaves_the_users_module_as_it_is(anew):
    anew()
    settings = {"side": 16, "batch": 4, "device": "cpu"}
    needs = {name: net_bytes(name, settings) for name in ("forgetful:as_compact", "compact", "forgetful:normed")}
    parameters = sum(p.numel() for p in Network("compact", 16).net.parameters())
    assert needs["forgetful:as_compact"] == needs["compact"] + 4 * parameters
    assert needs["forgetful:normed"] > 4 * 2 * 768
    assert sys.modules["forgetful"].SCALE.tolist() == [1.0] * 16


def test_a_reducer_is_fitted_on_its_training_rows_alone_whoever_was_fitted_before(anew):
    X, rows = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32), np.arange(30)
    first = reduce_rows("forgetful:hoarder", X, rows[:10], False)["rows"]
    reduce_rows("forgetful:hoarder", X, rows[10:], False)
    np.testing.assert_array_equal(reduce_rows("forgetful:hoarder", X, rows[:10], False)["rows"], first)
    with pytest.raises(PartError, match=r"^reducer forgetful:encoder: it changed a tensor of shape \(16,\) that"):
        reduce_rows("forgetful:encoder", X, rows[:10], False)
