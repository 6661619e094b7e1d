"""Tasks: trials with everything that they need, small enough to be sent to another process."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from glomfeat.comparison.budget import Plan, plan_arm
from glomfeat.comparison.joined import Joining
from glomfeat.core.arms import Arm, Trial
from glomfeat.core.plugins import is_own
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import SplitError, fold_rows, inner_splits, inner_valid_split, other_folds
from glomfeat.models.card import find_card
from glomfeat.models.inner import InnerModels
from glomfeat.models.nets import converges
from glomfeat.models.reducers.cached import Reduction, blocks_of, digests_of
from glomfeat.models.selection import count_deals, scored_rows

NONE_JOIN = Joining()


@dataclass(frozen=True)
class Task:
    """Everything that a trial needs, small enough to be sent to another process.

    Attributes
    ----------
    trial : Trial
    seed : int
        Seed of the trial, from its name.
    labels, cases : ndarray of int64, shape (n,)
    train, test : ndarray of int64
        Rows of the manifest.
    inner : list of (fit, inner_valid)
        For a network that is trained in epochs a single split, whose inner-valid rows serve calibration and threshold.
    classes : int
    rule : str or callable
        Rule for the threshold.
    calibration : str
    threads : int
        The study's number; it does not follow ``--jobs``, because sums depend on it in the last bits.
    plan : Plan
    reduction : Reduction or None
        What the head reads; None for the floor, which reads nothing, and for networks.
    models : tuple of InnerModels
        They score the inner-valid rows of each inner split.
    pixels : Matrix or None
        What a network reads.
    net : dict
        Settings of `glomfeat.models.nets.make_net`; empty for heads.
    changes : tuple of str
        Perturbations of the tested images, which a network scores as well while it exists.
    inside : int
        For how many test images of each kind to draw where the network looks; set for the first trial of each arm.
    members : tuple of (key, rows)
        For an ensemble: its members' trials on the same fold, and their inner-valid rows in the order of their scores.
    is_member : bool
        Whether an ensemble needs the trial's inner out-of-fold scores.
    """

    trial: Trial
    seed: int
    labels: np.ndarray
    cases: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: list
    classes: int
    rule: str
    calibration: str
    threads: int
    plan: Plan
    reduction: Reduction | None = None
    models: tuple = ()
    pixels: Any = None
    net: dict = field(default_factory=dict)
    changes: tuple = ()
    inside: int = 0
    members: tuple = ()
    is_member: bool = False


@dataclass(frozen=True)
class Fit:
    """Rows to learn from.

    Attributes
    ----------
    rows : ndarray of int64
    blocks : list of ndarray of int64
        The blocks that these rows consist of, whose sums are shared with other fits.
    digests : tuple
        As `glomfeat.models.reducers.cached.digests_of` returns them.
    """

    rows: np.ndarray
    blocks: list
    digests: tuple


@dataclass(frozen=True)
class InnerFit:
    """Rows that inner models learn from, and rows that they score.

    Attributes
    ----------
    fit : Fit
    held : ndarray of int64
    pair : tuple
        The two folds that are left out and score each other; empty for a trial's own inner splits.
    """

    fit: Fit
    held: np.ndarray
    pair: tuple = ()


class Splits:
    """The rows of trials: outer folds and inner splits, each made only once, so that trials share them.

    Parameters
    ----------
    manifest : Manifest
    folds : pandas.DataFrame
        As `glomfeat.data.splits.make_folds` returns it.
    seed : int
        Seed of the study.
    """

    def __init__(self, manifest, folds, seed):
        self.labels, self.cases = manifest.labels, manifest.cases
        self.folds, self.seed = folds, seed
        self._digests, self._made = manifest.table["digest"].tolist(), {}

    def _once(self, make, *given):
        if (make.__name__, *given) not in self._made:
            self._made[make.__name__, *given] = make(*given)
        return self._made[make.__name__, *given]

    def _fit(self, repeat, rows):
        blocks = blocks_of(self.folds, repeat, rows)
        return Fit(rows, blocks, digests_of(self._digests, rows, blocks))

    def outer(self, repeat, fold):
        """The training rows of a trial as a `Fit`, and its test rows."""
        return self._once(self._outer, repeat, fold), self._once(self._rows, repeat, fold)[1]

    def _outer(self, repeat, fold):
        return self._fit(repeat, self._once(self._rows, repeat, fold)[0])

    def _rows(self, repeat, fold):
        return fold_rows(self.folds, repeat, fold)

    def of_heads(self, repeat, fold):
        """The inner splits that heads choose on.

        Returns
        -------
        list of (InnerFit, ndarray of int64)
            Each with its inner-valid rows.
        """
        others = self._once(self._others, repeat)
        return self._once(self._of_pairs if fold in others else self._of_its_own, repeat, fold)

    def _others(self, repeat):
        return other_folds(self.folds, self.labels, self.cases, repeat)

    def _of_pairs(self, repeat, fold):
        others = [other for other in self._once(self._others, repeat) if other != fold]
        pairs = [tuple(sorted((fold, other))) for other in others]
        learnt = [self._once(self._learnt, repeat, other) for other in others]
        return [(self._once(self._without, repeat, pair), rows) for pair, rows in zip(pairs, learnt, strict=True)]

    def _learnt(self, repeat, fold):
        """The rows of a fold that other folds may learn from."""
        part = self.folds[self.folds["repeat"] == repeat]
        own = (part["fold"] == fold).to_numpy()
        return np.flatnonzero(own & part["used"].to_numpy() if "used" in part else own)

    def _without(self, repeat, pair):
        one, other = (self._once(self._rows, repeat, fold)[0] for fold in pair)
        held = np.union1d(*(self._once(self._learnt, repeat, fold) for fold in pair))
        return InnerFit(self._fit(repeat, np.intersect1d(one, other)), held, pair)

    def _of_its_own(self, repeat, fold):
        train, _, valid = self._once(self._rows, repeat, fold)
        return self._dealt(train, valid, seed_for(self.seed, "inner", repeat, fold))

    def of_all(self, name):
        """The splits for a head that learns from all rows: the folds of the first repeat, or inner splits of its own.

        Parameters
        ----------
        name : str
            For the seed of the latter.

        Returns
        -------
        list of (InnerFit, ndarray of int64)
        """
        others = self._once(self._others, 0)
        if others:
            found = [self.outer(0, fold) for fold in others]
            return [(InnerFit(fit, held), held) for fit, held in found]
        return self._dealt(np.arange(len(self.labels)), [], seed_for(self.seed, "inner", name))

    def _dealt(self, train, valid, seed):
        splits = inner_splits(self.labels, self.cases, train, valid, seed)
        held = [rows for _, rows in splits]
        one_deal = count_deals(held) == 1
        found = []
        for k, (fit, rows) in enumerate(splits):
            # sums over few rows are not worth storing
            blocks = held[:k] + held[k + 1 :] if one_deal else []
            found.append((InnerFit(Fit(fit, blocks, digests_of(self._digests, fit, blocks)), rows), rows))
        return found

    def of_nets(self, repeat, fold):
        """The single split, in a list, on which a network's threshold and calibration are chosen.

        The list is empty if the training cases are too few to hold every class on both sides.
        """
        return self._once(self._of_nets, repeat, fold)

    def _of_nets(self, repeat, fold):
        train, _, valid = self._once(self._rows, repeat, fold)
        seed = seed_for(self.seed, "inner-valid", repeat, fold)
        try:
            return [inner_valid_split(self.labels, self.cases, train, valid, seed)]
        except SplitError:
            return []


def make_tasks(
    trials, study, folds, extracted, standardise, store, free, nets=None, views=None, settled=None, joining=NONE_JOIN
):
    """Turn trials into tasks: their rows, inner splits, seeds, reductions and needs.

    Parameters
    ----------
    trials : list of Trial
    study : Study
    folds : pandas.DataFrame
        As `glomfeat.data.splits.make_folds` returns it.
    extracted : Extracted
    standardise : dict of str to bool
        By the feature's name.
    store : Store
    free : int
        Bytes, as `glomfeat.comparison.budget.free_bytes` returns them.
    nets : dict of str to (dict, int), optional
        Each network's settings and how many bytes training it needs, by its name.
    views : dict of str to Preprocess, optional
        How each network reads images.
    settled : dict of (repeat, fold) to (Prepared, Extracted), optional
        What trials read instead if their fold has a stain reference of its own.
    joining : glomfeat.comparison.joined.Joining
        Columns that are joined to features.

    Returns
    -------
    list of Task
    """
    nets, splits, plans, columns = nets or {}, Splits(extracted.manifest, folds, study.seed), {}, {}
    of_all, settled = extracted, settled or {}
    in_epochs = {name for name, (settings, _) in nets.items() if not converges(Arm(net=name).network, settings)}
    needed, tasks = {member for trial in trials for member in trial.arm.members}, []
    for trial in trials:
        arm, where = trial.arm, (trial.repeat, trial.fold)
        there, extracted = settled.get(where, (None, of_all))
        matrix, own = extracted.matrices.get(arm.feature), standardise.get(arm.feature, False)
        first = arm not in plans
        if first:
            given = study.repeats, study.tested, matrix, own, free, nets, joining.ahead(arm.feature)
            plans[arm], columns[arm] = plan_arm(arm, *given), joining.of(arm.feature, extracted.manifest)
        reduced = None
        if matrix is not None:
            of, route = extracted.keys[arm.feature], plans[arm].route
            parts = arm.reducer, matrix, own, of, route, study.tested, store, study.threads
            reduced = partial(reduction_of, *parts, joined=columns[arm], card=card_of(study, matrix))
        fit, test = splits.outer(*where)
        settings, seeded = nets[arm.net][0] if arm.net else {}, replace(trial, arm=seeded_by(study, arm))
        task = Task(
            trial=trial,
            seed=seed_for(study.seed, *seeded.key),
            labels=splits.labels,
            cases=splits.cases,
            train=fit.rows,
            test=test,
            inner=_chosen_by(splits, arm, where, in_epochs),
            classes=len(extracted.manifest.classes),
            rule=study.threshold,
            calibration=study.calibration,
            threads=study.threads,
            plan=plans[arm],
            reduction=reduced(fit) if reduced else None,
            pixels=extracted.pixels[(there.view_of_net if there else views.get)(arm.net)] if arm.net else None,
            net=settings,
            changes=study.perturb if arm.net and not views[arm.net].stain else (),
            inside=study.inside if first else 0,
            members=tuple(
                (replace(trial, arm=one).key, scored_rows(_chosen_by(splits, one, where, in_epochs)))
                for one in arm.members
            ),
            is_member=arm in needed,
        )
        if reduced:
            seeds = partial(_seed_without, study.seed, seeded)
            given = arm.head, task.labels, task.classes, splits.of_heads(*where), reduced, seeds
            apart = of_all.keys.get(arm.feature) != extracted.keys.get(arm.feature)
            task = replace(task, models=inner_models(*given, apart))
        tasks.append(task)
    return tasks


def card_of(study, matrix):
    """The GPU for heads and reducers that read a feature, see `glomfeat.models.card`; workers of clusters have none."""
    return find_card(study.device, *matrix.shape[:2]) if study.backend == "local" else ""


def reduction_of(reducer, matrix, standardise, of, route, folds, store, threads, fit, joined=None, card=""):
    """The reduction of the rows of a `Fit`; the other parameters are those of `Reduction`."""
    parts = reducer, matrix, fit.rows, fit.blocks, standardise, of, fit.digests, route, folds, store, threads
    return Reduction(*parts, joined, card)


def _chosen_by(splits, arm, where, in_epochs):
    """The inner splits of an arm as (fit, inner_valid); networks that are trained in epochs have a single one."""
    if arm.net in in_epochs:
        return splits.of_nets(*where)
    return rows_of(splits.of_heads(*where))


def rows_of(inner):
    """Inner splits of `Splits` as rows: those that models learn from, and those that they score.

    Parameters
    ----------
    inner : list of (InnerFit, ndarray)

    Returns
    -------
    list of (fit, inner_valid)
    """
    return [(one.fit.rows, valid) for one, valid in inner]


def seeded_by(study, arm):
    """The arm that decides seeds; it does not depend on how images are read, so seeds are as in a study of one way."""
    return arm.one_way if len(study.ways) > 1 else arm


def _seed_without(seed, trial, pair):
    """The seed of inner models; models without two folds have a seed of their own, because they serve two trials."""
    return seed_for(seed, str(trial.arm), trial.repeat, "without", *pair) if pair else seed_for(seed, *trial.key)


def inner_models(head, labels, classes, chosen_by, reduced, seed_of, apart=False):
    """The models that score the inner-valid rows of each inner split.

    Parameters
    ----------
    head : str
    labels : ndarray of int64, shape (n,)
    classes : int
    chosen_by : list of (InnerFit, ndarray)
        As `Splits` returns it.
    reduced : callable
        Returns the reduction of a `Fit`.
    seed_of : callable
        Returns a seed for the pair of an `InnerFit`.
    apart : bool
        Whether images are described differently for each fold, so that no two folds share models.

    Returns
    -------
    tuple of InnerModels
    """
    found = []
    for one, valid in chosen_by:
        # scores of the user's own heads are not stored, so they serve no other trial
        held, users = (valid, 1) if apart or is_own(head) else (one.held, len(one.pair) or 1)
        found.append(InnerModels(head, seed_of(one.pair), reduced(one.fit), labels, held, classes, users))
    return tuple(found)
