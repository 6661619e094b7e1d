"""Networks of torchvision and timm in every mode of training: what learns, at which rate, and what is left of it."""

import json
import re
from itertools import chain

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.ops import StochasticDepth

from glomfeat.core.arms import Arm
from glomfeat.core.errors import InputError
from glomfeat.core.plugins import Own, PluginError
from glomfeat.models.nets import (
    Augment,
    Recipe,
    applying,
    check_net,
    converges,
    cost,
    make_net,
    net_bytes,
    net_seconds,
    read_grid,
    recipe_for,
    tune,
)
from glomfeat.models.nets.augment import apply, augmented, change_stains, draw, view_makers
from glomfeat.models.nets.blocks import find_blocks
from glomfeat.models.nets.build import MeanPool
from glomfeat.models.nets.grid import grid
from glomfeat.models.nets.lora import adapted_layers
from glomfeat.models.nets.loss import ImageLoss
from glomfeat.models.nets.mix import Mix, draw_mix
from glomfeat.models.nets.modes import averaged, averages, one_view, split_mode
from glomfeat.models.nets.network import Network
from glomfeat.models.nets.pretrained import Pretrained, unfit_patterns
from glomfeat.models.nets.recipes import POLICIES
from glomfeat.models.nets.run import fit_net
from glomfeat.models.nets.state import NEW_HEAD, StateError, start_from, state_from_safetensors, state_to_safetensors

SIDE, TRAIN, VALID = 32, np.arange(8), np.arange(8, 12)
VIT, CONVNEXT = "timm:test_vit", "timm:test_convnext"
MODES = ("frozen", "last2", "finetune", "lora")
SOON = [(VIT, "lora"), (CONVNEXT, "last2")]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_images(n=12, classes=2):
    y = np.arange(n) % classes
    pixels = np.random.default_rng(0).integers(0, 120, (n, SIDE, SIDE, 3)) + 60 * y[:, None, None, None]
    return pixels.astype(np.uint8), y


def quick(name, **settings):
    settings = {"side": SIDE, "epochs": 1, "batch": 8, "device": "cpu", "weights": "none", **settings}
    return make_net(name, **settings)


@pytest.mark.parametrize(
    "name", ["compact+tta8", "timm:vit_tiny_patch16_224:last12", "timm:hf-hub:a/b@main:class+mean:lora+tta8"]
)
def test_names_of_networks_survive_the_parser_of_arms(name):
    for text in (f"net:{name}", f"net:{name}@zero", f"mean:net:{name},net:compact"):
        assert str(Arm.parse(text)) == text
    assert Arm.parse(f"net:{name}@zero").network == name
    assert averaged(one_view(name)) == (name if averages(name) else f"{name}+tta8")


def test_what_learns_is_read_from_the_name():
    assert split_mode("timm:hf-hub:a/b@main:class+mean:lora+tta8").model == "timm:hf-hub:a/b@main:class+mean"
    assert split_mode("resnet18:last12").blocks == 12
    for name in ("resnet18:last0", "resnet18:last", "resnet18:lora4", "mylab:net", "compact", "resnet18"):
        assert split_mode(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:test_vit", "does not say which part of it is trained: write timm:test_vit:frozen; also frozen, last2"),
        (
            "timm:test_vit:last0",
            "'timm:test_vit:last0' does not say which part of it is trained: write timm:test_vit:frozen;",
        ),
        (
            "resnet18:lora2",
            "'resnet18:lora2' does not say which part of it is trained: write resnet18:frozen; also frozen, last2",
        ),
        (
            "resnet50:finetun+tta8",
            "does not say which part of it is trained: write resnet50:frozen; also frozen, last2",
        ),
        ("timm:test_vitt:lora", "did you mean 'test_vit'"),
        ("resnet81:last2", "did you mean 'resnet18'"),
    ],
)
def test_wrong_names_are_answered(name, said):
    with pytest.raises(PluginError, match=said):
        check_net(name)


