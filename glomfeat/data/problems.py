"""What is wrong with a data set: each problem with its rows, and all problems in one message."""

from glomfeat.core.errors import UserError
from glomfeat.core.words import number_of, printable
from glomfeat.data.cases import pseudonyms

SHOWN = 5
MANY_CLASSES = 20
PLURALS = ("cases", "files", "folders", "images", "labels", "names", "rows", "sets")
REMEDIES = {
    " without a file": "take the rows out, or bring the files",
    "cannot be opened": "check that they exist and may be read, or move them out of DATA",
    " without a row in ": "add one for each, or move them out of DATA",
    " without a label": (
        "give each a row with its class, or move it out of DATA; to use only some images, give a table of these as "
        "DATA, with a column 'path'"
    ),
}
ARE_PATIENTS = (
    ", and check that each case is a patient (--groups); --groups none splits by image, which says nothing about new "
    "patients"
)
ARE_CLASSES = "check that these are the classes (--label-column names the column, --layout the level of folders)"


class ManifestError(UserError, ValueError):
    """A data set has problems; the message gives all of them."""


class Gap(str):
    """What is wrong with a data set if images or labels are merely missing; those that are there may still be right."""


def complain(source, problems, in_full=""):
    """Raise all problems as one error, if there are any; `in_full` says where rows beyond the first are listed."""
    if not problems:
        return
    lines = [f"{source}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"]
    for what, rows in problems:
        more = ", ..." if len(rows) > SHOWN else ""
        listed = f": {', '.join(map(printable, rows[:SHOWN]))}{more}" if rows else ""
        where = f"; {in_full}" if more and in_full else ""
        remedy = next((f" ({remedy}{where})" for part, remedy in REMEDIES.items() if part in what), "")
        lines.append(f"- {count_of(what, rows)}{listed}{remedy}")
    raise ManifestError("\n".join(lines))


def count_of(what, rows):
    """A problem with the number of its rows.

    Examples
    --------
    >>> count_of("images under two labels", ["a.png"]), count_of("one class only", [])
    ('1 image under two labels', 'one class only')
    """
    return f"{len(rows)} {_of_one(what) if len(rows) == 1 else what}" if rows else what


def _of_one(what):
    """A problem in the singular, from its plural.

    Examples
    --------
    >>> _of_one("cases have several values"), _of_one("files that cannot be opened")
    ('case has several values', 'file that cannot be opened')
    >>> _of_one("files, all of folder sick, cannot be read")
    'file, all of folder sick, cannot be read'
    """
    noun, _, rest = what.partition(" ")
    verbs = {"have": "has", "are": "is", "lie": "lies"}
    verb, _, more = rest.partition(" ")
    rest = f"{verbs[verb]} {more}" if verb in verbs else rest
    for several, one in (
        ("of classes hold", "of classes holds"),
        ("that fit", "that fits"),
        ("that lead", "that leads"),
    ):
        rest = rest.replace(f"{several} ", f"{one} ")
    several = noun.rstrip(",")
    return f"{noun.replace(several, several.removesuffix('s')) if several in PLURALS else noun} {rest}"


def duplicate_problems(table, classes, by_case):
    """Find byte-identical images in several classes or, if cases are known, several cases.

    Returns
    -------
    list of (str, list of str)
        What is wrong, and a text for each group of images.
    """
    same = table[table["digest"].duplicated(keep=False) & (table["digest"] != "")].groupby("digest")
    across = {"classes": [], "cases": []}
    for _, rows in same:
        text = " = ".join(rows["name"])
        if rows["label"].nunique() > 1:
            across["classes"].append(f"{text} ({', '.join(classes[label] for label in rows['label'])})")
        elif by_case and rows["case"].nunique() > 1:
            across["cases"].append(text)
    said = "sets of byte-identical images across {}: keep one of each"
    return [(said.format(what), rows) for what, rows in across.items() if rows]


def case_problems(table, classes, parts, by_case, show_names=False, called="folds"):
    """Find classes with too few cases for `parts`, which are `called` so, that each hold every class.

    Each part needs a case of every class, and what is left when one part is held out needs two, because
    hyper-parameters and thresholds are chosen by a split inside it.

    Returns
    -------
    list of (str, list of str)
        One for each class; the last one ends with the remedy for all of them. A single one if the classes may be
        patients, dates or the like: names of patients would be told beside their pseudonyms.
    """
    needed, reasons = max(parts, 4) if parts == 2 else parts, []
    held = [table.loc[table["label"] == label, "case"] for label in range(len(classes))]
    counts, unit = [cases.nunique() for cases in held], "case" if by_case else "image"
    for label, (name, cases, count) in enumerate(zip(classes, held, counts, strict=True)):
        role = ("negatives", "positives")[label] if len(classes) == 2 else "images"
        if by_case and count == 1 and parts > 1:
            case = cases.iloc[0] if show_names else pseudonyms(table["case"])[cases.iloc[0]]
            all_are = f"all {len(cases)} {role} ({name}) are" if len(cases) > 1 else f"the only {role[:-1]} ({name}) is"
            reasons.append(f"{all_are} of case {case}: folds by case are impossible")
        elif count < needed:
            some = number_of(len(cases), f"{role[:-1]} ({name}) is", f"{role} ({name}) are")
            reasons.append(f"the {some} in {number_of(count, unit)}, {parts} {called} need {needed}")
    remedy = f"use --folds {min(counts)}" if min(counts, default=0) > 2 else f"add {unit}s"
    lone = counts.count(1) if by_case else 0
    if reasons and len(classes) > 2 and (len(classes) > MANY_CLASSES or 2 * lone > len(classes)):
        single = f", {lone} of them in a single one" if lone else ""
        reasons = [
            f"{len(reasons)} of {len(classes)} classes are in fewer than {needed} {unit}s{single}: {ARE_CLASSES}"
        ]
        remedy = f"if they are, {remedy}"
    if reasons:
        reasons[-1] += f"; {remedy}{ARE_PATIENTS if by_case else ''}"
    return [(reason, []) for reason in reasons]
