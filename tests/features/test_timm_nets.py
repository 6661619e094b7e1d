"""Networks of timm: the numbers of timm itself, under names that say what they are, and refused with the remedy."""

import json
import re
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import glomfeat
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.save import save_bundle
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.core.cache import Store
from glomfeat.core.plugins import PluginError
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.deep import timm_nets as module
from glomfeat.features.deep.timm_cards import CARDS
from glomfeat.features.deep.timm_nets import TimmNet, from_plain, split_name
from glomfeat.features.deep.weights import WeightsError, random_network
from glomfeat.features.extract import extract
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.seen import view_of
from glomfeat.models.nets import find_start
from glomfeat.models.nets.saliency import InsideError, inside_feature
from studies import compare

pytestmark = pytest.mark.usefixtures("dealt_once")

timm = pytest.importorskip("timm", reason="timm is an extra of its own")
hub = pytest.importorskip("huggingface_hub", reason="comes with timm")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
CNN, VIT = "test_efficientnet", "test_vit"


def cpu(name, weights="none", **options):
    return make_feature(name, weights, device="cpu", **{"side": 64} | options)


def by_hand(architecture, state=None, mean=0.5, std=0.5, **args):
    """A network of timm's own and the images as it reads them."""
    net = timm.create_model(architecture, num_classes=0, **args).eval()
    if state is not None:
        net.load_state_dict(state)
    images = (torch.from_numpy(PIXELS).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    return net, images.permute(0, 3, 1, 2)


def state_of(feature):
    return feature.build(feature.model, feature.weights_found, None).state_dict()


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.fixture
def folder(tmp_path):
    """A folder as timm writes it for its hub: configuration, and weights with ten classes."""
    net = timm.create_model(VIT, num_classes=10, img_size=64)
    with torch.no_grad():
        net.cls_token.add_(0.5)
    config = {"input_size": [3, 64, 64], "fixed_input_size": True, "mean": [0.1] * 3, "std": [0.9] * 3}
    config |= {"num_classes": 10, "classifier": "head", "first_conv": "patch_embed.proj"}
    about = {"architecture": VIT, "model_args": {"img_size": 64}, "pretrained_cfg": config}
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text(json.dumps(about))
    save_file(net.state_dict(), tmp_path / "hub" / "model.safetensors")
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("model", "mean", "std"),
    [(CNN, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ("test_resnet", (0.5,) * 3, (0.5,) * 3)],
)
def test_a_convolutional_network_gives_what_timm_gives(model, mean, std):
    feature = cpu(f"timm:{model}")
    net, images = by_hand(model, state_of(feature), mean, std)
    with torch.no_grad():
        assert_close(feature.transform(PIXELS), net(images))
    assert re.fullmatch(rf"timm_{model}\.random-\w{{8}}", feature.name) and feature.weights.startswith(
        "random (seed 0)"
    )
    assert feature.note(32) == "" and (feature.weights_found.mean, feature.weights_found.std) == (mean, std)


def test_tokens_are_pooled_as_the_name_says():
    own = cpu(f"timm:{VIT}")
    net, images = by_hand(VIT, state_of(own), img_size=64)
    with torch.no_grad():
        tokens = net.forward_features(images)
        assert_close(own.transform(PIXELS), net(images))
    first, mean = tokens[:, 0], tokens[:, 1:].mean(dim=1)
    for pooling, expected in {"class": first, "mean": mean, "class+mean": torch.cat([first, mean], dim=1)}.items():
        feature = cpu(f"timm:{VIT}:{pooling}")
        assert feature.name == f"{own.name}@{pooling}" and feature.key["layer"] == pooling
        assert_close(feature.transform(PIXELS), expected)


def test_registers_are_no_patches():
    feature = cpu("timm:test_vit2:mean")
    net, images = by_hand("test_vit2", state_of(feature), img_size=64)
    with torch.no_grad():
        tokens = net.forward_features(images)
    assert tokens.shape[1] == 1 + 16 and net.reg_token is not None
    assert_close(feature.transform(PIXELS), tokens[:, 1:].mean(dim=1))
    with pytest.raises(
        FeatureError, match=r"^timm:test_vit2:class: this network has no class token; write timm:.*:mean"
    ):
        cpu("timm:test_vit2:class")


@pytest.mark.parametrize("model", [VIT, CNN])
def test_a_row_is_the_same_to_the_last_bit_whoever_is_described_with_it(model):
    feature = cpu(f"timm:{model}")
    expected = feature.transform(PIXELS)
    assert np.array_equal(np.concatenate([feature.transform(PIXELS[k : k + 1]) for k in range(3)]), expected)
    assert np.array_equal(feature.transform(PIXELS[::-1])[::-1], expected)
    assert feature.outline(64).columns == expected.shape[1] and np.isfinite(expected).all()


def test_names_are_taken_apart():
    assert split_name("timm:vit_tiny_patch16_224.augreg_in21k:mean") == ("vit_tiny_patch16_224.augreg_in21k", "mean")
    assert split_name("timm:hf-hub:MahmoodLab/UNI@v1:class") == ("hf-hub:MahmoodLab/UNI@v1", "class")
    assert split_name("timm:local-dir:C:\\nets\\mine") == ("local-dir:C:\\nets\\mine", None)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("timm:resnet10x", {}, PluginError, r"^timm \S+ has no model 'resnet10x': did you mean 'resnet10t', '"),
        (
            "timm:qqqqqqqq",
            {},
            PluginError,
            r"has no model 'qqqqqqqq': did you mean .*? all names: timm.list_models\(\) in Python$",
        ),
        ("timm:test_vit.mine", {}, PluginError, "^timm's test_vit has no weights 'mine': r160_in1k$"),
        (
            "timm:test_vit:max",
            {},
            PluginError,
            "^timm:test_vit:max: no pooling is called 'max'; allowed are class, mean",
        ),
        (
            "timm:resnet10t:mean",
            {},
            FeatureError,
            "^timm:resnet10t:mean: this network has no tokens to pool; leave out",
        ),
        ("timm:test_vit", {"layer": "blocks"}, FeatureError, "^timm:test_vit: --layer blocks names a layer of torchv"),
        (
            "timm:test_vit",
            {"side": 60},
            FeatureError,
            r"^timm:test_vit does not take images of 60 px: pass --size 64 \(",
        ),
        (
            "timm:mixer_s16_224",
            {"weights": "imagenet"},
            WeightsError,
            "^timm has no pretrained weights for mixer_s16_2",
        ),
        ("timm:local-dir:/gone", {}, WeightsError, "^timm:local-dir:/gone: /gone holds no config.json of timm's: name"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(name, options, kind, message):
    with pytest.raises(kind, match=message):
        cpu(name, **options)


def test_the_side_that_is_named_is_one_that_the_network_takes():
    name = "timm:efficientformer_l1"
    with pytest.raises(FeatureError, match=rf"^{name} does not take images of 64 px: pass --size 224 \("):
        cpu(name)


def test_without_timm_the_extra_is_named(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError("No module named 'timm'", name="timm")

    monkeypatch.setattr(module.importlib, "import_module", refuse)
    said = re.escape('timm:resnet10t needs timm, which is not installed: pip install "glomfeat[timm]"')
    with pytest.raises(FeatureError, match=f"^{said}$"):
        cpu("timm:resnet10t")


def test_a_folder_brings_configuration_and_weights(folder):
    feature = cpu(f"timm:local-dir:{folder}", "imagenet")
    assert re.fullmatch(r"timm_hub\.folder-\w{8}-\w{8}", feature.name)
    assert feature.weights_found.mean == (0.1,) * 3 and feature.weights_found.std == (0.9,) * 3
    net = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    images = (torch.from_numpy(PIXELS).float() / 255 - 0.1) / 0.9
    with torch.no_grad():
        assert_close(feature.transform(PIXELS), net(images.permute(0, 3, 1, 2)))
    larger = cpu(f"timm:local-dir:{folder}", "imagenet", side=96)
    assert larger.note(96) == "its weights were made for images of 64 px, and these are of 96 px"
    assert larger.transform(np.zeros((1, 96, 96, 3), np.uint8)).shape == (1, 64)
    twin = cpu(f"timm:local-dir:{folder}", "none")
    assert twin.weights.startswith("random (seed 0)") and twin.weights_found.std == (0.9,) * 3


def test_a_changed_configuration_is_another_feature_and_another_start(folder):
    """The parameters stay the same, so a cache and a finished study must tell them apart by the rest."""
    about, named = json.loads((folder / "config.json").read_text()), f"timm:local-dir:{folder}"
    cfg = about["pretrained_cfg"]
    found = [make_feature(named, where, device="cpu") for where in ("imagenet", "none")]
    starts = [find_start(f"{named}:finetune", "imagenet", side).said for side in (64, 96)]
    assert starts[0] == starts[1] == found[0].weights
    for changed in (
        about | {"model_args": {"img_size": 64, "act_layer": "relu"}},
        about | {"architecture": "test_vit2"},
        about | {"pretrained_cfg": cfg | {"mean": [0.2] * 3}},
    ):
        (folder / "config.json").write_text(json.dumps(changed))
        try:
            now = [make_feature(named, where, device="cpu") for where in ("imagenet", "none")]
            assert find_start(f"{named}:finetune", "imagenet", 64).said == now[0].weights
        finally:
            (folder / "config.json").write_text(json.dumps(about))
        for before, after in zip(found, now, strict=True):
            assert before.name != after.name and before.key != after.key and before.weights != after.weights
        assert now[0].weights_found.sha256 == found[0].weights_found.sha256
    assert cpu("timm:test_vit").weights_found.configuration == ""  # a name of timm's own list says all of it


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".pth", marks=pytest.mark.slow)])
def test_a_file_of_ones_own_is_read_whatever_its_classes(folder, tmp_path, suffix):
    state = timm.create_model(VIT, num_classes=2, img_size=64).state_dict()
    path = tmp_path / f"{VIT}-kidney{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    (tmp_path / f"{VIT}2.pth").touch()  # of another network
    feature = cpu(f"timm:{VIT}", str(tmp_path))
    assert feature.name.startswith(f"timm_{VIT}.kidney-") and feature == cpu(f"timm:{VIT}", path)
    net, images = by_hand(VIT, {key: value for key, value in state.items() if "head" not in key}, img_size=64)
    with torch.no_grad():
        assert_close(feature.transform(PIXELS), net(images))


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file(timm.create_model(CNN, num_classes=0).state_dict(), tmp_path / "other.safetensors")
    feature = cpu(f"timm:{VIT}", tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors does not fit timm's test_vit: Missing key\(s\)"):
        feature.transform(PIXELS)
    state = {"patch_embed.proj.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "torn.pth")
    with pytest.raises(WeightsError, match=r"torn\.pth does not fit timm's test_vit"):
        cpu(f"timm:{VIT}", tmp_path / "torn.pth").transform(PIXELS)


class Answer:
    def __init__(self, status):
        self.status_code = status


def failing(monkeypatch, error):
    asked = []

    def fail(repository, file, **options):
        asked.append((repository, file))
        raise error

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *args, **options: None)
    return asked


def test_a_gated_model_says_where_its_licence_is_accepted(monkeypatch):
    error = OSError("403 Client Error")
    error.response = Answer(403)
    asked = failing(monkeypatch, error)
    with pytest.raises(WeightsError) as caught:
        cpu("timm:hf-hub:MahmoodLab/UNI", "imagenet", side=224)
    assert str(caught.value) == (
        "timm:hf-hub:MahmoodLab/UNI is not open to you, or does not exist: accept its licence at "
        f"{hub.constants.ENDPOINT}/MahmoodLab/UNI, then give a token of your account, with hf auth login or in HF_TOKEN"
    )
    assert asked == [("MahmoodLab/UNI", "config.json")]


def test_without_a_connection_the_file_and_the_other_ways_are_named(monkeypatch):
    failing(monkeypatch, urllib.error.URLError("no route to host"))
    said = (
        r"^model.safetensors of timm:test_vit could not be downloaded \(<urlopen error no route to host>\): run once "
        rf"with a connection to {hub.constants.ENDPOINT}/timm/test_vit.r160_in1k, or pass --weights FOLDER with such a "
    )
    with pytest.raises(WeightsError, match=said):
        cpu("timm:test_vit", "imagenet")
    said = (
        "config.json of timm:hf-hub:MahmoodLab/UNI could not be downloaded (<urlopen error no route to host>): run "
        f"once with a connection to {hub.constants.ENDPOINT}/MahmoodLab/UNI, or put its files into a folder and name "
        "that, timm:local-dir:FOLDER"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(said)}$"):
        cpu("timm:hf-hub:MahmoodLab/UNI", "none")
    found = cpu("timm:test_vit", "auto")
    assert found.weights.startswith("random (seed 0)") and found == cpu("timm:test_vit")


def test_what_is_cached_is_not_asked_for(folder, monkeypatch):
    asked = failing(monkeypatch, OSError("no network"))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda repository, file, **_: str(folder / file))
    feature = cpu("timm:test_vit", "imagenet", side=64)
    assert feature.name.startswith("timm_test_vit.r160_in1k-") and not asked
    assert feature.note(64) == "its weights were made for images of 160 px, and these are of 64 px"
    assert feature.transform(PIXELS).shape == (3, 64)


