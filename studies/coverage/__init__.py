"""Whether 95 % limits cover and equal arms are called equal, by simulation on the cases of a data set."""

from dataclasses import dataclass

from glomfeat.core.errors import InputError
from studies._cli import DONE, open_console, parse_options, write_options


@dataclass(frozen=True)
class Coverage:
    """Draw scores for the cases of a data set, and count how often 95 % limits hold the truth and equal arms differ.

    Images of a case share effects of several strengths. Beside the limits and tests of studies.compare stand those
    that take images for independent. With --retrain whole studies are drawn, and limits are held against the AUROC of
    the fitted models and of the procedure that is trained again on other cases.
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
    folds: int = 5
    """Folds by case, within which the AUROC is taken."""
    retrain: bool = False
    """Draw whole studies in place of scores: features, a head fitted anew, on these cases and on 24 even ones."""
    head: str = "logreg"
    """The head that --retrain fits."""
    seed: int = 0
    """Seed of everything drawn."""
    jobs: int | None = None
    """Processes; as many as there are cores if left out."""
    out: str = "runs/coverage"
    """Output folder: coverage.csv and coverage.md."""


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
    from studies.coverage.run import read_structure, simulate, to_markdown
    from studies.coverage.simulate import SCENARIOS

    if options.retrain and not 4 <= options.folds <= 10:
        raise InputError(f"--folds is {options.folds}: --retrain takes 4 to 10, which serve each other as inner folds")
    structure, console = read_structure(options), open_console()
    sizes = np.bincount(structure.cases)
    title = (
        f"{len(sizes)} cases of {sizes.min()} to {sizes.max()} images, {100 * structure.labels.mean():.0f} % positive"
    )
    out = Path(options.out).expanduser()
    with alone_in(out, "--out"):
        if options.retrain:
            from studies.coverage.retrain import RETRAINED, simulate_studies

            frame = simulate_studies(options, structure, RETRAINED, console.out)
        else:
            frame = simulate(options, structure, SCENARIOS, console.out)
        shown = to_markdown(frame, title)
        save_table(frame, out / "coverage.csv")
        write_text(out / "coverage.md", shown)
        write_options(asdict(options), out)
    console.out(shown)
    console.out(f"tables: {out}")
    return DONE
