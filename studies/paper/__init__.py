"""Every table and figure of glomfeat's paper, from the phantom, simulated scores and public data."""

from dataclasses import dataclass

from studies._cli import DONE, INCOMPLETE, open_console, parse_options, write_options


@dataclass(frozen=True)
class Paper:
    """Make every table and figure of glomfeat's paper.

    The phantom and simulated scores need no data. The rows of public data are made where you say these lie. What is
    finished in OUT is not done again.
    """

    texture: str | None = None
    """CSV of shape and texture features of kidney glomeruli, with the columns name and label; left out without it."""
    breakhis: str | None = None
    """Folder of BreaKHis (breast tissue) with the sub-folders benign and malignant; left out without it."""
    simulations: int = 100
    """How often scores are drawn in each scenario."""
    quick: bool = False
    """Two folds, small pictures and two simulations, to see that it works: the output says that it is not the paper."""
    memory: str | None = None
    """Budget such as 4GB for all processes together; 80 % of what the process may use if left out."""
    jobs: int | None = None
    """Processes; as many as there are cores if left out."""
    cache: str | None = None
    """Folder of the feature cache; the user's cache folder if left out."""
    out: str = "runs/paper"
    """Output folder: a folder for each study, tables, figures and study.yaml."""
    dry_run: bool = False
    """Say what each study would take, and run nothing."""


def main(arguments):
    """Make the tables and figures that the command line asks for.

    Returns
    -------
    int
        Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    options = parse_options(Paper, arguments, "python -m studies.paper")

    from dataclasses import asdict
    from pathlib import Path

    from glomfeat.core.locks import alone_in
    from studies.paper.steps import check, left_out, plan, run, steps_of
    from studies.paper.write import write_all

    check(options)
    console, steps, out = open_console(), steps_of(options), Path(options.out).expanduser()
    for line in left_out(options):
        console.out(line)
    if options.dry_run:
        for step in steps:
            plan(step, console)
        return DONE
    with alone_in(out, "--out"):
        write_options(asdict(options), out)
        status = [run(step, f"{number} of {len(steps)}", console) for number, step in enumerate(steps, 1)]
        for line in write_all(steps, out, options.quick):
            console.out(line)
    return INCOMPLETE if any(status) else DONE
