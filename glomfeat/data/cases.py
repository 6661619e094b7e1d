"""Which case and slide an image belongs to, by a column, a pattern or its name."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from glomfeat.core.words import as_seen, printable
from glomfeat.data.folders.names import are_years
from glomfeat.data.tables.columns import IDS_OF_PERSONS, fact_of
from glomfeat.data.tables.joining import last_part
from glomfeat.data.tables.own import BELOW, BY_FOLDER, OURS, as_named, header_of
from glomfeat.data.tables.read import CASE_COLUMNS, SLIDE_COLUMNS, find_column, known_kind, listed

CASE_PATTERNS = {
    "<case>_PAS_<k>of<n>_<id>": r"^(?P<slide>(?P<case>.+)_PAS_\d+of\d+)_[0-9A-Za-z]+$",
    "TCGA barcode": r"^(?P<slide>(?P<case>TCGA-\w{2}-\w{4})-\w{3}-\w{2}-[0-9A-Za-z]+)",
    "SOB_<class>_<type>-<year>-<slide>-<zoom>-<n>": (r"^SOB_[BM]_[A-Z]+-\d+-(?P<slide>(?P<case>\d+)[A-Z]*)-\d+-\d+$"),
    "case, patient or subject and its number": (
        r"(?i)^(?P<case>(?:case|patient|pat|subject|subj|donor)[-_ ]?\d+)(?:[-_ ]|$)"
    ),
}
OF_IDS = rf"(?<![^\W_])({'|'.join(IDS_OF_PERSONS)})(?![^\W_])"
LOOKS = re.compile(
    rf"(?i)patient|subject|donor|participant|person|biops|specimen|accession|\bmrn\b|block|group|kidney|proband|{OF_IDS}"
)
REMEDY = "write one such as '^(?P<case>[^_]+)_', or the name of a column"
JOINED = "+"  # between the names of cases that are joined
SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{2,3}$")  # shorter and longer endings may be a part of a case's name
MOST_COLUMNS = 6  # that are suggested where no case is found
NOT_FOUND = "not found"
LOOSELY = "capitals, blanks, separators, zeros or the form of letters"  # what `written_loosely` passes over
NAMED_BY = "; --show-names shows the names of cases"
IMAGE_LEVEL = "image-level split: scores are optimistic"
TORN = f"{IMAGE_LEVEL} (cases on several sides)"
BY_CASE = "split by case"
ASK = (
    "say where the case is with --groups COLUMN or --groups REGEX, whose named group finds it, such as "
    r"'^(?P<case>[^_]+)_'; --groups none treats every image as its own case and marks tables and report "
    f"{IMAGE_LEVEL!r}"
)


@dataclass(frozen=True, eq=False)
class Found:
    """The cases of rows, and how they were found.

    Attributes
    ----------
    cases : pandas.DataFrame
        Columns ``case`` and ``slide``, None where unknown.
    by : str
        ``column``, ``folder``, ``pattern`` or ``name``; ``none`` if each row is a case of its own.
    how : str
        The same with the column or pattern, in words.
    problems : list of (str, list of str)
        What is wrong, and the names of the affected rows.
    column : str
        The column that holds the cases, if any does.
    """

    cases: pd.DataFrame
    by: str
    how: str
    problems: list
    column: str = ""

    @property
    def by_case(self):
        """Whether rows share cases."""
        return self.by != "none"


def pseudonyms(cases):
    """Give each case a name that does not reveal which one it is: ``C001``, ``C002``, ...

    Parameters
    ----------
    cases : sequence of str

    Returns
    -------
    dict of str to str
        Numbered in the order of the names' hashes, so that numbers do not follow names.

    Examples
    --------
    >>> sorted(pseudonyms(["Smith", "Miller", "Smith"]).values())
    ['C001', 'C002']
    """
    ordered = sorted(set(cases), key=lambda case: hashlib.sha256(str(case).encode()).hexdigest())
    width = max(3, len(str(len(ordered))))
    return {case: f"C{number:0{width}d}" for number, case in enumerate(ordered, 1)}


def shown_as(cases, show_names):
    """How messages show each case: by its name or by a pseudonym."""
    return {case: printable(case) for case in cases} if show_names else pseudonyms(cases)


def written_loosely(case):
    """A case's name without what often differs between tables: capitals, blanks, separators, zeros, form of letters.

    Examples
    --------
    >>> [written_loosely(case) for case in ("P 01", "p-1", "P1\u200b", "012", 12, "12.0", "P10")]
    ['p1', 'p1', 'p1', '12', '12', '12', 'p10']
    """
    text = "".join(as_seen(unicodedata.normalize("NFKC", str(case))).casefold().split())
    text = re.sub(r"(?<=[^\W\d_])[\W_]+(?=\d)", "", text)
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"^([0-9]+)\.0+$", r"\1", text))


def named_alike(theirs, ours):
    """Cases of one data set that are named like cases of another, sorted; none if either does not know its cases.

    Parameters
    ----------
    theirs, ours : Manifest

    Returns
    -------
    list of str
    """
    if not (theirs.by_case and ours.by_case):
        return []
    known = {written_loosely(case) for case in ours.table["case"].unique()}
    return sorted(case for case in theirs.table["case"].astype(str).unique() if written_loosely(case) in known)


def connected(one, other):
    """Number the groups of pairs that share a value on either side, directly or through other pairs.

    Examples
    --------
    >>> connected(["a", "a", "b", "c"], [1, 2, 2, 3]).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = (pd.factorize(pd.Series(values, dtype=object).astype(str))[0] for values in (one, other))
    size = left.max() + 1
    both = coo_array((np.ones(len(left), bool), (left, right + size)), shape=(size + right.max() + 1,) * 2)
    return connected_components(both, directed=False)[1][left]


