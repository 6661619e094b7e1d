"""The section on errors of an arm that the reader chooses, with pictures and the scores of all arms."""

from functools import partial
from importlib.resources import files

import numpy as np

from glomfeat.core.words import capital
from glomfeat.report.cards import card, why_no_pictures
from glomfeat.report.nearest import HOW as NEAR
from glomfeat.report.thumbnails import find_images, read_fitting
from glomfeat.results.calls import choose_errors, image_names
from glomfeat.results.tables import with_figure
from glomfeat.results.words import count, figure, plain_class

NAME, TITLE, ORDER, TEMPLATE = "errors", "Errors", 40, "sections/errors.html"
HOW = (
    "Calls are {at}. Next to each image, every arm has a mark at its score{of}, from 0 on the left to 1 on the right: "
    "a dot if its call is right, a cross if it is wrong. What most arms get wrong comes first, then what the arm is "
    "surest of."
)
ENLARGE = "A click on a picture enlarges it; the arrow keys then go on to the next one."
MOST = {True: 36, False: 24}  # images that are shown: missed ones, and false alarms
OF_ARM, ARMS = {True: 10, False: 8}, 12  # the same for each arm that can be chosen, and how many arms can be
SIDE = 320


def fill(content):
    """Collect missed images, then false alarms: those of the best arm or half of the arms, and those of each arm."""
    calls, manifest = content.calls, content.run.manifest
    is_positive = manifest.labels == len(manifest.classes) - 1
    called = image_names(manifest, content.show_names)
    chosen = {side: _by_choice(calls, is_positive == side, side) for side in (True, False)}
    wanted = np.unique(np.concatenate([rows for lists in chosen.values() for rows, _ in lists]).astype(int))
    near = content.nearest.rows(wanted)
    paths = find_images(content.images, manifest.table["name"].iloc[[*wanted, *near]].tolist())
    here, several = files("glomfeat.report"), len(manifest.classes) > 2
    how = {"at": "at the threshold of each arm", "of": ""}
    if several:
        how = {"at": "those of the largest score", "of": f" for {plain_class(manifest.classes[-1])}"}
    how = HOW.format(**how)
    return {
        "why": why_no_pictures(content) if len(wanted) and not paths else "",
        "pictures": bool(paths),
        "how": f"{how} {ENLARGE}" if paths else how,
        "near": NEAR.format(arm=content.names[content.nearest.arm]) if near else "",
        "doubt": _on_doubt(content),
        "doubts": len(content.tables.doubt.rows),
        "choices": _choices(content),
        "more": len(calls.arms) - ARMS,
        "parts": [_part(side, lists, content, called, paths, is_positive == side) for side, lists in chosen.items()],
        "style": here.joinpath("gallery.css").read_text(encoding="utf-8"),
        "script": here.joinpath("gallery.js").read_text(encoding="utf-8"),
    }


def _by_choice(calls, mine, side):
    """Choose rows and count them: for the best arm or half of the arms, then for each arm that can be chosen."""
    of_arms = [choose_errors(calls, mine, OF_ARM[side], of) for of in range(len(calls.arms[:ARMS]))]
    return [choose_errors(calls, mine, MOST[side]), *of_arms]


def _choices(content):
    names = [content.names[arm] for arm in content.calls.arms[:ARMS]]
    if len(names) < 2:
        return names
    return [f"{names[0]} (the best arm), or at least half of all {len(content.calls.arms)} arms", *names]


def _on_doubt(content):
    """Say how many labels are in doubt, and where they are listed."""
    many = len(content.tables.doubt.rows)
    if not many:
        return "No label is in doubt by confident learning on the scores of all arms."
    said = f"{count(many, 'label is', 'labels are')} in doubt by confident learning on the scores of all arms"
    known = with_figure(content.results)
    if len(known):
        said += f", the best of which has an AUROC of {figure(known['auroc'].max())}"
    return (
        f"{capital(said)}: labels_to_check.csv lists them. The weaker the arms, the more of these are "
        "errors of the arms and not of the labels."
    )


def _part(side, lists, content, called, paths, mine):
    classes = content.run.manifest.classes
    positive = plain_class(classes[-1])
    titles = {True: f"Missed: {positive} that were called otherwise", False: f"False alarms: others called {positive}"}
    if len(classes) > 2:
        titles[False] = "Other images that were called a wrong class"
    lists = lists[: len(_choices(content))]
    rows = list(dict.fromkeys(int(row) for found, _ in lists for row in found))
    return {
        "title": titles[side],
        "said": [
            how_many(content.calls, mine, found, total, of=None if not place else place - 1)
            for place, (found, total) in enumerate(lists)
        ],
        "lists": [list(map(int, found)) for found, _ in lists],
        "cards": [card(row, content, called, paths, partial(read_fitting, side=SIDE)) for row in rows],
    }


def how_many(calls, mine, rows, total, of):
    """Say how many errors there are, how many of them all arms make, and how many are shown.

    Parameters
    ----------
    calls : glomfeat.results.calls.Calls
    mine : ndarray of bool
        Images of this side.
    rows : sequence of int
        Errors that are shown.
    total : int
        Errors of the chosen arm.
    of : int or None
        Place of that arm; None for the best arm or half of all arms, of which agreement is said.

    Returns
    -------
    str
    """
    if not total:
        return "None."
    agreed, tested = calls.agreed
    everyone = int((mine & (agreed == tested) & (tested > 0)).sum())
    said = count(total, "image")
    if len(calls.arms) > 1 and of is None:
        of_them = count(everyone, "of them", "of them") if everyone else "none of them"
        said += f", {of_them} wrong in every arm" if total > 1 else ", wrong in every arm" if everyone else ""
    if len(rows) < total:
        said += f"; {count(len(rows), 'is', 'are')} shown"
    return f"{capital(said)}."
