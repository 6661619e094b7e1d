"""The pace of a training, step by step: the course of the learning rate, and a moving average of the states."""

import math
from contextlib import contextmanager

import numpy as np
import torch

WARM_UP = 0.05  # of the steps
BEGIN_AGAIN = 0.1  # of the highest learning rate: where it restarts when the inner-valid rows join


def rates(steps, schedule="cosine", warm_up=WARM_UP):
    """Calculate the factor by which the learning rate is multiplied in each step.

    Parameters
    ----------
    steps : int
    schedule : {"cosine", "constant"}
        Cosine rises linearly, and then falls to nearly zero as half a cosine wave (Loshchilov & Hutter 2017).
    warm_up : float
        The fraction of the steps in which it rises.

    Returns
    -------
    ndarray of float64, shape (steps,)
        Above 0, at most 1.

    Examples
    --------
    >>> rates(5, warm_up=0.4).round(2).tolist()
    [0.5, 1.0, 0.85, 0.5, 0.15]
    >>> rates(3, "constant").tolist()
    [1.0, 1.0, 1.0]
    """
    if schedule == "constant":
        return np.ones(steps)
    step, rising = np.arange(steps), min(math.ceil(warm_up * steps), steps - 1)
    falling = (1 + np.cos(np.pi * (step - rising + 1) / (steps - rising + 1))) / 2
    return np.where(step < rising, (step + 1) / max(rising, 1), falling)


class Average:
    """The moving average of tensors that training changes.

    Over the first steps it is their plain mean, so that the start of a short training does not stay in it; from `over`
    steps on it is an exponential average of that length. Running statistics of normalisations are averaged along with
    the weights.

    Parameters
    ----------
    live : list of Tensor
        The tensors, which training changes in place. Each is copied once.
    over : float
        How many steps the average reaches back; 1 keeps the last state only.

    Examples
    --------
    >>> live = torch.zeros(1)
    >>> average = Average([live], over=3)
    >>> for value in (1.0, 2.0, 3.0, 9.0):
    ...     _ = live.fill_(value)
    ...     average.add()
    >>> average.kept[0].item()  # the mean of 1, 2, 3, and a third of the way to 9
    4.333333492279053
    """

    def __init__(self, live, over):
        self.live, self.kept = live, [tensor.detach().clone() for tensor in live]
        self.over, self.steps = max(over, 1.0), 0

    @torch.no_grad()
    def add(self):
        """Take in the state after a step."""
        self.steps += 1
        torch._foreach_lerp_(self.kept, [tensor.detach() for tensor in self.live], 1 / min(self.steps, self.over))

    def swap(self):
        """Exchange the live tensors and their average, without a copy."""
        for k, tensor in enumerate(self.live):
            tensor.data, self.kept[k] = self.kept[k], tensor.data

    @contextmanager
    def in_place(self):
        """Open a block in which the average takes the place of the live tensors."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
