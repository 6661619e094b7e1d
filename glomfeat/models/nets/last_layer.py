"""The last layer of a frozen network: the logreg head, fitted to the outputs of the backbone."""

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from glomfeat.models.heads.built_in import make_head
from glomfeat.models.nets.batches import Rows
from glomfeat.models.selection import fit_chosen

HEAD = "logreg"
NEVER = -1e4  # the logit of a class that is not among the training rows
BLOCK = 512


def last_layer_head(class_weight, seed):
    """Make the head that serves as the last layer, with classes weighted as in a network.

    Parameters
    ----------
    class_weight : {None, "balanced"}
    seed : int

    Returns
    -------
    glomfeat.models.heads.built_in.Head
    """
    head = make_head(HEAD, seed)
    linear = next(name for name, step in head.estimator.steps if isinstance(step, LogisticRegression))
    head.estimator.set_params(**{f"{linear}__class_weight": class_weight})
    return head


def fit_last_layer(net, X, y, train, inner, rule="balanced", calibration="none"):
    """Run rows through the backbone once, choose the penalty on inner splits, and fit the last layer to convergence.

    Parameters
    ----------
    net : NetClassifier
        A frozen network, initialised and with its weights loaded.
    X : array-like of uint8, shape (n, side, side, 3)
    y : ndarray of int, shape (n,)
    train : ndarray of int
        Rows to learn from.
    inner : list of (fit, inner_valid)
        Inner splits of rows, by case. Without any, the penalty is the head's default.
    rule, calibration : str
        As `glomfeat.models.selection.fit_chosen`.

    Returns
    -------
    glomfeat.models.selection.Chosen or None
        None without inner splits.
    """
    rows = np.unique(np.concatenate([train, *(part for split in inner for part in split)]))
    described, labels = net.describe(Rows(X, rows=rows)), np.asarray(y)[rows]
    head, classes = last_layer_head(net.class_weight, net.seed), len(net.classes_)
    places = [tuple(np.searchsorted(rows, part) for part in split) for split in inner]
    learnt, chosen = np.searchsorted(rows, np.sort(train)), None
    if inner:
        chosen = fit_chosen(head, described, labels, learnt, places, classes, rule, calibration)
        net.notes_ += chosen.notes
    fitted = chosen.estimator if chosen else clone(head.estimator).fit(described[learnt], labels[learnt])
    _write(net.module_.net.head, *_as_layer(fitted, described.shape[1], classes))
    net.curves_, net.params_ = [], dict(chosen.params) if chosen else {}
    net.n_learnt_, net.valid_scores_ = len(train), None
    return chosen


def linear_map(estimator, width):
    """Read the weights and constants of decision values that are linear, whatever scaling comes before.

    Decision values are a linear map plus a constant, so their values at zero and at each unit vector determine them.

    Parameters
    ----------
    estimator : classifier
        Fitted and linear.
    width : int
        Number of its columns.

    Returns
    -------
    weights : ndarray of float64, shape (decisions, width)
    constants : ndarray of float64, shape (decisions,)

    Examples
    --------
    >>> X, y = np.array([[0.0, 1.0], [2.0, 0.0], [3.0, 5.0]]), [0, 1, 1]
    >>> fitted = LogisticRegression().fit(X, y)
    >>> weights, constants = linear_map(fitted, 2)
    >>> np.allclose(weights, fitted.coef_), np.allclose(constants, fitted.intercept_)
    (True, True)
    """
    constant = estimator.decision_function(np.zeros((1, width)))
    units = (np.eye(min(BLOCK, width - start), width, start) for start in range(0, width, BLOCK))
    weight = np.concatenate([estimator.decision_function(block) - constant for block in units])
    return weight.reshape(width, -1).T, constant.ravel()


def _as_layer(estimator, width, classes):
    """Turn a fitted linear classifier and the scaling before it into weights and biases, one logit for each class."""
    weight, constant = linear_map(estimator, width)
    if len(constant) == 1:
        weight, constant = np.concatenate([-weight, weight]) / 2, np.concatenate([-constant, constant]) / 2
    seen = np.asarray(estimator.classes_, int)
    weights, biases = np.zeros((classes, width)), np.full(classes, NEVER)
    weights[seen], biases[seen] = weight, constant
    return weights, biases


@torch.no_grad()
def _write(layer, weights, biases):
    layer.weight.copy_(torch.from_numpy(weights))
    layer.bias.copy_(torch.from_numpy(biases))
