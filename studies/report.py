"""The report of a run, made again from its output folder: nothing is run, and images are read for thumbnails only."""

from dataclasses import dataclass
from typing import Annotated, Literal

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
    figures: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    """Kinds of files of the figures."""
    column: Literal[1, 2] | None = None
    """Make these files as wide as one or two columns of a journal, 89 or 180 mm; as wide as in the report if left
    out."""
    style: str | None = None
    """Colours and fonts of these files: a file of Matplotlib's parameters, or the name of a style of its own."""


def main(arguments):
    """Write the report that the command line asks for.

    Returns
    -------
    int
        Exit status: 0.
    """
    asked = parse_options(Report, arguments, "python -m studies.report")

    from glomfeat.report.paper import Paper, check_style
    from glomfeat.report.write import write_report

    console = open_console()
    if asked.style is not None:
        check_style(asked.style, console.out)
    paper = Paper(asked.figures, asked.column, asked.style)
    path = write_report(asked.out, asked.show_names, asked.data, asked.audit, say=console.out, paper=paper)
    console.out(f"report: {path}")
    return DONE


if __name__ == "__main__":
    run_main(main)
