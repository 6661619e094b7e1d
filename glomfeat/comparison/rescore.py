"""Score changed images with the models of a study's trials, which are made again from what each trial chose.

A trial keeps no model. A head is fitted again on the same training rows, with the setting, calibration and threshold in
the journal. A network scores changed images within its trial; for other changes it is trained again with the same seed.
Either is used only if it scores the unchanged images as it did in the trial. Nothing is chosen, and nothing is learnt
from images that are tested or changed.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.comparison.ensembles import mean_changed
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.perturbed import left_to_change, note_changed
from glomfeat.comparison.run import has_own, heads_and_nets
from glomfeat.comparison.trial import calling_part, fit_again, guarded, score_changed_pixels, train
from glomfeat.core.errors import ChangedError
from glomfeat.core.memory import format_bytes
from glomfeat.core.part_errors import calling, in_words
from glomfeat.core.plugins import definition_of
from glomfeat.core.words import number_of
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.features.base import as_feature
from glomfeat.features.changed import UNCHANGED, changed_feature, changes_of
from glomfeat.models.calibration import noted_calibration
from glomfeat.models.heads.scoring import copy_rows, scores_of
from glomfeat.models.reducers.fit import SLICE_ROWS, parse_reducer
from glomfeat.models.reducers.kept import fit_reducer
from glomfeat.models.selection import read_columns

SAME_SCORE, SAME_ROW = 1e-6, 1e-3  # allowed differences from the trial: in scores, and in rows in units of their spread


@dataclass(frozen=True)
class Rescore:
    """The heads that read one reduction on one fold, and the changed images that they score.

    Attributes
    ----------
    tasks : tuple of Task
        All with the same reduction.
    records : tuple of dict
        Of the journal.
    names : tuple of tuple of str
        The perturbations that each task still has to score.
    matrices : dict of str to list of Matrix
        Of the changed images, by perturbation; one matrix for each strength and, if stains are normalised after the
        change, one without a change.
    """

    tasks: tuple
    records: tuple
    names: tuple
    matrices: dict

    @property
    def need(self):
        """Bytes for a trial with its reduction, and for the changed rows."""
        task, reduction = self.tasks[0], self.tasks[0].reduction
        width, k = reduction.matrix.shape[1], parse_reducer(reduction.name)[1]
        kept = width if reduction.does_nothing else min(k or width, width)
        return max(one.plan.most.bytes for one in self.tasks) + 12 * (SLICE_ROWS * width + len(task.test) * kept)


def score_changed(prepared, tasks, records, extracted, journal, say):
    """Describe the changed images, and have each trial score those that it tests, unless it has done so.

    Parameters
    ----------
    prepared : Prepared
    tasks : list of Task
        On the study's own folds.
    records : dict of (arm, repeat, fold) to dict
        Of the journal, to which the scores are appended.
    extracted : Extracted
    journal : Journal
    say : callable
        Called with what is left out, and why.
    """
    left = left_to_change(prepared, journal)
    mine = [task for task in tasks if task.trial.key in left and task.reduction is not None]
    if mine:
        used = {prepared.joining.base(task.trial.arm.feature) for task in mine}
        asked = [name for name in prepared.study.perturb if any(name in left[task.trial.key] for task in mine)]
        matrices = _describe(prepared, used, asked, extracted, say)
        _score_all(prepared, mine, left, records, matrices, journal, say)
    _train_all([task for task in tasks if task.trial.key in left and task.net], left, records, prepared, journal, say)
    changed = journal.changed()
    for task in tasks:
        for name in left.get(task.trial.key, ()) if task.members else ():
            of_members = {key: changed.get(key, {}).get(PERTURBATIONS[name].key) for key, _ in task.members}
            if None in of_members.values():
                say(f"robustness: {task.trial.arm} on one fold is left out: a member is")
                break
            note_changed(journal, task.trial, name, mean_changed(task, records, of_members))


def _describe(prepared, used, asked, extracted, say):
    """The matrices of changed images, by feature and perturbation."""
    found, features = {name: {} for name in used}, [as_feature(f) for f in prepared.features if f.name in used]
    stained = {f.name for f in features if (f.view or prepared.preprocess).stain}
    for change in [*changes_of(asked), *([UNCHANGED] if stained else [])]:
        of = {
            f.name: changed_feature(f, change, prepared.preprocess)
            for f in features
            if change is not UNCHANGED or f.name in stained
        }
        made = extract_for(prepared, prepared.manifest, [*of.values()])
        if made.manifest.table["digest"].tolist() != extracted.manifest.table["digest"].tolist():
            raise ChangedError("the images that can be read have changed during the run: start again")
        for name, feature in of.items():
            if why := made.failed.get(feature.name):
                say(f"robustness: {feature.name} is left out: {why}")
            for by in asked if change is UNCHANGED else [change.name]:
                found[name].setdefault(by, []).append(made.matrices.get(feature.name))
    return {
        name: {by: parts for by, parts in of.items() if all(part is not None for part in parts)}
        for name, of in found.items()
    }


def _score_all(prepared, tasks, left, records, matrices, journal, say):
    shared, study = {}, prepared.study
    for task in tasks:
        joined = task.reduction.joined and task.reduction.joined.digest
        shared.setdefault((task.reduction.identity, joined), []).append(task)
    items = []
    for mine in shared.values():
        of = matrices[prepared.joining.base(mine[0].trial.arm.feature)]
        names = tuple(tuple(name for name in left[task.trial.key] if name in of) for task in mine)
        items.append(Rescore(tuple(mine), tuple(records[task.trial.key] for task in mine), names, of))
    fitting = [item for item in items if item.need <= prepared.free]
    if len(fitting) < len(items):
        most = format_bytes(max(item.need for item in items))
        few, many = "reduction is left out, for it needs", "reductions are left out, for they need"
        say(f"robustness: {number_of(len(items) - len(fitting), few, many)} up to {most}: raise --memory")
    calls, own = [Call(item, item.need) for item in fitting], any(map(has_own, tasks))
    where = study.jobs, prepared.budget, study.threads, prepared.cluster, own, study.timeout
    for ended in side_by_side(rescore, calls, "scores of changed images", *where):
        whole = ended.lost or (ended.found if isinstance(ended.found, str) else "")
        for place, (task, names) in enumerate(zip(ended.item.tasks, ended.item.names, strict=True)):
            _note(journal, task.trial, whole or ended.found[place], names, say)


def _note(journal, trial, found, names, say):
    """Append a trial's scores of changed images to the journal, or say why there are none."""
    if isinstance(found, str):
        say(f"robustness: {trial.arm} on one fold is left out: {found}")
        return
    for name in names:
        note_changed(journal, trial, name, found[name])


