"""The case and slide of each image with a prediction, for percentages by slide and case."""

import pandas as pd

from glomfeat.core.words import number_of
from glomfeat.data.cases import find_cases, why_by_image
from glomfeat.data.tables.read import CASE_COLUMNS, SLIDE_COLUMNS, find_column

LEAST = 0.5  # share of the images with a prediction: a pattern that fits only a few names does not count


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
    frame = predicted[["name", "prediction"]]
    for told in (facts, labels):
        if told is not None:
            named = {find_column(told, kind) for kind in (CASE_COLUMNS, SLIDE_COLUMNS, ("image",), (groups,))}
            own = [column for column in told.columns if column in named - {*frame.columns}]
            frame = frame.merge(told[["name", *own]].drop_duplicates("name"), on="name", how="left")
    cases, by_case, _, _ = find_cases(frame, groups)
    told, known = frame["prediction"].notna(), cases["case"].notna().to_numpy()
    if not by_case or known[told].sum() <= LEAST * told.sum():
        return None, f"no percentages by case, because {why_by_image(groups)}"
    truth = pd.Series(dtype=float) if labels is None else labels.set_index("name")["label"].astype(float)
    frame = frame[["name", "prediction"]].assign(
        truth=frame["name"].map(truth), case=cases["case"].to_numpy(), slide=cases["slide"].to_numpy()
    )
    lost = int((told & ~known).sum())
    return frame, f"{number_of(lost, unit[:-1])} of no known case: left out of percentages" if lost else ""
