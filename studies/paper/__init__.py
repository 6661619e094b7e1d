"""Every table and figure of glomfeat's paper, from the phantom, simulated scores and public data."""

from dataclasses import dataclass

from studies._cli import DONE, INCOMPLETE, open_console, parse_options


@dataclass(frozen=True)
class Paper:
    """Make every table and figure of glomfeat's paper.

    The phantom and the simulations need no data. The rows of public data sets are made if you say where these are. What
    is finished in OUT is not done again.
    """

    texture: str | None = None
    """CSV of shape and texture features of kidney glomeruli, with the columns name and label. Default: this study is
    left out."""
    breakhis: str | None = None
    """Folder of BreaKHis (breast tissue) with the sub-folders benign and malignant. Default: this study is left out."""
    simulations: int = 100
    """How often scores are drawn in each scenario."""
    quick: bool = False
    """Two folds, small images and two simulations, to see that everything works. The output says that it is not the
    paper."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: 80 % of what the process may use."""
    jobs: int | None = None
    """Number of processes. Default: one for each core."""
    cache: str | None = None
    """Folder of the feature cache. Default: your user's cache folder."""
    out: str = "runs/paper"
    """Output folder. It gets a folder for each study, tables, figures and study.yaml."""
    dry_run: bool = False
    """Print what each study would take, and run nothing."""


def main(arguments):
    """Make the tables and figures that the command line asks for.

    Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    options = parse_options(Paper, arguments, "python -m studies.paper")

    from dataclasses import asdict
    from pathlib import Path

    from glomfeat.core.locks import alone_in
    from glomfeat.core.settings import write_settings
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
        write_settings(asdict(options), out / "study.yaml")
        status = [run(step, f"{number} of {len(steps)}", console) for number, step in enumerate(steps, 1)]
        for line in write_all(steps, out, options.quick):
            console.out(line)
    return INCOMPLETE if any(status) else DONE
