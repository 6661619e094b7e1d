"""From logits to losses, probabilities and the AUROC that epochs are judged by."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from glomfeat.metrics import scores as metrics


class ImageLoss(nn.Module):
    """Cross-entropy of each image, binary if there is one logit.

    Parameters
    ----------
    smoothing : float
        The fraction of a label that is shared equally among all classes in training (Szegedy et al. 2016).

    Examples
    --------
    >>> loss, logits, y = ImageLoss(0.2), torch.tensor([[3.0]]), torch.tensor([1])
    >>> loss.train()(logits, y).item() > loss.eval()(logits, y).item()
    True
    """

    def __init__(self, smoothing=0.0):
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits, y):
        smoothing = self.smoothing if self.training else 0.0
        if logits.shape[1] == 1:
            target = y.to(logits.dtype) * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        return functional.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)


def probabilities(logits):
    """Class probabilities in float64, so that the scores of images that the network is sure about do not tie.

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
    """The AUROC of logits; for several classes the mean of one-vs-rest AUROCs; NaN if a class is missing.

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
