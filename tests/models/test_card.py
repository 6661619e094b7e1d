"""Heads and reducers on a GPU: what goes there, what the rows say, and that numbers are the processor's."""

from types import SimpleNamespace

import numpy as np
import pytest
import xgboost

from glomfeat.comparison.run import heads_and_nets
from glomfeat.comparison.tasks import card_of
from glomfeat.core.cache import Store
from glomfeat.core.installed import DEEP
from glomfeat.features.deep.products import products_on
from glomfeat.models import card
from glomfeat.models.card import find_card, planned_on_card
from glomfeat.models.heads import built_in
from glomfeat.models.heads.built_in import make_head, one_binning
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.reducers.cached import Reduction
from glomfeat.models.reducers.pca import gram, moments, outer_products
from glomfeat.models.reducers.routes import find_route
from glomfeat.models.selection import fit_chosen


@pytest.fixture
def there(monkeypatch):
    """A GPU of 80 GB; this processor stands for it wherever something is computed."""
    monkeypatch.setattr(card, "_cuda", lambda device: ("cpu", 80_000_000_000))


@pytest.mark.parametrize(
    ("device", "rows", "columns", "found"),
    [
        ("auto", 50_000, 128, ""),
        ("auto", 50_001, 128, "cpu"),
        ("auto", 5758, 150_528, "cpu"),  # their products alone take trillions of operations
        ("auto", 5758, 25_088, ""),
        ("auto", 60_000, 60_000, ""),  # which would not fit it
        ("cpu", 1_000_000, 4096, ""),
    ],
)
def test_a_card_gets_many_rows_that_fit_it(there, device, rows, columns, found):
    assert find_card(device, rows, columns) == found


def test_many_rows_need_no_networks_to_be_installed(monkeypatch):
    card._cuda.cache_clear()
    monkeypatch.setattr("glomfeat.core.installed.is_installed", lambda name: name not in DEEP)
    assert find_card("auto", 60_000, 128) == ""
    card._cuda.cache_clear()


def test_workers_of_a_cluster_get_no_card(there):
    study = SimpleNamespace(device="auto", backend="local")
    matrix = SimpleNamespace(shape=(60_000, 8))
    assert card_of(study, matrix) == "cpu"
    assert card_of(SimpleNamespace(device="auto", backend="dask"), matrix) == ""


def test_trainings_share_a_card_while_its_memory_allows(there, monkeypatch):
    def task(gigabytes, device="auto"):
        plan = SimpleNamespace(most=SimpleNamespace(bytes=int(gigabytes * 1e9)))
        return SimpleNamespace(net={"device": device} if device else {}, plan=plan)

    head = task(1, "")
    for nets, at_once in (([task(9.4)], 8), ([task(9.4), task(30)], 2), ([task(200)], 1), ([task(9.4, "cpu")], 16)):
        assert heads_and_nets([head, *nets], 16) == [([head], 16), (nets, at_once)]
    assert planned_on_card("auto", {"net:compact": 9_400_000_000}, 4) == [
        "net:compact: at most 10.0 GB of the 80.0 GB of cpu, 4 at a time"
    ]
    assert planned_on_card("cpu", {"net:compact": 1}, 4) == planned_on_card("auto", {}, 4) == []
    monkeypatch.setattr(card, "_cuda", lambda device: ("", 0))
    assert planned_on_card("auto", {"net:compact": 1}, 4) == []
    assert heads_and_nets([head, nets[0]], 4) == [([head], 4), ([nets[0]], 4)]


def test_products_on_a_card_are_those_of_the_processor():
    rng = np.random.default_rng(0)
    floats, pixels = rng.standard_normal((40, 30)), rng.integers(0, 256, (40, 3000), np.uint8)
    np.testing.assert_allclose(products_on("cpu", [floats], 40), outer_products([floats], 40, 1), rtol=1e-12)
    assert np.array_equal(gram(pixels, 1, card="cpu"), gram(pixels, 1))  # sums of integers
    found, wanted = (moments(floats, np.arange(20), 1, where) for where in ("cpu", ""))
    np.testing.assert_allclose(found["scatter"], wanted["scatter"], rtol=1e-12, atol=1e-12)