@pytest.mark.parametrize(
    ("model", "count", "last"),
    [
        ("resnet18", 9, "layer4.1"),
        ("squeezenet1_1", 9, "features.12"),
        ("vit_b_16", 13, "encoder.layers.encoder_layer_11"),
        (VIT, 7, "blocks.5"),
        (CONVNEXT, 10, "stages.3.blocks.1"),
    ],
)
def test_blocks_hold_each_parameter_once_from_the_image_on(model, count, last):
    with torch.device("meta"):
        backbone = Pretrained(f"{model}:finetune", side=SIDE).backbone
    blocks = find_blocks(backbone)
    assert len(blocks) == count and all(last in name or "norm" in name or ".ln" in name for name in blocks[-1])
    names = [name for name, _ in backbone.named_parameters()]
    assert sorted(chain(*blocks)) == sorted(names)
    assert names[-1] in blocks[-1] and "conv_dw.weight" not in blocks[0][0]


def test_more_blocks_than_there_are_are_refused():
    with pytest.raises(InputError, match=r"timm:test_vit:last8: it has 7 blocks; name fewer, or write .*:finetune"):
        Network(f"{VIT}:last8", SIDE)


@pytest.mark.parametrize(
    ("model", "how"),
    [
        pytest.param(model, how, marks=[] if (model, how) in SOON else [pytest.mark.slow])
        for model in (VIT, CONVNEXT, "resnet18")
        for how in MODES
    ],
)
def test_each_mode_changes_what_it_says_and_its_state_is_that_of_the_plain_network(model, how, tmp_path):
    pixels, y = make_images()
    net = quick(f"{model}:{how}", lr=1e-2, average=0.0)
    net.initialize()
    net._start_from(pixels, TRAIN)
    start = {name: value.clone() for name, value in net.module_.net.backbone.state_dict().items()}
    net.fit(pixels, y, train=TRAIN, valid=VALID)
    ended = net.module_.net.backbone.state_dict()
    assert sorted(ended) == sorted(start)
    changed = {name for name, value in start.items() if not torch.equal(ended[name], value)}
    blocks = find_blocks(net.module_.net.backbone)
    matrices = {name for name, value in start.items() if value.ndim > 1 and "embed" not in name and "token" not in name}
    if how == "frozen":
        assert not changed
    elif how == "last2":
        last = {*blocks[-1], *blocks[-2]}
        assert changed & set(chain(*blocks)) == last & changed and len(changed) > 0.8 * len(last)
        assert {name for name in changed if "running" in name} == {
            name for name in start if "running" in name and "layer4" in name
        }
    elif how == "lora":
        assert changed == matrices | ({"patch_embed.proj.weight"} if model == VIT else set())
    else:
        assert changed >= matrices
    assert net.n_trainable_ < net.n_parameters_ or how == "finetune"
    state_to_safetensors(net, tmp_path / "net.safetensors")
    again = state_from_safetensors(quick(f"{model}:{how}", weights="imagenet"), tmp_path / "net.safetensors")
    np.testing.assert_allclose(again.predict_proba(pixels), net.predict_proba(pixels), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [VIT, CONVNEXT, *(pytest.param(name, marks=pytest.mark.slow) for name in ("vit_b_16", "shufflenet_v2_x0_5"))],
)
def test_merged_adapters_predict_what_they_did(model):
    torch.manual_seed(0)
    if model == "vit_b_16":  # attention of torchvision reads weights of layers that it does not call
        net = Pretrained("vit_b_16:lora", side=SIDE)
        net.backbone.encoder.layers = net.backbone.encoder.layers[:1]
    else:
        net = Pretrained(f"{model}:lora", side=SIDE)
    images = torch.randn(2, 3, SIDE, SIDE)
    plain, names = net.eval()(images), sorted(net.state_dict())
    assert net.adapt(4, "all")
    torch.testing.assert_close(net(images), plain, rtol=1e-5, atol=1e-5)
    learning = [p for p in net.backbone.parameters() if p.requires_grad]
    assert 0 < sum(p.numel() for p in learning) < sum(p.numel() for p in net.backbone.parameters())
    net(images).sum().backward()
    assert all(p.grad is not None for p in learning)
    with torch.no_grad():
        for p in learning:
            p.add_(0.05 * torch.randn_like(p))
    adapted = net(images)
    net.merge()
    assert not torch.equal(adapted, plain)
    torch.testing.assert_close(net(images), adapted, rtol=1e-6, atol=1e-6)
    assert sorted(net.state_dict()) == names


