"""What extraction says that it takes, the settings that follow from a budget, and refusals before any work."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from glomfeat.core.cache import Store
from glomfeat.core.memory import BudgetError, parse_bytes
from glomfeat.core.workers import PROCESS_BYTES
from glomfeat.data.images.decode import MAX_PIXELS, ImageError, Preprocess, encode_png
from glomfeat.data.manifest import read_manifest
from glomfeat.features.budget import decode_need, find_pace, handcrafted_need, largest_source, networks_need, width_of
from glomfeat.features.deep.network import Deep, deep
from glomfeat.features.deep.weights import Weights
from glomfeat.features.extract import extract
from glomfeat.features.make import Handcrafted, Pixels, make_feature

MADE = Weights("made", 64 * "0")


def cpu(model, **options):
    return Deep(model, MADE, device="cpu", **options)


@pytest.mark.parametrize(
    ("model", "layer", "columns", "parameters"),
    [
        ("resnet18", None, 512, 11_176_512),
        ("vgg16", None, 4096, 134_260_544),
        ("vgg16", "features", 25088, 14_714_688),
        ("squeezenet1_1", None, 512, 722_496),
    ],
)
def test_an_outline_is_found_without_the_network(model, layer, columns, parameters):
    feature = cpu(model, layer=layer)
    outline = feature.outline(224)
    assert outline.columns == columns == width_of(feature, 224, None, None)
    assert 4 * parameters <= outline.parameters < 4.02 * parameters  # and statistics of batches
    assert outline.building >= 8 * parameters
    assert "_network" not in vars(feature)


def test_the_live_tensors_of_a_network_that_can_be_counted_by_hand():
    def build(model, weights, layer):
        return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), nn.AdaptiveAvgPool2d(1))

    feature = Deep("own.v1", MADE, device="cpu", batch=4, build=build)
    plane = 4 * 50 * 50
    live = 3 * plane + (3 + 8 + 2) * 4 * plane  # bytes and normalised input, which callers hold, and both convolutions
    parameters = 4 * (3 * 8 + 8 + 8 * 2 + 2 + 6)
    outline = feature.outline(50)
    assert outline.columns == 2 and outline.parameters == parameters
    assert outline.forward == pytest.approx(1.3 * live + 0.2 * parameters, rel=0.01)


def test_networks_whose_flow_depends_on_numbers_are_run_on_one_image():
    class Branching(nn.Module):
        def forward(self, images):
            found = images.mean((2, 3))
            return found if found.sum() > 0 else -found

    feature = Deep("own.v1", MADE, device="cpu", batch=5, build=lambda *_: Branching())
    outline = feature.outline(20)
    assert outline.columns == 3 and outline.forward >= 5 * 3 * 20 * 20 * 4


@pytest.mark.parametrize("model", ["squeezenet1_1", "resnet18"])
def test_the_batch_is_the_largest_power_of_two_that_fits(model):
    feature, seen = cpu(model), []
    for free in (10**6, 10**8, 4 * 10**8, 10**10, None):
        fitted = feature.within(free, 224)
        assert fitted.key == feature.key | {"batch": fitted.batch} and fitted.name == feature.name
        seen.append(fitted.batch)
        if fitted.batch > 1:
            outline = fitted.outline(224)
            assert free is None or outline.parameters + 2 * outline.forward <= free
    assert seen == sorted(seen) and seen[0] == 1 and seen[-2:] == [feature.batch] * 2


def test_a_released_network_is_built_again():
    feature = cpu("squeezenet1_1")
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    first = feature.transform(pixels)
    feature.release()
    assert "_network" not in vars(feature)
    feature.release()
    assert np.array_equal(feature.transform(pixels), first)


@given(
    free=st.integers(0, 2 * 10**9),
    jobs=st.integers(1, 8),
    source=st.integers(1, 4000),
    handcrafted=st.booleans(),
)
def test_what_is_chosen_fits_and_what_is_refused_does_not(free, jobs, source, handcrafted):
    features = [Pixels()] + [Handcrafted("mine.v1", len)] * handcrafted
    smallest = max(decode_need(100, 224, source, 1, 0).bytes, handcrafted * handcrafted_need(100, 224).bytes)
    try:
        pace = find_pace(features, 224, 100, source, jobs, free)
    except BudgetError:
        assert free < smallest
        return
    assert free >= smallest and 1 <= pace.threads <= jobs and 0 <= pace.ahead <= 2
    assert decode_need(100, 224, source, pace.threads, pace.ahead).bytes == pace.needs["decode"].bytes <= free
    if handcrafted:
        process = PROCESS_BYTES if pace.workers > 1 else 0
        assert pace.workers * (pace.needs["handcrafted"].bytes + process) <= free


def test_without_a_limit_everything_runs_at_once():
    pace = find_pace([Pixels(), Handcrafted("mine.v1", len)], 224, 100, 800, 4)
    assert (pace.ahead, pace.threads, pace.workers) == (2, 4, 4)


def test_networks_are_held_together():
    two = [cpu("squeezenet1_1"), cpu("shufflenet_v2_x0_5")]
    together, alone = networks_need(two, 64, 100).bytes, [networks_need([f], 64, 100).bytes for f in two]
    assert max(alone) < together < sum(alone)
    held = [f.outline(64).parameters for f in two]
    assert together == max(need - own for need, own in zip(alone, held, strict=True)) + sum(held)


def test_the_largest_header_of_a_folder(tmp_path):
    for side in range(1, 300):
        (tmp_path / f"{side}.png").write_bytes(encode_png(np.zeros((side, 5), np.uint8)))
    (tmp_path / "bad.png").write_bytes(b"no image" * 1000)
    assert largest_source([str(path) for path in sorted(tmp_path.iterdir())]) == 299
    assert largest_source([str(tmp_path / "bad.png"), str(tmp_path / "gone.png")]) == 0
    assert largest_source([]) == 0
    (tmp_path / "long.png").write_bytes(encode_png(np.zeros((20_000, 2), np.uint8)))
    assert largest_source([str(tmp_path / "long.png")]) ** 2 <= MAX_PIXELS


def test_widths_are_those_of_the_rows():
    pixels, sizes = np.zeros((2, 32, 32, 3), np.uint8), np.full((2, 2), 32)
    for feature in (Pixels(), make_feature("shortcut"), deep("squeezenet1_1", "none", device="cpu")):
        assert width_of(feature, 32, pixels, sizes) == feature.transform(pixels, sizes).shape[1]


def test_too_small_a_budget_is_refused_before_any_work(phantom_folder, tmp_path, monkeypatch):
    def refuse(self, data):
        raise ImageError("decoded")

    monkeypatch.setattr(Preprocess, "read", refuse)
    manifest, store = read_manifest(phantom_folder), Store(str(tmp_path / "store"))
    said = r"^decoding needs 1.4 MB \(2 shards of 48 x 64 x 64 x 3 bytes, 1 thread with images of up to \d+ px\) and "
    with pytest.raises(BudgetError, match=said + r"1.0 MB of the budget are free: raise --memory by 10.0 MB, or pass"):
        extract(manifest, [Pixels()], Preprocess(64), store, 2, budget=1_000_000)
    said = r"^the networks' extraction needs \d+.\d MB \(2.9 MB of parameters, .* in batches of 1\) and 3.0 MB of"
    with pytest.raises(BudgetError, match=said + r".*pass a smaller --size, or fewer --features at a time$"):
        extract(manifest, [cpu("squeezenet1_1")], Preprocess(64), store, 2, budget=3_000_000)


@pytest.mark.parametrize("free", [-40_000_000, 1_000_000, 4_000_000])
@pytest.mark.parametrize("networks", [[], ["squeezenet1_1"]])
def test_what_a_refusal_asks_for_is_enough(free, networks):
    features = [Pixels(), *map(cpu, networks)]
    with pytest.raises(BudgetError, match="raise --memory by ") as refused:
        find_pace(features, 224, 100, 800, 2, free)
    asked = parse_bytes(re.search(r"by (.*?), or pass", str(refused.value))[1])
    assert find_pace(features, 224, 100, 800, 2, free + asked).threads >= 1


def test_a_budget_changes_no_number_beyond_rounding(phantom_folder, tmp_path):
    feature, manifest = cpu("squeezenet1_1"), read_manifest(phantom_folder)
    manifest = manifest.keep(np.arange(len(manifest)) < 12)
    rows = [
        extract(manifest, [feature], Preprocess(64), Store(str(tmp_path / str(budget))), 2, budget=budget).matrices[
            feature.name
        ][:]
        for budget in (20_000_000, None)
    ]
    assert feature.within(20_000_000, 64).batch < feature.batch
    assert "_network" not in vars(feature)
    np.testing.assert_allclose(rows[0], rows[1], rtol=0, atol=1e-5 * np.abs(rows[1]).max())


def test_a_network_that_does_not_fit_the_images_fails_alone(phantom_folder, tmp_path):
    manifest, store = read_manifest(phantom_folder), Store(str(tmp_path / "store"))
    features = [cpu("squeezenet1_1"), cpu("squeezenet1_1", layer="featurs"), Pixels()]
    found = extract(manifest, features, Preprocess(8), store, budget=10**9)
    assert set(found.matrices) == {"pixels.v1"}
    said = [found.failed[feature.name].split(",")[0].split(":")[0] for feature in features[:2]]
    assert said == [
        "squeezenet1_1.made-00000000 fails on images of 8 px",
        "squeezenet1_1 has no layer 'featurs'",
    ]
