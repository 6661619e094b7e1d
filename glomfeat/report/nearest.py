"""The training images nearest to an image, which the report shows below it."""

from glomfeat.results.words import plain_class

SIDE = 48
HOW = (
    "The most confident errors of {arm} are shown with the training images that are nearest to them in the values that "
    "its classifier read. An error whose neighbours are all of another class looks like them: it is ambiguous, or its "
    "label is wrong."
)


def neighbours(row, nearest, manifest, called, paths, small):
    """Collect what is shown of the neighbours of an image.

    Parameters
    ----------
    row : int
    nearest : glomfeat.results.nearest.Nearest
    manifest : Manifest
    called : list of str
        Names under which images are shown.
    paths : dict of str to Path
        From `glomfeat.report.thumbnails.find_images`.
    small : callable
        ``(path or None, side) -> str or None``, as `glomfeat.report.thumbnails.small_uri`.

    Returns
    -------
    dict or None
        Whether all are of another class, and a description of each; None if no neighbours are known.
    """
    near, labels = nearest.of.get(int(row), []), manifest.labels
    if not near:
        return None
    items = [
        {
            "called": called[other],
            "kind": plain_class(manifest.classes[labels[other]]),
            "other": bool(labels[other] != labels[row]),
            "uri": small(paths.get(manifest.table["name"].iloc[other]), SIDE),
            "side": SIDE,
        }
        for other in near
    ]
    return {"others": all(item["other"] for item in items), "items": items}
