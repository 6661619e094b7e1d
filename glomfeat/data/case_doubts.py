"""Signs that one patient counts as several cases, or that several patients count as one."""

import re

import numpy as np
import pandas as pd

from glomfeat.core.words import number_of, printable
from glomfeat.data.cases import NAMED_BY, connected, pseudonyms, written_loosely
from glomfeat.data.tables.read import find_column, listed, read_values

SITES = ("site", "center", "centre", "hospital", "institution")  # no scanners: a slide may be scanned by several
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
    hidden = {} if show_names else pseudonyms(table["case"].unique())
    shown = {case: hidden.get(case, repr(printable(case))) for case in table["case"].unique()}
    more = "" if show_names else NAMED_BY
    return [*_alike(shown, more), *_shared(table, shown, more), *_shortened(shown, more), *_sites(frame, table)]


def _alike(shown, more):
    """Warn of cases whose names differ only in how they are written."""
    held = {}
    for case in sorted(shown, key=str):
        held.setdefault(written_loosely(case), []).append(shown[case])
    if alike := [" and ".join(cases) for cases in held.values() if len(cases) > 1]:
        yield (
            f"warning: cases {listed(alike, SHOWN)} differ only in capitals, blanks, zeros or the form of letters: if "
            f"they are one patient, write its name in one way, or both sides of a split may hold it{more}"
        )


def _shared(table, shown, more):
    """Warn of slides in several cases, unless slides are numbered within each case or hold many patients."""
    pairs = table[["slide", "case"]].drop_duplicates()
    held = pairs.groupby("slide", sort=True)["case"].agg(list)
    torn = [cases for cases in held if len(set(map(written_loosely, cases))) > 1]
    if torn and 2 * len(set(connected(pairs["slide"], pairs["case"]))) >= len(shown):
        which = listed(dict.fromkeys(" and ".join(sorted(shown[case] for case in cases)) for cases in torn), SHOWN)
        share = number_of(len(torn), "slide lies in several cases", "slides lie in several cases each")
        yield f"warning: {share} ({which}): if a slide is of one patient, write one case for it{more}"


def _shortened(shown, more):
    """Warn of numbers that a spreadsheet has shortened, in which different patients may have become one."""
    if short := [shown[case] for case in sorted(shown, key=str) if SHORTENED.fullmatch(str(case))]:
        has = number_of(len(short), "case is a number", "cases are numbers")
        yield (
            f"warning: {has} that a spreadsheet has shortened, such as 1.23E+12 ({listed(short, SHOWN)}): different "
            f"patients may have become one; save the numbers as text, with all digits{more}"
        )


def _sites(frame, table):
    """Say how many cases lie at several sites, as they seem to if each site counts its patients from 1."""
    column = find_column(frame, SITES)
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
