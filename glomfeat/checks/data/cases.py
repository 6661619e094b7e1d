"""Classes, sizes and cases: who holds what, and how many folds the cases can be dealt into."""

import numpy as np
import pandas as pd

from glomfeat.checks.data.findings import Finding
from glomfeat.core.seeds import seed_for
from glomfeat.data.cases import pseudonyms
from glomfeat.data.problems import case_problems
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.resampling import jackknife_limits, resampling_units
from glomfeat.metrics.scores import auroc

RARE = 0.1
CONCENTRATED = 0.25
TELLS, TELLS_MUCH = 0.7, 0.9
MOST_FOLDS = 10
LIMITS = {True: "limits: jackknife over cases", False: "limits: jackknife over images"}  # by whether cases are known


def check_classes(manifest):
    """Findings on how many images and cases each class has."""
    counts = np.bincount(manifest.labels, minlength=len(manifest.classes))
    text = ", ".join(f"{count} {name}" for name, count in zip(manifest.classes, counts, strict=True))
    share = counts.min() / counts.sum()
    severity = "severe" if len(counts) < 2 else "warning" if share < RARE else "info"
    what = f"{text}; the rarest is {share:.1%}" if len(counts) > 1 else f"one class only: {text}"
    rows = [
        {"class": name, "images": int(count)}
        | ({"cases": int(manifest.table["case"][manifest.labels == label].nunique())} if manifest.by_case else {})
        for label, (name, count) in enumerate(zip(manifest.classes, counts, strict=True))
    ]
    return [
        Finding(
            "classes.balance",
            severity,
            what,
            "counted",
            "accuracy is high for anyone who always says the commonest class; few images of a class give wide limits",
            "read balanced accuracy, AUROC and average precision; add images of the rarest class"
            if len(counts) > 1
            else "add images of another class",
            tuple(rows),
            (("rarest_share", float(share)),),
        )
    ]


def units_of(manifest, seed):
    """The unit of each image for a jackknife over cases, and how many such units an AUROC of the class rests on."""
    units = resampling_units(manifest.cases, seed=seed_for(seed, "audit", "units"))[manifest.cases]
    return units, own_cases("each", manifest.labels, units, units.max() + 1, len(manifest.classes))[1]


def telling(found):
    """How much AUROCs of the class give it away, as a severity.

    Where few cases are behind a figure, noise reaches any value, so only limits without chance make it severe. An AUROC
    of 0.9 remains a warning without them, because limits that few cases give rarely leave out chance: the caller may
    have another test.

    Parameters
    ----------
    found : sequence of (float, float)
        AUROCs and their lower limits.
    """
    most = max((value for value, _ in found), default=0)
    sure = max((value for value, low in found if low > 0.5), default=0)
    return "severe" if sure >= TELLS_MUCH else "warning" if sure >= TELLS or most >= TELLS_MUCH else "info"


def check_sizes(manifest, sizes, seed=0):
    """Findings on widths, heights and aspects by class, and whether they give the class away.

    Parameters
    ----------
    manifest : Manifest
    sizes : ndarray of int, shape (n, 2)
    seed : int
    """
    values = {"longer side": sizes.max(axis=1), "width / height": sizes[:, 0] / sizes[:, 1]}
    (units, holders), labels = units_of(manifest, seed), manifest.labels
    rows, told = [], {}
    for name, value in values.items():
        for label, label_name in enumerate(manifest.classes):
            low, middle, high = np.percentile(value[labels == label], (5, 50, 95)).tolist()
            rows.append({"measure": name, "class": label_name, "p5": low, "median": middle, "p95": high})
        if len(manifest.classes) == 2:
            value = value if auroc(labels, value) >= 0.5 else -value
            with np.errstate(invalid="ignore"):  # one unit may hold a whole class
                without = [auroc(labels[units != unit], value[units != unit]) for unit in range(units.max() + 1)]
            area = auroc(labels, value)
            told[name] = area, *jackknife_limits(area, np.array(without), holders=holders)
    middles = {name: "/".join(f"{row['median']:.4g}" for row in rows if row["measure"] == name) for name in values}
    text = f"median longer side {middles['longer side']} px, width / height {middles['width / height']}"
    text += f" ({'/'.join(manifest.classes)})"
    if told:
        side, aspect = ("{:.2f} ({:.2f} to {:.2f})".format(*found) for found in told.values())
        text += f"; AUROC of the longer side alone {side}, of the aspect {aspect}"
    return [
        Finding(
            "sizes.by_class",
            "info" if telling([found[:2] for found in told.values()]) == "info" else "warning",
            text,
            f"from the decoded images; AUROC over all images, better of both directions; {LIMITS[manifest.by_case]}",
            "if size gives the class away, so do padding and blur after resizing, and a network learns those",
            "compare with the feature `shortcut`; look at padding (studies.padding); crop all by one rule",
            tuple(rows),
            tuple((f"auroc {name}", float(value)) for name, (value, *_) in told.items()),
        )
    ]


