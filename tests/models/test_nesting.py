"""Proof of nesting: whole trials, with heads and networks, learn nothing of the rows that test them."""

import contextlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import hash as digest_of_object
from sklearn.base import BaseEstimator, ClassifierMixin

from glomfeat.comparison import trial as harness
from glomfeat.comparison.ensembles import mean_trial
from glomfeat.comparison.options import Study
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core.arms import Arm, Trial
from glomfeat.core.cache import Matrix, Store
from glomfeat.core.plugins import Own
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import Manifest
from glomfeat.data.other_folds import make_image_folds
from glomfeat.data.splits import SplitError, make_folds
from glomfeat.features.shards import Extracted
from glomfeat.metrics.scores import auroc
from glomfeat.models import selection
from glomfeat.models.heads.built_in import HEADS, Head
from glomfeat.models.selection import count_deals
from glomfeat.results.tables import MEASURED

LABELS = Path("../shared/data/glomeruli_labels.csv")
REDUCERS = ("none", "ipca3", "pca3")
NET = "C4-MP-F-out"
VIEW = Preprocess(size=8)
SETTINGS = {"side": 8, "epochs": 2, "batch": 16, "device": "cpu"}
GB = 10**9

pytestmark = pytest.mark.usefixtures("fewer_trees")


def manifest_of(labels, cases, by_case=True):
    names = [f"i{row:05d}.png" for row in range(len(labels))]
    table = pd.DataFrame({"name": names, "path": "", "label": labels, "case": [f"C{case:05d}" for case in cases]})
    return Manifest(
        table.assign(slide=table["case"], digest=[f"{row:08x}" for row in range(len(labels))]), ("a", "b"), by_case
    )


def stored(store, what, rows):
    digests = [f"{row:08x}" for row in range(len(rows))]
    return Matrix([store.shard({"rows of": what}, lambda: {"rows": rows})["rows"]], digests, [digests])


def tasks_of(manifest, folds, arms, folder, X=None, pixels=None, fold_names=(0,), **options):
    """The tasks of arms on some folds, each study in a store of its own, so that nothing is found that was computed."""
    store, study = Store(str(folder)), Study(folds=3, inside=0, **options)
    extracted = Extracted(
        manifest,
        {} if X is None else {"x": stored(store, "x", X)},
        {} if pixels is None else {VIEW: stored(store, "pixels", pixels)},
        {"x": {"feature": "x"}},
    )
    trials = [Trial(arm, 0, fold) for arm in arms for fold in fold_names]
    nets = {NET: (SETTINGS, 0)} if pixels is not None else {}
    return make_tasks(trials, study, folds, extracted, {}, store, GB, nets, {NET: VIEW})


@lru_cache
def problem():
    """Rows and pixels of 24 cases that hold a weak signal."""
    rng = np.random.default_rng(0)
    cases = np.repeat(np.arange(24), rng.integers(2, 9, 24))
    labels = rng.integers(0, 2, len(cases))
    X = rng.normal(size=(len(cases), 6)).astype(np.float32) + labels[:, None] * np.array(
        [1, 0.5, 0, 0, 0, 0], np.float32
    )
    pixels = rng.integers(0, 180, (len(cases), 8, 8, 3)) + 40 * labels[:, None, None, None]
    return labels, cases, X, pixels.astype(np.uint8)


def without_costs(record):
    """A journal record as it is written, without seconds and bytes."""
    curves = [{name: value for name, value in curve.items() if name != "epoch_s"} for curve in record.get("curves", [])]
    kept = {name: value for name, value in record.items() if name not in MEASURED}
    return json.dumps(kept | {"curves": curves})


def fitted_state(estimator):
    """All that a fitted head is, as text."""
    booster = getattr(estimator, "get_booster", None)
    return bytes(booster().save_raw("json")) if booster else digest_of_object(estimator)


@pytest.fixture
def fitted(monkeypatch):
    """The fitted heads and weights of networks of the trials that are run, in order."""
    kept = []

    def fit_chosen(*given):
        found = selection.fit_chosen(*given)
        kept.append(
            (fitted_state(found.estimator), found.params, found.threshold, found.inner_auroc, found.calibration)
        )
        return found

    monkeypatch.setattr(harness, "fit_chosen", fit_chosen)
    return kept


def arms_of(names=HEADS, reducers=REDUCERS):
    return [Arm("x", reducer, head) for reducer in reducers for head in names]


SOON = [("none", "turned over"), ("isotonic", "turned over")]
EACH = [(how, change) for how in ("none", "platt", "isotonic") for change in ("turned over", "shuffled")]


