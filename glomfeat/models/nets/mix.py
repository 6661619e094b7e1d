"""Mixup (Zhang et al. 2018): a network learns mixtures of two images, with the classes of both."""

from dataclasses import dataclass

import numpy as np
import torch

from glomfeat.models.nets.augment import draw_seed


@dataclass(frozen=True)
class Mix:
    """Which images of a batch are mixed, and how.

    Attributes
    ----------
    partners : Tensor of int64, shape (n,)
        For each image, the position in the batch of the image that it is mixed with.
    share : float
        The share of an image itself in its mixture.

    Examples
    --------
    >>> Mix(torch.tensor([1, 0]), 0.75).of(torch.tensor([0.0, 4.0])).tolist()
    [1.0, 3.0]
    """

    partners: torch.Tensor
    share: float

    def of(self, images):
        """Mix images with their partners."""
        return self.share * images + (1 - self.share) * images[self.partners.to(images.device)]

    def loss(self, loss_of, y):
        """The loss of mixtures: the losses for both classes, weighted by the shares of the two images.

        Parameters
        ----------
        loss_of : callable
            ``loss_of(y)`` returns the loss of each image for the classes `y`.
        y : Tensor of int64, shape (n,)

        Returns
        -------
        Tensor of float32, shape (n,)
        """
        return self.share * loss_of(y) + (1 - self.share) * loss_of(y[self.partners.to(y.device)])


def draw_mix(strength, n, generator):
    """Draw partners, and one share from a beta distribution of which both parameters are `strength`.

    Parameters
    ----------
    strength : float
        With 0 nothing is mixed, and nothing is drawn.
    n : int
    generator : torch.Generator

    Returns
    -------
    Mix or None
    """
    if not strength:
        return None
    partners = torch.randperm(n, generator=generator)
    return Mix(partners, float(np.random.default_rng(draw_seed(generator)).beta(strength, strength)))
