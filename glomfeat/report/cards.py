"""The card of an image that arms get wrong or whose label is in doubt."""

import numpy as np

from glomfeat.core.words import number_of
from glomfeat.report.nearest import neighbours
from glomfeat.report.thumbnails import as_uri
from glomfeat.results.words import plain_class


def card(row, content, called, paths, picture):
    """Collect what a card shows of an image, with the calls of all arms.

    Parameters
    ----------
    row : int
        Row of the manifest.
    content : glomfeat.report.content.Content
    called : list of str
        Names under which images are shown.
    paths : dict of str to Path
        From `glomfeat.report.thumbnails.find_images`.
    picture : callable
        ``(path or None) -> PIL.Image.Image or None``.

    Returns
    -------
    dict
        ``uri`` is None if the picture cannot be read.
    """
    calls, manifest = content.calls, content.run.manifest
    agreed, tested = (int(values[row]) for values in calls.agreed)
    truth = plain_class(manifest.classes[manifest.labels[row]])
    all_wrong = agreed == tested and tested > 1
    every = "both" if tested == 2 else f"all {tested}"
    verdict = f"wrong in {every} arms" if all_wrong else f"wrong in {agreed} of {number_of(tested, 'arm')}"
    called_as = [plain_class(manifest.classes[k]) for k in calls.called[:, row]]
    several = len(manifest.classes) > 2
    if several and calls.called[0, row] >= 0:
        verdict += f"; the best arm calls it {called_as[0]}"
    image = picture(paths.get(manifest.table["name"].iloc[row]))
    return {
        "row": int(row),
        "called": called[row],
        "truth": truth,
        "verdict": verdict,
        "flag": all_wrong,
        "uri": image and as_uri(image),
        "alt": f"Image {called[row]}, truly {truth}, {verdict}",
        "scores": [
            {
                "arm": content.names[arm],
                "score": score,
                "wrong": wrong >= 0.5,
                "call": f"{'wrong' if wrong >= 0.5 else 'right'}{f': {call}' * several}",
                "x": 4 + 112 * float(np.clip(score, 0, 1)),
            }
            for arm, score, wrong, call in zip(
                calls.arms, calls.score[:, row], calls.wrong[:, row], called_as, strict=True
            )
            if np.isfinite(wrong)
        ],
        "near": neighbours(row, content.nearest, manifest, called, paths, content.small),
    }


def why_no_pictures(content):
    """Say in a sentence why no pictures can be shown, and how to get them."""
    again = f"python -m studies.report {content.loaded.out} --data FOLDER"
    if content.loaded.about["table"] and content.images is None:
        return f"the run was of a feature table, which holds none; {again} shows those of a folder"
    if content.images is not None:
        return f"none of the images lies in the data folder now; {again} shows them from where they are"
    if content.loaded.study.get("data", "") is None:
        return "the built-in phantom is not in the cache folder any more; the study's command makes it again"
    return f"what the images were read from is not there now; {again} shows them from where they are"
