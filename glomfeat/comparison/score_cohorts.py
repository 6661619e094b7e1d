"""Fit every arm once on all of DATA, and score the cohorts with it; each result is journaled as it ends."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glomfeat.bundle.format import BundleError
from glomfeat.bundle.model import BATCH
from glomfeat.comparison.cohorts import left_to_score
from glomfeat.comparison.extraction import as_extracted, extract_for
from glomfeat.comparison.fit_on_all import SLICES, choose_by, fit_task, task_on_all
from glomfeat.comparison.near_copies import refuse_near_copies
from glomfeat.comparison.outcome import refuse_other, say_as_were, say_profiles
from glomfeat.comparison.run import has_own, heads_and_nets
from glomfeat.comparison.tasks import Task
from glomfeat.comparison.trial import calling_part, check_finite, ended_by, guarded
from glomfeat.core.arms import FLOOR
from glomfeat.core.disk import DiskError
from glomfeat.core.notes import NO_INNER
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import definition_of, is_own
from glomfeat.core.words import number_of, printable
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.images.decode import ImageError
from glomfeat.data.problems import SHOWN
from glomfeat.features.table import Alike
from glomfeat.models.ensemble import calibration_for, choose_mean, mean_scores

AT_ONCE = 1024
WHAT = "arms fitted on all images, for cohorts"


@dataclass(frozen=True)
class ToScore:
    """An arm to fit on all of DATA, and the cohorts that it then scores; small enough to be sent to another process.

    Attributes
    ----------
    task : Task
        As `glomfeat.comparison.fit_on_all.task_on_all` returns it.
    rows : dict of str to Matrix or ndarray
        What the arm reads of each cohort, by the cohort's key.
    joined : dict of str to glomfeat.data.joined.Joined or None
        The columns that are joined to these rows, by the cohort's key.
    """

    task: Task
    rows: dict
    joined: dict = field(default_factory=dict)

    @property
    def need(self):
        """Bytes for the fit, and for the rows that are scored at a time."""
        largest = max(np.prod(rows.shape[1:]) * min(len(rows), BATCH * SLICES) for rows in self.rows.values())
        return self.task.plan.most.bytes + 4 * int(largest)


@dataclass(frozen=True)
class ToMean:
    """An ensemble whose members have scored all cohorts.

    Attributes
    ----------
    task : Task
        Of a member, for what all members have in common.
    members : tuple of dict
        What `fit_and_score` returned for each member.
    splits : list of ndarray of int64
        The inner-valid rows of each inner split.
    keys : tuple of str
        Keys of the cohorts.
    """

    task: Task
    members: tuple
    splits: list
    keys: tuple


def describe_cohorts(prepared, extracted, journal, say):
    """Describe the images of cohorts before trials run, so that an error in them does not end a long run.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    journal : Journal
        Images that are set aside are appended to it.
    say : callable

    Returns
    -------
    dict of str to Extracted
        By the cohort's key.

    Raises
    ------
    ImageError, StudyError
        Names the cohort.
    ManifestError
        A cohort holds changed copies of images of DATA.
    """
    if not left_to_score(prepared, journal):
        return {}
    places = {one.key: _extract(prepared, one, extracted, say) for one in prepared.cohorts}
    refuse_near_copies(prepared, extracted, places, say)
    for one in prepared.cohorts:
        bad, before = places[one.key].quarantine, journal.aside().get(one.key, [])
        if any(key == one.key and end["status"] == "done" for (key, _), end in journal.external().items()):
            refuse_other(before, bad, journal.path.parent, f"cohort {one.name}: ")
        if bad != before:
            journal.append({"aside": {"cohort": one.key, "images": bad}})
    return places


def score_cohorts(prepared, extracted, places, journal):
    """Score the cohorts of a study with each arm that has not scored them yet.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    places : dict of str to Extracted
        As `describe_cohorts` returns it.
    journal : Journal
    """
    left = left_to_score(prepared, journal)
    scorer, ends = _Scorer(prepared, extracted, places, journal), journal.read()
    for arm in list(left):
        trials = [ends.get(trial.key, {"status": "planned"}) for trial in prepared.trials if trial.arm == arm]
        if lost := next((one for one in trials if one["status"] != "done"), None):
            why = f"it is {lost['status']} in the study" + (f": {lost['reason']}" if lost.get("reason") else "")
            scorer.note(arm, {cohort.key: {"status": lost["status"], "reason": why} for cohort in left.pop(arm)})
    if left:
        scorer.score(left)


@dataclass(frozen=True)
class _Scorer:
    """Has arms fitted and cohorts scored, in worker processes like those of trials.

    Attributes
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    places : dict of str to Extracted
        Of the cohorts, by their keys.
    journal : Journal
    """

    prepared: Any
    extracted: Any
    places: dict
    journal: Any

    def note(self, arm, records):
        """Append an arm's results for some cohorts to the journal."""
        names = {one.key: one.name for one in self.prepared.cohorts}
        for key, record in records.items():
            self.journal.append({"external": {"cohort": key, "name": names[key], "arm": str(arm), **record}})

    def score(self, left):
        """Fit arms, each once, and have them score the cohorts that they have not scored."""
        try:
            by = choose_by(self.extracted.manifest, self.prepared.study)
        except BundleError as error:
            for arm, cohorts in left.items():
                self.note(arm, {one.key: _skipped(error) for one in cohorts})
            return
        fitting, members = {}, {member for arm in left for member in arm.members}
        for arm, cohorts in left.items():
            for one in arm.members or [arm]:  # a mean needs more from a member than the journal holds
                fitting.setdefault(one, {}).update({cohort.key: cohort for cohort in cohorts})
        items, found = [], {}
        for arm, cohorts in fitting.items():
            item, records = self._to_score(arm, cohorts, by, arm in members)
            found[arm] = {"records": records}
            self._note_own(arm, left, records)
            items += [item] if item else []
        for item, ended in self._each(fit_and_score, items):
            arm = item.task.trial.arm
            found[arm] = ended | {"records": found[arm]["records"] | ended["records"]}
            self._note_own(arm, left, ended["records"])
        self._score_means(left, found, by, {item.task.trial.arm: item.task for item in items})

    def _note_own(self, arm, left, records):
        """Append records that were asked for, without those that only ensembles need."""
        own = {cohort.key for cohort in left.get(arm, ())}
        self.note(arm, {key: record for key, record in records.items() if key in own})

    def _to_score(self, arm, cohorts, by, is_member):
        """The work of an arm, or None; and its records for cohorts in which it has none."""
        rows, records = {}, {}
        for key, cohort in cohorts.items():
            try:
                rows[key] = self._rows(arm, cohort)
            except BundleError as error:
                records[key] = _skipped(error)
        if not rows:
            return None, records
        try:
            task = task_on_all(self.prepared, self.extracted, arm, by)
        except BundleError as error:
            return None, records | dict.fromkeys(rows, _skipped(error))
        joined = {key: one.joining.of(arm.feature, self.places[key].manifest) for key, one in cohorts.items()}
        return ToScore(replace(task, is_member=is_member), rows, joined), records

    def _rows(self, arm, cohort):
        """What an arm reads of a cohort; for the floor and for columns alone, rows without features."""
        place = self.places[cohort.key]
        if arm.net:
            return place.pixels[self.prepared.view_of_net(arm.net)]
        name = cohort.rows_of(arm.feature)
        if name is None:
            return np.zeros((len(place.manifest), int(str(arm) == FLOOR)), np.float32)
        if name in place.failed:
            raise BundleError(f"{name} cannot be computed of the cohort: {place.failed[name]}")
        return place.matrices[name]

    def _each(self, function, items):
        """Process items in the same way as trials; yield each item with its result as it ends."""
        prepared, study = self.prepared, self.prepared.study
        for tasks, jobs in heads_and_nets([item.task for item in items], study.jobs):
            mine = set(map(id, tasks))
            calls = [Call(item, item.need) for item in items if id(item.task) in mine]
            where = study.threads, prepared.cluster, any(map(has_own, tasks))
            for ended in side_by_side(function, calls, WHAT, jobs, prepared.budget, *where, seconds=study.timeout):
                lost = {"status": ended.status, "reason": ended.lost}
                yield ended.item, {"records": dict.fromkeys(ended.item.rows, lost)} if ended.lost else ended.found

    def _score_means(self, left, found, by, tasks):
        """Score ensembles from the results of their members."""
        prepared, splits, calls = self.prepared, [held for _, held in by], []
        for arm in (arm for arm in left if arm.members):
            keys = []
            for key in (cohort.key for cohort in left[arm]):
                pairs = [(one, found[one]["records"][key]) for one in arm.members]
                if lost := next((pair for pair in pairs if pair[1]["status"] != "done"), None):
                    why = f"its member {lost[0]} is {lost[1]['status']}: {lost[1]['reason']}"
                    self.note(arm, {key: {"status": "skipped", "reason": why}})
                else:
                    keys.append(key)
            if keys:
                of = tuple(found[one] for one in arm.members)
                calls.append(Call((arm, ToMean(tasks[arm.members[0]], of, splits, tuple(keys))), 0))
        where = prepared.study.threads, None, any(has_own(call.item[1].task) for call in calls)
        given = calls, "ensembles, for cohorts", 1, prepared.budget, *where
        for ended in side_by_side(mean_there, *given, seconds=prepared.study.timeout):
            arm, item = ended.item
            lost = {"status": ended.status, "reason": ended.lost}
            self.note(arm, dict.fromkeys(item.keys, lost) if ended.lost else ended.found)


