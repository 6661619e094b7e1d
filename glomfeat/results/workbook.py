"""predictions.xlsx: what the best arm and those tied with it call each image and case, for people."""

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.words import number_of
from glomfeat.core.workbook import MOST_ROWS, Sheet, write_workbook
from glomfeat.data.cases import pseudonyms
from glomfeat.results.calls import choose_errors, image_names
from glomfeat.results.parts import arms_of

BESIDE = 9  # how many arms tied with the best one have columns
RIGHT, WRONG, MISSED, ALARM, ELSEWHERE = "right", "wrong", "missed", "false alarm", "wrong in other arms"
UNTESTED = "not tested"
NAMES = {
    True: "Images and cases go by their names, which --show-names asked for.",
    False: (
        "Cases go by pseudonyms, and an image by the pseudonym of its case and its number among the rows of that case "
        "in folds.csv, which links both to their names. The command with --show-names writes the names here."
    ),
}
IMAGES = {
    "image": "The image.",
    "case": "The patient or case that it is of.",
    "true class": "Its label.",
    "called": "What the best arm calls it at its threshold, without having learnt any image of its case. Of several "
    "repeats the call of most; a wrong one, unless more than half are right.",
    "verdict": "Whether that is its label.",
    "score": "The best arm's score of {positive}, from 0 to 1, the mean over repeats.",
    "threshold": "From this score on it is called {positive}; the mean over repeats. With more than two "
    "classes there is none: the class with the largest score is called.",
    "arms wrong": "How many arms call it wrong, those that are not shown included.",
    "arms": "How many arms have tested it.",
    "label in doubt": "Another class, where all arms together are confident of it: look whether the label is right.",
}
CASES = {
    "case": "The patient or case.",
    "images": "How many images of it were tested.",
    "class": "Its class, where all its images are of one.",
    "true %": "The share of its images that are {positive} by their labels.",
    "called %": "The share of its images that the best arm calls {positive}.",
    "difference": "Called less true, in percentage points.",
    "mean score": "The mean of the best arm's scores of {positive}.",
}
ERRORS = {
    "rank": "Errors that most arms make come first, then those that the best arm is surest of.",
    "image": IMAGES["image"],
    "case": IMAGES["case"],
    "error": "Missed: {positive}, which the best arm calls otherwise. False alarm: others, which it calls {positive}. "
    "With more than two classes: wrong. Wrong in other arms: half of all arms or more call it wrong, but not the best.",
    "true class": IMAGES["true class"],
    "called": IMAGES["called"],
    "score": IMAGES["score"],
    "arms wrong": IMAGES["arms wrong"],
    "arms": IMAGES["arms"],
    "label in doubt": IMAGES["label in doubt"],
}
SCORE_OF, CALLED_OF, SHARE_OF = "score, {}", "called, {}", "called %, {}"
OF_ARMS = "; ".join(of.format("ARM") for of in (SCORE_OF, CALLED_OF, SHARE_OF))
OF_TIED = "The same of an arm that is tied with the best one."
UNSEEING = "which looks at no image and has no columns here"
SPLIT = "How images were split: what is split by image is optimistic."


def arms_shown(finished):
    """The best arm and those tied with it, best first, and how many more are tied.

    Parameters
    ----------
    finished : glomfeat.results.finished.Finished

    Returns
    -------
    list of str, int
        The list is empty if no arm has tested an image.
    """
    results, arms = finished.results, finished.calls.arms
    tied = [arm for arm in results["arm"][results["tied_with_best"] == True] if arm != FLOOR and arm in arms]  # noqa: E712
    tied = tied or arms[:1]
    return tied[: BESIDE + 1], len(tied[BESIDE + 1 :])


def write_sheets(finished, path):
    """Write the workbook of a run.

    Parameters
    ----------
    finished : glomfeat.results.finished.Finished
    path : Path
    """
    arms, more = arms_shown(finished)
    tables = {
        "images": (_images(finished, arms), IMAGES),
        "cases": (_cases(finished, arms), CASES),
        "errors to look at": (_errors(finished), ERRORS),
    }
    flags = frozenset({WRONG, MISSED, ALARM})
    sheets = [Sheet(title, table.assign(split=finished.manifest.split), flags) for title, (table, _) in tables.items()]
    write_workbook([*sheets, Sheet("what columns mean", _meanings(finished, arms, more, tables))], path)


def _named(finished):
    """The names to show for images and for cases."""
    manifest, cases = finished.manifest, finished.manifest.table["case"]
    shown = dict.fromkeys(cases) if finished.show_names else pseudonyms(cases)
    return np.array(image_names(manifest, finished.show_names), object), {
        case: case if finished.show_names else shown[case] for case in shown
    }


def _texts(values):
    """Texts as a column; some are names of files that are not UTF-8, which pandas' own texts cannot hold."""
    return pd.Series(list(values), dtype=object)


def _doubted(finished):
    """The class that arms are confident of, by the image's row, if that is not its label."""
    doubt = finished.doubt
    return dict(zip(doubt.rows.tolist(), [finished.manifest.classes[k] for k in doubt.suggested], strict=True))


def _thresholds(finished, arm):
    """The mean threshold at which an arm called each image; NaN with more than two classes."""
    total, times = np.zeros((2, len(finished.manifest)))
    for trial, record in finished.done(arms_of(finished)[arm]).items():
        total[finished.tested(trial)] += record["threshold"]
        times[finished.tested(trial)] += 1
    with np.errstate(invalid="ignore"):
        return total / times