LATER = [pytest.param(model, marks=pytest.mark.slow) for model in ("test_resnet", "test_vit3", "vit_tiny_patch16_384")]


@pytest.mark.parametrize("model", ["test_vit", "test_efficientnet", *LATER])
def test_size_and_filter_are_those_of_the_configuration_of_timm(model, tmp_path, monkeypatch):
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *args, **_: str(tmp_path / "model.safetensors"))
    about = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(model).to_dict())
    side = about["input_size"][-1]
    feature = make_feature(f"timm:{model}", device="cpu")
    assert feature.reads == (side, about["interpolation"]) and feature.made_for == side != 224
    assert feature.outline(side).columns > 0
    said = f"reads images of {side} px, {about['interpolation']}, as its weights' configuration says (--size N sets"
    assert feature.note(224).startswith(said)
    assert cpu(f"timm:{model}", "imagenet").reads is None
    random = make_feature(f"timm:{model}", "none", device="cpu")
    assert random.reads is None and random.outline(224).columns > 0 and random.note(224) == ""


def test_where_random_weights_must_do_no_configuration_is_followed(monkeypatch):
    failing(monkeypatch, OSError("no network"))
    found = make_feature("timm:test_vit", "auto", device="cpu")
    assert found.reads is None and found == make_feature("timm:test_vit", "none", device="cpu")
    assert dict(found.build.args)["img_size"] == 224


