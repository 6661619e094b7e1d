"""A network's steps on random pixels, timed on its device before it trains."""

import time

import numpy as np
import torch
from sklearn.base import clone

from glomfeat.models.nets.batches import Rows
from glomfeat.models.nets.repeating import reproducible

MOST = 0.1  # what deterministic algorithms may cost, as a share of the time that a step takes without them
STEPS = 4
_COSTS = {}  # found by this process


def on_card(net):
    """Whether a net trains on a GPU of CUDA."""
    return torch.device(net.device).type == "cuda"


def random_batch(net, n):
    """Make a batch of random pixels with labels 0 and 1, and the class weights that it needs, for an initialised net.

    Returns
    -------
    pixels, labels : Tensor
    """
    side = net.module__side
    images = Rows(np.random.default_rng(0).integers(0, 256, (n, side, side, 3), np.uint8), np.arange(n) % 2)
    net._weight_classes(images.y)
    return images[np.arange(n)]


def seconds(net, what):
    """Measure the seconds of a call, until the net's device has computed it."""
    start = time.perf_counter()
    what()
    if on_card(net):
        torch.cuda.synchronize(net.device)
    return time.perf_counter() - start


def cost_of_repeating(net):
    """By what share deterministic algorithms lengthen a step of training on the net's device, measured there.

    A processor's algorithms are deterministic anyway, and what only passes forward costs nothing to repeat, so nothing
    is measured for these. On a GPU it is measured once in each process, on steps that are not compiled.

    Parameters
    ----------
    net : NetClassifier
        It is copied, and stays as it is.

    Returns
    -------
    float
        0.25 if steps take a quarter longer.

    Examples
    --------
    >>> from glomfeat.models.nets import make_net
    >>> cost_of_repeating(make_net("compact", side=16, device="cpu"))
    0.0
    """
    if net.converge or not on_card(net):
        return 0.0
    key = net.module__name, net.module__side, net.batch_size, net.module__precision, net.device
    if key not in _COSTS:
        exact, free = (_fastest_step(clone(net), exact) for exact in (True, False))
        _COSTS[key] = exact / free - 1
    return _COSTS[key]


def _fastest_step(net, exact):
    with reproducible(net.device, exact):
        net.initialize()
        net.adapt()
        batch = random_batch(net, net.batch_size)
        seconds(net, lambda: net.train_step(batch))
        return min(seconds(net, lambda: net.train_step(batch)) for _ in range(STEPS))
