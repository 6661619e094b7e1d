"""The section of errors: those that every arm gets wrong first, with a thumbnail and the scores of all arms."""

import numpy as np

from glomfeat.report.nearest import HOW as NEAR
from glomfeat.report.nearest import neighbours
from glomfeat.report.thumbnails import as_uri, find_images, read_square
from glomfeat.results.calls import choose_errors, image_names
from glomfeat.results.words import count, plain_class

NAME, TITLE, ORDER, TEMPLATE = "errors", "Errors", 40, "sections/errors.html"
HOW = (
    "Calls are at the threshold of each arm. Under a picture, every arm is a mark at its score, from 0 at the left to "
    "1 at the right: a dot where its call is right, a cross where it is wrong."
)
MOST = {True: 36, False: 24}  # of images that were missed, and of false alarms


def fill(content):
    """What was missed, then false alarms.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    dict
    """
    calls, manifest, nearest = content.calls, content.run.manifest, content.nearest
    is_positive = manifest.labels == len(manifest.classes) - 1
    called = image_names(manifest, content.show_names)
    chosen = {side: choose_errors(calls, is_positive == side, MOST[side]) for side in (True, False)}
    wanted = np.concatenate([rows for rows, _ in chosen.values()]).astype(int)
    near = nearest.rows(wanted)
    paths = find_images(content.images, manifest.table["name"].iloc[[*wanted, *near]].tolist())
    positive = plain_class(manifest.classes[-1])
    titles = {True: f"Missed: {positive} that were called otherwise", False: f"False alarms: others called {positive}"}
    if len(manifest.classes) > 2:
        titles[False] = "Other images that were called a wrong class"
    why = (
        "the run was of a feature table" if content.images is None else "none of its images lies in the data folder now"
    )
    return {
        "why": why if len(wanted) and not paths else "",
        "how": HOW,
        "near": NEAR.format(arm=content.names[nearest.arm]) if near else "",
        "parts": [
            {
                "title": titles[side],
                "said": _how_many(calls, is_positive == side, rows, total),
                "cards": [_card(row, content, called, paths) for row in rows],
            }
            for side, (rows, total) in chosen.items()
        ],
    }


def _how_many(calls, mine, rows, total):
    if not total:
        return "None."
    agreed, tested = calls.agreed
    everyone = int((mine & (agreed == tested) & (tested > 0)).sum())
    said = (
        f"{count(total, 'image')}, {count(len(rows), 'is', 'are')} shown"
        if len(rows) < total
        else count(total, "image")
    )
    if len(calls.arms) > 1:
        said += (
            f"; {count(everyone, 'of them is', 'of them are')} wrong in every arm: look at these first, for the label "
            "may be what is wrong"
            if everyone
            else "; none is wrong in every arm"
        )
    return said[0].upper() + said[1:] + "."


def _card(row, content, called, paths):
    calls, manifest = content.calls, content.run.manifest
    agreed, tested = (int(values[row]) for values in calls.agreed)
    truth = plain_class(manifest.classes[manifest.labels[row]])
    all_wrong = agreed == tested and tested > 1
    verdict = f"wrong in all {tested} arms" if all_wrong else f"wrong in {agreed} of {tested} arms"
    square = read_square(paths.get(manifest.table["name"].iloc[row]))
    return {
        "called": called[row],
        "verdict": verdict,
        "flag": all_wrong,
        "uri": square and as_uri(square),
        "alt": f"Image {called[row]}, truly {truth}, {verdict}",
        "scores": [
            {
                "arm": content.names[arm],
                "score": score,
                "wrong": wrong >= 0.5,
                "x": 4 + 112 * float(np.clip(score, 0, 1)),
            }
            for arm, score, wrong in zip(calls.arms, calls.score[:, row], calls.wrong[:, row], strict=True)
            if np.isfinite(wrong)
        ],
        "near": neighbours(row, content.nearest, manifest, called, paths),
    }
