"""Activations of a pretrained network as features: those before the classes, or those of any layer."""

import copy
import gc
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache, partial

import numpy as np
import torch

from glomfeat.core.arms import COMPILED
from glomfeat.core.errors import InputError
from glomfeat.data.images.decode import LANCZOS, SIDE
from glomfeat.features.base import Defaults, FeatureError
from glomfeat.features.deep.builder import OF_A_FUNCTION, Builder
from glomfeat.features.deep.cut import backbone, fold_batch_norms
from glomfeat.features.deep.device import HALF, PRECISIONS, card_bytes, cards_of, find_device, tf32
from glomfeat.features.deep.flow import RING, Dealt, Flow
from glomfeat.features.deep.footprint import Outline, bytes_of, live_bytes, on_meta
from glomfeat.features.deep.lanes import lanes_of
from glomfeat.features.deep.normalised import Normalised
from glomfeat.features.deep.weights import Weights, find_weights, made_for, random_network

# Convolutions and the allocator take this factor of the peak of the tensors, and a fraction of the parameters, packed.
SCRATCH, PACKED = 1.3, 0.2
# Pixels of a batch on a CPU: with so few, the outputs of layers stay in the caches, which made squeezenet1_1 a quarter
# and resnet18 a fifteenth faster than batches of 32.
CACHED_PX = 8 * 224**2
# Images of a batch on a GPU, unless the user sets it: the largest of these that fits into half of the card's memory.
ON_A_CARD = (1024, 512, 256)


@lru_cache(maxsize=64)
def _outline(feature, side, batch):
    """Find the outline of a `Deep` from shapes alone, or from one black image if the network needs numbers to run."""
    found, dtype = feature.weights_found, HALF.get(feature.precision, torch.float32)
    ours = feature.build is backbone or feature.builder.needs_no_file
    if ours:
        found = replace(found, path=None)  # shapes need no file
    whole = bytes_of(on_meta(partial(random_network, feature.model))) if feature.build is backbone else 0
    make = partial(_built, feature, found, dtype)
    net = on_meta(make) if ours else make()
    parameters = bytes_of(net)
    building = feature.builder.copies * max(whole, parameters)  # what was read and what it is copied to
    try:
        return Outline(building, parameters, *live_bytes(copy.deepcopy(net).to("meta"), batch, side))
    except FeatureError:
        raise
    except Exception as error:  # control flow on numbers fails on meta in as many ways as there are networks
        if ours:
            raise _fails(feature, side, error) from error
    live, columns = live_bytes(net, 1, side)
    return Outline(building, parameters, batch * live, columns)


def _built(feature, found, dtype):
    """Build the network of a `Deep`, reading uint8."""
    net = Normalised(feature.build(feature.model, found, feature.layer), found.mean, found.std, dtype)
    return net.eval().requires_grad_(False)


def _fails(feature, side, error):
    made = feature.made_for
    other = f"its weights were made for {made}" if made not in (0, side) else "most networks take 224"
    return FeatureError(f"{feature.name} fails on images of {side} px, pass another --size ({other}): {error}")