def test_images_that_are_too_small_for_a_network_are_refused_in_the_plan():
    with pytest.raises(InputError, match=r"^net squeezenet1_1:lora does not take images of 8 px, pass"):
        net_bytes("squeezenet1_1:lora", {"side": 8, "weights": "none", "device": "cpu"})


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5:finetune", "C2-BN-GAP-out"])
def test_batches_of_one_image_are_refused_where_batch_normalisation_learns(name):
    settings = {"side": 32, "batch": 1, "epochs": 1, "weights": "none", "device": "cpu"}
    said = rf"^net {name}: batch normalisation cannot learn from one image, pass a --batch of at least 2$"
    with pytest.raises(InputError, match=said):
        net_bytes(name, settings)
    with pytest.raises(InputError, match=said):
        make_net(name, **settings).fit(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2)
    for able in ("shufflenet_v2_x0_5:frozen", "C2-GAP-out"):
        assert net_bytes(able, settings) > 0


def test_a_network_that_calculates_while_it_is_made_is_planned_like_any_other():
    need = net_bytes("regnet_x_400mf:last1", {"side": 32, "batch": 2, "weights": "none", "device": "cpu"})
    parameters = 5_495_976 - 401 * 1000 + 401 * 2  # as its authors count them, with the new last layer
    assert 4 * parameters < need < 100e6
    assert unfit_patterns("regnet_x_400mf:lora", "*fc9") == {"*fc9"}


def test_adapters_are_of_the_layers_that_are_asked_for():
    net = Pretrained(f"{VIT}:lora", side=SIDE)
    net.adapt(2, "attention")
    adapted = {name.partition(".parametrizations")[0] for name, p in net.backbone.named_parameters() if p.requires_grad}
    assert adapted == {f"blocks.{k}.attn.{part}" for k in range(6) for part in ("qkv", "proj")}
    there = "patch_embed.proj, blocks.*.attn.qkv, blocks.*.attn.proj, blocks.*.mlp.fc1, blocks.*.mlp.fc2"
    message = f"net {VIT}:lora: --lora-layers *nothing fits none of its layers, which are {there}: add a pattern"
    fresh = Pretrained(f"{VIT}:lora", side=SIDE)
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        fresh.adapt(2, "*nothing")
    found = [len(adapted_layers(fresh.backbone, pattern)) for pattern in there.split(", ")]
    assert found == [1, 6, 6, 6, 6]
    assert len(adapted_layers(fresh.backbone, "*qkv, *fc1")) == 12
    assert unfit_patterns(f"{VIT}:lora", "*qkv, *fc9,*QKV") == {"*fc9", "*QKV"}


def test_patterns_with_commas_between_them_each_fit_the_networks_that_have_such_layers():
    for model, fitting in ((VIT, "attn.qkv"), (CONVNEXT, "mlp.fc1")):
        net = Pretrained(f"{model}:lora", side=SIDE)
        net.adapt(2, "*attn.qkv,stages.*.mlp.fc1")
        adapted = {name.partition(".para")[0] for name, p in net.backbone.named_parameters() if p.requires_grad}
        assert adapted and all(name.endswith(fitting) for name in adapted)


def test_learning_rates_fall_with_depth_also_those_of_adapters():
    for how in ("finetune", "lora"):
        net = quick(f"{VIT}:{how}", layer_decay=0.5)
        net.initialize()
        net.adapt()
        scale = {id(p): group["scale"] for group in net.optimizer_.param_groups for p in group["params"]}
        named = dict(net.module_.named_parameters())
        assert scale[id(named["net.head.weight"])] == 1
        tail = "weight" if how == "finetune" else "parametrizations.weight.0.down"
        for k in range(6):
            assert scale[id(named[f"net.backbone.blocks.{k}.attn.qkv.{tail}"])] == 0.5 ** (6 - k)
        assert scale[id(named[f"net.backbone.patch_embed.proj.{tail}"])] == 0.5**7
    pixels, y = make_images()
    net.fit(pixels, y, train=TRAIN, valid=VALID)
    assert {group["lr"] / group["scale"] for group in net.optimizer_.param_groups} == {
        net.optimizer_.param_groups[0]["lr"]
    }


def test_the_head_learns_alone_first(monkeypatch):
    pixels, y = make_images()
    net, seen = quick(f"{CONVNEXT}:finetune", head_epochs=2, epochs=1), []
    step = type(net)._step

    def watched(self, *given):
        found = step(self, *given)
        seen.append(self.module_.net.backbone.stem[0].weight.detach().clone())
        return found

    monkeypatch.setattr(type(net), "_step", watched)
    net.fit(pixels, y, train=TRAIN, valid=VALID)
    assert [curve["learns"] for curve in net.curves_] == ["head", "head", "fit", "all"]
    assert net.params_ == {"head alone": 2, "epochs": 1, "then on all": 1}
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])


