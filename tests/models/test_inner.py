"""Complete nesting: nothing that scores an inner-valid row has seen a row of its case, reducers included."""

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from joblib import hash as digest_of_object
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from glomfeat.comparison.ensembles import mean_trial
from glomfeat.comparison.options import Study
from glomfeat.comparison.run import all_before, do_before
from glomfeat.comparison.tasks import make_tasks
from glomfeat.comparison.trial import run_trial
from glomfeat.core.arms import Arm, Trial
from glomfeat.core.cache import Matrix, Store
from glomfeat.core.plugins import Own
from glomfeat.data.manifest import Manifest
from glomfeat.data.splits import make_folds
from glomfeat.features.shards import Extracted
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.inner import InnerModels
from glomfeat.models.selection import COMPONENTS

CASES, WIDTH = 40, 20
REDUCERS = ("none", "pca4", "ipca4", "pca", "ipca", "reducers_of_inner_tests:best")
FEWER = [pytest.param(name, marks=[pytest.mark.slow] * (name in ("pca4", "ipca"))) for name in REDUCERS]
FOLDS = [pytest.param(3, marks=pytest.mark.slow), 5]

pytestmark = pytest.mark.usefixtures("fewer_trees")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _own_reducers(tmp_path, monkeypatch, parts_here):
    """A module of a reducer of one's own, which looks at every row that it is fitted on."""
    made = "PCA(3, svd_solver='full')"
    source = f"from sklearn.decomposition import PCA\n\n\ndef best():\n    return {made}\n"
    (tmp_path / "reducers_of_inner_tests.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("reducers_of_inner_tests", None)


def data(cases=CASES, seed=0, width=WIDTH):
    """Rows of cases, most of which hold both classes."""
    rng = np.random.default_rng(seed)
    of_case = np.repeat(np.arange(cases), rng.integers(4, 9, cases))
    labels = rng.integers(0, 2, len(of_case))
    X = rng.normal(size=(len(labels), width)) * np.linspace(3, 0.3, width) + 5
    X[:, 3] += 1.5 * labels
    return X.astype(np.float32), labels, of_case


def tasks_of(X, labels, cases, folder, arms, folds=5, fold=0, standardise=True, **options):
    names = [f"{row:05d}.png" for row in range(len(labels))]
    digests = [f"{row:08x}" for row in range(len(labels))]
    table = pd.DataFrame({"name": names, "path": "", "label": labels, "case": cases, "slide": cases, "digest": digests})
    manifest, store = Manifest(table, ("a", "b"), True), Store(str(folder))
    matrix = Matrix([store.shard({"rows": "x"}, lambda: {"rows": X})["rows"]], digests, [digests])
    extracted = Extracted(manifest, {"x": matrix}, {}, {"x": {"feature": "x"}})
    study = Study(folds=folds, inside=0, **options)
    dealt = make_folds(manifest, folds=folds)
    trials = [Trial(arm, 0, fold) for arm in arms]
    return make_tasks(trials, study, dealt, extracted, {"x": standardise}, store, 10**10)


@pytest.mark.parametrize("folds", FOLDS)
@pytest.mark.parametrize("reducer", FEWER)
def test_inner_valid_rows_change_no_bit_of_what_is_fitted_on_the_inner_fit_rows(tmp_path, reducer, folds):
    X, labels, cases = data()
    arms = [Arm("x", reducer, head) for head in ("logreg", "svm", "xgboost")]
    (clean, *_) = tasks_of(X, labels, cases, tmp_path / "clean", arms, folds)
    for place, (fit, valid) in list(enumerate(clean.inner))[:2]:
        soiled, other = X.copy(), labels.copy()
        soiled[valid] = 1e4 * np.random.default_rng(1).normal(size=(len(valid), X.shape[1]))
        other[valid] = 1 - labels[valid]
        dirty = tasks_of(soiled, labels, cases, tmp_path / f"soiled{place}", arms, folds)
        for one, two in zip(tasks_of(X, labels, cases, tmp_path / "clean", arms, folds), dirty, strict=True):
            before, after = one.models[place], two.models[place]
            assert set(before.reduction.train) == set(fit) == set(after.reduction.train)
            rows, soiled_rows = before.reduction.rows()[0], after.reduction.rows()[0]
            np.testing.assert_array_equal(rows[fit], soiled_rows[fit])
            assert not np.array_equal(rows[valid], soiled_rows[valid])
            assert state(before, rows, labels) == state(after, soiled_rows, other)


def state(models, rows, labels):
    """All that a head is after it was fitted on the inner fit rows, as text."""
    head, fit = make_head(models.head, models.seed, not models.reduction.does_nothing), models.reduction.train
    fitted = head.estimator.fit(rows[fit], labels[fit])
    booster = getattr(fitted, "get_booster", None)
    return bytes(booster().save_raw("json")) if booster else digest_of_object(fitted)


def test_a_reducer_of_the_outer_training_rows_would_fail_that_check(tmp_path):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path / "a", [Arm("x", "pca4", "logreg")])
    fit, valid = task.inner[0]
    soiled = X.copy()
    soiled[valid] *= 10
    (other,) = tasks_of(soiled, labels, cases, tmp_path / "b", [Arm("x", "pca4", "logreg")])
    assert not np.array_equal(task.reduction.rows()[0][fit], other.reduction.rows()[0][fit])


