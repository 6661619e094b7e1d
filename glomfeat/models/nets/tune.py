"""Choosing how a network is trained on inner-valid rows: a small grid, by successive halving."""

import math

import numpy as np
from sklearn.metrics import log_loss

from glomfeat.models.nets.make import make_net
from glomfeat.models.nets.recipes import recipe_for

RATES = 1.0, 1 / 3, 3.0  # of the learning rate; the first is what stays where all are alike
RICHER = "histology"  # the policy beside the network's own
RUNGS = 4, 2  # by which epochs are divided, in each round of which half of the settings stay


def grid(name, settings):
    """Settings to choose among, the network's own first.

    Parameters
    ----------
    name : str
    settings : dict
        Of `glomfeat.models.nets.make_net`. A policy of augmentation that is asked for is not chosen.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> [round(one["lr"], 5) for one in grid("resnet18:lora", {"augment": "none"})]
    [0.001, 0.00033, 0.003]
    >>> len(grid("resnet18:lora", {}))
    6
    """
    recipe = recipe_of(name, settings)
    policies = [{}] if "augment" in settings else [{}, {"augment": RICHER}]
    return [{"lr": rate * recipe.lr} | policy for policy in policies for rate in RATES]


def recipe_of(name, settings):
    """The recipe that settings of `glomfeat.models.nets.make_net` lead to."""
    apart = {"seed", "side", "classes", "weights", "device", "preset", "recipe", "callbacks", "init", "plain"}
    overrides = {field: value for field, value in settings.items() if field not in apart}
    return recipe_for(name, settings.get("preset", "default"), **overrides)


def choose_settings(name, settings, pixels, labels, fit, valid):
    """Choose learning rate, augmentation and epochs.

    All settings learn the rows of `fit` for a quarter of the epochs, the better half of them for half of the epochs,
    and the best one for all. What is better has the lower mean cross-entropy on the inner-valid rows, which changes
    less by chance than an AUROC of few cases does. Half of the epochs are kept where all of them are no better.

    Parameters
    ----------
    name : str
    settings : dict
        Of `glomfeat.models.nets.make_net`.
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    labels : ndarray of int, shape (n,)
    fit, valid : ndarray of int
        No other row is looked at.

    Returns
    -------
    dict
        What differs from `settings`: ``lr``, ``epochs`` and perhaps ``augment``.
    """
    epochs, left, losses = recipe_of(name, settings).epochs, grid(name, settings), []

    def loss_of(one, most):
        net = make_net(name, **settings | one | {"epochs": most, "again": 0.0})
        try:
            net.fit(pixels, labels, train=fit, valid=valid)
        except FloatingPointError:  # too high a rate
            return math.inf
        if not np.isfinite(net.valid_scores_).all():
            return math.inf
        return log_loss(labels[valid], net.valid_scores_, labels=np.arange(len(net.classes_)))

    for part in RUNGS:
        most = math.ceil(epochs / part)
        losses = [loss_of(one, most) for one in left]
        order = np.argsort(losses, kind="stable")[: 1 if part == RUNGS[-1] else math.ceil(len(left) / 2)]
        left, losses = [left[k] for k in sorted(order)], [losses[k] for k in sorted(order)]
    shorter = losses[0] < loss_of(left[0], epochs)
    return left[0] | {"epochs": most if shorter else epochs}
