"""The report of a run, made again from its output folder: nothing is run, and images are read for thumbnails only."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from studies._cli import DONE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Report:
    """Write report.html into the output folder of a run, finished or not."""

    out: Annotated[str, tyro.conf.Positional]
    """Output folder of a study."""
    show_names: bool = False
    """Show real names of images and cases instead of pseudonyms."""
    data: str | None = None
    """Where the images lie now, for thumbnails; where the run read them if left out."""
    audit: str | None = None
    """Output folder of studies.audit; OUT/audit if left out."""


def main(arguments):
    """Write the report that the command line asks for.

    Returns
    -------
    int
        Exit status: 0.
    """
    asked = parse_options(Report, arguments, "python -m studies.report")

    from glomfeat.report.write import write_report

    console = open_console()
    path = write_report(asked.out, asked.show_names, asked.data, asked.audit, say=console.out)
    console.out(f"report: {path}")
    return DONE


if __name__ == "__main__":
    run_main(main)
