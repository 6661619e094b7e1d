"""Backbones of one's own: a function that builds a network becomes a feature that knows its parameters."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import glomfeat
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.save import save_bundle
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.features.deep.checkpoints import digest_of
from glomfeat.features.extract import extract
from glomfeat.features.make import FeatureError, make_feature
from studies import compare

pytestmark = pytest.mark.usefixtures("dealt_once")

OWN = """
from torch import nn
from glomfeat import Backbone

def tiny():
    return Backbone("tiny.v1", lambda: nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1)))
"""


def tiny():
    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))


@pytest.fixture
def owntiny(tmp_path, monkeypatch):
    (tmp_path / "owntiny.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_rows_are_those_of_the_network_on_images_normalised_as_asked():
    feature = glomfeat.Backbone("tiny.v1", tiny, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    net = feature.build("tiny.v1", feature.weights_found, None)
    images = (torch.from_numpy(pixels).float() / 255 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.6, 0.7])
    with torch.no_grad():
        expected = net(images.permute(0, 3, 1, 2)).flatten(1).numpy()
    np.testing.assert_allclose(feature.transform(pixels), expected, rtol=1e-5, atol=1e-6)
    assert feature.outline(32).columns == 8


def test_the_digest_of_the_parameters_names_it_and_no_random_number_is_moved():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = glomfeat.Backbone("tiny.v1", tiny), glomfeat.Backbone("tiny.v1", tiny)
    assert torch.equal(before, torch.get_rng_state())
    digest = digest_of(first.build("tiny.v1", first.weights_found, None))
    assert first == second and first.name == f"tiny.v1.own-{digest[:8]}" and first.weights == f"own sha256:{digest}"
    assert first.name != glomfeat.Backbone("tiny.v2", tiny).name
    net = tiny()
    loaded = glomfeat.Backbone("tiny.v1", lambda: net)
    assert loaded.weights_found.sha256 == digest_of(net) != digest


def test_a_network_that_is_another_one_each_time_is_refused():
    seed = iter(range(9))

    def drawn():
        net = tiny()
        nn.init.constant_(net[0].bias, next(seed))
        return net

    feature = glomfeat.Backbone("tiny.v1", drawn, device="cpu")
    said = r"tiny\.v1: drawn built a network with sha256 \w{8}, and then one with \w{8}: let it return the same param"
    with pytest.raises(FeatureError, match=said):
        feature.transform(np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/b.v1", tiny), "a/b.v1: write the name of a backbone without /, which separates the parts of an arm"),
        (("a.v1", lambda: 3), "a.v1: <lambda> returns int: return a torch.nn.Module"),
        (("a.v1", tiny, (0.5,)), r"a.v1: mean and std are \(0.5,\) and .*: give three numbers each, std above 0"),
        (("a.v1", tiny, (0, 0, 0), (1, 1, 0)), "give three numbers each, std above 0"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused(arguments, message):
    with pytest.raises(FeatureError, match=message):
        glomfeat.Backbone(*arguments)


def test_by_its_function_it_gets_the_device_and_precision_of_the_study(owntiny):
    feature = make_feature("owntiny:tiny", device="cpu")
    assert (feature.device, feature.precision) == ("cpu", "float32")
    with pytest.raises(ValueError, match="precision float16 needs a CUDA device, and this is cpu"):
        make_feature("owntiny:tiny", device="cpu", precision="float16")


def test_a_study_and_a_bundle_of_it(owntiny, phantom_folder, tmp_path, monkeypatch, capsys, without_report):
    monkeypatch.chdir(tmp_path)
    arguments = [str(phantom_folder), "--features", "owntiny:tiny", "--heads", "logreg", "--reducers", "none"]
    arguments += ["--size", "32", "--folds", "2", "--jobs", "1", "--inside", "0", "--cache", str(tmp_path / "cache")]
    assert compare.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "weights own sha256:" in capsys.readouterr().out
    study = glomfeat.Study(
        data=str(phantom_folder), features=("owntiny:tiny",), heads=("logreg",), reducers=("none",), size=32, folds=2,
        jobs=1, inside=0, cache=str(tmp_path / "cache"), out=str(tmp_path / "out"),
    )  # fmt: skip
    prepared = prepare(study, lambda line: None)
    (feature,) = prepared.features
    extracted = extract(prepared.manifest, [feature], prepared.preprocess, prepared.store, 1)
    made = refit_arm(prepared, extracted, f"{feature.name}/none/logreg")
    save_bundle(made, tmp_path / "bundle", include_weights=True)
    images = extracted.manifest.table["path"].tolist()[:9]
    with pytest.raises(BundleError, match=r"needs 'owntiny:tiny', a part of someone's own.*--trust owntiny:tiny"):
        glomfeat.load_bundle(tmp_path / "bundle")
    loaded = glomfeat.load_bundle(tmp_path / "bundle", device="cpu", trust=("owntiny:tiny",))
    assert loaded.model.feature.device == "cpu"
    assert np.array_equal(loaded.predict_proba(images), made.predict_proba(images))
    assert np.array_equal(loaded.predict_proba(images[4:5]), made.predict_proba(images)[4:5])
    shutil.copytree(tmp_path / "bundle", tmp_path / "other")
    about = json.loads((tmp_path / "other" / "bundle.json").read_text())
    about["feature"]["name"] = "tiny.v1.own-00000000"
    (tmp_path / "other" / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match=r"needs the feature tiny\.v1\.own-0+, and owntiny:tiny is tiny\.v1\.own-"):
        glomfeat.load_bundle(tmp_path / "other", trust=("owntiny:tiny",))
