"""What a module does with images, as plain numbers, so that its contract can be checked."""

import numpy as np
import torch
from torch import nn

from glomfeat.models.nets.loss import ImageLoss
from glomfeat.models.nets.modes import ALL, RANK
from glomfeat.models.nets.network import Network, call_own
from glomfeat.models.nets.pretrained import Pretrained, load_backbone

STEPS, RATE = 20, 1e-3


def is_module(thing):
    """Whether something is a torch module at all."""
    return isinstance(thing, nn.Module)


def make_module(make, name, classes, side, seed=0):
    """Make a network whose initial weights are drawn from a seed.

    Parameters
    ----------
    make : callable or None
        A user's function; None for glomfeat's own networks, which are found by `name`.
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
            return call_own(make, classes, side)
        module = Network(name, side, classes).net
        if isinstance(module, Pretrained):
            load_backbone(module, "none")
            module.adapt(RANK, ALL)
        return module


def _batch(images):
    return torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def logits(module, images, scale=1.0):
    """Run a network in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
    images : ndarray of uint8, shape (n, side, side, 3)
    scale : float
        Factor by which the normalised images are multiplied.

    Returns
    -------
    ndarray, or what the network returns if that is not a tensor
    """
    with torch.no_grad():
        found = module.eval()(_batch(images) * scale)
    return found.numpy() if isinstance(found, torch.Tensor) else found


def train_steps(module, images, y):
    """Take some steps of Adam on one batch.

    Returns
    -------
    losses : list of float
        The loss before each step.
    silent : list of str
        Parameters that could learn but had no gradient other than zero in any step.
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


def same_start(one, other):
    """Whether two networks have equal parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=False)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def take_over(module, of):
    """Load the state of another network into a network."""
    module.load_state_dict(of.state_dict())


def count_parameters(module):
    """Count the numbers in a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
