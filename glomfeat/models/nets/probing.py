"""What a module does with images, as plain numbers, so that its contract can be checked."""

import numpy as np
import torch
from torch import nn

from glomfeat.models.nets.loss import ImageLoss
from glomfeat.models.nets.modes import ALL, RANK
from glomfeat.models.nets.network import Network, make_own
from glomfeat.models.nets.pretrained import Pretrained, load_backbone

STEPS, RATE = 20, 1e-3


def is_module(thing):
    """Whether it is a network at all."""
    return isinstance(thing, nn.Module)


def make_module(make, name, classes, side, seed=0):
    """A network with initial weights of a seed.

    Parameters
    ----------
    make : callable or None
        A function of one's own; None of the library's own networks, which go by `name`.
    name : str
    classes, side, seed : int

    Returns
    -------
    torch.nn.Module

    Examples
    --------
    >>> logits(make_module(None, "compact", 2, 16), np.zeros((4, 16, 16, 3), np.uint8)).shape
    (4, 1)
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if make is not None:
            return make_own(make, classes, side)
        module = Network(name, side, classes).net
        if isinstance(module, Pretrained):
            load_backbone(module, "none")
            module.adapt(RANK, ALL)
        return module


def _batch(images):
    return torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def logits(module, images, scale=1.0):
    """What a network gives in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
    images : ndarray of uint8, shape (n, side, side, 3)
    scale : float
        By which normalised images are multiplied.

    Returns
    -------
    ndarray, or what the network gives if it is no tensor
    """
    with torch.no_grad():
        found = module.eval()(_batch(images) * scale)
    return found.numpy() if isinstance(found, torch.Tensor) else found


def train_steps(module, images, y):
    """Some steps of Adam on one batch.

    Returns
    -------
    losses : list of float
        Before each step.
    silent : list of str
        Parameters that could learn and were given no gradient in any step.
    fixed : list of str
        Parameters that cannot learn.
    """
    batch, target, loss = _batch(images), torch.as_tensor(np.asarray(y, np.int64)), ImageLoss()
    named = dict(module.named_parameters())
    fixed = [name for name, parameter in named.items() if not parameter.requires_grad]
    silent = {name for name in named if name not in fixed}
    losses = []
    if silent:
        optimizer = torch.optim.Adam([named[name] for name in sorted(silent)], lr=RATE)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for _ in range(STEPS if silent else 0):
            module.train()
            optimizer.zero_grad()
            value = loss(module(batch), target).mean()
            value.backward()
            silent -= {name for name in silent if named[name].grad is not None and named[name].grad.any()}
            optimizer.step()
            losses.append(value.item())
    return losses, [name for name in named if name in silent], fixed


def shared_parameters(one, other):
    """Names of the parameters that two networks hold in common."""
    held = {id(parameter) for parameter in other.parameters()}
    return [name for name, parameter in one.named_parameters() if id(parameter) in held]


def same_start(one, other):
    """Whether two networks begin with equal parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=False)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def take_over(module, of):
    """Load the state of another network."""
    module.load_state_dict(of.state_dict())


def count_parameters(module):
    """How many numbers it holds in parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
