"""Models for inner choices: fitted without the rows that they score, including scaler and reducer."""

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from glomfeat import __version__
from glomfeat.core.environment import versions
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import definition_of, is_own
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.reducers.cached import Reduction
from glomfeat.models.selection import noting, score_settings, settings_of


def _digest(numbers):
    return hashlib.sha256(np.ascontiguousarray(numbers, np.int64)).hexdigest()


@dataclass(frozen=True)
class InnerModels:
    """A head with each of its settings, fitted on some of the training cases to score others.

    Everything that a score depends on was fitted on the rows of the reduction alone.

    Attributes
    ----------
    head : str
    seed : int
    reduction : Reduction
        Its training rows are those that the models learn from.
    labels : ndarray of int64, shape (n,)
    held : ndarray of int64
        The rows to score, ascending; the models learn from none of them.
    classes : int
    users : int
        How many trials use the scores and share their seconds.
    """

    head: str
    seed: int
    reduction: Reduction
    labels: np.ndarray
    held: np.ndarray
    classes: int
    users: int = 1

    @property
    def key(self):
        """What the scores depend on."""
        fit = self.reduction.train
        of = {"fit": _digest(self.labels[fit]), "held": _digest(self.held)}
        head = {
            "head": self.head,
            "seed": self.seed,
            "classes": self.classes,
            "prefixes": list(self.reduction.prefixes),
        }
        joined = {} if self.reduction.joined is None else {"joined": self.reduction.joined.digest}
        of_rows = {"labels": of, "of": self.reduction.key, **joined}
        return {"inner scores": "v1", "glomfeat": __version__, **_libraries(), **head, **of_rows}

    @property
    def is_stored(self):
        """Whether scores are stored; those of the user's own heads never count, because their code may change."""
        return not is_own(self.head) and self.reduction.store.has(self.key)

    def scores(self):
        """Scores of the held rows, which are computed unless they are stored.

        Returns
        -------
        scores : ndarray of float64, shape (settings, held) of two classes, else (settings, held, classes)
        seconds : float
            The share of one trial.
        notes : list of str
            Warnings of the fits, each once.
        """
        found = self._fit() if is_own(self.head) else self.reduction.store.shard(self.key, self._fit)
        return found["scores"], found["seconds"].item() / self.users, json.loads(bytes(found["notes"]))

    def _fit(self):
        X, reduce_s, _, _ = self.reduction.read()
        start, fit, ahead = time.perf_counter(), self.reduction.train, self.reduction.ahead
        head = make_head(self.head, self.seed, not self.reduction.does_nothing, ahead, self.reduction.card)
        with noting() as notes, calling("head", self.head, definition_of(self.head), seed=self.seed, learns=True):
            settings = settings_of(head, self.reduction.prefixes)
            scores = score_settings(head, settings, X[fit], self.labels[fit], X[self.held], self.classes, ahead)
        seconds = np.array(reduce_s + time.perf_counter() - start)
        return {"scores": scores, "seconds": seconds, "notes": np.frombuffer(json.dumps(notes).encode(), np.uint8)}


@cache
def _libraries():
    """The versions of what fits heads."""
    return {name: version for name, version in versions().items() if name in ("scikit-learn", "xgboost")}


def score_inner(models, inner):
    """Scores of the inner-valid rows of each inner split, by models that have not learnt from them.

    Parameters
    ----------
    models : sequence of InnerModels
    inner : list of (fit, inner_valid)
        A split for each model, with inner-valid rows that this model scores.

    Returns
    -------
    scored : list of ndarray
        As `glomfeat.models.selection.fit_chosen` takes them.
    seconds : float
    notes : list of str
    """
    scored, seconds, notes = [], 0.0, []
    for one, (_, valid) in zip(models, inner, strict=True):
        scores, share_s, noted = one.scores()
        scored.append(scores[:, np.searchsorted(one.held, valid)])
        seconds, notes = seconds + share_s, [*notes, *noted]
    return scored, seconds, notes
