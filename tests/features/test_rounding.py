"""Numbers of an own feature that float32 does not keep are said."""

import warnings

import numpy as np
import pytest

from glomfeat.features.base import Handcrafted, as_feature
from glomfeat.features.users import describe_rows

PIXELS = np.arange(10 * 2 * 2 * 3, dtype=np.uint8).reshape(10, 2, 2, 3)
SIZES = np.full((10, 2), 2)


def large(image, size):
    return [1e9 + image.mean(), image.mean(), 1e9]


class Large:
    name, key, weights, standardise = "large.v1", {"feature": "large.v1"}, "", True

    def transform(self, pixels, sizes):
        return np.array([large(image, size) for image, size in zip(pixels, sizes, strict=True)])


@pytest.mark.parametrize("feature", [Handcrafted("large.v1", large), as_feature(Large())])
def test_numbers_that_float32_rounds_are_said(feature):
    with pytest.warns(UserWarning, match=r"^the numbers of x0 in large\.v1 differ by so little that 32-bit"):
        describe_rows(feature, PIXELS, SIZES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        describe_rows(feature, PIXELS[:2], SIZES[:2])  # two images may be alike
