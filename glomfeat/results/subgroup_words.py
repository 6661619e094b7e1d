"""What a table of subgroups says about the best arm, in words."""

from glomfeat.core.words import joined
from glomfeat.data.lone_values import hide_lone
from glomfeat.data.subgroups import MISSING
from glomfeat.metrics.many import ALPHA
from glomfeat.metrics.table import METRICS
from glomfeat.results.subgroups import COMPARED
from glomfeat.results.tables import read_written, with_figure
from glomfeat.results.words import count, figure

TEXTS = ("arm", "column", "value", "status", "note", "split")


def read_subgroups(path):
    """Read the table that a run wrote; values such as NA and 007 stay as they are.

    Parameters
    ----------
    path : Path or None

    Returns
    -------
    pandas.DataFrame or None
        As from `glomfeat.results.subgroups.subgroups_table`; None for None.
    """
    return read_written(path, TEXTS)


def best_in(table, results):
    """The rows of the best finished arm.

    Parameters
    ----------
    table : pandas.DataFrame
        From `glomfeat.results.subgroups.subgroups_table`.
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.

    Returns
    -------
    pandas.DataFrame
        Empty if no arm is finished.
    """
    done = set(table.loc[table["status"] == "done", "arm"])
    best = next((arm for arm in with_figure(results)["arm"] if arm in done), None)
    return table[table["arm"] == best].reset_index(drop=True)


def shown_values(rows, show_names=False):
    """How to show the value of each row: by number where it may be who a case is, as `hide_lone` says.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `best_in`.
    show_names : bool
        Whether to show all values as they are.

    Returns
    -------
    list of str
    """
    found = rows["value"].tolist()
    for _, mine in rows[rows["value"] != MISSING].groupby("column"):
        for place, value in zip(mine.index, hide_lone(mine["value"], mine["cases"], show_names), strict=True):
            found[place] = value
    return found


def subgroups_in_words(table, results, names=None, show_names=False):
    """Say in which groups the best arm differs from the rest.

    Parameters
    ----------
    table, results : pandas.DataFrame
        As for `best_in`.
    names : dict of str to str, optional
        What arms are called.
    show_names : bool
        As for `shown_values`.

    Returns
    -------
    list of str
        One sentence, and others on what cannot be tested, if there is any.
    """
    mine = best_in(table, results)
    if mine.empty:
        return ["Subgroups: no arm is finished, so nothing is known of them."]
    arm, columns = mine["arm"].iloc[0], joined(mine["column"].unique())
    arm, where, apart = (names or {}).get(arm, arm), f"the {count(len(mine), 'group')} of {columns}", []
    for value, row in zip(shown_values(mine, show_names), mine.to_dict("records"), strict=True):
        if said := [_apart(row, name) for name in COMPARED if row[f"{name}_p_holm"] < ALPHA]:
            apart.append(f"{row['column']} {value} ({'; '.join(said)})")
    measured = [name for name in COMPARED if mine[name].notna().any()]
    known = mine[[f"{name}_p" for name in measured]].notna()
    tested = known.any(axis=1)
    if apart:
        found = f"Subgroups: of {where}, {arm} differs from the rest beyond chance in {'; '.join(apart)}."
    elif tested.any():
        low = mine["auroc_difference_lo"].min()  # NaN if no difference of AUROC has limits
        found = f"Subgroups: in none of {where} does {arm} differ from the rest beyond chance"
        found += "" if known.all(axis=None) else " in what can be tested"
        if low <= -1:
            found += ", but one or more are so small that these cases allow any difference in AUROC."
        else:
            found += f", but these cases allow it to be worse in one by {-low:.3f} in AUROC." if low < 0 else "."
    else:
        found = f"Subgroups: whether {arm} differs between {where} cannot be told."
    partly = tested & ~known.all(axis=1)
    lacking = [name for name in measured if not known[f"{name}_p"][partly].all()]
    of = dict.fromkeys(METRICS[name].title.split(" at ")[0] for name in lacking) or [""]
    untested = (partly, f"differences of {joined(of, 'or')} cannot"), (~tested, "no difference can")
    counts = ((count(int(which.sum()), "group"), what) for which, what in untested if which.any())
    return [found, *(f"Of {groups} {what} be tested: subgroups.csv says why." for groups, what in counts)]


def _apart(row, name):
    low, high = (row[f"{name}_difference_{end}"] for end in ("lo", "hi"))
    apart = f"{row[f'{name}_difference']:+z.3f} to the rest, 95 % limits {low:+z.3f} to {high:+z.3f}"
    return f"{METRICS[name].title} {figure(row[name])}, {apart}"
