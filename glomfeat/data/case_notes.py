"""Notes for the user on how cases were found: examples, the smallest and largest, and what else could be a case."""

import re

import pandas as pd

from glomfeat.core.words import printable
from glomfeat.data.case_doubts import doubts_on_cases
from glomfeat.data.cases import (
    BELOW,
    JOINED,
    LOOKS,
    OF_IDS,
    OURS,
    cases_in_names,
    find_cases,
    search_name,
    shown_as,
)
from glomfeat.data.folders.facts import lines_on_folders
from glomfeat.data.folders.names import are_patients, words_of
from glomfeat.data.tables.columns import SPLITS, label_column
from glomfeat.data.tables.joining import last_part, without_suffix
from glomfeat.data.tables.own import header_of
from glomfeat.data.tables.read import OF_PERSONS, SITE_COLUMNS, find_column, known_kind, listed, plain, read_values

WITHOUT_GROUPS = "without --groups none"
NOT_USED = "columns that are not used"
SHOWN, MOST_PARTS = 5, 20
ABOUT = OF_PERSONS.union(  # what a column says about a patient or a biopsy
    ("date", "day", "year", "time", "type", "weight", "height", "bmi", "egfr", "gfr", "status", "outcome", "diagnosis")
)
PERSONS = re.compile(
    rf"(?i)^(?!.*(group|kidney|block)).*(patient|subject|donor|participant|person|proband|accession|mrn|{OF_IDS})"
)
NUMBERED = re.compile(
    r"(?i)(biops(y|ie)|specimen)s?[\W_]*(u?u?id|nr|no|num(ber)?|code|key|name|identifier|hash|barcode)[\W_]*$"
)
WORD = re.compile(r"(?<![^-_. /])(?![a-fA-F]+(?![^-_. /]))[^\W\d_]{3,}(?![^-_. /])")  # of letters, but no hash
DATE = re.compile(
    r"(?<!\d)((19|20)\d\d([-_.]?)(0[1-9]|1[0-2])\3(0[1-9]|[12]\d|3[01])"
    r"|(0[1-9]|[12]\d|3[01])[-_.](0[1-9]|1[0-2])[-_.](19|20)\d\d)(?!\d)"
)
CHAIN = re.compile(r"[-_ ]\d{3,}(?=[-_ ])")  # more of a number, before that of an image


def notes_on_cases(frame, table, classes, groups, found, show_names):
    """Lines and examples on how cases were found.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the user's columns.
    table : pandas.DataFrame
        From a manifest, in the same rows.
    classes : sequence of str
    groups : str
        As for `glomfeat.data.manifest.read_manifest`.
    found : glomfeat.data.cases.Found
    show_names : bool

    Returns
    -------
    lines, examples : list of str
    """
    if groups == "none":
        return without_groups(frame, table, classes), []
    if found.problems or table["case"].isna().any():
        return [], []
    told = [smallest_and_largest(table["case"], show_names)]
    told += lines_on_folders(frame, show_names) if found.by == "folder" else []
    told += an_image_each(table, found.column) + other_columns(frame, table["case"], found)
    told += without_digits(table["case"]) if found.by in ("pattern", "name") else []
    told += left_out(table["name"], table["case"], groups, show_names, classes) if found.by == "pattern" else []
    told += doubts_on_cases(frame, table, show_names)
    return told, case_examples(table, classes, show_names)


def case_examples(table, classes, show_names=False):
    """Describe five images with their case and slide, from different classes and cases as far as possible.

    Cases appear under pseudonyms, also within names of images and slides, unless `show_names` is set. If not all of
    these hold the case, or if some hold a date or a word that no other case has, they may say in other words who it is,
    and are numbers within the case.

    Examples
    --------
    >>> table = pd.DataFrame({"name": ["Smith_a.png"], "label": [0], "case": ["Smith"], "slide": ["Smith_2"]})
    >>> case_examples(table, ["sick"])
    ['  [C001]_a.png -> class sick, case C001, slide [C001]_2']
    """
    first = table.drop_duplicates("label")
    rest = table[~table["case"].isin(first["case"])]
    rows = pd.concat([first, rest.drop_duplicates("case")])
    rows = pd.concat([rows, table.drop(rows.index)])[:SHOWN]
    called, lines = rows["case"].map(shown_as(table["case"].unique(), show_names)), []
    names, slides = (_texts_shown(table, kind, called, classes, show_names) for kind in ("name", "slide"))
    for name, label, case, slide in zip(names, rows["label"], called, slides, strict=True):
        of_slide = "" if slide == f"[{case}]" else f", slide {slide}"
        lines.append(f"  {name} -> class {printable(classes[label])}, case {case}{of_slide}")
    return lines


