"""An arm fitted on all images of a study, with everything chosen as in the study: on inner splits by case."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

from glomfeat.bundle.format import BundleError
from glomfeat.bundle.model import BATCH, FeatureModel, NetModel
from glomfeat.comparison.budget import plan_arm
from glomfeat.comparison.extraction import as_extracted
from glomfeat.comparison.tasks import Splits, inner_models, reduction_of, rows_of
from glomfeat.core.memory import format_bytes
from glomfeat.core.seeds import seed_for
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.splits import inner_valid_split, make_folds
from glomfeat.features.base import view_of
from glomfeat.features.seen import plain
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.inner import score_inner
from glomfeat.models.reducers.filling import fill, has_gaps
from glomfeat.models.reducers.kept import fit_reducer, transform_all
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
SLICES = 32  # batches that are read at once


@dataclass(frozen=True)
class Fitted:
    """An arm that has learnt all images of a study; no ensemble.

    Attributes
    ----------
    model : FeatureModel or NetModel
    preprocess : Preprocess
    found : glomfeat.models.selection.Chosen
    splits : list of (fit, inner_valid)
        What was chosen by.
    seed : int
    reduced : ndarray of float32, shape (n, columns), or None
        The rows that the head learnt; None of a network.
    width : int
        Columns of the feature; 0 of a network.
    medians : ndarray of float32, shape (width,), or None
        What stands in for missing values; None where none may be missing.
    """

    model: Any
    preprocess: Preprocess
    found: Chosen
    splits: list
    seed: int
    reduced: Any = None
    width: int = 0
    medians: Any = None

    @property
    def inner(self):
        """Rows that inner models had not learnt from, and their calibrated scores."""
        rows, scores = mean_by_row(self.splits, self.found.inner_scores)
        return rows, self.found.calibration.apply(scores)

    def calibrated(self, kind, labels, rule):
        """The same with another calibration, and the threshold that then is chosen.

        Parameters
        ----------
        kind : str
            One of `glomfeat.models.calibration.CALIBRATIONS`.
        labels : ndarray of int64, shape (n,)
        rule : str or callable
        """
        held = np.concatenate([valid for _, valid in self.splits])
        calibration, threshold = fit_decision(labels[held], self.found.inner_scores, rule, kind)
        return replace(self, found=replace(self.found, calibration=calibration, threshold=threshold))

    def score(self, rows):
        """Calibrated scores of rows of the feature, or of pixels; slice by slice.

        Parameters
        ----------
        rows : Matrix or ndarray

        Returns
        -------
        ndarray of float64, shape (n,) or (n, classes)
        """
        parts = [self._score(rows[part]) for part in gen_batches(len(rows), BATCH * SLICES)]
        return self.found.calibration.apply(np.concatenate(parts))

    def _score(self, rows):
        if isinstance(self.model, NetModel):
            parts = [self.model.score(rows[part], None)[0] for part in gen_batches(len(rows), BATCH)]
            return np.concatenate(parts)
        rows = np.asarray(rows, np.float32)
        return self.model.of_rows(rows if self.medians is None else np.where(np.isnan(rows), self.medians, rows))[0]


def choose_by(manifest, study):
    """What all choices are made by: the folds of the study, or inner splits of all cases; see `Splits.of_all`.

    Parameters
    ----------
    manifest : Manifest
    study : Study

    Returns
    -------
    list of (InnerFit, ndarray of int64)

    Raises
    ------
    BundleError
        There is no split whose sides both hold all classes.
    """
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    found = Splits(manifest, folds, study.seed).of_all(REFIT)
    if not found:
        raise BundleError("inner folds of all cases cannot hold both classes, so nothing can be chosen by them")
    return found


def fit_on_all(prepared, extracted, arm, chosen_by):
    """Fit an arm that is no ensemble on all images.

    The reducer is fitted on all rows; setting, calibration and threshold of a head are chosen on inner splits of all
    cases, and the head is then fitted on all rows. A network is trained as in each of the study's trials, see
    `glomfeat.models.nets.run.fit_net`.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        With the arm's feature or pixels.
    arm : Arm
    chosen_by : list of (InnerFit, ndarray)
        Of `choose_by`.

    Returns
    -------
    Fitted

    Raises
    ------
    BundleError
        The feature cannot be computed, or the budget does not suffice.
    """
    reason = extracted.failed.get(arm.feature)
    if reason:
        raise BundleError(f"{arm.feature} cannot be computed: {reason}")
    named = arm.one_way if len(prepared.study.ways) > 1 else arm  # as in a study of one way
    seed = seed_for(prepared.study.seed, str(named), REFIT)
    return (_fit_net if arm.net else _fit_head)(prepared, extracted, arm, seed, chosen_by)


def feature_of(prepared, extracted, arm):
    """The feature of an arm, as it was extracted."""
    return as_extracted(next(one for one in prepared.features if one.name == arm.feature), extracted)


def _fit_head(prepared, extracted, arm, seed, chosen_by):
    study, feature = prepared.study, feature_of(prepared, extracted, arm)
    stored, classes, labels = (
        extracted.matrices[arm.feature],
        len(extracted.manifest.classes),
        extracted.manifest.labels,
    )
    plan = plan_arm(arm, 1, 1, stored, feature.standardise, prepared.free, {})
    if plan.most.bytes > prepared.free:
        need, have = format_bytes(plan.most.bytes), format_bytes(max(prepared.free, 0))
        raise BundleError(f"{arm}: needs {need} ({plan.most.how}) of {have}: raise --memory{plan.otherwise}")
    with threadpool_limits(study.threads):
        route, rows = plan.route.name if plan.route else "", np.arange(len(stored))
        matrix = fill(stored, rows) if has_gaps(stored) else stored
        whole = fit_reducer(arm.reducer, matrix, feature.standardise, route, study.jobs or 1)
        parts = arm.reducer, stored, feature.standardise, extracted.keys[arm.feature], plan.route, study.tested
        reduced = partial(reduction_of, *parts, prepared.store, study.threads)
        models = inner_models(arm.head, labels, classes, chosen_by, reduced, lambda pair: seed)
        inner = rows_of(chosen_by)
        head, prefixes = make_head(arm.head, seed, whole.stored != "as is"), models[0].reduction.prefixes
        X = transform_all(whole, matrix)
        given = classes, study.threshold, study.calibration, prefixes, score_inner(models, inner)[0]
        found = fit_chosen(head, X, labels, rows, inner, *given)
        reducer, estimator = whole.first(found.params.get(COMPONENTS)), found.estimator
        if COMPONENTS in found.params:  # fewer components are other products, in the last bits
            X = transform_all(reducer, matrix)
            estimator = fit_setting(head, without_components(found.params), X, labels)
    model = FeatureModel(plain(feature), reducer, estimator, classes, study.threads)
    view, medians = view_of(feature, prepared.preprocess), getattr(matrix, "medians", None)
    return Fitted(model, view, found, inner, seed, X, matrix.shape[1], medians)


def _fit_net(prepared, extracted, arm, seed, chosen_by):
    from glomfeat.models.nets import converges
    from glomfeat.models.nets.run import fit_net

    study, manifest, classes = prepared.study, extracted.manifest, len(extracted.manifest.classes)
    settings = prepared.net_settings(arm.net)
    view, labels, rows = prepared.view_of_net(arm.net), manifest.labels, np.arange(len(manifest))
    valid_seed = seed_for(study.seed, "inner-valid", REFIT)
    inner = [inner_valid_split(labels, manifest.cases, rows, NO_ROWS, valid_seed)]
    if converges(arm.network, settings):
        inner = rows_of(chosen_by)
    given = {**settings, "seed": seed, "classes": classes}
    rest = labels, rows, inner, study.threshold, study.calibration, study.threads
    found = fit_net(arm.network, given, extracted.pixels[view], *rest)
    return Fitted(NetModel(found.estimator, classes), view, found, inner, seed)
