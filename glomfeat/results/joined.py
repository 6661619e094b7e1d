"""Joined columns: what they hold in each class, and what they and the images add to each other."""

from dataclasses import replace

import numpy as np
import pandas as pd

from glomfeat.core.arms import Arm, split_joined
from glomfeat.core.words import joined as listed
from glomfeat.core.words import number_of
from glomfeat.data.joined import mostly_of_one_case
from glomfeat.metrics.many import holm
from glomfeat.results.pairs import pairs_of
from glomfeat.results.words import p_value

COLUMNS = ("column", "kind", "class", "value", "images", "of", "mean", "sd", "median", "q1", "q3", "one_case", "split")
PAIR_COLUMNS = ("arm", "other", "adds", "difference", "lo", "hi", "p", "p_holm", "split")
IMAGES, VALUES = "images", "columns"  # what one arm reads and the other does not
ALPHA = 0.05
NUMBER, TEXT, NO_VALUE = "number", "text", "(missing)"


def joined_table(run, joined):
    """What joined columns hold in each class.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    joined : glomfeat.data.joined.Joined
        Columns for the images of the run.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. For numbers, a row per class with how many images have a value, and the mean, standard
        deviation, median and quartiles; for texts, a row per class and value; and a row for images without a value, if
        there are any. ``of`` is how many images the class has; ``one_case`` whether most texts belong to one case
        alone, and may reveal who it is.
    """
    labels, rows = run.manifest.labels, []
    for column in joined.columns:
        missing, kind = column.missing, NUMBER if column.is_number else TEXT
        alone = not column.is_number and mostly_of_one_case(column, run.manifest.cases)
        values = [""] if column.is_number else np.unique(column.values[~missing]).tolist()
        for k, name in enumerate(run.manifest.classes):
            own = labels == k
            head = {"column": column.name, "kind": kind, "class": name, "of": int(own.sum()), "one_case": alone}
            for value in values:
                held = own & ~missing & ((column.values == value) if kind == TEXT else True)
                row = head | {"value": value, "images": int(held.sum())}
                rows.append(row | (_figures(column.values[held]) if kind == NUMBER else {}))
            if missing.any():
                rows.append(head | {"value": NO_VALUE, "images": int((own & missing).sum())})
    return pd.DataFrame(rows).reindex(columns=COLUMNS).assign(split=run.manifest.split)


def _figures(values):
    if not len(values):
        return {}
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    spread = values.std(ddof=1) if len(values) > 1 else np.nan
    return {"mean": values.mean(), "sd": spread, "median": median, "q1": q1, "q3": q3}


def joined_pairs_table(pairs):
    """Compare each arm with columns to the same arm without them, and to the columns alone with the same head.

    Parameters
    ----------
    pairs : pandas.DataFrame
        From `glomfeat.results.pairs.pairs_table`.

    Returns
    -------
    pandas.DataFrame
        Columns `PAIR_COLUMNS`. ``adds`` is what the arm reads and the other does not: ``images`` or ``columns``.
        ``difference, lo, hi, p`` are those of AUROC in pairs.csv; ``p_holm`` is adjusted over all rows with the same
        ``adds`` (Holm 1979).
    """
    there, rows = [*dict.fromkeys([*pairs["arm"], *pairs["other"]])], []
    for adds in (IMAGES, VALUES):
        of_kind = [row | {"adds": adds} for name in there for row in _less(pairs, Arm.parse(name), adds)]
        known = [row for row in of_kind if np.isfinite(row["p"])]
        for row, p in zip(known, holm([row["p"] for row in known]) if known else [], strict=True):
            row["p_holm"] = p
        rows += of_kind
    return pd.DataFrame(rows).reindex(columns=PAIR_COLUMNS)


def _less(pairs, arm, adds):
    """The difference of an arm with columns to the one that does not read what it adds; none for other arms."""
    base, columns = ("", "") if arm.members or arm.net else split_joined(arm.feature)
    if not columns:
        return []
    other = Arm(columns, "none", arm.head) if adds == IMAGES else replace(arm, feature=base)
    mine = pairs[(pairs["arm"] == str(arm)) | (pairs["other"] == str(arm))]
    return pairs_of(mine, str(other)).to_dict("records")


def added_in_words(table, names):
    """Say what images add to the columns, and columns to the images: a sentence each, on the best such arm.

    Parameters
    ----------
    table : pandas.DataFrame
        From `joined_pairs_table`.
    names : dict of str to str
        Names of arms, as the page shows them.

    Returns
    -------
    list of str
    """
    said = []
    for adds, what in ((IMAGES, "what images add to the columns"), (VALUES, "what the columns add to images")):
        rows = table[table["adds"] == adds].to_dict("records")
        if not rows:
            continue
        row = rows[0]
        arm, other = (names.get(row[which], row[which]) for which in ("arm", "other"))
        limits = f", 95 % limits {row['lo']:+.3f} to {row['hi']:+.3f}" if np.isfinite(row["lo"]) else ", without limits"
        of = f"adjusted for {number_of(len(rows), 'arm')}"
        more = f", {p_value(row['p_holm'])} {of}" if np.isfinite(row["p_holm"]) else ""
        verdict = "; that is no more than chance could make" if row["p_holm"] >= ALPHA else ""
        apart = f"{round(row['difference'], 3) + 0.0:+.3f}{limits}{more}{verdict}"
        said.append(f"{what}: AUROC of {arm} less that of {other} is {apart}")
    return said


def columns_in_words(table):
    """The names of joined columns, joined as in prose."""
    return listed(list(dict.fromkeys(table["column"])))
