"""Low-rank adapters (Hu et al. 2022, LoRA): weights are fixed, and a product of two thin matrices beside each learns.

The layer computes with the sum of both, so no layer has to be replaced by another: torchvision's attention, which
reads its weights without calling the layers that hold them, and grouped convolutions are adapted like a linear layer.
When training ends, the sum becomes the weight, and no trace of the adapters is left.
"""

import fnmatch
import re

import torch
from torch import nn
from torch.nn.utils import parametrize

from glomfeat.core.errors import InputError
from glomfeat.models.nets.modes import ALL, ATTENTION, RANK

_ADAPTED = nn.Linear | nn.Conv2d | nn.MultiheadAttention
_PATTERNS = {ALL: ("*",), ATTENTION: ("*attn*", "*attention*")}
_MOST_NAMED = 12


class LowRank(nn.Module):
    """A product of low rank that is added to a weight and starts at zero.

    Parameters
    ----------
    weight : Tensor of float32, shape (out, ...)
    rank : int
        At most the smaller dimension of the flattened weight is used.

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
    """Find the layers that get an adapter, and the name of the weight in each.

    Parameters
    ----------
    backbone : torch.nn.Module
    layers : str
        ``all`` for all linear layers and convolutions, ``attention`` for those of attention, or a pattern of names such
        as ``*qkv``; or several of these with commas between them.

    Returns
    -------
    list of (str, torch.nn.Module, str)

    Raises
    ------
    InputError
        No layer fits.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2))
    >>> [name for name, _, _ in adapted_layers(net, "all")], [name for name, _, _ in adapted_layers(net, "*qkv,2")]
    (['0', '2'], ['2'])
    """
    weights = {nn.MultiheadAttention: "in_proj_weight"}
    there = [
        (name, layer, weights.get(type(layer), "weight"))
        for name, layer in backbone.named_modules()
        if isinstance(layer, _ADAPTED) and getattr(layer, weights.get(type(layer), "weight"), None) is not None
    ]
    patterns = [pattern for one in split_layers(layers) for pattern in _PATTERNS.get(one, (one,))]
    found = [one for one in there if any(fnmatch.fnmatchcase(one[0], pattern) for pattern in patterns)]
    if not found:
        names = _in_patterns([name for name, _, _ in there])
        raise InputError(
            f"--lora-layers {layers} fits none of its layers, which are {names}: "
            f"add a pattern of this network behind a comma, or write {ALL} or {ATTENTION}"
        )
    return found


def split_layers(layers):
    """Split patterns of layers at the commas between them.

    Examples
    --------
    >>> split_layers("*qkv, *fc1")
    ['*qkv', '*fc1']
    """
    return [one for part in layers.split(",") if (one := part.strip())]


def _in_patterns(names):
    """Write names of layers as patterns, one pattern for names that differ only in a number."""
    found = list(dict.fromkeys(re.sub(r"(?<![^.])\d+(?![^.])", "*", name) for name in names))
    more = len(found) - _MOST_NAMED
    return ", ".join(found[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def adapt(backbone, rank=RANK, layers=ALL):
    """Fix all weights of a backbone, and give the chosen layers an adapter that learns.

    Parameters
    ----------
    backbone : torch.nn.Module
        Changed in place; `merge` gives it back its structure, with the new weights.
    rank : int
    layers : str
        As `adapted_layers`.
    """
    backbone.requires_grad_(False)
    for _, layer, weight in adapted_layers(backbone, layers):
        adapter = LowRank(getattr(layer, weight), rank)
        parametrize.register_parametrization(layer, weight, adapter)


def merge(backbone):
    """Add what the adapters have learnt to the weights, and remove the adapters."""
    for layer in list(backbone.modules()):
        for weight in list(getattr(layer, "parametrizations", {})):
            parametrize.remove_parametrizations(layer, weight, leave_parametrized=True)
    backbone.requires_grad_(False)
