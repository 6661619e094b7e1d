"""One trial: reduce, choose inside the training cases, fit, score the test rows once."""

import time
from contextlib import suppress
from functools import partial

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.disk import DiskError
from glomfeat.core.memory import PeakMemory
from glomfeat.core.notes import DECISIONS, FEW_ROWS
from glomfeat.core.part_errors import MisfitError, calling, in_words
from glomfeat.core.plugins import definition_of, is_own
from glomfeat.core.threads import limited_threads
from glomfeat.core.watched import limited
from glomfeat.features.changed import ChangedPixels, changes_of
from glomfeat.metrics.conformal import case_quantile
from glomfeat.models.calibration import noted_calibration
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.inner import score_inner
from glomfeat.models.joined import unseen_in_words
from glomfeat.models.nets import calling_net
from glomfeat.models.selection import COMPONENTS, NO_ROWS, fit_chosen, fit_setting, mean_by_row, read_columns

ROWS_EACH = 5  # with fewer training rows for each component, a line says so


def run_trial(task):
    """Run a trial: reduce, choose inside the training cases, fit, score the test rows once.

    Returns
    -------
    dict
        A journal record. A failure is a record too, with its reason.
    """
    lost = partial(ended_by, otherwise=task.plan.otherwise)
    return known_by(task) | guarded(lost, task.threads, _run, task)


def _run(task):
    with PeakMemory() as memory:
        found = _train_and_score(task) if task.net else _fit_and_score(task)
    return {"status": "done", **found, "peak_rss_mb": megabytes(memory.peak_bytes)}


def guarded(lost, threads, find, *given):
    """What a function finds in some threads, or what `lost` makes of the error that ended it."""
    try:
        with limited(), limited_threads(threads):
            return find(*given)
    except (DiskError, KeyboardInterrupt):  # the next ones would meet a full disk too, and an interrupt ends them all
        raise
    except BaseException as error:
        return lost(error)


def ended_by(error, otherwise=""):
    """How a record of the journal says that an error ended a trial."""
    if isinstance(error, MemoryError):
        return {"status": "skipped", "reason": f"memory: the system gives no more ({error}): free some{otherwise}"}
    return {"status": "failed", "reason": in_words(error)}


def calling_part(task, learns=False):
    """Call the head or the network of a task in a block, as `calling` does; it draws with the seed of the task."""
    arm, how = task.trial.arm, {"seed": task.seed, "learns": learns}
    return calling_net(arm.network, **how) if arm.net else calling("head", arm.head, definition_of(arm.head), **how)


def megabytes(size):
    """Bytes in megabytes, as the tables show them."""
    return round(size / 1e6, 1)


def known_by(task):
    """The fields that identify a journal record."""
    return {"arm": str(task.trial.arm), "repeat": task.trial.repeat, "fold": task.trial.fold, "seed": task.seed}


def _fit_and_score(task):
    X, reduce_s, transform_s, notes = _rows(task)
    reduced, prefixes = not (task.reduction is None or task.reduction.does_nothing), ()
    scored, inner_s, ahead, card = None, 0.0, 0, ""
    if task.reduction is not None:
        ahead, card = task.reduction.ahead, task.reduction.card
        prefixes, (scored, inner_s, noted) = task.reduction.prefixes, score_inner(task.models, task.inner)
        notes = [*notes, *noted]
    start = time.perf_counter()
    name = task.trial.arm.head
    head = make_head(name, task.seed, reduced, ahead, card)
    given = task.labels, task.train, task.inner, task.classes, task.rule, task.calibration
    with calling_part(task, learns=True):
        chosen = fit_chosen(head, X, *given, prefixes, scored, ahead)
    fitted = time.perf_counter()
    with calling_part(task):
        tested = read_columns(X[task.test], chosen.params, ahead)
        scores = chosen.calibration.apply(scores_of(chosen.estimator, tested, task.classes))
        ended = time.perf_counter()
        check_finite(scores, chosen.estimator)
    few = _few_rows(task, X.shape[1] - ahead, chosen.params)
    notes = [*notes, *_unseen(task), *few, *chosen.notes, *_no_probabilities(name, chosen)]
    return {
        "reason": "; ".join(dict.fromkeys(notes)),
        "params": dict(sorted(chosen.params.items())),
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        **_how_calibrated(chosen.calibration),
        "scores": scores.tolist(),
        **_sets(task, chosen),
        **_inner_scores(task, chosen.inner_scores),
        "n_train": len(task.train),
        "fit_s": round(reduce_s + inner_s + fitted - start, 4),
        "predict_s": round(transform_s * len(task.test) / len(X) + ended - fitted, 5),
    }


def fit_again(task, params, rows):
    """Fit the head of a trial again, on its training rows with the setting that the trial chose.

    Parameters
    ----------
    task : Task
    params : dict
        From the trial's record.
    rows : ndarray, shape (rows of train, columns)
        After the reducer.

    Returns
    -------
    classifier
    """
    ahead = task.reduction.ahead
    head = make_head(task.trial.arm.head, task.seed, not task.reduction.does_nothing, ahead, task.reduction.card)
    return fit_setting(head, params, rows, task.labels[task.train], ahead)


