"""What a pathologist reads off a biopsy: by slide and case, the percentage of images that a model calls a class."""

import numpy as np
import pandas as pd

from glomfeat.data.cases import pseudonyms
from glomfeat.data.labels.find import PERCENTAGES
from glomfeat.metrics.proportion import share_limits

CASE, SLIDE = "case", "slide"
MEANING = (
    "Limits are 95 % limits of a percentage that was counted in so many images (Wilson 1927): where it would lie if "
    "many more images like these were counted. They take images for independent, so that sections of one glomerulus "
    "make them too narrow, and they know nothing of the model's own errors."
)


def percentages_table(frame, classes, by):
    """Percentages for slides or cases: of the positive class or, with more than two classes, of each class.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per image: ``case`` and ``slide`` (None if unknown), ``prediction`` (index of the class; missing if
        there is none) and ``truth`` (the same for the label).
    classes : sequence of str
    by : {"case", "slide"}

    Returns
    -------
    pandas.DataFrame
        One row for each case or slide and class: ``case`` or ``slide, case``, then
        `glomfeat.data.labels.find.PERCENTAGES`, so that no study takes the table for labels. Percentages are among
        images with a prediction, true ones among images with a label. Limits are those of
        `glomfeat.metrics.proportion.share_limits`.

    Examples
    --------
    >>> told = {"case": list("aab"), "slide": list("xyz"), "prediction": [1, 0, 1], "truth": [1, 0, None]}
    >>> table = percentages_table(pd.DataFrame(told), ["no", "yes"], "case")
    >>> table[["case", "of_class", "images", "called", "percent"]].to_numpy().tolist()
    [['a', 'yes', 2, 1, 50.0], ['b', 'yes', 1, 1, 100.0]]
    """
    units = [CASE] if by == CASE else [SLIDE, CASE]
    known = frame[frame[CASE].notna()].astype({CASE: str, SLIDE: str})
    shown = pseudonyms(known[CASE])
    first = len(classes) - 1 if len(classes) == 2 else 0
    pairs = known[[SLIDE, CASE]].drop_duplicates().sort_values([CASE, SLIDE])
    counted = pairs.groupby(CASE).cumcount() + 1
    numbers = dict(zip(pairs.itertuples(index=False, name=None), counted, strict=True))
    rows = []
    for place, of in known.groupby(units, sort=True):
        told, true = of["prediction"].dropna(), of["truth"].dropna()
        case = place[-1]
        number = "" if by == CASE else f" slide {numbers[place]}"
        for code in range(first, len(classes)):
            row = dict(zip(units, place, strict=True)) | {"pseudonym": shown[case] + number, "of_class": classes[code]}
            row |= {"images": len(told), "called": int((told == code).sum()), "labelled": len(true)}
            row |= {
                "true_percent": _percent((true == code).sum(), len(true)),
                "without_prediction": len(of) - len(told),
            }
            rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=[*units, *PERCENTAGES])
    table["percent"] = [_percent(*pair) for pair in zip(table["called"], table["images"], strict=True)]
    low, high = share_limits(table["called"], table["images"])
    return table.assign(percent_lo=100 * low, percent_hi=100 * high)


def _percent(part, of):
    return 100 * part / of if of else np.nan
