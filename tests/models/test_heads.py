import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from glomfeat.comparison.objects import own_names
from glomfeat.core.part_errors import MisfitError, PartError
from glomfeat.core.plugins import Own, PluginError
from glomfeat.metrics.scores import decide
from glomfeat.models.heads.built_in import BINS, HEADS, Head, head_bytes, make_head
from glomfeat.models.heads.scoring import fit_clone, one_by_one, scores_of
from glomfeat.models.heads.svms import MOST_ROWS, SVMs

PLUGIN = """
from sklearn.ensemble import RandomForestClassifier


def forest(seed):
    return RandomForestClassifier(n_estimators=30, class_weight="balanced", random_state=seed)


seven = 7
"""
PLUGGED = "my_heads_of_test:forest"
LEARNING = [*(name for name in HEADS if name != "dummy"), PLUGGED]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As in a trial: sums do not depend on the machine, and workers do not get in each other's way."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _plugin(tmp_path, monkeypatch, parts_here):
    (tmp_path / "my_heads_of_test.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def single_trees(monkeypatch):
    """Boosted trees that grow one by one of few rows too, as they do of many."""
    monkeypatch.setattr("glomfeat.models.heads.built_in.TREES_OF_FEW", 1)


def blobs(counts, apart=3.0, seed=0, width=5):
    """Clouds around corners, a class each."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(y), width)) + apart * np.eye(len(counts), width)[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", [*HEADS, PLUGGED])
def test_contract(name, classes, single_trees):
    X, y = blobs([40] * classes)
    head = make_head(name, seed=1)
    assert isinstance(head, Head) and make_head(name, seed=1).estimator is not head.estimator
    scores = {}
    for attempt in range(2):
        for index, params in enumerate(ParameterGrid(dict(head.grid))):
            model = clone(make_head(name, seed=1).estimator).set_params(**params).fit(X[:90], y[:90])
            scores[attempt, index] = scores_of(model, X, classes)
    for index in range(len(scores) // 2):
        found = scores[0, index]
        assert found.dtype == np.float64 and found.shape == ((len(X),) if classes == 2 else (len(X), 3))
        assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
        np.testing.assert_array_equal(found, scores[1, index])
        if classes == 3:
            np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert not hasattr(head.estimator, "classes_")  # clones were fitted and not the head


@pytest.mark.parametrize("name", [*HEADS, PLUGGED])
def test_fitting_writes_into_nothing(name, single_trees):
    X, y = blobs([20, 20])
    before = X.copy()
    X.setflags(write=False)
    scores_of(make_head(name, 0).estimator.fit(X, y), X, 2)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", LEARNING)
def test_columns_follow_the_classes(name, classes, single_trees):
    X, y = blobs([40] * classes, apart=6)
    scores = scores_of(make_head(name, 0).estimator.fit(X[::2], y[::2]), X[1::2], classes)
    assert (decide(scores) == y[1::2]).mean() > 0.9


@pytest.mark.parametrize("name", [*HEADS, PLUGGED])
@pytest.mark.parametrize("few", [2, 3])
def test_a_class_of_few_rows(name, few, single_trees):
    X, y = blobs([30, few])
    found = scores_of(make_head(name, 0).estimator.fit(X, y), X, 2)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", ["logreg", "svm", "xgboost"])
def test_the_rare_class_is_not_given_up(name):
    X, y = blobs([400, 40], apart=1.5)
    X_new, y_new = blobs([400, 400], apart=1.5, seed=1)
    head = make_head(name, 0)
    model = head.estimator.set_params(**ParameterGrid(dict(head.grid))[0]).fit(X, y)
    called = decide(scores_of(model, X_new, 2))
    sensitivity, specificity = recall_score(y_new, called), recall_score(y_new, called, pos_label=0)
    assert sensitivity > 0.65 and specificity > 0.65  # heads that do not weigh reach a sensitivity of 0.3 to 0.5
    assert roc_auc_score(y_new, scores_of(model, X_new, 2)) > 0.75


def test_svm_score_keeps_order_and_decision_of_the_decision_function():
    X, y = blobs([60, 30], apart=1.5)
    model = make_head("svm", 0).estimator.fit(X, y)
    decision, score = model.decision_function(X), scores_of(model, X, 2)
    np.testing.assert_array_equal(np.argsort(decision, kind="stable"), np.argsort(score, kind="stable"))
    np.testing.assert_array_equal(decide(score), model.predict(X))
    np.testing.assert_allclose(score, expit(decision))


def test_svm_of_three_classes_calls_what_its_decision_function_calls():
    X, y = blobs([30] * 3, apart=2)
    model = make_head("svm", 0).estimator.fit(X, y)
    np.testing.assert_array_equal(decide(scores_of(model, X, 3)), model.decision_function(X).argmax(axis=1))


@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=4), most=st.integers(1, 50), seed=st.integers(0, 9))
def test_rows_are_dealt_into_equal_parts_that_hold_their_share_of_every_class(counts, most, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = SVMs(most_rows=most, most_machines=1000, random_state=seed).parts(y)
    held = np.array([np.bincount(y[rows], minlength=len(counts)) for rows in parts])
    assert len(parts) == -(-len(y) // most) and held.min() >= 1
    for k, count in enumerate(counts):
        if count >= len(parts):
            np.testing.assert_array_equal(
                np.sort(np.concatenate([r[y[r] == k] for r in parts])), np.flatnonzero(y == k)
            )
            assert np.ptp(held[:, k]) <= 1
        else:
            assert (held[:, k] == count).all()
    rare = sum(count for count in counts if count < len(parts))
    assert max(map(len, parts)) <= most + rare


@pytest.mark.parametrize("classes", [2, 3])
def test_svm_of_few_rows_is_one_machine_to_the_bit(classes):
    X, y = blobs([40] * classes, apart=1.0)
    found = SVMs(C=10, random_state=5).fit(X, y)
    expected = SVC(C=10, class_weight="balanced").fit(X, y)
    np.testing.assert_array_equal(found.decision_function(X), expected.decision_function(X))
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    assert found.note_ == "" and found.most_rows == MOST_ROWS == 6000


@pytest.mark.parametrize("classes", [2, 3])
def test_svm_of_many_rows_is_the_mean_of_a_machine_for_each_part(classes):
    X, y = blobs([50] * classes, apart=1.0)
    found = SVMs(C=10, most_rows=40).fit(X, 7 * y)
    assert len(found.machines_) == -(-50 * classes // 40) and list(found.classes_) == [7 * k for k in range(classes)]
    parts = [SVC(C=10, class_weight="balanced").fit(X[rows], y[rows]) for rows in found.parts(y)]
    expected = np.mean([part.decision_function(X) for part in parts], axis=0)
    np.testing.assert_allclose(found.decision_function(X), expected, rtol=1e-12, atol=1e-13)
    called = expected > 0 if classes == 2 else expected.argmax(axis=1)
    np.testing.assert_array_equal(found.predict(X), 7 * called)
    assert found.note_ == f"mean of {len(parts)} support vector machines of parts of the rows"


def test_what_several_machines_say_of_a_row_depends_neither_on_other_rows_nor_on_threads():
    X, y = blobs([300, 300], apart=1.0)
    found = SVMs(most_rows=250).fit(X, y)
    with threadpool_limits(1):
        expected = found.decision_function(X)
    with threadpool_limits(2):
        for rows in (slice(0, 1), slice(3, 260), slice(255, 600)):
            np.testing.assert_array_equal(found.decision_function(X[rows]), expected[rows])
    with pytest.raises(ValueError, match="X has 3 features, but SVMs is expecting"):
        found.decision_function(X[:, :3])


def test_machines_are_not_more_than_some_and_what_is_left_out_is_said():
    X, y = blobs([50, 50], apart=1.0)
    few, all_of = SVMs(most_rows=30, most_machines=3).fit(X, y), SVMs(most_rows=30).fit(X, y)
    assert len(few.machines_) == 3 and len(all_of.machines_) == 4
    assert few.note_ == "mean of 3 support vector machines of parts of the rows (others are not learnt)"
    assert SVMs(most_rows=30, most_machines=1).fit(X, y).note_ == "one part of the rows is learnt"
    for one, other in zip(few.machines_, all_of.machines_, strict=False):
        np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))


def test_svms_refuse_what_a_machine_refuses():
    X, y = blobs([20, 20])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SVMs().fit(X, y[:30])
    head = make_head("svm", 0)
    head.estimator.set_params(svc=SVC())
    data = head.estimator, [{"svc__C": 1.0}], X[:30], y[:30], X[30:], 2
    np.testing.assert_array_equal(head.path(*data)[0], one_by_one(*data)[0])


def test_the_seed_deals_the_rows_of_many():
    X, y = blobs([50, 50], apart=1.0)
    one, other, again = (SVMs(most_rows=40, random_state=k).fit(X, y).decision_function(X) for k in (0, 1, 0))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_kernels_of_parts_score_as_each_fit_alone(monkeypatch, classes):
    monkeypatch.setattr("glomfeat.models.heads.svms.HELD_ROWS", 7)
    X, y = blobs([60] * classes, apart=1.0)
    head = make_head("svm", 3)
    head.estimator.set_params(svc__most_rows=45)
    settings, n = [{"svc__C": C} for C in (100.0, 1.0, 10.0)], 40 * classes
    data = head.estimator, settings, X[:n], y[:n], X[n:], classes
    for one, other in zip(head.path(*data), one_by_one(*data), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrap", [make_pipeline, lambda svc: GridSearchCV(make_pipeline(svc), {"svc__C": [1.0]})])
def test_decisions_of_pairs_are_no_scores_of_classes(wrap):
    """Of three classes there are three pairs: a matrix of the right shape."""
    X, y = blobs([30] * 3)
    with pytest.raises(MisfitError, match=r'two classes at a time.*: set decision_function_shape="ovr"$'):
        scores_of(wrap(SVC(decision_function_shape="ovo")).fit(X, y), X, 3)
    model = wrap(SVC()).fit(X, y)
    assert (decide(scores_of(model, X, 3)) == model.predict(X)).all()
    two = SVC(decision_function_shape="ovo").fit(X[y < 2], y[y < 2])
    np.testing.assert_allclose(scores_of(two, X, 2), expit(two.decision_function(X)))


def test_classes_not_seen_in_training_score_zero():
    X, y = blobs([30] * 3)
    seen = y != 1
    scores = scores_of(make_head("svm", 0).estimator.fit(X[seen], y[seen]), X, 3)
    assert (scores[:, 1] == 0).all() and (decide(scores[seen]) == y[seen]).mean() > 0.9
    only = scores_of(make_head("dummy", 0).estimator.fit(X[:4], np.zeros(4, int)), X, 2)
    assert (only == 0).all()


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_units_of_columns_do_not_matter(name):
    X, y = blobs([40, 40], apart=1.0)
    scaled = X * np.array([1e-3, 1, 1e3, 1e5, 1], np.float32)
    first, second = (scores_of(make_head(name, 0).estimator.fit(M, y), M, 2) for M in (X, scaled))
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_seeds_reach_the_heads_that_draw(single_trees):
    X, y = blobs([50, 50], apart=1.0)
    for name in ("xgboost", PLUGGED):
        first, second = (scores_of(make_head(name, seed).estimator.fit(X, y), X, 2) for seed in (0, 1))
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("apart", "fits"), [(12.0, 2), (0.0, 4)])
def test_a_larger_c_is_fitted_only_where_c_bounds_a_row(monkeypatch, classes, apart, fits):
    X, y = blobs([40] * classes, apart=apart)
    head, fitted, fit = make_head("svm", 0), [], SVC.fit
    settings = [{"svc__C": C} for C in (100.0, 1.0, 1000.0, 10.0)]
    data = head.estimator, settings, X[: 30 * classes], y[: 30 * classes], X[30 * classes :], classes
    expected = one_by_one(*data)
    monkeypatch.setattr(SVC, "fit", lambda self, *rows: fitted.append(self.C) or fit(self, *rows))
    found = head.path(*data)
    assert fitted == [1.0, 10.0, 100.0, 1000.0][:fits]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2], [0, 1, 0]])
def test_bins_of_all_depths_give_the_bits_of_each_fit_alone(labels):
    X, y = blobs([50] * len(labels), apart=1.0)
    y, head = np.array(labels)[y], make_head("xgboost", 3)
    data = head.estimator, list(ParameterGrid(dict(head.grid))), X[:90], y[:90], X[90:], 3
    found, expected = head.path(*data), one_by_one(*data)
    assert not np.array_equal(found[0], found[1])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_columns_are_cut_into_bins_once_an_inner_split(monkeypatch):
    X, y = blobs([50, 50])
    head, made = make_head("xgboost", 0), []
    known = xgboost.QuantileDMatrix
    monkeypatch.setattr(xgboost, "QuantileDMatrix", lambda *data, **how: made.append(how) or known(*data, **how))
    head.path(head.estimator, list(ParameterGrid(dict(head.grid))), X[:60], y[:60], X[60:], 2)
    assert [how["max_bin"] for how in made] == [BINS]


def test_a_grid_of_more_than_depths_is_fitted_one_by_one():
    X, y = blobs([50, 50], apart=1.0)
    head, settings = make_head("xgboost", 0), [{"n_estimators": 3, "max_depth": 2}, {"max_bin": 4}]
    data = head.estimator, settings, X[:60], y[:60], X[60:], 2
    for one, other in zip(head.path(*data), one_by_one(*data), strict=True):
        np.testing.assert_array_equal(one, other)


def test_labels_that_skip_a_class_are_an_error_that_names_the_classes():
    X, y = blobs([20, 20])
    head = make_head("xgboost", 0)
    with pytest.raises(ValueError, match="Invalid classes inferred"):
        head.path(head.estimator, [{"max_depth": 2}], X, 2 * y, X, 3)


def test_dummy_scores_the_share_of_each_class():
    X, y = blobs([30, 10, 20])
    scores = scores_of(make_head("dummy", 0).estimator.fit(X, y), X[:5], 3)
    np.testing.assert_allclose(scores, np.tile([1 / 2, 1 / 6, 1 / 3], (5, 1)))


def test_a_plugged_in_classifier_becomes_a_head_without_choices():
    assert dict(make_head(PLUGGED, 5).grid) == {} and make_head(PLUGGED, 5).estimator.random_state == 5


def test_a_head_that_ignores_its_seed_is_seeded():
    X, y = blobs([20, 20], apart=0.5)
    shared = make_pipeline(StandardScaler(), ExtraTreesClassifier(5))
    for seed in (3, 4):
        head = make_head(Own("trees", lambda seed: shared, "1a2b"), seed)
        by_hand = make_pipeline(StandardScaler(), ExtraTreesClassifier(5, random_state=seed)).fit(X, y)
        found = scores_of(fit_clone(head.estimator, {}, X, y), X + 0.3, 2)
        np.testing.assert_array_equal(found, by_hand.predict_proba(X + 0.3)[:, 1])
    given = make_head(Own("trees", lambda seed: ExtraTreesClassifier(5, random_state=7), "1a2b"), 3)
    assert given.estimator.random_state == 7 and shared[-1].random_state is None


def test_a_frozen_classifier_is_a_head():
    X, y = blobs([20, 20])
    frozen = FrozenEstimator(SVC().fit(X, y))
    (name,) = own_names("heads", {"frozen": frozen})
    model = fit_clone(make_head(name, 0).estimator, {}, X[:6], y[:6])
    np.testing.assert_allclose(scores_of(model, X, 2), expit(frozen.decision_function(X)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("logrg", r"^no head is called 'logrg': did you mean 'logreg'\? known: dummy, logreg, svm, xgboost; your own"),
        ("my_heads_of_test:frst", r"my_heads_of_test has no function 'frst'; did you mean 'forest'"),
        ("my_heads_of_test:seven", r"has no function 'seven'"),
        (
            "no_such_module_here:f",
            r"there is no module 'no_such_module_here'; run the command in its folder, or put it",
        ),
    ],
)
def test_unknown_heads_say_what_to_do(name, message):
    with pytest.raises(PluginError, match=message):
        make_head(name, 0)


MEASURE = """
import json, re, sys
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.selection import fit_chosen


def resident(field):
    return 1024 * int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])


