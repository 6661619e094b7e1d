"""What own heads do to others, and to themselves: rows changed in place, settings of every kind, global generators."""

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import glomfeat
from glomfeat.core import workers
from glomfeat.core.part_errors import MisfitError
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.models.setting_values import as_plain, find_setting
from glomfeat.results.tables import MEASURED

START = workers._start
SMALL = {"size": 16, "folds": 2, "jobs": 1, "quiet": True}

# ruff: noqa: NPY002
pytestmark = pytest.mark.usefixtures("parts_here", "dealt_once", "no_changed_copies")

OF_ARMS = ("results.csv", "trials.csv", "external.csv", "robustness.csv", "importance.csv", "neighbours.csv")


class Polite(LogisticRegression):
    """Scales rows on its own copies."""

    def fit(self, X, y):
        self.scaler_ = StandardScaler().fit(X)
        return super().fit(self.scaler_.transform(X), y)

    def predict_proba(self, X):
        return super().predict_proba(self.scaler_.transform(X))


class InPlace(Polite):
    """Has the same scores, but spoils whatever it is given."""

    def fit(self, X, y):
        super().fit(X.copy(), y.copy())
        X[:], y[:] = 0, 0
        return self

    def predict_proba(self, X):
        found = super().predict_proba(X.copy())
        X[:] = 0
        return found


def tables_of(out):
    """The tables of a study without what was measured, and the scores."""
    tables = {path.name: pd.read_csv(path, dtype=str) for path in out.glob("*.csv")}
    tables["predictions"] = pd.read_parquet(out / "predictions.parquet")
    return {name: table.drop(columns=[*MEASURED, "epoch_s"], errors="ignore") for name, table in tables.items()}


def test_a_head_that_changes_its_rows_in_place_changes_no_file(phantom_folder, tmp_path):
    place = make_phantom(tmp_path / "place", Phantom(images=12, cases=4, min_px=60, max_px=90, seed=9))
    options = SMALL | {"features": ["shortcut", "pixels"], "reducers": "pca", "cache": tmp_path / "cache"}
    options |= {"perturb": ["blur"], "test": [f"there={place}"]}
    knn, found, bundles = make_pipeline(StandardScaler(), KNeighborsClassifier(5)), [], []
    for head in (Polite(max_iter=1000), InPlace(max_iter=1000)):
        out = tmp_path / type(head).__name__
        result = glomfeat.compare(phantom_folder, heads=[{"odd": head, "knn": knn}], out=out, **options)
        found.append(tables_of(out))
        bundles.append(result.arms["pixels.v1/pca/odd"].model())
    polite, spoilt = found
    assert {*OF_ARMS, "predictions"} <= {*polite} == {*spoilt}
    for name, table in polite.items():
        pd.testing.assert_frame_equal(table, spoilt[name], obj=name)
        assert len(table) or name not in OF_ARMS, name
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    polite, spoilt = (bundle.rows(["noise"], [bundle.decode(noise)]) for bundle in bundles)
    assert polite == spoilt and "features" in polite[0][-1]  # it is unlike the images that were learnt


def twice(distance):
    return 2 / (1 + distance)


def test_each_setting_is_found_again_from_its_plain_data():
    values = [1, 1.0, True, "1", None, np.float32(0.1), 0.1, (4,), [4], {0: 1}, {"0": 1}, float("nan"), np.inf]
    values += [lambda d: d, lambda d: 1 / d, twice, LogisticRegression(), LogisticRegression(C=2), np.arange(3)]
    for place, value in enumerate(values):
        plain = json.loads(json.dumps(as_plain({"x": values}, {"x": value}), allow_nan=False))
        assert find_setting({"x": values}, plain)["x"] is values[place]
    with pytest.raises(MisfitError, match="its grid no longer has the setting"):
        find_setting({"x": [2, 3]}, {"x": 1})


