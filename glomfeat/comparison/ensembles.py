"""Ensembles of a study: the arms that they name, and their records in the journal."""

from dataclasses import replace

import numpy as np

from glomfeat.comparison.trial import noted_sets
from glomfeat.core.arms import FLOOR, Arm, StudyError
from glomfeat.core.notes import NO_INNER
from glomfeat.core.part_errors import in_words
from glomfeat.core.plugins import did_you_mean
from glomfeat.core.threads import limited_threads
from glomfeat.models.calibration import Calibration, fit_calibration, noted_calibration
from glomfeat.models.ensemble import calibration_for, choose_mean, mean_of_common, mean_scores

SUMMED, LARGEST = ("fit_s", "predict_s"), ("peak_rss_mb", "peak_vram_mb", "planned_mb", "tree_pss_mb")


def resolve_ensembles(texts, arms, given):
    """The arms that ``--ensembles`` names.

    Parameters
    ----------
    texts : sequence of str
        One for each ensemble: its members, separated by commas.
    arms : list of Arm
        Of the study.
    given : dict of str to str
        The name that the user gave to a feature, by its full name.

    Returns
    -------
    list of Arm

    Raises
    ------
    StudyError
        A member is no arm of the study, is the floor, occurs twice or has a comma in its name, or is the only one.

    Examples
    --------
    >>> arms = [Arm("classical.v1", "none", "svm"), Arm(net="compact")]
    >>> [str(arm) for arm in resolve_ensembles(["classical/none/svm,net:compact"], arms, {"classical.v1": "classical"})]
    ['mean:classical.v1/none/svm,net:compact']
    """
    known, found = arms_by_name(arms, given), []
    for text in texts:
        asked = f"--ensembles {text}"
        members = [find_arm(name, known, asked) for name in text.removeprefix("mean:").split(",")]
        twice = next((one for k, one in enumerate(members) if one in members[:k]), None)
        if twice:
            raise StudyError(f"--ensembles {text}: {twice} is in it twice: name each member once")
        if len(members) < 2:
            raise StudyError(f"--ensembles {text}: a mean needs two members or more: write ARM1,ARM2 without a space")
        for member in members:
            if "," in str(member):
                raise StudyError(
                    f"--ensembles {text}: {member} has a comma in its name, which separates members: rename it"
                )
        arm = Arm(members=tuple(members))
        same = next((other for other in found if set(other.members) == set(members)), None)
        if same:
            raise StudyError(f"--ensembles {text}: {same} has the same members: leave one of them out")
        found.append(arm)
    return found


def arms_by_name(arms, given):
    """The arms of a study, without the floor, by their names with the user's names of features.

    Parameters
    ----------
    arms : list of Arm
    given : dict of str to str
        The name that the user gave to a feature, by its full name.

    Returns
    -------
    dict of str to Arm

    Examples
    --------
    >>> list(arms_by_name([Arm("classical.v1", "none", "svm")], {"classical.v1": "classical"}))
    ['classical/none/svm']
    """
    arms = [arm for arm in arms if str(arm) != FLOOR]
    return {str(_as_given(arm, given)): arm for arm in arms}


def _as_given(arm, given):
    members = tuple(_as_given(member, given) for member in arm.members)
    return replace(arm, feature=given.get(arm.feature, arm.feature), members=members)


def find_arm(name, known, asked):
    """Find an arm by its name.

    Parameters
    ----------
    name : str
        The full name, or a key of `known`.
    known : dict of str to Arm
        As `arms_by_name` returns it.
    asked : str
        The option that names the arm, for the message.

    Returns
    -------
    Arm

    Raises
    ------
    StudyError
        There is no such arm, or it is the floor.
    """
    if name == FLOOR:
        raise StudyError(f"{asked}: {name} is the floor and looks at no image: leave it out")
    full = {str(arm): arm for arm in known.values()}
    if name not in full and name not in known:
        raise StudyError(f"{asked}: no arm of this study is called {name!r}: {did_you_mean(name, known)}")
    return full.get(name) or known[name]


def mean_trial(task, records):
    """The journal record of a trial of an ensemble, which depends only on the records of its members.

    Parameters
    ----------
    task : glomfeat.comparison.tasks.Task
    records : dict of (arm, repeat, fold) to dict
        Of the journal.

    Returns
    -------
    dict
        As for any trial; ``status`` is ``skipped`` if a member has no scores.
    """
    for key, _ in task.members:
        member = records.get(key)
        if member is None or member["status"] != "done":
            how = f"is {member['status']}: {member['reason']}" if member else "has not been run"
            return {"status": "skipped", "reason": f"its member {key[0]} {how}"}
    try:
        with limited_threads(task.threads):
            return {"status": "done", **_mean(task, [records[key] for key, _ in task.members])}
    except Exception as error:
        return {"status": "failed", "reason": in_words(error)}


def _mean(task, members):
    notes, inner, scores = [f"mean of calibrated scores ({calibration_for(task.calibration)})"], [], []
    for (key, rows), member in zip(task.members, members, strict=True):
        calibration = _calibration(task, rows, member) if len(rows) else Calibration()
        if calibration.kind == "none":
            because = "inner scores do not rise with the class" if len(rows) else f"{NO_INNER} all classes"
            notes.append(f"but those of {key[0]} are as they were, because {because}")
        inner.append((rows, calibration.apply(member["inner_scores"])))
        tested = np.asarray(member["scores"], np.float64)
        scores.append(calibration.apply(tested) if task.calibration == "none" else tested)
    splits = [rows for _, rows in task.inner]
    threshold, inner_auroc = choose_mean(task.labels, inner, task.rule, splits)
    return {
        "reason": ", ".join(notes),
        "threshold": threshold,
        "inner_auroc": inner_auroc,
        "scores": mean_scores(scores).tolist(),
        **noted_sets(task, *mean_of_common(inner)),
        "n_train": len(task.train),
        **{name: round(sum(member[name] for member in members), 5) for name in SUMMED},
        **{name: max(found) for name in LARGEST if (found := [one[name] for one in members if name in one])},
    }


def mean_changed(task, records, changed):
    """Scores of an ensemble for changed images: the mean of its members', each mapped as in the trial.

    Parameters
    ----------
    task : glomfeat.comparison.tasks.Task
    records : dict of (arm, repeat, fold) to dict
        Of the journal, in which the members are done.
    changed : dict of (arm, repeat, fold) to list
        Scores of the members, strength by strength; the last ones without a change for those whose stains are
        normalised after it, where the others score what they scored in the trial.

    Returns
    -------
    list of ndarray of float64
        One for each strength.
    """
    scores, most = [], max(len(changed[key]) for key, _ in task.members)
    for key, rows in task.members:
        calibration = _calibration(task, rows, records[key]) if task.calibration == "none" and len(rows) else None
        of_member = [*changed[key], records[key]["scores"]][:most]
        own = [np.asarray(one, np.float64) for one in of_member]
        scores.append([calibration.apply(one) for one in own] if calibration else own)
    return [mean_scores(of_strength) for of_strength in zip(*scores, strict=True)]


def _calibration(task, rows, member):
    """The member's own calibration map, or Platt's if the study does not calibrate."""
    if task.calibration == "none":
        return fit_calibration(calibration_for("none"), task.labels[rows], np.asarray(member["inner_scores"]))
    return noted_calibration(member)