def _skipped(error):
    return {"status": "skipped", "reason": str(error)}


def fit_and_score(item):
    """Fit an arm on all images of DATA, and score cohorts.

    Parameters
    ----------
    item : ToScore

    Returns
    -------
    dict
        ``records``: the journal record for each cohort, by its key. For a member of an ensemble also ``choices``, from
        `glomfeat.comparison.fit_on_all.Fitted`, and ``raw``: scores before calibration, by the cohort's key.
    """

    def lost(error):
        return {"records": dict.fromkeys(item.rows, ended_by(error))}

    return guarded(lost, item.task.threads, _fit_and_score, item)


def _fit_and_score(item):
    fitted, task = fit_task(item.task), item.task
    if is_own(task.trial.arm.reducer):
        model = replace(fitted.model, reducer=_Called(fitted.model.reducer, task.trial.arm.reducer))
        fitted = replace(fitted, model=model)
    found, records, raw = fitted.found, {}, {}
    about = {"threshold": found.threshold, "inner_auroc": found.inner_auroc}
    about |= {"params": dict(sorted(found.params.items())), "reason": "; ".join(dict.fromkeys(found.notes))}
    for key, rows in item.rows.items():
        try:
            with calling_part(task), _threads(task):
                scores = fitted.score(rows, item.joined.get(key))
                check_finite(scores, found.estimator, "rows of the cohort")
        except (DiskError, KeyboardInterrupt):
            raise
        except BaseException as error:
            records[key] = ended_by(error)
        else:
            records[key] = {"status": "done", **about, "scores": found.calibration.apply(scores).tolist()}
            raw[key] = scores
    return {"records": records} | ({"choices": fitted.choices, "raw": raw} if task.is_member else {})


