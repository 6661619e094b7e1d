"""Steps: a skorch classifier that reads pixels in batches, within the memory of the device; training builds on it."""

import math

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import PassthroughScoring

from glomfeat.core.seeds import seed_for
from glomfeat.models.nets.batches import Batches, Rows
from glomfeat.models.nets.build import count
from glomfeat.models.nets.repeating import reproducible


class Steps(NeuralNetClassifier):
    """What a network does with a batch of rows: one step of training, or scoring them.

    A subclass sets `seed`, `class_weight`, `decoupled` and `layer_decay`, and trains. During training it may set

    rates_ : ndarray of float64 or None
        The factor by which the learning rate is multiplied in each step.
    average_ : Average or None
        A moving average to which each step's state is added.
    """

    @property
    def _default_callbacks(self):
        return [("train_loss", PassthroughScoring("train_loss", on_train=True))]

    def get_dataset(self, X, y=None):
        return X if isinstance(X, Rows) else Rows(X, y)

    def get_iterator(self, dataset, training=False):
        shuffled = seed_for(self.seed, "shuffle") if training else None
        return Batches(dataset, self.batch_size, shuffled, pin=torch.device(self.device).type == "cuda")

    def initialize(self):
        with torch.random.fork_rng(devices=[]):  # modules are built on the CPU and then moved
            torch.default_generator.manual_seed(seed_for(self.seed, "init"))
            super().initialize()
        self.n_parameters_, self.n_trainable_, _ = count(self.module_.net)
        self.micro_batch_, self.notes_ = self.batch_size + 1, []  # a last single image joins the batch before
        self.rates_, self.average_, self.steps_ = None, None, 0
        return self

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Group the parameters for the optimiser; if `decoupled`, vectors do not decay.

        Vectors are biases and scales of normalisations. Each group has the ``scale`` of its learning rate.
        """
        named = list(named_parameters)
        _, kwargs = super().get_params_for_optimizer(prefix, named)
        slower, groups = self.module_.slower_by(self.layer_decay), {}
        for name, parameter in named:
            groups.setdefault((-slower.get(name, 1.0), self.decoupled and parameter.ndim < 2), []).append(parameter)
        found = [
            {"params": groups[key], "scale": -key[0]} | ({"weight_decay": 0.0} if key[1] else {})
            for key in sorted(groups)
        ]
        return (found,), kwargs

    def predict_proba(self, X, rows=None):
        """Class probabilities of pixels, read in batches.

        Parameters
        ----------
        X : array-like of uint8, shape (n, side, side, 3)
        rows : ndarray of int, optional
            The images to score, in this order; all by default.

        Returns
        -------
        ndarray of float64, shape (n, classes)
        """
        with reproducible(self.device):
            return super().predict_proba(Rows(X, rows=rows))

    def describe(self, rows):
        """Calculate what the last layer of a pretrained model reads.

        Parameters
        ----------
        rows : Rows

        Returns
        -------
        ndarray of float32, shape (n, width)
        """
        self.module_.eval()
        with torch.no_grad():
            return torch.cat([self._in_parts(self.module_.describe, X) for X, _ in self.get_iterator(rows)]).numpy()

    def _weight_classes(self, y):
        weights = np.ones(len(self.classes_))
        if self.class_weight == "balanced":
            counts = np.bincount(y.astype(np.int64), minlength=len(weights))
            weights = len(y) / (len(weights) * np.maximum(counts, 1))
        self.class_weights_ = torch.as_tensor(weights, dtype=torch.float32, device=self.device)

    def train_step(self, batch, **fit_params):
        """Take one step of the optimiser, in parts that fit into the device's memory."""
        X, y = (part.to(self.device, non_blocking=True) for part in batch)
        return self._halving(lambda size: self._step(X, y, size), len(y))

    def _step(self, X, y, size):
        self._set_training(True)
        self.optimizer_.zero_grad()
        n, total = len(y), 0.0
        parts = max(1, min(math.ceil(n / size), n // 2))  # batch normalisation cannot train on one image
        for Xi, yi in zip(X.tensor_split(parts), y.tensor_split(parts), strict=True):
            loss = self._losses(self.infer(Xi), yi).sum() / n
            loss.backward()
            total = total + loss.detach()
        self.module_.add_penalty_gradient()
        if self.rates_ is not None:
            for group in self.optimizer_.param_groups:
                group["lr"] = self.lr * group["scale"] * self.rates_[self.steps_]
        self.optimizer_.step()
        self.steps_ += 1
        if self.average_:
            self.average_.add()
        return {"loss": total, "y_pred": None}

    def _losses(self, logits, y):
        """Weighted losses of the images that the network has just seen, or of their mixtures."""

        def of(classes):
            return self.criterion_(logits, classes) * self.class_weights_[classes]

        return self.module_.mix.loss(of, y) if self.module_.mix else of(y)

    def evaluation_step(self, batch, training=False):
        """Calculate the logits of a batch, in parts that fit into the device's memory."""
        self.check_is_fitted()
        self._set_training(training)
        with torch.set_grad_enabled(training):
            return self._in_parts(self.infer, batch[0])

    def _in_parts(self, function, X):
        def whole(size):
            found = [function(part.to(self.device, non_blocking=True)) for part in X.split(size)]
            return torch.cat([part.cpu() for part in found])

        return self._halving(whole, len(X))

    def _halving(self, step, n):
        """Call ``step(size)``, and again with half the size whenever the device runs out of memory."""
        while True:
            size = min(self.micro_batch_, n)
            try:
                return step(size)
            except torch.OutOfMemoryError:
                if size < 4:
                    raise
            # outside of the handler, whose traceback would keep the failed step's memory alive
            self.micro_batch_ = size // 2
            torch.cuda.empty_cache()
            self.notes_.append(f"accumulated: out of GPU memory at {size} images, went on in parts of {size // 2}")
