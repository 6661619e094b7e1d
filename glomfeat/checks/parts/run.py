"""Run the checks for a part's kind."""

import importlib
import warnings

from glomfeat.checks.parts.findings import Finding, brief, note, wrong
from glomfeat.core.part_errors import MisfitError, PartError, defined, noted, placed
from glomfeat.core.workers import alone

MODULES = {"head": "heads", "feature": "features", "reducer": "reducers", "net": "nets"}


def _checks_of(kind):
    """What parts of a kind must do, each with its check; the others would only repeat that a basic one is broken."""
    if kind in MODULES:
        module = importlib.import_module(f"glomfeat.checks.parts.{MODULES[kind]}")
        return module.BASIC, module.OTHERS
    from glomfeat.checks.parts import numbers

    return numbers.BASIC, numbers.OTHERS[kind]


def check_part(part, apart=False, seconds=None):
    """Check that a part keeps the contract of its kind.

    Parameters
    ----------
    part : Part
        From `glomfeat.checks.parts.parts.find_part`.
    apart : bool
        Whether to run each check in a worker process, which the part may end.
    seconds : float, optional
        The time that each check may then take.

    Returns
    -------
    list of Finding
        If a basic promise is broken, the checks that follow are left out.

    Examples
    --------
    >>> from glomfeat.checks.parts.parts import find_part
    >>> str(check_part(find_part("youden"))[0])
    'ok: takes labels and scores'
    """
    found, (basic, others) = list(part.notes), _checks_of(part.kind)
    for promise, check in (*basic, *others):
        said = _said(promise, check, part, apart, seconds)
        found += said or [Finding("ok", promise)]
        if (promise, check) in basic and any(finding.status == "wrong" for finding in said):
            return [*found, note("the other checks wait until that is corrected")]
    return found


def _said(promise, check, part, apart, seconds):
    if not apart:
        return _found(promise, check, part)
    try:
        return alone(_found, promise, check, part, seconds=seconds)
    except PartError as error:
        return [wrong(f"{promise}: {error}")]


def _found(promise, check, part):
    try:
        with noted(part.kind, part.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check(part)
    except (PartError, MisfitError) as error:
        thing = part.make if part.kind in ("metric", "threshold") else None
        return [wrong(f"{promise}: {error}{defined(getattr(error, 'function', None) or thing)}")]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return [wrong(f"{promise}: it raises {brief(error)}{placed(error)}")]
