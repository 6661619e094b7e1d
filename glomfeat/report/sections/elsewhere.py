"""The section on cohorts of other places: internal and external results, and whether the ranking of arms held."""

from glomfeat.core.words import capital
from glomfeat.metrics.thresholds import fixed_at
from glomfeat.results.external import ALIKE, alike_in_words, external_cells, held_in_words, in_short

NAME, TITLE, ORDER, TEMPLATE = "elsewhere", "Elsewhere", 37, "sections/elsewhere.html"


def fill(content):
    """Make a table for each cohort; None if no cohort was scored."""
    if content.external is None or content.external.empty:
        return None
    names, cohorts = content.names, []
    for name, rows in content.external.groupby("cohort", sort=False):
        cells = [cell | {"arm": names.get(cell["arm"], cell["arm"])} for cell in external_cells(rows)]
        lacking = next((why for why in rows["reason"] if "no AUROC" in why), "")
        said = held_in_words(rows, content.results, names).removeprefix(f"{name}: ")
        about = {"name": name, "about": in_short(rows), "said": capital(said), "rows": cells}
        alike = int(rows[ALIKE].iloc[0]) if ALIKE in rows else 0  # older versions did not count them
        about["alike"] = f"Warning: {alike_in_words(alike, int(rows['cases'].iloc[0]))}." if alike else ""
        cohorts.append(about | {"lacking": lacking.rpartition("; ")[2]})
    return {
        "cohorts": cohorts,
        "images": len(content.run.manifest),
        "mapped": [pair.rpartition("=")[::2] for pair in content.loaded.study.get("map") or ()],
        "two": len(content.run.manifest.classes) == 2,
        "number": fixed_at(content.loaded.identity["threshold"]),
    }
