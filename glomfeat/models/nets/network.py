"""The module that is trained: uint8 pixels in, logits out, with normalisation and augmentation on the device."""

import inspect

import torch
from torch import nn

from glomfeat.core.part_errors import MisfitError, shown
from glomfeat.core.plugins import resolve
from glomfeat.models.nets import augment as augmentation
from glomfeat.models.nets.architectures import find_architecture
from glomfeat.models.nets.build import add_penalty_gradient, build
from glomfeat.models.nets.pretrained import Pretrained
from glomfeat.models.nets.recipes import FINETUNE, FROZEN


def make_own(function, classes, side):
    """What a function of one's own makes of the number of classes and, if it takes it, of the side."""
    known = inspect.signature(function).parameters
    made = function(classes=classes, **({"side": side} if "side" in known else {}))
    if not isinstance(made, nn.Module):
        raise MisfitError(f"it returned {shown(made)}: return a torch.nn.Module", function)
    return made


class Network(nn.Module):
    """A network by name, from uint8 pixels to logits.

    Parameters
    ----------
    name : str
        A name of `glomfeat.models.nets.net_names`, layers that end in ``out``, any torchvision ``MODEL:frozen`` or
        ``MODEL:finetune``, or ``module:function``: a function that takes ``classes`` (and, if it likes, ``side``)
        and returns a module from float images of shape (n, 3, side, side) to that many logits, or to one for two.
    side : int
        Of the pixels.
    classes : int
    augment : Augment, optional
        Random changes of training images.
    precision : {"auto", "float32", "bfloat16"}

    Attributes
    ----------
    mean, std : Tensor of float32, shape (3,)
        What pixels on the scale 0..1 are normalised by: part of the state, set when training starts.
    augment_seed : int
        The n-th call in training mode draws from this seed plus n.

    Examples
    --------
    >>> network = Network("compact", side=16)
    >>> network(torch.zeros((2, 16, 16, 3), dtype=torch.uint8)).shape
    torch.Size([2, 1])
    """

    def __init__(self, name, side, classes=2, augment=None, precision="auto"):
        super().__init__()
        self.side, self.augment, self.precision = side, augment, precision
        self.augment_seed, self.calls = 0, 0
        self.architecture = find_architecture(name)
        model, _, what = name.partition(":")
        if self.architecture:
            self.net = build(self.architecture, classes, side)
        elif what in (FROZEN, FINETUNE):
            self.net = Pretrained(model, classes, what == FROZEN, side)
        else:
            self.net = make_own(resolve(name, {}, "net"), classes, side)
        # Channels last is the faster layout, but for the dense layer after a large map, which has to undo it.
        flattens = self.architecture and "F" in self.architecture.layers
        self.layout = torch.contiguous_format if flattens else torch.channels_last
        self.net.to(memory_format=self.layout)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    @property
    def frozen(self):
        """Whether only the last layer learns."""
        return isinstance(self.net, Pretrained) and self.net.frozen

    def learned(self):
        """What training changes: parameters that learn, and what normalisations count while they do."""
        fixed = "net.backbone." if self.frozen else "nothing"
        buffers = [b for name, b in self.net.named_buffers(prefix="net") if not name.startswith(fixed)]
        counted = [buffer for buffer in buffers if buffer.is_floating_point()]
        return [parameter for parameter in self.parameters() if parameter.requires_grad] + counted

    def normalise_by(self, mean, std):
        """Set mean and standard deviation, one number or one per channel, on the scale 0..1."""
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32).expand(3))
        self.std.copy_(torch.as_tensor(std, dtype=torch.float32).expand(3))

    def add_penalty_gradient(self):
        """Add the gradient of what the architecture adds to the loss."""
        if self.architecture:
            add_penalty_gradient(self.net, self.architecture)

    def forward(self, batch):
        """Logits of pixels, or of what `describe` returned for them.

        Parameters
        ----------
        batch : Tensor of uint8, shape (n, side, side, 3), or of float32, shape (n, width)

        Returns
        -------
        Tensor of float32, shape (n, logits)

        Raises
        ------
        ValueError
            Pixels of another side.
        """
        if batch.ndim == 2:
            return self.net.head(batch)
        images = self._prepare(batch)
        with self._mixed(images):
            logits = self.net(images)
        return logits.float()

    def describe(self, pixels):
        """The input of a frozen network's last layer.

        Returns
        -------
        Tensor of float32, shape (n, width)
        """
        images = self._prepare(pixels)
        with self._mixed(images):
            return self.net.backbone(images).float()

    def _prepare(self, pixels):
        if pixels.shape[1:] != (self.side, self.side, 3):
            raise ValueError(
                f"pixels are {tuple(pixels.shape[1:])}, this network reads {(self.side, self.side, 3)}: "
                f"make it with side={pixels.shape[1]}, or read the images at size {self.side}"
            )
        # outside of mixed precision: the grid of an augmentation does not stand rounding
        images = pixels.permute(0, 3, 1, 2).float().div(255)
        if self.training and self.augment:
            generator = torch.Generator().manual_seed(self.augment_seed + self.calls)
            self.calls += 1
            images = augmentation.apply(images, *augmentation.draw(self.augment, len(images), generator))
        images = (images - self.mean[:, None, None]) / self.std[:, None, None]
        return images.contiguous(memory_format=self.layout)

    def _mixed(self, images):
        kind, precision = images.device.type, self.precision
        mixed = precision == "bfloat16"
        if precision == "auto":
            mixed = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.autocast(kind, torch.bfloat16, enabled=mixed)
