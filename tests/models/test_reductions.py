"""Reductions as they are stored: which route, what is shared, and how much memory it takes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from glomfeat.core.cache import Matrix, Store, digest_of
from glomfeat.core.memory import Need
from glomfeat.models.reducers.cached import Reduction, blocks_of, digests_of
from glomfeat.models.reducers.routes import Route, find_route, pca_routes

GB = 10**9
DIGESTS = [digest_of([str(k)]) for k in range(60)]
FOLDS = pd.DataFrame({"repeat": np.repeat([0, 1], 60), "fold": np.r_[np.arange(60) % 3, np.arange(60) // 20]})


def stored_matrix(store, values, name="x"):
    rows = store.shard({"matrix": name}, lambda: {"rows": values})["rows"]
    return Matrix([rows], DIGESTS[: len(values)], [DIGESTS[: len(values)]])


def reduction(store, matrix, route, repeat=0, fold=0, reducer="pca5", standardise=False):
    part = FOLDS.loc[FOLDS["repeat"] == repeat, "fold"].to_numpy()
    train = np.flatnonzero(part != fold)
    blocks = blocks_of(FOLDS, repeat, train)
    route = Route(route, None, Need(0, ""), 0.0)
    stand_for = digests_of(DIGESTS, train, blocks)
    return Reduction(reducer, matrix, train, blocks, standardise, {"f": 1}, stand_for, route, 6, store, 1)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def values_of(width, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(60, width)) * np.arange(1, width + 1) ** -0.5 + 2).astype(np.float32)


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("route", ["scatter", "gram"])
@pytest.mark.parametrize("width", [12, 150])
def test_every_fold_of_every_repeat_is_a_full_decomposition_of_its_training_rows(store, route, width, standardise):
    X = values_of(width)
    matrix = stored_matrix(store, X)
    for repeat, fold in [(0, 0), (0, 2), (1, 1)]:
        one = reduction(store, matrix, route, repeat, fold, standardise=standardise)
        rows, fit_s, _, notes = one.rows()
        assert notes == [f"pca5 by the {route} route"] and fit_s > 0
        assert sorted(np.concatenate(one.blocks)) == one.train.tolist()
        scale = X[one.train].astype(np.float64).std(axis=0) if standardise else 1.0
        full = PCA(5, svd_solver="full").fit(X[one.train] / scale)
        np.testing.assert_allclose(np.abs(rows), np.abs(full.transform(X / scale)), atol=1e-4)


def test_sums_are_computed_once_for_all_folds(store, monkeypatch):
    import glomfeat.models.reducers.cached as module

    calls = []
    for name in ("gram", "moments"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name, **k: (calls.append(name), real(*a, **k))[1])
    matrix = stored_matrix(store, values_of(90))
    for reducer in ("pca3", "pca5"):
        for repeat in range(2):
            for fold in range(3):
                for route in ("gram", "scatter"):
                    reduction(store, matrix, route, repeat, fold, reducer).rows()
    assert calls.count("gram") == 1 and calls.count("moments") == 6  # a block each of three folds and two repeats


def test_what_is_stored_is_found_again_and_bound_to_its_rows(store):
    matrix = stored_matrix(store, values_of(40))
    first = reduction(store, matrix, "gram")
    assert not store.has(first.key)
    rows = first.rows()[0]
    assert store.has(first.key) and (reduction(store, matrix, "gram").rows()[0] == rows).all()
    for other in ({"fold": 1}, {"repeat": 1}, {"reducer": "pca4"}, {"standardise": True}):
        assert not store.has(reduction(store, matrix, "gram", **other).key)


def test_fewer_components_than_asked_for_are_said(store):
    matrix = stored_matrix(store, np.repeat(values_of(80)[:4], 15, axis=0))
    rows, _, _, notes = reduction(store, matrix, "gram", repeat=0).rows()
    assert rows.shape[1] == 3 and notes[1] == "pca5 lowered to 3: the training rows allow no more"


@pytest.mark.parametrize(
    ("shape", "repeats", "standardise", "route"),
    [
        ((5758, 512), 5, False, "scatter"),
        ((5758, 345), 5, True, "scatter"),
        ((5758, 25_088), 5, False, "gram"),
        ((5758, 150_528), 5, False, "gram"),
        ((300, 9000), 1, True, "gram"),
        ((50_000, 4096), 5, False, "scatter"),
    ],
)
def test_the_cheaper_route_is_taken(shape, repeats, standardise, route):
    matrix = np.broadcast_to(np.float32(0), shape)
    assert find_route("pca128", matrix, repeats, 5 * repeats, standardise, 20 * GB).name == route


def test_a_route_that_does_not_fit_gives_way_to_one_that_does():
    matrix = np.broadcast_to(np.float32(0), (8000, 7000))
    roomy, tight = (find_route("pca128", matrix, 300, 300, False, free) for free in (60 * GB, 3 * GB // 2))
    assert (roomy.name, tight.name) == ("gram", "scatter") and tight.fold.bytes < 3 * GB // 2 < roomy.fold.bytes
    nothing = find_route("pca128", np.broadcast_to(np.float32(0), (50_000, 25_088)), 5, 25, False, 4 * GB)
    assert nothing.fold.bytes > 4 * GB  # the harness skips it, and says what fits


def test_standardising_costs_a_gram_matrix_a_fold_and_the_plan_says_so():
    plain, own = (
        {route.name: route for route in pca_routes(300, 9000, 64, 1, 5, standardise, False)}["gram"]
        for standardise in (False, True)
    )
    assert own.flops > 4 * plain.flops / 2 and own.shared is None and own.fold.how.endswith("of this fold alone")


PEAK = """
import sys
import numpy as np
import pandas as pd
from glomfeat.core.memory import PeakMemory
from glomfeat.models.reducers.cached import Reduction, digests_of, stored_sum
from glomfeat.models.reducers.routes import pca_routes
from glomfeat.core.cache import Matrix, Store, digest_of
folder, n, width, kind, route = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
store, rng = Store(folder), np.random.default_rng(0)
digests = [digest_of([str(k)]) for k in range(n)]
def make(rows):
    values = rng.integers(0, 256, (len(rows), width)) if kind == "uint8" else rng.random((len(rows), width), np.float32)
    return {"rows": values.astype(kind)}
