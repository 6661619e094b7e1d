"""Augmentation on the device: random flips, turns, rotations, shifts, crops and changes of stain, image by image."""

import math
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from glomfeat.data.images.density import HAEMATOXYLIN, PAS
from glomfeat.data.images.stain import look, median_of

LOOKED_AT = 32  # training images from which the stain vectors are estimated
OPERATIONS = 2  # that RandAugment applies to an image
SEEDS = 2**31
WHITE = 255
USUAL_STAINS = torch.tensor([HAEMATOXYLIN, PAS])  # if the images show too little stain to estimate their own


def draw(augment, n, generator):
    """Draw what happens to each of n images.

    Parameters
    ----------
    augment : Augment
    n : int
    generator : torch.Generator
        On the CPU, so that the numbers are the same for every device.

    Returns
    -------
    flip : Tensor of bool, shape (n,)
    angle : Tensor of float32, shape (n,)
        In radians, counter-clockwise.
    shift : Tensor of float32, shape (n, 2)
        To the right and down, as a fraction of the side.

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


def apply(images, flip, angle, shift, side=None, corner=None):
    """Flip, crop, rotate about the centre, then shift; the nearest border pixel fills what lay outside the image.

    Parameters
    ----------
    images : Tensor of float32, shape (n, channels, side, side)
    flip, angle, shift : Tensor
        As `draw` returns them, on any device.
    side, corner : Tensor, optional
        As `draw_crop` returns them; if they are not given, the whole image is kept.

    Returns
    -------
    Tensor of float32, shape (n, channels, side, side)
        Interpolated bilinearly, so no value leaves the range of its image. A flip alone is an exact mirror image.

    Examples
    --------
    >>> image = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> apply(image, torch.tensor([True]), torch.zeros(1), torch.zeros(1, 2)).tolist()
    [[[[1.0, 0.0], [3.0, 2.0]]]]
    """
    still = not (angle.any() or shift.any() or side is not None)
    flip, angle, shift = (value.to(images.device) for value in (flip, angle, shift))
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    if still:
        return images  # resampling, even exactly at the pixel centres, would round
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
    if side is not None:
        inverse = inverse * side.to(images.device)[:, None, None]
        inverse[:, :, 2] += corner.to(images.device)
    grid = functional.affine_grid(inverse, images.shape, align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def draw_crop(augment, n, generator):
    """Draw the square that is cut out of each of n images.

    Returns
    -------
    side : Tensor of float32, shape (n,)
        As a fraction of the image's side.
    corner : Tensor of float32, shape (n, 2)
        How far its centre lies to the right and down, in units of half an image.

    Examples
    --------
    >>> from glomfeat.models.nets import Augment
    >>> side, corner = draw_crop(Augment(crop=0.25), 99, torch.Generator().manual_seed(0))
    >>> bool((side >= 0.5).all()), bool((corner.abs() <= 1 - side[:, None]).all())
    (True, True)
    """
    numbers = torch.rand((n, 3), generator=generator)
    side = (augment.crop + (1 - augment.crop) * numbers[:, 0]).sqrt()
    return side, (2 * numbers[:, 1:] - 1) * (1 - side)[:, None]


def change_stains(images, stains, gains):
    """Change how much there is of each stain in images; where there is no stain, nothing changes.

    Parameters
    ----------
    images : Tensor of float32, shape (n, 3, side, side)
        On the scale 0..1.
    stains : Tensor of float32, shape (2, 3)
        Optical densities of each stain in red, green and blue, as in `glomfeat.data.images.stain`.
    gains : Tensor of float32, shape (n, 2)
        Factors by which the amounts of the two stains are multiplied.

    Returns
    -------
    Tensor of float32, of the same shape

    Examples
    --------
    >>> images = torch.rand(1, 3, 2, 2)
    >>> same = change_stains(images, USUAL_STAINS, torch.ones(1, 2))
    >>> bool((same - images).abs().max() < 1e-5)
    True
    """
    stains, gains = stains.to(images.device), gains.to(images.device)
    matrix = torch.linalg.pinv(stains) @ torch.diag_embed(gains - 1) @ stains
    density = -((255 * images + 1) / 256).log()
    density = density + torch.einsum("nihw,nij->njhw", density, matrix)
    return ((256 * (-density).exp() - 1) / 255).clamp(0, 1)


def stain_vectors(X, rows):
    """Estimate the stain vectors of training images: the median over some of them, or PAS's if they show too little.

    Parameters
    ----------
    X : array-like of uint8, shape (n, side, side, 3)
    rows : ndarray of int

    Returns
    -------
    Tensor of float32, shape (2, 3)
    """
    chosen = rows[np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).round().astype(int)]
    found = median_of("macenko", (look(image)[1] for image in X[chosen]))
    return USUAL_STAINS if found is None else torch.tensor(found[:6], dtype=torch.float32).reshape(2, 3)


def augmented(pixels, augment, generator, stains=USUAL_STAINS):
    """Change images at random.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (n, 3, side, side)
    augment : Augment or None
        None changes nothing.
    generator : torch.Generator
        On the CPU.
    stains : Tensor of float32, shape (2, 3)
        The stains whose amounts are changed, if `augment` asks for that.

    Returns
    -------
    Tensor of float32, shape (n, 3, side, side)
        On the scale 0..1.
    """
    if augment is None:
        return pixels.float().div(255)
    n, drawn, crop = len(pixels), draw(augment, len(pixels), generator), ()
    if augment.crop < 1:
        crop = draw_crop(augment, n, generator)
    if augment.randaugment:
        pixels = _rand_augment(pixels, augment.randaugment, generator)
    images = pixels.float().div(255)
    if augment.turn:  # before both flips: a transposition after one of them would swap it for the other
        images = _where(augment.turn, images, images.transpose(-1, -2), generator)
    if augment.vertical:
        images = _where(augment.vertical, images, images.flip(-2), generator)
    if augment.stain:
        gains = 1 + augment.stain * (2 * torch.rand((n, 2), generator=generator) - 1)
        images = change_stains(images, stains, gains)
    return apply(images, *drawn, *crop)


def _where(probability, images, others, generator):
    chosen = torch.rand(len(images), generator=generator) < probability
    return torch.where(chosen.to(images.device)[:, None, None, None], others, images)


def _rand_augment(pixels, magnitude, generator):
    """Apply torchvision's RandAugment (Cubuk et al. 2020) to each image, with random numbers of this generator only."""
    from torchvision.transforms.v2 import RandAugment

    change = RandAugment(OPERATIONS, magnitude, fill=WHITE)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(draw_seed(generator))
        return torch.stack([change(image) for image in pixels])


def draw_seed(generator):
    """Draw a seed for code that does not accept a torch generator."""
    return int(torch.randint(SEEDS, (1,), generator=generator))


def view_makers():
    """Make the eight functions that lay a square each way: four right-angle turns, each with and without a flip."""
    turned = [partial(torch.rot90, k=k, dims=(-2, -1)) for k in range(4)]
    return [*turned, *(partial(_mirrored, turn=turn) for turn in turned)]


def _mirrored(images, turn):
    return turn(images.flip(-1))
