"""What is wrong with a data set: each problem with the rows where it is, and all of them in one message."""

from glomfeat.core.errors import UserError
from glomfeat.core.words import printable
from glomfeat.data.cases import pseudonyms

SHOWN = 5
REMEDIES = {
    " without a file": "take the rows out, or bring the files",
    "cannot be opened": "look whether they are there and may be read, or move them out of DATA",
    " without a label": "give each a row with its class, or move it out of DATA",
}


class ManifestError(UserError, ValueError):
    """Problems of a data set, all of them in one message."""


def complain(source, problems):
    """Raise all problems, if there are any."""
    if not problems:
        return
    lines = [f"{source}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    for what, rows in problems:
        more = ", ..." if len(rows) > SHOWN else ""
        listed = f": {', '.join(map(printable, rows[:SHOWN]))}{more}" if rows else ""
        remedy = next((f" ({remedy})" for part, remedy in REMEDIES.items() if part in what), "")
        lines.append(f"- {f'{len(rows)} ' if rows else ''}{what}{listed}{remedy}")
    raise ManifestError("\n".join(lines))


def duplicate_problems(table, classes, by_case):
    """Byte-identical images under several classes or, where cases are known, several cases.

    Returns
    -------
    list of (str, list of str)
        What is wrong, and a text per group of images.
    """
    same = table[table["digest"].duplicated(keep=False) & (table["digest"] != "")].groupby("digest")
    across = {"classes": [], "cases": []}
    for _, rows in same:
        text = " = ".join(rows["name"])
        if rows["label"].nunique() > 1:
            across["classes"].append(f"{text} ({', '.join(classes[label] for label in rows['label'])})")
        elif by_case and rows["case"].nunique() > 1:
            across["cases"].append(text)
    return [(f"byte-identical images across {what}: keep one of each", rows) for what, rows in across.items() if rows]


def case_problems(table, classes, parts, by_case, show_names=False):
    """Classes that are in too few cases to be dealt into `parts` that hold every class.

    Each part needs a case of every class, and what is left when one part is held out needs two, because
    hyper-parameters and thresholds are chosen by a split inside it.

    Returns
    -------
    list of (str, list of str)
    """
    needed, problems = max(parts, 4) if parts == 2 else parts, []
    for label, name in enumerate(classes):
        rows = table[table["label"] == label]
        cases = rows["case"].unique()
        role = ("negatives", "positives")[label] if len(classes) == 2 else "images"
        if by_case and len(cases) == 1 and parts > 1:
            case = cases[0] if show_names else pseudonyms(table["case"])[cases[0]]
            what = f"all {len(rows)} {role} ({name}) are of case {case}: folds by case are impossible; "
            problems.append((what + "add cases or use --groups none", []))
        elif len(cases) < needed:
            unit = "cases" if by_case else "images"
            remedy = f"use --folds {len(cases)}" if len(cases) > 2 and parts > 3 else f"add {unit}"
            remedy += " or use --groups none" if by_case else ""
            what = f"the {len(rows)} {role} ({name}) are in {len(cases)} {unit}, {parts} parts need {needed}"
            problems.append((f"{what}: {remedy}", []))
    return problems
