"""The section on ordered classes: how far calls are from the truth."""

from glomfeat.results.ordinal import KAPPA, STEPS
from glomfeat.results.words import plain_class

NAME, TITLE, ORDER, TEMPLATE = "ordinal", "Ordered classes", 26, "sections/ordinal.html"


def fill(content):
    """Make a row for each arm, the highest kappa first; None if no order was given."""
    table = content.ordinal
    if table is None or table[STEPS].isna().all():
        return None
    table = table[table["arm"].isin(content.names) & table[STEPS].notna()]
    return {
        "rows": table.sort_values(KAPPA, ascending=False, kind="stable").to_dict("records"),
        "names": content.names,
        "figures": {KAPPA: "quadratic kappa", STEPS: "mean absolute error, steps"},
        "order": ", ".join(map(plain_class, table["order"].iloc[0].split(" < "))),
    }
