"""Features of changed images: the feature itself on changed pixels, stored apart from it, and still its author's."""

import pickle

import numpy as np
import pytest

from glomfeat.data.images.decode import Preprocess
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.data.images.stain import TARGETS, Stain
from glomfeat.features.base import Handcrafted, as_feature
from glomfeat.features.budget import is_network
from glomfeat.features.changed import UNCHANGED, Change, changed_feature, changes_of
from glomfeat.features.handcrafted.shortcut import interior
from glomfeat.features.make import make_feature
from glomfeat.features.pixels import Pixels
from glomfeat.features.users import is_users

CHANGE = Change("brightness", 0.7)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
SIZES = np.full((3, 2), 8)


def redness(image, size):
    return [image[..., 0].mean(), size[0]]


class Own:
    name, key, weights, standardise = "own.v1", {"feature": "own.v1", "code": "12"}, "", True

    def transform(self, pixels, sizes):
        return pixels.mean(axis=(1, 2), dtype=np.float32)


@pytest.mark.parametrize("feature", [Handcrafted("red.v1", redness, code="12"), as_feature(Own())], ids=["one", "many"])
def test_a_feature_of_ones_own_stays_that(feature):
    changed = changed_feature(feature, CHANGE)
    assert is_users(changed) and is_network(changed) == is_network(feature)
    assert "brightness.v1 0.7" in str(changed.key) and changed.key["code"] == "12"
    sent = pickle.loads(pickle.dumps(changed))
    darker = PERTURBATIONS["brightness"].apply(IMAGES, 0.7)
    np.testing.assert_array_equal(sent.transform(IMAGES, SIZES), feature.transform(darker, SIZES))


def test_pixels_stay_bytes_and_rows_are_those_of_changed_pixels():
    changed = changed_feature(Pixels(), CHANGE)
    found = changed.transform(IMAGES, SIZES)
    assert found.dtype == np.uint8 and changed.key == {"feature": "pixels.v1", "changed": "brightness.v1 0.7"}
    np.testing.assert_array_equal(found.reshape(IMAGES.shape), np.rint(IMAGES * 0.7).astype(np.uint8))


def test_no_two_changes_are_stored_under_one_key():
    feature = make_feature("shortcut")
    keys = [str(changed_feature(feature, change).key) for change in changes_of(PERTURBATIONS)]
    assert len({*keys, str(feature.key)}) == 31 and not is_users(changed_feature(feature, CHANGE))


@pytest.mark.parametrize("feature", [Handcrafted("red.v1", redness), Pixels()], ids=["one", "many"])
def test_stains_are_normalised_after_the_change_and_padding_takes_no_part(feature):
    rng = np.random.default_rng(0)
    stain, sizes = Stain("reinhard", TARGETS["pas"]["reinhard"]), np.array([[32, 16]] * 2)
    squares = np.full((2, 32, 32, 3), 255, np.uint8)
    squares[:, 8:24] = rng.integers(60, 200, (2, 16, 32, 3))
    changed = changed_feature(feature, CHANGE, Preprocess(32, stain=stain))
    assert changed.view == Preprocess(32) and changed.key != changed_feature(feature, CHANGE).key
    darker = PERTURBATIONS["brightness"].apply(squares, 0.7)
    wanted = np.stack([stain.apply(square, interior(square, (32, 16)))[0] for square in darker])
    np.testing.assert_array_equal(changed.transform(squares, sizes), feature.transform(wanted, sizes))
    same = changed_feature(feature, UNCHANGED, Preprocess(32, stain=stain))
    wanted = np.stack([stain.apply(square, interior(square, (32, 16)))[0] for square in squares])
    np.testing.assert_array_equal(same.transform(squares, sizes), feature.transform(wanted, sizes))
    assert same.view == Preprocess(32) and same.key not in (changed.key, feature.key)
