"""Training: a skorch classifier that reads pixels in batches, and scores held-out rows before it learns them too."""

import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch

from glomfeat.core.seeds import seed_for
from glomfeat.models.nets import FROM_FUNCTION, is_own_net
from glomfeat.models.nets.augment import stain_vectors
from glomfeat.models.nets.batches import Rows, pixel_moments, placed
from glomfeat.models.nets.build import check_batch, count
from glomfeat.models.nets.last_layer import fit_last_layer
from glomfeat.models.nets.loss import ImageLoss, auroc, probabilities
from glomfeat.models.nets.modes import ALL, RANK
from glomfeat.models.nets.network import Network
from glomfeat.models.nets.pace import BEGIN_AGAIN, Average, rates
from glomfeat.models.nets.pretrained import Pretrained, load_backbone
from glomfeat.models.nets.repeating import reproducible
from glomfeat.models.nets.state import start_from
from glomfeat.models.nets.steps import Steps
from glomfeat.models.nets.timing import MOST, cost_of_repeating

# The outputs of a frozen backbone are kept in memory during a training in epochs if they take no more than this.
KEPT_FEATURES_BYTES = 2**30
IN_BFLOAT16 = "the network computed in bfloat16, {} its last layer"
LEARNT_IN_BFLOAT16 = "the network learnt in bfloat16, {} its last layer, and scored in float32"
IS_COMPILED = "the steps of training were compiled"
NOT_REPEATED = "not deterministic on {}: deterministic algorithms would take {:.0%} longer"