def _texts_shown(table, kind, called, classes, show_names):
    """Names or slides of some rows as they are shown; `called` says how their cases are."""
    rows = table.loc[called.index]
    held = all(map(_part_in, table[kind], table["case"]))
    if show_names or (held and not _say_who(table[kind], table["case"], classes)):
        return list(map(_in_brackets, rows[kind], rows["case"], called))
    held = table[table["case"].isin(rows["case"])].groupby("case")[kind]
    numbers = held.transform(lambda texts: pd.factorize(texts)[0] + 1).loc[called.index]
    return [f"{case} · {number}" for case, number in zip(called, numbers, strict=True)]


def _say_who(texts, cases, classes):
    """Whether texts may say beside the case who it is: by a date, or by a word that only one of several cases has."""
    owners = dict.fromkeys(WORD.findall(" ".join(classes).casefold()))
    for text, case in dict.fromkeys(zip(texts, cases, strict=True)):
        rest = without_suffix(str(text)).replace(_part_in(text, case), " ")
        if DATE.search(rest):
            return True
        for word in WORD.findall(rest.casefold()):
            if owners.setdefault(word, case) != case:
                owners[word] = None
    return cases.nunique() > 1 and any(case is not None for case in owners.values())


def _part_in(text, case):
    """What of a case stands in a text: all of it, one of joined cases, or nothing."""
    return next((part for part in (str(case), *str(case).split(JOINED)) if part and part in str(text)), "")


def _in_brackets(text, case, shown):
    """A name in which the case stands in brackets, as it is shown."""
    return printable(str(text).replace(_part_in(text, case) or str(case), f"[{shown}]"))


def without_digits(cases):
    """Warn if no name of a case that was found in file names holds a digit, as numbers of patients do.

    Examples
    --------
    >>> without_digits(pd.Series(["ductal", "lobular"])), without_digits(pd.Series(["ductal", "P001"]))
    (['warning: none of the 2 cases has a digit in its name: check with --show-names that cases are patients'], [])
    """
    names = cases.astype(str).unique()
    if any(re.search(r"\d", name) for name in names):
        return []
    which = f"none of the {len(names)} cases has" if len(names) > 1 else "the only case does not have"
    return [f"warning: {which} a digit in its name: check with --show-names that cases are patients"]


def smallest_and_largest(cases, show_names):
    """Say how many images the smallest and the largest case hold.

    Examples
    --------
    >>> smallest_and_largest(pd.Series(["a", "b", "b"]), show_names=True)
    'images per case: 1 (a) to 2 (b)'
    """
    counts = cases.value_counts(sort=False).sort_index(kind="stable")
    small, large = counts.idxmin(), counts.idxmax()
    shown = shown_as(counts.index, show_names)
    if counts.min() == counts.max():
        return f"images per case: {counts.min()}"
    return f"images per case: {counts.min()} ({shown[small]}) to {counts.max()} ({shown[large]})"


def an_image_each(table, column):
    """Warn if the column of cases makes each image a case of its own and its header is not one of patients'.

    Examples
    --------
    >>> an_image_each(pd.DataFrame({"name": ["a.png", "b.png"], "case": ["a", "b"]}), "image")
    ["warning: column 'image' makes each image a case of its own: check that no two are of one patient"]
    >>> an_image_each(pd.DataFrame({"name": ["a.png", "b.png"], "case": ["a", "b"]}), "Patient No.")
    []
    """
    if not column or known_kind(column) == "case" or table["case"].duplicated().any():
        return []
    return [f"warning: column {column!r} makes each image a case of its own: check that no two are of one patient"]


