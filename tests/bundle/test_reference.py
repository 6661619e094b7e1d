"""What is like the training images and what is not."""

import numpy as np
import pytest

from glomfeat.bundle.reference import make_reference


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (250, 350, ()),  # a quarter beyond the largest
        (80, 160, ()),  # the smallest are a quarter larger
        (252, 300, ("size",)),
        (150, 353, ("size",)),
        (79, 220, ("size",)),
        (150, 158, ("size",)),
    ],
)
def test_a_side_may_be_a_quarter_beyond_the_training_range(width, height, said):
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(60, 10))
    plain[:, 0], plain[:, 1] = np.linspace(100, 200, 60), np.linspace(200, 280, 60)
    reference = make_reference(plain, None, [(np.arange(30), np.arange(30, 60))])
    row = plain.mean(axis=0)
    row[:2] = width, height
    assert reference.unlike(row[None]) == [said]