@pytest.mark.parametrize(
    ("calibration", "change"), [pytest.param(*both, marks=[pytest.mark.slow] * (both not in SOON)) for both in EACH]
)
def test_labels_of_the_outer_test_change_no_byte_of_a_trial(tmp_path, fitted, calibration, change):
    labels, cases, X, pixels = problem()
    manifest = manifest_of(labels, cases)
    folds = make_folds(manifest, folds=3)
    test = np.flatnonzero(folds["fold"] == 0)
    other = labels.copy()
    other[test] = 1 - labels[test] if change == "turned over" else np.random.default_rng(1).permutation(labels[test])
    assert (other != labels).any()
    # one kind of change has every head with every reducer, the others every head and, of no calibration, every reducer
    arms = arms_of() if (calibration, change) == ("none", "shuffled") else arms_of(reducers=("pca3",))
    arms += arms_of(["logreg"], ("none", "ipca3")) if (calibration, change) == ("none", "turned over") else []
    arms.append(Arm(net=NET))
    options = {"X": X, "pixels": pixels, "calibration": calibration, "threshold": "youden"}
    honest = [run_trial(task) for task in tasks_of(manifest, folds, arms, tmp_path / "a", **options)]
    before = fitted.copy()
    fitted.clear()
    garbled = tasks_of(manifest_of(other, cases), folds, arms, tmp_path / "b", **options)
    assert all((task.labels == other).all() for task in garbled)
    for arm, one, task in zip(arms, honest, garbled, strict=True):
        assert one["status"] == "done", one["reason"]
        assert without_costs(one) == without_costs(run_trial(task)), arm
    assert fitted == before and len(fitted) == len(arms) - 1
    if calibration == "isotonic":
        assert all("isotonic" in record["calibration"] for record in honest)


@pytest.mark.parametrize("calibration", [pytest.param("none", marks=pytest.mark.slow), "isotonic"])
def test_labels_of_the_outer_test_change_no_byte_of_an_ensemble(tmp_path, calibration):
    labels, cases, X, pixels = problem()
    folds = make_folds(manifest_of(labels, cases), folds=3)
    members = Arm("x", "none", "logreg"), Arm("x", "pca3", "svm"), Arm(net=NET)
    arms = [*members, Arm(members=members)]
    tested = (folds["fold"] == 0).to_numpy()
    means = []
    for k, of in enumerate((labels, np.where(tested, 1 - labels, labels), np.where(tested, labels, 1 - labels))):
        *parts, whole = tasks_of(
            manifest_of(of, cases), folds, arms, tmp_path / str(k), X, pixels, calibration=calibration
        )
        means.append(mean_trial(whole, {task.trial.key: run_trial(task) for task in parts}))
        assert means[-1]["status"] == "done", means[-1]["reason"]
    honest, garbled, taught_otherwise = means
    assert without_costs(honest) == without_costs(garbled)
    assert all(honest[what] != taught_otherwise[what] for what in ("scores", "threshold"))


def test_what_the_inner_valid_rows_show_changes_no_bit_of_what_scores_them(tmp_path, monkeypatch):
    labels, cases, X, pixels = problem()
    folds, states = make_folds(manifest_of(labels, cases), folds=3), []
    (task,) = tasks_of(manifest_of(labels, cases), folds, [Arm(net=NET)], tmp_path, X, pixels)
    valid = task.inner[0][1]

    def scored(self, X, rows=None):
        states.append({name: value.clone() for name, value in self.module_.state_dict().items()})
        return np.full((len(rows), 2), 0.5)

    monkeypatch.setattr("glomfeat.models.nets.training.NetClassifier.predict_proba", scored)
    blackened, other = pixels.copy(), labels.copy()
    blackened[valid], other[valid] = 255 - pixels[valid], 1 - labels[valid]
    run_trial(task)
    run_trial(replace(task, labels=other, pixels=blackened))
    first, last, other_first, other_last = states
    assert all((first[name] == other_first[name]).all() for name in first)
    assert any((last[name] != other_last[name]).any() for name in last)


def test_labels_of_training_cases_do_change_them(tmp_path):
    labels, cases, X, pixels = problem()
    folds = make_folds(manifest_of(labels, cases), folds=3)
    other = np.where(folds["fold"] == 0, labels, np.random.default_rng(1).permutation(labels))
    arms = [*arms_of(["logreg"], ["pca3"]), Arm(net=NET)]
    tasks = (
        tasks_of(manifest_of(of, cases), folds, arms, tmp_path / str(k), X, pixels, calibration="isotonic")
        for k, of in enumerate((labels, other))
    )
    for one, two in zip(*tasks, strict=True):
        assert all(run_trial(one)[what] != run_trial(two)[what] for what in ("scores", "calibration", "inner_auroc"))


