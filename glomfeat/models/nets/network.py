"""The module that is trained: uint8 pixels in, logits out, with normalisation and augmentation on the device."""

import copy
import inspect
from contextlib import contextmanager, nullcontext
from itertools import chain

import torch
from torch import nn

from glomfeat.core.part_errors import MisfitError, shown
from glomfeat.core.plugins import resolve
from glomfeat.core.words import joined
from glomfeat.features.deep.device import tf32
from glomfeat.models.nets.architectures import find_architecture
from glomfeat.models.nets.augment import USUAL_STAINS, augmented, view_makers
from glomfeat.models.nets.build import add_penalty_gradient, build
from glomfeat.models.nets.mix import draw_mix
from glomfeat.models.nets.modes import averages, one_view, split_mode
from glomfeat.models.nets.pretrained import Pretrained

_COMPILED = {}  # for which network this process compiled last


def call_own(function, classes, side):
    """Call a user's function with the number of classes and, if it takes it, the side, and check what it returns."""
    known = inspect.signature(function).parameters
    made = function(classes=classes, **({"side": side} if "side" in known else {}))
    if not isinstance(made, nn.Module):
        raise MisfitError(f"it returned {shown(made)}: return a torch.nn.Module", function)
    return made


def shared_tensors(one, other):
    """List the names of the parameters and buffers of a network that lie in the memory of those of another one."""
    held = {tensor.untyped_storage().data_ptr() for tensor in chain(other.parameters(), other.buffers())} - {0}
    named = chain(one.named_parameters(), one.named_buffers())
    return [name for name, tensor in named if tensor.untyped_storage().data_ptr() in held]


def make_own(function, classes, side):
    """Make a network of the user's own that nothing else holds: what outlives a training would know its test images.

    The function is called twice. If both networks share parameters, as those of a backbone at the top of a module, the
    network is a copy. Others are not copied, because a copy of a network whose hooks name the network misses them.

    Raises
    ------
    MisfitError
        The function does not return a network, or one that shares parameters and cannot be copied.
    """
    made = call_own(function, classes, side)
    with torch.random.fork_rng(devices=[]):
        shared = shared_tensors(made, call_own(function, classes, side))
    if not shared:
        return made
    try:
        return copy.deepcopy(made)
    except Exception as error:
        said = f"two calls share {shared[0]}, and it cannot be copied ({error}): make all layers in the function"
        raise MisfitError(said, function) from error