def test_a_filter_that_is_not_known_is_not_claimed(folder):
    about = json.loads((folder / "config.json").read_text())
    about["pretrained_cfg"]["interpolation"] = "random"
    (folder / "config.json").write_text(json.dumps(about))
    feature = make_feature(f"timm:local-dir:{folder}", device="cpu")
    assert view_of(feature, Preprocess(96, "zero")) == Preprocess(64, "zero", "lanczos")
    assert feature.note(96).startswith("reads images of 64 px, as its weights' configuration says")


def test_a_pathology_model_is_built_as_its_page_says(tmp_path, monkeypatch):
    config = {"input_size": [3, 224, 224], "fixed_input_size": True, "num_classes": 0, "mean": [0.2] * 3}
    about = {"architecture": VIT, "pretrained_cfg": config, "model_args": {"num_classes": 0}}
    (tmp_path / "config.json").write_text(json.dumps(about))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda repository, file, **_: str(tmp_path / file))
    monkeypatch.setattr(hub, "hf_hub_download", lambda *args, **options: pytest.fail("what is cached was asked for"))
    feature = cpu("timm:hf-hub:paige-ai/Virchow2", side=32)
    assert feature.name.startswith("timm_paige-ai_Virchow2.random-") and feature.name.endswith("@class+mean")
    net = feature.build(feature.model, feature.weights_found, None)
    assert isinstance(net.blocks[0].mlp.act, torch.nn.SiLU) and type(net.blocks[0].mlp).__name__ == "GluMlp"
    rows = feature.transform(PIXELS[:, :32, :32])
    assert rows.shape == (3, 2 * 64)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    fetched = cpu("timm:hf-hub:paige-ai/Virchow2", "imagenet", side=32)
    assert fetched.name.startswith("timm_paige-ai_Virchow2.hub-") and fetched.note(32).endswith("these are of 32 px")
    assert np.array_equal(fetched.transform(PIXELS[:, :32, :32]), rows)
    assert cpu("timm:hf-hub:bioptimus/H-optimus-0", side=32).weights_found.mean == CARDS["bioptimus/h-optimus-0"].mean
    for card in CARDS.values():
        assert set(dict(card.args)) <= module.ARGUMENTS