def other_columns(frame, cases, found):
    """Warn of what looks as if it identifies patients and would join cases that are now apart.

    These are columns of the user's table and, if a column gives the cases, folders and names of files. `cases` are as
    they were found, and `found`, a `glomfeat.data.cases.Found`, says how.
    """
    columns = [column for column in frame.columns if column not in (*OURS, found.column)]
    others = [(f"column {c!r}", frame[c], tells, repr(c)) for c in columns if (tells := _tells(c))]
    if found.by == "column" and BELOW in frame and are_patients({*frame[BELOW].dropna().astype(str)}):
        others.append(("the folder of an image", frame[BELOW], "folder", repr(BELOW)))
    told = cases_in_names(frame["name"]) if found.by == "column" else None
    if told is not None and not _longer(frame["name"], told["case"], cases):
        others.append(("the name of a file", told["case"], "name", "REGEX"))
    apart, same = "it tells patients apart", "folders of one name are of one patient wherever they lie"
    return [
        f"warning: {what} gives {count} cases and {found.how} {cases.nunique()}: if "
        f"{same if tells == 'folder' and _lie_in_several(frame) else apart}, use --groups {groups}"
        for what, values, tells, groups in others
        if (count := _joining(values, cases, tells, frame))
    ]


def _lie_in_several(frame):
    """Whether folders of one patient's name lie in several places, which may be sites that each count their own."""
    places = [path.rpartition(f"/{name}/")[0] for path, name in zip(frame["path"], frame[BELOW], strict=True)]
    return bool((pd.Series(places).groupby(frame[BELOW].to_numpy(object)).nunique() > 1).any())


def _tells(column):
    """What a column seems by its header to tell apart: ``patient``, ``biopsy``, ``group``, or nothing."""
    header = str(column)
    if known_kind(column) == "case":
        return "patient"
    if not LOOKS.search(header) or not ABOUT.isdisjoint(words_of(header)):
        return ""
    return "patient" if PERSONS.search(header) else "biopsy" if NUMBERED.search(header) else "group"


def _joining(values, cases, tells, frame):
    """How many patients some values may tell apart; 0 if they join no cases.

    Only a column of patients may tear cases, as it does if the numbers of cases start again at each site. A group joins
    few cases. A folder or name may be of another patient at another site.
    """
    pairs = pd.DataFrame({"value": read_values(values.to_numpy(object)), "case": cases.to_numpy()})
    site = find_column(frame, SITE_COLUMNS) if tells in ("folder", "name") else None
    pairs["site"] = "" if site is None else read_values(frame[site].to_numpy(object)).to_numpy()
    pairs = pairs[pairs["value"] != ""].drop_duplicates()
    count, ours = pairs["value"].nunique(), pairs["case"].nunique()
    within = len(pairs[["value", "site"]].drop_duplicates())
    nested = tells == "patient" or _fits(pairs[["value", "case"]].drop_duplicates(), ours)
    return count if nested and count > 1 and within < ours and (tells != "group" or 2 * count >= ours) else 0