@dataclass(frozen=True)
class Deep(Defaults):
    """Activations of a network as features; the network is built at the first `transform` and kept until `release`.

    Attributes
    ----------
    model : str
        A network of torchvision, or the name and version of your own.
    weights_found : Weights
        The network's parameters and their normalisation.
    layer : str or None
        As `backbone`.
    device : str
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision : {"float32", "tf32", "bfloat16", "float16"}
        Precision of the arithmetic. All but float32 need CUDA, except that bfloat16 also works on a processor that
        computes in it. The features are always float32.
    batch : int
        At most this many images at a time, see `at_once` and `within`; halved for good if the GPU's memory does not
        suffice. The last batch is filled up with black images, so the last digits of a row depend on the size of its
        batch, but not on the other images in it.
    build : callable
        ``build(model, weights_found, layer)`` returns the module, from normalised float images of shape
        (n, 3, side, side) to a tensor with a row per image. For your own network, see `glomfeat.Backbone`.
    follows : bool
        Whether images are read at the size and with the filter in the configuration of the weights.
    code : str
        Digest of the code that builds a user's own network; features are stored anew if it changes.
    compiled : bool
        Whether torch compiles the network. This needs CUDA, and changes the last digits.

    Raises
    ------
    InputError
        The precision is unknown or the device does not support it, or the device does not exist.

    Examples
    --------
    >>> feature = deep("squeezenet1_1", "none", device="cpu")
    >>> feature.name, feature.weights
    ('squeezenet1_1.random-...', 'random (seed 0) sha256:...')
    >>> feature.transform(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 512)
    """

    model: str
    weights_found: Weights
    layer: str | None = None
    device: str = "auto"
    precision: str = "float32"
    batch: int = 32
    build: Callable = backbone
    follows: bool = False
    code: str = ""
    compiled: bool = False

    standardise = False
    is_deep = True

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}: allowed are {', '.join(PRECISIONS)}")
        if self.batch < 1:
            raise InputError(f"batch is {self.batch}: at least 1 image at a time")
        if self.compiled or self.precision != "float32" or self.device not in ("auto", "cpu"):
            find_device(self.device, self.precision, self.compiled)

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # without the network

    @property
    def name(self):
        """The model, the weights and, if they are not the usual ones, the layer, the precision and compilation."""
        layer = f"@{self.layer}" if self.layer else ""
        precision = f"+{self.precision}" if self.precision != "float32" else ""
        compiled = f"+{COMPILED}" if self.compiled else ""
        return f"{self.model}.{self.weights_found.tag}{layer}{precision}{compiled}"

    @property
    def key(self):
        """What the numbers depend on besides the pixels, as short plain data."""
        found = self.weights_found
        return {
            "feature": "deep.v2",
            "model": self.model,
            "sha256": found.sha256,
            "normalisation": [*found.mean, *found.std],
            "layer": self.layer,
            "precision": self.precision,
            "batch": self.batch,
        } | {
            name: of
            for name, of in (("code", self.code), ("compiled", self.compiled), ("configuration", found.configuration))
            if of
        }

    @property
    def weights(self):
        """The description of the parameters in every row of the results."""
        return self.weights_found.said

    @property
    def made_for(self):
        """The side in pixels of the images that the weights were made for; 0 if it is not known."""
        if self.weights_found.reads:
            return self.weights_found.reads[0]
        return made_for(self.model) if self.build is backbone else 0

    @property
    def builder(self):
        """What is known about `build`."""
        return self.build if isinstance(self.build, Builder) else OF_A_FUNCTION

    def having(self, **settings):
        """Copy the feature with other settings; ``reads`` is the side and filter of the images that it should read."""
        if own := settings.pop("reads", None):
            settings |= {"follows": True, "weights_found": replace(self.weights_found, reads=own)}
        return replace(self, **settings)

    @property
    def reads(self):
        """Side and filter of the images that should be read, as `Weights.reads`; None if they are the study's."""
        return self.weights_found.reads if self.follows else None

    def note(self, side):
        """As `glomfeat.features.base.Feature.note`."""
        if self.reads:
            own, how = self.reads
            if own == SIDE and how in (None, LANCZOS):
                return ""
            what = f"{own} px, {how}" if how else f"{own} px"
            why = "its weights' configuration says" if self.weights_found.path else "with its pretrained weights"
            return f"reads images of {what}, as {why} (--size N sets one size for all features)"
        if self.weights_found.name == "random" or self.made_for in (0, side):
            return ""
        return f"its weights were made for images of {self.made_for} px, and these are of {side} px"

    @cached_property
    def _network(self):
        found = self.weights_found
        net = fold_batch_norms(self.build(self.model, found, self.layer).eval())
        net = Normalised(net, found.mean, found.std, HALF.get(self.precision, torch.float32)).eval()
        device = find_device(self.device, self.precision)
        gc.collect()  # a traced and cut network refers to the whole one in a reference cycle
        return self._ready(net.requires_grad_(False), device), device

    def _ready(self, net, device):
        net = net.to(device, memory_format=torch.channels_last)
        return torch.compile(net, dynamic=False) if self.compiled else net

    def at_once(self, side):
        """How many images of a side are computed at a time: `batch`, but on a CPU no more than suit its caches.

        Examples
        --------
        >>> [deep("squeezenet1_1", "none", device="cpu").at_once(side) for side in (64, 224, 1000)]
        [32, 8, 1]
        """
        on_cpu = find_device(self.device, self.precision).type == "cpu"
        return max(1, min(self.batch, CACHED_PX // side**2)) if on_cpu else self.batch

    def release(self):
        """Let go of the network; the next `transform` builds it again."""
        if self.__dict__.pop("_network", None) and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def outline(self, side):
        """Find what the network takes for images of a side, and how many numbers it gives.

        The shapes are run through the network on torch's meta device, which computes nothing. A network that cannot run
        there is run on one black image.

        Parameters
        ----------
        side : int
            Side of the square images in pixels.

        Returns
        -------
        Outline
            For batches of `at_once`, in this process's memory; activations on a GPU are not counted.

        Raises
        ------
        FeatureError
            The network has no such layer, or does not take images of this side.

        Examples
        --------
        >>> deep("squeezenet1_1", "none", device="cpu").outline(224)
        Outline(building=9883..., parameters=2890..., forward=5874..., columns=512)
        """
        batch = self.at_once(side)
        found = _outline(replace(self), side, batch)  # a copy, so that no network is kept with the answer
        if find_device(self.device, self.precision).type == "cuda":
            return replace(found, forward=RING * batch * side**2 * 3)
        return replace(found, forward=int(SCRATCH * found.forward + PACKED * found.parameters))

    def within(self, free, side):
        """Copy the feature, with the batch halved until a forward pass takes at most half of what is free.

        Parameters are subtracted from what is free first. On a GPU, unless the user sets a batch, it starts with the
        one that fits into half of the card's memory, at most 1024. Only half is used so that the batch, on which the
        last digits of the numbers depend, is a function of the memory, the side and this network, and not of what else
        is extracted. It is part of `key`.

        Parameters
        ----------
        free : int or None
            Bytes; None for no limit.
        side : int

        Returns
        -------
        Deep

        Examples
        --------
        >>> deep("squeezenet1_1", "none", device="cpu").within(100_000_000, 224).batch
        4
        """
        chosen = self.streams and self.batch == Deep.batch
        fitted = replace(self, batch=self._of_card(side) if chosen else self.batch)
        while free is not None and fitted.batch > 1:
            outline = fitted.outline(side)
            if outline.parameters + 2 * outline.forward <= free:
                break
            fitted = replace(fitted, batch=fitted.batch // 2)
        return fitted

    def _of_card(self, side):
        """Find the batch for which half of the GPU's total memory suffices, no matter how much of it is in use now."""
        card, least = find_device(self.device, self.precision), ON_A_CARD[-1]
        one = _outline(replace(self), side, least)
        free = (card_bytes(card) // 2 - one.parameters) / (SCRATCH * one.forward / least)
        return next((batch for batch in ON_A_CARD if batch <= free), max(1, 2 ** int(np.log2(max(free, 1)))))

    @property
    def streams(self):
        """Whether it computes several shards together, which it does on a GPU; see `stream`."""
        return find_device(self.device, self.precision).type == "cuda"

    def stream(self, side, threads):
        """As `glomfeat.features.base.Feature.stream`, on all GPUs that the device stands for."""
        net, device = self._network
        first, *others = cards_of(device)
        plain = getattr(net, "_orig_mod", net)  # the network inside a compiled one
        nets = [(net, first)] + [(self._ready(copy.deepcopy(plain), card), card) for card in others]
        return Dealt([self._flow(net, card, side, threads) for net, card in nets])

    def _flow(self, net, device, side, threads=0):
        def describe(images):
            with tf32(self.precision == "tf32", device):
                return net(images)

        batch = self.__dict__.get("_batch_that_fits", self.at_once(side))
        return Flow(describe, lanes_of(device), batch, threads, partial(_explained, self, side, device), self._check)

    def _check(self, rows):
        if not np.isfinite(rows).all():
            raise FeatureError(f"{self.name} gives NaN or infinity: take precision float32, or other weights")

    def transform(self, pixels, sizes=None):
        """As `glomfeat.features.base.Feature.transform`; sizes are not used.

        Raises
        ------
        FeatureError
            The network does not take images of this side, or returns values that are not finite.
        WeightsError
            As `load_network`.
        """
        if len(pixels) == 0:
            return self.transform(np.zeros((1, *pixels.shape[1:]), np.uint8))[:0]
        flow, found = self._flow(*self._network, pixels.shape[1]), []
        flow.add(pixels, found.append)
        flow.finish()
        if flow.batch < self.at_once(pixels.shape[1]):
            self.__dict__["_batch_that_fits"] = flow.batch
        return found[0]


@contextmanager
def _explained(feature, side, device, batch):
    """Turn errors of a network that computes batches into messages for the user, within a block."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if batch > 1:
            raise  # the flow halves the batch
        raise FeatureError(
            f"the memory of {device} is not enough for {feature.name} on one image of {side} px: pass a smaller "
            "--size, or --device cpu"
        ) from error
    except (RuntimeError, AssertionError) as error:
        raise _fails(feature, side, error) from error


def deep(model, where="imagenet", layer=None, device="auto", precision="float32", side=None):
    """Find the weights of a torchvision network, and make it a feature.

    Parameters
    ----------
    model, layer, device, precision
        As `Deep`.
    where : str or Path
        As `find_weights`.
    side : int or None
        Side of the images in pixels; None for the side in the configuration of the weights, or for the study's if they
        are random.

    Returns
    -------
    Deep

    Raises
    ------
    WeightsError, glomfeat.core.plugins.PluginError
        As `find_weights`.
    InputError
        As `Deep`.
    """
    found = find_weights(model, where)
    return Deep(model, found, layer, device, precision, follows=side is None and found.path is not None)
