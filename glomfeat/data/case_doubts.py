"""Signs that one patient counts as several cases."""

from glomfeat.core.words import number_of, printable
from glomfeat.data.cases import NAMED_BY, connected, pseudonyms, written_loosely
from glomfeat.data.tables.read import listed

SHOWN = 3


def doubts_on_cases(table, show_names=False):
    """Warn of cases that may be one patient.

    Parameters
    ----------
    table : pandas.DataFrame
        From a manifest, with ``case`` and ``slide``.
    show_names : bool
        Whether cases appear under their real names instead of pseudonyms.

    Returns
    -------
    list of str
    """
    hidden = {} if show_names else pseudonyms(table["case"].unique())
    shown = {case: hidden.get(case, repr(printable(case))) for case in table["case"].unique()}
    more = "" if show_names else NAMED_BY
    return [*_alike(shown, more), *_shared(table, shown, more)]


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
