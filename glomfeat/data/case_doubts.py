"""Signs that one patient counts as several cases, or that several patients count as one."""

import re
from functools import cache

import numpy as np
import pandas as pd

from glomfeat.core.words import number_of, printable
from glomfeat.data.cases import LOOSELY, NAMED_BY, connected, pseudonyms, written_loosely
from glomfeat.data.tables.read import SITE_COLUMNS, find_column, listed, read_values

SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d\d", re.IGNORECASE)
SHOWN = 3


def doubts_on_cases(frame, table, show_names=False):
    """Lines on cases that may not be patients, one each.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the user's columns.
    table : pandas.DataFrame
        The ``case`` and ``slide`` of the same rows.
    show_names : bool
        Whether cases appear under their real names instead of pseudonyms.

    Returns
    -------
    list of str
    """
    cases = sorted(table["case"].unique(), key=str)
    hidden = cache(lambda: pseudonyms(cases))  # which takes long if there are many, and is rarely needed

    def show(case):
        return repr(printable(case)) if show_names else hidden()[case]

    told = [*_alike(cases, show), *_shared(table, len(cases), show), *_shortened(cases, show)]
    return [line if show_names else line + NAMED_BY for line in told] + [*_sites(frame, table)]


def _alike(cases, show):
    """Warn of cases whose names differ only in how they are written."""
    held = {}
    for case in cases:
        held.setdefault(written_loosely(case), []).append(case)
    if alike := [" and ".join(map(show, twins)) for twins in held.values() if len(twins) > 1]:
        yield (
            f"warning: cases {listed(alike, SHOWN)} differ only in {LOOSELY}: if they are one patient, write its name "
            "in one way, or both sides of a split may hold it"
        )


def _shared(table, count, show):
    """Warn of slides in several cases, unless slides are numbered within each case or hold many patients."""
    pairs = table[["slide", "case"]].drop_duplicates()
    held = pairs[pairs["slide"].duplicated(keep=False)].groupby("slide")["case"].agg(list)
    torn = [cases for cases in held if 1 < len(set(map(written_loosely, cases))) <= SHOWN]
    if torn and 2 * len(set(connected(pairs["slide"], pairs["case"]))) >= count:
        which = listed(dict.fromkeys(" and ".join(sorted(map(show, cases))) for cases in torn), SHOWN)
        share = number_of(len(torn), "slide lies in several cases", "slides lie in several cases each")
        yield f"warning: {share} ({which}): if a slide is of one patient, write one case for it"


def _shortened(cases, show):
    """Warn of numbers that a spreadsheet has shortened, in which different patients may have become one."""
    if short := [show(case) for case in cases if SHORTENED.fullmatch(str(case))]:
        has = number_of(len(short), "case is a number", "cases are numbers")
        yield (
            f"warning: {has} that a spreadsheet has shortened, such as 1.23E+12 ({listed(short, SHOWN)}): different "
            "patients may have become one; save the numbers as text, with all digits"
        )


def _sites(frame, table):
    """Say how many cases lie at several sites, as they seem to if each site counts its patients from 1."""
    column = find_column(frame, SITE_COLUMNS)  # no scanners: a slide may be scanned by several
    if column is None:
        return
    sites = pd.Series(read_values(frame[column].to_numpy(object)).to_numpy(), dtype=object).replace("", np.nan)
    count = int((sites.groupby(table["case"].astype(str).to_numpy()).nunique() > 1).sum())
    if count:
        lie = f"{count} of {number_of(table['case'].nunique(), 'case')} {'lies' if count == 1 else 'lie'}"
        yield (
            f"{lie} at several sites (column {column!r}): if each site counts its patients by itself, put the site in "
            "front of their numbers"
        )
