"""Low-rank adapters (Hu et al. 2022, LoRA): what learns is a product of two thin matrices beside each fixed weight.

A weight is used as the sum of both, so that a layer need not be replaced by another: attention of torchvision, which
reads its weights without calling the layers that hold them, and grouped convolutions are adapted like a linear layer.
When training ends the sum stays, and nothing tells that there were adapters.
"""

import fnmatch

import torch
from torch import nn
from torch.nn.utils import parametrize

from glomfeat.core.errors import InputError
from glomfeat.models.nets.modes import ALL, ATTENTION, RANK

_ADAPTED = nn.Linear | nn.Conv2d | nn.MultiheadAttention
_OF_ATTENTION = ("*attn*", "*attention*")


class LowRank(nn.Module):
    """A weight with a product of low rank added, which begins as nothing.

    Parameters
    ----------
    weight : Tensor of float32, shape (out, ...)
    rank : int
        No more than the weight's own is used.

    Examples
    --------
    >>> weight = torch.ones(4, 6)
    >>> adapter = LowRank(weight, 2)
    >>> torch.equal(adapter(weight), weight), sum(part.numel() for part in adapter.parameters())
    (True, 20)
    """

    def __init__(self, weight, rank):
        super().__init__()
        out, into = weight.flatten(1).shape
        rank = min(rank, out, into)
        self.down = nn.Parameter(torch.empty(rank, into, device=weight.device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight):
        return weight + (self.up @ self.down).view_as(weight)


def adapted_layers(backbone, layers):
    """Layers that get an adapter, with the name of the weight.

    Parameters
    ----------
    backbone : torch.nn.Module
    layers : str
        ``all`` linear layers and convolutions, those of ``attention``, or a pattern of names such as ``*qkv``.

    Returns
    -------
    list of (str, torch.nn.Module, str)

    Raises
    ------
    InputError
        There is no such layer.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2))
    >>> [name for name, _, _ in adapted_layers(net, "all")], [name for name, _, _ in adapted_layers(net, "2")]
    (['0', '2'], ['2'])
    """
    weights = {nn.MultiheadAttention: "in_proj_weight"}
    there = [
        (name, layer, weights.get(type(layer), "weight"))
        for name, layer in backbone.named_modules()
        if isinstance(layer, _ADAPTED) and getattr(layer, weights.get(type(layer), "weight"), None) is not None
    ]
    if layers == ALL:
        return there
    patterns = _OF_ATTENTION if layers == ATTENTION else (layers,)
    found = [one for one in there if any(fnmatch.fnmatchcase(one[0], pattern) for pattern in patterns)]
    if not found:
        names = [name for name, _, _ in there]
        raise InputError(
            f"--lora-layers {layers} names no layer of this network; it has {', '.join(names[:3])}, ..., {names[-1]}: "
            f"write {ALL}, {ATTENTION} or a pattern such as '*{names[-1].rpartition('.')[2]}'"
        )
    return found


def adapt(backbone, rank=RANK, layers=ALL):
    """Fix all weights of a backbone, and give layers an adapter that learns.

    Parameters
    ----------
    backbone : torch.nn.Module
        Changed in place; `merge` turns it back into what it was, with other weights.
    rank : int
    layers : str
        As `adapted_layers`.
    """
    backbone.requires_grad_(False)
    for _, layer, weight in adapted_layers(backbone, layers):
        adapter = LowRank(getattr(layer, weight), rank)
        parametrize.register_parametrization(layer, weight, adapter)


def merge(backbone):
    """Put what adapters have learnt into the weights, and take the adapters away."""
    for layer in list(backbone.modules()):
        for weight in list(getattr(layer, "parametrizations", {})):
            parametrize.remove_parametrizations(layer, weight, leave_parametrized=True)
    backbone.requires_grad_(False)
