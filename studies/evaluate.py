"""What a model says about a folder of images: a row per file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from glomfeat.core.errors import InputError
from glomfeat.core.words import number_of
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main

RUNS = Path("runs")


@dataclass(frozen=True)
class Options:
    """Predict every file of FOLDER with a bundle: the newest one under runs/ where FOLDER is given alone."""

    bundle: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
    """Folder of the bundle, as python -m studies.refit writes it; or FOLDER, if it is given alone."""
    folder: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder, zip or tar of images. Every file in it has a row."""
    labels: str | None = None
    """CSV of labels (name,ground truth), for figures with limits in a report beside the output."""
    name_column: str | None = None
    """Column of --labels that names the files, found by its header if left out."""
    label_column: str | None = None
    """Column of --labels that holds the classes, found by its header if left out."""
    out: str = "evaluation.csv"
    """Output: name,prediction,label,score,threshold,status. One of the same bundle and folder is gone on with."""
    recursive: bool = False
    """Take the files of sub-folders too."""
    groups: str | None = None
    """Where the case comes from, as in a study; the bundle's own rule if left out."""
    batch: int = 32
    """Images that are held at once; part of the output's identity, because last bits of a network's scores depend on
    it."""
    weights: str | None = None
    """File or folder of a pretrained backbone's weights, where they are not in the bundle."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out."""
    jobs: int | None = None
    """Images that are decoded or described at once; as many as there are cores if left out."""
    trust: tuple[str, ...] = ()
    """Parts of your own that the bundle names and that may be imported and run, as module:function."""


def main(arguments):
    """Evaluate the folder that the command line names.

    Returns
    -------
    int
        Exit status: 0 done, 1 some files have no prediction.
    """
    options = parse_options(Options, arguments, "python -m studies.evaluate")
    _check(options)

    from glomfeat.bundle.evaluate import list_files
    from glomfeat.core.locks import alone_in, mark_of

    console = open_console()
    place, folder = _places(options, console.out)
    out = Path(options.out).expanduser()
    bundle = _load(place, options, console.out)
    ours = [*(out.with_suffix(suffix) for suffix in (".csv", ".json", ".md")), mark_of(out, beside=True)]
    names = list_files(folder, options.recursive, [*ours, *([options.labels] if options.labels else [])])
    if not names:
        raise InputError(f"{folder} holds no files: give a folder of images, or --recursive for its sub-folders")
    labels = _labels(options, names, bundle, console.out)
    with alone_in(out, "--out", beside=True):
        tally = _evaluate(options, bundle, place, folder, names, out, console.out)
        if labels is not None:
            _report(options, bundle, folder, names, labels, out, tally, console)
    return INCOMPLETE if tally.bad else DONE


def _evaluate(options, bundle, place, folder, names, out, say):
    """Predict what the output lacks; what it then holds, counted."""
    import joblib

    from glomfeat.bundle.evaluate import evaluate_folder, identity_of, open_output, paced
    from glomfeat.bundle.format import ABOUT
    from glomfeat.core.memory import budget_bytes
    from glomfeat.data.files import sha256_of

    settings = {"batch": options.batch, "device": options.device, "recursive": options.recursive}
    tally = open_output(out, identity_of(sha256_of(place / ABOUT), folder, names, settings), names)
    if tally.rows:
        say(f"{out}: {tally.rows} of {len(names)} files are there already")
    jobs, budget = options.jobs or joblib.cpu_count(), budget_bytes(options.memory)
    paths = [f"{folder}/{name}" for name in names]
    bundle, threads, ahead = paced(bundle, paths, options.batch, jobs, budget)
    tally = evaluate_folder(bundle, folder, names, out, tally, options.batch, threads, ahead)
    say(_said(tally, out))
    return tally


def _check(options):
    for name in ("batch", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}: at least 1")
    if Path(options.out).suffix != ".csv":
        raise InputError(f"--out is {options.out!r}: write a name that ends in .csv")
    if options.labels and not Path(options.labels).is_file():
        raise InputError(f"there is no {options.labels}: --labels must be a CSV such as name,ground truth")


def _places(options, say):
    """The bundle's folder and the folder of images."""
    from glomfeat.bundle.format import ABOUT
    from glomfeat.data.files import is_archive, roots_of

    if options.folder is None:
        folder, found = Path(options.bundle), [path for path in RUNS.glob(f"**/{ABOUT}") if not _is_member(path)]
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        if (folder / ABOUT).is_file():
            raise InputError(f"{folder} is a bundle: name the folder of images behind it")
        if not found:
            raise InputError(
                f"there is no bundle under {RUNS}/: python -m studies.refit writes one, or name BUNDLE FOLDER"
            )
        place = found[-1].parent
        say(f"bundle: {place}, the newest of {len(found)} under {RUNS}/")
    else:
        place, folder = Path(options.bundle).expanduser(), Path(options.folder)
    folder = folder.expanduser()
    if is_archive(folder):
        return place, roots_of([folder])[0]
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give BUNDLE and a FOLDER of images, or a zip or tar of them")
    return place, folder


def _is_member(path):
    """Whether a bundle lies in that of an ensemble."""
    return (path.parent.parent / path.name).is_file()


def _load(place, options, say):
    """The bundle; what it warns about is said as a line."""
    import warnings

    from glomfeat.bundle.load import OtherVersionsWarning, load_bundle

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OtherVersionsWarning)
        bundle = load_bundle(place, options.weights, options.device, options.trust)
    for warning in caught:
        if issubclass(warning.category, OtherVersionsWarning):
            say(f"note: {warning.message}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    images = number_of(bundle.about["trained_on"]["images"], "image")
    say(f"{bundle.about['arm']}: trained on {images}, see card.md in the bundle")
    return bundle


def _labels(options, names, bundle, say):
    if not options.labels:
        return None
    from glomfeat.bundle.against_labels import read_labels
    from glomfeat.bundle.model import as_text
    from glomfeat.data.tables.columns import Asked

    notes, asked = [], Asked(options.name_column or "", options.label_column or "")
    found = read_labels(options.labels, list(map(as_text, names)), bundle.about["classes"], asked, notes)
    for note in notes:
        say(note)
    return found


def _said(tally, out):
    ways = ", ".join(f"{count} by {way}" for way, count in sorted(tally.ways.items()))
    unlike = f", {tally.unlike} unlike the training data" + (f" ({ways})" if ways else "") if tally.unlike else ""
    return f"{out}: {number_of(tally.rows, 'file')}, {tally.bad} without a prediction{unlike}"


def _report(options, bundle, folder, names, labels, out, tally, console):
    import pandas as pd

    from glomfeat.bundle.against_labels import judge, make_report, seen_before
    from glomfeat.core.atomic import write_text

    groups = options.groups or bundle.about["trained_on"]["groups"]
    empty = {"prediction": [""], "score": [""]}  # a class may be called None or NA
    text = {"name": str, "label": str, "status": str}
    predicted = pd.read_csv(out, dtype=text, keep_default_na=False, na_values=empty, encoding_errors="replace")
    judged = judge(predicted, labels, groups, bundle.about["classes"])
    text = make_report(judged, bundle, tally, seen_before(folder, names, bundle.seen))
    path = out.with_suffix(".md")
    write_text(path, text)
    console.out(text)
    console.out(f"report: {path}")


if __name__ == "__main__":
    run_main(main)
