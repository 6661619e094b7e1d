"""How long networks take to train, measured on a step or two, for the plan and for those who wait."""

import math

from glomfeat.comparison.perturbed import left_to_change
from glomfeat.core.words import number_of
from glomfeat.core.workers import alone
from glomfeat.data.splits import INNER_VALID
from glomfeat.features.changed import changes_of
from glomfeat.models.nets import is_own_net, net_seconds


def net_seconds_of(prepared, arm):
    """Measure the seconds of a training, of scoring an image, and of compiling the network once in each process.

    Parameters
    ----------
    prepared : Prepared
    arm : Arm
        A network.

    Returns
    -------
    training_s, image_s, compile_s : float
        NaN for a network of the user's own that cannot be trained.
    """
    study, settings = prepared.study, prepared.net_settings(arm.net)
    share = study.split.trained_share * (1 if study.split.names_inner_valid else 1 - INNER_VALID)
    fit = round(len(prepared.manifest) * share)
    return _timed(arm.network, settings, fit, round(fit * INNER_VALID), study)


def _timed(net, settings, fit, valid, study):
    """As `net_seconds_of`, in a process of its own for a network of the user's own."""
    given = net, settings, fit, valid, study.threads
    if not is_own_net(net):
        return net_seconds(*given)
    try:
        return alone(net_seconds, *given, threads=study.threads, seconds=study.timeout)
    except Exception:
        return math.nan, math.nan, math.nan


def say_how_long(tasks, prepared, journal, say):
    """Say how long unfinished networks will take, and those that are trained again for changed images.

    Parameters
    ----------
    tasks : list of Task
    prepared : Prepared
    journal : Journal
    say : callable
    """
    study, done, again, left = prepared.study, journal.done(), left_to_change(prepared, journal), {}
    for task in tasks:
        if task.net and task.inner and (task.trial.key not in done or task.trial.key in again):
            left.setdefault(task.trial.arm.net, []).append(task)
    for name, waiting in left.items():
        fit, valid = waiting[0].inner[0]
        given = waiting[0].trial.arm.network, waiting[0].net, len(fit), len(valid)
        training_s, image_s, compile_s = _timed(*given, study)
        if math.isnan(training_s):
            continue  # its trials will say why
        for part in (
            [task for task in waiting if task.trial.key not in done],
            [task for task in waiting if task.trial.key in done],
        ):
            if part:
                scored = sum(len(changes_of(again.get(one.trial.key, one.changes))) * len(one.test) for one in part)
                minutes = (compile_s + len(part) * training_s + scored * image_s) / 60
                say(f"net:{name}: {_who(part, again)} about {minutes:.1f} minutes, one after the other")


def _who(tasks, again):
    """How many trials are trained, or trained again, and for which changes."""
    if tasks[0].trial.key not in again:
        return number_of(len(tasks), "trial takes", "trials take")
    trained = number_of(len(tasks), "trial is trained again", "trials are trained again")
    names = " ".join(again[tasks[0].trial.key])
    return f"{trained}, for no network is kept, to score images changed by {names}, which takes"
