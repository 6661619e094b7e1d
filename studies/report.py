"""Make the report of a run again from its output folder: nothing is run, and images are read for thumbnails only."""

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
    """Where the images are now, for thumbnails. Default: where the run read them."""
    audit: str | None = None
    """Output folder of studies.audit. Default: OUT/audit."""
    figures: tuple[Literal["png", "svg", "pdf"], ...] = ("png",)
    """File types of the figures."""
    column: Literal[1, 2] | None = None
    """Width of these figures: one or two columns of a journal, 89 or 180 mm. Default: as wide as in the report."""
    style: str | None = None
    """Colours and fonts of these figures: a file of Matplotlib's parameters, or the name of one of its styles."""


def main(arguments):
    """Write the report that the command line asks for. Exit status: 0."""
    asked = parse_options(Report, arguments, "python -m studies.report")

    from glomfeat.report.paper import Paper
    from glomfeat.report.styles import check_style
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
