"""Deep features equal the plain network, whatever the batch, and say what they are."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from glomfeat.core.arms import Arm
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.base import FeatureError
from glomfeat.features.deep import cut, device
from glomfeat.features.deep.cut import backbone, cut_classes, fold_batch_norms
from glomfeat.features.deep.device import tf32
from glomfeat.features.deep.network import Deep, deep
from glomfeat.features.deep.weights import Weights, find_weights, load_network, made_for, model_names, random_network

SHARED = Path(__file__).parents[3] / "shared"


def cpu(model, **options):
    return deep(model, "none", device="cpu", **options)


def make_pixels(n=5, side=64):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def stir(net):
    """Give batch normalisations statistics and parameters as training leaves them."""
    draw = torch.Generator().manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.bias.data):
                tensor.normal_(0, 0.1, generator=draw)
            for tensor in (part.running_var, part.weight.data):
                tensor.uniform_(0.7, 1.4, generator=draw)
    return net


def stirred(model, weights, layer):
    return cut_classes(stir(random_network(model)))


def plain(net, pixels):
    """What the network gives for images normalised by hand."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        return net(images).flatten(1).numpy()


def assert_close(found, expected, relative):
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max() > 0


FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_16", "vit_h_14"),
    "wide_resnet50_2",
)
SOON = {"inception_v3", "mobilenet_v3_small", "resnet18", "squeezenet1_1", "swin_t", "vgg11", "vit_b_16"}


def outlined(model):
    """An outline at the side that the weights were made for, without looking for weights."""
    made = made_for(model)
    assert made >= 224
    return Deep(model, Weights("imagenet", "0" * 64), device="cpu").outline(made)


@pytest.mark.parametrize(
    "model", [pytest.param(model, marks=[pytest.mark.slow] * (model not in SOON)) for model in FAMILIES]
)
def test_a_network_of_each_family_is_outlined_without_its_numbers(model):
    found = outlined(model)
    assert found.columns > 0 and found.building > found.parameters > 0 and found.forward > 0


@pytest.mark.slow
@pytest.mark.parametrize("model", model_names())
def test_every_network_is_outlined(model):
    assert outlined(model).columns > 0


def test_images_of_another_size_than_the_weights_were_made_for_are_noted():
    found = Weights("imagenet", "0" * 64)
    assert Deep("efficientnet_b7", found, device="cpu").note(224) == (
        "its weights were made for images of 600 px, and these are of 224 px"
    )
    assert Deep("resnet18", found, device="cpu").note(224) == cpu("resnet18").note(64) == ""
    said = r"^vit_h_14\.\S+ fails on images of 224 px, pass another --size \(its weights were made for 518\):"
    with pytest.raises(FeatureError, match=said):
        Deep("vit_h_14", found, device="cpu").outline(224)


LATER = [pytest.param(model, marks=pytest.mark.slow) for model in ("mnasnet0_5", "squeezenet1_1", "regnet_y_400mf")]


@pytest.mark.parametrize("model", ["resnet18", "shufflenet_v2_x0_5", *LATER])
def test_features_equal_those_of_the_plain_network(model):
    pixels = make_pixels(3)
    feature = Deep(model, find_weights(model, "none"), device="cpu", build=stirred)
    found = feature.transform(pixels, np.full((3, 2), 64))
    assert_close(found, plain(stirred(model, None, None), pixels), 1e-4)
    left = [part for part in feature._network[0].modules() if isinstance(part, nn.BatchNorm2d)]
    assert not left  # all of these networks' normalisations follow a convolution


@pytest.mark.parametrize(("model", "width", "side"), [("googlenet", 1024, 64), ("inception_v3", 2048, 75)])
def test_networks_with_auxiliary_heads_give_one_row_an_image(model, width, side, monkeypatch):
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, *args, **options: tensor)  # seconds of drawing
    found = Deep(model, Weights("made", 64 * "0"), device="cpu").transform(make_pixels(2, side))
    assert found.shape == (2, width)


