"""Words for what was chosen within the training cases, and for what was not."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.notes import NO_INNER, NOT_APPLIED
from glomfeat.core.words import joined
from glomfeat.metrics.thresholds import fixed_at, threshold_unchosen

THRESHOLDS = {
    "balanced": "so that sensitivity and specificity were closest to each other",
    "youden": "to maximise the sum of sensitivity and specificity (Youden 1950)",
}
LARGEST = "he class with the largest score was called"
ONCE = "Each outer test fold was scored once."
LACKING = "nner splits of the training data could not hold all classes"


def chooses_threshold(loaded):
    """Whether thresholds of a run are chosen: not with more than two classes, and not if one number decides.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    """
    return len(loaded.run.manifest.classes) == 2 and number_that_decides(loaded) is None


def number_that_decides(loaded):
    """The one threshold of a run that chooses none, given by the user or because inner splits serve no choice.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded

    Returns
    -------
    float or None
        None if thresholds are chosen; NaN with more than two classes.
    """
    rule, done = loaded.identity["threshold"], _done(loaded)
    given = fixed_at(rule) is not None or (done and all(NO_INNER in record.get("reason", "") for record in done))
    return threshold_unchosen(rule, len(loaded.run.manifest.classes)) if given else None


def the_threshold(loaded, chosen="the chosen threshold"):
    """Name the threshold of a run of two classes: as chosen, or as the number that decides.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    chosen : str
        The name of one that was chosen.

    Returns
    -------
    str
        Empty with more than two classes, where no threshold decides.
    """
    if len(loaded.run.manifest.classes) > 2:
        return ""
    return chosen if (number := number_that_decides(loaded)) is None else f"the threshold of {number:g}"


def _done(loaded):
    """The records of the trials that are done, except those of the floor."""
    records = (loaded.run.record(trial) for trial in loaded.run.trials if str(trial.arm) != FLOOR)
    return [record for record in records if record["status"] == "done"]


def how_chosen(loaded):
    """Write sentences on hyper-parameters, thresholds and calibration, as the records of the trials have them.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded

    Returns
    -------
    str
    """
    unit, done = loaded.run.manifest.unit, _done(loaded)
    lacking = [record for record in done if NO_INNER in record["reason"]]
    asked = loaded.identity.get("calibration", "none")
    if loaded.whole and not done:
        return "No trial came to its end, so that nothing was chosen, and no test fold was scored."
    if lacking and len(lacking) == len(done):
        return f"I{LACKING}, so that nothing was chosen on them: {_instead(lacking, asked)}. {ONCE}"
    of_arms = not done or any(record.get("params") for record in done)
    what = ["hyper-parameters"] * of_arms + ["decision thresholds"] * chooses_threshold(loaded)
    said = f"{joined(what or ['no settings']).capitalize()} were chosen"
    if what:
        said += (
            f" on inner splits by {unit} of the training data, with scaling, reduction and classifier fitted without "
        )
        said += f"the {unit}s that they scored"
    if of_arms:
        said += "; a setting replaced the default one only if it was better by more than one standard error"
    said += f". {ONCE} {_decided(loaded)}"
    if asked != "none":
        said += f" Scores were calibrated ({asked}) on inner out-of-fold scores of training {unit}s."
        reasons = [record["reason"] for record in done if NO_INNER not in record["reason"]]
        if left := sum(NOT_APPLIED in reason for reason in reasons):
            of = f"In {left} of {len(done)} trials"
            said += f" {of}, scores were left as they were, because inner scores did not rise with the class."
    if lacking:
        said += f" In {len(lacking)} of {len(done)} trials, i{LACKING}: {_instead(lacking, asked)}."
    return said


def _decided(loaded):
    """Say in a sentence how images were called."""
    rule = loaded.identity["threshold"]
    if chooses_threshold(loaded):
        least = f"as the highest with a {rule.replace('>=', ' of at least ')}"
        own = f"by a rule of the authors' own ({rule})"
        return f"Thresholds were chosen {own if ':' in rule else THRESHOLDS.get(rule, least)}."
    two = len(loaded.run.manifest.classes) == 2
    return f"The threshold was fixed at {rule}." if two else f"T{LARGEST}."


def _instead(lacking, calibration):
    """Say what trials did that could choose nothing; a threshold is the one in their records."""
    found = {value for record in lacking if (value := record["threshold"]) is not None and np.isfinite(value)}
    parts = ["hyper-parameters kept their defaults"]
    parts += [] if calibration == "none" else ["scores were not calibrated"]
    at = [f"{value:g}" for value in sorted(found)]
    return joined([*parts, f"the threshold was {joined(at, 'or')}" if at else "the largest score decided"])
