"""The builder: an architecture becomes a module from normalised images to logits."""

import math
import re
from typing import NamedTuple

from torch import nn

from glomfeat.core.errors import InputError

# The epsilon is Keras's. Keras's momentum (0.01 in torch's terms) would need hundreds of steps before evaluation means
# anything, which a few hundred images do not give; the description of the original networks leaves both open.
_BN = {"eps": 1e-3, "momentum": 0.1}


class Count(NamedTuple):
    """How many numbers a network holds; `total` includes the statistics of batch normalisation, as in Keras."""

    parameters: int
    trainable: int
    statistics: int

    @property
    def total(self):
        return self.parameters + self.statistics


def check_batch(module, batch, name):
    """Refuse batches of a single image for a module in which batch normalisation learns.

    Parameters
    ----------
    module : torch.nn.Module
        Left in training mode.
    batch : int
    name : str
        For the message.

    Raises
    ------
    InputError
    """
    norms = [part for part in module.train().modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if batch < 2 and any(part.training for part in norms):
        raise InputError(f"net {name}: batch normalisation cannot learn from one image, pass a --batch of at least 2")


def count(module):
    """Count a module's parameters; it may lie on the meta device.

    Returns
    -------
    Count

    Examples
    --------
    >>> count(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))).total
    16
    """
    parameters = [p for p in module.parameters() if not isinstance(p, nn.UninitializedParameter)]
    return Count(
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(b.numel() for name, b in module.named_buffers() if name.rpartition(".")[2].startswith("running_")),
    )


class MeanPool(nn.Module):
    """The mean over height and width; unlike adaptive pooling, its gradient is deterministic on every device."""

    def forward(self, images):
        return images.mean((2, 3))


def build(architecture, classes=2, side=None):
    """Build the module that an architecture describes.

    Parameters
    ----------
    architecture : Architecture
    classes : int
        Two classes share one logit; with more, each class has its own.
    side : int, optional
        Side of the input in pixels; by default the architecture's own.

    Returns
    -------
    torch.nn.Sequential
        From float images of shape (n, 3, side, side) to logits of shape (n, 1) or (n, classes).

    Raises
    ------
    ValueError
        An unknown layer, or a side too small for the pooling.

    Examples
    --------
    >>> import torch
    >>> from glomfeat.models.nets import ARCHITECTURES
    >>> with torch.device("meta"):
    ...     count(build(ARCHITECTURES["baseline-8"])).total
    268741153
    """
    layers, channels, side = [], 3, side or architecture.side
    flat = False
    for text in architecture.layers:
        match = re.fullmatch(r"(CBR|C|BN|MP|GAP|F|DO|D|out)([\d.]*)(?:s(\d))?", text)
        if not match:
            raise ValueError(f"{architecture.name}: unknown layer {text!r}")
        kind, number, stride = match[1], match[2], int(match[3] or 1)
        if kind in ("C", "CBR"):
            norm = kind == "CBR"
            width = int(number)
            layers.append(nn.Conv2d(channels, width, 3, stride, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(width, **_BN), nn.ReLU()] if norm else [nn.ReLU()]
            channels, side = width, math.ceil(side / stride)
        elif kind == "BN":
            layers.append((nn.BatchNorm1d if flat else nn.BatchNorm2d)(channels, **_BN))
        elif kind == "MP":
            layers.append(nn.MaxPool2d(2))
            side //= 2
        elif kind in ("F", "GAP"):
            layers.append(nn.Flatten() if kind == "F" else MeanPool())
            channels, flat = channels * side * side if kind == "F" else channels, True
        elif kind == "DO":
            layers.append(nn.Dropout(float(number)))
        else:
            width = int(number) if kind == "D" else _logits(classes)
            layers.append(nn.Linear(channels, width))
            layers += [nn.ReLU()] if kind == "D" else []
            channels = width
        if side < 1:
            raise ValueError(f"{architecture.name}: the side is too small; nothing is left after {text!r}")
    net = nn.Sequential(*layers)
    _initialise(net, architecture.init)
    return net


def _logits(classes):
    if classes < 2:
        raise ValueError(f"classes is {classes}: at least 2 are needed")
    return 1 if classes == 2 else classes


def _initialise(net, how):
    """Initialise kernels as Keras does, and biases with zero."""
    for layer in net.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if how == "glorot_uniform":
            nn.init.xavier_uniform_(layer.weight)
        elif how == "he_normal":
            # truncated at two standard deviations, and widened so that the truncated normal has the wanted deviation
            wide = math.sqrt(2 / nn.init._calculate_correct_fan(layer.weight, "fan_in")) / 0.87962566103423978
            nn.init.trunc_normal_(layer.weight, std=wide, a=-2 * wide, b=2 * wide)
        else:
            raise ValueError(f"init is {how!r}: allowed are glorot_uniform, he_normal")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def add_penalty_gradient(net, architecture):
    """Add the gradient of an architecture's L2 penalty, ``l2 * sum(w ** 2)``, to the gradients of the loss.

    This equals a term in the loss, but saves a second pass over the 67 million weights of a homemade network, and two
    copies of them.
    """
    kinds = {"convolution kernels": nn.Conv2d, "kernels and biases": nn.Conv2d | nn.Linear}
    if not architecture.l2_on:
        return
    for layer in net.modules():
        if isinstance(layer, kinds[architecture.l2_on]):
            layer.weight.grad.add_(layer.weight.detach(), alpha=2 * architecture.l2)
            if architecture.l2_on == "kernels and biases" and layer.bias is not None:
                layer.bias.grad.add_(layer.bias.detach(), alpha=2 * architecture.l2)