@pytest.mark.parametrize(
    ("model", "width"),
    [
        ("resnet18", 512),
        ("vgg16", 4096),
        ("vgg19", 4096),
        ("squeezenet1_1", 512),
        ("densenet121", 1024),
        ("mobilenet_v3_small", 1024),
        ("efficientnet_b0", 1280),
        ("convnext_tiny", 768),
        ("swin_t", 768),
        ("vit_b_16", 768),
    ],
)
def test_the_default_layer_is_what_the_classes_are_read_from(model, width):
    with torch.device("meta"):  # shapes without numbers
        net = cut_classes(random_network(model))
        assert net(torch.zeros(2, 3, 224, 224)).shape == (2, width)


def test_a_layer_by_name_gives_its_output_flattened(monkeypatch):
    pixels = make_pixels(2)
    net, kept = random_network("resnet18"), {}
    for name in ("conv1", "layer1.0.bn2", "layer2", "avgpool"):
        net.get_submodule(name).register_forward_hook(lambda *call, name=name: kept.update({name: call[2].clone()}))
    plain(net, pixels)
    for name, expected in kept.items():
        assert_close(cpu("resnet18", layer=name).transform(pixels), expected.flatten(1).numpy(), 1e-4)
    with torch.device("meta"):
        monkeypatch.setattr(cut, "load_network", lambda weights, model: random_network(model))
        (found,) = backbone("vgg16", None, "avgpool")(torch.zeros(1, 3, 224, 224)).values()
    assert found.flatten(1).shape == (1, 25088)


def test_an_unknown_layer_is_refused_with_near_ones():
    with pytest.raises(FeatureError, match=r"^resnet18 has no layer 'layer2.0.con1': did you mean 'layer2.0.conv1'\?"):
        cpu("resnet18", layer="layer2.0.con1").transform(make_pixels(1))
    with pytest.raises(FeatureError, match=r"did you mean 'avgpool'\? known: avgpool, bn1, conv1, fc, flatten"):
        cpu("resnet18", layer="avgpol").transform(make_pixels(1))


def test_another_batch_changes_no_more_than_roundings():
    pixels = make_pixels(7)
    feature = Deep("resnet18", find_weights("resnet18", "none"), device="cpu", build=stirred)
    expected = feature.transform(pixels)
    assert_close(replace(feature, batch=3).transform(pixels), expected, 1e-5)