class Lengths(FunctionTransformer):
    """Centred columns over one number, written anew."""

    def fit(self, X, y=None):
        self.centre_, self.number_ = X.mean(0), np.sqrt(((X - X.mean(0)) ** 2).sum(1).mean() / 128)
        return self

    def transform(self, X):
        return (X - self.centre_) / self.number_


ORACLES = {
    "none": [("scale", StandardScaler())],
    "pca4": [("scale", StandardScaler()), ("pca", PCA(4, svd_solver="full")), ("length", Lengths())],
    "ipca4": [("scale", StandardScaler()), ("pca", IncrementalPCA(4, batch_size=256)), ("length", Lengths())],
}
MODELS = {
    "logreg": (
        LogisticRegression(class_weight="balanced", max_iter=2000, tol=1e-8),
        [0.01, 0.1, 1.0, 10.0, 100.0],
    ),
    "svm": (SVC(class_weight="balanced"), [1.0, 10.0, 100.0]),
}


def beats_the_default(values, found):
    """The rule of the choice, from a search's own results."""
    areas = np.array([found[key] for key in sorted(found) if key.startswith("split") and key.endswith("test_score")])
    best, usual = int(areas.mean(0).argmax()), values.index(1.0)
    gain = areas[:, best] - areas[:, usual]
    return best if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) else usual


@pytest.mark.parametrize("folds", FOLDS)
@pytest.mark.parametrize("head", MODELS)
@pytest.mark.parametrize("reducer", ORACLES)
def test_a_search_over_pipelines_chooses_and_scores_the_same(tmp_path, reducer, head, folds):
    X, labels, cases = data(seed=2)
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", reducer, head)], folds)
    record = run_trial(task)
    assert record["status"] == "done", record
    model, values = MODELS[head]
    search = GridSearchCV(
        Pipeline([*ORACLES[reducer], ("head", model)]),
        {"head__C": values},
        scoring="roc_auc",
        cv=[tuple(np.searchsorted(task.train, rows) for rows in split) for split in task.inner],
        refit=partial(beats_the_default, values),
    )
    search.fit(X[task.train].astype(float), labels[task.train])
    assert list(record["params"].values()) == [search.best_params_["head__C"]]
    areas = search.cv_results_["mean_test_score"]
    assert record["inner_auroc"] == pytest.approx(areas[search.best_index_], abs=2e-3)
    tested = X[task.test].astype(float)
    if head == "logreg":
        expected = search.predict_proba(tested)[:, 1]
    else:
        expected = 1 / (1 + np.exp(-search.decision_function(tested)))
    np.testing.assert_allclose(record["scores"], expected, atol=5e-3)


@pytest.mark.parametrize("folds", [4, 5])
def test_folds_serve_each_other_with_one_model_for_two_trials(tmp_path, folds):
    X, labels, cases = data()
    arm, made = Arm("x", "pca4", "svm"), {}
    for fold in range(folds):
        (task,) = tasks_of(X, labels, cases, tmp_path, [arm], folds, fold)
        assert len(task.inner) == folds - 1
        for models, (fit, valid) in zip(task.models, task.inner, strict=True):
            made.setdefault(str(models.key), []).append((fold, set(valid)))
            assert set(valid) <= set(models.held) and not set(models.held) & set(fit) and models.users == 2
            assert not set(cases[fit]) & (set(cases[models.held]) | set(cases[task.test]))
    assert len(made) == folds * (folds - 1) // 2
    assert all(len(users) == 2 and users[0][1] != users[1][1] for users in made.values())


def test_scores_are_stored_and_shared(tmp_path, monkeypatch):
    X, labels, cases = data()
    arms = [Arm("x", "pca4", "logreg")]
    tasks = [task for fold in range(5) for task in tasks_of(X, labels, cases, tmp_path, arms, fold=fold)]
    before = all_before(tasks)
    assert sum(len(one.models) for one in before) == 10 and len(before) == 10 + 5
    for one in before:
        do_before(one)
    assert all_before(tasks) == []
    fits = []
    monkeypatch.setattr(InnerModels, "_fit", lambda self: fits.append(self))
    assert all(run_trial(task)["status"] == "done" for task in tasks) and not fits


