"""What can be told without looking at glomeruli: class, case and site, from size and colour alone."""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold

from glomfeat.checks.data.cases import LIMITS, TELLS_MUCH, most_folds, telling, units_of
from glomfeat.checks.data.findings import Finding
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import SplitError, make_folds
from glomfeat.data.tables.columns import SITES
from glomfeat.data.tables.read import plain
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights
from glomfeat.metrics.scores import auroc
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of

PARTS = {
    "width and height": [0, 1],
    "aspect and padding": [2, 3],
    "colour": [4, 5, 6, 7, 8, 9],
    "all of them": [*range(10)],
}
FOLDS = 5
LEAST_IMAGES = 3  # of a case or site that is to be told
MOST_GROUPS = 60  # the largest cases; more would take minutes and say the same
FEW_CASES = 5  # of a class: limits of even an AUROC of 1 then include chance
EXCHANGES, RARELY = 99, 0.05
OF_SITES = SITES | {"lab", "labid", "batch", "batchid"}  # tables of features may measure something called so
WHY = "a network learns what tells the classes apart on these images, and this needs no glomerulus"


def held_out(X, y, folds, classes, seed, cases=None):
    """Scores of each row from a logistic regression fitted on the other folds.

    Parameters
    ----------
    X : ndarray of float32, shape (n, width)
    y, folds : ndarray of int, shape (n,)
    classes, seed : int
    cases : ndarray of int, shape (n,), optional
        No other fold trains on the cases of a fold's rows.

    Returns
    -------
    ndarray of float64, shape (n,) or (n, classes)
        NaN if the other folds hold only one class.
    """
    head = make_head("logreg", seed).estimator
    scores = np.zeros((len(y), classes)) if classes > 2 else np.zeros(len(y))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        if cases is not None:
            train &= ~np.isin(cases, cases[test])
        if len(np.unique(y[train])) < 2:
            scores[test] = np.nan
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores[test] = scores_of(clone(head).fit(X[train], y[train]), X[test], classes)
    return scores


def dealt_by_case(manifest, folds, seed):
    """The fold of each image, with as many folds by case as possible up to a limit; None if cases cannot be dealt."""
    folds = min(folds, most_folds(manifest))
    try:
        return make_folds(manifest, "cv", folds, 1, seed)["fold"].to_numpy() if folds >= 2 else None
    except SplitError:
        return None


def mean_auroc(cells, labels, scores, weights=None, units=None):
    """Mean AUROC over cells of rows; for each replicate, without cells in which it drew only one class.

    Parameters
    ----------
    cells : list of ndarray of int
        Row numbers.
    labels : ndarray of int, shape (n,)
    scores : ndarray, shape (n,) or (n, classes)
    weights : ndarray, shape (replicates, units), optional
        How often each unit counts in each replicate.
    units : ndarray of int, shape (n,), optional

    Returns
    -------
    float, or ndarray of shape (replicates,)
    """
    values = [auroc(labels[cell], scores[cell], None if weights is None else weights[:, units[cell]]) for cell in cells]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no cell was left
        return np.nanmean(values, axis=0)


def _aurocs(manifest, shortcut, dealt, seed):
    """The rows of each fold, and held-out scores and AUROCs of the class, by part of the feature `shortcut`."""
    labels, classes = manifest.labels, len(manifest.classes)
    parts = [np.flatnonzero(dealt == fold) for fold in np.unique(dealt)]
    scores = [held_out(shortcut[:, columns], labels, dealt, classes, seed) for columns in PARTS.values()]
    return parts, scores, [float(mean_auroc(parts, labels, one)) for one in scores]


def _by_exchange(manifest, shortcut, folds, seed, value):
    """The p-value of the largest AUROC over all parts, if classes are exchanged among cases; 1 if a case holds several.

    Folds are dealt and models fitted anew each time. It ends early where p is no longer small (Besag & Clifford 1991,
    Biometrika 78:301).
    """
    _, first, of_case = np.unique(manifest.cases, return_index=True, return_inverse=True)
    of_cases, rng = manifest.labels[first], np.random.default_rng(seed_for(seed, "audit", "exchange"))
    if (of_cases[of_case] != manifest.labels).any():
        return 1.0
    reached, enough = 0, RARELY * (EXCHANGES + 1)
    for done in range(1, EXCHANGES + 1):
        other = replace(manifest, table=manifest.table.assign(label=rng.permutation(of_cases)[of_case]))
        dealt = dealt_by_case(other, folds, seed)
        reached += dealt is None or np.nanmax(_aurocs(other, shortcut, dealt, seed)[2]) >= value
        if reached >= enough:
            return reached / done
    return (reached + 1) / (EXCHANGES + 1)


