"""Stain normalisation: Macenko and Reinhard against their papers' formulas, and what cannot be normalised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.comparison.options import Stains
from glomfeat.data.images.decode import ImageError, Preprocess, encode_png
from glomfeat.data.images.density import HAEMATOXYLIN, PAS
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.data.images.stain import METHODS, STAINS, TARGETS, Stain, look

SIDE = 96


def unit(vectors):
    return np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)


def stained(stains, seed=0, most=(1.2, 0.9), noise=0.0):
    """An image of two stains, with pixels of each alone, of both, and background, on white."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 4, (SIDE, SIDE))
    amounts = rng.uniform(0.4, 1.0, (SIDE, SIDE, 2)) * most
    amounts *= np.stack([np.isin(kinds, (1, 3)), np.isin(kinds, (2, 3))], axis=-1)
    density = amounts @ unit(stains) + noise * rng.normal(size=(SIDE, SIDE, 3))
    return np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)


def by_the_papers_macenko(image, target):
    """Macenko et al. 2009, Algorithm 1, with numpy's SVD of the densities themselves."""
    density = -np.log((image.reshape(-1, 3).astype(float) + 1) / 256)
    tissue = density[np.linalg.norm(density, axis=1) >= 0.15 * np.log(10)]
    _, _, directions = np.linalg.svd(tissue, full_matrices=False)
    plane = directions[:2] * np.sign(directions[:2].sum(axis=1, keepdims=True))
    projected = tissue @ plane.T
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    ends = np.percentile(angles, [1, 99])
    stains = np.array([[np.cos(end), np.sin(end)] @ plane for end in ends])
    stains = stains[::-1] if stains[1, 0] > stains[0, 0] else stains
    amounts = np.linalg.lstsq(stains.T, density.T)[0]
    most = np.percentile(np.linalg.lstsq(stains.T, tissue.T)[0], 99, axis=1)
    vectors, wanted = np.reshape(target[:6], (2, 3)), np.array(target[6:])
    found = 256 * np.exp(-(amounts.T * (wanted / most)) @ vectors) - 1
    return stains, most, np.clip(np.rint(found), 0, 255).reshape(image.shape)


def test_macenko_recovers_the_stains_that_an_image_was_made_of():
    image = stained((HAEMATOXYLIN, PAS))
    found = METHODS["macenko"].describe(look(image)[1])
    np.testing.assert_allclose(np.reshape(found[:6], (2, 3)), unit((HAEMATOXYLIN, PAS)), atol=0.01)
    assert found[6:] == pytest.approx((1.2, 0.9), rel=0.02)  # of the amounts, which end there, nearly the most


@pytest.mark.parametrize("reference", TARGETS)
def test_macenko_is_what_the_paper_says(reference):
    image, target = stained((HAEMATOXYLIN, PAS), noise=0.02), TARGETS[reference]["macenko"]
    stains, most, wanted = by_the_papers_macenko(image, target)
    own = METHODS["macenko"].describe(look(image)[1])
    np.testing.assert_allclose(own, [*stains.ravel(), *most], rtol=1e-6)
    found, changed = Stain("macenko", target).apply(image)
    assert changed and np.abs(found - wanted).max() <= 1  # rounding at a half


@pytest.mark.parametrize("reference", TARGETS)
def test_reinhard_is_what_the_paper_says(reference):
    image, target = stained((HAEMATOXYLIN, PAS), noise=0.02), TARGETS[reference]["reinhard"]
    light = (image.reshape(-1, 3).astype(float) + 1) / 256
    to_lms = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
    to_lab = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
    tissue = np.linalg.norm(np.log(light), axis=1) >= 0.15 * np.log(10)
    lab = np.log(light[tissue] @ to_lms.T) @ to_lab.T
    moved = (lab - lab.mean(axis=0)) * np.array(target[3:]) / lab.std(axis=0) + np.array(target[:3])
    wanted = np.clip(np.rint(np.exp(moved @ np.linalg.inv(to_lab).T) @ np.linalg.inv(to_lms).T * 256 - 1), 0, 255)
    found, changed = Stain("reinhard", target).apply(image)
    assert changed and np.abs(found.reshape(-1, 3)[tissue] - wanted).max() <= 1
    assert (found.reshape(-1, 3)[(image == 255).all(axis=-1).ravel()] == 255).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_picture_in_other_stains_becomes_one_picture(method):
    """What a laboratory's stains, their strength and a dim lamp do is taken back."""
    one = stained((HAEMATOXYLIN, PAS))
    other = stained(((0.75, 0.6, 0.3), (0.25, 0.9, 0.3)), most=(0.8, 1.3))
    dim = np.rint(other * np.array([0.85, 0.9, 0.88])).astype(np.uint8)
    stain = Stain.of(method, one)
    to_own, to_other, to_dim = (stain.apply(image)[0].astype(float) for image in (one, other, dim))
    before = np.abs(one.astype(float) - dim).mean()
    assert np.abs(to_own - one).mean() < 1.5
    assert np.abs(to_own - to_other).mean() < before * {"macenko": 0.05, "reinhard": 0.6}[method]
    assert np.abs(to_other - to_dim).mean() < 1


