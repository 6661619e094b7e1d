"""Models of torchvision and timm with a new last layer; of the rest, all, some blocks, adapters or nothing learns.

This module is also imported for networks of layers, so torchvision and timm, which take a second to import, are
imported where they are used.
"""

import copy
from contextlib import contextmanager
from functools import cache
from itertools import chain

import torch
from torch import nn

from glomfeat.core.errors import InputError
from glomfeat.features.deep.checkpoints import WeightsError
from glomfeat.features.deep.footprint import on_meta
from glomfeat.models.nets.blocks import find_blocks
from glomfeat.models.nets.build import MeanPool
from glomfeat.models.nets.lora import adapt, adapted_layers, merge, split_layers
from glomfeat.models.nets.modes import FINETUNE, FROZEN, LAST, LORA, split_mode

TIMM = "timm:"
DROPPING = {"StochasticDepth": "p", "DropPath": "drop_prob"}  # layers of torchvision and timm, and their probability


class NoBranchesError(InputError):
    """A network has no residual branches that could be left out."""


class Pretrained(nn.Module):
    """A model as a backbone without its last layer, followed by a new last layer.

    Parameters
    ----------
    name : str
        ``MODEL:frozen``, ``MODEL:last2``, ``MODEL:finetune`` or ``MODEL:lora``; MODEL is torchvision's, or begins with
        ``timm:``.
    classes : int
        The number of logits, also for two classes.
    side : int
        Side of the input in pixels; transformers depend on it.
    drop_path : float
        The highest probability of leaving out a residual branch in training, for networks that have such branches. It
        rises from the first block to the last, and replaces what the network has by default.
    plain : dict, optional
        What a bundle stores about a timm network, from the attribute `plain`; else the network is found by its name.

    Attributes
    ----------
    mode : Mode
    dropped : str
        Prefix, in the state, of the layer that was replaced: files of weights hold it and the backbone does not. Empty
        for timm networks.
    plain : dict or None
        Plain data from which a timm network is built again.
    pictures : bool
        Whether the backbone's last output before pooling is a picture, and not a list of tokens.
    resting : list of torch.nn.Module
        Parts in which nothing learns. They stay in evaluation mode, so that their batch normalisation and dropout work
        as in a feature extractor.

    Raises
    ------
    InputError
        The model has fewer blocks than should learn, or no residual branches to leave out.

    Examples
    --------
    >>> from glomfeat.models.nets.build import count
    >>> with torch.device("meta"):
    ...     count(Pretrained("resnet18:frozen"))[:2], count(Pretrained("resnet18:last1"))[:2]
    ((11177538, 1026), (11177538, 4721666))
    """

    def __init__(self, name, classes=2, side=224, drop_path=0.0, plain=None):
        super().__init__()
        self.mode, self.side = split_mode(name), side
        self.plain, self.pictures, self.dropped, self.resting = None, True, "", []
        if self.mode.model.startswith(TIMM):
            self.backbone, width, self.plain, self.pictures = _of_timm(self.mode.model, side, drop_path, plain)
        else:
            self.backbone = _of_torchvision(self.mode.model, side)
            width, self.dropped = _behead(self.backbone)
        _set_drop_path(self.backbone, self.mode.model, drop_path)
        self.head = nn.Linear(width, classes)
        self._choose()

    @property
    def frozen(self):
        """Whether only the last layer learns."""
        return self.mode.how == FROZEN

    def forward(self, images):
        return self.head(self.backbone(images))

    def train(self, mode=True):
        super().train(mode)
        for part in self.resting:
            part.eval()
        return self

    def _choose(self):
        """Fix the parameters that do not learn; adapters are added later, by `adapt`."""
        how = self.mode.how
        self.backbone.requires_grad_(how == FINETUNE)
        if how == LAST:
            blocks = find_blocks(self.backbone)
            if self.mode.blocks > len(blocks):
                raise InputError(
                    f"{self.mode.model}:last{self.mode.blocks}: it has {len(blocks)} blocks; name fewer, or write "
                    f"{self.mode.model}:{FINETUNE}"
                )
            learning = set(chain(*blocks[-self.mode.blocks :]))
            for name, parameter in self.backbone.named_parameters():
                parameter.requires_grad_(name in learning)
        self._settle()

    def _settle(self):
        self.resting = list(_resting(self.backbone))

    def adapt(self, rank, layers):
        """Add adapters to a ``:lora`` network; any other is left as it is.

        Returns
        -------
        bool
            Whether adapters were added.
        """
        if self.mode.how != LORA:
            return False
        try:
            adapt(self.backbone, rank, layers)
        except InputError as error:
            raise InputError(f"net {self.mode.model}:{LORA}: {error}") from None
        self._settle()
        return True

    def merge(self):
        """Add what adapters have learnt to the weights."""
        if self.mode.how == LORA:
            merge(self.backbone)
            self._settle()

    @contextmanager
    def head_alone(self):
        """Open a block in which only the last layer learns."""
        learning = [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]
        for parameter in learning:
            parameter.requires_grad_(False)
        self._settle()
        try:
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)
            self._settle()

    def depths(self):
        """Count the blocks from each parameter of the backbone to the last layer; 1 for those of the last block."""
        blocks = find_blocks(self.backbone)
        return {name: len(blocks) - k for k, names in enumerate(blocks) for name in names}


def _resting(module):
    """Find the largest parts that have parameters of which none learns."""
    learns = [parameter.requires_grad for parameter in module.parameters()]
    if learns and not any(learns):
        yield module
    else:
        for child in module.children():
            yield from _resting(child)


