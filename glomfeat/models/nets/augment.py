"""Augmentation on the device: one random flip, rotation and shift per image."""

import math

import torch
from torch.nn import functional


def draw(augment, n, generator):
    """Draw what happens to each of n images.

    Parameters
    ----------
    augment : Augment
    n : int
    generator : torch.Generator
        On the CPU, so that every device sees the same numbers.

    Returns
    -------
    flip : Tensor of bool, shape (n,)
    angle : Tensor of float32, shape (n,)
        In radians, counter-clockwise.
    shift : Tensor of float32, shape (n, 2)
        To the right and down, as a part of the side.

    Examples
    --------
    >>> from glomfeat.models.nets import Augment
    >>> flip, angle, shift = draw(Augment(flip=1, rotation=0), 2, torch.Generator().manual_seed(0))
    >>> flip.tolist(), angle.abs().tolist(), bool(shift.abs().max() <= 0.1)
    ([True, True], [0.0, 0.0], True)
    """
    numbers = torch.rand((n, 4), generator=generator)
    flip = numbers[:, 0] < augment.flip
    angle = (2 * numbers[:, 1] - 1) * math.radians(augment.rotation)
    return flip, angle, (2 * numbers[:, 2:] - 1) * augment.shift


def apply(images, flip, angle, shift):
    """Flip, then rotate about the centre, then shift; the nearest pixel of the border fills what was outside.

    Parameters
    ----------
    images : Tensor of float32, shape (n, channels, side, side)
    flip, angle, shift : Tensor
        As `draw` returns them, on any device.

    Returns
    -------
    Tensor of float32, shape (n, channels, side, side)
        Bilinear, so no value leaves the range of its image. A flip alone is an exact mirror.

    Examples
    --------
    >>> image = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> apply(image, torch.tensor([True]), torch.zeros(1), torch.zeros(1, 2)).tolist()
    [[[[1.0, 0.0], [3.0, 2.0]]]]
    """
    still = not (angle.any() or shift.any())
    flip, angle, shift = (value.to(images.device) for value in (flip, angle, shift))
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    if still:
        return images  # sampling at the pixels' own centres would round
    # An affine grid says where each pixel of the result comes from, in units of half a side: the inverse map.
    cos, sin = angle.cos(), angle.sin()
    across, down = 2 * shift[:, 0], 2 * shift[:, 1]
    inverse = torch.stack(
        [
            torch.stack([cos, -sin, -cos * across + sin * down], dim=1),
            torch.stack([sin, cos, -sin * across - cos * down], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(inverse, images.shape, align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
