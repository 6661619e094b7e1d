"""Fit every arm once on all of DATA, and score the cohorts with it; the journal has each pair as it ends."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from glomfeat.bundle.format import BundleError
from glomfeat.comparison.cohorts import left_to_score
from glomfeat.comparison.extraction import as_extracted, extract_for
from glomfeat.comparison.fit_on_all import REFIT, choose_by, fit_on_all
from glomfeat.comparison.outcome import say_as_were, say_profiles
from glomfeat.comparison.tasks import rows_of
from glomfeat.core.arms import FLOOR
from glomfeat.core.disk import DiskError
from glomfeat.core.part_errors import in_words
from glomfeat.core.progress import track
from glomfeat.core.seeds import seed_for
from glomfeat.core.words import printable
from glomfeat.data.images.decode import ImageError
from glomfeat.data.problems import SHOWN
from glomfeat.features.table import Alike
from glomfeat.models.ensemble import calibration_for, choose_mean, mean_scores
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.selection import fit_chosen

AT_ONCE = 1024


def score_cohorts(prepared, extracted, journal, say):
    """Score the cohorts of a study by each arm that has not scored them yet.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    journal : Journal
    say : callable
    """
    left = left_to_score(prepared, journal)
    if not left:
        return
    places = {one.key: _extract(prepared, one, extracted, say) for one in prepared.cohorts}
    for one in prepared.cohorts:
        bad = places[one.key].quarantine
        if bad != journal.aside().get(one.key, []):
            journal.append({"aside": {"cohort": one.key, "images": bad}})
    scorer, ends = _Scorer(prepared, extracted, places), journal.read()
    for arm in track(list(left), "arms fitted on all images, for cohorts", len(left)):
        trials = [
            ends.get(trial.key, {"status": "planned", "reason": ""}) for trial in prepared.trials if trial.arm == arm
        ]
        lost = next((one for one in trials if one["status"] != "done"), None)
        for cohort, record in scorer.records(arm, left[arm], lost):
            journal.append({"external": {"cohort": cohort.key, "arm": str(arm), **record}})


@dataclass
class _Scorer:
    """What fits arms, each once, and keeps those that ensembles will ask for.

    Attributes
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    places : dict of str to Extracted
        Of the cohorts, by their keys.
    """

    prepared: Any
    extracted: Any
    places: dict
    kept: dict = field(default_factory=dict)

    def records(self, arm, cohorts, lost):
        """What the journal says of an arm in some cohorts."""
        if lost:
            why = f"it is {lost['status']} in the study" + (f": {lost['reason']}" if lost.get("reason") else "")
            return [(cohort, {"status": lost["status"], "reason": why}) for cohort in cohorts]
        try:
            about, score = self._fit(arm)
            return [(cohort, {"status": "done", **about, "scores": self._finite(score(cohort))}) for cohort in cohorts]
        except (DiskError, KeyboardInterrupt):  # what the next arms would meet too, or ends them all
            raise
        except BundleError as error:
            ended = {"status": "skipped", "reason": str(error)}
        except MemoryError as error:
            ended = {"status": "skipped", "reason": f"memory: the system gives no more ({error}): free some"}
        except BaseException as error:
            ended = {"status": "failed", "reason": in_words(error)}
        return [(cohort, ended) for cohort in cohorts]

    def _finite(self, scores):
        if not np.isfinite(scores).all():
            raise ValueError("scores of the cohort are not finite")
        return scores.tolist()

    @cached_property
    def _by(self):
        return choose_by(self.extracted.manifest, self.prepared.study)

    def _fit(self, arm):
        """What is said of a fitted arm, and the function that scores a cohort."""
        if arm.members:
            return self._fit_mean(arm)
        if str(arm) == FLOOR:
            return self._fit_floor(arm)
        found = self._fitted(arm)
        return _about(found.found), lambda cohort: found.score(self._rows(arm, cohort))

    def _fitted(self, arm):
        if arm not in self.kept:
            made = fit_on_all(self.prepared, self.extracted, arm, self._by)
            if not any(arm in other.members for other in self.prepared.arms):
                return made
            self.kept[arm] = made
        return self.kept[arm]

    def _fit_mean(self, arm):
        study, labels = self.prepared.study, self.extracted.manifest.labels
        kind = calibration_for(study.calibration)
        members = [self._fitted(one).calibrated(kind, labels, study.threshold) for one in arm.members]
        splits = [held for _, held in self._by]
        threshold, inner_auroc = choose_mean(labels, [one.inner for one in members], study.threshold, splits)
        about = {"threshold": threshold, "inner_auroc": inner_auroc, "params": {}}
        about["reason"] = f"mean of calibrated scores ({kind})"

        def score(cohort):
            return mean_scores(
                [made.score(self._rows(one, cohort)) for one, made in zip(arm.members, members, strict=True)]
            )

        return about, score

    def _fit_floor(self, arm):
        study, manifest = self.prepared.study, self.extracted.manifest
        X, rows, classes = np.zeros((len(manifest), 1), np.float32), np.arange(len(manifest)), len(manifest.classes)
        head, inner = make_head(arm.head, seed_for(study.seed, str(arm), REFIT)), rows_of(self._by)
        given = classes, study.threshold, study.calibration
        with threadpool_limits(study.threads):
            found = fit_chosen(head, X, manifest.labels, rows, inner, *given)

        def score(cohort):
            blind = np.zeros((len(self.places[cohort.key].manifest), 1), np.float32)
            return found.calibration.apply(scores_of(found.estimator, blind, classes))

        return _about(found), score

    def _rows(self, arm, cohort):
        """What an arm reads of a cohort."""
        place = self.places[cohort.key]
        if arm.net:
            return place.pixels[self.prepared.view_of_net(arm.net)]
        name = cohort.features[arm.feature].name
        if name in place.failed:
            raise BundleError(f"{name} cannot be computed of the cohort: {place.failed[name]}")
        return place.matrices[name]


def _about(found):
    """What the journal says of a fit."""
    about = {
        "threshold": found.threshold,
        "inner_auroc": found.inner_auroc,
        "params": dict(sorted(found.params.items())),
    }
    return about | {"reason": "; ".join(dict.fromkeys(found.notes))}


def _extract(prepared, cohort, extracted, say):
    """The features of a cohort's images; says what is set aside, and what looks like rows of DATA."""
    study = prepared.study
    features = [as_extracted(feature, extracted) for feature in cohort.features.values()]
    try:
        found = extract_for(prepared, cohort.manifest, features, prepared.views_of_nets)
    except ImageError as error:
        raise ImageError(f"cohort {cohort.name}: {error}") from None
    say_profiles(found, study, say, f"cohort {cohort.name}: ")
    say_as_were(found, say, f"cohort {cohort.name}: ")
    if bad := found.quarantine:
        shown = "; ".join(f"{printable(row['name'])}: {row['reason']}" for row in bad[:SHOWN])
        of = f"{len(bad)} of {len(cohort.manifest)} images"
        say(f"cohort {cohort.name}: {of} cannot be read and are set aside ({shown}): see external_quarantine.csv")
    for feature in cohort.features.values():
        if isinstance(feature, Alike) and (same := _same_rows(extracted, found, feature)):
            say(
                f"warning: cohort {cohort.name}: {same} of its {len(cohort.manifest)} rows hold the numbers of rows of "
                "DATA: if they are the same images, its figures flatter"
            )
    return found


def _same_rows(extracted, found, feature):
    """How many rows of a cohort's table are rows of DATA's."""
    ours = set(_hashes(extracted.matrices[feature.like.name]))
    return sum(row in ours for row in _hashes(found.matrices[feature.name]))


def _hashes(matrix):
    for start in range(0, len(matrix), AT_ONCE):
        for row in np.asarray(matrix[start : start + AT_ONCE]):
            yield hash(row.tobytes())
