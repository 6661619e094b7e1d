"""The case and slide of each image with a prediction, for percentages by slide and case."""

import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.cases import BY_FOLDER, find_cases, pseudonyms, why_by_image
from glomfeat.data.tables.own import as_named, header_of
from glomfeat.data.tables.read import CASE_COLUMNS, SLIDE_COLUMNS, find_column, listed

LEAST = 0.5  # share of the images with a prediction: a pattern that fits only a few names does not count


def told_of(names, tables, groups):
    """Collect what tables say about the cases and slides of images.

    Parameters
    ----------
    names : pandas.Series of str
        The images.
    tables : sequence of (pandas.DataFrame or None)
        Each with ``name``. Where several tables fill one column, the first one counts.
    groups : str
        As ``--groups`` of a study.

    Returns
    -------
    pandas.DataFrame
        ``name`` and the columns that `glomfeat.data.cases.find_cases` may use, a row for each of `names`.

    Examples
    --------
    >>> data = pd.DataFrame({"name": ["a", "b"], "case": ["P1", ""], "area": [1, 2]})
    >>> labels = pd.DataFrame({"name": ["b", "c"], "case": ["P2", "P3"], "slide": ["S2", "S3"]})
    >>> told_of(pd.Series(["b", "a"]), (data, labels), "auto").fillna("").values.tolist()
    [['b', 'P2', 'S2'], ['a', 'P1', '']]
    """
    frame = pd.DataFrame({"name": names.to_numpy()})
    for table in tables:
        if table is None:
            continue
        named = as_named(table)
        kinds = {find_column(named, kind) for kind in (CASE_COLUMNS, SLIDE_COLUMNS, ("image",), (groups,))}
        rows = table.drop_duplicates("name").set_index("name")
        for column in (column for column in rows.columns if header_of(column) in kinds or column == BY_FOLDER):
            values = frame["name"].map(rows[column].astype(object))
            if column in frame:
                first = frame[column]
                values = first.where(first.notna() & (first.astype(str).str.strip() != ""), values)
            frame[column] = values
    return frame


def why_no_cases(found, known, groups):
    """Say why cases are of no use; empty if more than half of the rows that count have one.

    Parameters
    ----------
    found : glomfeat.data.cases.Found
    known : pandas.Series or ndarray of bool
        Whether the case is known, for the rows that count.
    groups : str
        As ``--groups`` of a study.

    Returns
    -------
    str
    """
    if not (found.by_case and known.any()):
        return why_by_image(groups)
    few = known.sum() <= LEAST * len(known)
    return f"only {known.sum()} of {len(known)} have a case with --groups {groups!r}" if few else ""


def in_cases(predicted, facts, labels, groups, unit="files"):
    """Add the case, the slide and the label to each prediction.

    Parameters
    ----------
    predicted : pandas.DataFrame
        From an evaluation: ``name, prediction``.
    facts : pandas.DataFrame or None
        ``name``, and columns that may give the case and the slide.
    labels : pandas.DataFrame or None
        From `glomfeat.bundle.against_labels.read_labels`.
    groups : str
        As ``--groups`` of a study.
    unit : str
        ``files`` or ``rows``.

    Returns
    -------
    frame : pandas.DataFrame or None
        ``name, prediction, truth, case, slide``, as `glomfeat.results.percentages.percentages_table` reads it; None if
        cases are not known.
    said : str
        Why cases are not known, or for how many images they are; empty if they are known for all.
    """
    found = find_cases(told_of(predicted["name"], (facts, labels), groups), groups)
    cases, told = found.cases, predicted["prediction"].notna()
    known = cases["case"].notna().to_numpy()
    if why := why_no_cases(found, known[told], groups):
        return None, f"no percentages by case, because {why}"
    truth = pd.Series(dtype=float) if labels is None else labels.set_index("name")["label"].astype(float)
    frame = predicted[["name", "prediction"]].assign(
        truth=predicted["name"].map(truth), case=cases["case"].to_numpy(), slide=cases["slide"].to_numpy()
    )
    lost = int((told & ~known).sum())
    return frame, f"{number_of(lost, unit[:-1])} of no known case: left out of percentages" if lost else ""


def cases_apart(names, facts, labels, groups, unit="files", show_names=False):
    """Say for which images the data and a table of labels name cases that differ, and which of them count.

    Cases that are only called otherwise, with the same images in each, do not differ.

    Parameters
    ----------
    names : pandas.Series of str
        The images.
    facts, labels, groups, unit
        As for `in_cases`.
    show_names : bool
        Whether examples are names of images, or pseudonyms of their cases in the data.

    Returns
    -------
    str
        Empty if nothing differs, or if only one of both names cases.

    Examples
    --------
    >>> data = pd.DataFrame({"name": list("abcd"), "case": ["P1", "P1", "P1", "P2"]})
    >>> cases_apart(data["name"], data, data.assign(case=["1", "1", "2", "2"]), "auto", show_names=True)
    'warning: 1 of 4 files is of another case in the table of labels than in DATA (c): the case of DATA counts'
    """
    if facts is None or labels is None:
        return ""
    told = [told_of(names, tables, groups) for tables in ((facts,), (labels,), (facts, labels))]
    kinds = CASE_COLUMNS if groups == "auto" else (groups,)
    if any(find_column(as_named(frame), kinds) is None for frame in told[:2]):
        return ""
    ours, theirs, used = (find_cases(frame, groups).cases["case"].astype(object) for frame in told)
    both = (ours.notna() & theirs.notna()).to_numpy()
    pairs = pd.DataFrame({"ours": ours[both], "theirs": theirs[both]})
    size = pairs.groupby(["ours", "theirs"])["ours"].transform("size")
    usual = (size == size.groupby(pairs["ours"]).transform("max")) & (
        size == size.groupby(pairs["theirs"]).transform("max")
    )
    apart = pairs[(pairs["ours"] != pairs["theirs"]) & ~usual]
    if apart.empty:
        return ""
    shown = names[apart.index] if show_names else pairs["ours"].map(pseudonyms(pairs["ours"]))[apart.index].unique()
    which = "DATA" if (used[apart.index] == apart["ours"]).all() else "the table of labels"
    verb = "is" if len(apart) == 1 else "are"
    return (
        f"warning: {len(apart)} of {len(pairs)} {unit} {verb} of another case in the table of labels than in DATA "
        f"({listed(list(shown), 3)}): the case of {which} counts"
    )