def test_residual_branches_are_left_out_where_there_are_any():
    net = Pretrained(f"{CONVNEXT}:finetune", side=SIDE, drop_path=0.5)
    images = torch.randn(4, 3, SIDE, SIDE)
    net.backbone.requires_grad_(True)
    assert not torch.equal(net.train()(images), net(images)) and torch.equal(net.eval()(images), net(images))
    with pytest.raises(InputError, match=r"resnet18 has no residual branches that --drop-path 0.1 could leave out"):
        Pretrained("resnet18:finetune", drop_path=0.1)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("swin_t", 12), ("convnext_tiny", 18), pytest.param("timm:nest_tiny", 12, marks=pytest.mark.slow)],
)
def test_branches_are_left_out_as_asked_whatever_the_network_does_by_default(name, blocks):
    def probabilities(highest):
        with torch.device("meta"):
            parts = Pretrained(f"{name}:finetune", drop_path=highest).backbone.modules()
        kinds = (StochasticDepth, timm.layers.DropPath)
        return sorted(
            {getattr(part, "p", getattr(part, "drop_prob", None)) for part in parts if isinstance(part, kinds)}
        )

    assert probabilities(0.0) == [0.0]
    rising = probabilities(0.3)
    assert rising[-1] == pytest.approx(0.3) and len(rising) in (blocks - 1, blocks)
    np.testing.assert_allclose(np.diff(rising), 0.3 / (blocks - 1), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin_t", "maxvit_t", "efficientnet_b0", "convnext_tiny"])
def test_networks_learn_with_all_branches_unless_asked(name):
    """Dropout is the only other thing that differs between training and evaluation, so it is taken out."""
    net = Pretrained(f"{name}:finetune", side=224).train()
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout | torch.nn.modules.batchnorm._BatchNorm):
            part.eval()
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        first, again = net(images), net(images)
    assert torch.equal(first, again)


def test_smoothed_labels_are_those_of_torch_and_only_in_training():
    torch.manual_seed(0)
    logits, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = ImageLoss(0.1)
    wanted = functional.cross_entropy(logits, y, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(loss.train()(logits, y), wanted)
    torch.testing.assert_close(loss.eval()(logits, y), functional.cross_entropy(logits, y, reduction="none"))
    two = torch.cat([torch.zeros(6, 1), logits[:, :1]], dim=1)  # one logit is the second of two of which one is 0
    wanted = functional.cross_entropy(two, y % 2, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(loss.train()(logits[:, :1], y % 2), wanted)


def test_mixtures_are_learnt_with_both_classes():
    generator = torch.Generator().manual_seed(3)
    assert draw_mix(0.0, 4, generator) is None
    shares = [draw_mix(0.4, 4, generator).share for _ in range(300)]
    assert abs(np.mean(shares) - 0.5) < 0.06 and abs(np.var(shares) - 0.25 / 1.8) < 0.02
    mix, logits, y = Mix(torch.tensor([2, 0, 1]), 0.7), torch.randn(3, 2), torch.tensor([0, 1, 1])
    target = 0.7 * functional.one_hot(y, 2) + 0.3 * functional.one_hot(y[mix.partners], 2)
    loss = mix.loss(lambda classes: functional.cross_entropy(logits, classes, reduction="none"), y)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, target, reduction="none"))


def test_the_policy_of_the_paper_is_what_it_was():
    pixels = torch.randint(0, 256, (5, 3, 9, 9), dtype=torch.uint8)
    found = augmented(pixels, POLICIES["paper"], torch.Generator().manual_seed(4))
    drawn = draw(Augment(), 5, torch.Generator().manual_seed(4))
    assert torch.equal(found, apply(pixels.float().div(255), *drawn))
    assert POLICIES["none"] is None and torch.equal(augmented(pixels, None, None), pixels.float().div(255))


def test_flips_and_turns_lay_a_square_in_all_eight_ways_equally_often():
    still = Augment(rotation=0, shift=0, vertical=0.5, turn=0.5)
    pixels = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3).repeat(800, 3, 1, 1)
    found = augmented(pixels, still, torch.Generator().manual_seed(0))
    ways = torch.stack([view(pixels[:1].float().div(255)) for view in view_makers()])[:, 0]
    counts = [(found == way).flatten(1).all(dim=1).sum().item() for way in ways]
    assert sum(counts) == 800 and min(counts) > 70 and max(counts) < 130


