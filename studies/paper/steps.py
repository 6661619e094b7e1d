"""The studies behind the paper, each a command that a reader can type."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from glomfeat.core.errors import InputError
from studies import compare, coverage
from studies._cli import DONE, parse_options

BREAKHIS_CASES = r"_(?P<slide>(?P<case>\d+)[A-Z]*)_\d+$"  # the number of a patient, and the letters of a slide
IMAGES = ("--features", "classical", "shortcut", "--reducers", "none", "--leak-price")
TABLE = ("--reducers", "none", "--leak-price")
QUICK = ("--heads", "svm", "--folds", "2")
QUICK_SIZE = ("--size", "32")
REPLICATES = 200
QUICK_SAID = "quick: this is not the paper"
ARMS = 10  # number of equal arms, of which the best is judged


@dataclass(frozen=True)
class Step:
    """One study of the paper.

    Attributes
    ----------
    name : str
        Name of its folder in the output.
    title : str
        Its subject, as tables show it.
    study : module
        The module whose ``main`` runs it.
    arguments : tuple of str
        Arguments of the command line.
    """

    name: str
    title: str
    study: object
    arguments: tuple

    @property
    def out(self):
        """Its output folder."""
        return Path(self.arguments[self.arguments.index("--out") + 1]).expanduser()

    @property
    def is_comparison(self):
        """Whether it compares arms on images or rows, and does not simulate scores."""
        return self.study is compare

    @property
    def command(self):
        """The command that a reader types."""
        return shlex.join(["python", "-m", self.study.__name__, *self.arguments])


def steps_of(options):
    """The studies that the options ask for, in order."""
    machine = {"--memory": options.memory, "--jobs": options.jobs, "--cache": options.cache}
    where = [text for name, value in machine.items() if value is not None for text in (name, str(value))]

    def compared(name, title, *arguments, images=True):
        asked = (*arguments, *(IMAGES if images else TABLE))
        if options.quick:
            asked += QUICK + (QUICK_SIZE if images else ())
        return Step(name, title, compare, (*asked, *where, "--out", str(Path(options.out) / name)))

    def simulated(name, title, *arguments):
        drawn = "2" if options.quick else str(options.simulations)
        asked = ("--simulations", drawn, "--replicates", str(REPLICATES), *arguments)
        jobs = () if options.jobs is None else ("--jobs", str(options.jobs))
        return Step(name, title, coverage, (*asked, *jobs, "--out", str(Path(options.out) / name)))

    steps = [compared("phantom", "phantom")]
    if options.texture:
        table = f"file:{options.texture.removeprefix('file:')}"
        steps.append(compared("texture", "kidney texture table", table, images=False))
    if options.breakhis:
        steps.append(compared("breakhis", "BreaKHis", options.breakhis, "--groups", BREAKHIS_CASES))
    steps.append(simulated("coverage", "limits and tests"))
    steps.append(simulated("best_of", "the best of equal arms", "--best-of", str(ARMS)))
    return steps


def check(options):
    """Refuse options that no study can be made from, before any study runs.

    Raises
    ------
    InputError
        Names the option, what is allowed, and what to do.
    """
    if options.simulations < 2:
        raise InputError(f"--simulations is {options.simulations}: give 2 or more")
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"--jobs is {options.jobs}: give 1 or more")
    if options.texture and not Path(options.texture.removeprefix("file:")).expanduser().is_file():
        raise InputError(
            f"--texture {options.texture} is not a file: give the CSV of the feature table, or leave it out"
        )
    if options.breakhis and not Path(options.breakhis).expanduser().is_dir():
        raise InputError(
            f"--breakhis {options.breakhis} is not a folder: give the one with benign and malignant, or leave it out"
        )


def left_out(options):
    """Lines that say which data sets are not given, and whether the output differs from the printed paper."""
    lines = [] if options.texture else ["left out: the kidney texture table; --texture FILE says where it is"]
    if not options.breakhis:
        lines.append("left out: BreaKHis; --breakhis FOLDER says where its images are")
    if options.quick:
        lines.append(QUICK_SAID)
    return lines


def plan(step, console):
    """Print how much a study would take."""
    console.out(f"{step.name}: {step.command}")
    if step.is_comparison:
        compare.main([*step.arguments, "--dry-run"])
    else:
        console.out("finished" if is_finished(step) else "draws scores, and reads no data")


def run(step, place, console):
    """Run a study, unless it is finished.

    Parameters
    ----------
    step : Step
    place : str
        Its position, and the number of studies.
    console : rich.console.Console

    Returns
    -------
    int
        Its exit status.
    """
    console.out(f"study {place}: {step.command}")
    if not step.is_comparison and is_finished(step):
        console.out("finished")
        return DONE
    return step.study.main(list(step.arguments))


def is_finished(step):
    """Whether a simulation was made with these options; a comparison itself knows what is done."""
    asked, path = asdict(parse_options(coverage.Coverage, step.arguments, step.name)), step.out / "study.yaml"
    made = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return _decisive(made) == _decisive(asked)


def _decisive(values):
    """The options that a result depends on, as YAML writes them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in ("jobs", "out")
    }