def test_settings_that_json_cannot_hold_are_chosen_and_fitted_again(phantom_folder, tmp_path):
    lr, tree = LogisticRegression(max_iter=1000), DecisionTreeClassifier(max_depth=2, random_state=0)
    weights = {"class_weight": [{0: 1, 1: 1000}, {0: 1, 1: 3}]}  # the classifier's own setting is the last
    heads = {
        "numbers": glomfeat.Head(KNeighborsClassifier(np.int64(3)), {"n_neighbors": np.arange(1, 4, 2)}),
        "keys": glomfeat.Head(clone(tree).set_params(class_weight={0: 1, 1: 3}), weights),
        "functions": glomfeat.Head(KNeighborsClassifier(5), {"weights": [twice]}),
        "estimators": glomfeat.Head(Pipeline([("scale", StandardScaler()), ("last", tree)]), {"last": [lr]}),
    }
    expected = {
        "numbers": {"n_neighbors": 3},
        "keys": {"class_weight": "{0: 1, 1: 3} (value 2 of 2)"},
        "functions": {"weights": f"{__name__}:twice (value 1 of 1)"},
        "estimators": {"last": "LogisticRegression(max_iter=1000) (value 1 of 1)"},
    }
    options = SMALL | {"features": "shortcut", "reducers": "none", "cache": tmp_path / "cache", "perturb": ["blur"]}
    result = glomfeat.compare(phantom_folder, heads=heads, out=tmp_path / "out", **options)
    arms = {f"shortcut.v1/none/{name}": plain for name, plain in expected.items()}
    for arm, plain in arms.items():
        params = result.trials.loc[result.trials["arm"] == arm, "params"]
        assert [*map(json.loads, params)] == [plain] * 2
    tables = {name: pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("robustness", "importance")}
    assert {*tables["robustness"]["arm"]} == {*arms} and tables["importance"]["arm"].nunique() == 3
    assert not hasattr(lr, "coef_")  # the user's own object stays as it was given
    bundle = result.arms["shortcut.v1/none/keys"].model()
    assert bundle.about["chosen"]["params"] == expected["keys"]
    assert bundle.model.estimator.class_weight == {0: 1, 1: 3}


class Drawn(ClassifierMixin, BaseEstimator):
    """Scores along directions that it draws from the global generators, some of them anew whenever it is asked."""

    def fit(self, X, y):
        import torch

        self.classes_, self.direction_ = np.unique(y), np.random.normal(size=X.shape[1]) + random.random()
        self.direction_ += torch.randn(X.shape[1]).numpy()
        return self

    def decision_function(self, X):
        return (X @ self.direction_ + np.random.normal(size=len(X))) / 100


class DrawnRows(TransformerMixin, BaseEstimator):
    """Projects rows onto directions that it draws."""

    def fit(self, X, y=None):
        self.directions_ = np.random.normal(size=(X.shape[1], 2))
        return self

    def transform(self, X):
        return X @ self.directions_


def speckled(image, size):
    return [image.mean() + np.random.normal(), random.random()]


def noisy(classes):
    import torch

    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.factor = torch.nn.Linear(3, classes), np.random.rand()

        def forward(self, x):
            return self.layer(x.mean(dim=(2, 3))) * self.factor + torch.randn(len(x), classes)

    return Noisy()


DRAWN = {"features": [{"speckled": speckled}, "shortcut"], "reducers": ["none", {"rows": DrawnRows()}]}
DRAWN |= {"heads": {"drawn": Drawn()}, "perturb": ["blur"]}


def draw(data, out, seed, **how):
    """Run a study whose parts draw from global generators, which stand at a seed."""
    np.random.seed(seed)
    glomfeat.compare(data, **SMALL | DRAWN | {"out": out, "cache": out.parent / f"cache {seed}"} | how)
    assert np.random.rand() == np.random.RandomState(seed).rand()  # the user's own numbers go on as ever


def assert_drawn_alike(place, arms=4):
    one, two = (tables_of(place / name) for name in ("one", "two"))
    assert {"results.csv", "trials.csv", "robustness.csv", "importance.csv", "predictions"} <= {*one} == {*two}
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, two[name], obj=name)
    assert len(one["robustness.csv"]) == arms * 5  # no model is another one when it is fitted again


def test_what_parts_draw_from_global_generators_is_the_same_after_resume(phantom_folder, tmp_path):
    draw(phantom_folder, tmp_path / "one", 1)
    journal = tmp_path / "two" / "journal.jsonl"
    shutil.copytree(tmp_path / "one", journal.parent, ignore=shutil.ignore_patterns("*.csv", "*.parquet"))
    lines = journal.read_text().splitlines(keepends=True)
    last = [place for place, line in enumerate(lines) if '"status": "done"' in line][4]
    journal.write_text("".join(lines[: last + 1]))
    draw(phantom_folder, journal.parent, 2)
    assert_drawn_alike(tmp_path)


@pytest.mark.slow
def test_two_workers_draw_the_same(phantom_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_start", START)
    monkeypatch.setattr("glomfeat.core.workers.how_many", lambda calls, jobs, budget: (jobs, budget))
    draw(phantom_folder, tmp_path / "one", 1, nets={"noisy": noisy}, epochs=1)
    draw(phantom_folder, tmp_path / "two", 2, nets={"noisy": noisy}, epochs=1, jobs=2)
    assert_drawn_alike(tmp_path, arms=5)
