"""Whether parts of your own keep what a study asks of them, in words."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options:
    """Run the contract tests of parts, yours or the library's, and say what is wrong and what to do.

    ok: kept. wrong: mend it before a study uses the part. note: for information.
    """

    parts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PART [PART ...]")]
    """Names as in the options of compare: module:function, logreg, classical, pca16, compact, youden, ..."""
    kind: Literal["head", "feature", "reducer", "net", "metric", "threshold"] | None = None
    """What the parts are; found from what their functions take and return if left out. Metrics and threshold rules look
    alike and need it."""
    timeout: float = 600.0
    """Seconds that each check may take; a part that takes longer does not come back."""


def main(arguments):
    """Check what the command line names.

    Returns
    -------
    int
        Exit status: 0, or 1 if something is wrong.
    """
    options = parse_options(Options, arguments, "python -m studies.check")
    if not options.parts:
        raise InputError("name a part to check, such as mylab:lda")

    from glomfeat.checks.parts import check_part, find_part

    console, wrong = open_console(), 0
    for part in [find_part(name, options.kind) for name in options.parts]:
        console.out(f"{part.name} ({part.kind})")
        for finding in check_part(part, apart=True, seconds=options.timeout):
            console.out(f"  {finding}")
            wrong += finding.status == "wrong"
    console.out(f"{wrong or 'nothing'} wrong")
    return INCOMPLETE if wrong else DONE


if __name__ == "__main__":
    run_main(main)
