"""Which trials of a study still have to score changed images; light to import, for code that only asks this."""

import numpy as np

from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.data.images.perturb import PERTURBATIONS
from glomfeat.features.table import Table


def check_perturb(study, manifest):
    """Refuse to change images if there are none.

    Parameters
    ----------
    study : Study
    manifest : Manifest

    Raises
    ------
    StudyError
        The data set is a table of features.
    """
    if study.perturb and manifest.source:
        raise StudyError(
            f"--perturb {' '.join(study.perturb)}: {study.data} is a feature table without images, and no image can be "
            "changed; leave it out, or give the folder of images as DATA"
        )


def _unchangeable(prepared):
    """Why arms score no changed images, by arm; without the floor, which looks at no image."""
    tables = {feature.name for feature in prepared.features if isinstance(feature, Table)}
    found = {}
    for arm in prepared.arms:
        parts = arm.members or [arm]
        bases = [prepared.joining.base(one.feature) for one in parts]
        if any(base in tables for base in bases):
            found[str(arm)] = "a table of features describes no changed image"
        elif any(one.feature and not base for one, base in zip(parts, bases, strict=True)):
            found[str(arm)] = "it reads columns and no image"
        elif any(one.net and prepared.view_of_net(one.net).stain for one in parts):
            found[str(arm)] = "its network reads images of normalised stain, which are stored without what they were"
    return found


def lines_on_perturb(prepared):
    """Lines for the user on arms that score no changed images."""
    without = _unchangeable(prepared) if prepared.study.perturb else {}
    return [f"robustness: {arm} is left out: {why}" for arm, why in without.items()]


def note_changed(journal, trial, name, scores):
    """Append the scores of changed images to the journal.

    Parameters
    ----------
    journal : Journal
    trial : Trial
    name : str
        Name of the perturbation.
    scores : sequence of ndarray
        One for each strength.
    """
    arm, repeat, fold = trial.key
    plain = [np.asarray(one).tolist() for one in scores]
    of = {"arm": arm, "repeat": repeat, "fold": fold, "by": PERTURBATIONS[name].key}
    journal.append({"changed": {**of, "scores": plain}})


def left_to_change(prepared, journal):
    """The perturbations with which finished trials still have to score changed images.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal

    Returns
    -------
    dict of (arm, repeat, fold) to list of str
        Without trials that have none left.
    """
    if not prepared.study.perturb:
        return {}
    done, changed, without, left = journal.done(), journal.changed(), _unchangeable(prepared), {}
    for trial in prepared.trials:
        if trial.key not in done or str(trial.arm) == FLOOR or str(trial.arm) in without:
            continue
        known = changed.get(trial.key, {})
        if names := [name for name in prepared.study.perturb if PERTURBATIONS[name].key not in known]:
            left[trial.key] = names
    return left
