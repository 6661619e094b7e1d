"""Confusion matrices of an arm, a repeat at a time."""

from glomfeat.metrics.scores import confusion, decide
from glomfeat.results.parts import trial_parts


def confusions(run, arm):
    """How often each class (row) was called each class (column), of all finished trials, per repeat.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    arm : str
        With a finished trial.

    Returns
    -------
    at_half, at_threshold : ndarray of float, shape (classes, classes)
        At the natural decision, and at the thresholds that the trials chose; of more than two classes, which have no
        threshold, the second is the first.
    """
    parts, k = trial_parts(run, [trial for trial in run.trials if str(trial.arm) == arm]), len(run.manifest.classes)
    repeats = len({part.repeat for part in parts})
    called = ((part.y, decide(part.score), decide(part.score, part.threshold)) for part in parts)
    counts = [(confusion(y, half, k), confusion(y, chosen, k)) for y, half, chosen in called]
    return tuple(sum(matrices) / repeats for matrices in zip(*counts, strict=True))