@pytest.mark.parametrize("factor", PERTURBATIONS["stain"].strengths[:4])
def test_macenko_takes_another_balance_of_stains_back(factor):
    image, stain = stained((HAEMATOXYLIN, PAS)), Stain("macenko", TARGETS["pas"]["macenko"])
    other = PERTURBATIONS["stain"].one(image, factor)
    as_it_is, normalised = (
        np.abs(one.astype(float) - two).mean()
        for one, two in ((image, other), (stain.apply(image)[0], stain.apply(other)[0]))
    )
    assert normalised < as_it_is / 5


@pytest.mark.parametrize("method", METHODS)
def test_background_stays_white_and_what_was_cut_out_black(method):
    image = stained((HAEMATOXYLIN, PAS))
    image[:20], image[20:30] = 255, 0
    found, changed = Stain(method, TARGETS["he"][method]).apply(image)
    assert changed and (found[:20] == 255).all() and (found[20:30] == 0).all()
    whole, _ = Stain(method, TARGETS["he"][method]).apply(image[30:])
    assert np.abs(found[30:].astype(int) - whole).mean() < 2  # whatever lies around


IMAGES = {
    "white": np.full((40, 40, 3), 255, np.uint8),
    "black": np.zeros((40, 40, 3), np.uint8),
    "one colour": np.full((40, 40, 3), (190, 90, 170), np.uint8),
    "nearly one colour": np.random.default_rng(0).integers(0, 2, (40, 40, 3)).astype(np.uint8) + np.uint8(120),
    "tiny": stained((HAEMATOXYLIN, PAS))[:5, :5],
    "one pixel": np.full((1, 1, 3), (190, 90, 170), np.uint8),
    "grey": np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2),
    "pale": np.random.default_rng(0).integers(235, 250, (40, 40, 3)).astype(np.uint8),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", IMAGES)
def test_what_shows_no_stains_is_left_as_it_is(method, name):
    image = IMAGES[name]
    found, changed = Stain(method, TARGETS["pas"][method]).apply(image)
    assert not changed and found is image


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 40), width=st.integers(1, 40), few=st.booleans())
def test_nothing_that_an_image_shows_breaks_it(seed, height, width, few):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    image = image // 128 * 255 if few else image
    for method in METHODS:
        with np.errstate(all="raise", under="ignore"):
            found, _ = Stain(method, TARGETS["he"][method]).apply(image)
        assert found.shape == image.shape and found.dtype == np.uint8


def test_a_large_image_is_normalised_by_pixels_spread_over_it(monkeypatch):
    image = stained((HAEMATOXYLIN, PAS))
    monkeypatch.setattr("glomfeat.data.images.stain.SAMPLE_PX", SIDE * SIDE // 9)
    stain = Stain("macenko", TARGETS["pas"]["macenko"])
    few = stain.apply(image)[0]
    monkeypatch.undo()
    all_of_them = stain.apply(image)[0]
    assert 0 < np.abs(few.astype(int) - all_of_them).max() < 25
    monkeypatch.setattr("glomfeat.data.images.density.BLOCK_PX", 5 * SIDE)
    np.testing.assert_array_equal(stain.apply(image)[0], all_of_them)


def test_the_image_is_normalised_before_it_is_padded_and_resized():
    image, stain = stained((HAEMATOXYLIN, PAS))[:, :70], Stain("macenko", TARGETS["he"]["macenko"])
    for padding in ("white", "zero", "edge", "reflect"):
        found = Preprocess(50, padding, stain=stain).read(encode_png(image))
        wanted = Preprocess(50, padding).read(encode_png(stain.apply(image)[0]))
        np.testing.assert_array_equal(found[0], wanted[0])
        assert found[1] == (70, SIDE)


def test_a_transparent_ground_takes_no_part():
    image, stain = stained((HAEMATOXYLIN, PAS)), Stain("macenko", TARGETS["he"]["macenko"])
    cut = np.dstack([image, np.where(np.arange(SIDE) < 40, 0, 255)[None].repeat(SIDE, 0).astype(np.uint8)])
    white, black = (Preprocess(SIDE, padding, stain=stain).read(encode_png(cut))[0] for padding in ("white", "zero"))
    assert (white[:, :40] == 255).all() and (black[:, :40] == 0).all()
    assert np.abs(white[:, 40:].astype(int) - black[:, 40:]).mean() < 2


def test_pixels_are_stored_by_method_and_reference():
    stains = [Stain(method, TARGETS[name][method]) for name in TARGETS for method in METHODS]
    keys = [Preprocess(8, stain=stain).key for stain in [None, *stains]]
    assert len({str(key) for key in keys}) == 5 and keys[0] == Preprocess(8).key
    assert "stain" not in keys[0] and keys[1]["stain"] == "macenko.v1"


def test_options_name_what_there_is():
    assert Stains.__args__ == STAINS and all(set(METHODS) == set(target) for target in TARGETS.values())


@pytest.mark.parametrize("target", [(1.0, 2.0), (np.nan,) * 8, (1.0,) * 7, ("a",) * 8])
def test_numbers_that_no_image_gives_are_refused(target):
    with pytest.raises(ValueError, match=r"stain|float"):
        Stain("macenko", target)


def test_a_file_that_cannot_be_read_says_so_as_without():
    with pytest.raises(ImageError, match=r"^empty file$"):
        Preprocess(8, stain=Stain("macenko", TARGETS["pas"]["macenko"])).read(b"")
