"""Check whether parts of your own do what a study expects of them, and say so in words."""

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options:
    """Test whether parts, yours or glomfeat's own, do what a study expects, and say what is wrong and what to do.

    ok: the part does. wrong: correct it before a study uses the part. note: for your information.
    """

    parts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PART ...")] = ()
    """Names as in the options of compare: module:function, logreg, classical, pca16, compact, youden, ..."""
    kind: Literal["head", "feature", "reducer", "net", "metric", "threshold"] | None = None
    """What the parts are. Default: found from what their functions take and return. Metrics and threshold rules look
    alike and need it."""
    names: bool = False
    """Print the names of the library's own parts, one on each line, and stop. --kind selects one kind."""
    timeout: float = 600.0
    """Most seconds for each check. A part that takes longer is reported as not coming back."""


def main(arguments):
    """Check the parts that the command line names. Exit status: 0, or 1 if something is wrong."""
    options = parse_options(Options, arguments, "python -m studies.check")
    if not options.parts and not options.names:
        raise InputError("name a part to check, such as mylab:lda; --names prints what the library has")
    if not options.timeout > 0:
        raise InputError(f"--timeout is {options.timeout:g}: a number of seconds above 0")

    from glomfeat.checks.parts import check_part, find_part, names_of
    from glomfeat.core.installed import missing_for_networks

    console, wrong = open_console(), 0
    if options.names:
        for kind, names in names_of(options.kind).items():
            console.out("\n".join(names if options.kind else [f"{kind} {name}" for name in names]))
        if options.kind in (None, "feature") and (missing := missing_for_networks()):
            print(f"left out: torchvision's networks, which need {', '.join(missing)}", file=sys.stderr)
        return DONE
    for part in [find_part(name, options.kind) for name in options.parts]:
        console.out(f"{part.name} ({part.kind})")
        for finding in check_part(part, apart=True, seconds=options.timeout):
            console.out(f"  {finding}")
            wrong += finding.status == "wrong"
    console.out(f"{wrong or 'nothing'} wrong")
    return INCOMPLETE if wrong else DONE


if __name__ == "__main__":
    run_main(main)