def _threads(task):
    """A context in which torch, if a network is used, has as many threads as in trials, as last bits may differ."""
    if not task.net:
        return nullcontext()
    from glomfeat.models.nets.repeating import threads

    return threads(task.threads)


@dataclass(frozen=True)
class _Called:
    """A reducer of the user's own, whose errors are distinguished from those of the head after it."""

    reducer: Any
    name: str

    def transform(self, rows):
        with calling("reducer", self.name, definition_of(self.name)):
            return self.reducer.transform(rows)


def mean_there(item):
    """The journal record of an ensemble for each cohort, by the cohort's key.

    Parameters
    ----------
    item : (Arm, ToMean)
    """

    def lost(error):
        return dict.fromkeys(item[1].keys, ended_by(error))

    return guarded(lost, item[1].task.threads, _mean_there, item[1])


def _mean_there(item):
    task = item.task
    kind = calibration_for(task.calibration)
    members = [one["choices"].calibrated(kind, task.labels, task.rule) for one in item.members]
    threshold, inner_auroc = choose_mean(task.labels, [one.inner for one in members], task.rule, item.splits)
    about = {"status": "done", "threshold": threshold, "inner_auroc": inner_auroc, "params": {}}
    how = f"calibrated scores ({kind})" if item.splits else f"scores as they were, because {NO_INNER} all classes"
    about["reason"] = f"mean of {how}"
    pairs, records = list(zip(members, item.members, strict=True)), {}
    for key in item.keys:
        scores = [one.found.calibration.apply(of["raw"][key]) for one, of in pairs]
        records[key] = about | {"scores": mean_scores(scores).tolist()}
    return records


def _extract(prepared, cohort, extracted, say):
    """The features of a cohort's images; says which images are set aside, and which rows equal rows of DATA."""
    features = [as_extracted(feature, extracted) for feature in cohort.features.values()]
    try:
        found = extract_for(prepared, cohort.manifest, features, prepared.views_of_nets)
    except ImageError as error:
        raise ImageError(f"cohort {cohort.name}: {error}") from None
    say_profiles(found, prepared.study, say, f"cohort {cohort.name}: ")
    say_as_were([found], say, f"cohort {cohort.name}: ")
    if bad := found.quarantine:
        shown = "; ".join(f"{printable(row['name'])}: {row['reason']}" for row in bad[:SHOWN])
        of, are = f"{len(bad)} of {number_of(len(cohort.manifest), 'image')}", "is" if len(bad) == 1 else "are"
        say(f"cohort {cohort.name}: {of} cannot be read and {are} set aside ({shown}): see external_quarantine.csv")
    for feature in cohort.features.values():
        if isinstance(feature, Alike) and (same := _same_rows(extracted, found, feature)):
            of, hold = f"{same} of its {number_of(len(cohort.manifest), 'row')}", "holds" if same == 1 else "hold"
            say(
                f"warning: cohort {cohort.name}: {of} {hold} the numbers of rows of DATA: if they are the same images, "
                "its figures are too good"
            )
    return found


def _same_rows(extracted, found, feature):
    """How many rows of a cohort's table equal rows of DATA's table."""
    ours = set(_hashes(extracted.matrices[feature.like.name]))
    return sum(row in ours for row in _hashes(found.matrices[feature.name]))


def _hashes(matrix):
    for start in range(0, len(matrix), AT_ONCE):
        yield from (hash(row.tobytes()) for row in np.asarray(matrix[start : start + AT_ONCE]))
