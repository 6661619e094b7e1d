"""Simulate, on the cases of a data set, whether 95 % limits cover and how often equal arms are called different."""

from dataclasses import dataclass

from glomfeat.core.errors import InputError
from studies._cli import DONE, at_least, open_console, parse_options


@dataclass(frozen=True)
class Coverage:
    """Simulate studies, and count how often 95 % limits contain the true value and tests call equal arms different.

    Scores are drawn for the cases of a data set. Images of a case share effects of several strengths. The limits and
    tests of studies.compare are shown next to those that treat images as independent. With --retrain, whole studies are
    drawn, and limits are compared with the AUROC of the fitted models, and of the procedure when it is trained again on
    other cases.
    """

    labels: str | None = None
    """Table of labels whose cases are used. Default: generated cases that resemble a cohort of biopsies."""
    groups: str = "auto"
    """Where the case comes from: auto, a column or a regular expression."""
    few: bool = False
    """Simulate studies of 4 to 24 cases instead, some of which hold only one class."""
    cases: int = 215
    """Number of generated cases, without --labels."""
    simulations: int = 1000
    """How often scores are drawn in each scenario."""
    replicates: int = 500
    """Replicates of each bootstrap."""
    best_of: tuple[int, ...] = ()
    """Instead, draw this many equal arms and judge the one that looks best: whether its figure is too good, and whether
    some arm is called worse than it. Several numbers are tried one after the other."""
    folds: int = 5
    """Number of folds by case, within which the AUROC is calculated."""
    retrain: bool = False
    """Draw whole studies instead of scores, with features and a head that is fitted anew, on these cases and on 24
    cases of equal size."""
    head: str = "logreg"
    """The head that --retrain fits."""
    seed: int = 0
    """The seed that all others are derived from."""
    jobs: int | None = None
    """Number of processes. Default: one for each core."""
    out: str = "runs/coverage"
    """Output folder: coverage.csv and coverage.md, or best_of.csv and best_of.md."""


def main(arguments):
    """Run the simulation that the command line describes. Exit status: 0."""
    options = parse_options(Coverage, arguments, "python -m studies.coverage")

    from dataclasses import asdict
    from pathlib import Path

    from glomfeat.comparison.no_effect import lines_on_no_effect
    from glomfeat.core.atomic import write_text
    from glomfeat.core.locks import alone_in
    from glomfeat.core.settings import write_settings
    from glomfeat.results.save import save_table

    asked = [name for name in ("few", "best_of", "retrain") if getattr(options, name)]
    if len(asked) > 1:
        both = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise InputError(f"{both} are simulations of their own: ask for one of them")
    if options.retrain and not 4 <= options.folds <= 10:
        raise InputError(f"--folds is {options.folds}: --retrain takes 4 to 10, which serve each other as inner folds")
    at_least(options, simulations=1, replicates=2, folds=2, cases=2, jobs=1)
    simulate = _few if options.few else _best_of if options.best_of else _limits
    console, out = open_console(), Path(options.out).expanduser()
    for line in lines_on_no_effect(None, options, NEEDS):
        console.out(line)
    with alone_in(out, "--out"):
        name, frame, shown = simulate(options, console.out)
        save_table(frame, out / f"{name}.csv")
        write_text(out / f"{name}.md", shown)
        write_settings(asdict(options), out / "study.yaml")
    console.out(shown)
    console.out(f"tables: {out}")
    return DONE


def _own_cases(_, options):
    return "--few makes cases and folds of its own" if options.few else ""


def _no_bootstrap(_, options):
    return "no bootstrap is judged" if options.few or options.retrain else ""


NEEDS = {  # why an option has no effect; empty if it has one
    "labels": _own_cases,
    "folds": _own_cases,
    "groups": lambda _, options: _own_cases(_, options) or ("" if options.labels else "it is for --labels"),
    "cases": lambda _, options: _own_cases(_, options) or ("--labels gives the cases" if options.labels else ""),
    "replicates": _no_bootstrap,
    "head": lambda _, options: "" if options.retrain else "it is for --retrain",
}


def _few(options, say):
    from studies.coverage.few import few_to_markdown, simulate_few

    frame = simulate_few(options, say)
    return "coverage", frame, few_to_markdown(frame)


def _best_of(options, say):
    from studies.coverage.run import best_to_markdown, read_structure, simulate_best, title_of
    from studies.coverage.simulate import SCENARIOS

    structure = read_structure(options, say)
    frame = simulate_best(options, structure, SCENARIOS, say)
    return "best_of", frame, best_to_markdown(frame, title_of(structure))


def _limits(options, say):
    from studies.coverage.run import read_structure, simulate, title_of, to_markdown
    from studies.coverage.simulate import SCENARIOS

    structure = read_structure(options, say)
    if options.retrain:
        from studies.coverage.retrain import RETRAINED, simulate_studies

        frame = simulate_studies(options, structure, RETRAINED, say)
    else:
        frame = simulate(options, structure, SCENARIOS, say)
    return "coverage", frame, to_markdown(frame, title_of(structure))