def learns_faster_in_bfloat16(device):
    """Whether a device is a GPU that computes in bfloat16 by itself."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


class Network(nn.Module):
    """A network by name, from uint8 pixels to logits.

    Parameters
    ----------
    name : str
        A name of `glomfeat.models.nets.net_names`, layers that end in ``out``, any torchvision or ``timm:`` model with
        ``:frozen``, ``:last2``, ``:finetune`` or ``:lora``, or ``module:function``: a function that takes ``classes``
        (and, if it likes, ``side``) and returns a module from float images of shape (n, 3, side, side), normalised by
        `mean` and `std`, to that many logits, or to one logit for two classes. With ``+tta8`` at the end, logits are
        means over eight flips and turns of an image.
    side : int
        Side of the images in pixels.
    classes : int
    augment : Augment, optional
        Random changes of training images.
    precision : {"auto", "float32", "bfloat16"}
    drop_path : float
        For pretrained networks, as `glomfeat.models.nets.pretrained.Pretrained`.
    mixup : float
        As `glomfeat.models.nets.Recipe`.
    plain : dict, optional
        What a bundle stores about a timm network.

    Attributes
    ----------
    mean, std : Tensor of float32, shape (3,)
        Mean and standard deviation that pixels on the scale 0..1 are normalised with; part of the state, and set when
        training starts: to those that pretrained weights expect, else to those of the training images, over all
        channels.
    augment_seed : int
        The n-th call in training mode draws from this seed plus n.
    mix : Mix or None
        How the images of the last call in training mode were mixed.
    was_mixed : bool
        Whether anything has been computed in bfloat16.
    stains : Tensor of float32, shape (2, 3)
        Stain vectors of the training images, set when training starts if the augmentation changes stains.

    Examples
    --------
    >>> network = Network("compact", side=16)
    >>> network(torch.zeros((2, 16, 16, 3), dtype=torch.uint8)).shape
    torch.Size([2, 1])
    """

    def __init__(self, name, side, classes=2, augment=None, precision="auto", drop_path=0.0, mixup=0.0, plain=None):
        super().__init__()
        self.name, self.side, self.classes, self.augment, self.precision = name, side, classes, augment, precision
        self.augment_seed, self.calls = 0, 0
        self.mixup, self.mix, self.stains = mixup, None, USUAL_STAINS
        self.adapted, self.fast, self.was_mixed = False, None, False
        self.views = view_makers() if averages(name) else None
        self.architecture = find_architecture(name)
        if self.architecture:
            self.net = build(self.architecture, classes, side)
        elif split_mode(name):
            self.net = Pretrained(name, classes, side, drop_path, plain)
        else:
            self.net = make_own(resolve(one_view(name), {}, "net"), classes, side)
        # Channels last is the faster layout, except before a dense layer after a large map, which has to undo it.
        flattens = self.architecture and "F" in self.architecture.layers
        self.layout = torch.contiguous_format if flattens else torch.channels_last
        self.net.to(memory_format=self.layout)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    @property
    def frozen(self):
        """Whether only the last layer learns."""
        return self.has_backbone and self.net.frozen

    @property
    def has_backbone(self):
        """Whether it is a pretrained network with a last layer of our own."""
        return isinstance(self.net, Pretrained)

    def adapt(self, rank, layers):
        """Add adapters, as `Pretrained.adapt`, and return whether there are any."""
        self.adapted = self.has_backbone and self.net.adapt(rank, layers)
        return self.adapted

    def merge(self):
        """Add what adapters have learnt to the weights."""
        if self.has_backbone:
            self.net.merge()

    def learned(self):
        """List the tensors that training changes: learning parameters, and running statistics of normalisations."""
        resting = self.net.resting if self.has_backbone else []
        fixed = {id(buffer) for part in resting for buffer in part.buffers()}
        counted = [b for b in self.net.buffers() if id(b) not in fixed and b.is_floating_point()]
        return [parameter for parameter in self.parameters() if parameter.requires_grad] + counted

    def normalise_by(self, mean, std):
        """Set mean and standard deviation, one number or one per channel, on the scale 0..1."""
        self.mean.copy_(torch.as_tensor(mean, dtype=torch.float32).expand(3))
        self.std.copy_(torch.as_tensor(std, dtype=torch.float32).expand(3))

    def slower_by(self, decay):
        """Find the factor of each parameter's learning rate: `decay` to the power of its blocks before the last layer.

        Returns
        -------
        dict of str to float
            By the parameter's name; for parameters that are missing the factor is 1.
        """
        if decay == 1 or not self.has_backbone:
            return {}
        return {f"net.backbone.{name}": decay**depth for name, depth in self.net.depths().items()}

    def add_penalty_gradient(self):
        """Add the gradient of the architecture's L2 penalty to the gradients of the loss."""
        if self.architecture:
            add_penalty_gradient(self.net, self.architecture)

    @property
    def last_layer(self):
        """The layer whose logits would tie in bfloat16; None if it is not known, as in a network of the user's own."""
        if self.has_backbone:
            return self.net.head
        return self.net[-1] if self.architecture else None

    def forward(self, batch):
        """Calculate logits from pixels, or from what `describe` returned for them.

        Parameters
        ----------
        batch : Tensor of uint8, shape (n, side, side, 3), or of float32, shape (n, width)

        Returns
        -------
        Tensor of float32, shape (n, logits)

        Raises
        ------
        ValueError
            The pixels have another side.
        MisfitError
            A network of the user's own gives another number of logits.
        """
        if batch.ndim == 2:
            return self.net.head(batch)
        return self._over_views(self._logits, self._prepare(batch))

    def describe(self, pixels):
        """Calculate the input of a frozen network's last layer.

        Returns
        -------
        Tensor of float32, shape (n, width)
        """
        return self._over_views(self._described, self._prepare(pixels))

    def _logits(self, images):
        found, last = self._described(images), self.last_layer
        return self._checked(found, len(images)) if last is None else last(found)

    def _checked(self, found, n):
        """Logits of the user's own network, whose number of classes nothing else compares with that of the study."""
        allowed = [(n, self.classes), *([(n, 1)] if self.classes == 2 else [])]
        if tuple(found.shape) not in allowed:
            said = f"forward gives shape {tuple(found.shape)} for {n} images and {self.classes} classes"
            raise MisfitError(f"{said}: return {joined(map(str, allowed), 'or')}", self.net.forward)
        return found

    def _described(self, images):
        device, mixed = images.device, self.is_mixed(images.device)
        self.was_mixed |= mixed
        # what is scored may be scored again on another device, so it is not rounded to TF32 either
        exact = nullcontext() if self.training else tf32(False, device)
        with exact, torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            found = ((self.training and self.fast) or self._before_last_layer)(images)
        return found.float()

    def _before_last_layer(self, images):
        if self.has_backbone:
            return self.net.backbone(images)
        return (self.net[:-1] if self.architecture else self.net)(images)

    @property
    def compiles_anew(self):
        """Whether torch compiles it for each training, because it has adapters or is the user's own."""
        return bool(self.adapted) or not (self.architecture or self.has_backbone)

    @contextmanager
    def compiled(self, batch):
        """Let torch compile all but the last layer, within a block, for batches of one size in training.

        Other batches, and images that are scored, are computed without it. What was compiled for the same network
        before is used again, unless it `compiles_anew`.

        Yields
        ------
        set of int
            Empty until such a batch is computed.
        """
        same = None if self.compiles_anew else (self.name, self.side, batch)
        if same is None or _COMPILED.get("last") != same:
            torch.compiler.reset()  # torch keeps only a few, and then computes without, and says so to nobody
        _COMPILED["last"] = same
        as_it_draws = {"fallback_random": True}  # dropout would otherwise draw others than without compilation
        fast = torch.compile(self._before_last_layer, dynamic=False, options=as_it_draws)
        used = set()

        def of_one_size(images):
            if len(images) != batch:
                return self._before_last_layer(images)
            used.add(batch)
            return fast(images)

        self.fast = of_one_size
        try:
            yield used
        finally:
            self.fast = None

    def _over_views(self, part, images):
        """Run a part of the network; in evaluation mode, take the mean over views if the name asks for it."""
        if self.training or not self.views:
            return part(images)
        return sum(part(view(images).contiguous(memory_format=self.layout)) for view in self.views) / len(self.views)

    def _prepare(self, pixels):
        if pixels.shape[1:] != (self.side, self.side, 3):
            raise ValueError(
                f"pixels are {tuple(pixels.shape[1:])}, this network reads {(self.side, self.side, 3)}: "
                f"make it with side={pixels.shape[1]}, or read the images at size {self.side}"
            )
        # outside of mixed precision, because the sampling grid of an augmentation must not be rounded
        images, self.mix = pixels.permute(0, 3, 1, 2), None
        if self.training and (self.augment or self.mixup):
            generator = torch.Generator().manual_seed(self.augment_seed + self.calls)
            self.calls += 1
            images = augmented(images, self.augment, generator, self.stains)
            self.mix = draw_mix(self.mixup, len(images), generator)
            images = self.mix.of(images) if self.mix else images
        else:
            images = images.float().div(255)
        images = (images - self.mean[:, None, None]) / self.std[:, None, None]
        return images.contiguous(memory_format=self.layout)

    def is_mixed(self, device):
        """Whether all but the last layer computes in bfloat16 on a device: with auto, only in steps of training."""
        if self.precision == "auto":
            return self.training and learns_faster_in_bfloat16(device)
        return self.precision == "bfloat16"
