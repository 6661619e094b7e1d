"""Changed images: each change against plain code of other libraries, none of nothing, and more by strength."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.color import separate_stains

from glomfeat.comparison.option_checks import PERTURBED
from glomfeat.data.images.perturb import HAEMATOXYLIN, PAS, PERTURBATIONS


@pytest.fixture(scope="module")
def image():
    """A smooth picture in the colours of a PAS stain, with black, white and pure colours in it."""
    rows, columns = np.mgrid[:128, :128] / 128
    amounts = np.stack([np.sin(5 * rows) ** 2, np.cos(4 * columns) ** 2, 0 * rows], axis=-1)
    stains = np.array([HAEMATOXYLIN, PAS, np.cross(HAEMATOXYLIN, PAS)])
    found = np.rint(255 * np.exp(-amounts @ stains)).astype(np.uint8)
    found[0, :5] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    return found


def test_options_name_what_there_is():
    assert tuple(PERTURBATIONS) == PERTURBED
    assert {len(one.strengths) for one in PERTURBATIONS.values()} == {5}


def test_stain_is_colour_deconvolution(image):
    stains = np.array([HAEMATOXYLIN, PAS, np.cross(HAEMATOXYLIN, PAS)])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    density = -np.log((image.astype(float) + 1) / 256)
    amounts = np.linalg.solve(stains.T, density.reshape(-1, 3).T)
    amounts *= np.array([[1.6], [1 / 1.6], [1.0]])
    wanted = np.clip(np.rint(256 * np.exp(-(stains.T @ amounts)) - 1), 0, 255).T.reshape(image.shape)
    assert np.abs(PERTURBATIONS["stain"].one(image, 1.6) - wanted).max() <= 1  # rounding at a half


def test_stain_scales_what_scikit_image_separates(image):
    stains = np.array([HAEMATOXYLIN, PAS, np.cross(HAEMATOXYLIN, PAS)])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    soft = image[5:]  # scikit-image sees no negative amount, and pure colours have some
    before, after = (
        separate_stains(pixels, np.linalg.inv(stains)) for pixels in (soft, PERTURBATIONS["stain"].one(soft, 1.25))
    )
    clear = (before[..., :2] > 0.01).all(axis=-1) & (soft > 20).all(axis=-1)
    ratio = np.median(after[clear][:, :2] / before[clear][:, :2], axis=0)
    assert clear.sum() > 1000 and ratio == pytest.approx([1.25, 0.8], rel=0.02)


def test_blur_is_a_gaussian_of_the_side(image):
    found = PERTURBATIONS["blur"].one(image, 2.0)
    sigma = 0.02 * 128
    x = np.arange(-12, 13)
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    wanted = np.pad(image.astype(float), ((12, 12), (12, 12), (0, 0)), mode="edge")
    for axis in (0, 1):
        wanted = np.apply_along_axis(np.convolve, axis, wanted, kernel, "valid")
    assert np.abs(found - wanted).max() < 1.6
    by_pillow = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)), float)
    assert np.abs(found[8:-8, 8:-8] - by_pillow[8:-8, 8:-8]).mean() < 1


def test_jpeg_is_what_a_file_would_hold(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30, subsampling=2)
    np.testing.assert_array_equal(PERTURBATIONS["jpeg"].one(image, 30), np.asarray(Image.open(buffer)))


def test_noise_has_its_deviation_and_belongs_to_the_image():
    noise, grey = PERTURBATIONS["noise"], np.full((3, 64, 64, 3), 128, np.uint8)
    grey[1, 0, 0, 0] = 129
    found = noise.apply(grey, 10).astype(float) - grey
    assert found.std() == pytest.approx(10, rel=0.02) and abs(found.mean()) < 0.2
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).mean() > 0.9, "another image has other noise"
    twice = noise.one(grey[0], 20).astype(float) - 128
    assert np.corrcoef(found[0].ravel(), twice.ravel())[0, 1] > 0.99, "the same noise, only stronger"


def test_brightness_multiplies_mean_and_spread(image):
    np.testing.assert_array_equal(
        PERTURBATIONS["brightness"].one(image, 1.3), np.minimum(np.rint(image * 1.3), 255).astype(np.uint8)
    )


def test_scale_goes_down_and_up(image):
    small = Image.fromarray(image).resize((32, 32), Image.Resampling.LANCZOS)
    wanted = np.asarray(small.resize((128, 128), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(PERTURBATIONS["scale"].one(image, 25), wanted)
    assert PERTURBATIONS["scale"].one(image[:2, :2], 12.5).shape == (2, 2, 3)


@pytest.mark.parametrize("name", PERTURBED)
def test_no_change_is_none_and_a_stronger_one_is_farther(name, image):
    one = PERTURBATIONS[name]
    image = PERTURBATIONS["noise"].one(image, 10)  # texture, of which each step down takes some
    before = image.copy()
    far = [np.square(one.one(image, strength).astype(float) - image).mean() for strength in one.strengths]
    weaker, stronger = far[: one.before], far[one.before :]
    assert weaker == sorted(weaker, reverse=True) and stronger == sorted(stronger) and min(far) > 0
    for strength in one.strengths:
        found = one.apply(image[None], strength)
        assert found.dtype == np.uint8 and found.shape == (1, 128, 128, 3)
    np.testing.assert_array_equal(image, before)
    if one.neutral is not None:
        np.testing.assert_array_equal(one.one(image, one.neutral), image)
        if name in ("stain", "noise", "brightness"):  # by the computation itself
            np.testing.assert_array_equal(one.change(image, one.neutral), image)


def test_strengths_are_said_with_their_units():
    said = {name: one.say(one.strengths[0]) for name, one in PERTURBATIONS.items()}
    assert said == {
        "stain": "haematoxylin x 0.6, PAS or eosin x 1.67",
        "blur": "Gaussian blur, sigma 0.25 % of the side",
        "jpeg": "JPEG of quality 90",
        "noise": "Gaussian noise, standard deviation 2 of 255 grey levels",
        "brightness": "brightness and contrast x 0.7",
        "scale": "reduced to 75 % of the side and enlarged again",
    }
