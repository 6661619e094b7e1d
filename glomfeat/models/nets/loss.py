"""From logits to losses, probabilities and the AUROC that epochs are judged by."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from glomfeat.metrics import scores as metrics


class ImageLoss(nn.Module):
    """Cross-entropy of each image, binary where there is one logit."""

    def forward(self, logits, y):
        if logits.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype), reduction="none")
        return functional.cross_entropy(logits, y, reduction="none")


def probabilities(logits):
    """Class probabilities in float64, which keeps apart the scores of images that the network is sure about.

    Examples
    --------
    >>> probabilities(torch.zeros(1, 1)).tolist(), probabilities(torch.zeros(1, 2)).tolist()
    ([[0.5, 0.5]], [[0.5, 0.5]])
    """
    logits = logits.double()
    if logits.shape[1] == 1:
        return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)
    return torch.softmax(logits, dim=1)


def auroc(logits, y):
    """The AUROC of logits; of several classes the mean of each against the rest; NaN where a class is missing.

    Parameters
    ----------
    logits : Tensor of float32, shape (n, 1) or (n, classes)
    y : Tensor of int64, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> auroc(torch.tensor([[-1.0], [2.0], [0.5]]), torch.tensor([0, 1, 0]))
    1.0
    """
    scores, y = probabilities(logits).numpy(), np.asarray(y)
    if len(np.unique(y)) < scores.shape[1] or not np.isfinite(scores).all():
        return math.nan
    return metrics.auroc(y, scores[:, 1] if scores.shape[1] == 2 else scores)
