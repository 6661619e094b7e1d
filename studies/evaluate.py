"""What a model says about a folder of images, a row per file, or about a feature table, a row per row."""

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
    """Predict every image or row of DATA with a bundle: the newest one under runs/ where DATA is given alone."""

    bundle: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
    """Folder of the bundle, as python -m studies.refit writes it; or DATA, if it is given alone."""
    folder: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """Folder, zip or tar of images, every file of which has a row, or a CSV that names images; of a bundle that learnt
    rows of a table such a table, as a study reads it (CSV, parquet, npy, HDF5, a folder of embeddings)."""
    labels: str | None = None
    """CSV of labels (name,ground truth), for figures with limits in a report beside the output; if left out, labels of
    the table itself, of class folders or of a table among the images are taken."""
    name_column: str | None = None
    """Column that names files or rows, in --labels and in a table; found by its header if left out."""
    label_column: str | None = None
    """Column that holds the classes, in --labels or in the table; found by its header if left out."""
    out: str = "evaluation.csv"
    """Output: name,prediction,label,score,threshold,status. One of the same bundle and data is gone on with."""
    recursive: bool = False
    """Take the files of sub-folders too; done without asking where the folder itself holds no image."""
    groups: str | None = None
    """Where the case comes from, as in a study; the bundle's own rule if left out."""
    batch: int = 32
    """Images that are held at once; part of the output's identity, because last bits of a network's scores depend on
    it. Of rows, as many are held as --memory has room for."""
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
    """Evaluate the data that the command line names.

    Returns
    -------
    int
        Exit status: 0 done, 1 some files or rows have no prediction.
    """
    options = parse_options(Options, arguments, "python -m studies.evaluate")
    _check(options)

    from glomfeat.core.locks import alone_in

    console = open_console()
    place, data = _places(options, console.out)
    out = Path(options.out).expanduser()
    bundle = _load(place, options, console.out)
    given, labels = (_images if bundle.table is None else _rows)(options, bundle, data, out, console.out)
    labels = _labels(options, given, bundle, console.out) if options.labels else labels()
    with alone_in(out, "--out", beside=True):
        tally = _evaluate(options, bundle, place, given, out, console.out)
        if labels is not None:
            _report(options, bundle, given, labels, out, tally, console)
    return INCOMPLETE if tally.bad else DONE


def _evaluate(options, bundle, place, given, out, say):
    """Predict what the output lacks; what it then holds, counted."""
    import joblib

    from glomfeat.bundle.evaluate import evaluate_all, open_output, paced
    from glomfeat.bundle.format import ABOUT
    from glomfeat.core.memory import budget_bytes
    from glomfeat.data.files import sha256_of

    settings, names = {"batch": options.batch, "device": options.device, "recursive": options.recursive}, given.names
    if bundle.table is not None:
        settings = {}
    identity = {"bundle": sha256_of(place / ABOUT), **given.identity(), **settings}
    tally = open_output(out, identity, names)
    if tally.rows:
        say(f"{out}: {tally.rows} of {len(names)} {given.unit} are there already")
    if bundle.table is None:
        jobs, budget = options.jobs or joblib.cpu_count(), budget_bytes(options.memory)
        bundle, threads, ahead = paced(bundle, list(map(str, given.paths)), options.batch, jobs, budget)
        tally = evaluate_all(bundle, given, out, tally, options.batch, threads, ahead)
    else:
        tally = evaluate_all(bundle, given, out, tally, given.batch, ahead=0)
    say(_said(tally, out, given.unit))
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
    """The bundle's folder, and the data."""
    from glomfeat.bundle.format import ABOUT
    from glomfeat.data.locate import path_of
    from glomfeat.data.sources import find_archives

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
    if not path_of(folder).exists() and not find_archives(folder.expanduser()):
        raise InputError(f"there is no {folder}: give BUNDLE and DATA, a folder, zip or tar of images or a table")
    return place, folder


