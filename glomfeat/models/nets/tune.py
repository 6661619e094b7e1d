"""Choose, on inner-valid rows, how a network is trained."""

import math

import numpy as np
from sklearn.metrics import log_loss

from glomfeat.models.nets.grid import grid, halve
from glomfeat.models.nets.make import make_net


def choose_settings(name, settings, asked, pixels, labels, fit, valid):
    """Choose learning rate, augmentation and epochs, or those of them that are asked for.

    The setting with the lower mean cross-entropy on the inner-valid rows is better; this varies less by chance than an
    AUROC of few cases.

    Parameters
    ----------
    name : str
    settings : dict
        Settings of `glomfeat.models.nets.make_net`.
    asked : True or dict
        As `glomfeat.models.nets.grid.grid`.
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    labels : ndarray of int, shape (n,)
    fit, valid : ndarray of int
        Rows to learn from, and inner-valid rows. No other row is looked at.

    Returns
    -------
    dict
        What differs from `settings`: ``epochs``, and perhaps ``lr`` and ``augment``.
    """

    def loss_of(one, epochs):
        net = make_net(name, **settings | one | {"epochs": epochs, "again": 0.0})
        try:
            net.fit(pixels, labels, train=fit, valid=valid)
        except FloatingPointError:  # too high a rate
            return math.inf
        if not np.isfinite(net.valid_scores_).all():
            return math.inf
        return log_loss(labels[valid], net.valid_scores_, labels=np.arange(len(net.classes_)))

    return halve(*grid(name, settings, asked), loss_of)