def choose(name, n, columns):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n * 5 // 4, columns), dtype=np.float32)
    y = rng.integers(0, 2, len(X))
    X[:, 0] += 3 * y
    train = np.arange(n)
    inner = [(train[train % 3 != part], train[train % 3 == part]) for part in range(3)]
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    chosen = fit_chosen(make_head(name, 0), X, y, train, inner, 2, "balanced")
    scores_of(chosen.estimator, X[n:], 2)
    return resident("VmHWM") - before


with threadpool_limits(1):
    name, n, columns = json.loads(sys.argv[1])
    choose(name, 300, 4)  # what a first fit loads stays
    print(choose(name, n, columns))
"""


LATER = [("logreg", 6000, 128), ("xgboost", 400, 128), ("svm", 9000, 8)]  # of the last, machines of parts
SIZES = [("svm", 1500, 32), *(pytest.param(size, marks=pytest.mark.slow) for size in LATER)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize("size", SIZES)
def test_heads_stay_within_the_memory_that_is_planned(size):
    command = [sys.executable, "-c", MEASURE, json.dumps(size)]  # a process each: what one frees the next takes again
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert head_bytes(*size) / 8 < peak < head_bytes(*size)


def test_planned_memory_of_a_kernel_is_bounded():
    assert head_bytes("svm", 1_000_000, 8) < 1_000_000 * 8 * 40 + 9 * MOST_ROWS**2 + 2**28
    assert head_bytes("svm", 4606, 128) > 2 * head_bytes("logreg", 4606, 128)


def test_planned_memory_of_a_plugged_in_head_is_that_of_its_copies():
    assert head_bytes(PLUGGED, 1000, 16) == 10_000_000 + 1000 * 16 * 40
    assert head_bytes("nowhere:head", 1000, 16) == 10_000_000 + 1000 * 16 * 40  # its trials say why


def test_a_head_of_ones_own_says_what_it_takes_beside_its_rows(tmp_path, monkeypatch):
    code = "def big(seed):\n    pass\n\nbig.more_bytes = lambda n, columns: 1e9 + n\n\ndef bad(seed):\n    pass\n\n"
    (tmp_path / "ownbig.py").write_text(code + "bad.more_bytes = lambda n, columns: n / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert head_bytes("ownbig:big", 1000, 16) == 10_000_000 + 1000 * 16 * 40 + 1_000_001_000
    with pytest.raises(PartError, match="division by zero"):
        head_bytes("ownbig:bad", 1000, 16)


class Told:
    """A fitted head that gives the probabilities that it was told."""

    def __init__(self, given):
        self.given, self.classes_ = given, np.arange(given.shape[1])

    def predict_proba(self, X):
        return self.given


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_rounded_probabilities_are_taken_and_others_must_sum_to_one(classes):
    exact = np.random.default_rng(0).dirichlet(np.ones(classes), 2000)
    for told in (exact.round(2), exact.round(3), exact.astype(np.float16)):
        assert len(scores_of(Told(told), np.zeros((2000, 1)), classes)) == 2000
    for told in (exact * 0.97, 1 / (1 + np.exp(-exact))):
        with pytest.raises(MisfitError, match=r"rows that do not sum to 1, such as one of \d\.\d+: divide each row"):
            scores_of(Told(told), np.zeros((2000, 1)), classes)
