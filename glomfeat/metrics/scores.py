"""Pure functions from labels and scores to numbers, and the rules that choose a threshold.

Labels are class indices, int, shape (n,). For two classes, scores are the positive class's, shape (n,); for more, one
column per class, shape (n, classes). Scores lie in 0..1. Ranking metrics take case weights, a row of `weights` for each
bootstrap replicate, and then return a value for each row.
"""

import numpy as np

ECE_BINS = 10
BLOCK = 4_000_000


def two_class(score):
    """Whether scores are for two classes (one axis) rather than more (one column per class)."""
    return np.ndim(score) == 1


def of_class(score, label=-1):
    """The scores of a class, by default the positive one; for two classes (one axis) those of the positive one.

    Examples
    --------
    >>> of_class(np.array([0.25, 0.75])).tolist(), of_class(np.array([[0.1, 0.2, 0.7]])).tolist()
    ([0.25, 0.75], [0.7])
    """
    return score if two_class(score) else score[:, label]


def _per_class(metric, y, score, weights):
    """Mean over classes of one class against the rest."""
    values = [metric(y == label, score[:, label], weights) for label in range(score.shape[1])]
    return np.mean(values, axis=0)


def _ranked(y, score, weights):
    """Weights of positives and negatives at each distinct score, ascending: two arrays (replicates, scores)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(np.asarray(score)[order]) != 0])
    weights = weights[:, order]
    positive = np.asarray(y, bool)[order]
    ones = np.add.reduceat(weights * positive, starts, axis=1)
    return ones, np.add.reduceat(weights * ~positive, starts, axis=1)


def _in_blocks(metric, y, score, weights):
    """Apply a metric to rows of weights block by block, so that memory does not grow with the replicates."""
    if not len(y):
        return np.full(len(weights), np.nan)
    step = max(1, BLOCK // len(y))
    with np.errstate(invalid="ignore", divide="ignore"):
        blocks = [metric(y, score, weights[k : k + step]) for k in range(0, len(weights), step)]
    return np.concatenate(blocks)


def _auroc(y, score, weights):
    ones, zeros = _ranked(y, score, weights)
    below = np.cumsum(zeros, axis=1) - zeros / 2
    return (ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1))


def _average_precision(y, score, weights):
    ones, zeros = (part[:, ::-1] for part in _ranked(y, score, weights))
    hits, calls = np.cumsum(ones, axis=1), np.cumsum(ones + zeros, axis=1)
    precision = np.divide(hits, calls, out=np.zeros_like(hits), where=calls > 0)
    both = np.where(zeros.sum(axis=1) > 0, ones.sum(axis=1), np.nan)
    return (ones * precision).sum(axis=1) / both


def _weighted(metric, y, score, weights):
    one = weights is None
    rows = np.ones((1, len(y))) if one else np.asarray(weights, float)
    if two_class(score):
        values = _in_blocks(metric, y, score, rows)
    else:
        values = _per_class(lambda *data: _in_blocks(metric, *data), np.asarray(y), np.asarray(score), rows)
    return float(values[0]) if one else values


def auroc(y, score, weights=None):
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Mann-Whitney's statistic on ranks. For more than two classes: the mean of one against the rest.

    Parameters
    ----------
    y : array of int, shape (n,)
    score : array of float, shape (n,) or (n, classes)
    weights : array of float, shape (replicates, n), optional
        How often each row counts in each replicate.

    Returns
    -------
    float, or ndarray of shape (replicates,)
        NaN if a class has no weight.

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    return _weighted(_auroc, y, score, weights)


def average_precision(y, score, weights=None):
    """Area under the precision-recall steps, like scikit-learn's ``average_precision_score``.

    Parameters and returns are those of `auroc`. Without negatives it would be 1 whatever the scores are, so it is NaN.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _weighted(_average_precision, y, score, weights)


def decide(score, threshold=None):
    """The class that scores stand for: at the natural decision, or at a threshold on the positive class.

    The natural decision is 0.5 for two classes, and the largest score for more.

    Examples
    --------
    >>> decide(np.array([0.2, 0.5, 0.7])).tolist(), decide(np.array([0.2, 0.5, 0.7]), 0.6).tolist()
    ([0, 1, 1], [0, 0, 1])
    """
    if two_class(score):
        return (np.asarray(score) >= (0.5 if threshold is None else threshold)).astype(np.int64)
    return np.argmax(score, axis=1)


def how_sure(score, threshold):
    """How sure each call is, in 0..1: how far its score lies on the way from the threshold to 0 or 1.

    For more than two classes, a call is as sure as the largest score.

    Examples
    --------
    >>> how_sure(np.array([0.1, 0.6]), 0.2).round(2).tolist()
    [0.5, 0.5]
    """
    score = np.asarray(score)
    if not two_class(score):
        return score.max(axis=1)
    apart, room = np.abs(score - threshold), np.where(score >= threshold, 1 - threshold, threshold)
    return np.divide(apart, room, out=np.ones_like(apart), where=room > 0)


