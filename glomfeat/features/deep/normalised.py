"""A network that reads images as they are stored and returns rows as they are stored."""

import torch
from torch import nn

from glomfeat.features.base import FeatureError


class Normalised(nn.Module):
    """A network that reads uint8 pixels, normalises them on the device, and returns float32 rows."""

    def __init__(self, net, mean, std, dtype):
        super().__init__()
        self.net = net.to(dtype)
        self.dtype = dtype
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(1, 3, 1, 1))

    def forward(self, pixels):
        found = unpacked(self.net(pixels.float().sub_(self.mean).div_(self.std).to(self.dtype)))
        if not isinstance(found, torch.Tensor) or found.ndim < 2 or len(found) != len(pixels):
            raise FeatureError("this layer gives no tensor with a row per image: choose another")
        return found.flatten(1).float()


def unpacked(found):
    """Unpack what a network returns, which is a dict if it was cut at a layer."""
    if isinstance(found, dict):
        (found,) = found.values()
    return found
