"""What every registered part promises, and what a plug-in given as module:function must keep as well."""

import numpy as np
import pytest
from sklearn.base import clone

from glomfeat.features import FEATURES, make_feature
from glomfeat.heads import HEADS, make_head, scores_of
from glomfeat.reducers import reduce_rows

PLUGIN = """
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from glomfeat.features import Handcrafted

def redness():
    return Handcrafted("redness.v1", lambda image, size: [image[..., 0].mean(), size[0]])

def svd():
    return TruncatedSVD(4, random_state=0)

def lda(seed):
    return LinearDiscriminantAnalysis()
"""
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, 32, 32, 3), np.uint8)
SIZES = np.array([[32, 32], [20, 40], [41, 21], [100, 100], [7, 3], [640, 480]])


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch):
    (tmp_path / "contracted.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))


def feature(name):
    return make_feature(name, weights="none", device="cpu")


@pytest.mark.parametrize("name", [*FEATURES, "squeezenet1_1", "contracted:redness"])
def test_a_feature_describes_each_image_on_its_own(name):
    part = feature(name)
    rows = part.transform(PIXELS, SIZES)
    assert rows.dtype == np.float32 and rows.shape == (6, rows.shape[1]) and np.isfinite(rows).all()
    assert isinstance(part.name, str) and "/" not in part.name and isinstance(part.weights, str)
    assert part.standardise in (True, False)
    again = feature(name)
    assert again is not part and again.name == part.name and again.key == part.key
    alone = np.concatenate([again.transform(PIXELS[k : k + 1], SIZES[k : k + 1]) for k in reversed(range(6))])[::-1]
    np.testing.assert_allclose(alone, rows, rtol=1e-4, atol=1e-4 * np.abs(rows).max())
    before = PIXELS.copy()
    part.transform(PIXELS, SIZES)
    assert (before == PIXELS).all()


@pytest.mark.parametrize("name", ["ipca4", "pca4", "contracted:svd"])
@pytest.mark.parametrize("standardise", [True, False])
def test_a_reducer_looks_at_training_rows_only(name, standardise):
    X, train = RANDOM.normal(size=(60, 12)).astype(np.float32), np.arange(0, 60, 2)
    rows = reduce_rows(name, X, train, standardise)["rows"]
    assert rows.shape == (60, 4) and rows.dtype == np.float32 and np.isfinite(rows).all()
    garbage = X.copy()
    garbage[1::2] = 1e6
    assert (reduce_rows(name, garbage, train, standardise)["rows"][train] == rows[train]).all()


@pytest.mark.parametrize("name", [*HEADS, "contracted:lda"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_scores_every_row(name, classes):
    y = np.arange(60) % classes
    X = (RANDOM.normal(size=(60, 5)) + y[:, None]).astype(np.float32)
    head, other = make_head(name, 7), make_head(name, 7)
    assert head.estimator is not other.estimator
    grid = {key: values[0] for key, values in head.grid.items()}
    model = clone(head.estimator).set_params(**grid).fit(X, y)
    scores = scores_of(model, X, classes)
    assert scores.shape == ((60,) if classes == 2 else (60, classes)) and scores.dtype == np.float64
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1
    same = clone(other.estimator).set_params(**grid).fit(X, y)
    assert (scores_of(same, X, classes) == scores).all()
    assert not hasattr(head.estimator, "classes_"), "a factory's estimator is cloned, never fitted"