def test_a_reduction_on_a_card_says_so_and_is_stored_apart(tmp_path):
    X = np.random.default_rng(0).standard_normal((60, 20)).astype(np.float32)
    train, route = np.arange(40), find_route("pca4", X, 1, 2, False, 10**9)
    parts = "pca4", X, train, [train], False, {"of": "x"}, ("a", "b", ("c",)), route, 2, Store(str(tmp_path)), 1
    here, there = Reduction(*parts), Reduction(*parts, None, "cpu")
    assert "card" not in here.key and there.key == {**here.key, "card": "cpu"}
    assert {key["card"] for key, _ in there.sums} == {"cpu"} and not any("card" in key for key, _ in here.sums)
    rows, _, _, notes = there.rows()
    np.testing.assert_allclose(rows, here.rows()[0], rtol=1e-5, atol=1e-6)
    assert notes == [*here.rows()[3], "its products on cpu"]


@pytest.fixture
def grown(monkeypatch, fewer_trees):
    """Where each forest is grown, and what boosters are told later."""
    seen = []
    monkeypatch.setattr(built_in, "MANY_ROWS", 100)
    train = xgboost.train

    def noting(params, *rest, **more):
        seen.append(params.get("device"))
        return train(params, *rest, **more)

    for home in (xgboost, xgboost.sklearn):
        monkeypatch.setattr(home, "train", noting)
    return seen


@pytest.mark.parametrize("n", [101, 100])
def test_trees_of_many_rows_grow_on_the_card_and_score_here(grown, monkeypatch, n):
    told = []
    set_param = xgboost.Booster.set_param
    monkeypatch.setattr(xgboost.Booster, "set_param", lambda self, given: told.append(given) or set_param(self, given))
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, 3)).astype(np.float32), np.arange(n) % 2
    fit, rest = np.arange(n), np.arange(30)
    head, plain = make_head("xgboost", 0, card="cpu"), make_head("xgboost", 0)
    chosen, wanted = (fit_chosen(one, X, y, fit, [(fit, rest)], 2, "balanced") for one in (head, plain))
    assert np.array_equal(scores_of(chosen.estimator, X, 2), scores_of(wanted.estimator, X, 2))
    many = n > 100
    assert ("trees grown on cpu" in chosen.notes) is many and not any("trees" in note for note in wanted.notes)
    assert ({"device": "cpu"} in told) is many
    assert set(grown) <= {"cpu", None}
    settings = [{"max_depth": 2}]
    found = [one_binning(one.estimator, settings, X, y, X, 2)[0] for one in (head, plain)]
    assert np.array_equal(*found)


@pytest.mark.gpu
def test_a_gpu_multiplies_and_grows_as_the_processor_does():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(0)
    floats, pixels = rng.standard_normal((400, 900)), rng.integers(0, 256, (400, 3000), np.uint8)
    np.testing.assert_allclose(
        products_on("cuda", [floats], 400), outer_products([floats], 400, 1), rtol=1e-9, atol=1e-9
    )
    assert np.array_equal(gram(pixels, 1, card="cuda"), gram(pixels, 1))
    n = card.MANY_ROWS + 1
    X, y = rng.standard_normal((n, 8)).astype(np.float32), np.arange(n) % 2
    X[:, 0] += y
    there, here = (make_head("xgboost", 0, card=where).estimator.fit(X, y) for where in ("cuda", ""))
    assert there.note_ == "trees grown on cuda" and not hasattr(here, "note_")
    apart = np.abs(there.predict_proba(X) - here.predict_proba(X))
    assert np.quantile(apart, 0.99) < 0.1 and apart.mean() < 0.01