def search_name(pattern, name):
    """Search for a pattern in the last part of a name, without its suffix and, if that finds nothing, with it.

    Examples
    --------
    >>> [search_name("^[^_]+", name)[0] for name in ("a/P1.png", "P1.4_16", "P1.104")]
    ['P1', 'P1.4', 'P1.104']
    """
    whole = last_part(name)
    return re.search(pattern, SUFFIX.sub("", whole)) or re.search(pattern, whole)


def match_pattern(names, pattern):
    """Search for a pattern with the named group ``case`` and perhaps ``slide`` in names of files.

    Returns a table of ``case`` and ``slide``, which is the case if the pattern has no slide; None where nothing
    matches. Names are searched without their suffix and, if that finds nothing, with it.

    Examples
    --------
    >>> match_pattern(["P1_PAS_1of2_0af.png"], CASE_PATTERNS["<case>_PAS_<k>of<n>_<id>"]).iloc[0].tolist()
    ['P1', 'P1_PAS_1of2']
    """
    found, shared = [], {}  # thousands of images share a slide: its name is kept once
    for name in names:
        match = search_name(pattern, name)
        groups = match.groupdict() if match else {}
        case = groups.get("case") or None
        slide = groups.get("slide") or case
        found.append((shared.setdefault(case, case), shared.setdefault(slide, slide)))
    return pd.DataFrame(found, columns=["case", "slide"], dtype=object)


def why_by_image(groups):
    """Say why images count by themselves if `find_cases` found no case."""
    return "--groups none says so" if groups == "none" else f"no case can be found with --groups {groups!r}"


def find_cases(frame, groups):
    """Find the case and slide of each row.

    Parameters
    ----------
    frame : pandas.DataFrame
        Has ``name``, and whatever columns the user's CSV has.
    groups : str
        ``auto``, ``none``, a column, or a regular expression.

    Returns
    -------
    Found
    """
    names = frame["name"].astype(str)
    if groups == "none":
        return Found(_own(names, names), "none", "not used (--groups none)", [])
    table = frame if groups == "auto" else as_named(frame)
    if groups == "auto":
        column = BY_FOLDER if BY_FOLDER in frame.columns else find_column(frame, CASE_COLUMNS)
        if column is None:
            return _auto_of(names, frame)
        groups = column
    if groups == BELOW and BELOW not in table and BY_FOLDER in table:
        groups = BY_FOLDER
    if groups not in table.columns and (column := find_column(table, (groups,))) is not None:
        groups = column
    if groups in table.columns:
        case = _stripped(table[groups])
        slide_column = find_column(frame, SLIDE_COLUMNS)
        slide = case if slide_column is None else _stripped(frame[slide_column]).fillna(case)
        without = names[case.isna()].tolist()
        problems = [(f"images without a case in column {groups!r}", without)] if without else []
        if groups == BY_FOLDER:
            return Found(_own(case, slide), "folder", "by folder", problems)
        return Found(_own(case, slide), "column", f"column {groups}", problems, groups)
    try:
        named = "case" in re.compile(groups).groupindex
    except re.error as error:
        what = f"--groups {groups!r} is not a regular expression from its letter {(error.pos or 0) + 1} on: {REMEDY}"
        return Found(_own(names, names), "none", NOT_FOUND, [(what, [])])
    if not named:
        columns = ", ".join(map(repr, table.columns))
        what = f"--groups {groups!r} is neither a column (there are {columns}) nor does it have a group (?P<case>...)"
        return Found(_own(names, names), "none", NOT_FOUND, [(what, [])])
    cases = match_pattern(names, groups)
    lost = cases["case"].isna().to_numpy()
    problems = []
    if lost.any():
        fits = ", ".join(
            f"{name} -> {case}" for name, case in zip(names[~lost][:3], cases["case"][~lost][:3], strict=True)
        )
        what = f"names that --groups {groups!r} does not match" + (f", which fits the others ({fits})" if fits else "")
        if any(re.search(groups, name) for name in names[lost]):
            ways = f"{f'--groups {BELOW}, ' if BELOW in frame else ''}--layout without --groups, or a column of cases"
            what += f": only a file's own name is searched; if a folder is the case, use {ways}"
        problems = [(what, names[lost].tolist())]
    return Found(cases, "pattern", f"pattern {groups}", problems)


