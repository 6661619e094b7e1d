"""What pairs of images that show the same thing do to a split."""

import numpy as np

from glomfeat.checks.data.duplicates import EXACT, MOST_SECTIONS
from glomfeat.checks.data.findings import Finding
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import SplitError, deal

HOW = "SHA-256 of the files"
HOW_NEAR = (
    "the same pixels; or neighbours by SIFT patches, in a mirror too, and by perceptual hashes in 8 orientations, with "
    "each pair laid over one another and a lower quartile of the correlations of 16 px blocks of at least 0.93"
)
HOW_ALIKE = (
    "within a case: patches that agree on an overlay, or the band-passed outline at all shifts and small turns, "
    f"compared in at most {MOST_SECTIONS:,} pairs, drawn at random if there are more"
)


def torn(manifest, pairs, folds, seed):
    """Count the pairs that an image-level split puts on both sides.

    Parameters
    ----------
    manifest : Manifest
    pairs : pandas.DataFrame
        From `glomfeat.checks.data.duplicates.find_pairs`.
    folds, seed : int

    Returns
    -------
    expected : float
    seeded : ndarray of bool, shape (pairs,)
        Which ones, with the folds that `--groups none` deals with this seed; all false if it cannot deal them.

    Examples
    --------
    >>> import pandas as pd; from glomfeat.data.manifest import Manifest
    >>> table = pd.DataFrame({"name": list("abcd"), "label": [0, 0, 1, 1], "case": list("xxyy")})
    >>> ends = pd.DataFrame({"first": [0], "second": [1]})
    >>> expected, seeded = torn(Manifest(table, ("no", "yes"), True), ends, 2, seed=0)
    >>> round(expected, 2), seeded.tolist()
    (0.67, [True])
    """
    n = len(manifest)
    expected = len(pairs) * (1 - (n / folds - 1) / (n - 1)) if n > folds else float(len(pairs))
    try:
        part = deal(manifest.labels, np.arange(n), [1 / folds] * folds, seed_for(seed, "folds", 0))
    except SplitError:
        return expected, np.zeros(len(pairs), bool)
    return expected, part[pairs["first"]] != part[pairs["second"]]


def described(manifest, pairs, folds, seed, shown):
    """The pairs with names, cases and classes of both images, and whether an image-level split separates them.

    `shown` gives the pseudonym of each case.
    """
    table, frame = manifest.table, pairs.copy()
    frame.insert(0, "number", np.arange(1, len(frame) + 1))
    for end in ("first", "second"):
        rows = table.iloc[pairs[end]]
        frame[f"name_{end}"] = rows["name"].to_numpy()
        frame[f"pseudonym_{end}"] = rows["case"].map(shown).to_numpy() if manifest.by_case else ""
        frame[f"class_{end}"] = [manifest.classes[label] for label in rows["label"]]
    frame["same_case"] = frame["pseudonym_first"] == frame["pseudonym_second"] if manifest.by_case else False
    frame["same_class"] = frame["class_first"] == frame["class_second"]
    frame["torn"] = torn(manifest, pairs, folds, seed)[1]
    return frame


def check_pairs(manifest, frame, folds, seed, sampled=""):
    """Findings on pairs, with the worst kinds separate.

    Parameters
    ----------
    manifest : Manifest
    frame : pandas.DataFrame
        From `described`.
    folds, seed : int
    sampled : str
        How many pairs within cases were compared, if only some were; see `glomfeat.checks.data.duplicates.find_pairs`.

    Returns
    -------
    list of Finding
    """
    exact = frame["kind"] == EXACT
    near, alike = frame["hard"] & ~exact, ~frame["hard"]
    across = ~frame["same_case"] & manifest.by_case
    found = []
    for code, rows, what, how in (
        ("duplicates.exact", exact, "pairs of byte-identical files", HOW),
        (
            "duplicates.near",
            near,
            "pairs of changed copies (turned, flipped, cropped or overlapping, recoloured, ...)",
            HOW_NEAR,
        ),
        ("duplicates.sections", alike, "pairs that are alike and may be serial sections of one glomerulus", HOW_ALIKE),
    ):
        hard = code != "duplicates.sections"
        more = "" if hard or not sampled else f"; outlines were compared in {sampled}: there may be more"
        some = frame[rows]
        if some.empty:
            found.append(_none(code, what + more, how))
            continue
        severe = hard and bool((rows & (across | ~frame["same_class"])).any())
        if manifest.by_case:
            where = f"{(rows & ~across).sum()} within a case, {(rows & across).sum()} across cases, "
        else:
            where = ""
        other = int((~some["same_class"]).sum())
        expected, _ = torn(manifest, some, folds, seed)
        seeded = int(some["torn"].sum())
        apart = f"the images of {expected:.1f} pairs into different folds on average, of {seeded} with this seed"
        split = f"{folds} folds by image would put {apart}"
        found.append(
            Finding(
                code,
                "severe" if severe else "info" if manifest.by_case and not other else "warning",
                f"{len(some)} {what}: {where}{other} under two classes; {split}{more}",
                how,
                "if separated, one is learnt by heart and the other is tested; across cases, no split by case helps",
                _remedy(hard, severe),
                tuple(_plain(some)),
                (("pairs", len(some)), ("across_cases", int((rows & across).sum())), ("across_classes", other))
                + (("torn_expected", float(expected)), ("torn_seeded", seeded)),
            )
        )
    return found


def _remedy(hard, severe):
    if severe:
        return "look at pairs.png: keep one of each pair, correct the label, or give both the same case"
    if hard:
        return "look at pairs.png: keep one of each pair; split by case at least"
    return "split by case; where classes differ, let a pathologist look at the pair"


def _none(code, what, how):
    return Finding(code, "info", f"no {what}", how, "none to separate", "none", (), (("pairs", 0),))


def _plain(frame):
    """Rows for a report, which knows images by the pair's number in pairs.csv, and cases by their pseudonyms."""
    keep = ["number", "kind", "similarity", "pseudonym_first", "pseudonym_second", "class_first", "class_second"]
    keep += ["same_case", "same_class", "torn"]
    rows = frame.reindex(columns=keep).round({"similarity": 3})
    return rows.to_dict("records")
