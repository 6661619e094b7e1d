"""What arms call each image, and which images they get wrong."""

from dataclasses import dataclass

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.scores import confusion, decide, how_sure, of_class
from glomfeat.results.parts import arms_of, trial_parts
from glomfeat.results.tables import finished_first


@dataclass(frozen=True)
class Calls:
    """What arms call each image, averaged over repeats.

    Attributes
    ----------
    arms : list of str
        Best first, without the floor.
    score : ndarray of float, shape (arms, images)
        The positive class's score; NaN if an arm has not tested the image.
    wrong : ndarray of float, shape (arms, images)
        Share of repeats in which the call was wrong.
    called : ndarray of int, shape (arms, images)
        The class that most repeats called; a wrong one, unless more than half of the calls were right. -1 if an arm has
        not tested the image.
    sure : ndarray of float, shape (arms, images)
        How sure its calls were (`glomfeat.metrics.scores.how_sure`), right ones as negative numbers. -inf if an arm has
        not tested the image.
    """

    arms: list
    score: np.ndarray
    wrong: np.ndarray
    called: np.ndarray
    sure: np.ndarray

    @property
    def agreed(self):
        """How many arms got each image wrong, and how many tested it: two arrays of int."""
        tested = np.isfinite(self.wrong)
        return (np.where(tested, self.wrong, 0) >= 0.5).sum(axis=0), tested.sum(axis=0)


def read_calls(run, results):
    """Collect the calls of all arms for every image.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    Calls
    """
    ordered = finished_first(results)
    arms = ordered.loc[(ordered["arm"] != FLOOR) & (ordered["n_trials"] > 0), "arm"].tolist()
    labels, classes, trials = run.manifest.labels, len(run.manifest.classes), arms_of(run)
    shape = (len(arms), len(labels))
    score, wrong, called, sure = (np.full(shape, empty) for empty in (np.nan, np.nan, -1, -np.inf))
    for k, arm in enumerate(arms):
        votes, summed, astray = np.zeros((len(labels), classes)), np.zeros(len(labels)), np.zeros(len(labels))
        for trial in trials[arm]:
            for part in trial_parts(run, [trial]):
                rows = run.tested(trial)
                summed[rows] += of_class(part.score)
                call = decide(part.score, part.threshold)
                votes[rows, call] += 1
                astray[rows] += np.where(call == part.y, -1, 1) * how_sure(part.score, part.threshold)
        times = votes.sum(axis=1)
        seen = np.flatnonzero(times)
        score[k, seen], sure[k, seen] = summed[seen] / times[seen], astray[seen] / times[seen]
        wrong[k, seen] = 1 - votes[seen, labels[seen]] / times[seen]
        votes[seen, labels[seen]] = np.where(wrong[k, seen] < 0.5, np.inf, 0)
        called[k, seen] = votes[seen].argmax(axis=1)
    return Calls(arms, score, wrong, called, sure)


def choose_errors(calls, positive, most, of=None):
    """Choose the errors to show: wrong in most arms first, then those the best or a chosen arm is surest of.

    Parameters
    ----------
    calls : Calls
    positive : ndarray of bool, shape (images,)
        Which images belong to the class whose errors are wanted.
    most : int
    of : int, optional
        The position of the arm whose errors are wanted; by default, errors of the best arm or of half of the arms.

    Returns
    -------
    rows : ndarray of int
    total : int
        How many errors there are.
    """
    if not calls.arms:
        return np.array([], int), 0
    agreed, tested = calls.agreed
    share = agreed / np.maximum(tested, 1)
    own = calls.wrong[of or 0] >= 0.5  # False if it has not tested the image
    found = np.flatnonzero(positive & (own | ((share >= 0.5) & (of is None))) & (tested > 0))
    order = np.lexsort((found, -calls.sure[of or 0][found], -share[found]))
    return found[order][:most], len(found)


def image_names(manifest, show_names=False):
    """Names to show for images: the file's name, or the pseudonym of the case and a number within it.

    Returns
    -------
    list of str
    """
    if show_names:
        return manifest.table["name"].tolist()
    case = manifest.table["case"]
    number = case.groupby(case).cumcount() + 1
    shown = case.map(pseudonyms(case))
    return [f"{name} · {k}" for name, k in zip(shown, number, strict=True)]


def confusions(parts, classes):
    """Confusion matrices of an arm: the counts of all its trials, averaged over repeats.

    Parameters
    ----------
    parts : list of Part
    classes : int

    Returns
    -------
    natural, at_threshold : ndarray of float, shape (classes, classes)
        At the natural decision, and at the threshold of each trial; NaN with more than two classes, which have no
        threshold.
    """
    repeats = len({part.repeat for part in parts})
    natural = sum(confusion(part.y, decide(part.score), classes) for part in parts) / repeats
    if classes > 2:
        return natural, np.full_like(natural, np.nan)
    return natural, sum(confusion(part.y, decide(part.score, part.threshold)) for part in parts) / repeats