def test_a_convolutional_network_can_be_looked_into_and_a_transformer_cannot():
    cnn = cpu(f"timm:{CNN}")
    maps = inside_feature(cnn, np.random.default_rng(0).normal(size=cnn.outline(64).columns), PIXELS, [1, 0, 1]).maps
    assert maps.shape[0] == 3 and maps.max() == 255
    with pytest.raises(InsideError, match="the network keeps tokens and no picture: there is nothing to draw over"):
        inside_feature(cpu(f"timm:{VIT}"), np.ones(64), PIXELS, [1, 0, 1])


@pytest.mark.parametrize(
    "plain",
    [
        {"source": "x", "architecture": "hf-hub:some/one", "args": {}},
        {"source": "x", "architecture": VIT, "args": {"pretrained_cfg": "x"}},
        {"source": "x", "architecture": VIT, "args": {"checkpoint_path": "/etc/passwd"}},
        {"source": "x", "architecture": VIT, "args": {"img_size": {"a": 1}}},
    ],
)
def test_a_bundle_of_a_stranger_hands_no_path_to_a_constructor(plain):
    with pytest.raises(ValueError, match=r"no network of timm|not plain"):
        from_plain(plain)
    assert from_plain(TimmNet(VIT, (("img_size", 64),), VIT).plain).args == (("img_size", 64),)


