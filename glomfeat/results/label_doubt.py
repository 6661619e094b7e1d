"""Labels in doubt: most arms, having not learnt from the image, are confident that it has another class."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.confident import confident_class
from glomfeat.metrics.conformal import by_class
from glomfeat.results.parts import arms_of

NEAR = 3
COLUMNS = (
    *("rank", "name", "case", "pseudonym", "label", "suggested", "score_of_label", "score_of_suggested"),
    *("arms_in_doubt", "arms"),
    *(f"{column}_{k}" for k in range(1, NEAR + 1) for column in ("nearest", "nearest_label")),
    "split",
)


@dataclass(frozen=True)
class Doubt:
    """The labels in doubt, the most doubtful first.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Rows of the manifest.
    suggested : ndarray of int64, shape (m,)
        The class that the arms together are confident of.
    score : ndarray of float, shape (n, classes)
        For every image of the manifest, the mean over arms and repeats; NaN if no arm has tested it.
    votes : ndarray of int64, shape (n,)
        How many arms, each by itself, doubt the label.
    arms : ndarray of int64, shape (n,)
        How many arms have tested the image.
    """

    rows: np.ndarray
    suggested: np.ndarray
    score: np.ndarray
    votes: np.ndarray
    arms: np.ndarray


def find_doubt(run):
    """Find labels in doubt by confident learning on the out-of-fold scores of all arms but the floor.

    Scores of an arm are averaged over repeats, and then over arms, as cleanlab does for an ensemble. The image whose
    own class has the lowest mean score comes first.

    Parameters
    ----------
    run : glomfeat.results.run.Run

    Returns
    -------
    Doubt
    """
    labels, classes = run.manifest.labels, len(run.manifest.classes)
    total, arms, votes = np.zeros((len(labels), classes)), np.zeros(len(labels), int), np.zeros(len(labels), int)
    for name, trials in arms_of(run).items():
        seen, score = _mean_scores(run, trials, classes) if name != FLOOR else ([], None)
        if len(seen):
            total[seen] += score
            arms[seen] += 1
            votes[seen] += confident_class(labels[seen], score) != labels[seen]
    tested = np.flatnonzero(arms)
    mean = np.full(total.shape, np.nan)
    mean[tested] = total[tested] / arms[tested, None]
    suggested = labels.copy()
    if len(tested):
        suggested[tested] = confident_class(labels[tested], mean[tested])
    rows = np.flatnonzero(suggested != labels)
    rows = rows[np.argsort(mean[rows, labels[rows]], kind="stable")]
    return Doubt(rows, suggested[rows], mean, votes, arms)


def _mean_scores(run, trials, classes):
    """The rows that an arm has tested, and their mean scores."""
    total, times = np.zeros((len(run.manifest), classes)), np.zeros(len(run.manifest))
    for trial, record in run.done(trials).items():
        rows, score = run.tested(trial), np.asarray(record["scores"], np.float64)
        total[rows] += by_class(score)
        times[rows] += 1
    seen = np.flatnonzero(times)
    return seen, total[seen] / times[seen, None]


def doubt_table(run, doubt, near):
    """The table of labels in doubt, one row for each image.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    doubt : Doubt
        From `find_doubt`.
    near : dict of int to list of int
        Rows of the training images nearest to an image, by the image's row.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; the ``nearest_`` columns are empty if no neighbours are known.
    """
    manifest = run.manifest
    names, cases, classes = manifest.table["name"].tolist(), manifest.table["case"].tolist(), manifest.classes
    shown, found = pseudonyms(cases), []
    for rank, (row, other) in enumerate(zip(doubt.rows.tolist(), doubt.suggested.tolist(), strict=True), 1):
        own = manifest.labels[row]
        found.append(
            {
                "rank": rank,
                "name": names[row],
                "case": cases[row],
                "pseudonym": shown[cases[row]],
                "label": classes[own],
                "suggested": classes[other],
                "score_of_label": doubt.score[row, own],
                "score_of_suggested": doubt.score[row, other],
                "arms_in_doubt": doubt.votes[row],
                "arms": doubt.arms[row],
                "split": manifest.split,
            }
        )
        for k, neighbour in enumerate(near.get(row, [])[:NEAR], 1):
            found[-1][f"nearest_{k}"] = names[neighbour]
            found[-1][f"nearest_label_{k}"] = classes[manifest.labels[neighbour]]
    return pd.DataFrame(found, columns=list(COLUMNS))