@pytest.mark.parametrize("model", ["squeezenet1_1", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_a_row_is_the_same_to_the_last_bit_whoever_is_described_with_it(model):
    pixels, order = make_pixels(33, 48), np.random.default_rng(1).permutation(33)
    feature = Deep(model, find_weights(model, "none"), device="cpu", batch=8)
    expected = feature.transform(pixels)
    for n in (1, 3, 8, 32):
        parts = [feature.transform(pixels[start : start + n]) for start in range(0, 33, n)]
        assert np.array_equal(np.concatenate(parts), expected), n
    assert np.array_equal(feature.transform(pixels[order]), expected[order])
    neighbours = np.concatenate([np.zeros_like(pixels[:3]), pixels[2:3], np.full_like(pixels[:9], 255)])
    assert np.array_equal(feature.transform(neighbours)[3], expected[2])


def test_pixels_may_be_read_only_strided_or_none(tmp_path):
    np.save(tmp_path / "pixels.npy", make_pixels(3))
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    feature = cpu("squeezenet1_1")
    expected = feature.transform(pixels)
    assert np.array_equal(feature.transform(np.asfortranarray(pixels)), expected)
    assert np.array_equal(feature.transform(pixels[::2]), expected[::2])
    assert feature.transform(pixels[:0]).shape == (0, 512)


def test_folding_changes_no_number_and_only_what_it_may():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.read, self.norm, self.late = (
                nn.Conv2d(3, 3, 1),
                nn.Conv2d(3, 3, 1),
                nn.BatchNorm2d(3),
                nn.BatchNorm2d(3),
            )

        def forward(self, x):
            seen = self.read(x)
            return self.norm(self.conv(self.conv(x))) + self.late(seen) + seen

    net = stir(Shared()).eval()
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x)
        torch.testing.assert_close(fold_batch_norms(net)(x), expected)
    assert isinstance(net.norm, nn.BatchNorm2d) and isinstance(net.late, nn.BatchNorm2d)


class Branching(nn.Module):
    """Its control flow depends on the numbers, so that it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, images):
        found = self.body(images).mean((2, 3))
        return found if found.sum() > 0 else -found


def build_branching(model, weights, layer):
    return stir(Branching()).eval()


def test_a_network_of_your_own_needs_a_name_weights_and_a_function():
    weights = Weights("mine", 64 * "a", Path("mine.pth"), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    feature = Deep("branching.v1", weights, device="cpu", build=build_branching)
    assert feature.name == "branching.v1.mine-aaaaaaaa"
    assert feature.transform(make_pixels(2)).shape == (2, 4)
    assert isinstance(feature._network[0].net.body[1], nn.BatchNorm2d)


def test_running_statistics_stay_as_they_are():
    def build(model, weights, layer):
        return random_network(model).train()  # forgotten by its author

    before = random_network("densenet121").state_dict()
    feature = Deep("densenet121", find_weights("densenet121", "none"), device="cpu", build=build)
    feature.transform(make_pixels(2))
    net = feature._network[0]
    assert not any(part.training for part in net.modules())
    kept = {key: value for key, value in net.net.state_dict().items() if "running" in key}
    assert len(kept) > 100 and all(torch.equal(value, before[key]) for key, value in kept.items())


def test_a_feature_says_what_it_is_and_travels_without_its_network():
    feature = cpu("squeezenet1_1", layer="features")
    tag = feature.weights_found.tag
    assert feature.name == f"squeezenet1_1.{tag}@features"
    assert feature.weights == feature.weights_found.said and not feature.standardise
    assert feature.key == {
        "feature": "deep.v2",
        "model": "squeezenet1_1",
        "sha256": feature.weights_found.sha256,
        "normalisation": [0.485, 0.456, 0.406, 0.229, 0.224, 0.225],
        "layer": "features",
        "precision": "float32",
        "batch": 32,
    }
    assert "_network" not in vars(feature)  # a constructor builds nothing
    expected = feature.transform(make_pixels(1))
    assert expected.shape == (1, 512 * 3 * 3)
    data = pickle.dumps(feature)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert copy == feature and np.array_equal(copy.transform(make_pixels(1)), expected)


@pytest.mark.parametrize("precision", ["float16", "tf32"])
def test_no_processor_computes_in_every_precision(precision):
    message = f"precision {precision} needs a CUDA device, and this is cpu: take float32"
    with pytest.raises(ValueError, match=message):
        cpu("squeezenet1_1", precision=precision)


@pytest.mark.parametrize(
    ("said", "computes"),
    [
        ("flags\t: fpu avx512f avx512_bf16 amx_tile\nflags\t: fpu\n", True),
        ("flags\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t: fpu avx512f avx512_fp16\nbogomips\t: 5000 bf16\n", False),
        ("", False),
    ],
)
def test_a_processor_tells_by_its_flags_whether_it_computes_in_bfloat16(tmp_path, said, computes):
    (tmp_path / "cpuinfo").write_text(said)
    assert device.processor_computes_in_bfloat16(str(tmp_path / "cpuinfo")) is computes


def test_a_processor_without_bfloat16_refuses_it_with_the_reason(monkeypatch):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: False)
    message = r"precision bfloat16 needs a CUDA device, or a processor that computes in it \(on Linux, one with "
    message += r"AVX512_BF16 or AMX, or ARM's BF16\), and this one does not: take float32"
    with pytest.raises(ValueError, match=message):
        cpu("squeezenet1_1", precision="bfloat16")


def test_a_processor_that_computes_in_bfloat16_is_near_and_its_name_and_key_say_so(monkeypatch):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: True)
    exact, half = (cpu("squeezenet1_1", precision=precision) for precision in ("float32", "bfloat16"))
    assert (exact.precision, cpu("squeezenet1_1").precision) == ("float32", "float32")
    assert half.name == f"{exact.name}+bfloat16" and half.key == {**exact.key, "precision": "bfloat16"}
    assert Arm(half.name, "none", "svm").source == half.name  # by which rows find what the weights are
    found, expected = half.transform(make_pixels(2)), exact.transform(make_pixels(2))
    assert_close(found, expected, 0.05)
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float8"}, "precision is 'float8': allowed are float32, tf32, bfloat16, float16"),
        ({"device": "gpu"}, "device is 'gpu': allowed are auto, cpu, cuda, cuda:N, mps"),
        ({"device": "cuda:99"}, r"device is 'cuda:99', but torch finds \d+ CUDA devices: take auto"),
        ({"batch": 0}, "batch is 0: at least 1 image at a time"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Deep("squeezenet1_1", Weights("made", 64 * "0"), **options)


def test_images_too_small_and_infinite_features_are_refused():
    with pytest.raises(FeatureError, match=r"fails on images of 8 px, pass another --size"):
        cpu("squeezenet1_1").transform(make_pixels(1, 8))
    spoilt = Deep("own.v1", Weights("made", 64 * "0"), device="cpu", build=lambda *_: nn.Threshold(99, float("inf")))
    with pytest.raises(FeatureError, match=r"gives NaN or infinity: take precision float32, or other weights"):
        spoilt.transform(make_pixels(1))
    scalar = Deep("own.v1", Weights("made", 64 * "0"), device="cpu", build=lambda *_: nn.Flatten(0))
    with pytest.raises(FeatureError, match=r"gives no tensor with a row per image: choose another"):
        scalar.transform(make_pixels(2))


def test_too_little_memory_halves_the_batch_for_good():
    seen = []

    class Hungry(nn.Module):
        def forward(self, images):
            seen.append(len(images))
            if len(images) > fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return images.mean((2, 3))

    fits = 3
    feature = Deep("own.v1", Weights("made", 64 * "0"), device="cpu", batch=8, build=lambda *_: Hungry())
    pixels = make_pixels(6, 8)
    assert_close(feature.transform(pixels), plain(lambda images: images.mean((2, 3)), pixels), 1e-5)
    assert seen == [8, 4, 2, 2, 2]
    feature.transform(pixels)
    assert seen[5:] == [2, 2, 2]
    fits = 0
    with pytest.raises(FeatureError, match=r"is not enough for own.v1.made-0+ \(?.*on one image of 8 px: pass"):
        feature.transform(pixels)


def test_tf32_is_set_for_the_computation_and_put_back():
    homes = (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv if hasattr(torch.backends.cudnn, "conv") else torch.backends.cudnn,
    )
    name = "fp32_precision" if hasattr(torch.backends.cudnn, "conv") else "allow_tf32"
    before = [getattr(home, name) for home in homes]
    for allowed, expected in ((True, ("tf32", True)), (False, ("ieee", False))):
        with tf32(allowed, torch.device("cuda")):
            assert all(getattr(home, name) in expected for home in homes)
        assert [getattr(home, name) for home in homes] == before


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_processor():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pixels = make_pixels(33)
    for model in ("resnet18", "squeezenet1_1"):
        expected = cpu(model).transform(pixels)
        feature = replace(cpu(model), device="cuda", batch=8)
        assert_close(feature.transform(pixels), expected, 1e-3)
        for precision, relative in (("tf32", 1e-2), ("bfloat16", 0.1), ("float16", 2e-2)):
            other = replace(feature, precision=precision)
            assert other.name == f"{feature.name}+{precision}"
            assert_close(other.transform(pixels), expected, relative)


def test_real_weights_describe_real_glomeruli():
    path = SHARED / "weights" / "squeezenet1_1.imagenet_caffe.safetensors"
    crops = sorted((SHARED / "data" / "glomeruli_images").rglob("*.png"))[:3]
    if not path.exists() or not crops:
        pytest.skip(f"no real weights and images in {SHARED}")
    feature = deep("squeezenet1_1", path.parent, device="cpu")
    assert feature.name.startswith("squeezenet1_1.imagenet_caffe-")
    pixels = np.stack([Preprocess(128).read(crop.read_bytes())[0] for crop in crops])
    found = feature.transform(pixels)
    assert_close(found, plain(cut_classes(load_network(feature.weights_found, "squeezenet1_1")), pixels), 1e-4)
    assert (found >= 0).all() and np.linalg.matrix_rank(found) == 3