@pytest.mark.slow
def test_a_study_and_bundles_of_it(folder, phantom_folder, tmp_path, without_report):
    arguments = {"--features": [f"timm:local-dir:{folder}:mean"], "--heads": ["logreg"]}
    arguments |= {"--reducers": ["none"], "--size": ["64"], "--folds": ["2"], "--jobs": ["1"], "--inside": ["0"]}
    arguments |= {"--weights": ["auto"], "--cache": [str(tmp_path / "cache")], "--out": [str(tmp_path / "out")]}
    words = [word for name, values in arguments.items() for word in (name, *values)]
    with pytest.MonkeyPatch.context() as patch:
        failing(patch, OSError("no network"))
        assert compare.main([str(phantom_folder), *words, "--random-twin"]) == 0
        results = pd.read_csv(tmp_path / "out" / "results.csv").set_index("feature")["weights"].drop("none")
        assert sorted(text.split(" ")[0] for text in results) == ["folder", "random"]
        study = glomfeat.Study(
            data=str(phantom_folder), features=tuple(arguments["--features"]), heads=("logreg",), reducers=("none",),
            size=64, folds=2, jobs=1, inside=0, weights="auto", random_twin=True, cache=str(tmp_path / "cache"),
            out=str(tmp_path / "out"),
        )  # fmt: skip
        prepared = prepare(study, lambda line: None)
        said = []
        prepare(replace(study, size=96), said.append)
    assert "its weights were made for images of 64 px, and these are of 96 px" in said[-1]
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store, 1)
    images = extracted.manifest.table["path"].tolist()[:5]
    for feature, included in zip(prepared.features, (True, False), strict=True):
        made, place = refit_arm(prepared, extracted, f"{feature.name}/none/logreg"), tmp_path / feature.name
        expected = made.predict_proba(images)
        for where in (place, tmp_path / "with")[: 1 + included]:
            save_bundle(made, where, include_weights=where != place)
            loaded = glomfeat.load_bundle(where, device="cpu")
            assert np.array_equal(loaded.predict_proba(images), expected)
            assert np.array_equal(loaded.predict_proba(images[3:4]), expected[3:4])
    about = json.loads((place / "bundle.json").read_text())
    about["feature"]["weights"]["timm"]["args"]["cache_dir"] = "x"
    (place / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(BundleError, match="no network of timm"):
        glomfeat.load_bundle(place)


@pytest.mark.slow
def test_backbones_read_what_their_configurations_say_side_by_side(folder, phantom_folder, tmp_path):
    """A transformer of 64 px, its random twin, a network of torchvision and a feature without weights in one study."""
    own, small = f"timm:local-dir:{folder}", "squeezenet1_1"
    save_file(random_network(small).state_dict(), tmp_path / f"{small}.mine.safetensors")
    options = {"data": str(phantom_folder), "heads": ("logreg",), "reducers": ("none",), "folds": 2, "jobs": 1}
    study = glomfeat.Study(**options, cache=str(tmp_path / "cache"), out=str(tmp_path / "out"), random_twin=True)
    said = []
    prepared = prepare(replace(study, features=(own, "shortcut")), said.append)
    vit, shortcut, twin = prepared.features
    other = make_feature(small, tmp_path, device="cpu")
    prepared = replace(prepared, features=[shortcut, vit, other, twin])
    views = [view_of(feature, prepared.preprocess) for feature in prepared.features]
    bicubic = Preprocess(64, filter="bicubic")
    assert views == [Preprocess(224), bicubic, Preprocess(224, filter="bilinear"), bicubic]
    assert any(line.startswith(f"{vit.name}: reads images of 64 px, bicubic, as its weights'") for line in said)
    assert any(line.startswith(f"{twin.name}: reads images of 64 px, bicubic, as with its pre") for line in said)
    manifest, store = prepared.manifest, prepared.store
    found = extract(manifest, prepared.features, prepared.preprocess, store, 1)
    assert [*found.pixels] == views[:3]
    for feature, view in zip(prepared.features, views, strict=True):
        alone = extract(manifest, [feature], prepared.preprocess, Store(str(tmp_path / feature.name)), 1)
        np.testing.assert_array_equal(found.matrices[feature.name][:], alone.matrices[feature.name][:])
        assert found.keys[feature.name] == {**feature.key, **view.key} == alone.keys[feature.name]
        read = [view.read(Path(path).read_bytes()) for path in manifest.table["path"]]
        rows = feature.transform(*(np.stack(part) for part in zip(*read, strict=True)))
        np.testing.assert_array_equal(found.matrices[feature.name][:], rows)
