"""Run the checks of a part's kind."""

import importlib
import warnings

from glomfeat.check.findings import Finding, brief, wrong

MODULES = {"head": "heads", "feature": "features", "reducer": "reducers", "net": "nets"}


def checks_of(kind):
    """What parts of a kind promise, each with the function that checks it.

    Returns
    -------
    tuple of (str, callable)
        The function takes a `glomfeat.check.parts.Part` and gives a list of findings; it may raise, which is wrong too.
    """
    if kind in MODULES:
        return importlib.import_module(f"glomfeat.check.{MODULES[kind]}").CHECKS
    from glomfeat.check import numbers

    return numbers.CHECKS[kind]


def check_part(part):
    """Check that a part keeps the contract of its kind.

    Parameters
    ----------
    part : Part
        Of `glomfeat.check.parts.find_part`.

    Returns
    -------
    list of Finding
        If the first check finds that it is no such part at all, the others are left out.

    Examples
    --------
    >>> from glomfeat.check.parts import find_part
    >>> str(check_part(find_part("youden"))[0])
    'ok: takes labels and scores'
    """
    found = list(part.notes)
    for number, (promise, check) in enumerate(checks_of(part.kind)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said = check(part)
        except Exception as error:
            said = [wrong(f"{promise}: it raises {brief(error)}")]
        bad = any(finding.status == "wrong" for finding in said)
        found += said or [Finding("ok", promise)]
        if bad and number == 0:
            break
    return found
