"""Networks as data: their sizes, their initialisers and penalties, their gradients, and augmentation."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from glomfeat.core.part_errors import MisfitError
from glomfeat.core.plugins import Own, PluginError
from glomfeat.models.nets import (
    ARCHITECTURES,
    Architecture,
    Augment,
    Recipe,
    check_net,
    converges,
    net_names,
    recipe_for,
)
from glomfeat.models.nets.augment import apply, draw
from glomfeat.models.nets.build import add_penalty_gradient, build, count
from glomfeat.models.nets.network import Network
from glomfeat.models.nets.pretrained import Pretrained
from glomfeat.models.nets.recipes import PAPERS

TOTALS = {
    "baseline-1": (49153, 0),
    "baseline-2": (25166849, 0),
    "baseline-3": (3145857, 0),
    "baseline-4": (25429505, 0),
    "baseline-5": (134481857, 0),
    "baseline-6": (134514241, 0),
    "baseline-7": (268736609, 0),
    "baseline-8": (268741153, 2272),
    "baseline-9": (17082913, 2272),
    "baseline-10": (268741153, 2272),
    "baseline-11": (268476449, 1248),
    "baseline-12": (16818209, 1248),
    "homemade-128": (67135457, 416),
    "homemade-224": (205547489, 416),
}


@pytest.mark.parametrize("name", TOTALS)
def test_parameters_are_those_of_the_study(name):
    with torch.device("meta"):
        counted = count(build(ARCHITECTURES[name]))
    assert (counted.total, counted.statistics) == TOTALS[name]
    assert counted.trainable == counted.parameters == counted.total - counted.statistics


@pytest.mark.parametrize(
    ("model", "total", "frozen"),
    [("resnet18", 11177538, 1026), ("vgg16", 134268738, 8194), ("vgg19", 139578434, 8194)],
)
def test_pretrained_parameters_are_those_of_the_study(model, total, frozen):
    with torch.device("meta"):
        assert count(Pretrained(f"{model}:frozen"))[:2] == (total, frozen)
        assert count(Pretrained(f"{model}:finetune"))[:2] == (total, total)


@pytest.mark.parametrize("model", ["squeezenet1_1", "densenet121", "mobilenet_v3_small", "inception_v3", "vit_b_16"])
def test_any_torchvision_model_gets_a_new_head(model):
    side = 96 if model == "inception_v3" else 32
    with torch.device("meta"):
        net = Pretrained(f"{model}:finetune", classes=3, side=side).train()
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 3)


def test_compact_is_small():
    assert count(build(ARCHITECTURES["compact"])).total < 300_000


def test_the_study_recipes():
    assert {name: (recipe.lr, recipe.batch, recipe.epochs) for name, recipe in PAPERS.items()} == {
        "compact": (1e-3, 32, 60),
        **{f"baseline-{i}": (1e-4, 64, 50 if i <= 5 else 60) for i in range(1, 13)},
        "homemade-128": (1e-4, 64, 60),
        "homemade-224": (1e-4, 64, 60),
        "resnet18:frozen": (1e-3, 32, 100),
        "vgg16:frozen": (1e-5, 32, 50),
        "vgg19:frozen": (1e-5, 32, 50),
        "resnet18:finetune": (1e-5, 32, 5),
        "vgg16:finetune": (1e-5, 32, 9),
        "vgg19:finetune": (1e-5, 32, 9),
    }
    assert recipe_for("homemade-128", "paper").weight_decay == 1e-6
    assert recipe_for("baseline-3", "paper").augmentation == Augment(0.5, 15, 0.1)
    assert recipe_for("vgg16:finetune", "paper").augmentation is None
    for recipe in PAPERS.values():
        assert (recipe.schedule, recipe.average, recipe.again) == ("constant", 0, 0)
        assert not recipe.decoupled and not recipe.converge
    assert recipe_for("compact", "paper", epochs=3) == replace(PAPERS["compact"], epochs=3)


def test_the_default_recipes_follow_a_schedule_and_learn_all_in_the_end():
    for name in (*PAPERS, "squeezenet1_1:finetune", "C4-F-out", "mine:net"):
        recipe = recipe_for(name)
        assert recipe.decoupled and recipe.schedule == "cosine" and recipe.average > 0 and recipe.again > 0
        assert recipe.augment == recipe_for(name, "paper").augment
        assert recipe.converge == name.endswith(":frozen")
    assert (recipe_for("compact").epochs, recipe_for("resnet18:finetune").epochs) == (10, 5)
    assert (recipe_for("compact").again, recipe_for("resnet18:finetune").again) == (0.5, 0.2)
    assert not recipe_for("resnet18:frozen", augment=True).converge
    assert not converges("resnet18:frozen", {"augment": True, "side": 32})
    assert converges("resnet18:frozen", {"recipe": Recipe(converge=True, augment=False)})


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("preset is 'papr': allowed are default, paper", {"preset": "papr"}),
        ("schedule is 'linear': allowed are cosine, constant", {"schedule": "linear"}),
        ("class_weight is 'none': allowed are None, balanced", {"class_weight": "none"}),
        ("again is 1.5: allowed is 0 to 1", {"again": 1.5}),
        ("average is -0.1: allowed is 0 to 1", {"average": -0.1}),
        ("weight_decay is -1: allowed is at least 0", {"weight_decay": -1}),
        ("epochs is 0: it must be above 0", {"epochs": 0}),
        ("converge is True and so is augment", {"converge": True}),
    ],
)
def test_a_wrong_setting_is_told_what_is_allowed(said, wrong):
    with pytest.raises(ValueError, match=said):
        recipe_for("compact", **wrong)


@pytest.mark.parametrize("name", net_names())
def test_every_parameter_gets_a_gradient(name):
    side = 32 if ":" in name else 16
    if name.startswith("vgg"):  # one of their 140 million parameters is as good as another
        name = "squeezenet1_1" + name[name.index(":") :]
    torch.manual_seed(0)
    network = Network(name, side).train()
    logits = network(torch.randint(0, 256, (8, side, side, 3), dtype=torch.uint8))
    (logits[:, -1] * torch.linspace(-1, 2, 8)).sum().backward()
    learned = {key: p for key, p in network.named_parameters() if p.requires_grad}
    assert learned and all(p.grad is not None and p.grad.any() for p in learned.values())
    if name.endswith("frozen"):
        assert set(learned) == {"net.head.weight", "net.head.bias"}


def test_a_convolution_is_followed_by_its_relu_then_by_the_norm():
    kinds = [type(layer).__name__ for layer in build(ARCHITECTURES["baseline-12"], side=16)]
    assert kinds[:4] == ["Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d"]
    assert kinds[8:] == ["Flatten", *["Linear", "ReLU", "BatchNorm1d", "Dropout"] * 2, "Linear"]


def test_initialisers_are_those_of_keras():
    torch.manual_seed(0)
    glorot = build(ARCHITECTURES["baseline-2"], side=16)[1]
    limit = math.sqrt(6 / (3 * 16 * 16 + 512))
    assert 0.99 * limit < glorot.weight.abs().max() <= limit
    assert not glorot.bias.any()
    normal = build(ARCHITECTURES["homemade-128"], side=16)[11]
    assert isinstance(normal, nn.Linear)
    wanted = math.sqrt(2 / normal.in_features)
    assert abs(normal.weight.std() / wanted - 1) < 0.01
    assert normal.weight.abs().max() <= 2 * wanted / 0.8796


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("baseline-1", []),
        ("baseline-9", ["0.weight", "4.weight"]),
        ("homemade-128", [f"{i}.{what}" for i in (0, 3, 6, 11, 15, 19) for what in ("weight", "bias")]),
    ],
)
def test_the_penalty_is_l2_times_the_sum_of_squares(name, held):
    net = build(ARCHITECTURES[name], side=8)
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for p in parameters.values():
            p.add_(0.1)
            p.grad = torch.zeros_like(p)
    add_penalty_gradient(net, ARCHITECTURES[name])
    assert {key for key, p in parameters.items() if p.grad.any()} == set(held)
    if held:
        loss = 1e-4 * sum((parameters[key] ** 2).sum() for key in held)
        wanted = torch.autograd.grad(loss, [parameters[key] for key in held])
        for key, gradient in zip(held, wanted, strict=True):
            torch.testing.assert_close(parameters[key].grad, gradient)


def test_several_classes_have_a_logit_each():
    assert build(ARCHITECTURES["compact"], classes=4, side=16)(torch.zeros(2, 3, 16, 16)).shape == (2, 4)
    with pytest.raises(ValueError, match="classes is 1"):
        build(ARCHITECTURES["compact"], classes=1)


def test_wrong_architectures_are_refused():
    with pytest.raises(ValueError, match="unknown layer 'X3'"):
        build(Architecture("mine", 8, ("X3", "out")))
    with pytest.raises(ValueError, match="side is too small"):
        build(ARCHITECTURES["baseline-9"], side=2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("compct", "did you mean 'compact'"),
        ("resnet81:frozen", "did you mean 'resnet18'"),
        ("nowhere:function", None),
    ],
)
def test_an_unknown_name_is_answered_with_a_near_one(name, hint):
    if hint:
        with pytest.raises(PluginError, match=hint):
            check_net(name)
    else:
        with pytest.raises(PluginError, match="no module 'nowhere'"):
            Network(check_net(name), 8)


def test_importing_the_names_loads_no_torch():
    code = "import sys, glomfeat.models.nets as n; n.check_net('vgg16:frozen'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_flip_is_an_exact_mirror_and_nothing_drawn_changes_nothing():
    images = torch.rand(4, 3, 9, 9)
    flip = torch.tensor([True, False, True, False])
    turned = apply(images, flip, torch.zeros(4), torch.zeros(4, 2))
    assert torch.equal(turned[flip], images[flip].flip(-1))
    assert torch.equal(turned[~flip], images[~flip])
    nothing = draw(Augment(flip=0, rotation=0, shift=0), 4, torch.Generator())
    assert torch.equal(apply(images, *nothing), images)


def test_a_shift_moves_right_and_down_and_repeats_the_border():
    images = torch.rand(1, 1, 10, 10)
    moved = apply(images, torch.tensor([False]), torch.zeros(1), torch.tensor([[0.1, 0.2]]))
    torch.testing.assert_close(moved[..., 2:, 1:], images[..., :-2, :-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., 2:, 0], images[..., :-2, 0], atol=1e-5, rtol=0)


def test_a_rotation_turns_counter_clockwise():
    images = torch.rand(1, 1, 8, 8)
    turned = apply(images, torch.tensor([False]), torch.tensor([math.pi / 2]), torch.zeros(1, 2))
    torch.testing.assert_close(turned, images.rot90(1, (-2, -1)), atol=1e-5, rtol=0)


def test_augmentation_keeps_bounds_and_is_fair():
    generator = torch.Generator().manual_seed(0)
    flip, angle, shift = draw(Augment(), 4000, generator)
    assert abs(flip.float().mean() - 0.5) < 0.03
    for value, limit in ((angle, math.radians(15)), (shift, 0.1)):
        assert value.abs().max() <= limit
        assert value.abs().max() > 0.95 * limit
        assert abs(value.mean()) < 0.05 * limit
    images = torch.rand(8, 3, 12, 12)
    changed = apply(images, *draw(Augment(), 8, generator))
    assert (changed.dtype, changed.shape) == (images.dtype, images.shape)
    assert changed.amin() >= images.amin() - 1e-6
    assert changed.amax() <= images.amax() + 1e-6


def test_only_training_augments():
    network = Network("baseline-1", 8, augment=Augment())
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    before = pixels.clone()
    network.eval()
    assert torch.equal(network(pixels), network(pixels))
    network.train()
    assert not torch.equal(network(pixels), network(pixels))
    assert torch.equal(pixels, before)


def test_pixels_of_another_side_are_refused():
    with pytest.raises(ValueError, match="make it with side=9, or read the images at size 8"):
        Network("baseline-1", 8)(torch.zeros((2, 9, 9, 3), dtype=torch.uint8))


@pytest.mark.parametrize(("logits", "classes"), [(1, 2), (2, 2), (3, 3), (1, 3), (2, 3), (10, 3), (5, 2)])
def test_a_network_of_your_own_gives_a_logit_for_each_class_or_one_for_two(logits, classes):
    def make(classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(192, logits))

    network = Network(Own("mine", make, ""), 8, classes)
    pixels = torch.zeros((4, 8, 8, 3), dtype=torch.uint8)
    if logits == classes or (logits, classes) == (1, 2):
        assert network(pixels).shape == (4, logits)
    else:
        with pytest.raises(
            MisfitError, match=rf"gives shape \(4, {logits}\) for 4 images and {classes} classes: return"
        ):
            network(pixels)