def _stripped(column):
    """A column as texts or None, without surrounding blanks, whole numbers without a point.

    Otherwise two spellings of a case would be two cases.
    """
    known = column.astype(object).where(column.notna(), None)
    return pd.Series(list(map(_once_spelt, known)), known.index, dtype=object)


def _once_spelt(value):
    if isinstance(value, str):
        return value.strip() or None
    if value is None:
        return None
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _own(case, slide):
    return pd.DataFrame({"case": np.asarray(case, object), "slide": np.asarray(slide, object)})


def cases_in_names(names):
    """The case and slide of each image by the known patterns of names, or None unless one of them fits all names."""
    for pattern in CASE_PATTERNS.values():
        first = match_pattern(names[:1], pattern)["case"]  # most patterns fit no name, and there may be a million
        if first.notna().any() and (cases := match_pattern(names, pattern))["case"].notna().all():
            return None if are_years({*cases["case"]}) else cases
    return None


def _auto_of(names, frame):
    """Find cases by names, else by the slides that a table gives, else ask the user."""
    found = _auto(names)
    problems = found.problems
    if not problems:
        return replace(found, cases=_with_slides(found.cases, frame))
    column = find_column(frame, (*SLIDE_COLUMNS, "image"))
    counts = {c: frame[c].nunique() for c in frame.columns if LOOKS.search(str(c)) or c == BELOW}
    others = _further_columns(frame)
    # what has a value for each row may tell rows apart, and not patients
    told = [c for c, count in counts.items() if count < len(frame)] or ([] if others else [*counts])
    could = [f"--groups {str(c)!r} gives {counts[c]}" for c in told]
    if could and len(problems[0][1]) == len(names):
        problems = [(f"{problems[0][0]}; {', '.join(could[:3])} cases", problems[0][1])]
    elif others:
        problems = [(f"{problems[0][0]}; columns that may hold it: {others}", problems[0][1])]
    if column is None or frame[column].isna().any() or len(problems[0][1]) < len(names):
        return replace(found, problems=problems)
    stems = frame[column].astype(str).str.strip().str.replace(r"\.\w+$", "", regex=True)
    for texts in (stems, stems + "_0"):
        found = _auto(texts)
        if not found.problems:
            cases = found.cases.assign(slide=stems.to_numpy())
            return replace(found, cases=cases, how=f"{found.how} in column {column}")
    what, rows = problems[0]
    count = stems.nunique()
    more = f"; --groups {str(column)!r} takes each of its {count} values as a case" if count < len(stems) else ""
    return Found(found.cases.assign(case=None, slide=None), "name", NOT_FOUND, [(what + more, rows)])


def _further_columns(frame):
    """The columns of the user's that may hold cases, each with how many values it has, in words; at most a few."""
    rest = [c for c in frame.columns if c not in OURS and not (known_kind(c) or fact_of(c))]
    counts = {header_of(c): frame[c].dropna().astype(str).nunique() for c in rest if not is_float_dtype(frame[c])}
    could = [f"{column} ({count} values)" for column, count in counts.items() if 2 < count < len(frame)]
    return listed(could, MOST_COLUMNS)


def _with_slides(cases, frame):
    """Cases from names, with the slides of a column or folder if each is of one case, else with those in the names."""
    column = find_column(frame, SLIDE_COLUMNS)
    if column is None or frame[column].isna().any():
        return cases
    slide = _stripped(frame[column])
    pairs = pd.DataFrame({"slide": slide.to_numpy(), "case": cases["case"].to_numpy()}).drop_duplicates()
    if slide.isna().any() or pairs["slide"].duplicated().any():
        return cases
    return cases.assign(slide=slide.to_numpy())


def _auto(names):
    """Try the known patterns; the one that matches most names is taken, and must match them all."""
    tried = {title: match_pattern(names, pattern) for title, pattern in CASE_PATTERNS.items()}
    title, cases = max(tried.items(), key=lambda item: item[1]["case"].notna().sum())
    if are_years({*cases["case"].dropna()}):
        what = f"names that hold a year in place of the number of a case; {ASK}"
        return Found(cases.assign(case=None, slide=None), "name", NOT_FOUND, [(what, names.tolist())])
    without = names[cases["case"].isna().to_numpy()].tolist()
    if len(without) == len(names):
        return Found(cases, "name", NOT_FOUND, [(f"names that hold no case; {ASK}", without)])
    problems = [(f"names hold no case although the others look like {title}; {ASK}", without)] if without else []
    return Found(cases, "name", f"from names like {title}", problems)