def lda(seed):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis()


def test_scores_of_heads_of_ones_own_are_never_stored_because_their_code_may_change(tmp_path):
    X, labels, cases = data()
    arm = Arm("x", "none", Own("lda", lda, "1a2b"))
    (task,) = tasks_of(X, labels, cases, tmp_path, [arm])
    for models, (_, valid) in zip(task.models, task.inner, strict=True):
        models.scores()
        assert not models.is_stored
        np.testing.assert_array_equal(models.held, valid)
    assert not any(one.models for one in all_before([task]))
    assert run_trial(task)["status"] == "done"


def test_another_setting_of_labels_seed_or_library_is_another_key(tmp_path, monkeypatch):
    X, labels, cases = data()
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "pca4", "svm")])
    one = task.models[0]
    other = labels.copy()
    other[one.reduction.train[0]] ^= 1
    tested = labels.copy()
    tested[one.held] ^= 1
    before = one.key
    assert replace(one, seed=one.seed + 1).key != before != replace(one, labels=other).key
    monkeypatch.setattr("glomfeat.models.inner._libraries", lambda: {"scikit-learn": "0.1"})
    assert one.key != before
    assert replace(one, labels=tested).key == one.key, "labels of the rows that are scored are not looked at"


@pytest.mark.parametrize("kind", ["pca", "ipca"])
def test_how_many_components_are_read_is_chosen_and_said(tmp_path, kind):
    rng = np.random.default_rng(3)
    X, labels, cases = data(width=200)
    X = rng.normal(size=X.shape).astype(np.float32)
    X[:, :3] = 30 * rng.normal(size=(len(X), 3)) + 60 * labels[:, None]
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", kind, "svm")], standardise=False)
    record = run_trial(task)
    assert record["params"][COMPONENTS] in (8, 16, 32, 64, 128)
    assert f"reads {record['params'][COMPONENTS]} of 128 components" in record["reason"]
    assert record["inner_auroc"] > 0.9


def test_many_components_for_the_rows_are_said(tmp_path):
    X, labels, cases = data(width=120)
    few, many = (
        run_trial(*tasks_of(X, labels, cases, tmp_path, [Arm("x", name, "logreg")])) for name in ("pca8", "pca100")
    )
    assert "components are more than a fifth" not in few["reason"]
    assert "100 components are more than a fifth of the training rows" in many["reason"]


def test_few_cases_are_dealt_several_times_and_each_row_is_scored_as_often(tmp_path):
    X, labels, cases = data(cases=9)
    (task,) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "pca4", "logreg")], folds=3)
    held = np.concatenate([valid for _, valid in task.inner])
    (often,) = set(np.bincount(held)[task.train])
    assert often > 1 and len({str(one.key) for one in task.models}) > len(task.models) / often
    assert run_trial(task)["status"] == "done"


def test_where_inner_splits_cannot_hold_both_classes_the_default_is_taken_and_said(tmp_path):
    X, labels, cases = data(cases=12)
    labels = np.where((cases < 2) & (np.arange(len(labels)) % 2 == 0), 1, 0)
    (task, *_) = tasks_of(X, labels, cases, tmp_path, [Arm("x", "pca4", "logreg")], folds=2, calibration="platt")
    record = run_trial(task)
    assert task.inner == [] and record["status"] == "done" and record["threshold"] == 0.5
    assert record["params"] == {"logisticregression__C": 1.0} and np.isnan(record["inner_auroc"])
    assert (
        "inner splits cannot hold both classes: the head has its default setting and decides at 0.5; platt: scores are "
        "left as they are" in record["reason"]
    )


def test_a_mean_whose_members_have_no_inner_scores_is_a_failed_row_and_ends_nothing(tmp_path):
    X, labels, cases = data(cases=12)
    labels = np.where((cases < 2) & (np.arange(len(labels)) % 2 == 0), 1, 0)
    members = Arm("x", "none", "logreg"), Arm("x", "none", "svm")
    *tasks, mean = tasks_of(X, labels, cases, tmp_path, [*members, Arm(members=members)], folds=2)
    records = {task.trial.key: run_trial(task) for task in tasks}
    assert [record["status"] for record in records.values()] == ["done"] * 2
    found = mean_trial(mean, records)
    assert found == {
        "status": "failed",
        "reason": "inner splits cannot hold both classes, so there is nothing to choose the mean's threshold by: give "
        "a number for --threshold, or add cases of the rare class",
    }