def check_cases(manifest, show_names):
    """Findings on how images are spread over cases, and cases over classes."""
    table = manifest.table
    if not manifest.by_case:
        return [
            Finding(
                "cases.unknown",
                "severe",
                "no case is known: each image counts as its own case",
                "by --groups, a column or the names",
                "images of one patient in training and test make every score too good",
                "say where the case is: a column `case`, or --groups REGEX with (?P<case>...)",
            )
        ]
    shown = _shown(table["case"], show_names)
    counts = pd.crosstab(table["case"], table["label"]).reindex(columns=range(len(manifest.classes)), fill_value=0)
    total = counts.sum(axis=1)
    pure = (counts > 0).sum(axis=1) == 1
    order = total.sort_values(ascending=False, kind="stable").index
    rows = [
        {"case": shown[case], "images": int(total[case])}
        | {name: int(counts.loc[case, label]) for label, name in enumerate(manifest.classes)}
        for case in order
    ]
    effective = float(total.sum() ** 2 / (total**2).sum())
    largest = total[order[0]] / total.sum()
    per_class = ", ".join(f"{(counts[label] > 0).sum()} with {name}" for label, name in enumerate(manifest.classes))
    found = [
        Finding(
            "cases.spread",
            "warning" if largest > CONCENTRATED else "info",
            f"{len(total)} cases of {total.min()} to {total.max()} images (median {total.median():g}); {per_class}; "
            f"the largest holds {largest:.0%}, so they count as {effective:.1f} cases of even size",
            "counted; (sum of n)² / sum of n² (Kish)",
            "what holds for the largest case weighs most; limits follow the number of cases and not of images",
            "read the limits, which follow from the cases, and the results case by case",
            tuple(rows),
            (("cases", len(total)), ("effective_cases", effective), ("largest_share", float(largest))),
        )
    ]
    if len(manifest.classes) > 1:
        share = float(total[pure].sum() / total.sum())
        found.append(
            Finding(
                "cases.one_class",
                "warning" if share > 0.5 else "info",
                f"{pure.sum()} of {len(total)} cases hold one class only; they hold {share:.0%} of the images",
                "counted",
                "if a case holds only one class, its stain and scanner tell the class as well as the glomeruli do",
                "compare with the feature `shortcut`; add images of the other classes from the same cases",
                tuple(row for case, row in zip(order, rows, strict=True) if pure[case]),
                (("cases", int(pure.sum())), ("share_of_images", share)),
            )
        )
    return found


def most_folds(manifest):
    """The largest number of folds, up to 10, that the cases can be dealt into; 0 if none."""
    table, by_case = manifest.table, manifest.by_case
    if len(manifest.classes) < 2:
        return 0
    fit = [k for k in range(2, MOST_FOLDS + 1) if not case_problems(table, manifest.classes, k, by_case)]
    return max(fit, default=0)


def check_folds_possible(manifest, folds, show_names):
    """Findings on whether the cases can be dealt into the folds, and into how many at most."""
    table, most = manifest.table, most_folds(manifest)
    unit = "by case" if manifest.by_case else "by image"
    how = "every fold needs a case of every class; with one held out, two must be left for making choices"
    holders = [
        {"class": name, "cases": int(table["case"][table["label"] == label].nunique())}
        for label, name in enumerate(manifest.classes)
    ]
    held = ", ".join(f"{row['class']} is in {row['cases']}" for row in holders)
    figures = (("most_folds", most),)
    if most >= folds:
        at_most = f"{most} or more" if most == MOST_FOLDS else f"at most {most}"
        what = f"folds {unit} are possible: {at_most} ({held} {'cases' if manifest.by_case else 'images'})"
        why, remedy = "scores are for cases that the models have not learnt from", "none"
        return [Finding("folds.possible", "info", what, how, why, remedy, tuple(holders), figures)]
    if len(manifest.classes) < 2:
        reasons = ["one class only"]
    else:
        reasons = [what for what, _ in case_problems(table, manifest.classes, folds, manifest.by_case, show_names)]
    what = f"{folds} folds {unit} are impossible" if most else f"folds {unit} are impossible"
    what += f"; at most {most}" if most else ""
    return [
        Finding(
            "folds.infeasible",
            "warning" if most else "severe",
            f"{what}: {'; '.join(reasons)}",
            how,
            "without held-out cases of every class nothing can be said about new patients",
            f"use --folds {most}, or add cases"
            if most
            else "add cases that hold the class; --groups none splits by "
            "image, but its scores are optimistic and say nothing about new patients",
            tuple(holders),
            figures,
        )
    ]


def _shown(cases, show_names):
    return {case: str(case) for case in set(cases)} if show_names else pseudonyms(cases)