def test_stains_change_in_their_amounts_and_nothing_else():
    vectors = torch.tensor([[0.65, 0.7, 0.29], [0.07, 0.99, 0.11]])
    amounts = torch.rand(1, 2, 6, 6)
    density = torch.einsum("nkhw,kj->njhw", amounts, vectors)
    images = (256 * (-density).exp() - 1) / 255
    found = change_stains(images, vectors, torch.tensor([[1.2, 0.5]]))
    wanted = torch.einsum("nkhw,k,kj->njhw", amounts, torch.tensor([1.2, 0.5]), vectors)
    torch.testing.assert_close(found, (256 * (-wanted).exp() - 1) / 255, rtol=0, atol=1e-5)
    white = torch.ones(1, 3, 2, 2)
    torch.testing.assert_close(change_stains(white, vectors, torch.tensor([[1.2, 0.5]])), white)


def test_crops_are_parts_of_the_image_at_its_own_scale_and_repeat_under_a_seed():
    ramp = torch.linspace(0, 255, 32).round().to(torch.uint8).repeat(3, 32, 1).repeat(64, 1, 1, 1)
    half = Augment(flip=0, rotation=0, shift=0, crop=0.25)
    found = augmented(ramp, half, torch.Generator().manual_seed(1))[:, 0, 16]
    width = (found[:, 27] - found[:, 4]) / (23 / 31)
    assert 0.48 < width.min() < 0.56 and width.max() > 0.93
    histology = POLICIES["histology"], torch.Generator().manual_seed(1), torch.eye(3)[:2]
    first = augmented(ramp, *histology)
    histology[1].manual_seed(1)
    assert torch.equal(augmented(ramp, *histology), first) and not torch.equal(first, ramp / 255)
    assert first.amin() >= 0 and first.amax() <= 1