def test_what_the_outer_test_shows_changes_no_fitted_thing(tmp_path, fitted):
    labels, cases, X, pixels = problem()
    manifest = manifest_of(labels, cases)
    folds = make_folds(manifest, folds=3)
    test, rng = np.flatnonzero(folds["fold"] == 0), np.random.default_rng(1)
    soiled, blackened = X.copy(), pixels.copy()
    soiled[test] = 1e6 * rng.normal(size=(len(test), X.shape[1]))
    blackened[test] = rng.integers(0, 256, (len(test), 8, 8, 3))
    arms = [*arms_of(reducers=("pca3",)), *arms_of(["logreg"], ("none", "ipca3")), Arm(net=NET)]
    honest = [
        run_trial(task) for task in tasks_of(manifest, folds, arms, tmp_path / "a", X, pixels, calibration="platt")
    ]
    before = fitted.copy()
    fitted.clear()
    tasks = tasks_of(manifest, folds, arms, tmp_path / "b", soiled, blackened, calibration="platt")
    for arm, one, two in zip(arms, honest, map(run_trial, tasks), strict=True):
        assert one["status"] == two["status"] == "done"
        if arm.head != "dummy":
            assert one["scores"] != two["scores"], "the garbage is what was scored"
        scores = dict.fromkeys(["scores"], 0)
        assert without_costs(one | scores) == without_costs(two | scores), arm
    assert fitted == before


