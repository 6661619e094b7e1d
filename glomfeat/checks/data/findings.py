"""What an audit finds, as plain data."""

import re
from dataclasses import asdict, dataclass

from glomfeat.core.words import printable

SHORTEST = 4  # names with fewer letters stand in ordinary words
SEVERITIES = ("severe", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing that readers of a study should know about its data.

    Attributes
    ----------
    code : str
        Stable name of the check.
    severity : {"severe", "warning", "info"}
        Severe: results from these data as they are would mislead, or there can be none.
    what, how, why, remedy : str
        What was found; how it was detected; why it matters; what to do.
    rows : tuple of dict
        The details, plain data.
    figures : tuple of (str, float)
        The numbers in `what`, by name.

    Raises
    ------
    ValueError
        An unknown severity.

    Examples
    --------
    >>> Finding("balance", "info", "1 of 2", "counted", "rare", "none").plain()["figures"]
    {}
    """

    code: str
    severity: str
    what: str
    how: str
    why: str
    remedy: str
    rows: tuple = ()
    figures: tuple = ()

    def __post_init__(self):
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}: allowed are {', '.join(SEVERITIES)}")

    def plain(self):
        """The finding as a dict for JSON."""
        return asdict(self) | {"rows": list(self.rows), "figures": dict(self.figures)}


def worst_first(findings):
    """Sort findings by severity, keeping the order of those that are equally severe.

    Examples
    --------
    >>> [f.code for f in worst_first([Finding(c, s, *"abcd") for c, s in [("a", "info"), ("b", "severe")]])]
    ['b', 'a']
    """
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def without_names(text, names):
    """Replace the names of images in a message.

    Parameters
    ----------
    text : str
    names : sequence of str
        Names with fewer than four letters, and numbers, are replaced only in brackets.

    Returns
    -------
    str

    Examples
    --------
    >>> without_names("2 images have no row: P1_a.png, P1_aa.png", ["P1_a.png", "P1_aa.png", "2"])
    '2 images have no row: (name), (name)'
    >>> without_names("'n.d.' in row 2 (P1)", ["P1"])
    "'n.d.' in row 2"
    """
    for name in sorted({*names, *map(printable, names)}, key=len, reverse=True):
        if name not in text:
            continue
        text = text.replace(f" ({name})", "")
        if len(name) >= SHORTEST and not name.isdigit():
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "(name)", text)
    return text
