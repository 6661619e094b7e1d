"""Weights are found where the study says, named by their content, and refused with the remedy."""

import hashlib
import os
import pickle
import re
import socket
import urllib.error

import pytest
import safetensors.torch
import torch
import torchvision

from glomfeat.core.plugins import PluginError
from glomfeat.features.deep import weights as source
from glomfeat.features.deep.network import deep
from glomfeat.features.deep.weights import WeightsError, find_weights, load_network, load_state

SMALL = "squeezenet1_1"
ORIGINAL = "squeezenet1_1-b8a52dc0.pth"


@pytest.fixture(scope="module")
def state():
    """A state that is not the seeded one."""
    state = source.random_network(SMALL).state_dict()
    return {key: value + 0.125 for key, value in state.items()}


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty checkpoint folder, and no network."""

    def fail(url, dst, *args, **options):
        assert socket.getdefaulttimeout() == source.DOWNLOAD_TIMEOUT_S
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path / "home" / "hub" / "checkpoints"


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "tag"),
    [
        (f"{SMALL}.imagenet_caffe.safetensors", "imagenet_caffe"),
        (f"{SMALL}.safetensors", "weights"),
        (f"{SMALL}--my kidney.pth", "my-kidney"),
        (ORIGINAL, "b8a52dc0"),
    ],
)
def test_a_folder_gives_its_one_file_named_by_what_follows_the_model(tmp_path, state, file, tag):
    path = tmp_path / file
    half = {key: value.half() for key, value in state.items()}
    safetensors.torch.save_file(half, path) if path.suffix == ".safetensors" else torch.save(half, path)
    (tmp_path / "readme.txt").write_text("other files are left alone")
    found = find_weights(SMALL, tmp_path)
    assert found == find_weights(SMALL, str(path))
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.tag == f"{tag}-{found.sha256[:8]}" and found.said == f"{tag} sha256:{found.sha256}"
    assert found.mean == (0.485, 0.456, 0.406) and found.std == (0.229, 0.224, 0.225)
    assert_same(load_state(found, SMALL), state)


def test_an_original_file_whose_hash_fits_is_called_imagenet(tmp_path, offline, state, monkeypatch):
    offline.mkdir(parents=True)
    torch.save(state, offline / ORIGINAL)
    digest = hashlib.sha256((offline / ORIGINAL).read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=rf"is damaged, its sha256 is {digest}: delete it and run again"):
        find_weights(SMALL, "imagenet")
    monkeypatch.setattr(source, "_promised", lambda name: digest[:8])
    for where in ("imagenet", "auto", offline, offline / ORIGINAL):
        assert find_weights(SMALL, where).tag == f"imagenet-{digest[:8]}"


def test_what_a_download_brings_is_used(tmp_path, offline, state, monkeypatch):
    def bring(url, dst, hash_prefix, progress):
        assert url == f"https://download.pytorch.org/models/{ORIGINAL}" and hash_prefix == "b8a52dc0"
        torch.save(state, dst)

    monkeypatch.setattr(torch.hub, "download_url_to_file", bring)
    monkeypatch.setattr(source, "_promised", lambda name: "b8a52dc0" if not (offline / name).exists() else "")
    assert find_weights(SMALL, "imagenet").path == offline / ORIGINAL


def test_a_failed_download_says_which_file_to_put_where(offline):
    with pytest.raises(WeightsError) as caught:
        find_weights("resnet18", "imagenet")
    assert str(caught.value) == (
        "the ImageNet weights of resnet18 could not be downloaded (<urlopen error no route to host>): put "
        "resnet18-f37072fd.pth from https://download.pytorch.org/models/resnet18-f37072fd.pth into "
        f"{offline}, or pass --weights FOLDER with such a file, or --weights none for random ones"
    )
    assert socket.getdefaulttimeout() is None


def test_auto_falls_to_random_weights_and_says_so(offline):
    found = find_weights(SMALL, "auto")
    assert found == find_weights(SMALL, "none")
    assert found.said == f"random (seed 0) sha256:{found.sha256}" and found.tag.startswith("random-")


def test_random_weights_come_from_the_seed_and_move_no_other():
    first = load_state(find_weights(SMALL, "none"), SMALL)
    digest = find_weights(SMALL, "none").sha256
    source._random_digest.cache_clear()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        before = torch.get_rng_state()
        again = find_weights(SMALL, "none")
        assert torch.equal(before, torch.get_rng_state())
    assert again.sha256 == digest != find_weights("mnasnet0_5", "none").sha256
    assert all(torch.equal(value, first[key]) for key, value in load_state(again, SMALL).items())
    assert first["features.0.weight"].std() > 0.1  # the architecture's own initialiser


def test_several_matches_are_listed(tmp_path):
    for name in ("resnet18.safetensors", "resnet18-mine.pth", "resnet34.pth"):
        (tmp_path / name).touch()
    message = (
        f"{tmp_path} holds several weights for resnet18: resnet18-mine.pth, resnet18.safetensors; "
        "pass one of them, --weights FILE"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        find_weights("resnet18", tmp_path)
    assert find_weights("resnet34", tmp_path).name == "weights"


def test_no_match_says_what_the_folder_holds(tmp_path):
    for number in range(6):
        (tmp_path / f"vgg16_bn-{number}.pth").touch()
    names = ", ".join(f"vgg16_bn-{number}.pth" for number in range(4))
    message = f"{tmp_path} holds no weights for vgg16: looked for vgg16*.safetensors, vgg16*.pth; it holds {names}, ..."
    message += ": put one there, or name another folder or file with --weights"
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        find_weights("vgg16", tmp_path)
    (tmp_path / "vgg16-mine.pth").touch()
    assert find_weights("vgg16", tmp_path).name == "mine"


def test_an_original_file_is_found_under_torchvisions_own_spelling(tmp_path):
    (tmp_path / "shufflenetv2_x0.5-f707e7126e.pth").touch()
    assert find_weights("shufflenet_v2_x0_5", tmp_path).path.name.startswith("shufflenetv2")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("imagnet", "--weights imagnet: no such path; allowed are imagenet, auto, none, a folder or a file"),
        (__file__, "is not a file of weights: allowed are .safetensors and .pth"),
    ],
)
def test_other_places_are_refused(where, message):
    with pytest.raises(WeightsError, match=re.escape(message)):
        find_weights(SMALL, where)


def test_an_unknown_network_is_refused_with_a_near_one():
    with pytest.raises(PluginError, match=r"torchvision has no classification network 'resnet19': did you mean"):
        find_weights("resnet19", "none")


class Malicious:
    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_with_code_is_not_run(tmp_path):
    trap = Malicious()
    trap.folder = str(tmp_path / "made")
    torch.save({"features.0.weight": trap}, tmp_path / f"{SMALL}.pth")
    with pytest.raises(WeightsError, match=r"was not opened because a pickle can run code: save it anew with torch"):
        load_state(find_weights(SMALL, tmp_path), SMALL)
    assert not (tmp_path / "made").exists()
    pickle.loads(pickle.dumps(trap))  # the trap works where pickles are trusted
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("file", [f"{SMALL}.pth", f"{SMALL}.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_refused(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged"):
        load_state(find_weights(SMALL, tmp_path), SMALL)


def test_a_file_without_named_tensors_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / f"{SMALL}.pth")
    with pytest.raises(WeightsError, match=r"holds no dict of named tensors: save network.state_dict\(\)"):
        load_state(find_weights(SMALL, tmp_path), SMALL)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrappers_and_the_prefix_of_parallel_training_are_taken_off(tmp_path, state, wrapper):
    torch.save(
        {wrapper: {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, tmp_path / f"{SMALL}.pth"
    )
    assert_same(load_state(find_weights(SMALL, tmp_path), SMALL), state)


def test_a_file_of_another_network_is_refused_with_counts(tmp_path, state):
    other = {key: value for key, value in state.items() if key != "features.0.bias"}
    other |= {"head.weight": torch.zeros(2), "classifier.1.weight": torch.zeros(2, 512, 1, 1)}
    torch.save(other, tmp_path / f"{SMALL}.pth")
    with pytest.raises(WeightsError) as caught:
        load_network(find_weights(SMALL, tmp_path), SMALL)
    assert str(caught.value) == (
        f"{tmp_path / SMALL}.pth does not fit squeezenet1_1, which has 52 tensors: 1 missing (features.0.bias); "
        "1 unexpected (head.weight); 1 of another shape (classifier.1.weight (2, 512, 1, 1) instead of "
        "(1000, 512, 1, 1)). Pass --weights with a file of torchvision's squeezenet1_1 with 1000 classes"
    )
    torch.save({}, tmp_path / f"{SMALL}.pth")
    with pytest.raises(WeightsError, match=r": 52 missing \(\S+, \S+, \S+, \S+, \.\.\.\)\. Pass"):
        load_network(find_weights(SMALL, tmp_path), SMALL)


def test_networks_with_layouts_of_their_own_load_from_plain_tensors(tmp_path):
    model = "mnasnet0_5"  # reads the version of its layout from what safetensors does not keep
    state = torchvision.models.get_model(model, weights=None).state_dict()
    plain = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    safetensors.torch.save_file(plain, tmp_path / f"{model}.safetensors")
    found = load_state(find_weights(model, tmp_path), model)
    assert all(torch.equal(found[key], value) for key, value in plain.items())


def test_old_names_of_densenet_and_auxiliary_heads_are_understood(tmp_path):
    state = source.random_network("densenet121").state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): value + 1 for key, value in state.items()}
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "densenet121-old.pth")
    found = load_state(find_weights("densenet121", tmp_path), "densenet121")
    assert all(torch.equal(found[key], value + 1) for key, value in state.items())
    state = source.random_network("googlenet").state_dict()
    torch.save({**state, "aux1.fc1.weight": torch.zeros(3)}, tmp_path / "googlenet.pth")
    assert load_state(find_weights("googlenet", tmp_path), "googlenet").keys() == state.keys()


@pytest.mark.parametrize(
    "model", ["efficientnet_b1", "efficientnet_b2", "inception_v3", "maxvit_t", "regnet_y_16gf", "resnet18", "vit_h_14"]
)
def test_size_and_filter_are_those_of_the_entry_that_the_file_is_of(tmp_path, model):
    enum = torchvision.models.get_model_weights(model)
    files = {entry.url.rpartition("/")[2]: entry for entry in enum} | {f"{model}.mine.pth": enum.DEFAULT}
    for file, entry in files.items():
        (tmp_path / file).write_bytes(b"no more than its digest is asked for")
        feature, preset = deep(model, tmp_path / file, device="cpu"), entry.transforms()
        assert feature.reads == (preset.crop_size[0], preset.interpolation.value)
        assert feature.made_for == preset.crop_size[0]
        given = deep(model, tmp_path / file, device="cpu", side=96)
        assert given.reads is None and given.note(96).endswith("and these are of 96 px")


def test_random_weights_and_filters_that_are_not_known_follow_no_configuration():
    assert deep(SMALL, "none", device="cpu").reads is None
    assert source.reads(300, "nearest") == source.reads(300, "random") == (300, None)
