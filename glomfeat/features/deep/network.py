"""What a pretrained network sees: its activations before the classes, or at any layer."""

import copy
import gc
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache, partial

import numpy as np
import torch

from glomfeat.core.errors import InputError
from glomfeat.data.images.decode import LANCZOS, SIDE
from glomfeat.features.base import Defaults, FeatureError
from glomfeat.features.deep.builder import OF_A_FUNCTION, Builder
from glomfeat.features.deep.cut import backbone, fold_batch_norms
from glomfeat.features.deep.device import HALF, PRECISIONS, card_bytes, cards_of, find_device, tf32
from glomfeat.features.deep.flow import RING, Dealt, Flow
from glomfeat.features.deep.footprint import Outline, bytes_of, live_bytes
from glomfeat.features.deep.lanes import lanes_of
from glomfeat.features.deep.normalised import Normalised
from glomfeat.features.deep.weights import Weights, find_weights, made_for, random_network

# What convolutions and the allocator take besides the tensors that live at one time, and of packed parameters.
SCRATCH, PACKED = 1.3, 0.2
# Of a batch on a CPU: what its layers give then stays in the caches, which made squeezenet1_1 a quarter faster than
# batches of 32, and resnet18 a fifteenth.
CACHED_PX = 8 * 224**2
# Of a batch on a GPU, where none is asked for: the largest of these for which half of the card's memory suffices.
ON_A_CARD = (1024, 512, 256)


@lru_cache(maxsize=64)
def _outline(feature, side, batch):
    """The outline of a `Deep` from shapes alone; of a network that needs numbers to run, from one black image."""
    found, dtype = feature.weights_found, HALF.get(feature.precision, torch.float32)
    ours = feature.build is backbone or feature.builder.needs_no_file
    if ours:
        found = replace(found, path=None)  # shapes need no file
    try:
        with torch.device("meta") if ours else nullcontext():
            whole, net = _built(feature, found, dtype)
    except NotImplementedError:
        if not ours:
            raise
        whole, net = _built(feature, found, dtype)  # RegNets reckon with tensors while they are built
        net.to("meta")
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
    """The bytes of the network that a `Deep` is cut from, and what is left of it, reading bytes."""
    whole = bytes_of(random_network(feature.model)) if feature.build is backbone else 0
    net = Normalised(feature.build(feature.model, found, feature.layer), found.mean, found.std, dtype)
    return whole, net.eval().requires_grad_(False)


def _fails(feature, side, error):
    made = feature.made_for
    other = f"its weights were made for {made}" if made not in (0, side) else "most networks take 224"
    return FeatureError(f"{feature.name} fails on images of {side} px, pass another --size ({other}): {error}")


@dataclass(frozen=True)
class Deep(Defaults):
    """Activations of a network as features. The network is built at the first `transform`, kept until `release`.

    Attributes
    ----------
    model : str
        A network of torchvision, or the name and version of your own.
    weights_found : Weights
        Its parameters and their normalisation.
    layer : str or None
        As `backbone`.
    device : str
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision : {"float32", "tf32", "bfloat16", "float16"}
        Of the arithmetic; all but float32 need CUDA, or of bfloat16 a processor that computes in it. The features are
        float32 always.
    batch : int
        Images at a time at the most, see `at_once` and `within`; halved, and kept so, where the GPU's memory does not
        suffice. The last one is filled with black images: the last digits of a row depend on the size of its batch, and
        on nothing else in it.
    build : callable
        ``build(model, weights_found, layer)`` returns the module, from normalised float images of shape
        (n, 3, side, side) to a tensor with a row per image. For your own network, see `glomfeat.Backbone`.
    follows : bool
        Whether images are to be read at the size and with the filter that the configuration of the weights says.
    code : str
        Digest of the code that builds a network of one's own, which stored numbers follow.
    compiled : bool
        Whether torch compiles the network, which needs CUDA; last digits differ.

    Raises
    ------
    InputError
        An unknown precision, one that the device does not have, or a device that is not there.

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
            found = find_device(self.device, self.precision)
            if self.compiled and found.type != "cuda":
                raise InputError(f"compile needs a CUDA device, and this is {found}: leave it out")

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # without the network

    @property
    def name(self):
        """Model, weights and, where they are not the usual ones, layer and precision."""
        layer = f"@{self.layer}" if self.layer else ""
        precision = f"+{self.precision}" if self.precision != "float32" else ""
        compiled = "+compiled" if self.compiled else ""
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
        } | ({name: of for name, of in (("code", self.code), ("compiled", self.compiled)) if of})

    @property
    def weights(self):
        """What every row of the results says about the parameters."""
        return self.weights_found.said

    @property
    def made_for(self):
        """The side in pixels of the images that the weights were made for; 0 where that is not known."""
        if self.weights_found.reads:
            return self.weights_found.reads[0]
        return made_for(self.model) if self.build is backbone else 0

    @property
    def builder(self):
        """What is known of `build`."""
        return self.build if isinstance(self.build, Builder) else OF_A_FUNCTION

    def having(self, **settings):
        """The same feature with other settings; ``reads`` are side and filter of the images that it is to read."""
        if own := settings.pop("reads", None):
            settings |= {"follows": True, "weights_found": replace(self.weights_found, reads=own)}
        return replace(self, **settings)

    @property
    def reads(self):
        """Side and filter of the images that are to be read, as `Weights.reads`; None where these are the study's."""
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
        gc.collect()  # a traced network that was cut refers to the whole of it in a circle
        return self._ready(net.requires_grad_(False), device), device

    def _ready(self, net, device):
        net = net.to(device, memory_format=torch.channels_last)
        return torch.compile(net, dynamic=False) if self.compiled else net

    def at_once(self, side):
        """Images of a side at a time: `batch`, and on a CPU no more than its caches profit from.

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
        """What the network takes on images of a side, and gives.

        The shapes are run through the network on torch's meta device, which holds no numbers and computes none.

        Parameters
        ----------
        side : int
            Of the square, in pixels.

        Returns
        -------
        Outline
            For batches of `at_once`, in this process's memory; on a GPU the activations are in its own.

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
        """The same feature with the batch halved until a forward pass takes at most half of what is free.

        On a GPU it is first the one for which half of the card's memory suffices, 1024 at the most, unless another one
        was asked for. Half, so that the batch, on which the last digits of the numbers depend, is a function of the
        memory, the side and this network, and not of what else is to be extracted. It is part of `key`.

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
        """The batch for which half of the GPU's memory suffices, whoever else holds some of it at the time."""
        card, least = find_device(self.device, self.precision), ON_A_CARD[-1]
        one = _outline(replace(self), side, least)
        free = (card_bytes(card) // 2 - one.parameters) / (SCRATCH * one.forward / least)
        return next((batch for batch in ON_A_CARD if batch <= free), max(1, 2 ** int(np.log2(max(free, 1)))))

    @property
    def streams(self):
        """Whether it describes several shards together, see `stream`: on a GPU."""
        return find_device(self.device, self.precision).type == "cuda"

    def stream(self, side, threads):
        """As `glomfeat.features.base.Feature.stream`, on all GPUs that the device stands for."""
        net, device = self._network
        first, *others = cards_of(device)
        plain = getattr(net, "_orig_mod", net)  # of a compiled one
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
            The network does not take images of this side, or gives values that are not finite.
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
    """A block in which a network describes batches; what it raises is said in words."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if batch > 1:
            raise  # the flow halves it
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
        Of the images, in pixels; None for what the configuration of the weights says, or if they are random the
        study's.

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
