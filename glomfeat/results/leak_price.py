"""The price of leaking: how much better each arm looks on folds of images, which tear cases apart, than by case."""

from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.arms import FLOOR
from glomfeat.core.csvs import read_csv
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import leave_out_weights
from glomfeat.results.parts import arms_of, count_holders, measure, regroup, status_of, trial_parts, units_of
from glomfeat.results.terminal import print_cells
from glomfeat.results.words import signed

PRICED = ("auroc", "balanced_accuracy")
ENDS = ("_by_case", "_by_image", "_price", "_price_lo", "_price_hi")
COLUMNS = ("arm", "status", *(f"{name}{end}" for name in PRICED for end in ENDS))
OF_LIMITS = [name for name in COLUMNS if name.endswith(("_lo", "_hi"))]
SAID = (
    "The price is what a split of images adds to the figure by case: every arm was run once more on folds of the same "
    "sizes in which images of one case lie on both sides, so that an arm is rewarded for recognising the case.",
    "It is not a real gain, because only the figure by case can be expected for a new case; its limits come from "
    "leaving out each case, on both sides at once.",
)


def leak_price_table(run, image_run):
    """What each arm gains from a split that ignores cases.

    The price is the figure on folds of images less the figure on folds by case; its 95 % limits are those of
    `glomfeat.metrics.paired.paired_difference`, taking the models as they are.

    Parameters
    ----------
    run : Run
        The run on folds by case.
    image_run : Run
        The same arms on folds of images of the same sizes, with the same cases.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per arm, the highest price in AUROC first. An arm whose trials are not all done has no
        figures; `status` says how they ended. The floor has no limits, because it looks at no image and no case can
        change its price.
    """
    units, classes, rows = units_of(run), len(run.manifest.classes), []
    weights, other = leave_out_weights(units.max() + 1), arms_of(image_run)
    for name, trials in arms_of(run).items():
        sides = (run, trials), (image_run, other[name])
        row = {"arm": name, "status": status_of(one.record(trial) for one, mine in sides for trial in mine)}
        if row["status"] == "done":
            row |= _prices([regroup(trial_parts(*side), units) for side in sides], classes, weights)
            row |= dict.fromkeys(OF_LIMITS, np.nan) if name == FLOOR else {}
        rows.append(row)
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return frame.sort_values("auroc_price", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _prices(sides, classes, weights):
    by_case, by_image = (measure(parts, classes) for parts in sides)
    of_cases, of_images = (measure(parts, classes, weights) for parts in sides)
    row, holders = {}, count_holders(sides[0], classes)
    for name in PRICED:
        apart = by_image[name].item() - by_case[name].item()
        price = paired_difference(apart, of_images[name] - of_cases[name], holders)
        found = by_case[name].item(), by_image[name].item(), price.value, price.lo, price.hi
        row |= zip((f"{name}{end}" for end in ENDS), found, strict=True)
    return row


def read_leak_price(out):
    """Read the table that a run wrote into its folder.

    Returns
    -------
    pandas.DataFrame
        As from `leak_price_table`.
    """
    return read_csv(Path(out).expanduser() / "leak_price.csv")


def leak_cells(table):
    """The prices in AUROC as text, the best arm by case first, without the floor, which looks at no image.

    Parameters
    ----------
    table : pandas.DataFrame
        From `leak_price_table`.

    Returns
    -------
    list of list of str
        The heading is first.

    Examples
    --------
    >>> row = dict.fromkeys(COLUMNS, 0.5) | {"arm": "a/none/svm", "status": "done", "auroc_price": -0.25}
    >>> leak_cells(pd.DataFrame([row]))[1]
    ['a/none/svm', '0.500', '0.500', '-0.250 (+0.500 to +0.500)']
    """
    shown = table[table["arm"] != FLOOR].sort_values("auroc_by_case", ascending=False, kind="stable")
    head = ["arm", "AUROC by case", "by image", "price (95 % limits)"]
    return [head, *(_cells(row) for row in shown.to_dict("records"))]


def _cells(row):
    if np.isnan(row["auroc_price"]):
        return [row["arm"] if row["status"] == "done" else f"{row['arm']} ({row['status']})", "", "", ""]
    return [row["arm"], f"{row['auroc_by_case']:.3f}", f"{row['auroc_by_image']:.3f}", price_in_words(row)]


def price_in_words(row):
    """A price in AUROC with its limits, if it has any.

    Parameters
    ----------
    row : dict
        A row of `leak_price_table`.

    Returns
    -------
    str
    """
    price, low, high = (signed(row[f"auroc_price{end}"]) for end in ("", "_lo", "_hi"))
    return price if np.isnan(row["auroc_price_lo"]) else f"{price} ({low} to {high})"


def print_leak_price(table, console):
    """Print the table with rich, and say in two sentences what it means.

    Parameters
    ----------
    table : pandas.DataFrame
        From `leak_price_table`.
    console : rich.console.Console
    """
    print_cells(leak_cells(table), "the price of leaking: a split of images beside the split by case", console)
    for said in SAID:
        console.print(said, markup=False, highlight=False)
