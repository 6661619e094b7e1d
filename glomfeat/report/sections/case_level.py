"""The section on one call for each case, for data in which all images of a case are of one class."""

from glomfeat.core.arms import FLOOR
from glomfeat.results.case_level import MAXIMUM, MEAN, SHARE, one_class_each, why_uncalled
from glomfeat.results.words import plain_class

NAME, TITLE, ORDER, TEMPLATE = "case-level", "By case", 31, "sections/case_level.html"
RULES = {
    MEAN: "The score of a case is the mean score of its images, and the threshold of images decides on it.",
    MAXIMUM: "The score of a case is the largest score of its images, and the threshold of images decides on it; the "
    "more images a case has, the more easily one of them is above it.",
    SHARE: "The score of a case is the share of its images that are called positive, and a half decides.",
}
OF_TWO = {"auroc": "AUROC", "sensitivity_t": "sensitivity", "specificity_t": "specificity"}
OF_MORE = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity", "accuracy": "accuracy"}


def fill(content):
    """Make a row for each arm, best first.

    None if cases hold several classes. There are no rows until the run is finished, or if some cases have no single
    call.
    """
    manifest, table = content.run.manifest, content.case_level
    if not one_class_each(manifest):
        return None
    if why := why_uncalled(content.run):
        return {"why": why, "rows": []}
    two, rule = len(manifest.classes) == 2, content.loaded.study.get("case_rule", MEAN)
    if table is not None:
        rule = table["rule"].iloc[0]
        table = table[table["arm"].isin(content.names) & (table["arm"] != FLOOR) & table["accuracy"].notna()]
        table = table.sort_values("auroc", ascending=False, kind="stable")
    return {
        "why": "",
        "rows": [] if table is None else table.to_dict("records"),
        "names": content.names,
        "unfinished": content.unfinished,
        "two": two,
        "figures": OF_TWO if two else OF_MORE,
        "rule": RULES[rule],
        "positive": plain_class(manifest.classes[-1]).removeprefix("class "),
    }
