"""The errors, image by image: those that every arm gets wrong first, with a thumbnail and the scores of all arms."""

from dataclasses import dataclass
from html import escape

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.scores import decide
from glomfeat.report.sections.nearest import HOW as NEAR
from glomfeat.report.sections.nearest import Nearest, nearest_html
from glomfeat.report.thumbnails import as_uri, find_images, read_square
from glomfeat.results.parts import trial_parts
from glomfeat.results.words import count, plain_class

HOW = (
    "Calls are at the threshold of each arm. Under a picture, every arm is a mark at its score, from 0 at the left to "
    "1 at the right: a dot where its call is right, a cross where it is wrong."
)
NOTHING = Nearest()
MOST = {True: 36, False: 24}  # of images that were missed, and of false alarms


@dataclass(frozen=True)
class Calls:
    """What arms made of every image, averaged over repeats.

    Attributes
    ----------
    arms : list of str
        Best first, without the floor.
    score : ndarray of float, shape (arms, images)
        Of the positive class; NaN where an arm has not tested the image.
    wrong : ndarray of float, shape (arms, images)
        Share of repeats in which the call was wrong.
    """

    arms: list
    score: np.ndarray
    wrong: np.ndarray

    @property
    def agreed(self):
        """How many arms got an image wrong, of those that tested it: two arrays of int."""
        tested = np.isfinite(self.wrong)
        return (np.where(tested, self.wrong, 0) >= 0.5).sum(axis=0), tested.sum(axis=0)


def read_calls(run, results):
    """Collect what arms made of every image.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.

    Returns
    -------
    Calls
    """
    arms = results.loc[(results["arm"] != FLOOR) & (results["n_trials"] > 0), "arm"].tolist()
    shape = (len(arms), len(run.manifest))
    score, wrong, times = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    place = {arm: k for k, arm in enumerate(arms)}
    for trial in run.trials:
        k = place.get(str(trial.arm))
        for part in trial_parts(run, [trial]) if k is not None else []:
            rows = run.tested(trial)
            score[k, rows] += part.score if part.score.ndim == 1 else part.score[:, -1]
            wrong[k, rows] += decide(part.score, part.threshold) != part.y
            times[k, rows] += 1
    with np.errstate(invalid="ignore"):
        return Calls(arms, score / times, wrong / times)


def choose_errors(calls, positive, most):
    """The rows of errors to show: wrong in most arms first, then by how far the best arm is off.

    Parameters
    ----------
    calls : Calls
    positive : ndarray of bool, shape (images,)
        Which images are of the class whose errors are wanted.
    most : int

    Returns
    -------
    rows : ndarray of int
    total : int
        How many errors there are: images that the best arm or half of the arms get wrong.
    """
    if not calls.arms:
        return np.array([], int), 0
    agreed, tested = calls.agreed
    share = agreed / np.maximum(tested, 1)
    best = calls.wrong[0] >= 0.5  # False where it has not tested the image
    found = np.flatnonzero(positive & (best | (share >= 0.5)) & (tested > 0))
    with np.errstate(invalid="ignore"):
        sure = np.nan_to_num(np.abs(calls.score[0] - 0.5))
    order = np.lexsort((found, -sure[found], -share[found]))
    return found[order][:most], len(found)


def gallery_html(run, results, names, folder, show_names=False, nearest=NOTHING):
    """The gallery as HTML: what was missed, then false alarms.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.
    folder : Path or None
        Of `glomfeat.report.thumbnails.data_folder`.
    show_names : bool
    nearest : Nearest, optional
        Of `glomfeat.report.sections.nearest.read_nearest`.

    Returns
    -------
    str
    """
    calls, manifest = read_calls(run, results), run.manifest
    is_positive = manifest.labels == len(manifest.classes) - 1
    called = image_names(manifest, show_names)
    chosen = {side: choose_errors(calls, is_positive == side, MOST[side]) for side in (True, False)}
    wanted = np.concatenate([rows for rows, _ in chosen.values()]).astype(int)
    pictured = [*wanted, *nearest.rows(wanted)]
    paths = find_images(folder, manifest.table["name"].iloc[pictured].tolist())
    positive, html = plain_class(manifest.classes[-1]), []
    if len(wanted) and not paths:
        why = "the run was of a feature table" if folder is None else "none of its images lies in the data folder now"
        remedy = "python -m studies.report OUT --data FOLDER shows them from where they are"
        html.append(f'<p class="remark">There are no thumbnails: {escape(why)}; <code>{remedy}</code>.</p>')
    titles = {True: f"Missed: {positive} that were called otherwise", False: f"False alarms: others called {positive}"}
    if len(manifest.classes) > 2:
        titles[False] = "Other images that were called a wrong class"
    html.append(f"<p>{HOW}</p>")
    if nearest.rows(wanted):
        html.append(f"<p>{escape(NEAR.format(arm=names[nearest.arm]))}</p>")
    for side, (rows, total) in chosen.items():
        html.append(f"<h3>{escape(titles[side])}</h3>")
        html.append(f"<p>{_how_many(calls, is_positive == side, rows, total)}</p>")
        near = {row: nearest_html(row, nearest, manifest, called, paths) for row in rows}
        cards = (_card(row, calls, manifest, names, called[row], paths, near[row]) for row in rows)
        html.append(f'<div class="cards">{"".join(cards)}</div>' if len(rows) else "")
    return "".join(html)


def image_names(manifest, show_names=False):
    """What images are called: the file's name, or the pseudonym of the case and a number within it.

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


def _card(row, calls, manifest, names, called, paths, near):
    agreed, tested = (int(values[row]) for values in calls.agreed)
    truth = plain_class(manifest.classes[manifest.labels[row]])
    all_wrong = agreed == tested and tested > 1
    verdict = f"wrong in all {tested} arms" if all_wrong else f"wrong in {agreed} of {tested} arms"
    alt = f"Image {called}, truly {truth}, {verdict}"
    square = read_square(paths.get(manifest.table["name"].iloc[row]))
    picture = f'<img src="{as_uri(square)}" alt="{escape(alt)}" width="128" height="128">' if square else ""
    known = [k for k in range(len(calls.arms)) if np.isfinite(calls.wrong[k, row])]
    rows = "".join(
        f"<tr{' class=wrong' if calls.wrong[k, row] >= 0.5 else ''}><td>{escape(names[calls.arms[k]])}</td>"
        f"<td>{calls.score[k, row]:.2f}</td><td>{'wrong' if calls.wrong[k, row] >= 0.5 else 'right'}</td></tr>"
        for k in known
    )
    flag = ' class="flag"' if all_wrong else ""
    return (
        f'<figure class="card">{picture}<figcaption><b>{escape(called)}</b><span{flag}>{verdict}</span>'
        f"{_strip(calls, known, row)}<details><summary>scores</summary><table><tbody>{rows}</tbody></table></details>"
        f"{near}</figcaption></figure>"
    )


def _strip(calls, known, row):
    """Scores of all arms on a line from 0 to 1: wrong calls as crosses, right ones as dots."""
    marks = []
    for k in known:
        x = 4 + 112 * float(np.clip(calls.score[k, row], 0, 1))
        wrong = calls.wrong[k, row] >= 0.5
        shape = f"M{x - 3:.0f} 3l6 6m0-6l-6 6" if wrong else ""
        marks.append(f'<path class="x" d="{shape}"/>' if wrong else f'<circle cx="{x:.0f}" cy="6" r="3"/>')
    return f'<svg class="strip" viewBox="0 0 120 12" aria-hidden="true"><path d="M4 6H116"/>{"".join(marks)}</svg>'
