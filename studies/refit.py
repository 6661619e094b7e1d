"""Turn a finished study into a model: one arm, fitted on all images, as a bundle."""

import re
from dataclasses import dataclass
from typing import Annotated

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options:
    """Fit one arm of a finished study on all of its images, and save it as a bundle: a folder that can predict."""

    out: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Output folder of studies.compare."""
    arm: str
    """A row of its results.csv, such as classical.v1/ipca128/svm or net:compact, or an ensemble of them."""
    to: str | None = None
    """Folder of the bundle. Default: OUT/models/ARM."""
    include_weights: bool = False
    """Put the weights of a pretrained backbone into the bundle. Otherwise they are looked up when the bundle is
    loaded."""
    data: str | None = None
    """Where the study's images are now, if they have been moved."""
    weights: str | None = None
    """Where the study's weights are now, if they have been moved."""
    cache: str | None = None
    """Folder of the feature cache. Default: the study's."""
    jobs: int | None = None
    """How many images to work on at once. Default: what was asked of the study, else as many as compare takes."""
    device: str | None = None
    """The device that computes: auto, cpu, cuda, cuda:1, mps. Default: the study's."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: the study's."""


def main(arguments):
    """Refit the arm that the command line names, and write its bundle. Exit status: 0."""
    options = parse_options(Options, arguments, "python -m studies.refit")

    from pathlib import Path

    from glomfeat.bundle.save import folder_of, save_bundle
    from glomfeat.comparison.fold_stains import extract_for_arm
    from glomfeat.comparison.refit import read_outcome, refit_arm, refuse_joined
    from glomfeat.core.arms import Arm

    out = Path(options.out).expanduser()
    console = open_console()
    read_outcome(out, options.arm)
    folder = Path(options.to).expanduser() if options.to else out / "models" / folder_of(options.arm)
    prepared = _prepare(out, options, console.out)
    refuse_joined(prepared, Arm.parse(options.arm))
    bundle = refit_arm(*extract_for_arm(prepared, options.arm), options.arm, console.out)
    save_bundle(bundle, folder, options.include_weights)
    console.out(f"bundle: {folder}")
    return DONE


def _prepare(out, options, say):
    """The study in a folder, as it was run; an error if its data or options have changed."""
    from dataclasses import replace

    from glomfeat.comparison.folder import differences
    from glomfeat.comparison.options import Study
    from glomfeat.comparison.prepare import prepare
    from glomfeat.comparison.starts import noted_starts
    from glomfeat.core.arms import Arm
    from glomfeat.results.journal import Journal

    journal = Journal(out / "journal.jsonl")
    there = journal.header() or {}
    if own := _of_a_session(there.get("own parts", "")):
        raise InputError(
            f"{out} was compared from Python with parts of that session ({own}): call glomfeat.compare there once more "
            "with the same out and save_models=True"
        )
    given = [f"--config={out / 'study.yaml'}", *(["--", options.data] if options.data else [])]
    study = parse_options(Study, given, "python -m studies.refit", as_written=True)
    moved = {name: getattr(options, name) for name in ("weights", "cache", "jobs", "device", "memory")}
    given = {name: value for name, value in moved.items() if value is not None}
    no_model_reads = {"test": (), "map": (), "readers": None, "metrics": (), "style": None, "track": None}
    # these name features as DATA was called then; what counts is the full name of the arm
    no_model_reads |= {"ensembles": (), "reference": None, "margin": None}
    study = replace(study, out=str(out), **no_model_reads, **given)
    arm = Arm.parse(options.arm)
    trains = any(one.net for one in arm.members or [arm])
    prepared = prepare(study, say, begun=noted_starts(there) if study.init and not trains else None)
    changed = differences({name: value for name, value in there.items() if name != "ensembles"}, prepared.identity)
    if changed:
        raise InputError(f"{out} holds another study ({changed}): run python -m studies.compare anew")
    return prepared


def _of_a_session(parts):
    """Those of the own parts of a study that were given as objects in Python, and so have no module to find them in.

    Examples
    --------
    >>> _of_a_session("mylab:lda@12, knn@34, __main__:rule@56")
    'knn@34, __main__:rule@56'
    """
    named = re.compile(r"(?!__main__:)[\w.]+:\w+@")
    return ", ".join(part for part in filter(None, parts.split(", ")) if not named.match(part))


if __name__ == "__main__":
    run_main(main)
