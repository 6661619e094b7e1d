"""What own heads do to others, and to themselves: rows changed in place, settings of every kind, global generators."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glomfeat
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.results.tables import MEASURED

pytestmark = pytest.mark.usefixtures("parts_here", "dealt_once", "plain_workbooks", "no_changed_copies")

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
    return {name: table.drop(columns=[*MEASURED], errors="ignore") for name, table in tables.items()}


def test_a_head_that_changes_its_rows_in_place_changes_no_file(phantom_folder, tmp_path):
    place = make_phantom(tmp_path / "place", Phantom(images=12, cases=4, min_px=60, max_px=90, seed=9))
    options = {"features": ["shortcut", "pixels"], "reducers": "pca", "size": 16, "folds": 2, "jobs": 1, "quiet": True}
    options |= {"perturb": ["blur"], "test": [f"there={place}"], "cache": tmp_path / "cache"}
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