def _of_torchvision(model, side):
    import torchvision

    settings = {"image_size": side} if model.startswith("vit_") else {}
    if model in ("googlenet", "inception_v3"):  # the second heads are for training from nothing
        settings |= {"aux_logits": False, "init_weights": False, "transform_input": True}
    return torchvision.models.get_model(model, weights=None, **settings)


def _of_timm(model, side, drop_path, plain):
    """Build the network; return it, its width, the plain data that builds it again, and whether it keeps pictures."""
    from glomfeat.features.deep.timm_nets import Pooled, find_timm, from_plain

    if plain is None:
        named = find_timm(model, side)
        build, pooling = named.build, named.pooling
    else:
        build, pooling = from_plain(plain), plain["pooling"]
    try:  # without a rate, most networks of timm are built without layers that could leave out branches
        net = build.make(**({"drop_path_rate": drop_path} if drop_path else {}))
    except TypeError:  # the constructor takes none
        net = build.make()
    net = Pooled(net, pooling) if pooling else net
    with torch.inference_mode():
        rows = copy.deepcopy(net).to("meta").eval()(torch.zeros(1, 3, side, side, device="meta"))
    return net, rows.shape[1], build.plain | {"pooling": pooling}, build.pictures


def _set_drop_path(backbone, model, highest):
    """Set the highest probability of leaving out a residual branch; those of other blocks keep their ratio to it."""
    layers = [(part, DROPPING[type(part).__name__]) for part in backbone.modules() if type(part).__name__ in DROPPING]
    most = max([float(getattr(part, name)) for part, name in layers], default=0.0)
    if highest and not most:
        raise NoBranchesError(
            f"{model} has no residual branches that --drop-path {highest:g} could leave out: leave out --drop-path, or "
            "take a network that has, such as convnext_tiny or timm:vit_small_patch16_224"
        )
    for part, name in layers:
        setattr(part, name, float(getattr(part, name)) * (highest / most) if most else 0.0)


def _behead(model):
    """Remove the last layer of a torchvision model; return the width of its input and its prefix."""
    kinds = nn.Linear | nn.Conv2d
    name, last = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, kinds)][-1]
    parent, _, child = name.rpartition(".")
    if isinstance(last, nn.Linear):
        setattr(model.get_submodule(parent), child, nn.Identity())
        return last.in_features, name
    # SqueezeNet ends in a 1 x 1 convolution, a ReLU that would clip logits at zero, and a mean. A linear layer
    # after the mean computes the same, but without the ReLU.
    model.classifier = nn.Sequential(model.classifier[0], MeanPool())
    return last.in_channels, name


def find_backbone_weights(model, where, side=None):
    """Find the weights of a backbone.

    Parameters
    ----------
    model : str
        A model of torchvision, or ``timm:NAME``.
    where : str
        As `glomfeat.features.deep.weights.find_weights`.
    side : int or None
        Side of the images in pixels; None for the side in the configuration of the weights.

    Returns
    -------
    glomfeat.features.deep.weights.Weights
        With the mean, standard deviation, side and filter that belong to them.

    Raises
    ------
    WeightsError
        No weights were found.
    """
    if model.startswith(TIMM):
        from glomfeat.features.deep.timm_nets import with_weights

        return with_weights(model, side, where)[1]
    from glomfeat.features.deep.weights import find_weights

    return find_weights(model, where)


def load_backbone(net, where):
    """Find the weights of a backbone and load them.

    Parameters
    ----------
    net : Pretrained
    where : str
        As `glomfeat.features.deep.weights.find_weights`.

    Returns
    -------
    Weights
        The weights that were loaded, with the mean and standard deviation that belong to them.

    Raises
    ------
    WeightsError
        No weights were found, or they belong to another network.

    Examples
    --------
    >>> load_backbone(Pretrained("shufflenet_v2_x0_5:finetune"), "none").name
    'random'
    """
    model = net.mode.model
    if net.plain:
        from glomfeat.features.deep.timm_nets import find_timm

        named = find_timm(model, net.side)
        weights = named.weights(where)
        state = named.build(named.label, weights, named.pooling).state_dict()
    else:
        from glomfeat.features.deep.weights import find_weights, load_state

        weights = find_weights(model, where)
        state = load_state(weights, model)
        for key in [key for key in state if key.startswith(f"{net.dropped}.")]:
            del state[key]
    try:
        net.backbone.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{weights.said} does not fit {model} at this side: {error}") from error
    return weights


@cache
def has_branches(name):
    """Whether a network has residual branches that can be left out; True if it cannot be built, as others will say.

    Examples
    --------
    >>> has_branches("resnet18:finetune"), has_branches("convnext_tiny:finetune")
    (False, True)
    """
    try:
        on_meta(lambda: Pretrained(name, drop_path=0.1))
    except NoBranchesError:
        return False
    except Exception:
        return True
    return True


def unfit_patterns(name, layers):
    """Patterns of layers that fit no layer of a ``:lora`` network.

    Parameters
    ----------
    name : str
    layers : str
        Patterns as for `glomfeat.models.nets.lora.adapted_layers`.

    Returns
    -------
    set of str

    Examples
    --------
    >>> unfit_patterns("squeezenet1_1:lora", "features.*, *qkv")
    {'*qkv'}
    """
    backbone = on_meta(lambda: Pretrained(name)).backbone
    unfit = set()
    for pattern in split_layers(layers):
        try:
            adapted_layers(backbone, pattern)
        except InputError:
            unfit.add(pattern)
    return unfit
