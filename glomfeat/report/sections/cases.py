"""The section on agreement per case: how far the percentages of cases are off."""

from glomfeat.core.arms import FLOOR
from glomfeat.results.case_level import one_class_each
from glomfeat.results.words import count, plain_class

NAME, TITLE, ORDER, TEMPLATE = "cases", "By case", 30, "sections/cases.html"


def fill(content):
    """Make a row for each arm, and say which cases are the worst tenth.

    None if every image is its own case, if each case is of one class, or if no arm but the floor is done yet.
    """
    manifest = content.run.manifest
    table = content.agreement[content.agreement["arm"] != FLOOR]
    if not manifest.by_case or one_class_each(manifest) or table.empty:
        return None
    order = {arm: k for k, arm in enumerate(content.results["arm"])}
    table = table.sort_values("arm", key=lambda arms: arms.map(order))
    reference, worst = table["reference"].iloc[0], int(table["worst_cases"].max())
    return {
        "rows": table.to_dict("records"),
        "names": content.names,
        "unfinished": content.unfinished,
        "reference": content.names.get(reference, reference) if isinstance(reference, str) else "",
        "worst": count(worst, "case"),
        "positive": plain_class(manifest.classes[-1]),
        "several": len(manifest.classes) > 2,
    }
