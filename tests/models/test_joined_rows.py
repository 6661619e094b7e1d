"""Joined columns as numbers: what scikit-learn makes of them by hand, by the training rows alone."""

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from glomfeat.core.cache import Store
from glomfeat.data.joined import Column, Joined
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.inner import InnerModels
from glomfeat.models.joined import Behind, fit_encoder, unseen_in_words
from glomfeat.models.reducers.cached import Reduction, digests_of
from glomfeat.models.reducers.kept import AsIs
from glomfeat.models.reducers.routes import find_route
from glomfeat.models.selection import COMPONENTS, fit_chosen, settings_of

N, TRAIN, TEST = 60, np.arange(40), np.arange(40, 60)


@pytest.fixture
def joined():
    rng = np.random.default_rng(1)
    age, bmi = rng.normal(60, 12, N), rng.normal(25, 4, N)
    age[rng.random(N) < 0.2], bmi[50] = np.nan, np.nan  # the latter among the tested rows alone
    sex = rng.choice(["F", "M", "missing"], N)
    sex[45] = "X"  # which no training row has
    return Joined((Column("age", age), Column("sex", sex), Column("bmi", bmi)))


def by_hand(joined):
    """The numbers as scikit-learn makes them."""
    age, sex, bmi = (column.values.astype(object)[:, None] for column in joined.columns)
    of_number = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), but_indicators())
    rows = np.hstack([age, bmi, sex])
    made = ColumnTransformer(
        [
            ("age", of_number, [0]),
            ("sex", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
            ("bmi", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [1]),
        ]
    )
    return made.fit(rows[TRAIN]).transform(rows).astype(float)


def but_indicators():
    return ColumnTransformer([("value", StandardScaler(), [0])], remainder="passthrough")


def test_they_are_what_scikit_learn_makes_of_them_by_the_training_rows(joined):
    encoder = fit_encoder(joined, TRAIN)
    found = encoder.transform(joined)
    assert found.dtype == np.float32 and found.shape == (N, encoder.width) == (N, 6)
    np.testing.assert_allclose(found, by_hand(joined), atol=1e-5)
    assert found[45, 2:5].tolist() == [0, 0, 0]


def test_values_of_other_rows_change_nothing(joined):
    spoilt = Joined(tuple(Column(one.name, one.values.copy()) for one in joined.columns))
    spoilt.columns[0].values[TEST] = 1e6
    spoilt.columns[1].values[TEST] = "Z"
    assert fit_encoder(spoilt, TRAIN) == fit_encoder(joined, TRAIN)


def test_a_column_that_no_training_row_has_a_value_of_tells_nothing_but_that():
    values = np.r_[np.full(3, np.nan), [70.0, np.nan]]
    found = fit_encoder(Joined((Column("age", values),)), np.arange(3)).transform(Joined((Column("age", values),)))
    assert found.tolist() == [[0, 1], [0, 1], [0, 1], [0, 0], [0, 1]]


def test_values_that_are_all_the_same_are_not_blown_up():
    column = Column("age", np.full(5, 0.1 + 0.2))
    assert not fit_encoder(Joined((column,)), np.arange(5)).transform(Joined((column,))).any()


def test_unseen_values_are_noted(joined):
    assert unseen_in_words(joined, TRAIN, TEST) == [
        "joined column sex: 1 tested image has a value that no training image has: 0 in all of the column's numbers"
    ]
    assert unseen_in_words(joined, TRAIN, TRAIN) == []


@pytest.mark.parametrize("head", ["logreg", "svm"])
@pytest.mark.parametrize("reducer", ["pca4", "none"])
def test_a_head_reads_them_beside_the_feature_as_by_hand(joined, head, reducer, tmp_path):
    """The feature's columns keep the scale that they have without; the joined ones have variance 1, or are 0 and 1."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(N, 9)) * np.geomspace(1, 30, 9), rng.integers(0, 2, N)
    X = (X + 3 * y[:, None]).astype(np.float32)
    reduction = reduce(X, reducer, tmp_path, joined)
    rows, *_ = reduction.read()
    made = make_head(head, 0, reducer != "none", reduction.ahead)
    assert reduction.ahead == 6 and rows.shape == (N, 6 + (4 if reducer == "pca4" else 9))
    found = scores_of(made.estimator.fit(rows[TRAIN], y[TRAIN]), rows[TEST], 2)
    beside = StandardScaler().fit(X[TRAIN]).transform(X)
    if reducer == "pca4":
        beside = PCA(4).fit(beside[TRAIN]).transform(beside)
        beside *= np.sqrt(128 / (beside[TRAIN] ** 2).sum(axis=1).mean())
    both = np.hstack([by_hand(joined), beside])
    if head == "logreg":
        model = LogisticRegression(class_weight="balanced", max_iter=5000, tol=1e-8).fit(both[TRAIN], y[TRAIN])
        np.testing.assert_allclose(found, model.predict_proba(both[TEST])[:, 1], atol=2e-3)
    else:
        model = SVC(class_weight="balanced").fit(both[TRAIN], y[TRAIN])
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-model.decision_function(both[TEST]))), atol=2e-3)


def reduce(X, reducer, folder, joined, train=TRAIN):
    route = find_route(reducer, X, 1, 1, True, 10**9)
    digests = digests_of([f"d{row}" for row in range(len(X))], train, [])
    return Reduction(reducer, X, train, [], True, {"feature": "x"}, digests, route, 1, Store(str(folder)), 1, joined)


def test_a_choice_of_components_is_of_those_of_the_feature_alone(joined, tmp_path):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(N, 30)).astype(np.float32), rng.integers(0, 2, N)
    reduction = reduce(X, "pca", tmp_path, joined)
    rows, *_ = reduction.read()
    inner = [(TRAIN[::2], TRAIN[1::2]), (TRAIN[1::2], TRAIN[::2])]
    head = make_head("logreg", 0, True, reduction.ahead)
    chosen = fit_chosen(head, rows, y, TRAIN, inner, 2, "balanced", prefixes=(8, 16), ahead=reduction.ahead)
    assert chosen.params[COMPONENTS] in (8, 16)
    assert chosen.estimator.n_features_in_ == reduction.ahead + chosen.params[COMPONENTS]


def test_inner_models_fill_and_scale_without_the_rows_that_they_score(joined, tmp_path):
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(N, 5)).astype(np.float32), rng.integers(0, 2, N)
    fit, held = np.arange(30), np.arange(30, 40)
    models = InnerModels("logreg", 0, reduce(X, "none", tmp_path, joined, fit), y, held, 2)
    scores = models.scores()[0]
    spoilt = Joined(tuple(Column(one.name, one.values.copy()) for one in joined.columns))
    spoilt.columns[0].values[40:] = 1e6
    again = InnerModels("logreg", 0, reduce(X, "none", tmp_path, spoilt, fit), y, held, 2)
    assert again.key != models.key and not again.is_stored
    assert len(scores) == len(settings_of(make_head("logreg", 0)))
    np.testing.assert_array_equal(again.scores()[0], scores)


def test_the_reduced_rows_of_a_feature_are_stored_once_for_all_that_join_it(joined, tmp_path):
    X = np.random.default_rng(5).normal(size=(N, 9)).astype(np.float32)
    with_columns, without = (reduce(X, "pca4", tmp_path, one) for one in (joined, None))
    assert with_columns.identity == without.identity
    np.testing.assert_array_equal(with_columns.read()[0][:, 6:], without.rows()[0])


def test_a_reducer_behind_them_leaves_them_as_they_are():
    rows = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(Behind(AsIs(), 2).transform(rows), rows)
    assert Behind(AsIs(), 2).first(1).stored == "as is"


def test_a_head_of_columns_alone_has_nothing_else_to_scale():
    X = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]] * 3, np.float32)
    fitted = make_head("logreg", 0, False, 2).estimator.fit(X, [1, 0, 1, 0] * 3)
    by_hand = LogisticRegression(class_weight="balanced", max_iter=2000).fit(X, [1, 0, 1, 0] * 3)
    np.testing.assert_allclose(fitted.predict_proba(X), by_hand.predict_proba(X), atol=1e-6)
