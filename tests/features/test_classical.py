"""`classical` and `shortcut`: contracts on odd images, oracles computed by hand, and the real crops."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.data.images.decode import Preprocess, encode_png, pad_to_square
from glomfeat.features.handcrafted.classical import GROUPS, classical, classical_names, describe, stain_densities
from glomfeat.features.handcrafted.shortcut import interior, shortcut

CROPS = Path(__file__).parents[3] / "shared" / "data" / "glomeruli_images"
PARTS = [classical, shortcut]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def flat(value, side=16):
    return np.full((side, side, 3), value, np.uint8)


def named(image, size=None):
    """The classical values by name."""
    size = size or image.shape[1::-1]
    return dict(zip(classical_names(), describe(image, size), strict=True))


@st.composite
def odd_images(draw):
    """Squares of flat colour, noise, stripes or a lone pixel, with sizes up to extreme aspects."""
    side = draw(st.integers(8, 40))
    image = flat(draw(st.sampled_from([0, 1, 127, 254, 255])), side)
    kind = draw(st.sampled_from(["flat", "noise", "stripes", "pixel"]))
    if kind == "noise":
        image = noise(side, side, draw(st.integers(0, 99)))
    elif kind == "stripes":
        image[:, ::2] = 255 - image[:, ::2]
    elif kind == "pixel":
        image[side // 2, side // 2] = (150, 20, 120)
    return image, (draw(st.integers(1, 2000)), draw(st.integers(1, 2000)))


@pytest.mark.parametrize("factory", PARTS)
def test_names_are_unique_and_new_objects_are_made(factory):
    names = factory().columns
    assert len(set(names)) == len(names) > 0
    assert factory() is not factory()
    assert factory().key == factory().key
    assert factory().standardise


def test_groups_cover_the_columns_in_order():
    owner = [name.split(".")[0] for name in classical_names()]
    assert [group for group, columns in GROUPS.items() for _ in owner[columns]] == owner


@settings(max_examples=40, deadline=None)
@given(odd_images())
def test_always_finite_always_as_long(case):
    image, size = case
    for factory in PARTS:
        matrix = factory().transform(image[None], np.array([size]))
        assert matrix.shape == (1, len(factory().columns))
        assert matrix.dtype == np.float32


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (1, 1), (16, 16), (17, 1)])
@pytest.mark.parametrize("value", [0, 255])
def test_thin_black_and_white(size, value):
    for factory in PARTS:
        factory().transform(flat(value)[None], np.array([size]))


@pytest.mark.parametrize("factory", PARTS)
def test_rows_do_not_depend_on_each_other(factory):
    pixels = np.stack([noise(24, 24, seed) for seed in range(3)])
    sizes = np.array([[24, 24], [24, 10], [7, 24]])
    before = pixels.copy()
    together = factory().transform(pixels, sizes)
    alone = np.concatenate([factory().transform(pixels[[i]], sizes[[i]]) for i in (2, 1, 0)])[::-1]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(pixels, before)


# ------------------------------------------------------------------ the interior


def test_interior_without_resizing_is_the_image():
    image = noise(60, 100)
    np.testing.assert_array_equal(interior(pad_to_square(image, "zero"), (100, 60)), image)
    np.testing.assert_array_equal(interior(image[:60, :60], (60, 60)), image[:60, :60])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 64))
def test_interior_is_a_view_of_at_least_a_pixel(width, height, side):
    image = noise(side, side)
    inside = interior(image, (width, height))
    assert min(inside.shape) >= 1
    assert max(inside.shape[:2]) == side
    assert np.shares_memory(inside, image)


@pytest.mark.parametrize("side", [100, 64, 33, 250])
@pytest.mark.parametrize("shape", [(60, 100), (100, 60), (100, 99)])
def test_padding_changes_no_number(side, shape):
    data = encode_png(noise(*shape))
    rows = {}
    for padding in ("white", "zero", "reflect"):
        pixels, size = Preprocess(side, padding).read(data)
        rows[padding] = np.concatenate([factory().describe(pixels, size) for factory in PARTS])
    np.testing.assert_allclose(rows["zero"], rows["white"], rtol=1e-9)
    np.testing.assert_allclose(rows["reflect"], rows["white"], rtol=1e-9)


# ------------------------------------------------------------------ oracles


@pytest.mark.parametrize("value", [0, 77, 255])
def test_lbp_of_a_constant_image_is_one_pattern(value):
    values = named(flat(value))
    shares = {name: share for name, share in values.items() if name.startswith("lbp")}
    assert all(share == name.endswith("ones8") for name, share in shares.items())


def test_lbp_histograms_add_up_to_one():
    sums = describe(noise(20, 20), (20, 20))[GROUPS["lbp"]].reshape(-1, 10).sum(axis=1)
    np.testing.assert_allclose(sums, 1)


def test_glcm_of_stripes_by_hand():
    """Neighbours at distance 1 differ by one of 32 levels in three directions, and not at all downwards."""
    image = flat(0)
    image[:, ::2] = 8
    values = named(image)
    assert values["glcm.grey.contrast.mean.d1"] == pytest.approx(3 / 4)
    assert values["glcm.grey.contrast.range.d1"] == pytest.approx(1)
    assert values["glcm.grey.homogeneity.mean.d1"] == pytest.approx((3 * 0.5 + 1) / 4)
    assert values["glcm.grey.energy.mean.d1"] == pytest.approx(0.5**0.5, rel=0.01)
    assert values["glcm.grey.correlation.range.d1"] == pytest.approx(2)
    assert values["glcm.grey.contrast.mean.d6"] == pytest.approx(0)


@pytest.mark.parametrize(("haematoxylin", "pas"), [(0.8, 0), (0, 0.9), (0.5, 0.6), (0, 0)])
def test_deconvolution_recovers_what_beer_and_lambert_mixed(haematoxylin, pas):
    vectors = np.array([[0.644211, 0.716556, 0.266844], [0.175411, 0.972178, 0.154589]])
    colour = np.rint(255 * np.exp(-np.array([haematoxylin, pas]) @ vectors)).astype(np.uint8)
    image = np.broadcast_to(colour, (8, 8, 3))
    np.testing.assert_allclose(stain_densities(image)[:, 0, 0], [haematoxylin, pas, 0], atol=0.02)
    values = named(image)
    assert values["hed.haematoxylin.mean"] == pytest.approx(haematoxylin, abs=0.02)
    assert values["hed.pas.p95"] == pytest.approx(pas, abs=0.02)
    assert values["hed.pas.sd"] == pytest.approx(0, abs=1e-9)


def test_hed_moments_by_hand():
    """A quarter of the pixels carries a stain: skewness (1 - 2p) / sqrt(p (1 - p)), and both stains agree."""
    image = flat(255)
    image[:8, :8] = (150, 60, 120)
    values = named(image)
    assert values["hed.pas.skewness"] == pytest.approx(0.5 / (3 / 16) ** 0.5)
    assert values["hed.haematoxylin.pas.correlation"] == pytest.approx(1)
    assert values["hed.pas.p50"] == 0 < values["hed.pas.p95"]


def test_shape_of_a_drawn_mask_by_hand():
    """A 12 x 12 block of tissue with one 2 x 2 lumen, on glass."""
    image = flat(255)
    image[2:14, 2:14] = 100
    image[7:9, 7:9] = 255
    values = {name.removeprefix("shape."): value for name, value in named(image).items() if "shape" in name}
    assert values["tissue_share"] == pytest.approx(140 / 256)
    assert values["eccentricity"] == pytest.approx(0, abs=1e-6)
    assert values["solidity"] == pytest.approx(140 / 144)
    assert values["log_parts"] == values["log_holes"] == pytest.approx(np.log(2))
    assert values["hole_share"] == pytest.approx(4 / 256)
    assert values["largest_white_share"] == pytest.approx(112 / 256)


def test_hog_finds_the_direction_of_edges():
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[:, None], 64, axis=1)
    for turned, strongest in ((ramp, 4), (ramp.T, 0)):
        cells = describe(np.stack([turned] * 3, axis=-1), (64, 64))[GROUPS["hog"]].reshape(4, 4, 9)
        assert len(np.unique(cells.argmax(axis=2))) == 1
        assert cells[0, 0].argmax() == strongest


@pytest.mark.parametrize("seed", [0, 1])
def test_a_quarter_turn_changes_only_hog(seed):
    coarse = noise(6, 6, seed).repeat(8, axis=0).repeat(8, axis=1)
    image = (coarse // 2 + noise(48, 48, seed + 9) // 4).astype(np.uint8)
    upright, turned = describe(image, (48, 48)), describe(np.rot90(image), (48, 48))
    for group in set(GROUPS) - {"hog"}:
        np.testing.assert_allclose(turned[GROUPS[group]], upright[GROUPS[group]], atol=2e-3, err_msg=group)
    assert np.abs(turned - upright)[GROUPS["hog"]].max() > 0.05


def test_texture_differs_from_smoothness():
    ramp = np.linspace(100, 160, 48).astype(np.uint8)
    smooth = named(np.broadcast_to(ramp[:, None], (48, 48, 3)))
    rough = named(100 + noise(48, 48) // 4)
    assert rough["glcm.grey.contrast.mean.d1"] > 5 * smooth["glcm.grey.contrast.mean.d1"]
    assert rough["glcm.grey.homogeneity.mean.d1"] < smooth["glcm.grey.homogeneity.mean.d1"]
    assert rough["lbp.grey.r1.mixed"] > smooth["lbp.grey.r1.mixed"] + 0.2


def test_shortcut_by_hand():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:30] = (200, 100, 0)
    row = shortcut().transform(pad_to_square(image, "white")[None], np.array([[100, 60]]))[0]
    expected = [100, 60, 100 / 60, 0.4, 100, 50, 0, 100, 50, 0]
    np.testing.assert_allclose(row, expected, rtol=1e-6)
    assert list(shortcut().columns[:5]) == [
        f"shortcut.{name}" for name in ("width_px", "height_px", "aspect", "padded_share", "r.mean")
    ]


# ------------------------------------------------------------------ real crops


def test_real_crops_separate_better_than_chance():
    """Says that the numbers carry signal, not how good they are: the 20 crops of one class share a case."""
    paths = sorted(CROPS.glob("*/*.png"))
    if not paths:
        pytest.skip(f"no real crops at {CROPS}")
    y = np.array([path.parent.name == "globally_sclerotic_glomeruli" for path in paths])
    pixels, sizes = zip(*(Preprocess(128).read(path.read_bytes()) for path in paths), strict=True)
    X = classical().transform(np.stack(pixels), np.array(sizes))
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    score = cross_val_predict(head, X, y, cv=folds, method="decision_function")
    assert roc_auc_score(y, score) > 0.8