def test_rand_augment_has_random_numbers_of_its_own():
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    recipe = Recipe(augment=False, randaugment=9)
    world = torch.get_rng_state()
    first, again = (augmented(pixels, recipe.augmentation, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, again) and not torch.equal(first, pixels / 255)
    assert torch.equal(world, torch.get_rng_state())


@pytest.mark.parametrize("name", ["compact", pytest.param(f"{VIT}:frozen", marks=pytest.mark.slow)])
def test_scores_over_views_are_means_of_logits_and_do_not_tell_how_an_image_lies(name):
    pixels, y = make_images()
    net = quick(f"{name}+tta8").fit(pixels, y, train=TRAIN, valid=VALID)
    scores = net.predict_proba(pixels)
    np.testing.assert_allclose(net.predict_proba(np.rot90(pixels, axes=(1, 2)).copy()), scores, atol=1e-5)
    np.testing.assert_allclose(net.predict_proba(pixels[:, ::-1].copy()), scores, atol=1e-5)
    views, net.module_.views = net.module_.views, None
    lying = [np.ascontiguousarray(np.rot90(part, k, (1, 2))) for part in (pixels, pixels[:, :, ::-1]) for k in range(4)]
    logits = [np.log(one[:, 1] / one[:, 0]) for one in map(net.predict_proba, lying)]
    np.testing.assert_allclose(scores[:, 1], 1 / (1 + np.exp(-np.mean(logits, axis=0))), atol=1e-5)
    assert len(views) == 8


def test_training_starts_from_another_network_of_the_same_kind(tmp_path):
    pixels, y = make_images()
    file = tmp_path / "net.safetensors"
    first = quick(f"{CONVNEXT}:finetune").fit(pixels, y, train=TRAIN, valid=VALID)
    state_to_safetensors(first, file)
    net = quick(f"{CONVNEXT}:last1", init=file, weights="nowhere")
    net.initialize()
    assert start_from(net, file).startswith("bundle sha256:")
    np.testing.assert_array_equal(net.predict_proba(pixels), first.predict_proba(pixels))
    assert net.fit(pixels, y, train=TRAIN, valid=VALID).weights_ == start_from(net, file)
    three = quick(f"{CONVNEXT}:lora", init=file, classes=3)
    three.fit(*make_images(classes=3), train=TRAIN, valid=VALID)
    assert three.predict_proba(pixels).shape == (12, 3) and NEW_HEAD in three.notes_ and NEW_HEAD not in net.notes_
    with pytest.raises(
        StateError, match=r"holds timm:test_convnext:finetune at side 32, from which compact at side 32"
    ):
        quick("compact", init=file).fit(pixels, y, train=TRAIN, valid=VALID)


def one_dense(classes):
    return torch.nn.Sequential(MeanPool(), torch.nn.Linear(3, classes))


def all_convolutions(classes):
    return torch.nn.Sequential(torch.nn.Conv2d(3, classes, 3), MeanPool())


def test_a_last_layer_that_learnt_other_classes_starts_anew(tmp_path):
    pixels, y = make_images()
    dense, convolved = (Own(f"mylab:{make.__name__}", make, "0f") for make in (one_dense, all_convolutions))
    for name, file in ((dense, tmp_path / "dense"), (convolved, tmp_path / "convolved")):
        state_to_safetensors(quick(name, seed=1).fit(pixels, y, train=TRAIN, valid=VALID), file)
    kept, anew, plain = (
        quick(dense, lr=1e-12, **how)
        for how in ({"init": tmp_path / "dense"}, {"init": tmp_path / "dense", "new_head": True}, {})
    )
    for net in (kept, anew, plain):
        net.fit(pixels, y, train=TRAIN, valid=VALID)
    weights = [net.module_.state_dict()["net.1.weight"] for net in (kept, anew, plain)]
    assert torch.allclose(weights[1], weights[2]) and not torch.allclose(weights[0], weights[2])
    assert torch.equal(anew.module_.mean, kept.module_.mean) and NEW_HEAD in anew.notes_
    with pytest.raises(
        StateError, match=r"no dense layer .* that could start anew: leave out --init, or take a bundle"
    ):
        quick(convolved, init=tmp_path / "convolved", new_head=True).fit(pixels, y, train=TRAIN, valid=VALID)


class FakeNet:
    """Scores that are the better the nearer the rate is to one, of `training` counted."""

    training, best, late = [], 1e-2, 0.0

    def __init__(self, name, lr, epochs, augment=False, **rest):
        assert rest["again"] == 0
        self.given, self.classes_ = (round(lr, 6), epochs, augment), [0, 1]
        self.off = abs(np.log(lr / self.best)) + (augment == "histology") + self.late * epochs + 1

    def fit(self, pixels, y, *, train, valid):
        self.training.append(self.given)
        sure = 0.9 / (1 + self.off)
        right = np.where(np.arange(len(valid)) % 2 == y[valid], 0.5 + sure / 2, 0.5 - sure / 2)
        self.valid_scores_ = np.where(y[valid, None] == [0, 1], right[:, None], 1 - right[:, None])


@pytest.mark.parametrize(("late", "kept"), [(0.0, 8), (-0.05, 8), (0.05, 4)])
def test_settings_are_chosen_by_halving_on_the_inner_valid_rows(monkeypatch, late, kept):
    monkeypatch.setattr(tune, "make_net", FakeNet)
    monkeypatch.setattr(FakeNet, "training", [])
    monkeypatch.setattr(FakeNet, "late", late)
    y = np.arange(12) % 2
    found = tune.choose_settings("compact", {"lr": 1e-2 / 3, "epochs": 8}, True, None, y, TRAIN, VALID)
    assert found == {"lr": 1e-2, "epochs": kept}, "a rate of few digits"
    assert [epochs for _, epochs, _ in FakeNet.training] == [2] * 6 + [4] * 3 + [8]


@pytest.mark.parametrize(
    ("asked", "found", "trained"),
    [
        (["lr=1,0.02,1e-3"], {"lr": 0.02, "epochs": 8}, [2] * 3 + [4] * 2),
        (["epochs=3,12,6"], {"epochs": 12}, [3, 12, 6]),
        (["epochs=12,6", "lr=1,1e-2"], {"lr": 1e-2, "epochs": 12}, [3] * 2 + [12, 6]),
        (
            ["augment=histology,none", "lr=0.1,0.01,0.5"],
            {"lr": 0.01, "augment": "none", "epochs": 8},
            [2] * 6 + [4] * 3,
        ),
    ],
)
def test_settings_are_chosen_from_a_grid_of_ones_own_and_the_plan_counts_what_is_trained(
    monkeypatch, asked, found, trained
):
    monkeypatch.setattr(tune, "make_net", FakeNet)
    monkeypatch.setattr(FakeNet, "training", [])
    monkeypatch.setattr(FakeNet, "late", -0.05)
    settings, asked = {"lr": 1e-2, "epochs": 8}, read_grid(asked)
    assert tune.choose_settings("compact", settings, asked, None, np.arange(12) % 2, TRAIN, VALID) == found
    assert [epochs for _, epochs, _ in FakeNet.training] == trained
    seen = []

    def cost_of(name, n, n_valid, epochs, **rest):
        seen.append(epochs)
        return cost.Cost(0.5, 2.0, epochs, 1, 7.0, 3.0, 1.0, 0)

    monkeypatch.setattr(cost, "training_cost", cost_of)
    longest = max(asked.get("epochs", [8]))
    planned, *rest = net_seconds("compact", settings | {"tune": asked}, 9, 3)
    assert rest == [0.001, 3.0]
    assert seen == [longest]
    assert planned == sum(0.5 + 2 * (epochs + 1) for epochs in (*trained, longest)) + 7


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["rate=1,2"], r"^tune is 'rate=1,2': write values of lr, epochs, augment, such as lr=1e-4,3e-4 .*; the data"),
        (["my_images"], r"^tune is 'my_images': write values of .*; the data stand before it$"),
        (["lr=1e-4,fast"], r"^tune lr=1e-4,fast: 'fast' is no number; write such as"),
        (["lr=1e-4,nan"], r"'nan' is no number"),
        (["lr=1e-4,-1"], r"^tune lr=1e-4,-1: lr is -1.0: it must be above 0$"),
        (["epochs=5,2.5"], r"'2.5' is no whole number"),
        (["augment=none,rich"], r"augment is 'rich': allowed are none, paper, histology$"),
        (["lr=1e-4"], r"^tune lr=1e-4: give at least two values, each once; to set one, pass --lr$"),
        (["lr=1e-4,0.0001,1e-3"], r"at least two values, each once"),
        (["lr=1,2", "lr=3,4"], r"^tune names lr twice: write all its values behind one lr=$"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_one_sentence(asked, wanted):
    with pytest.raises(InputError, match=wanted):
        read_grid(asked)


def test_what_a_network_cannot_use_is_not_chosen_for_it():
    asked = read_grid(["lr=1e-4,3e-4", "augment=none,histology"])
    settings, _ = grid(f"{VIT}:frozen", {"preset": "paper"}, asked)
    assert settings == [{"lr": 1e-4}, {"lr": 3e-4}]
    assert len(grid(f"{VIT}:finetune", {}, asked)[0]) == 4


def test_a_setting_whose_scores_are_no_numbers_is_not_chosen(monkeypatch):
    class Burst(FakeNet):
        def fit(self, *given, **rows):
            super().fit(*given, **rows)
            if self.given[0] > 1e-2:
                self.valid_scores_ *= np.nan

    monkeypatch.setattr(tune, "make_net", Burst)
    monkeypatch.setattr(FakeNet, "training", [])
    y = np.arange(12) % 2
    found = tune.choose_settings("compact", {"lr": 1e-2, "epochs": 4, "augment": "none"}, True, None, y, TRAIN, VALID)
    assert found["lr"] == pytest.approx(1e-2)


@pytest.mark.parametrize("name", ["compact", pytest.param(f"{VIT}:frozen", marks=pytest.mark.slow)])
def test_no_label_of_a_tested_row_changes_what_is_chosen(name):
    pixels, y = make_images(18)
    settings, found = {"side": SIDE, "device": "cpu", "weights": "none", "epochs": 2, "batch": 8, "tune": True}, []
    for labels in (y, np.r_[y[:12], 1 - y[12:]]):
        rows, inner = np.arange(12), [(TRAIN, VALID)]
        found.append(fit_net(name, settings, pixels, labels, rows, inner, "balanced"))
    assert found[0].params == found[1].params and found[0].threshold == found[1].threshold
    assert ("lr" in found[0].params) == (name == "compact")


def test_recipes_of_the_modes():
    assert recipe_for("resnet18:lora").lr == 1e-3 and recipe_for("resnet18:last2").lr == 2e-4
    assert recipe_for("resnet18:finetune+tta8") == recipe_for("resnet18:finetune")
    assert converges(f"{VIT}:frozen+tta8", {}) and not converges(f"{VIT}:last2", {})
    assert recipe_for("compact", augment="histology").augmentation == POLICIES["histology"]
    asked = {"mixup": 0.2, "layer_decay": 0.7, "lora_rank": 4, "epochs": 3}
    assert applying("resnet18:frozen", asked) == {"epochs": 3}
    assert applying("compact", asked) == {"mixup": 0.2, "epochs": 3}
    assert applying("resnet18:last2", asked) == {"mixup": 0.2, "layer_decay": 0.7, "epochs": 3}
    assert applying("resnet18:lora", asked) == asked
    dropping = {"drop_path": 0.1}
    assert applying(f"{CONVNEXT}:last1", dropping) == applying(f"{VIT}:lora+tta8", dropping) == dropping
    assert applying("resnet18:finetune+tta8", dropping) == applying(f"{CONVNEXT}:frozen", dropping) == {}
    for wrong in ({"augment": "histolog"}, {"layer_decay": 1.5}, {"mixup": -1}, {"randaugment": 31}, {"lora_rank": 0}):
        with pytest.raises(InputError, match=f"^{next(iter(wrong))} is "):
            recipe_for("compact", **wrong)


def test_weights_of_timm_come_with_their_normalisation_and_resized_positions(tmp_path):
    made = timm.create_model("test_vit", num_classes=0)
    save_file(made.state_dict(), tmp_path / "test_vit.mine.safetensors")
    pixels, y = make_images()
    net = quick(f"{VIT}:frozen", weights=str(tmp_path)).fit(pixels, y, train=TRAIN, valid=VALID)
    config = made.pretrained_cfg
    torch.testing.assert_close(net.module_.mean, torch.tensor(config["mean"]))
    torch.testing.assert_close(net.module_.std, torch.tensor(config["std"]))
    overlay = {"file": str(tmp_path / "test_vit.mine.safetensors"), "num_classes": 0, "custom_load": False}
    wanted = timm.create_model(
        "test_vit", num_classes=0, img_size=SIDE, pretrained=True, pretrained_cfg_overlay=overlay
    )
    torch.testing.assert_close(net.module_.net.backbone.pos_embed, wanted.pos_embed)
    assert net.weights_.startswith("mine sha256:")


@pytest.mark.slow
def test_a_bundle_builds_a_network_of_a_folder_that_is_gone(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), folder / "model.safetensors")
    config = timm.get_pretrained_cfg("test_vit").to_dict() | {"num_classes": 0, "url": "", "hf_hub_id": None}
    (folder / "config.json").write_text(json.dumps({"architecture": "test_vit", "pretrained_cfg": config}))
    pixels, y = make_images()
    name = f"timm:local-dir:{folder}:mean:last1"
    net = quick(name, weights="imagenet").fit(pixels, y, train=TRAIN, valid=VALID)
    assert net.weights_.startswith("folder sha256:")
    state_to_safetensors(net, tmp_path / "net.safetensors")
    folder.rename(tmp_path / "elsewhere")
    again = quick(name, plain=json.loads(json.dumps(net.module_.net.plain)))
    scores = state_from_safetensors(again, tmp_path / "net.safetensors").predict_proba(pixels)
    np.testing.assert_array_equal(scores, net.predict_proba(pixels))


@pytest.mark.slow
def test_the_plan_counts_what_learns_what_is_added_up_and_all_trainings_of_a_choice(monkeypatch):
    settings = {"side": SIDE, "weights": "none", "device": "cpu"}

    def mb(how, **more):
        return net_bytes(f"{VIT}:{how}", settings | more, 10) / 1e6

    assert mb("last1") < mb("last3") < mb("finetune")
    assert mb("lora", lora_rank=1) < mb("lora", lora_rank=16) < mb("finetune")
    assert mb("lora", lora_layers="attention") < mb("lora")
    monkeypatch.setattr(cost, "training_cost", lambda name, n, n_valid, **rest: cost.Cost(0, 2.0, 8, 0, 0, 0, 1.0, 0))
    for how, epochs in (("last1", 6 * 2 + 3 * 4 + 8 + 8), ("frozen", 8)):
        assert net_seconds(f"{VIT}:{how}", settings | {"tune": True, "epochs": 8}, 9, 3)[0] == 2 * epochs
