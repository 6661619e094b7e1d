import tracemalloc
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, IncrementalPCA, MiniBatchDictionaryLearning
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from glomfeat.comparison.objects import own_names
from glomfeat.core.plugins import Own, PluginError
from glomfeat.models.reducers.fit import leaves_as_is, parse_reducer, reduce_rows, reducer_bytes


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As in a trial: sums do not depend on the machine, and workers do not get in each other's way."""
    with threadpool_limits(1):
        yield


def data(n=600, width=20, seed=0):
    """Float32 rows whose columns differ in place and spread, so that the order and size of slices show."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)
    return mixed.astype(np.float32)


def by_hand(X, train, k, bounds):
    reducer = IncrementalPCA(n_components=k)
    for start, end in pairwise(bounds):
        reducer.partial_fit(X[train[start:end]])
    return reducer.transform(X)


@pytest.mark.parametrize(
    ("rows", "k", "bounds"),
    [
        (600, 4, [0, 256, 512, 600]),
        (515, 4, [0, 256, 515]),  # the last 3 rows are fewer than 4: they join the slice before
        (516, 4, [0, 256, 512, 516]),
        (700, 200, [0, 400, 700]),  # slices of 2 K
        (599, 200, [0, 599]),
        (10, 4, [0, 10]),
    ],
)
def test_ipca_is_scikit_learns_over_the_same_slices(rows, k, bounds):
    X = data(720, max(20, k + 5))
    train = np.random.default_rng(1).permutation(720)[:rows]
    found = reduce_rows(f"ipca{k}", X, train, standardise=False)["rows"]
    assert found.shape == (720, k) and found.dtype == np.float32
    scale = np.abs(found).max()
    np.testing.assert_allclose(found, by_hand(X, train, k, bounds), atol=1e-4 * scale)
    if len(bounds) > 2 and k == 4:  # other slices would have shown
        assert np.abs(found - by_hand(X, train, k, [0, rows])).max() > 1e-3 * scale


def test_low_rank_data_keep_their_subspace():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 6)) @ rng.normal(size=(6, 80)) + 0.01 * rng.normal(size=(700, 80)) + 5
    train = np.arange(600)
    found = reduce_rows("ipca6", X.astype(np.float32), train, standardise=False)["rows"].astype(float)
    full = PCA(6).fit(X[train]).transform(X)
    coefficients, *_ = np.linalg.lstsq(full[train], found[train], rcond=None)
    missed = found[600:] - full[600:] @ coefficients
    assert missed.std() < 0.01 * found.std()


def test_standardising_uses_statistics_of_the_training_rows():
    X = data() * np.geomspace(1, 1e4, 20, dtype=np.float32)
    train = np.arange(400)
    scaled = StandardScaler().fit(X[train]).transform(X)
    found = reduce_rows("ipca5", X, train, standardise=True)["rows"]
    np.testing.assert_allclose(found, by_hand(scaled, train, 5, [0, 256, 400]), atol=1e-3)
    raw = reduce_rows("ipca5", X, train, standardise=False)["rows"]
    assert np.abs(raw).max() > 1000 > np.abs(found).max()


@pytest.mark.parametrize("standardise", [True, False])
def test_rows_outside_training_change_nothing(standardise):
    X, train = data(), np.arange(0, 600, 2)
    clean = reduce_rows("ipca6", X, train, standardise)["rows"]
    soiled = X.copy()
    soiled[1:300:2] = 1e6
    found = reduce_rows("ipca6", soiled, train, standardise)["rows"]
    np.testing.assert_array_equal(found[train], clean[train])
    np.testing.assert_array_equal(found[301::2], clean[301::2])  # so are the components
    assert not np.allclose(found[1:300:2], clean[1:300:2])


def test_training_rows_do_matter():
    X = data()
    other = reduce_rows("ipca3", X, np.arange(300, 600), standardise=False)["rows"]
    assert not np.allclose(reduce_rows("ipca3", X, np.arange(300), standardise=False)["rows"], other, rtol=0.01)


def test_same_rows_same_bits():
    X = data()
    first, second = (reduce_rows("ipca6", X, np.arange(500), standardise=True)["rows"] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(("train", "width", "most"), [(12, 40, 12), (300, 7, 7), (300, 40, 16)])
def test_k_is_lowered_to_what_rows_and_columns_allow(train, width, most):
    found = reduce_rows("ipca16", data(320, width), np.arange(train), standardise=True)["rows"]
    assert most - 1 <= found.shape[1] <= most and np.isfinite(found).all()


def rank_of_five(seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(size=(5, 30)), [12] * 5, axis=0).astype(np.float32)


@pytest.mark.parametrize("kind", ["few rows", "few different rows"])
def test_components_without_variance_in_training_do_not_blow_up_in_heads(kind):
    # centred training rows span fewer directions than K: what is beyond is rounding noise, that heads standardise
    X = data(60, 100) if kind == "few rows" else np.r_[rank_of_five(), data(40, 30)]
    train = np.arange(20) if kind == "few rows" else np.arange(60)
    rows = reduce_rows("ipca30", X, train, standardise=True)["rows"]
    assert rows.shape[1] >= 4
    scaled = StandardScaler().fit(rows[train]).transform(rows)
    assert np.abs(scaled).max() < 1e3


@pytest.mark.parametrize("constant", [0.0, 0.1, 255.0, 1e6])
def test_constant_columns_stay_finite(constant):
    X = data(300, 8)
    X[:, [2, 5]] = constant
    found = reduce_rows("ipca4", X, np.arange(200), standardise=True)["rows"]
    assert np.isfinite(found).all()
    rest = reduce_rows("ipca4", np.delete(X, [2, 5], axis=1), np.arange(200), standardise=True)["rows"]
    np.testing.assert_allclose(np.abs(found), np.abs(rest), atol=1e-3)


def test_rows_that_are_all_alike_give_finite_rows():
    found = reduce_rows("ipca3", np.full((40, 6), 7, np.uint8), np.arange(30), standardise=False)["rows"]
    assert np.isfinite(found).all()


def test_bytes_are_read_as_numbers():
    X = np.random.default_rng(0).integers(0, 256, (300, 12)).astype(np.uint8)
    as_float = reduce_rows("ipca3", X.astype(np.float32), np.arange(200), standardise=False)["rows"]
    np.testing.assert_array_equal(reduce_rows("ipca3", X, np.arange(200), standardise=False)["rows"], as_float)


def peak_of(name, matrix, train, standardise=True):
    tracemalloc.start()
    reduce_rows(name, matrix, train, standardise)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_matrix_on_disk_is_never_read_whole(tmp_path):
    matrix = np.memmap(tmp_path / "wide.dat", np.float32, "w+", shape=(50_000, 1000))  # a sparse file of 200 MB
    train = np.arange(0, 50_000, 100)
    matrix[train] = np.random.default_rng(0).normal(size=(len(train), 1000))
    peak = peak_of("ipca8", matrix, train)
    assert peak < 25e6
    assert peak < matrix.nbytes / 8


@pytest.mark.parametrize(("shape", "name"), [((600, 5000), "ipca8"), ((900, 3000), "ipca200"), ((5000, 200), "ipca32")])
def test_memory_stays_under_what_was_promised(shape, name):
    matrix = np.random.default_rng(0).random(shape, np.float32)
    assert peak_of(name, matrix, np.arange(shape[0])) <= reducer_bytes(name, shape[1], shape[0])


def test_promised_memory_does_not_grow_with_the_rows_of_a_wide_matrix():
    assert reducer_bytes("ipca128", 150_528, 100_000) < 1.2 * reducer_bytes("ipca128", 150_528, 1000)
    assert reducer_bytes("none", 100, 1000) == reducer_bytes("ipca128", 100, 1000) == 400_000


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("none", ("none", 0)),
        ("ipca1", ("ipca", 1)),
        ("ipca128", ("ipca", 128)),
        ("ipca", ("ipca", 128)),
        ("mine:f", ("mine:f", 0)),
    ],
)
def test_names_of_reducers(name, parsed):
    assert parse_reducer(name) == parsed


@pytest.mark.parametrize("name", ["", "ipca0", "ipca-3", "ipca 8", "none8", "umap2", "IPCA8"])
def test_unknown_reducers_say_what_is_allowed(name):
    with pytest.raises(PluginError) as raised:
        parse_reducer(name)
    said = str(raised.value)
    assert said.startswith(f"no reducer is called {name!r}: ")
    assert said.endswith("known: ipca128, none, pca128 (or another number); your own is 'module:function'")


def test_a_slip_of_the_pen_is_named():
    with pytest.raises(PluginError, match="did you mean 'ipca128'"):
        parse_reducer("ipac128")


def test_nothing_to_do_for_few_columns():
    assert leaves_as_is("none", 5) and leaves_as_is("ipca8", 8) and leaves_as_is("ipca8", 7)
    assert not leaves_as_is("ipca8", 9) and not leaves_as_is("mine:f", 9)


PLUGIN = """
import numpy as np


