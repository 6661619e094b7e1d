"""Look into a network: where in some of its test images it found evidence."""

from glomfeat.metrics.scores import decide
from glomfeat.models.nets.choose import choose_rows
from glomfeat.models.nets.saliency import InsideError


def look_into(inside, pixels, test, labels, scores, threshold, each):
    """Make maps of where a network looked in some of its test images.

    Parameters
    ----------
    inside : callable
        ``inside(pixels, calls)``: a `glomfeat.models.nets.saliency.Maps` of these images and their calls.
    pixels : Matrix or ndarray of uint8, shape (n, side, side, 3)
    test : ndarray of int64
        Rows that were scored.
    labels : ndarray of int, shape (n,)
    scores : ndarray of float, shape (rows of `test`,)
        Calibrated scores of the positive class.
    threshold : float
    each : int
        As `glomfeat.models.nets.choose.choose_rows`.

    Returns
    -------
    dict
        ``each, rows, shape, maps, likeness`` as plain data, or only ``why``, which says why there are no maps.
    """
    chosen = choose_rows(labels[test], scores, threshold, each)
    rows = test[chosen]
    try:
        maps = inside(pixels[rows], decide(scores[chosen], threshold))
    except InsideError as error:
        return {"why": str(error)}
    return {"each": each, "rows": rows.tolist(), **maps.plain()}