def _fits(pairs, count):
    """Whether each of some cases has one value, but for a few whose rows may be wrong."""
    return len(pairs) - count <= max(1, count // 10)


def _longer(names, told, cases):
    """Whether the cases in names end within a number, as at a year, and all of it tells the cases of a column."""
    starts, ends = list(told), map(last_part, names)
    longer = [start + (CHAIN.match(end, len(start)) or [""])[0] for start, end in zip(starts, ends, strict=True)]
    pairs = pd.DataFrame({"value": longer, "case": cases.to_numpy()}).drop_duplicates()
    return longer != starts and all(_fits(pairs, count) for count in pairs.nunique())


def left_out(names, cases, groups, show_names=False, classes=()):
    """Find names that a pattern puts into one case although letters or digits right beside the match differ.

    Parameters
    ----------
    names : sequence of str
    cases : sequence of str
    groups : str
        A regular expression.
    show_names : bool
        Whether cases appear under their real names instead of pseudonyms, also within names of images. If names may say
        in other words who it is, neither they nor the letters are shown without it.
    classes : sequence of str
        Words that say nothing about a case.

    Returns
    -------
    list of str
        A warning with examples, or none.

    Examples
    --------
    >>> left_out(["A1_x.png", "B1_y.png"], ["1", "1"], "(?P<case>[0-9]+)_")[0].rpartition(",")[0]
    "warning: --groups ignores letters that differ: 'A[C001]_x.png' and 'B[C001]_y.png' are both case C001"
    """
    seen = {}
    for name, case in zip(names, cases, strict=True):
        match = search_name(groups, name)
        if match is None or not match["case"]:
            continue
        start, end = match.span("case")
        if "slide" in match.re.groupindex and match["slide"] is not None:  # what the slide group matched counts as seen
            start, end = min(start, match.start("slide")), max(end, match.end("slide"))
        text = match.string
        before, after = re.search(r"[^\W_]*$", text[:start])[0], re.match(r"[^\W_]*", text[end:])[0]
        there = seen.setdefault(case, (name, before, after))
        if there[1:] != (before, after):
            side = 1 if there[1] != before else 2
            ends = " and by ".join(repr(end) if end else "nothing" for end in (there[side], (before, after)[side - 1]))
            shown, where = shown_as(cases, show_names)[case], ("preceded", "followed")[side - 1]
            if not show_names and _say_who(names, pd.Series([*cases]), classes):
                return [
                    f"warning: --groups ignores letters that differ: case {shown} is {where} by different letters in "
                    "two names, which --show-names shows; widen (?P<case>...) if these are two cases"
                ]
            both = " and ".join(repr(_in_brackets(one, case, shown)) for one in (there[0], name))
            return [
                f"warning: --groups ignores letters that differ: {both} are both case {shown}, which is "
                f"{where} by {ends}; widen (?P<case>...) if these are two cases"
            ]
    return []


def without_groups(frame, table, classes):
    """Say what cases would have been found if none were asked for, and which class has only one of them.

    Nothing is said if no cases could have been found. `table` has the ``label`` of the rows of `frame`.
    """
    found = find_cases(frame, "auto")
    count = found.cases["case"].nunique()
    if found.problems or not 0 < count < len(frame):
        return []
    held = pd.Series(found.cases["case"].to_numpy()).groupby(table["label"].to_numpy()).agg(["nunique", "size"])
    roles = ("negatives", "positives") if len(classes) == 2 else ("images",) * len(classes)
    alone = [
        f"all {row['size']} {roles[label]} ({classes[label]}) are of one case"
        for label, row in held.iterrows()
        if row["nunique"] == 1
    ]
    ends = f", and {'; '.join(alone)}: whatever tells that case tells the class" if alone else ""
    return [f"{WITHOUT_GROUPS} there would be {count} cases, {found.how}{ends}"]


def unused_columns(frame, asked, case):
    """List the columns of a table of labels that are not used for anything, in at most two lines.

    `case` is the column that holds the cases, if any does.

    Examples
    --------
    >>> from glomfeat.data.tables.columns import Asked
    >>> frame = pd.DataFrame({"name": ["a"], "raw": ["x"], "class": ["x"], "age": [4]})
    >>> unused_columns(frame, Asked(), "p")
    ['columns that are not used: age']
    """
    used = {label_column(frame, "", ""), case, *asked.named, *({*frame.attrs.get("by folder", ())} - {"split"})}
    named = {plain(asked.name), plain(asked.label)} - {""}
    headers = [header for c in frame.columns if c not in OURS and (header := header_of(c)) not in used]
    left = [c for c in headers if plain(c) not in named and known_kind(c) not in ("name", "slide")]
    splits, lines = [c for c in left if plain(c) in SPLITS and frame[c].notna().any()], []
    for column in splits:
        counts = frame[column].value_counts()
        parts = ", ".join(f"{count} {part}" for part, count in counts.items())
        if len(counts) <= MOST_PARTS:
            lines.append(
                f"column {column!r} holds a split ({parts}) and is not used: new folds are made; "
                f"--scheme given:{column} takes it"
            )
    rest = [column for column in left if column not in splits]
    return lines + ([f"{NOT_USED}: {listed(rest, 20)}"] if rest else [])
