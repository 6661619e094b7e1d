"""Models of torchvision and timm with a last layer of our own, of which all, some blocks, adapters or nothing learns.

Networks of layers come by here too, so torchvision and timm, which take a second to import, are imported where they are
used.
"""

import copy
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn

from glomfeat.core.errors import InputError
from glomfeat.features.deep.checkpoints import WeightsError
from glomfeat.models.nets.blocks import find_blocks
from glomfeat.models.nets.build import MeanPool
from glomfeat.models.nets.lora import adapt, merge
from glomfeat.models.nets.modes import FINETUNE, FROZEN, LAST, LORA, split_mode

TIMM = "timm:"


class Pretrained(nn.Module):
    """A model as a backbone without its last layer, and a new last layer of our own.

    Parameters
    ----------
    name : str
        ``MODEL:frozen``, ``MODEL:last2``, ``MODEL:finetune`` or ``MODEL:lora``, of torchvision's or ``timm:``.
    classes : int
        Logits, two for two classes.
    side : int
        Of the input in pixels; transformers depend on it.
    drop_path : float
        How often residual branches are left out in training, of networks that can do so.
    plain : dict, optional
        What a bundle kept of a network of timm, of `plain`; else it is found by its name.

    Attributes
    ----------
    mode : Mode
    dropped : str
        Prefix of the state of the layer that was replaced, which weights carry and the backbone does not; empty of
        networks of timm.
    plain : dict or None
        What builds a network of timm again.
    resting : list of torch.nn.Module
        Parts in which nothing learns. They stay in evaluation mode, so that their batch normalisation and dropout are
        those of a feature extractor.

    Raises
    ------
    InputError
        It has fewer blocks than are to learn, or no residual branches to leave out.

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
        self.plain, self.dropped, self.resting = None, "", []
        if self.mode.model.startswith(TIMM):
            self.backbone, width, self.plain = _of_timm(self.mode.model, side, drop_path, plain)
        else:
            self.backbone = _of_torchvision(self.mode.model, side, drop_path)
            width, self.dropped = _behead(self.backbone)
        self.head = nn.Linear(width, classes)
        self._choose()

    @property
    def frozen(self):
        """Whether the last layer alone learns."""
        return self.mode.how == FROZEN

    def forward(self, images):
        return self.head(self.backbone(images))

    def train(self, mode=True):
        super().train(mode)
        for part in self.resting:
            part.eval()
        return self

    def _choose(self):
        """Fix what does not learn; adapters are added later, by `adapt`."""
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
        """Add adapters to a network that learns by them; of any other nothing is done.

        Returns
        -------
        bool
            Whether it is one.
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
        """Put what adapters learnt into the weights."""
        if self.mode.how == LORA:
            merge(self.backbone)
            self._settle()

    @contextmanager
    def head_alone(self):
        """A block in which the last layer alone learns."""
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
        """How many blocks lie between each parameter of the backbone and the last layer, 1 of the last block's."""
        blocks = find_blocks(self.backbone)
        return {name: len(blocks) - k for k, names in enumerate(blocks) for name in names}


def _resting(module):
    """The largest parts in which there are parameters and none learns."""
    learns = [parameter.requires_grad for parameter in module.parameters()]
    if learns and not any(learns):
        yield module
    else:
        for child in module.children():
            yield from _resting(child)


def _of_torchvision(model, side, drop_path):
    import torchvision

    settings = {"image_size": side} if model.startswith("vit_") else {}
    settings |= {"stochastic_depth_prob": drop_path} if drop_path else {}
    if model in ("googlenet", "inception_v3"):  # the second heads are for training from nothing
        settings |= {"aux_logits": False, "init_weights": False, "transform_input": True}
    try:
        return torchvision.models.get_model(model, weights=None, **settings)
    except TypeError as error:
        raise _no_paths(model, drop_path, error) from None


def _of_timm(model, side, drop_path, plain):
    """The network, how many numbers it gives, and what builds it again."""
    from glomfeat.features.deep.timm_nets import Pooled, find_timm, from_plain

    if plain is None:
        named = find_timm(model, side)
        build, pooling = named.build, named.pooling
    else:
        build, pooling = from_plain(plain), plain["pooling"]
    options = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        net = build.make(**options)
    except TypeError as error:
        raise _no_paths(model, drop_path, error) from None
    net = Pooled(net, pooling) if pooling else net
    with torch.inference_mode():
        rows = copy.deepcopy(net).to("meta").eval()(torch.zeros(1, 3, side, side, device="meta"))
    return net, rows.shape[1], build.plain | {"pooling": pooling}


def _no_paths(model, drop_path, error):
    """What to say of a network that cannot be made with `drop_path`; any other error as it is."""
    if not drop_path:
        return error
    return InputError(
        f"{model} has no residual branches that --drop-path {drop_path:g} could leave out: leave out --drop-path, or "
        "take a network that has, such as convnext_tiny or timm:vit_small_patch16_224"
    )


def _behead(model):
    """Take the last layer out of a torchvision model; return the width of its input and its prefix."""
    kinds = nn.Linear | nn.Conv2d
    name, last = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, kinds)][-1]
    parent, _, child = name.rpartition(".")
    if isinstance(last, nn.Linear):
        setattr(model.get_submodule(parent), child, nn.Identity())
        return last.in_features, name
    # SqueezeNet ends in a 1 x 1 convolution, a ReLU that would clip logits at zero, and a mean. A linear layer
    # after the mean computes the same without the ReLU.
    model.classifier = nn.Sequential(model.classifier[0], MeanPool())
    return last.in_channels, name


def find_backbone_weights(model, where, side=None):
    """Find the weights of a backbone.

    Parameters
    ----------
    model : str
        Of torchvision, or ``timm:NAME``.
    where : str
        As `glomfeat.features.deep.weights.find_weights`.
    side : int or None
        Of the images, in pixels; None for what the configuration of the weights says.

    Returns
    -------
    glomfeat.features.deep.weights.Weights
        With the mean and standard deviation, and the side and filter, that belong to them.

    Raises
    ------
    WeightsError
        There are none.
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
        What was loaded, with the mean and standard deviation that belong to it.

    Raises
    ------
    WeightsError
        There are none, or they are of another network.

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