def confusion(y, predicted, classes=2, weights=None):
    """How often each class (row) was called each class (column).

    Parameters
    ----------
    y, predicted : array of int, shape (n,)
    classes : int
    weights : array of float, shape (replicates, n), optional

    Returns
    -------
    ndarray of float, shape (classes, classes), or (replicates, classes, classes)

    Examples
    --------
    >>> confusion([0, 0, 1], [0, 1, 1]).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    cell = np.eye(classes * classes)[np.asarray(y) * classes + np.asarray(predicted)]
    rows = np.ones((1, len(cell))) if weights is None else np.asarray(weights, float)
    counts = (rows @ cell).reshape(-1, classes, classes)
    return counts[0] if weights is None else counts


def _rate(values):
    """The positive class's rate for two classes; for more, the mean over classes of one against the rest."""
    return values[..., 1] if values.shape[-1] == 2 else values.mean(axis=-1)


def _sums(counts):
    """From confusion matrices: images in all, those called right, those of each class, and those called each class."""
    hit = np.diagonal(counts, axis1=-1, axis2=-2)
    return counts.sum(axis=(-1, -2)), hit, counts.sum(axis=-1), counts.sum(axis=-2)


def accuracy(counts):
    """Share of images that are called right."""
    total, hit, _, _ = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hit.sum(axis=-1) / total


def _recall(counts):
    _, hit, true, _ = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hit / true


def balanced_accuracy(counts):
    """Mean over classes of the share that is called right."""
    return _recall(counts).mean(axis=-1)


def sensitivity(counts):
    """The share of the positive images that is called positive."""
    return _rate(_recall(counts))


def specificity(counts):
    """The share of the other images that is not called positive."""
    total, hit, true, called = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _rate((total[..., None] - true - called + hit) / (total[..., None] - true))


def precision(counts):
    """The share of the images called positive that is positive; 0 without such a call."""
    _, hit, _, called = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _rate(np.where(called > 0, hit / called, 0.0))


def f1(counts):
    """Harmonic mean of precision and sensitivity; 0 without a positive call."""
    _, hit, true, called = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _rate(np.where(hit > 0, 2 * hit / (true + called), 0.0))


def mcc(counts):
    """Matthews' correlation of truth and call; for more than two classes, Gorodkin's (2004)."""
    total, hit, true, called = _sums(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt((total**2 - (called**2).sum(-1)) * (total**2 - (true**2).sum(-1)))
        return np.where(spread > 0, (hit.sum(-1) * total - (true * called).sum(-1)) / spread, 0.0)


def missed(counts):
    """Positive images that are not called positive; for more than two classes, all wrong calls."""
    return counts[..., 1, 0] if counts.shape[-1] == 2 else _wrong(counts)


def false_alarms(counts):
    """Other images that are called positive; for more than two classes, all wrong calls."""
    return counts[..., 0, 1] if counts.shape[-1] == 2 else _wrong(counts)


def _wrong(counts):
    total, hit, _, _ = _sums(counts)
    return total - hit.sum(axis=-1)


def brier(y, score):
    """Mean squared distance between score and truth (Brier 1950); for more classes, summed over them.

    Examples
    --------
    >>> round(brier([0, 1], [0.2, 0.6]), 3)
    0.1
    """
    return float(np.mean(squared_distance(y, score)))


def squared_distance(y, score):
    """The squared distance between each image's score and the truth; for more classes, summed over them."""
    y, score = np.asarray(y), np.asarray(score)
    if two_class(score):
        return (score - y) ** 2
    return ((score - np.eye(score.shape[1])[y]) ** 2).sum(axis=1)


def sureness(y, score):
    """How sure each score is, whether it was right, and its bin among ten equal ones.

    For two classes, the positive class's score and whether the image is positive; for more, the largest score and
    whether its class is the true one.

    Returns
    -------
    sure : ndarray of float, shape (n,)
    true : ndarray of int or bool, shape (n,)
    bins : ndarray of int, shape (n,)

    Examples
    --------
    >>> sureness([0, 1], [0.25, 1.0])[2].tolist()
    [2, 9]
    """
    y, score = np.asarray(y), np.asarray(score)
    sure, true = (score, y) if two_class(score) else (score.max(axis=1), score.argmax(axis=1) == y)
    return sure, true, np.minimum((sure * ECE_BINS).astype(int), ECE_BINS - 1)


def ece(y, score):
    """Expected calibration error: mean gap between score and frequency over ten equal bins (Naeini et al. 2015).

    For more than two classes, it uses the largest score and how often that is right.

    Examples
    --------
    >>> round(ece([0, 1, 1, 1], [0.25, 0.95, 0.95, 0.95]), 3)
    0.1
    """
    sure, true, bins = sureness(y, score)
    gaps = np.bincount(bins, sure - true, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(sure))