class Widest:
    def fit(self, X):
        self.seen_, self.column_ = len(X), int(np.argmax(X.std(axis=0)))
        return self

    def transform(self, X):
        return np.c_[X[:, self.column_], np.full(len(X), self.seen_)]


def widest():
    return Widest()
"""


def test_a_reducer_of_your_own_sees_training_rows_only(tmp_path, monkeypatch):
    (tmp_path / "my_reducers_of_test.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    X = data(300, 6)
    X[:200, 4] *= 100
    X[200:, 1] *= 1e4
    found = reduce_rows("my_reducers_of_test:widest", X, np.arange(200), standardise=False)["rows"]
    np.testing.assert_array_equal(found, np.c_[X[:, 4], np.full(300, 200)])
    with pytest.raises(PluginError, match="has no function 'wide'; did you mean 'widest'"):
        reduce_rows("my_reducers_of_test:wide", X, np.arange(200), standardise=False)


def test_a_reducer_of_your_own_is_fitted_by_its_fit():
    """Its partial_fit sees the same rows and makes another dictionary of them."""
    X, train = data(600, 6), np.arange(550)
    whole = StandardScaler().fit(X[train].astype(float)).transform(X).astype(np.float32)
    make = partial(MiniBatchDictionaryLearning, 3, random_state=0)
    found = reduce_rows(Own("dict", make, "1a2b"), X, train, standardise=True)["rows"]
    np.testing.assert_allclose(found, make().fit(whole[train]).transform(whole), atol=1e-4)
    sliced = make().partial_fit(whole[train[:256]]).partial_fit(whole[train[256:512]]).partial_fit(whole[train[512:]])
    assert np.abs(sliced.transform(whole) - found).max() > 0.01


def test_a_reducer_of_your_own_with_an_open_random_state_repeats_itself():
    X, train = data(60, 6), np.arange(40)
    found = reduce_rows(Own("means", lambda: KMeans(4, n_init=1), "1a2b"), X, train, standardise=False)["rows"]
    np.testing.assert_array_equal(found, KMeans(4, n_init=1, random_state=0).fit(X[train]).transform(X))
    given = reduce_rows(Own("means", lambda: KMeans(4, n_init=1, random_state=7), "1a2b"), X, train, standardise=False)
    assert (given["rows"] != found).any()


def test_a_reducer_may_hold_what_is_fitted():
    X, train = data(60, 6), np.arange(40)
    forest = RandomForestClassifier(9).fit(X, X[:, 0] > 0)
    make = partial(SelectFromModel, forest, prefit=True)
    found = reduce_rows(Own("chosen", make, "1a2b"), X, train, standardise=False)["rows"]
    chosen = forest.feature_importances_ >= forest.feature_importances_.mean()
    np.testing.assert_array_equal(found, X[:, chosen])
    assert forest.random_state is None


def test_a_frozen_transformer_is_a_reducer():
    X = data(60, 6)
    pca = PCA(2).fit(X[:9])
    (name,) = own_names("reducers", {"frozen": FrozenEstimator(pca)})
    found = reduce_rows(name, X, np.arange(40), standardise=False)["rows"]
    np.testing.assert_allclose(found, pca.transform(X), atol=1e-4)
