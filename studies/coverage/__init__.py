"""Whether 95 % limits cover and equal arms are called equal, by simulation on the cases of a data set."""

from dataclasses import dataclass

from studies._cli import DONE, open_console, parse_options, write_options


@dataclass(frozen=True)
class Coverage:
    """Draw scores for the cases of a data set, and count how often 95 % limits hold the truth and equal arms differ.

    Images of a case share effects of several strengths. Beside the limits and tests of studies.compare stand those
    that take images for independent.
    """

    labels: str | None = None
    """CSV of labels whose cases are taken; a generated twin of a cohort of biopsies if left out."""
    groups: str = "auto"
    """Where the case comes from: auto, a column or a regular expression."""
    cases: int = 215
    """Cases of the generated twin."""
    simulations: int = 1000
    """How often scores are drawn in each scenario."""
    replicates: int = 500
    """Replicates of each bootstrap."""
    best_of: tuple[int, ...] = ()
    """Instead, draw so many equal arms and judge the one that looks best: whether its figure is too good, and whether
    some arm is called worse than it. Several numbers are tried one after the other."""
    folds: int = 5
    """Folds by case, within which the AUROC is taken."""
    seed: int = 0
    """Seed of everything drawn."""
    jobs: int | None = None
    """Processes; as many as there are cores if left out."""
    out: str = "runs/coverage"
    """Output folder: coverage.csv and coverage.md, or best_of.csv and best_of.md."""


def main(arguments):
    """Run the simulation that the command line describes.

    Returns
    -------
    int
        Exit status 0.
    """
    options = parse_options(Coverage, arguments, "python -m studies.coverage")

    from dataclasses import asdict
    from pathlib import Path

    import numpy as np

    from glomfeat.core.atomic import write_text
    from glomfeat.core.locks import alone_in
    from glomfeat.results.write import save_table
    from studies.coverage.run import best_to_markdown, read_structure, simulate, simulate_best, to_markdown
    from studies.coverage.simulate import SCENARIOS

    structure, console = read_structure(options), open_console()
    sizes = np.bincount(structure.cases)
    title = (
        f"{len(sizes)} cases of {sizes.min()} to {sizes.max()} images, {100 * structure.labels.mean():.0f} % positive"
    )
    out = Path(options.out).expanduser()
    run, show, name = (
        (simulate_best, best_to_markdown, "best_of") if options.best_of else (simulate, to_markdown, "coverage")
    )
    with alone_in(out, "--out"):
        frame = run(options, structure, SCENARIOS, console.out)
        shown = show(frame, title)
        save_table(frame, out / f"{name}.csv")
        write_text(out / f"{name}.md", shown)
        write_options(asdict(options), out)
    console.out(shown)
    console.out(f"tables: {out}")
    return DONE
