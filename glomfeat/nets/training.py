"""Training: a skorch classifier that reads pixels in batches and judges epochs on rows given by the caller."""

import math
import time

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import PassthroughScoring

from glomfeat.nets.batches import Batches, Rows, pixel_moments
from glomfeat.nets.build import count
from glomfeat.nets.device import reproducible
from glomfeat.nets.loss import ImageLoss, auroc, probabilities
from glomfeat.nets.network import Network
from glomfeat.nets.pretrained import Pretrained, load_backbone
from glomfeat.seeds import seed_for

# Features of a frozen backbone are kept in memory during a training if they take no more than this.
KEPT_FEATURES_BYTES = 2**30


class NetClassifier(NeuralNetClassifier):
    """A network as a scikit-learn classifier; make one with `make_net`.

    Beside skorch's parameters (`lr`, `batch_size`, `max_epochs`, `optimizer__weight_decay`, `callbacks`, ...):

    Parameters
    ----------
    seed : int
        Root of the seeds of initialisation, order, dropout and augmentation.
    weights : str
        Where a torchvision model's weights come from, as for features. They are loaded by `fit`.
    keep, patience, class_weight
        As in `glomfeat.nets.Recipe`.

    Attributes
    ----------
    curves_ : list of dict
        One per epoch: ``epoch, train_loss, inner_valid_loss, inner_valid_auroc, epoch_s``. Losses are mean
        cross-entropies; the training loss is of augmented images, under dropout and class weights.
    best_epoch_ : int
        The epoch, from 1, whose state was kept.
    notes_ : list of str
        What went otherwise than planned, such as ``accumulated: ...``.
    weights_ : str
        What the network started from.
    n_parameters_, n_trainable_ : int
    fit_s : float
        Seconds of the last `fit`.
    """

    def __init__(
        self,
        module=Network,
        *,
        criterion=ImageLoss,
        optimizer=torch.optim.Adam,
        predict_nonlinearity=probabilities,
        train_split=None,
        verbose=0,
        seed=0,
        weights="imagenet",
        keep="best",
        patience=10,
        class_weight=None,
        **settings,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            predict_nonlinearity=predict_nonlinearity,
            train_split=train_split,
            verbose=verbose,
            **settings,
        )
        self.seed, self.weights = seed, weights
        self.keep, self.patience, self.class_weight = keep, patience, class_weight

    @property
    def _default_callbacks(self):
        return [("train_loss", PassthroughScoring("train_loss", on_train=True))]

    def get_dataset(self, X, y=None):
        return X if isinstance(X, Rows) else Rows(X, y)

    def get_iterator(self, dataset, training=False):
        return Batches(dataset, self.batch_size, seed_for(self.seed, "shuffle") if training else None)

    def initialize(self):
        with torch.random.fork_rng(devices=[]):  # modules are built on the CPU and then moved
            torch.default_generator.manual_seed(seed_for(self.seed, "init"))
            super().initialize()
        self.n_parameters_, self.n_trainable_, _ = count(self.module_.net)
        self.micro_batch_, self.notes_ = self.batch_size, []
        return self

    def fit(self, X, y, *, train=None, valid=None):
        """Train from nothing, or from the weights.

        Parameters
        ----------
        X : array-like of uint8, shape (n, side, side, 3)
            Pixels, read by integer arrays of at most a batch of rows.
        y : array-like of int, shape (n,)
            Classes from 0.
        train : ndarray of int, optional
            Rows to learn from, in any order; by default all.
        valid : ndarray of int, optional
            Inner-valid rows, on which epochs are judged: never of the outer test fold, and by case. Without
            them the last epoch is kept. No other row's label is looked at.

        Returns
        -------
        NetClassifier

        Raises
        ------
        ValueError
            Rows that overlap, labels out of range, one class only, pixels of another side.
        FloatingPointError
            The loss became infinite or NaN.
        """
        start = time.perf_counter()
        y = np.asarray(y)
        train = np.sort(np.arange(len(y)) if train is None else np.asarray(train))
        valid = None if valid is None or len(valid) == 0 else np.sort(np.asarray(valid))
        self._check_rows(X, y, train, valid)
        with reproducible(self.device) as notes:
            self.initialize()
            self.notes_ = notes
            self.weights_ = self._start_from(X, train)
            torch.manual_seed(seed_for(self.seed, "dropout"))
            self.module_.augment_seed = seed_for(self.seed, "augment")
            self._weight_classes(y[train])
            self._fit_epochs(Rows(X, y, train), None if valid is None else Rows(X, y, valid))
        self.fit_s = time.perf_counter() - start
        return self

    def predict_proba(self, X, rows=None):
        """Class probabilities of pixels, read in batches.

        Parameters
        ----------
        X : array-like of uint8, shape (n, side, side, 3)
        rows : ndarray of int, optional
            Which images to score, in this order; by default all.

        Returns
        -------
        ndarray of float64, shape (n, classes)
        """
        with reproducible(self.device):
            return super().predict_proba(Rows(X, rows=rows))

    def _check_rows(self, X, y, train, valid):
        if len(X) != len(y):
            raise ValueError(f"{len(X)} images and {len(y)} labels: give one label per image")
        if valid is not None and np.intersect1d(train, valid).size:
            raise ValueError("train and valid rows overlap: an epoch would be judged on images that it learned")
        for what, rows in (("train", train), ("valid", valid)):
            wrong = [] if rows is None else np.setdiff1d(y[rows], self.classes_)
            if len(wrong):
                raise ValueError(f"labels of {what} rows are {wrong[:3]}: allowed are 0..{len(self.classes_) - 1}")
        if len(np.unique(y[train])) < 2:
            raise ValueError(f"the {len(train)} training rows hold one class only: a network needs two")

    def _start_from(self, X, train):
        """Load weights and set the normalisation; return what the network starts from, in words."""
        if isinstance(self.module_.net, Pretrained):
            weights = load_backbone(self.module_.net, self.weights)
            self.module_.normalise_by(weights.mean, weights.std)
            return weights.said
        self.module_.normalise_by(*pixel_moments(X, train))
        return "random"

    def _weight_classes(self, y):
        weights = np.ones(len(self.classes_))
        if self.class_weight == "balanced":
            counts = np.bincount(y.astype(np.int64), minlength=len(weights))
            weights = len(y) / (len(weights) * np.maximum(counts, 1))
        self.class_weights_ = torch.as_tensor(weights, dtype=torch.float32, device=self.device)

    def _fit_epochs(self, train, valid):
        if self.keep == "best" and valid is None:
            self.notes_.append("no inner-valid rows: the last epoch is kept")
        judged = self.keep == "best" and valid is not None
        if judged and len(np.unique(valid.y[valid.rows])) < len(self.classes_):
            self.notes_.append("inner-valid rows lack a class: epochs are judged by their loss")
        if self.module_.frozen and not self.module_.augment:
            train, valid = self._describe(train), valid and self._describe(valid)
        batches = self.get_iterator(train, training=True)
        self.curves_, best, state = [], (-math.inf, -math.inf), None
        self.notify("on_train_begin", X=train, y=None)
        for epoch in range(1, self.max_epochs + 1):
            start = time.perf_counter()
            self.notify("on_epoch_begin", dataset_train=train, dataset_valid=None)
            self.run_single_epoch(batches, training=True, prefix="train", step_fn=self.train_step)
            self.notify("on_epoch_end", dataset_train=train, dataset_valid=None)
            curve = {"epoch": epoch, "train_loss": float(self.history[-1, "train_loss"]), **self._judge(valid)}
            self.curves_.append({**curve, "epoch_s": time.perf_counter() - start})
            if not math.isfinite(curve["train_loss"]):
                raise FloatingPointError(f"the loss of epoch {epoch} is {curve['train_loss']}: lower lr ({self.lr})")
            score = (np.nan_to_num(curve["inner_valid_auroc"]), -curve["inner_valid_loss"])
            if not judged or score > best:
                best, self.best_epoch_ = score, epoch
                state = self._learned_state() if judged else None
            elif self.patience and epoch - self.best_epoch_ >= self.patience:
                break
        if judged and self.best_epoch_ < epoch:
            self.module_.load_state_dict(state, strict=False)
        self.notify("on_train_end", X=train, y=None)

    def _learned_state(self):
        """A copy of the state that training changes."""
        fixed = "net.backbone." if self.module_.frozen else "nothing"
        state = self.module_.state_dict()
        return {key: value.to("cpu", copy=True) for key, value in state.items() if not key.startswith(fixed)}

    def _describe(self, rows):
        """What the last layer of a frozen network reads, computed once; the rows themselves if it is too large."""
        if len(rows) * self.module_.net.head.in_features * 4 > KEPT_FEATURES_BYTES:
            return rows
        self.module_.eval()
        with torch.no_grad():
            parts = [self._in_parts(self.module_.describe, X) for X, _ in self.get_iterator(rows)]
        return Rows(torch.cat(parts).numpy(), rows.y[rows.rows])

    def _judge(self, valid):
        if valid is None:
            return {"inner_valid_loss": math.nan, "inner_valid_auroc": math.nan}
        logits, y = self.forward(valid), torch.from_numpy(valid.y[valid.rows].astype(np.int64))
        return {
            "inner_valid_loss": self.criterion_(logits, y).mean().item(),
            "inner_valid_auroc": auroc(logits, y),
        }

    def train_step(self, batch, **fit_params):
        """One step of the optimiser, in parts that the device's memory holds."""
        return self._halving(lambda size: self._step(*batch, size), len(batch[1]))

    def _step(self, X, y, size):
        self._set_training(True)
        self.optimizer_.zero_grad()
        n, total = len(y), 0.0
        parts = max(1, min(math.ceil(n / size), n // 2))  # batch normalisation cannot train on one image
        y = y.to(self.device)
        for Xi, yi in zip(X.tensor_split(parts), y.tensor_split(parts), strict=True):
            losses = self.criterion_(self.infer(Xi), yi) * self.class_weights_[yi]
            loss = losses.sum() / n
            loss.backward()
            total = total + loss.detach()
        self.module_.add_penalty_gradient()
        self.optimizer_.step()
        return {"loss": total, "y_pred": None}

    def evaluation_step(self, batch, training=False):
        """Logits of a batch, in parts that the device's memory holds."""
        self.check_is_fitted()
        self._set_training(training)
        with torch.set_grad_enabled(training):
            return self._in_parts(self.infer, batch[0])

    def _in_parts(self, function, X):
        def whole(size):
            return torch.cat([function(part.to(self.device)).cpu() for part in X.split(size)])

        return self._halving(whole, len(X))

    def _halving(self, step, n):
        """Call ``step(size)`` with half the size whenever the device runs out of memory."""
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