class Watched(ClassifierMixin, BaseEstimator):
    """A head that writes down which rows it learnt from and which it scored; the first column tells the row."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y):
        self.classes_, self.rows_ = np.unique(y), X[:, 0].astype(int)
        return self

    def predict_proba(self, X):
        rows = X[:, 0].astype(int)
        self.seen.append((self.rows_, rows))
        score = (rows * 7919 % 101 + 1) / 103
        return np.c_[1 - score, score]


def watch(manifest, folds, names, folder):
    """Run a head and a network on each fold, and tell who learnt, who chose, and who was tested."""
    X = np.arange(len(manifest), dtype=np.float32)[:, None]
    pixels = np.zeros((len(manifest), 8, 8, 3), np.uint8)
    decided, trained = [], []

    def decide(y, score, rule, calibration):
        decided.append((y, score))
        return selection.fit_decision(y, score, rule, calibration)

    class Net:
        converge, classes_, curves_, params_, notes_, again = False, (0, 1), [], {}, [], 0.2
        n_parameters_ = n_learnt_ = fit_s = 0

        def set_params(self, again):
            self.again = again

        def fit(self, pixels, labels, train, valid):
            self.valid_scores_ = np.full((len(valid), 2), 0.5)
            self.rows = train, valid

        def predict_proba(self, pixels, rows):
            trained.append((*self.rows, rows, self.again))
            return np.full((len(rows), 2), 0.5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.models.nets.run.fit_decision", decide)
        patch.setattr("glomfeat.models.nets.run.make_net", lambda name, **settings: Net())
        watched = Own("watched", lambda seed: Head(Watched(), {}), "1a2b")
        arms = [Arm("x", "none", watched), Arm(net=NET)]
        for fold in names:
            of_head, of_net = tasks_of(manifest, folds, arms, folder, X, pixels, [fold], calibration="isotonic")
            Watched.seen.clear(), decided.clear(), trained.clear()
            found = [run_trial(task) for task in (of_head, of_net)]
            assert [record["status"] for record in found] == ["done"] * 2, found
            yield of_head, list(Watched.seen), trained[0], decided[0]


def check_nesting(manifest, folds, names, folder):
    """No case lies on both sides of any split, and every choice is made on rows of training cases that are held out."""
    cases = manifest.cases
    everything = set(range(len(cases)))

    def of(rows):
        return set(cases[rows])

    for task, seen, (fit, valid, net_test, again), (y, _) in watch(manifest, folds, names, folder):
        *inner, (last_fit, last_test) = seen
        test = set(task.test)
        assert set(last_test) == test == set(net_test) and set(last_fit) == set(task.train)
        assert not of(task.test) & of(task.train)
        assert len(inner) == len(task.inner) >= 1
        for learnt, held in inner:
            assert not of(learnt) & of(held), "a case on both sides of an inner split"
            assert not (of(learnt) | of(held)) & of(task.test), "a case of the outer test in an inner split"
        held = np.concatenate([rows for _, rows in inner])
        often = np.bincount(held)[np.unique(held)]
        assert (often == count_deals([rows for _, rows in inner])).all(), "a row is looked at more often than others"
        assert not of(fit) & of(valid) and not (of(fit) | of(valid)) & of(task.test)
        np.testing.assert_array_equal(y, manifest.labels[valid])
        if isinstance(names[0], int):
            assert set(held) == set(task.train) == set(fit) | set(valid) == everything - test and again
        else:
            assert set(fit) == set(task.train) and not set(valid) & set(task.train) and not again


@st.composite
def studies(draw):
    """Cases of any size, some of one class only, dealt to folds or to 80:10:10."""
    scheme, parts = draw(st.sampled_from([("cv", 2), ("cv", 3), ("cv", 5), ("holdout", 3)]))
    counts = np.array(draw(st.lists(st.tuples(*[st.sampled_from([0, 0, 1, 2, 9])] * 2), min_size=6, max_size=25)))
    both = np.array([[1, 1]] * (4 * parts))  # mostly enough for inner splits of each fold
    counts = np.r_[counts[counts.sum(axis=1) > 0], both]
    cases, labels = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return manifest_of(labels, cases), scheme, parts, draw(st.integers(0, 999))


@settings(max_examples=6, deadline=None)
@given(studies())
def test_no_split_shares_a_case_whatever_the_cases(tmp_path_factory, problem):
    manifest, scheme, parts, seed = problem
    names = ["outer-test"] if scheme == "holdout" else range(parts)
    with contextlib.suppress(SplitError):  # too few cases are refused, which tears none apart
        folds = make_folds(manifest, scheme, parts, seed=seed)
        check_nesting(manifest, folds, names, tmp_path_factory.mktemp("store"))


def test_no_split_shares_a_case_on_the_real_structure(tmp_path):
    if not LABELS.exists():
        pytest.skip(f"{LABELS} is not here")
    table = pd.read_csv(LABELS)
    cases = pd.factorize(table["name"].str.split("_").str[0], sort=True)[0]
    manifest = manifest_of(table["ground truth"].to_numpy(), cases)
    check_nesting(manifest, make_folds(manifest, folds=5), range(5), tmp_path / "cv")
    check_nesting(manifest, make_folds(manifest, "holdout"), ["outer-test"], tmp_path / "holdout")


def test_the_check_finds_a_split_that_tears_cases_apart(tmp_path):
    labels, cases, _, _ = problem()
    manifest = manifest_of(labels, cases)
    images = make_image_folds(make_folds(manifest, folds=3))
    with pytest.raises(AssertionError):
        check_nesting(manifest, images, ["image:0"], tmp_path)


CASES, DRAWS = 330, 3
ERROR = 0.03  # of the mean AUROC over draws: measured over 12 draws, 0.038 to 0.053 of one


CHANCE = [*arms_of(reducers=("none",)), *arms_of(["logreg"], REDUCERS[1:]), Arm(net=NET)]


def case_effects(draw):
    """Rows and pixels of cases that look alike within a case, and labels that were dealt to the cases at random."""
    rng = np.random.default_rng(draw)
    cases = np.repeat(np.arange(CASES), 2)
    labels = rng.permutation(np.arange(CASES) % 2)[cases]
    X = rng.normal(size=(CASES, 24))[cases] + 0.2 * rng.normal(size=(2 * CASES, 24))
    pixels = rng.integers(0, 256, (CASES, 8, 8, 3))[cases] + rng.normal(0, 5, (2 * CASES, 8, 8, 3))
    return labels, cases, X.astype(np.float32), pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory):
    """The mean AUROC of an arm over two folds of some draws of labels."""

    @lru_cache
    def tasks(draw, image_level):
        labels, cases, X, pixels = case_effects(draw)
        manifest, names = manifest_of(labels, cases), range(2)
        folds = make_folds(manifest, folds=2, seed=draw)
        if image_level:
            folds, names = make_image_folds(folds), [f"image:{fold}" for fold in names]
            manifest = manifest_of(labels, np.arange(len(labels)), by_case=False)
        return tasks_of(manifest, folds, CHANCE, tmp_path_factory.mktemp("store"), X, pixels, names)

    def mean(arm, draws, image_level=False):
        found = []
        for task in (task for draw in range(draws) for task in tasks(draw, image_level) if task.trial.arm == arm):
            record = run_trial(task)
            assert record["status"] == "done", record["reason"]
            found.append(auroc(task.labels[task.test], record["scores"]))
        assert len(found) == 2 * draws
        return np.mean(found)

    return mean


SOON_BY_CHANCE = ("x/pca3/logreg", f"net:{NET}")


@pytest.mark.parametrize(
    "arm", [pytest.param(a, marks=[pytest.mark.slow] * (str(a) not in SOON_BY_CHANCE)) for a in CHANCE], ids=str
)
def test_labels_dealt_to_cases_at_random_give_an_auroc_of_one_half(by_chance, arm):
    assert abs(by_chance(arm, DRAWS) - 0.5) < 2.5 * ERROR


@pytest.mark.parametrize(
    "head", ["logreg", *(pytest.param(head, marks=pytest.mark.slow) for head in ("svm", "xgboost"))]
)
def test_folds_of_images_would_fail_that_check(by_chance, head):
    assert by_chance(Arm("x", "none", head), 1, image_level=True) > 0.5 + 2.5 * ERROR
