"""Batches that flow to a device: order, whose rows are whose, memory that does not suffice, and a GPU of shapes."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.gpus import Recording, on_a_gpu_of_shapes
from torch import nn

from glomfeat.features.base import FeatureError
from glomfeat.features.deep import network
from glomfeat.features.deep.cut import cut_classes
from glomfeat.features.deep.device import cards_of
from glomfeat.features.deep.flow import RING, Dealt, Flow
from glomfeat.features.deep.lanes import Here, Lanes
from glomfeat.features.deep.network import Deep, deep
from glomfeat.features.deep.normalised import Normalised
from glomfeat.features.deep.weights import Weights, random_network
from glomfeat.models.nets.network import Network

CPU = torch.device("cpu")


def means(images):
    return images.float().mean((2, 3))


def make_pixels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), np.uint8)


def flow_through(flow, parts):
    found = {}
    for k, part in enumerate(parts):
        flow.add(part, lambda rows, k=k: found.setdefault(k, rows))
    flow.finish()
    return [found[k] for k in range(len(parts))]


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("lanes", [Here, lambda device: Lanes(device, Recording())])
def test_each_shard_gets_its_own_rows_however_batches_cut_them(lanes, threads):
    parts = [make_pixels(n, n) for n in (3, 9, 1, 4, 2)]
    found = flow_through(Flow(means, lanes(CPU), 4, threads), parts)
    for rows, part in zip(found, parts, strict=True):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, part.mean((1, 2)), rtol=1e-6)


def test_a_batch_is_sent_before_the_one_before_it_is_waited_for_and_no_rows_wait_for_later_kernels():
    cuda = Recording()
    flow_through(Flow(means, Lanes(CPU, cuda), 2), [make_pixels(12)])
    place = {entry: k for k, entry in enumerate(cuda.log)}
    for batch in range(1, 7):
        came = place["waited", "back", batch]
        for later in range(batch + 1, min(batch + RING, 6 + 1)):
            assert place["work", "there", later] < came and place["work", "work", later] < came
        assert cuda.needed("back", batch) == {
            "there": set(range(1, batch + 1)),
            "work": set(range(1, batch + 1)),
            "back": set(range(1, batch + 1)),
        }
        assert cuda.needed("there", batch) == {"there": set(range(1, batch + 1)), "work": set(), "back": set()}


def test_no_more_batches_are_in_memory_than_the_ring_has():
    lanes, made = Here(CPU), []
    lanes.buffer = lambda shape: made.append(shape) or torch.empty(shape, dtype=torch.uint8)
    flow_through(Flow(means, lanes, 2), [make_pixels(40)])
    assert made == [(2, 4, 4, 3)] * RING


def test_memory_that_does_not_suffice_halves_the_batch_and_every_row_is_right():
    seen = []

    def hungry(images):
        seen.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return means(images)

    parts = [make_pixels(5, 1), make_pixels(9, 2)]
    flow = Flow(hungry, Here(CPU), 7)
    for rows, part in zip(flow_through(flow, parts), parts, strict=True):
        np.testing.assert_allclose(rows, part.mean((1, 2)), rtol=1e-6)
    assert seen[0] == 7 and set(seen[1:]) == {3} and flow.batch == 3


def test_shards_are_dealt_to_several_cards():
    flows = [Flow(means, Here(CPU), 4) for _ in range(2)]
    taken = [[], []]
    for flow, mine in zip(flows, taken, strict=True):
        flow.net = lambda images, mine=mine: mine.append(len(images)) or means(images)
    parts = [make_pixels(4, n) for n in range(4)]
    for rows, part in zip(flow_through(Dealt(flows), parts), parts, strict=True):
        np.testing.assert_allclose(rows, part.mean((1, 2)), rtol=1e-6)
    assert taken == [[4, 4], [4, 4]]


def test_all_cards_work_where_none_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cards_of(torch.device("cuda")) == [torch.device("cuda:0"), torch.device("cuda:1")]
    assert cards_of(torch.device("cuda:1")) == [torch.device("cuda:1")]
    assert cards_of(CPU) == [CPU]


def test_what_a_network_raises_ends_the_threads():
    before = threading.active_count()
    flow = Flow(lambda images: 1 / 0, Here(CPU), 2, threads=2)
    with pytest.raises(ZeroDivisionError):
        flow_through(flow, [make_pixels(4)])
    flow.close()
    assert threading.active_count() == before


def test_a_network_is_compiled_once_where_that_is_asked_for_and_rows_say_so(monkeypatch):
    made = []
    monkeypatch.setattr(torch, "compile", lambda net, dynamic: made.append(dynamic) or net)
    plain = Deep("own.v1", Weights("made", 64 * "0"), device="cpu", batch=2, build=lambda *_: nn.AvgPool2d(4))
    with pytest.raises(ValueError, match="compile needs a CUDA device, and this is cpu: leave it out"):
        replace(plain, compiled=True)
    compiled = replace(plain)
    object.__setattr__(compiled, "compiled", True)
    for n in (1, 5):
        assert np.array_equal(compiled.transform(make_pixels(n)), plain.transform(make_pixels(n)))
    assert made == [False]
    assert (compiled.name, compiled.key) == (f"{plain.name}+compiled", {**plain.key, "compiled": True})


@pytest.fixture
def card(monkeypatch):
    """A GPU of so many bytes, of which nothing but its size is asked."""
    size = SimpleNamespace(bytes=0)
    monkeypatch.setattr(network, "find_device", lambda *asked: torch.device("cuda"))
    monkeypatch.setattr(network, "card_bytes", lambda device: size.bytes)
    return size


@pytest.mark.parametrize(("gigabytes", "batch"), [(80, 1024), (10, 512), (6, 256), (1, 64), (0.01, 1)])
def test_the_card_decides_the_batch_which_is_in_the_key(card, gigabytes, batch):
    feature, card.bytes = deep("squeezenet1_1", "none", device="cuda"), int(gigabytes * 1e9)
    fitted = feature.within(None, 224)
    assert (fitted.batch, fitted.key["batch"], fitted.at_once(224)) == (batch, batch, batch)
    assert replace(feature, batch=48).within(None, 224).batch == 48  # as it was asked for
    assert fitted.outline(224).forward == RING * batch * 224**2 * 3  # of this process's memory


def test_shards_that_stream_are_stored_as_they_would_be_one_by_one(tmp_path, monkeypatch):
    from glomfeat.core.cache import Store
    from glomfeat.data.images.decode import Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.phantom import Phantom, make_phantom
    from glomfeat.features import extract

    folder = make_phantom(tmp_path / "images", Phantom(images=14, cases=4))
    manifest = read_manifest(folder)
    monkeypatch.setattr(extract, "plan_shards", lambda digests: np.split(np.arange(14), [3, 4, 11]))
    feature = Deep("own.v1", Weights("made", 64 * "0"), device="cpu", batch=4, build=lambda *_: nn.AvgPool2d(8))

    def extracted(name):
        found = extract.extract(manifest, [feature], Preprocess(16), Store(str(tmp_path / name)), 2)
        assert not found.failed
        return found.matrices[feature.name][:]

    alone = extracted("alone")
    passes = []
    monkeypatch.setattr(Deep, "streams", True)
    monkeypatch.setattr(Deep, "stream", lambda self, side, n: passes.append(n) or self._flow(*self._network, side, n))
    assert np.array_equal(extracted("together"), alone) and passes == [2]
    assert np.array_equal(extracted("together"), alone) and passes == [2]  # nothing is left to be described
    assert np.array_equal(extracted("alone"), alone) and passes == [2]

    monkeypatch.setattr(Deep, "_check", lambda self, rows: (_ for _ in ()).throw(FeatureError("it gives NaN")))
    found = extract.extract(manifest, [feature], Preprocess(16), Store(str(tmp_path / "nan")), 2)
    assert found.failed == {feature.name: "it gives NaN"} and not found.matrices


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["squeezenet1_1", "resnet18", "vit_b_32"])
def test_shards_that_stream_through_a_gpu_have_the_rows_of_the_processor(model):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    side = 224 if model.startswith("vit") else 64
    parts = [np.random.default_rng(n).integers(0, 256, (n, side, side, 3), np.uint8) for n in (5, 40, 1, 90)]
    feature, here = (replace(deep(model, "none", device=device), batch=32) for device in ("cuda", "cpu"))
    found = flow_through(feature.stream(side, 4), parts)
    again = flow_through(feature.stream(side, 1), parts)
    for rows, same, part in zip(found, again, parts, strict=True):
        wanted = here.transform(part)
        assert np.abs(rows - wanted).max() <= 1e-3 * np.abs(wanted).max()
        assert np.array_equal(rows, same) and np.array_equal(rows, feature.transform(part))


@pytest.mark.parametrize("name", ["compact", "baseline-6", "squeezenet1_1:frozen", "resnet18:finetune"])
def test_a_step_of_training_leaves_nothing_behind_on_the_processor(name):
    with torch.device("meta"):
        net = Network(name, side=64, precision="float32")
    logits = on_a_gpu_of_shapes(net.train(), lambda: torch.zeros(2, 64, 64, 3, dtype=torch.uint8), training=True)
    assert logits.device.type == "cuda" and logits.dtype == torch.float32 and logits.requires_grad


@pytest.mark.parametrize("model", ["squeezenet1_1", "shufflenet_v2_x0_5", "vit_b_32"])
def test_a_forward_pass_leaves_nothing_behind_on_the_processor(model):
    with torch.device("meta"):
        net = cut_classes(random_network(model))
    net = Normalised(net, (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), torch.bfloat16).eval()
    rows = on_a_gpu_of_shapes(net, lambda: torch.zeros(2, 3, 224, 224, dtype=torch.uint8))
    assert rows.device.type == "cuda" and rows.dtype == torch.float32 and len(rows) == 2


def test_a_tensor_that_was_left_behind_is_found():
    class Careless(nn.Module):
        def forward(self, images):
            return means(images) + torch.ones(3, device="cpu")

    with pytest.raises(RuntimeError, match="device"):
        on_a_gpu_of_shapes(Careless(), lambda: torch.zeros(2, 3, 4, 4))