def _images(options, bundle, data, out, say):
    """The images that DATA holds or names, and a function that finds their classes."""
    from glomfeat.bundle.against_labels import labels_within
    from glomfeat.bundle.images_given import files_in, files_listed, labels_beside
    from glomfeat.bundle.of_table import holds_rows
    from glomfeat.core.locks import mark_of
    from glomfeat.data.locate import is_forced, path_of
    from glomfeat.data.sources import find_archives
    from glomfeat.data.tables.read import SHEETS

    asked, classes, notes = _asked(options), bundle.about["classes"], []
    path = path_of(data)
    if holds_rows(path, asked, is_forced(data)):
        raise InputError(
            f"{data} is a feature table, and the bundle reads images: give the folder of images, or a bundle of an arm "
            "that learnt such a table (python -m studies.refit)"
        )
    if path.is_file() and path.suffix.lower() in SHEETS:
        files, frame = files_listed(path, asked)
        given = frame, path, files.names, asked, classes, notes
        return files, _telling(lambda: labels_within(*given), notes, options, say)
    if not path.is_dir() and not find_archives(path):
        raise InputError(
            f"{data} holds no images that are read: give a folder, a zip or tar, or a CSV that names images"
        )
    ours = [*(out.with_suffix(suffix) for suffix in (".csv", ".json", ".md")), mark_of(out, beside=True)]
    but = [*ours, *([options.labels] if options.labels else [])]
    files = files_in(path, options.recursive, but, notes)
    for note in notes:
        say(note)
    notes.clear()
    if not files.names:
        raise InputError(f"{data} holds no files: give a folder of images, or --recursive for its sub-folders")
    return files, _telling(lambda: labels_beside(files, asked, classes, notes), notes, options, say)


def _rows(options, bundle, data, out, say):
    """The rows of the table that DATA is, and a function that finds their classes."""
    from glomfeat.bundle.inputs import labels_of, open_rows
    from glomfeat.core.memory import budget_bytes

    notes = []
    rows = open_rows(bundle.table, str(data), _asked(options), budget_bytes(options.memory), notes)
    if not len(rows.order):
        raise InputError(f"{data} holds a header and no row: save it again with its rows")
    for note in notes:
        say(note)
    notes.clear()
    return rows, _telling(lambda: labels_of(rows, bundle.about["classes"], notes), notes, options, say)


def _asked(options):
    from glomfeat.data.tables.columns import Asked

    return Asked(options.name_column or "", options.label_column or "")


def _telling(find, notes, options, say):
    """A function that finds classes and says how; classes that nobody asked for and that do not fit stop nothing."""
    from glomfeat.core.errors import UserError

    def labels():
        try:
            found = find()
        except UserError as error:
            if options.label_column:
                raise
            say(f"no report: {error}")
            return None
        for note in notes:
            say(note)
        return found

    return labels


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
    images = number_of(bundle.about["trained_on"]["images"], "image" if bundle.table is None else "row")
    say(f"{bundle.about['arm']}: trained on {images}, see card.md in the bundle")
    return bundle


def _labels(options, given, bundle, say):
    """The classes that --labels gives."""
    from glomfeat.bundle.against_labels import read_labels
    from glomfeat.bundle.model import as_text

    notes = []
    found = read_labels(
        options.labels, list(map(as_text, given.names)), bundle.about["classes"], _asked(options), notes
    )
    for note in notes:
        say(note)
    return found


def _said(tally, out, unit):
    ways = ", ".join(f"{count} by {way}" for way, count in sorted(tally.ways.items()))
    unlike = f", {tally.unlike} unlike the training data" + (f" ({ways})" if ways else "") if tally.unlike else ""
    return f"{out}: {number_of(tally.rows, unit.removesuffix('s'))}, {tally.bad} without a prediction{unlike}"


def _report(options, bundle, given, labels, out, tally, console):
    import pandas as pd

    from glomfeat.bundle.against_labels import LabelsError, judge, make_report
    from glomfeat.core.atomic import write_text

    groups = options.groups or bundle.about["trained_on"]["groups"]
    empty = {"prediction": [""], "score": [""]}  # a class may be called None or NA
    text = {"name": str, "label": str, "status": str}
    predicted = pd.read_csv(out, dtype=text, keep_default_na=False, na_values=empty, encoding_errors="replace")
    try:
        judged = judge(predicted, labels, groups, bundle.about["classes"], unit=given.unit)
    except LabelsError as error:
        if options.labels or options.label_column:
            raise
        console.out(f"no report: {error}")
        return
    text = make_report(judged, bundle, tally, given.count_seen(bundle.seen), given.unit)
    path = out.with_suffix(".md")
    write_text(path, text)
    console.out(text)
    console.out(f"report: {path}")


if __name__ == "__main__":
    run_main(main)