class NetClassifier(Steps):
    """A network as a scikit-learn classifier; make one with `make_net`.

    It has these parameters in addition to skorch's (`lr`, `batch_size`, `max_epochs`, `optimizer__weight_decay`,
    `callbacks`, ...).

    Parameters
    ----------
    seed : int
        The seed from which those of initialisation, order, dropout and augmentation are derived.
    weights : str
        Where a pretrained model's weights come from, as for features. They are loaded by `fit`.
    again, schedule, average, decoupled, converge, class_weight, layer_decay, head_epochs, lora_rank, lora_layers
        As in `glomfeat.models.nets.Recipe`.
    steps_compiled : bool
        As `compile` there.
    init, new_head
        As `glomfeat.models.nets.make.make_net`.

    Attributes
    ----------
    curves_ : list of dict
        One per epoch: ``epoch, learns, train_loss, inner_valid_loss, inner_valid_auroc, epoch_s``. ``learns`` is
        ``head`` while only the last layer learns the ``fit`` rows, then ``fit``, and ``all`` once the inner-valid rows
        have joined. Losses are mean cross-entropies. The training loss is that of augmented images, with dropout and
        class weights; the inner-valid loss and AUROC are those of the state that would be kept. Empty if the last layer
        was fitted to convergence.
    valid_scores_ : ndarray of float64, shape (rows, classes), or None
        Scores of the inner-valid rows, in their order, before they were learnt.
    params_ : dict
        Passes with the last layer alone, over ``fit`` and over ``all``; or the chosen setting of the last layer.
    notes_ : list of str
        What did not go as planned, such as ``accumulated: ...``, and whether the network computed in bfloat16 or its
        steps were compiled or not deterministic.
    weights_ : str
        What the network started from.
    n_learnt_ : int
        Number of rows that it has learnt in the end.
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
        again=0.5,
        schedule="cosine",
        average=0.1,
        decoupled=True,
        converge=False,
        class_weight=None,
        layer_decay=1.0,
        head_epochs=0,
        lora_rank=RANK,
        lora_layers=ALL,
        steps_compiled=False,
        init=None,
        new_head=False,
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
        self.again, self.schedule, self.average, self.decoupled = again, schedule, average, decoupled
        self.converge, self.class_weight = converge, class_weight
        self.layer_decay, self.head_epochs = layer_decay, head_epochs
        self.lora_rank, self.lora_layers = lora_rank, lora_layers
        self.steps_compiled, self.init, self.new_head = steps_compiled, init, new_head

    def fit(self, X, y, *, train=None, valid=None):
        """Train from scratch, or from the weights.

        First the training rows are learnt. Then the inner-valid rows are scored, and then learnt as well, in a few more
        epochs over all rows. For a last layer that is fitted to convergence, the penalty is chosen on the inner-valid
        rows, and all rows are then learnt at once.

        Parameters
        ----------
        X : array-like of uint8, shape (n, side, side, 3)
            Pixels, indexed by integer arrays of at most a batch of rows.
        y : array-like of int, shape (n,)
            Classes from 0.
        train : ndarray of int, optional
            Rows to learn from, in any order; all by default.
        valid : ndarray of int, optional
            Inner-valid rows, split by case and never from the outer test fold. Labels of other rows are not looked at.

        Returns
        -------
        NetClassifier

        Raises
        ------
        ValueError
            Rows overlap, labels are out of range, there is only one class, or the pixels have another side.
        FloatingPointError
            The loss became infinite or NaN.
        """
        y = np.asarray(y)
        train = np.sort(np.arange(len(y)) if train is None else np.asarray(train))
        valid = None if valid is None or len(valid) == 0 else np.asarray(valid)
        self._check_rows(X, y, train, valid)
        if self.converge:
            whole = train if valid is None else np.union1d(train, valid)
            self.fit_converged(X, y, whole, [] if valid is None else [(train, valid)])
            return self
        with self._begun(X, train):
            torch.manual_seed(seed_for(self.seed, "dropout"))
            self.module_.augment_seed = seed_for(self.seed, "augment")
            self._fit_epochs(X, y, train, valid)
        return self

    def fit_converged(self, X, y, train, inner, rule="balanced", calibration="none"):
        """Fit the last layer of a frozen network to convergence; see `glomfeat.models.nets.last_layer`.

        Parameters
        ----------
        X, y
            As `fit`.
        train : ndarray of int
            Rows to learn from.
        inner : list of (fit, inner_valid)
            Inner splits of rows, by case, on which the penalty is chosen; without any it is the head's default.
        rule, calibration : str
            As `glomfeat.models.selection.fit_chosen`.

        Returns
        -------
        Chosen or None
            None without inner splits. Its estimator is the network.
        """
        y, train = np.asarray(y), np.sort(np.asarray(train))
        self._check_rows(X, y, train, None)
        with self._begun(X, train):
            chosen = fit_last_layer(self, X, y, train, inner, rule, calibration)
        return chosen and replace(chosen, estimator=self, notes=tuple(self.notes_))

    @contextmanager
    def _begun(self, X, train):
        """Open a timed block in which the network starts from scratch, or from the weights."""
        slower = cost_of_repeating(self)
        start = time.perf_counter()
        with reproducible(self.device, exact=slower <= MOST) as notes:
            self.initialize()
            check_batch(self.module_, self.batch_size, self.module__name)
            self.notes_ = notes
            self.weights_ = self._start_from(X, train)
            self.adapt()
            with self.module_.compiled(self.batch_size) if self.steps_compiled else nullcontext() as compiled:
                yield
            if self.module_.was_mixed:
                said = LEARNT_IN_BFLOAT16 if self.module_.precision == "auto" else IN_BFLOAT16
                notes.insert(0, said.format("but for" if self.module_.last_layer is not None else "and so did"))
            if compiled:
                notes.append(IS_COMPILED)
            if slower > MOST:
                notes.append(NOT_REPEATED.format(self.device, slower))
            self.module_.merge()
        self.fit_s = time.perf_counter() - start

    def _check_rows(self, X, y, train, valid):
        if len(X) != len(y):
            raise ValueError(f"{len(X)} images and {len(y)} labels: give one label per image")
        if valid is not None and np.intersect1d(train, valid).size:
            raise ValueError("train and valid rows overlap: images would be scored by a network that has learned them")
        for what, rows in (("train", train), ("valid", valid)):
            wrong = [] if rows is None else np.setdiff1d(y[rows], self.classes_)
            if len(wrong):
                raise ValueError(f"labels of {what} rows are {wrong[:3]}: allowed are 0..{len(self.classes_) - 1}")
        if len(np.unique(y[train])) < 2:
            raise ValueError(f"the {len(train)} training rows hold one class only: a network needs two")

    def adapt(self):
        """Add adapters to a ``:lora`` network, and make an optimiser that has their parameters."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_for(self.seed, "adapters"))
            if self.module_.adapt(self.lora_rank, self.lora_layers):
                self.initialize_optimizer()
                self.n_trainable_ = count(self.module_.net).trainable

    def _start_from(self, X, train):
        """Load weights and set the normalisation; return what the network starts from, in words."""
        if self.module_.augment and self.module_.augment.stain:
            self.module_.stains = stain_vectors(X, train)
        if self.init:
            return start_from(self, self.init, self.new_head)
        if isinstance(self.module_.net, Pretrained):
            weights = load_backbone(self.module_.net, self.weights)
            self.module_.normalise_by(weights.mean, weights.std)
            return weights.said
        self.module_.normalise_by(*pixel_moments(X, train))
        return f"weights {FROM_FUNCTION}" if is_own_net(self.module__name) else "random"

    def _fit_epochs(self, X, y, train, valid):
        self.curves_, self.valid_scores_ = [], None
        again = 0 if valid is None else math.ceil(self.again * self.max_epochs)
        self.n_learnt_ = len(train) + (len(valid) if again else 0)
        self.params_ = {"epochs": self.max_epochs} | ({"then on all": again} if again else {})
        rows, held = Rows(X, y, train), None if valid is None else Rows(X, y, np.sort(valid))
        if self.module_.frozen and not self.module_.augment:
            parts = [part for part in (rows, held) if part]
            if sum(map(len, parts)) * self.module_.net.head.in_features * 4 <= KEPT_FEATURES_BYTES:
                rows, held = [Rows(self.describe(part), part.y[part.rows]) for part in parts] + [None] * (held is None)
        rows, held = (placed(part, self.device) for part in (rows, held))
        self.notify("on_train_begin", X=rows, y=None)
        if self.head_epochs and self.module_.has_backbone and not self.module_.frozen:
            with self.module_.net.head_alone():
                self._run_epochs("head", rows, held, self.head_epochs, self.schedule)
            self.params_ = {"head alone": self.head_epochs} | self.params_
        self._run_epochs("fit", rows, held, self.max_epochs, self.schedule)
        if valid is not None:
            self.valid_scores_ = self.predict_proba(X, rows=valid)
        if again:
            rows = placed(rows.with_rows_of(held), self.device)
            self._run_epochs("all", rows, None, again, self.schedule, BEGIN_AGAIN, warm_up=0)
        self.notify("on_train_end", X=rows, y=None)

    def _run_epochs(self, learns, rows, held, epochs, schedule, highest=1.0, **pace):
        """Learn rows for some epochs, and leave the network in the state that is kept."""
        self._weight_classes(rows.y[rows.rows])
        batches = self.get_iterator(rows, training=True)
        self.rates_, self.steps_ = highest * rates(epochs * len(batches), schedule, **pace), 0
        if self.average:
            self.average_ = Average(self.module_.learned(), self.average * len(self.rates_))
        for _ in range(epochs):
            start, epoch = time.perf_counter(), len(self.curves_) + 1
            self.notify("on_epoch_begin", dataset_train=rows, dataset_valid=None)
            self.run_single_epoch(batches, training=True, prefix="train", step_fn=self.train_step)
            self.notify("on_epoch_end", dataset_train=rows, dataset_valid=None)
            curve = {"epoch": epoch, "learns": learns, "train_loss": float(self.history[-1, "train_loss"])}
            with self.average_.in_place() if self.average else nullcontext():
                curve |= self._judge(held)
            self.curves_.append({**curve, "epoch_s": time.perf_counter() - start})
            if not math.isfinite(curve["train_loss"]):
                raise FloatingPointError(f"the loss of epoch {epoch} is {curve['train_loss']}: lower lr ({self.lr})")
        if self.average:
            self.average_.swap()
        self.rates_ = self.average_ = None

    def _judge(self, valid):
        if valid is None:
            return {"inner_valid_loss": math.nan, "inner_valid_auroc": math.nan}
        logits, y = self.forward(valid), torch.from_numpy(valid.y[valid.rows].astype(np.int64))
        return {
            "inner_valid_loss": self.criterion_(logits, y).mean().item(),
            "inner_valid_auroc": auroc(logits, y),
        }