parts = [range(k, min(k + 100, n)) for k in range(0, n, 100)]
opened = [store.shard({"k": k}, lambda part=part: make(part))["rows"] for k, part in enumerate(parts)]
matrix = Matrix(opened, digests, [[digests[i] for i in part] for part in parts])
del opened
train = np.flatnonzero(np.arange(n) % 5)
blocks = [train[train % 5 == k] for k in range(1, 5)]
found = {r.name: r for r in pca_routes(n, width, 32, 1, 5, False, kind == "uint8")}[route]
one = Reduction("pca32", matrix, train, blocks, False, {}, digests_of(digests, train, blocks), found, 5, store, 1)
def sums():
    for key, make in one.sums:
        stored_sum(store, key, make, 2)
for work, need in ((sums, found.shared), (one.rows, found.fold)):
    with PeakMemory(every_s=0.002) as memory:
        before = memory.peak_bytes
        work()
    print(memory.peak_bytes - before, need.bytes)
"""


@pytest.mark.parametrize(
    ("n", "width", "kind", "route"),
    [
        pytest.param(700, 150_528, "uint8", "gram", marks=pytest.mark.slow),
        (700, 25_088, "float32", "gram"),
        pytest.param(30_000, 300, "float32", "scatter", marks=pytest.mark.slow),
    ],
)
def test_memory_stays_under_the_plan_and_under_the_matrix(tmp_path, n, width, kind, route):
    command = [sys.executable, "-c", PEAK, str(tmp_path), str(n), str(width), kind, route]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = n * width * np.dtype(kind).itemsize
    for line in done.stdout.splitlines():
        taken, planned = map(int, line.split())
        assert taken <= planned
        assert width < 1000 or taken < whole  # a copy in float64 would take more
