"""The section of agreement per case: how far percentages of cases are off."""

from glomfeat.results.case_level import one_class_each
from glomfeat.results.words import count, plain_class

NAME, TITLE, ORDER, TEMPLATE = "cases", "By case", 30, "sections/cases.html"


def fill(content):
    """A row an arm, and what its worst tenth is.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    dict or None
        None where every image is a case of its own, where each case is of one class, or nothing is done.
    """
    manifest = content.run.manifest
    if not manifest.by_case or one_class_each(manifest) or content.agreement.empty:
        return None
    order = {arm: k for k, arm in enumerate(content.results["arm"])}
    table = content.agreement.sort_values("arm", key=lambda arms: arms.map(order))
    reference, worst = table["reference"].iloc[0], int(table["worst_cases"].max())
    return {
        "rows": table.to_dict("records"),
        "names": content.names,
        "reference": content.names.get(reference, reference) if isinstance(reference, str) else "",
        "worst": count(worst, "case"),
        "positive": plain_class(manifest.classes[-1]),
        "several": len(manifest.classes) > 2,
    }
