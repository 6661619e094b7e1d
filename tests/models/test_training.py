"""Training: what is learned, what is left alone, what repeats, and what happens when memory runs out."""

import contextlib
import copy
import math
import pickle
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.core.errors import InputError
from glomfeat.core.seeds import seed_for
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.deep import device
from glomfeat.models.nets import ARCHITECTURES, Recipe, batches, make, make_net, network, steps, timing, training
from glomfeat.models.nets.batches import Batches, Rows, in_advance, pixel_moments
from glomfeat.models.nets.cost import training_cost
from glomfeat.models.nets.network import Network
from glomfeat.models.nets.pace import Average, rates
from glomfeat.models.nets.recipes import applying
from glomfeat.models.nets.repeating import reproducible
from glomfeat.models.nets.state import StateError, state_from_safetensors, state_to_safetensors

TRAIN, VALID = np.arange(16), np.arange(16, 24)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_images(n=24, side=16, classes=2, signal=40, seed=0):
    """Noise whose stripes lie in one direction per class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    down, across = np.mgrid[:side, :side]
    waves = np.stack([np.sin(down), np.sin(across), np.sin(down + across)])
    pixels = 128 + signal * waves[y][..., None] + rng.normal(0, 20, (n, side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8), y


def quick(name="compact", **settings):
    settings = {"side": 16, "epochs": 3, "batch": 8, "device": "cpu", "weights": "none", **settings}
    return make_net(name, **settings)


class Recorder:
    """An array that can only be read by integer arrays, and remembers which rows were."""

    def __init__(self, array):
        self.array, self.reads = array, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray)
        self.reads.append(rows)
        return self.array[rows]


LEARNERS = [*ARCHITECTURES, "resnet18:finetune", "squeezenet1_1:finetune", "resnet18:frozen"]
SOON = ["compact", "squeezenet1_1:finetune"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SOON else [pytest.mark.slow]) for name in LEARNERS]
)
def test_every_network_learns_sixteen_phantom_images(name, phantom_folder):
    side = 32 if ":" in name else 16
    files = [sorted(folder.glob("*.png"))[:8] for folder in sorted(phantom_folder.iterdir()) if folder.is_dir()]
    pixels = np.stack([Preprocess(side).read(path.read_bytes())[0] for paths in files for path in paths])
    y = np.repeat([0, 1], 8)
    epochs = 60 if name.endswith("finetune") else 80
    net = quick(name, side=side, epochs=epochs, lr=2e-3, batch=16, augment=False, weight_decay=0.0)
    assert log_loss(y, net.fit(pixels, y).predict_proba(pixels)) < 0.05


def test_the_same_seed_gives_the_same_scores_and_leaves_the_world_alone():
    pixels, y = make_images()
    world = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    first = quick("homemade-128", seed=1).fit(pixels, y).predict_proba(pixels)
    assert torch.equal(world[0], torch.get_rng_state())
    assert world[1] == torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(99)
    net = quick("homemade-128", seed=1)
    np.testing.assert_array_equal(net.fit(pixels, y).predict_proba(pixels), first)
    np.testing.assert_array_equal(net.fit(pixels, y).predict_proba(pixels), first)
    np.testing.assert_array_equal(clone(net).fit(pixels, y).predict_proba(pixels), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(pixels), first)
    assert not np.array_equal(quick("homemade-128", seed=2).fit(pixels, y).predict_proba(pixels), first)


@pytest.mark.parametrize("name", ["compact", "squeezenet1_1:frozen"])
def test_bfloat16_is_near_repeats_itself_says_so_and_rounds_no_logit(monkeypatch, name):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: True)
    pixels, y = make_images(side=32)
    settings = {"side": 32, "epochs": 2, "augment": False}
    exact = quick(name, **settings).fit(pixels, y)
    half, again = (quick(name, precision="bfloat16", **settings).fit(pixels, y) for _ in range(2))
    np.testing.assert_array_equal(half.predict_proba(pixels), again.predict_proba(pixels))
    assert not np.array_equal(half.predict_proba(pixels), exact.predict_proba(pixels))
    np.testing.assert_allclose(half.predict_proba(pixels), exact.predict_proba(pixels), atol=0.1)
    note = "the network computed in bfloat16, but for its last layer"
    assert note in half.notes_ and note not in exact.notes_
    logits = half.forward(pixels)
    assert logits.dtype == torch.float32 and (logits != logits.bfloat16().float()).float().mean() > 0.8
    # what learnt in float32 differs where it computes in bfloat16
    before = exact.forward(pixels)
    exact.module_.precision = "bfloat16"
    assert not torch.equal(exact.forward(pixels), before)


def test_a_network_that_learnt_in_bfloat16_on_a_gpu_scores_in_float32_as_a_processor_does(monkeypatch):
    """The GPU is stood in for by a processor that computes in bfloat16."""
    pixels, y = make_images(side=32)
    settings = {"side": 32, "epochs": 2, "augment": False, "precision": "auto"}
    plain = quick("compact", **settings).fit(pixels, y, train=TRAIN, valid=np.arange(16, 20))
    with monkeypatch.context() as patch:
        patch.setattr(network, "learns_faster_in_bfloat16", lambda device: True)
        net = quick("compact", **settings).set_params(again=0).fit(pixels, y, train=TRAIN, valid=np.arange(16, 20))
        there = net.predict_proba(pixels)
        frozen = quick("squeezenet1_1:frozen", side=32).fit(pixels, y)
    assert "the network learnt in bfloat16, but for its last layer, and scored in float32" in net.notes_
    assert not any("bfloat16" in note for note in plain.notes_ + frozen.notes_)
    assert not np.allclose(there, plain.predict_proba(pixels), atol=1e-5), "it has learnt otherwise"
    np.testing.assert_array_equal(net.predict_proba(pixels), there)
    np.testing.assert_array_equal(net.valid_scores_, net.predict_proba(pixels, rows=np.arange(16, 20)))
    logits = net.forward(pixels)
    net.module_.precision = "float32"
    assert torch.equal(net.forward(pixels), logits)


@pytest.mark.parametrize(("device", "card"), [("cuda:0", 0), ("cuda:2", 2), ("cuda", 1)])
def test_the_random_state_of_the_card_that_is_named_is_left_untouched(monkeypatch, device, card):
    left = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: left.extend(devices) or contextlib.nullcontext())
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # so that it is not set for the tests after this one
    with reproducible(device):
        pass
    assert left == [card]


def test_a_processor_without_bfloat16_trains_no_network_in_it(monkeypatch):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: False)
    with pytest.raises(InputError, match=r"^precision bfloat16 needs a CUDA device, or a processor .* take float32$"):
        quick("compact", precision="bfloat16")
    assert quick("compact", precision="auto").device == "cpu"


@pytest.mark.parametrize("name", ["compact", "squeezenet1_1:lora"])
def test_only_the_steps_of_training_are_compiled_once_a_network_and_rows_say_so(monkeypatch, name):
    made = []

    def compiled(part, dynamic, options):
        calls = []
        made.append((dynamic, calls))
        return lambda images: calls.append(len(images)) or part(images)

    pixels, y = make_images(n=20, side=32)
    eager = quick(name, side=32).fit(pixels, y, train=TRAIN, valid=np.arange(16, 20))
    monkeypatch.setattr(torch, "compile", compiled)
    net = quick(name, side=32).set_params(steps_compiled=True).fit(pixels, y, train=TRAIN, valid=np.arange(16, 20))
    np.testing.assert_array_equal(net.predict_proba(pixels), eager.predict_proba(pixels))
    ((dynamic, calls),) = made
    epochs, again = (net.params_[name] for name in ("epochs", "then on all"))
    assert not dynamic and calls == [8, 8] * (epochs + again) and net.module_.fast is None
    note = "the steps of training were compiled"
    assert note in net.notes_ and note not in eager.notes_
    small = quick(name, side=32, epochs=1, batch=32).set_params(steps_compiled=True).fit(pixels, y)
    assert note not in small.notes_, "there was no whole batch"


@pytest.mark.parametrize(("slower", "exact"), [(0.1, True), (0.374, False)])
def test_deterministic_algorithms_are_given_up_where_they_cost_more_than_a_tenth_and_rows_say_so(
    monkeypatch, slower, exact
):
    pixels, y = make_images(n=20, side=32)
    monkeypatch.setattr(training, "cost_of_repeating", lambda net: slower)
    used, step = set(), training.NetClassifier._step

    def seen(net, *given):
        used.add(torch.are_deterministic_algorithms_enabled())
        return step(net, *given)

    monkeypatch.setattr(training.NetClassifier, "_step", seen)
    net = quick("compact", side=32, epochs=1).fit(pixels, y)
    assert used == {exact}
    note = "not deterministic on cpu: deterministic algorithms would take 37% longer"
    assert (note in net.notes_) is not exact


def test_the_cost_of_deterministic_algorithms_is_measured_on_a_card_once_for_each_network(monkeypatch):
    took = []

    def seconds(net, what):
        what()
        took.append(torch.are_deterministic_algorithms_enabled())
        return 3.0 if took[-1] else 2.0 + len(took) % 2

    monkeypatch.setattr(timing, "seconds", seconds)
    monkeypatch.setattr(timing, "_COSTS", {})
    net, other, frozen = (quick(name, side=32) for name in ("compact", "squeezenet1_1:lora", "squeezenet1_1:frozen"))
    assert timing.cost_of_repeating(net) == 0.0 and took == [], "a processor"
    monkeypatch.setattr(timing, "on_card", lambda net: True)
    assert timing.cost_of_repeating(net) == timing.cost_of_repeating(net) == 0.5
    assert took == [True] * 5 + [False] * 5, "the first step of each is not counted"
    assert not hasattr(net, "module_")
    assert timing.cost_of_repeating(other) == 0.5 and len(took) == 20
    assert timing.cost_of_repeating(frozen) == 0.0 and len(took) == 20, "its backbone is passed through once"


@pytest.mark.parametrize(("name", "anew"), [("compact", False), ("squeezenet1_1:lora", True)])
def test_the_plan_times_compiled_steps_of_whole_batches_and_counts_their_compilation(monkeypatch, name, anew):
    calls = []

    def compiled(part, dynamic, options):
        def fast(images):
            calls.append(len(images))
            time.sleep(0.5 * (len(calls) == 1))
            return part(images)

        return fast

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(network, "_COMPILED", {})
    monkeypatch.setattr(make, "find_device", lambda *given: torch.device("cpu"))
    given = {"side": 32, "batch": 12, "epochs": 2, "device": "cpu", "weights": "none"}
    found = training_cost(name, 100, compile=True, **given)
    assert set(calls) == {12}
    assert 0.3 < (found.once_s if anew else found.compile_s) < 5 and found.epoch_s > 0
    assert (found.compile_s if anew else found.once_s) == 0
    plain = training_cost(name, 100, **given)
    assert plain.compile_s == plain.once_s == 0 and len(calls) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "times"),
    [("compact", [1, 0]), ("timm:test_vit:finetune", [1, 0]), ("squeezenet1_1:lora", [1, 1]), ("own", [1, 1])],
)
def test_compiled_steps_learn_the_same_and_what_is_compiled_is_used_again(monkeypatch, name, times):
    from torch._dynamo.backends.debugging import aot_eager  # needs no compiler of C++, and takes no options

    made, found, really = [], [], torch.compile
    once = partial(really, backend=lambda graph, given: made.append(graph) or aot_eager(graph, given))
    monkeypatch.setattr(torch, "compile", lambda part, dynamic, options: once(part, dynamic=dynamic))
    monkeypatch.setattr(network, "_COMPILED", {})
    name = f"{__name__}:make_mine" if name == "own" else name
    pixels, y = make_images(n=22, side=32)
    for seed in (0, 1):
        eager, net = (quick(name, side=32, seed=seed) for _ in range(2))
        net.set_params(steps_compiled=True)
        before = len(made)
        fitted = [one.fit(pixels, y, train=TRAIN, valid=np.arange(16, 22)) for one in (eager, net)]
        scores = [one.predict_proba(pixels) for one in fitted]
        np.testing.assert_allclose(*scores, atol=1e-4)
        assert np.ptp(scores[0][:, 1]) > 0.01, "it has learnt something"
        found.append(len(made) - before)
    assert found == times


def test_steps_are_compiled_on_a_gpu_alone_and_for_what_is_trained_in_epochs():
    with pytest.raises(InputError, match=r"^compile needs a CUDA device, and this is cpu: leave it out$"):
        quick("compact", compile=True)
    assert applying("compact", {"compile": True}) == {"compile": True}
    assert applying("resnet18:frozen", {"compile": True}) == {}


def test_each_source_of_chance_has_its_own_seed(monkeypatch):
    pixels, y = make_images()
    plain = quick().fit(pixels, y).predict_proba(pixels)
    for changed in ("init", "shuffle", "dropout", "augment"):
        with monkeypatch.context() as patch:
            for module in (training, steps):
                patch.setattr(module, "seed_for", lambda root, name, c=changed: seed_for(root, name) + (name == c))
            other = quick().fit(pixels, y).predict_proba(pixels)
        assert not np.array_equal(plain, other), changed


@pytest.mark.parametrize("augment", [False, True])
def test_frozen_stays_frozen(augment):
    pixels, y = make_images(side=32)
    net = quick("resnet18:frozen", side=32, augment=augment)
    net.initialize()
    start = training.load_backbone(net.module_.net, "none")
    before = {key: value.clone() for key, value in net.module_.state_dict().items() if "backbone" in key}
    net.fit(pixels, y, train=TRAIN, valid=VALID)
    after = net.module_.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert any(key.endswith("running_mean") for key in before)
    assert not net.module_.net.backbone.training
    assert (net.n_trainable_, net.weights_) == (1026, start.said)
    assert net.weights_.startswith("random")


@pytest.mark.parametrize("again", [0.0, 0.4])
def test_keeping_the_features_of_a_frozen_backbone_changes_nothing(monkeypatch, again):
    pixels, y = make_images(side=32)
    settings = {"side": 32, "converge": False, "again": again}
    fast = quick("squeezenet1_1:frozen", **settings).fit(pixels, y, train=TRAIN, valid=VALID)
    monkeypatch.setattr(training, "KEPT_FEATURES_BYTES", 0)
    slow = quick("squeezenet1_1:frozen", **settings).fit(pixels, y, train=TRAIN, valid=VALID)
    np.testing.assert_allclose(fast.predict_proba(pixels), slow.predict_proba(pixels), rtol=1e-5)
    assert len(fast.curves_) == len(slow.curves_) == (5 if again else 3)


@pytest.mark.parametrize(("classes", "class_weight"), [(2, None), (2, "balanced"), (3, "balanced")])
def test_a_frozen_network_is_a_converged_logistic_regression_with_a_chosen_penalty(classes, class_weight):
    pixels, y = make_images(66, side=32, signal=8, classes=classes)
    train, test = np.arange(48), np.arange(48, 66)
    inner = [(np.arange(16, 48), np.arange(16)), (np.arange(16), np.arange(16, 48))]
    net = quick("squeezenet1_1:frozen", side=32, class_weight=class_weight, classes=classes)
    chosen = net.fit_converged(pixels, np.where(np.arange(66) < 48, y, -7), train, inner, calibration="platt")
    with torch.no_grad():
        features = net.module_.eval().describe(torch.from_numpy(pixels)).numpy().astype(float)
    linear = LogisticRegression(class_weight=class_weight, max_iter=5000, tol=1e-7)
    wanted = make_pipeline(StandardScaler(), linear).set_params(**chosen.params).fit(features[train], y[train])
    np.testing.assert_allclose(net.predict_proba(pixels[test]), wanted.predict_proba(features[test]), atol=2e-3)
    assert np.ptp(wanted.predict_proba(features[test])) > 0.2
    assert chosen.estimator is net and net.params_ == chosen.params and net.curves_ == []
    assert net.n_learnt_ == 48 and chosen.calibration.kind == "platt"
    parts = [wanted.fit(features[fit], y[fit]).predict_proba(features[held]) for fit, held in inner]
    of_inner = np.concatenate(parts)
    np.testing.assert_allclose(chosen.inner_scores, of_inner[:, 1] if classes == 2 else of_inner, atol=2e-3)


def test_a_class_that_a_frozen_network_has_not_seen_scores_nothing():
    pixels, y = make_images(24, side=32, classes=3)
    net = quick("squeezenet1_1:frozen", side=32, classes=3).fit(pixels, y, train=np.flatnonzero(y != 1))
    scores = net.predict_proba(pixels)
    assert (scores[:, 1] == 0).all() and (scores.argmax(axis=1) == y)[y != 1].all()


def test_a_frozen_network_fits_by_itself_and_refuses_what_it_cannot():
    pixels, y = make_images(side=32)
    alone = quick("squeezenet1_1:frozen", side=32).fit(pixels, y)
    assert (alone.params_, alone.n_learnt_) == ({}, 24)
    judged = quick("squeezenet1_1:frozen", side=32).fit(pixels, y, train=TRAIN, valid=VALID)
    assert (list(judged.params_), judged.n_learnt_) == (["logisticregression__C"], 24)
    with pytest.raises(ValueError, match="overlap"):
        alone.fit(pixels, y, train=TRAIN, valid=TRAIN[:3])
    with pytest.raises(ValueError, match="converge is True and so is augment"):
        quick("squeezenet1_1:frozen", converge=True, augment=True)
    augmented = quick("squeezenet1_1:frozen", side=32, augment=True).fit(pixels, y)
    assert augmented.params_ == {"epochs": 3} and len(augmented.curves_) == 3


def reference(net, pixels, y, epochs, rates, over, decay):
    """Training as it is said to be, by hand: AdamW on matrices, Adam on vectors, and a mean of states."""
    module = net.module_
    apart = [[p for p in module.parameters() if (p.ndim > 1) == matrices] for matrices in (True, False)]
    groups = [{"params": apart[0], "weight_decay": decay}, {"params": apart[1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    kept, step = {}, 0
    for epoch in range(epochs):
        order = np.random.default_rng([seed_for(net.seed, "shuffle"), epoch]).permutation(len(y))
        for rows in np.split(order, range(8, len(y), 8)):
            rows = np.sort(rows)
            for group in optimizer.param_groups:
                group["lr"] = net.lr * rates[step]
            optimizer.zero_grad()
            logits = module.train()(torch.from_numpy(pixels[rows]))[:, 0]
            target = torch.from_numpy(y[rows]).float()
            torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
            module.add_penalty_gradient()
            optimizer.step()
            step += 1
            part = 1 / min(step, over)
            for name, value in module.state_dict().items():
                now = value.clone().double()
                kept[name] = (1 - part) * kept[name] + part * now if name in kept else now
    return kept


@pytest.mark.parametrize(("average", "decay"), [(0.4, 0.5), (0.0, 0.0)])
def test_training_is_adamw_on_a_schedule_and_keeps_an_average(average, decay):
    pixels, y = make_images()
    settings = {"augment": False, "again": 0, "average": average, "weight_decay": decay, "epochs": 3, "batch": 8}
    net = quick("C4-BN-MP-F-D8-BN-out", **settings, recipe=Recipe(), lr=0.02).fit(pixels, y)
    other = quick("C4-BN-MP-F-D8-BN-out", **settings, recipe=Recipe(), lr=0.02).initialize()
    other.module_.normalise_by(*pixel_moments(pixels, np.arange(24)))
    wanted = reference(other, pixels, y, 3, rates(9), max(1, average * 9), decay)
    for name, value in net.module_.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value.double(), wanted[name], rtol=1e-3, atol=1e-4)


def test_the_rate_rises_and_falls_and_small_trainings_get_one_too():
    whole = rates(100)
    assert np.argmax(whole) == 4 and whole[4] == 1 and (np.diff(whole[4:]) < 0).all() and 0 < whole[-1] < 1e-3
    np.testing.assert_allclose(whole[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    assert abs(whole.mean() - 0.5) < 0.03
    for n in (1, 2, 3):
        assert (rates(n) > 0).all() and rates(n).max() <= 1 and len(rates(n)) == n


def test_an_average_is_shown_in_place_and_taken_away_again():
    live = [torch.tensor([0.0]), torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)]
    average = Average(live, over=2)
    for value in (1.0, 2.0, 4.0):
        for tensor in live:
            tensor.fill_(value)
        average.add()
    for wanted in (2.75, 4.0):  # the mean of 1 and 2, half of the way to 4; then what was live
        with average.in_place() if wanted == 2.75 else contextlib.nullcontext():
            assert all((tensor == wanted).all() for tensor in live)
    assert live[1].is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert live[0].item() == 4.0


def test_vectors_do_not_decay():
    net = quick("C4-BN-MP-F-D8-out").initialize()
    decayed = {id(p) for group in net.optimizer_.param_groups if group["weight_decay"] for p in group["params"]}
    named = dict(net.module_.named_parameters())
    assert {name for name, p in named.items() if id(p) in decayed} == {"net.0.weight", "net.5.weight", "net.7.weight"}
    assert sum(len(group["params"]) for group in net.optimizer_.param_groups) == len(named)
    papers = quick("C4-BN-MP-F-D8-out", preset="paper").initialize().optimizer_
    assert (type(papers), len(papers.param_groups)) == (torch.optim.Adam, 1)


def test_inner_valid_rows_are_scored_before_they_are_learnt():
    pixels, y = make_images(signal=10)
    net = quick().fit(pixels, y, train=TRAIN, valid=VALID[::-1])
    assert [curve["learns"] for curve in net.curves_] == ["fit"] * 3 + ["all"] * 2
    assert (net.params_, net.n_learnt_) == ({"epochs": 3, "then on all": 2}, 24)
    before = quick(again=0).fit(pixels, y, train=TRAIN, valid=VALID)
    np.testing.assert_array_equal(net.valid_scores_, before.valid_scores_[::-1])
    np.testing.assert_array_equal(before.valid_scores_, before.predict_proba(pixels, rows=VALID))
    assert roc_auc_score(y[VALID], before.valid_scores_[:, 1]) == net.curves_[2]["inner_valid_auroc"]
    assert math.isclose(log_loss(y[VALID], before.valid_scores_), net.curves_[2]["inner_valid_loss"], rel_tol=1e-5)
    assert math.isnan(net.curves_[3]["inner_valid_loss"])
    assert not np.array_equal(net.predict_proba(pixels), before.predict_proba(pixels))
    other = y.copy()
    other[VALID] = 1 - other[VALID]
    taught = quick().fit(pixels, other, train=TRAIN, valid=VALID[::-1])
    np.testing.assert_array_equal(taught.valid_scores_, net.valid_scores_)
    assert not np.array_equal(taught.predict_proba(pixels), net.predict_proba(pixels))


def test_no_epoch_is_chosen_by_the_inner_valid_rows():
    pixels, y = make_images(signal=10)
    plain = quick(again=0).fit(pixels, y, train=TRAIN)
    blackened, other = pixels.copy(), y.copy()
    blackened[VALID], other[VALID] = 0, 1 - y[VALID]
    judged = quick(again=0).fit(blackened, other, train=TRAIN, valid=VALID)
    for mine, wanted in zip(judged.module_.state_dict().values(), plain.module_.state_dict().values(), strict=True):
        assert torch.equal(mine, wanted)


@pytest.mark.parametrize("name", ["compact", "baseline-9"])
def test_the_papers_preset_is_plain_adam_and_keeps_the_last_state(name):
    pixels, y = make_images(40)
    settings = {"preset": "paper", "augment": False, "weight_decay": 0.01, "lr": 1e-3}
    net = quick(name, **settings).fit(pixels, y, train=TRAIN, valid=VALID)
    assert (net.params_, net.n_learnt_, len(net.curves_)) == ({"epochs": 3}, 16, 3)
    with torch.random.fork_rng():
        other = quick(name, **settings).initialize()
        module = other.module_
        module.normalise_by(*pixel_moments(pixels, TRAIN))
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
        torch.manual_seed(seed_for(0, "dropout"))
        for epoch in range(3):
            order = np.random.default_rng([seed_for(0, "shuffle"), epoch]).permutation(16)
            for rows in (np.sort(order[:8]), np.sort(order[8:])):
                optimizer.zero_grad()
                logits = module.train()(torch.from_numpy(pixels[rows]))[:, 0]
                target = torch.from_numpy(y[rows]).float()
                torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
                module.add_penalty_gradient()
                optimizer.step()
    for mine, wanted in zip(net.module_.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)


def test_only_labels_of_the_given_rows_matter():
    pixels, y = make_images(40)
    wanted = quick().fit(pixels, y, train=TRAIN, valid=VALID)
    garbage = np.where(np.arange(40) < 24, y, -7)
    other = quick().fit(pixels, garbage, train=TRAIN[::-1], valid=VALID)
    np.testing.assert_array_equal(wanted.predict_proba(pixels), other.predict_proba(pixels))
    judged = y.copy()
    judged[VALID] = 1 - judged[VALID]
    learned = quick(again=0).fit(pixels, judged, train=TRAIN, valid=VALID)
    plain = quick(again=0).fit(pixels, y, train=TRAIN)
    np.testing.assert_array_equal(learned.predict_proba(pixels), plain.predict_proba(pixels))


def test_pixels_are_read_in_batches_of_the_given_rows():
    pixels, y = make_images(40)
    store = Recorder(pixels)
    net = quick(batch=4).fit(store, y, train=TRAIN, valid=VALID)
    assert set(np.concatenate(store.reads)) == {*TRAIN, *VALID}
    assert max(map(len, store.reads)) <= 16  # blocks of the mean and deviation, else batches
    assert np.mean([len(rows) for rows in store.reads]) < 6
    assert all((np.diff(rows) > 0).all() for rows in store.reads)
    store.reads.clear()
    scores = net.predict_proba(store, rows=np.array([33, 2]))
    assert [rows.tolist() for rows in store.reads] == [[33, 2]]
    np.testing.assert_allclose(scores, net.predict_proba(pixels)[[33, 2]], rtol=1e-4)
    np.testing.assert_array_equal(net.predict_proba(store), net.predict_proba(pixels))


def test_pixels_may_be_a_memory_map(tmp_path):
    pixels, y = make_images()
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    wanted = quick().fit(pixels, y).predict_proba(pixels)
    np.testing.assert_array_equal(quick().fit(mapped, y).predict_proba(mapped), wanted)


def test_scores_hardly_depend_on_the_batch():
    pixels, y = make_images()
    net = quick(epochs=2).fit(pixels, y)
    together = net.predict_proba(pixels)
    apart = np.concatenate([net.predict_proba(pixels[i : i + 1]) for i in range(len(pixels))])
    np.testing.assert_allclose(together, apart, rtol=1e-4)


def test_normalisation_is_of_training_pixels_only():
    pixels, y = make_images()
    pixels[VALID] = 0
    mean, std = pixel_moments(pixels, TRAIN)
    assert math.isclose(mean, pixels[TRAIN].mean() / 255)
    assert math.isclose(std, pixels[TRAIN].std() / 255)
    module = quick(epochs=1).fit(pixels, y, train=TRAIN, valid=VALID).module_
    np.testing.assert_allclose(module.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(module.std, std, rtol=1e-6)


def test_batches_cover_all_rows_in_a_new_order_each_time():
    batches = Batches(Rows(np.arange(33)), 8, seed=3)
    passes = [[X.tolist() for X, _ in batches] for _ in range(2)]
    assert passes[0] != passes[1]
    assert [len(batch) for batch in passes[0]] == [8, 8, 8, 9]
    assert all(sorted(np.concatenate(batches)) == list(range(33)) for batches in passes)
    assert [[X.tolist() for X, _ in Batches(Rows(np.arange(33)), 8, seed=3)]] == passes[:1]


def test_batches_are_read_in_their_order_while_one_is_learnt():
    order, second = [], threading.Event()

    def call(k):
        order.append(("read", k, threading.current_thread() is threading.main_thread()))
        if k == 1:
            second.set()
        return k

    for k in in_advance([partial(call, k) for k in range(4)], ahead=1):
        assert second.wait(10)  # read before the first one was done with
        order.append(("learnt", k))
    assert (
        [entry[1] for entry in order if entry[0] == "read"]
        == [0, 1, 2, 3]
        == [entry[1] for entry in order if entry[0] == "learnt"]
    )
    assert not any(entry[2] for entry in order if entry[0] == "read")


def test_what_reading_raises_comes_where_its_turn_is_and_a_pass_that_is_left_ends_its_thread():
    def broken():
        raise OSError("the disk went away")

    given, before = [], threading.active_count()
    with pytest.raises(OSError, match="the disk went away"):
        given.extend(in_advance([lambda: 1, broken, lambda: 3]))
    reading = iter(in_advance([int] * 50))
    next(reading)
    reading.close()
    assert threading.active_count() == before


def test_images_that_lie_on_the_device_train_as_those_that_are_read(monkeypatch):
    pixels, y = make_images()
    wanted = quick("baseline-6").fit(pixels, y, train=TRAIN, valid=VALID)
    placed = []
    monkeypatch.setattr(batches.OnCard, "__init__", count_calls(batches.OnCard.__init__, placed))
    for free, times in ((4 * 16 * 16 * 16 * 3, 2), (4 * 24 * 16 * 16 * 3, 3), (0, 0)):  # of fit, held, and all rows
        placed.clear()
        monkeypatch.setattr(batches, "free_bytes", lambda device, free=free: free)
        net = quick("baseline-6").fit(pixels, y, train=TRAIN, valid=VALID)
        assert np.array_equal(net.predict_proba(pixels), wanted.predict_proba(pixels)) and len(placed) == times
        assert [epoch["inner_valid_loss"] for epoch in net.curves_[:2]] == [
            epoch["inner_valid_loss"] for epoch in wanted.curves_[:2]
        ]


def count_calls(function, calls):
    def counted(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return counted


def test_a_last_image_is_learnt_with_the_batch_before_as_one(monkeypatch):
    pixels, y = make_images(17)
    seen, forward = [], Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, batch: seen.append(len(batch)) or forward(self, batch))
    quick(batch=8, epochs=1).fit(pixels, y)
    assert seen == [8, 9]


def test_out_of_memory_halves_the_batch_and_keeps_the_step(monkeypatch):
    pixels, y = make_images()
    settings = {"augment": False, "batch": 12, "class_weight": "balanced"}
    wanted = quick("baseline-6", **settings).fit(pixels, y, train=TRAIN)
    forward = Network.forward

    def tight(self, batch):
        if len(batch) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch)

    monkeypatch.setattr(Network, "forward", tight)
    net = quick("baseline-6", **settings).fit(pixels, y, train=TRAIN)
    np.testing.assert_allclose(net.predict_proba(pixels), wanted.predict_proba(pixels), rtol=1e-4)
    assert [note[:39] for note in net.notes_] == [
        "accumulated: out of GPU memory at 12 im",
        "accumulated: out of GPU memory at 6 ima",
    ]
    monkeypatch.setattr(Network, "forward", lambda self, batch: tight(self, pixels))
    with pytest.raises(torch.OutOfMemoryError):
        net.fit(pixels, y)


def test_a_step_follows_the_gradient_of_loss_and_penalty():
    pixels, y = make_images(8)
    net = quick("baseline-9", augment=False).initialize()
    net._weight_classes(y)
    before = copy.deepcopy(net.module_).train()
    batch = torch.from_numpy(pixels), torch.from_numpy(y)
    net.train_step(batch)
    kernels = [layer.weight for layer in before.net if isinstance(layer, torch.nn.Conv2d)]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(before(batch[0])[:, 0], batch[1].float())
    (loss + 1e-4 * sum((kernel**2).sum() for kernel in kernels)).backward()
    for mine, wanted in zip(net.module_.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, wanted.grad)
    without = torch.autograd.grad(kernels[0].square().sum() * 1e-4, kernels[0])[0]
    assert not torch.allclose(before.net[0].weight.grad, before.net[0].weight.grad - without, rtol=1e-4, atol=0)


def test_class_weights_balance():
    pixels, y = make_images(40, signal=0)
    y = (np.arange(40) < 8).astype(int)
    plain, balanced = (
        quick("baseline-1", class_weight=weight, augment=False, epochs=1, batch=40, lr=1e-12).fit(pixels, y)
        for weight in (None, "balanced")
    )
    losses = -np.log(plain.predict_proba(pixels)[np.arange(40), y])
    assert math.isclose(plain.curves_[0]["train_loss"], losses.mean(), rel_tol=1e-5)
    wanted = (losses[y == 0].mean() + losses[y == 1].mean()) / 2
    assert math.isclose(balanced.curves_[0]["train_loss"], wanted, rel_tol=1e-5)


def test_three_classes():
    pixels, y = make_images(36, classes=3)
    net = quick(classes=3, epochs=30, augment=False, lr=3e-3)
    net.fit(pixels, y, train=np.arange(24), valid=np.arange(24, 36))
    scores = net.predict_proba(pixels)
    assert scores.shape == (36, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (net.predict(pixels) == y).mean() > 0.9
    assert net.curves_[29]["inner_valid_auroc"] > 0.9


def make_mine(classes, side):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side * side, classes))


def test_a_function_of_your_own_is_a_network():
    pixels, y = make_images()
    net = quick(f"{__name__}:make_mine", recipe=Recipe(epochs=9), epochs=2).fit(pixels, y)
    assert net.predict_proba(pixels).shape == (24, 2)
    assert len(net.curves_) == 2


def test_a_network_of_your_own_computes_all_of_it_in_bfloat16_and_says_so(monkeypatch):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: True)
    pixels, y = make_images()
    net = quick(f"{__name__}:make_mine", recipe=Recipe(epochs=1), precision="bfloat16").fit(pixels, y)
    logits = net.forward(pixels)
    assert torch.equal(logits, logits.bfloat16().float())
    assert "the network computed in bfloat16, and so did its last layer" in net.notes_


@pytest.mark.parametrize("name", ["homemade-128", "squeezenet1_1:finetune"])
def test_the_state_survives_safetensors(name, tmp_path):
    pixels, y = make_images(side=32)
    net = quick(name, side=32, epochs=1).fit(pixels, y)
    path = tmp_path / "net.safetensors"
    state_to_safetensors(net, path)
    again = state_from_safetensors(quick(name, side=32, weights="/nowhere"), path)
    np.testing.assert_array_equal(again.predict_proba(pixels), net.predict_proba(pixels))
    assert again.weights_ == net.weights_
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StateError, match=f"holds {name} at side 32, not compact at side 16"):
        state_from_safetensors(quick("compact"), path)


def test_unusable_rows_are_refused():
    pixels, y = make_images()
    for message, labels, rows in (
        ("24 images and 23 labels", y[:23], {}),
        ("overlap", y, {"train": TRAIN, "valid": TRAIN[-2:]}),
        ("labels of train rows are", y + 1, {}),
        ("one class only", y, {"train": np.arange(0, 24, 2)}),
    ):
        with pytest.raises(ValueError, match=message):
            quick().fit(pixels, labels, **rows)
    with pytest.raises(ValueError, match="read the images at size 8"):
        quick(side=8).fit(pixels, y)
    with pytest.raises(FloatingPointError, match="lower lr"):
        quick("baseline-4", lr=1e30, epochs=9).fit(pixels, y)


def test_an_interrupt_is_not_swallowed(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    pixels, y = make_images()
    monkeypatch.setattr(training.NetClassifier, "_judge", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quick().fit(pixels, y)


def test_the_cost_is_told_before():
    pixels, y = make_images(side=32)
    frozen = training_cost("squeezenet1_1:frozen", 100, 50, side=32, device="cpu", preset="paper")
    assert frozen.once_s > 0 == frozen.epoch_s == frozen.again_s
    assert math.isclose(frozen.total_s, 150 * frozen.predict_ms / 1000)
    converged = training_cost("squeezenet1_1:frozen", 100, 50, side=32, device="cpu")
    assert converged.total_s == converged.once_s > 150 * converged.predict_ms / 1000 and converged.epochs == 0
    whole = training_cost("compact", 100, 50, side=16, device="cpu")
    assert 1 < whole.total_s / (whole.epochs * whole.epoch_s) < 2
    tuned = training_cost("squeezenet1_1:finetune", 100, side=32, device="cpu")
    assert tuned.epoch_s > 0 == tuned.once_s == tuned.again_s
    assert tuned.parameters_bytes == 5 * 4 * 723_522
    assert quick("squeezenet1_1:finetune", side=32, epochs=1).fit(pixels, y).n_parameters_ == 723_522