def _train_all(tasks, left, records, prepared, journal, say):
    """Train networks again that have not scored these changed images in their trials."""
    if not tasks:
        return
    study, own = prepared.study, any(map(has_own, tasks))
    again = [replace(task, changes=tuple(left[task.trial.key]), inside=0) for task in tasks]
    calls = [Call((task, records[task.trial.key]), task.plan.trial.bytes) for task in again]
    ((_, _), (_, jobs)) = heads_and_nets(again, study.jobs)
    where = jobs, prepared.budget, study.threads, prepared.cluster, own, study.timeout
    for ended in side_by_side(train_again, calls, "networks trained again for changed images", *where):
        found = ended.lost or ended.found
        _note(journal, ended.item[0].trial, found, found, say)


def train_again(item):
    """Train the network of a trial again, and score changed images.

    Parameters
    ----------
    item : (Task, dict)
        With the journal's record of the trial.

    Returns
    -------
    dict of str to list of ndarray, or str
        For each perturbation, the scores at each strength; or a text that says why there are none.
    """
    return _found_or_why(item[0].threads, _train_again, *item)


def _train_again(task, record):
    found, net = train(task)
    if not np.allclose(found["scores"], record["scores"], rtol=0, atol=SAME_SCORE):
        return f"{task.trial.arm} is not the same when it is trained again on the same rows"
    return score_changed_pixels(task, found, net)


def rescore(item):
    """Make the models of some trials again, and score changed images.

    Parameters
    ----------
    item : Rescore

    Returns
    -------
    list of dict of str to list of ndarray, or str
        For each task and perturbation, the scores at each strength; or a text that says why there are none.
    """
    return _found_or_why(item.tasks[0].threads, _rescore, item)


def _found_or_why(threads, find, *given):
    """The result of a function that runs in some threads, or the reason why it failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial's own record has them
        return guarded(in_words, threads, find, *given)


def _rescore(item):
    task, reduction = item.tasks[0], item.tasks[0].reduction
    X, route = reduction.read()[0], reduction.route.name if reduction.route else ""
    parts = reduction.standardise, route, reduction.threads, task.train
    reducer = fit_reducer(reduction.name, reduction.filled, *parts)
    again = _reduced(reducer, reduction, reduction.filled, task.test)
    if again.shape != X[task.test].shape or np.abs(again - X[task.test]).max() > SAME_ROW * X[task.train].std():
        return f"{reduction.name} is not the same when it is fitted again on the same rows"
    found = [_refit(of, record, X) for of, record in zip(item.tasks, item.records, strict=True)]
    pairs = zip(found, item.names, strict=True)
    scores = [one if isinstance(one, str) else {name: [] for name in names} for one, names in pairs]
    for name, strengths in item.matrices.items():
        for matrix in strengths if any(name in names for names in item.names) else ():
            rows = _reduced(reducer, reduction, matrix, task.test)
            for model, into in zip(found, scores, strict=True):
                if not isinstance(into, str) and name in into:
                    into[name].append(model(rows))
    return scores


def _reduced(reducer, reduction, matrix, rows):
    """Reduced rows, computed slice by slice, behind the joined columns, which no change of an image affects."""
    found = np.concatenate(
        [_slice(reducer, reduction.name, matrix[rows[p]]) for p in gen_batches(len(rows), SLICE_ROWS)]
    )
    if reduction.joined is None:
        return found
    return np.hstack([reduction.encoder.transform(reduction.joined.take(rows)), found])


def _slice(reducer, name, rows):
    with calling("reducer", name, definition_of(name)):  # one by one, as in the trial
        return reducer.transform(rows)


def _refit(task, record, X):
    """A function that scores reduced rows as the trial did; a text if the model differs from the trial's."""
    name, params = task.trial.arm.head, record["params"]
    calibration, ahead = noted_calibration(record), task.reduction.ahead

    def score(rows):
        with calling_part(task):
            return calibration.apply(scores_of(estimator, copy_rows(read_columns(rows, params, ahead)), task.classes))

    with calling_part(task):
        estimator = fit_again(task, params, X[task.train])
    if not np.allclose(score(X[task.test]), record["scores"], rtol=0, atol=SAME_SCORE):
        return f"{name} is not the same when it is fitted again on the same rows"
    return score
