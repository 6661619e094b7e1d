"""Maps of where a network looks: they point to what decides, and say when they are worth nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torchvision

from glomfeat.comparison.compare import compare
from glomfeat.comparison.explain.saliency import _direction, look_into_features
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.trial import fit_again
from glomfeat.core.arms import Arm, Trial
from glomfeat.features.make import make_feature
from glomfeat.models.nets import make_net, run, saliency
from glomfeat.models.nets.choose import choose_rows
from glomfeat.models.nets.repeating import threads
from glomfeat.models.nets.saliency import InsideError, Maps, inside_feature, inside_net
from glomfeat.models.nets.training import NetClassifier
from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.results.journal import Journal
from glomfeat.results.maps import read_maps

pytestmark = pytest.mark.usefixtures("dealt_once")

RANDOM, CHOSEN = np.random.default_rng(0), {"logisticregression__C": 1.0}


def clipped(summed):
    """Maps by hand: what is above zero, as a share of the strongest in each image."""
    kept = np.clip(summed, 0, None)
    return kept / kept.max(axis=(1, 2), keepdims=True)


def patches(n, side, size):
    """Noise with a patch in a random place: red in half of the images, blue in the others."""
    pixels = RANDOM.integers(90, 110, (n, side, side, 3)).astype(np.uint8)
    y, where = np.arange(n) % 2, RANDOM.integers(0, side // size, (n, 2)) * size
    for k, (top, left) in enumerate(where):
        pixels[k, top : top + size, left : left + size] = (220, 20, 20) if y[k] else (20, 20, 220)
    return pixels, y, where


@pytest.fixture(scope="module")
def trained():
    pixels, y, where = patches(96, 32, 8)
    net = make_net("C8-MP-C8-GAP-out", side=32, epochs=25, lr=0.02, batch=16, device="cpu")
    with threads(1):
        net.fit(pixels, y, train=np.arange(80), valid=np.arange(80, 96))
    return net, pixels, y, where


def test_the_map_points_to_what_decides(trained):
    net, pixels, y, where = trained
    test = np.arange(80, 96)
    assert ((net.predict_proba(pixels[test])[:, 1] >= 0.5) == y[test]).mean() > 0.9
    found = inside_net(net, pixels[test], net.predict(pixels[test]))
    assert found.maps.dtype == np.uint8 and found.maps.shape == (16, 16, 16)
    hits = 0
    for heat, (top, left) in zip(found.maps, where[test] // 2, strict=True):
        peak = np.unravel_index(heat.argmax(), heat.shape)
        hits += top - 1 <= peak[0] <= top + 4 and left - 1 <= peak[1] <= left + 4
    assert hits >= 14
    assert -1 <= found.likeness < 0.9


def test_looking_changes_no_network(trained):
    net, pixels, y, _ = trained
    before = {key: value.clone() for key, value in net.module_.state_dict().items()}
    scores = net.predict_proba(pixels[:4])
    first, second = (inside_net(net, pixels[:4], y[:4]) for _ in range(2))
    np.testing.assert_array_equal(first.maps, second.maps)
    assert first.likeness == second.likeness
    np.testing.assert_array_equal(scores, net.predict_proba(pixels[:4]))
    assert all(torch.equal(value, before[key]) for key, value in net.module_.state_dict().items())
    assert all(part.requires_grad for part in net.module_.parameters())


def test_a_map_of_an_image_does_not_depend_on_its_neighbours(trained):
    net, pixels, y, _ = trained
    together = inside_net(net, pixels[:9], y[:9]).maps.astype(int)
    alone = np.concatenate([inside_net(net, pixels[k : k + 1], y[k : k + 1]).maps for k in range(9)])
    assert np.abs(together - alone).max() <= 1


def test_a_network_whose_image_passes_beside_every_layer_has_no_map():
    class Towers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = (torch.nn.Conv2d(3, 2, 3) for _ in range(2))

        def forward(self, images):
            return (self.one(images) + self.other(images.flip(3))).mean((2, 3))

    module, images = Towers(), torch.zeros(1, 3, 8, 8)
    with pytest.raises(InsideError, match="the image also passes beside every layer that keeps a picture: there is"):
        saliency._last_picture(module, lambda given: module(given)[:, 1], images)


def test_a_network_of_dense_layers_has_no_picture():
    net = make_net("F-D4-out", side=16, epochs=1, device="cpu")
    net.fit(RANDOM.integers(0, 255, (8, 16, 16, 3), np.uint8), np.arange(8) % 2)
    with pytest.raises(InsideError, match="no layer keeps a picture: there is nothing to draw over the image"):
        inside_net(net, np.zeros((1, 16, 16, 3), np.uint8), [1])


def make_vit(classes, side):
    known = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 16, "num_classes": classes}
    return torchvision.models.VisionTransformer(image_size=side, patch_size=8, **known)


def make_rows_by_channels(classes, side):
    """Windows over (rows, columns, channels), as Swin transformers of timm have them."""
    shape = {"patch_size": 4, "window_size": 4, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2)}
    return timm.models.swin_transformer.SwinTransformer(side, num_classes=classes, **shape)


@pytest.mark.parametrize(
    "name",
    ["timm:test_vit:last1", "timm:test_mambaout:last1", f"{__name__}:make_vit", f"{__name__}:make_rows_by_channels"],
)
def test_keys_of_attention_and_what_comes_before_all_blocks_are_no_picture(name):
    pixels = RANDOM.integers(0, 255, (8, 32, 32, 3), np.uint8)
    net = make_net(name, side=32, epochs=1, device="cpu", weights="none").fit(pixels, np.arange(8) % 2)
    with pytest.raises(InsideError, match="picture: there is nothing to draw over the image"):
        inside_net(net, pixels[:1], [1])


class Branched(torch.nn.Module):
    """Reads a picture along two branches, of which the last one alone keeps a picture of its own."""

    def __init__(self, classes):
        super().__init__()
        self.stem, self.branch = torch.nn.Conv2d(3, 6, 4, stride=4), torch.nn.Conv2d(6, 5, 1)
        self.head = torch.nn.Linear(11, classes)

    def forward(self, images):
        picture = self.stem(images)
        return self.head(torch.cat([picture.mean(dim=(2, 3)), self.branch(picture).mean(dim=(2, 3))], dim=1))


def make_branched(classes, side):
    return Branched(classes)


def test_a_map_is_of_all_branches():
    pixels, calls = RANDOM.integers(0, 255, (8, 32, 32, 3), np.uint8), np.arange(8) % 2
    net = make_net(f"{__name__}:make_branched", side=32, epochs=1, device="cpu").fit(pixels, calls)
    found, own = inside_net(net, pixels[:2], calls[:2]).maps, net.module_.net
    weights = own.head.weight[-1] - (own.head.weight[0] if len(own.head.weight) > 1 else 0)
    weights = weights[:6] + weights[6:] @ own.branch.weight[:, :, 0, 0]  # of a channel, along both branches
    picture = own.stem(net.module_._prepare(torch.from_numpy(pixels[:2])))
    summed = np.tensordot(weights.detach().numpy(), picture.detach().numpy(), (0, 1)) * np.array([-1, 1])[:, None, None]
    np.testing.assert_allclose(found / 255, clipped(summed), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "side"), [("resnet50", 32), ("inception_v3", 75)])
def test_small_images_are_looked_into_before_they_become_a_pixel(model, side):
    """Not at a branch of the block in which they do, as the first one of layer4 and Mixed_7a are."""
    feature = make_feature(model, weights="none", device="cpu")
    pixels = RANDOM.integers(0, 255, (1, side, side, 3), np.uint8)
    net, kept = feature.build(model, feature.weights_found, None).eval().requires_grad_(False), []
    layer = {"resnet50": "layer3", "inception_v3": "Mixed_6e"}[model]
    net.get_submodule(layer).register_forward_hook(lambda layer, _, output: kept.append(output.requires_grad_()))
    mean, std = (np.array(part).reshape(3, 1, 1) for part in (feature.weights_found.mean, feature.weights_found.std))
    rows = net(torch.from_numpy((pixels.transpose(0, 3, 1, 2) / 255 - mean) / std).float())
    direction = RANDOM.normal(size=rows.shape[1])
    (rows @ torch.from_numpy(direction).float()).sum().backward()
    summed = (kept[0] * kept[0].grad).sum(dim=1).detach().numpy()
    found = inside_feature(feature, direction, pixels, [1]).maps
    np.testing.assert_allclose(found / 255, clipped(summed), atol=0.01)


def reduced_by(reducer, shape):
    """A trial of a linear head on rows of two classes, as far as its direction is concerned."""
    X, y = RANDOM.normal(size=shape).astype(np.float32), np.arange(shape[0]) // 2 % 2
    X[y == 1, :5] += 1
    train, test, own = np.arange(0, shape[0], 2), np.arange(1, shape[0], 2), {"none": X, "squares": X**2}
    rows = own[reducer] if reducer in own else reduce_rows(reducer, X, train, standardise=False)["rows"]
    reduction = {"matrix": X, "rows": lambda: (rows,), "does_nothing": reducer == "none", "name": reducer, "ahead": 0}
    arm = Arm("mine", reducer, "logreg")
    task = {"trial": Trial(arm, 0, 0), "seed": 0, "labels": y, "train": train, "test": test, "classes": 2}
    return SimpleNamespace(**task, reduction=SimpleNamespace(**reduction, card="")), X, rows


@pytest.mark.parametrize("reducer", ["none", "pca6", "ipca6"])
@pytest.mark.parametrize("shape", [(60, 20), (30, 90)])
def test_the_direction_reproduces_the_head_whatever_lies_between(reducer, shape):
    task, X, rows = reduced_by(reducer, shape)
    direction, why = _direction(task, CHOSEN, 10**9)
    decision = fit_again(task, CHOSEN, rows[task.train]).decision_function(rows)
    assert not why and np.ptp(decision - X @ direction) < 1e-3 * np.ptp(decision), "rows never seen, too"


def test_a_reducer_that_is_no_projection_gets_no_direction():
    direction, why = _direction(reduced_by("squares", (30, 90))[0], CHOSEN, 10**9)
    assert direction is None and why == "squares is no projection onto what the training rows span"


def test_a_feature_is_looked_into_along_its_direction():
    feature = make_feature("squeezenet1_1", weights="none", device="cpu")
    pixels = RANDOM.integers(0, 255, (3, 96, 96, 3), np.uint8)
    rows = feature.transform(pixels)
    mean, direction = rows.mean(axis=0), RANDOM.normal(size=512)
    direction -= mean * (mean @ direction) / (mean @ mean)  # so that every image holds evidence for both classes
    calls = np.array([1, 0, 1]) ^ (rows @ direction > 0)  # the head's constant may decide against what the image adds
    found = inside_feature(feature, direction, pixels, calls)
    net = feature.build(feature.model, feature.weights_found, None).eval()
    mean, std = (np.array(part).reshape(3, 1, 1) for part in (feature.weights_found.mean, feature.weights_found.std))
    images = (pixels.transpose(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        picture = net.features(torch.from_numpy(images).float()).numpy()  # its mean is the embedding
    summed = np.tensordot(direction, picture, (0, 1)) * np.where(calls, 1, -1)[:, None, None]
    np.testing.assert_allclose(found.maps / 255, clipped(summed), atol=0.01)


def test_a_feature_cut_at_a_layer_is_looked_into_at_all_that_this_layer_gives():
    pixels, calls = RANDOM.integers(0, 255, (2, 64, 64, 3), np.uint8), np.array([1, 0])
    feature = make_feature("squeezenet1_1", weights="none", layer="features.12", device="cpu")
    rows, direction = feature.transform(pixels), RANDOM.normal(size=512 * 3 * 3)
    summed = (rows * direction).reshape(2, 512, 3, 3).sum(axis=1) * np.array([1, -1])[:, None, None]
    found = inside_feature(feature, direction, pixels, calls).maps
    np.testing.assert_allclose(found / 255, clipped(summed), atol=0.01)


def test_a_feature_of_ones_own_that_is_no_backbone_is_passed_over():
    own = SimpleNamespace(name="mine.v1", transform=None)  # described whole, in whatever way its author likes
    trial = Trial(Arm("mine.v1", "none", "logreg"), 0, 0)
    task = SimpleNamespace(trial=trial, classes=2, seed=0)
    assert not list(look_into_features([task], {trial.key: {"status": "done"}}, [own], None, 2, 10**9))


def test_rows_to_look_at_are_the_surest_of_each_kind():
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    scores = np.array([0.2, 0.1, 0.95, 0.6, 0.9, 0.3, 0.45])
    assert choose_rows(labels, scores, 0.5, 1).tolist() == [4, 5, 1, 2]
    assert choose_rows(labels, scores, 0.5, 9).tolist() == [4, 3, 5, 6, 1, 0, 2]
    # a threshold of 0.92 leaves one call of the positive class; at 0.3, an image that lies on it is called last
    assert choose_rows(labels, scores, 0.92, 9).tolist() == [5, 6, 3, 4, 1, 0, 2]
    assert choose_rows(labels, scores, 0.3, 9).tolist() == [4, 3, 6, 5, 1, 0, 2]


def test_a_network_is_looked_into_as_it_is_called(monkeypatch):
    """Scores halve by calibration, and the threshold on them is 0.4: positive is what the network gives 0.8 or more."""
    pixels, y = RANDOM.integers(0, 255, (12, 16, 16, 3), np.uint8), np.arange(12) % 2
    raw, looked = np.array([0.5] * 8 + [0.7, 0.9, 0.85, 0.6]), []
    halved = SimpleNamespace(apply=lambda scores: scores / 2, note="")
    monkeypatch.setattr(run, "fit_decision", lambda *_: (halved, 0.4))
    monkeypatch.setattr(NetClassifier, "predict_proba", lambda _, X, rows: np.column_stack([1 - raw, raw])[rows])
    monkeypatch.setattr(
        saliency, "inside_net", lambda net, given, calls: looked.append(calls.tolist()) or Maps(given, 0.0)
    )
    settings, rows = {"side": 16, "epochs": 1, "device": "cpu"}, np.arange(12)
    inner = [(rows[:4], rows[4:8])]
    _, _, about = run.train_and_score("F-out", settings, pixels, y, rows[:8], inner, rows[8:], "balanced", inside=2)
    assert about["inside"]["rows"] == [9, 11, 8, 10]  # true, missed, true negative, false alarm
    assert looked == [[1, 0, 0, 1]]


@pytest.mark.slow
def test_a_study_looks_once_into_each_network_and_only_if_asked(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "size": 32, "folds": 2, "jobs": 1, "cache": str(tmp_path / "cache")}
    options |= {"features": ("squeezenet1_1",), "weights": "none", "heads": ("logreg",), "reducers": ("pca8",)}
    options |= {"nets": ("C4-MP-F-out", "F-D4-out"), "epochs": 1}

    def run(out, **more):
        study = Study(**options, **more, out=str(tmp_path / out))
        found, results, _ = compare(prepare(study, lambda line: None), lambda line: None)
        return found, results, Journal(tmp_path / out / "journal.jsonl")

    found, results, journal = run("out")
    inside = journal.inside()
    (deep,) = results.loc[results["head"] == "logreg", "arm"]
    assert set(inside) == {deep, "net:C4-MP-F-out", "net:F-D4-out"}
    assert inside["net:F-D4-out"]["why"] == "no layer keeps a picture: there is nothing to draw over the image"
    for arm in (deep, "net:C4-MP-F-out"):
        maps, rows = read_maps(inside[arm]), inside[arm]["rows"]
        assert len(maps) == len(rows) and 2 <= len(rows) <= 8 and inside[arm]["each"] == 2
        trial = next(trial for trial in found.trials if str(trial.arm) == arm and trial.fold == inside[arm]["fold"])
        assert set(rows) <= set(found.tested(trial)), "only what the model has not learnt from is shown"
    before = journal.path.read_bytes()
    run("out")
    assert journal.path.read_bytes() == before
    _, _, none = run("none", inside=0)
    assert not none.inside()
    assert (tmp_path / "out" / "predictions.parquet").read_bytes() == (
        tmp_path / "none" / "predictions.parquet"
    ).read_bytes()