def check_finite(scores, estimator, of="test rows"):
    """Refuse scores that are not finite; the message shows the method of the user's own head."""
    if not np.isfinite(scores).all():
        method = getattr(estimator, "predict_proba", None) or getattr(estimator, "decision_function", None)
        raise MisfitError(f"its scores of the {of} are not finite: give a number for every row", method)


def _no_probabilities(name, chosen):
    """A note if the user's own head returns decision values that were not calibrated."""
    if is_own(name) and not hasattr(chosen.estimator, "predict_proba") and not chosen.calibration.maps:
        yield DECISIONS


def _unseen(task):
    """Notes on values of joined columns that no training row has."""
    joined = None if task.reduction is None else task.reduction.joined
    return [] if joined is None else unseen_in_words(joined, task.train, task.test)


def _few_rows(task, width, params):
    """A note if there are few training rows for the number of components that are read."""
    if task.reduction is None or task.reduction.does_nothing or is_own(task.reduction.name):
        return
    k = min(width, params.get(COMPONENTS, width))
    if COMPONENTS in params:
        yield f"reads {k} of {width} components"
    if k * ROWS_EACH > len(task.train):
        yield f"{k} {FEW_ROWS}"


def _how_calibrated(calibration):
    """The calibration maps for the journal; empty if there are none."""
    return {"calibration": {calibration.kind: list(calibration.maps)}} if calibration.maps else {}


def _sets(task, chosen):
    """What sets of classes need in the journal; from single scores, because the final model is a single one."""
    rows = np.concatenate([NO_ROWS, *(valid for _, valid in task.inner)])
    return noted_sets(task, rows, chosen.calibration.apply(chosen.inner_scores) if len(rows) else np.empty(0))


def noted_sets(task, rows, scores):
    """The part of a trial's record that `glomfeat.results.conformal.conformal_table` reads.

    Parameters
    ----------
    task : Task
    rows : ndarray of int64
        Rows of training cases.
    scores : ndarray of float64
        Calibrated inner out-of-fold scores of these rows.

    Returns
    -------
    dict
    """
    quantile, cases = case_quantile(task.labels[rows], scores, task.cases[rows])
    return {"conformal": {"quantile": quantile, "cases": cases}}


def _inner_scores(task, scores):
    """The inner out-of-fold scores for the journal, for rows in ascending order; empty if not needed."""
    return {"inner_scores": mean_by_row(task.inner, scores)[1].tolist()} if task.is_member else {}


def _rows(task):
    """What a trial's head reads, as `Reduction.read` returns it; the floor's head gets rows but ignores them."""
    if task.reduction is None:
        assert str(task.trial.arm) == FLOOR
        return np.zeros((len(task.labels), 1), np.float32), 0.0, 0.0, []
    return task.reduction.read()


def _train_and_score(task):
    found, net = train(task)
    with suppress(Exception):  # does not matter here: the network is trained again for them, which reports the reason
        found["changed"] = score_changed_pixels(task, found, net)
    return found


def train(task):
    """Train the network of a trial, and score the test rows.

    Parameters
    ----------
    task : Task

    Returns
    -------
    found : dict
        The content of the journal record.
    net : NetClassifier
    """
    from glomfeat.models.nets.run import train_and_score

    settings = {**task.net, "seed": task.seed, "classes": task.classes}
    rows = task.train, task.inner, task.test
    how = task.rule, task.calibration, task.threads, task.inside
    name = task.trial.arm.network
    with calling_part(task, learns=True):
        chosen, scores, about = train_and_score(name, settings, task.pixels, task.labels, *rows, *how)
        check_finite(scores, None)
    found = {
        **about,
        "reason": "; ".join(chosen.notes),
        "params": chosen.params,
        "threshold": chosen.threshold,
        "inner_auroc": chosen.inner_auroc,
        **_how_calibrated(chosen.calibration),
        "scores": chosen.calibration.apply(scores).tolist(),
        **_sets(task, chosen),
        **_inner_scores(task, chosen.inner_scores),
    }
    return found, chosen.estimator


def score_changed_pixels(task, found, net):
    """Scores of the tested images after the task's changes, by a network that has just been trained.

    Parameters
    ----------
    task : Task
    found : dict
        The content of the trial's journal record.
    net : NetClassifier

    Returns
    -------
    dict of str to list of ndarray
        By the perturbation's name, an array for each strength.
    """
    from glomfeat.models.nets.repeating import threads

    calibration, scores = noted_calibration(found), {}
    with calling_part(task), threads(task.threads):
        for change in changes_of(task.changes):
            raw = net.predict_proba(ChangedPixels(task.pixels, change), rows=task.test)
            check_finite(raw, None, f"images after {change.key}")
            calibrated = calibration.apply(raw[:, 1] if task.classes == 2 else raw)
            scores.setdefault(change.name, []).append(calibrated)
    return scores