def _images(finished, arms):
    manifest, calls = finished.manifest, finished.calls
    images, cases = _named(finished)
    classes, rows = np.array([*manifest.classes, UNTESTED], object), np.arange(len(manifest))
    place = {arm: calls.arms.index(arm) for arm in arms}
    k, doubted, (agreed, tested) = place[arms[0]], _doubted(finished), calls.agreed
    verdict = np.where(calls.called[k] == manifest.labels, RIGHT, WRONG).astype(object)
    table = {
        "image": images,
        "case": manifest.table["case"].map(cases).to_numpy(object),
        "true class": classes[manifest.labels],
        "called": classes[calls.called[k]],
        "verdict": np.where(calls.called[k] < 0, UNTESTED, verdict),
        "score": calls.score[k],
        "threshold": _thresholds(finished, arms[0]),
        "arms wrong": agreed,
        "arms": tested,
        "label in doubt": _texts(doubted.get(row, "") for row in rows.tolist()),
    }
    for arm in arms[1:]:
        table[SCORE_OF.format(arm)] = calls.score[place[arm]]
        table[CALLED_OF.format(arm)] = classes[calls.called[place[arm]]]
    return pd.DataFrame(table, columns=list(table))


def _cases(finished, arms):
    _, cases = _named(finished)
    of_arms = {arm: mine.set_index("case") for arm, mine in finished.cases.groupby("arm", sort=False) if arm in arms}
    best = of_arms[arms[0]]
    table = {
        "case": _texts(cases[case] for case in best.index),
        "images": best["n_images"].to_numpy(),
        "class": best["label"].to_numpy(object),
        "true %": best["true_percent"].to_numpy(),
        "called %": best["predicted_percent"].to_numpy(),
        "difference": best["error"].to_numpy(),
        "mean score": best["mean_score"].to_numpy(),
    }
    for arm in arms[1:]:
        table[SHARE_OF.format(arm)] = of_arms[arm]["predicted_percent"].reindex(best.index).to_numpy()
    return pd.DataFrame(table, columns=list(table))


def _errors(finished):
    manifest, calls = finished.manifest, finished.calls
    images, cases = _named(finished)
    classes, positive = manifest.classes, manifest.labels == len(manifest.classes) - 1
    rows, _ = choose_errors(calls, np.ones(len(manifest), bool), len(manifest))
    (agreed, tested), doubted = calls.agreed, _doubted(finished)
    kinds = np.where(len(classes) > 2, WRONG, np.where(positive[rows], MISSED, ALARM))
    found = {
        "rank": np.arange(1, len(rows) + 1),
        "image": images[rows],
        "case": _texts(cases[case] for case in manifest.table["case"].iloc[rows]),
        "error": _texts(np.where(calls.wrong[0][rows] >= 0.5, kinds, ELSEWHERE)),
        "true class": _texts(classes[k] for k in manifest.labels[rows]),
        "called": _texts(classes[k] if k >= 0 else UNTESTED for k in calls.called[0][rows]),
        "score": calls.score[0][rows],
        "arms wrong": agreed[rows],
        "arms": tested[rows],
        "label in doubt": _texts(doubted.get(row, "") for row in rows.tolist()),
    }
    return pd.DataFrame(found, columns=list(ERRORS))


def tied_in_words(results, arms, more):
    """Say which arms results.csv ties with the best one.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    arms, more
        From `arms_shown`.

    Returns
    -------
    str
        The floor is named too, although it has no columns.
    """
    tied, floor = {*results["arm"][results["tied_with_best"] == True]}, f"{FLOOR}, {UNSEEING}"  # noqa: E712
    above = results["arm"].iloc[0] == FLOOR
    names = [arm for arm in arms[0 if above else 1 :] if arm in tied] + [floor] * (FLOOR in tied and not above)
    said = f" {floor}, stands above it in results.csv." if above else ""
    said += f" Tied with {'that' if above else 'it'}: {', '.join(names)}." if names else ""
    said = said or " No other arm is tied with it."
    return said + (
        f" {number_of(more, 'more arm is', 'more arms are')} tied; predictions.parquet has all." if more else ""
    )


def _meanings(finished, arms, more, tables):
    """What readers must know about the workbook and about each column of its sheets."""
    positive, rows = finished.manifest.classes[-1], [("all", "study", finished.title)]
    of = ", of those that are finished" if (finished.results["status"] != "done").any() else ""
    best = f"{arms[0]}: the one with the highest AUROC{of}.{tied_in_words(finished.results, arms, more)}"
    rows += [("all", "best arm", best)]
    rows += [
        ("all", "names", NAMES[bool(finished.show_names)]),
        ("all", "split", f"{finished.manifest.split}. {SPLIT}"),
    ]
    if len(arms) > 1:
        rows.append(("all", OF_ARMS, OF_TIED))
    for title, (table, known) in tables.items():
        if len(table) > MOST_ROWS:
            rows.append((title, "rows", f"{len(table) - MOST_ROWS} rows are left out; predictions.parquet has all."))
        rows += [
            (title, column, known[column].format(positive=positive)) for column in table.columns if column in known
        ]
        rows.append((title, "split", SPLIT))
    return pd.DataFrame(rows, columns=["sheet", "column", "meaning"])
