"""The section of one call for each case, where all images of a case are of one class."""

from glomfeat.core.arms import FLOOR
from glomfeat.results.words import plain_class

NAME, TITLE, ORDER, TEMPLATE = "case-level", "By case", 31, "sections/case_level.html"
RULES = {
    "mean": "The score of a case is the mean score of its images, and the threshold of images decides on it.",
    "maximum": "The score of a case is the largest score of its images, and the threshold of images decides on it; the "
    "more images a case has, the easier one of them is above.",
    "share": "The score of a case is the share of its images that are called positive, and a half decides.",
}
OF_TWO = {"auroc": "AUROC", "sensitivity_t": "sensitivity", "specificity_t": "specificity"}
OF_MORE = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity", "accuracy": "accuracy"}


def fill(content):
    """A row an arm, best first.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    dict or None
        None where cases hold several classes.
    """
    table = content.case_level
    if table is None or table["auroc"].isna().all():
        return None
    two = len(content.run.manifest.classes) == 2
    table = table[table["arm"].isin(content.names) & (table["arm"] != FLOOR)]
    return {
        "rows": table.sort_values("auroc", ascending=False, kind="stable").to_dict("records"),
        "names": content.names,
        "two": two,
        "figures": OF_TWO if two else OF_MORE,
        "rule": RULES[table["rule"].iloc[0]],
        "positive": plain_class(content.run.manifest.classes[-1]).removeprefix("class "),
    }
