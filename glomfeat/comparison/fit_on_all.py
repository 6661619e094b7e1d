"""Fit an arm on all images of a study, with all choices made as in the study, on inner splits by case."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.bundle.format import BundleError
from glomfeat.bundle.model import BATCH, FeatureModel, NetModel
from glomfeat.comparison.budget import net_need, plan_arm
from glomfeat.comparison.extraction import as_extracted
from glomfeat.comparison.tasks import Fit, Splits, Task, card_of, inner_models, reduction_of, rows_of, seeded_by
from glomfeat.comparison.trial import calling_part
from glomfeat.core.arms import Trial
from glomfeat.core.memory import format_bytes
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import definition_of
from glomfeat.core.seeds import seed_for
from glomfeat.core.threads import limited_threads
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.splits import inner_valid_split, make_folds
from glomfeat.features.seen import plain, view_of
from glomfeat.metrics.thresholds import fixed_at
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.inner import score_inner
from glomfeat.models.joined import Behind
from glomfeat.models.nets import converges
from glomfeat.models.reducers.cached import digests_of
from glomfeat.models.reducers.kept import AsIs, fit_reducer, transform_all
from glomfeat.models.selection import (
    COMPONENTS,
    NO_ROWS,
    Chosen,
    fit_chosen,
    fit_decision,
    fit_setting,
    mean_by_row,
    without_components,
)

REFIT = "refit"
NO_SPLIT = "inner folds of all cases cannot hold all classes"
SLICES = 32  # batches that are read at a time


@dataclass(frozen=True)
class Fitted:
    """An arm, but no ensemble, that has learnt from all images of a study.

    Attributes
    ----------
    model : FeatureModel or NetModel
    found : glomfeat.models.selection.Chosen
    splits : list of (fit, inner_valid)
        The inner splits that choices were made on.
    seed : int
    preprocess : Preprocess or None
        How images are read; None if only rows are scored.
    reduced : ndarray of float32, shape (n, columns), or None
        The rows that the head learnt from; None for a network.
    width : int
        Columns of the feature; 0 for a network.
    medians : ndarray of float32, shape (width,), or None
        Replace missing values; None if none may be missing.
    encoder : glomfeat.models.joined.Encoder or None
        Turns joined columns into numbers; None if no columns are joined.
    """

    model: Any
    found: Chosen
    splits: list
    seed: int
    preprocess: Preprocess | None = None
    reduced: Any = None
    width: int = 0
    medians: Any = None
    encoder: Any = None

    @property
    def inner(self):
        """Rows that inner models had not learnt from, and their calibrated scores."""
        rows, scores = mean_by_row(self.splits, self.found.inner_scores)
        return rows, self.found.calibration.apply(scores)

    @property
    def choices(self):
        """A copy without the model and the rows it learnt from, with the choices and the scores that led to them."""
        return replace(self, model=None, found=replace(self.found, estimator=None), reduced=None)

    def calibrated(self, kind, labels, rule):
        """A copy with another calibration, and the threshold that follows from it; the same without inner splits.

        Parameters
        ----------
        kind : str
            One of `glomfeat.models.calibration.CALIBRATIONS`.
        labels : ndarray of int64, shape (n,)
        rule : str or callable
        """
        if not self.splits:
            return self
        held = np.concatenate([valid for _, valid in self.splits])
        calibration, threshold = fit_decision(labels[held], self.found.inner_scores, rule, kind)
        return replace(self, found=replace(self.found, calibration=calibration, threshold=threshold))

    def score(self, rows, joined=None):
        """Scores of rows of the feature, or of pixels, before calibration, computed slice by slice.

        Parameters
        ----------
        rows : Matrix or ndarray
        joined : glomfeat.data.joined.Joined, optional
            The columns that are joined to these rows.

        Returns
        -------
        ndarray of float64, shape (n,) or (n, classes)
        """
        ahead = np.empty((len(rows), 0), np.float32) if self.encoder is None else self.encoder.transform(joined)
        parts = gen_batches(len(rows), BATCH * SLICES)
        return np.concatenate([self._score(rows[part], ahead[part]) for part in parts])

    def _score(self, rows, ahead):
        if isinstance(self.model, NetModel):
            parts = [self.model.score(rows[part], None)[0] for part in gen_batches(len(rows), BATCH)]
            return np.concatenate(parts)
        rows = np.asarray(rows, np.float32)
        rows = rows if self.medians is None else np.where(np.isnan(rows), self.medians, rows)
        return self.model.of_rows(rows if self.encoder is None else np.hstack([ahead, rows]))[0]


def choose_by(manifest, study):
    """The splits for all choices: the folds of the study, or inner splits of all cases; see `Splits.of_all`.

    Parameters
    ----------
    manifest : Manifest
    study : Study

    Returns
    -------
    list of (InnerFit, ndarray of int64)
        Empty if there is no split with all classes on both sides, and the study chooses no threshold and no
        calibration; a head then has its default setting, as in such trials.

    Raises
    ------
    BundleError
        There is no such split, and the study chooses by it.
    """
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    found = Splits(manifest, folds, study.seed).of_all(REFIT)
    decided = len(manifest.classes) > 2 or fixed_at(study.threshold) is not None
    if not found and not (decided and study.calibration == "none"):
        raise BundleError(
            f"{NO_SPLIT}, so nothing can be chosen by them: compare with a number for --threshold, and without "
            "--calibration"
        )
    return found


def fit_on_all(prepared, extracted, arm, chosen_by):
    """Fit an arm that is no ensemble on all images.

    The reducer is fitted on all rows. A head's setting, calibration and threshold are chosen on inner splits of all
    cases, and the head is then fitted on all rows. A network is trained as in each of the study's trials, see
    `glomfeat.models.nets.run.fit_net`.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        With the arm's feature or pixels.
    arm : Arm
    chosen_by : list of (InnerFit, ndarray)
        As `choose_by` returns it.

    Returns
    -------
    Fitted

    Raises
    ------
    BundleError
        The feature cannot be computed, or the budget is too small.
    """
    fitted = fit_task(task_on_all(prepared, extracted, arm, chosen_by), prepared.study.jobs or 1)
    if arm.net:
        return replace(fitted, preprocess=prepared.view_of_net(arm.net))
    feature = feature_of(prepared, extracted, arm)
    model, view = replace(fitted.model, feature=plain(feature)), view_of(feature, prepared.preprocess)
    return replace(fitted, model=model, preprocess=view)


def feature_of(prepared, extracted, arm):
    """The feature of an arm, as it was extracted."""
    return as_extracted(next(one for one in prepared.features if one.name == arm.feature), extracted)


def task_on_all(prepared, extracted, arm, chosen_by):
    """Everything needed to fit an arm on all images, small enough to be sent to another process.

    Parameters and errors are those of `fit_on_all`; the arm may be the floor.

    Returns
    -------
    Task
        With all rows to learn from, and none to test.
    """
    reason = extracted.failed.get(arm.feature)
    if reason:
        raise BundleError(f"{arm.feature} cannot be computed: {reason}")
    study, manifest = prepared.study, extracted.manifest
    stored, standardise = extracted.matrices.get(arm.feature), False
    if stored is not None:
        standardise = prepared.standardise[arm.feature]
    settings, nets = {}, {}
    if arm.net:
        settings = prepared.net_settings(arm.net)
        nets = {arm.net: (settings, net_need(arm.network, settings, len(manifest), study.timeout))}
    joining = prepared.joining
    plan = plan_arm(arm, 1, 1, stored, standardise, prepared.free, nets, joining.ahead(arm.feature))
    if plan.most.bytes > prepared.free:
        need, have = format_bytes(plan.most.bytes), format_bytes(max(prepared.free, 0))
        raise BundleError(f"{arm}: needs {need} ({plan.most.how}) of {have}: raise --memory{plan.otherwise}")
    task = Task(
        trial=Trial(arm, 0, REFIT),
        seed=seed_for(study.seed, str(seeded_by(study, arm)), REFIT),
        labels=manifest.labels,
        cases=manifest.cases,
        train=np.arange(len(manifest)),
        test=NO_ROWS,
        inner=_chosen_by(study, manifest, arm, settings, chosen_by),
        classes=len(manifest.classes),
        rule=study.threshold,
        calibration=study.calibration,
        threads=study.threads,
        plan=plan,
        pixels=extracted.pixels[prepared.view_of_net(arm.net)] if arm.net else None,
        net=settings,
    )
    if stored is None:
        return task
    parts = arm.reducer, stored, standardise, extracted.keys[arm.feature], plan.route, study.tested
    joined = joining.of(arm.feature, manifest)
    reduced = partial(reduction_of, *parts, prepared.store, study.threads, joined=joined, card=card_of(study, stored))
    every = digests_of(manifest.table["digest"].tolist(), task.train, [])
    models = inner_models(arm.head, task.labels, task.classes, chosen_by, reduced, lambda pair: task.seed)
    return replace(task, reduction=reduced(Fit(task.train, [], every)), models=models)


def _chosen_by(study, manifest, arm, settings, chosen_by):
    """The inner splits as rows; networks that are trained in epochs have a single split of their own."""
    if not arm.net or converges(arm.network, settings):
        return rows_of(chosen_by)
    seed = seed_for(study.seed, "inner-valid", REFIT)
    return [inner_valid_split(manifest.labels, manifest.cases, np.arange(len(manifest)), NO_ROWS, seed)]


def fit_task(task, sums=None):
    """Fit the arm of a task that learns from all rows.

    Parameters
    ----------
    task : Task
        As `task_on_all` returns it.
    sums : int, optional
        Threads for the sums of a reducer, whose number changes no bit; the task's number if left out.

    Returns
    -------
    Fitted
        Its model holds no feature; it scores rows of the feature.
    """
    if task.net:
        return _fit_net(task)
    return _fit_floor(task) if task.reduction is None else _fit_head(task, sums or task.threads)


def _fit_floor(task):
    X, head = np.zeros((len(task.labels), 1), np.float32), make_head(task.trial.arm.head, task.seed)
    with limited_threads(task.threads):
        found = fit_chosen(head, X, task.labels, task.train, task.inner, task.classes, task.rule, task.calibration)
    model = FeatureModel(None, AsIs(), found.estimator, task.classes, task.threads)
    return Fitted(model, found, task.inner, task.seed)


def _fit_head(task, sums):
    reduction, arm = task.reduction, task.trial.arm
    matrix, given = reduction.filled, (task.classes, task.rule, task.calibration)
    ahead, encoder = reduction.ahead, reduction.encoder
    with limited_threads(task.threads):
        route = reduction.route.name if reduction.route else ""
        whole = fit_reducer(arm.reducer, matrix, reduction.standardise, route, sums)
        head = make_head(arm.head, task.seed, whole.stored != "as is", ahead, reduction.card)
        with calling("reducer", arm.reducer, definition_of(arm.reducer)):
            X = _joined(reduction, transform_all(whole, matrix))
        scored = score_inner(task.models, task.inner)[0]
        with calling_part(task):
            found = fit_chosen(head, X, task.labels, task.train, task.inner, *given, reduction.prefixes, scored, ahead)
            reducer, estimator = whole.first(found.params.get(COMPONENTS)), found.estimator
            if COMPONENTS in found.params:  # with fewer components the products differ in the last bits
                X = _joined(reduction, transform_all(reducer, matrix))
                estimator = fit_setting(head, without_components(found.params), X.copy(), task.labels.copy())
    reducer = reducer if encoder is None else Behind(reducer, ahead)
    model = FeatureModel(None, reducer, estimator, task.classes, task.threads)
    medians = getattr(matrix, "medians", None)
    return Fitted(model, found, task.inner, task.seed, None, X, matrix.shape[1], medians, encoder)


def _joined(reduction, rows):
    """The joined columns followed by reduced rows; only the latter if no columns are joined."""
    return rows if reduction.joined is None else np.hstack([reduction.encoder.transform(reduction.joined), rows])


def _fit_net(task):
    from glomfeat.models.nets.run import fit_net

    given = {**task.net, "seed": task.seed, "classes": task.classes}
    rows = task.pixels, task.labels, task.train, task.inner
    with calling_part(task):
        found = fit_net(task.trial.arm.network, given, *rows, task.rule, task.calibration, task.threads)
    return Fitted(NetModel(found.estimator, task.classes), found, task.inner, task.seed)
