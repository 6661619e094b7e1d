"""What an audit finds, as plain data."""

from dataclasses import asdict, dataclass

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