def probe_classes(manifest, shortcut, folds, seed):
    """Findings on the AUROC of the class from parts of the feature `shortcut`, split by case.

    Parameters
    ----------
    manifest : Manifest
    shortcut : ndarray of float32, shape (n, 10)
    folds, seed : int

    Returns
    -------
    list of Finding
        Empty if cases cannot be dealt into folds.
    """
    dealt = dealt_by_case(manifest, folds, seed)
    if dealt is None:
        return []
    labels = manifest.labels
    parts, scores, values = _aurocs(manifest, shortcut, dealt, seed)
    units, holders = units_of(manifest, seed)
    weights = leave_out_weights(units.max() + 1)
    rows = []
    for name, score, value in zip(PARTS, scores, values, strict=True):
        low, high = jackknife_limits(value, mean_auroc(parts, labels, score, weights, units), holders=holders)
        rows.append({"part": name, "auroc": value, "auroc_lo": low, "auroc_hi": high})
    severity, exchanged = telling([(row["auroc"], row["auroc_lo"]) for row in rows]), ""
    if severity == "warning" and manifest.by_case and holders <= FEW_CASES and max(values) >= TELLS_MUCH:
        p = _by_exchange(manifest, shortcut, folds, seed, max(values))
        if p < RARELY:
            severity = "severe"
            exchanged = f"; few cases, so classes were also exchanged among them: one AUROC is as high with p = {p:.2f}"
    text = ", ".join("{part} {auroc:.2f} ({auroc_lo:.2f} to {auroc_hi:.2f})".format(**row) for row in rows)
    split = f"{len(parts)} folds {'by case' if manifest.by_case else 'by image'}"
    return [
        Finding(
            "shortcut.class",
            severity,
            f"AUROC of the class without looking at what is shown, {split}: {text}",
            "logistic regression on size, padding, and mean and standard deviation of red, green and blue; mean over "
            f"folds; {LIMITS[manifest.by_case]}{exchanged}",
            WHY,
            "report it with every result (--features shortcut); normalise the stain; compare within cases and sites"
            if severity != "info"
            else "report it with every result (--features shortcut)",
            tuple(rows),
            tuple((f"auroc {row['part']}", row["auroc"]) for row in rows),
        )
    ]


def probe_groups(values, shortcut, what, seed, names=None):
    """Findings on how well parts of the feature `shortcut` tell cases or sites apart, split by image.

    Parameters
    ----------
    values : ndarray of str, shape (n,)
        The group of each image.
    shortcut : ndarray of float32, shape (n, 10)
    what : str
        What groups are, in the plural.
    seed : int
    names : dict, optional
        How groups are shown.

    Returns
    -------
    list of Finding
        Empty if fewer than two groups have three images.
    """
    groups, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    large = np.flatnonzero(counts >= LEAST_IMAGES)
    large = np.sort(large[np.argsort(-counts[large], kind="stable")][:MOST_GROUPS])
    if len(large) < 2:
        return []
    rows_in = np.isin(index, large)
    y, X = np.searchsorted(large, index[rows_in]), shortcut[rows_in]
    state = seed_for(seed, "audit", what) % 2**32
    parts = StratifiedKFold(min(FOLDS, counts[large].min()), shuffle=True, random_state=state)
    folds = np.zeros(len(y), int)
    for fold, (_, test) in enumerate(parts.split(X, y)):
        folds[test] = fold
    chance = np.bincount(y).max() / len(y)
    rows = []
    for name, columns in PARTS.items():
        scores = held_out(X[:, columns], y, folds, len(large), seed)
        told = scores.argmax(axis=1) if len(large) > 2 else scores > 0.5
        hits = [float((told[y == k] == k).mean()) for k in range(len(large))]
        rows.append({"part": name, "accuracy": float((told == y).mean()), "balanced_accuracy": float(np.mean(hits))})
    colour, even = rows[2], 1 / len(large)
    names = names or {group: str(group) for group in groups}
    details = [{"group": names[groups[k]], "images": int(counts[k])} for k in large]
    strong = colour["balanced_accuracy"] > max(0.5, 3 * even) if len(large) > 2 else colour["balanced_accuracy"] > 0.8
    text = ", ".join(f"{row['part']} {row['accuracy']:.0%} (balanced {row['balanced_accuracy']:.0%})" for row in rows)
    return [
        Finding(
            f"shortcut.{what.split()[0]}",
            "warning" if strong else "info",
            f"{'colour tells' if strong else 'how well colour tells'} the {what} apart: {text} of the images of "
            f"{len(large)} {what} are recognised; chance is {chance:.0%} (the largest; balanced {even:.0%})",
            f"logistic regression on size, padding and colour, {folds.max() + 1} image-level folds",
            f"if colour tells {what}, an image-level split rewards knowing them, and a class that is in few of them "
            "is told by their stain",
            "split by case only; normalise the stain; keep sites apart in the folds (--groups)",
            tuple(rows + details),
            tuple((f"balanced_accuracy {row['part']}", row["balanced_accuracy"]) for row in rows) + (("chance", even),),
        )
    ]


def probe_sites(frame, shortcut, seed):
    """Run `probe_groups` for every column of the user's table that names a site, a scanner or the like."""
    found = []
    for column in frame.columns:
        if plain(column) in OF_SITES and frame[column].notna().all():
            known = "_".join(str(column).lower().split())
            found += probe_groups(frame[column].astype(str).to_numpy(), shortcut, f"{known} groups", seed)
    return found
