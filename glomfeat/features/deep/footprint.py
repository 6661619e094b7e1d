"""How much memory a network takes and how many numbers it gives, found from shapes alone."""

import weakref
from dataclasses import dataclass
from itertools import chain

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    """Record the peak bytes of tensors that are made within a block, on any device, meta included."""

    def __init__(self):
        super().__init__()
        self.peak, self._sizes = 0, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in self._sizes:
                    self._sizes[id(storage)] = storage.nbytes()
                    weakref.finalize(storage, self._sizes.pop, id(storage), None)
        self.peak = max(self.peak, sum(self._sizes.values()))
        return found


@dataclass(frozen=True)
class Outline:
    """What a network takes and gives, found without computing with it.

    Attributes
    ----------
    building : int
        Bytes while it is built.
    parameters : int
        Bytes of its parameters.
    forward : int
        Peak bytes while it works on a batch.
    columns : int
        How many numbers it gives for an image.
    """

    building: int
    parameters: int
    forward: int
    columns: int


def on_meta(make):
    """Make a module on the meta device, where it takes no memory.

    Parameters
    ----------
    make : callable
        Returns the module. RegNets calculate with tensors while they are made, so they are made in memory and moved.

    Returns
    -------
    torch.nn.Module

    Examples
    --------
    >>> on_meta(lambda: torch.nn.Linear(3, 2)).weight.device.type
    'meta'
    """
    try:
        with torch.device("meta"):
            return make()
    except NotImplementedError:
        with torch.device("cpu"):
            return make().to("meta")


def bytes_of(net):
    """Bytes of a network's parameters and buffers.

    Examples
    --------
    >>> bytes_of(torch.nn.Linear(3, 2))
    32
    """
    return sum(tensor.nbytes for tensor in chain(net.parameters(), net.buffers()))


@torch.inference_mode()
def live_bytes(net, batch, side):
    """Run a network that reads uint8 pixels, and measure the memory that it takes.

    Parameters
    ----------
    net : torch.nn.Module
        Must have a buffer. If it is on the meta device, nothing is computed.
    batch, side : int

    Returns
    -------
    peak : int
        Peak bytes of the tensors, including the images and the rows.
    columns : int
        How many numbers it gives for an image.
    """
    device = next(net.buffers()).device
    with _Live() as live:
        rows = net(torch.zeros(batch, 3, side, side, dtype=torch.uint8, device=device))
    return live.peak, rows.shape[1]
