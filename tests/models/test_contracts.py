"""What every registered part promises, by the checks that `studies.check` runs on anybody's."""

import pytest
from sklearn.utils.validation import check_is_fitted

from glomfeat.checks.parts import check_part, find_part
from glomfeat.features.make import FEATURES
from glomfeat.models.heads.built_in import HEADS, make_head

PLUGIN = """
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn
from glomfeat import Handcrafted

def redness():
    return Handcrafted("redness.v1", lambda image, size: [image[..., 0].mean(), size[0]])

def svd():
    return TruncatedSVD(4, random_state=0)

def lda(seed):
    return LinearDiscriminantAnalysis()

def linear(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, classes))

def recall(y, score):
    return (score[y == 1] >= 0.5).mean()

def lowest(y, score):
    return score[y == 1].min()
"""
PARTS = [
    *((name, None) for name in (*HEADS, *FEATURES)),
    *((name, None) for name in ("none", "ipca4", "pca4", "C4-BN-MP-F-D8-out")),
    *(pytest.param(name, None, marks=pytest.mark.slow) for name in ("squeezenet1_1", "compact", "timm:test_vit:lora")),
    *((name, None) for name in ("balanced", "youden", "sensitivity>=0.9", "0.4")),
    *((f"glomfeat.metrics.scores:{name}", "metric") for name in ("auroc", "average_precision", "brier", "ece")),
    *((f"contracted:{name}", None) for name in ("redness", "svd", "lda", "linear")),
    *(("contracted:recall", "metric"), ("contracted:lowest", "threshold")),
]


@pytest.fixture(autouse=True)
def plugin(tmp_path, monkeypatch, parts_here):
    (tmp_path / "contracted.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(("name", "kind"), PARTS)
def test_a_part_keeps_its_contract(name, kind):
    found = check_part(find_part(name, kind))
    assert [str(finding) for finding in found if finding.status == "wrong"] == []
    assert sum(finding.status == "ok" for finding in found) >= 5


@pytest.mark.parametrize("name", HEADS)
def test_the_estimator_of_a_head_is_cloned_and_never_fitted(name):
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(make_head(name, 7).estimator)
