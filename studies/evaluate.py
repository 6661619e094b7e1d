"""Predict a folder of images, with a row for each file, or a feature table, with a row for each of its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from glomfeat.core.errors import InputError
from glomfeat.core.words import number_of
from studies._cli import DONE, INCOMPLETE, at_least, open_console, parse_options, run_main

RUNS = Path("runs")


@dataclass(frozen=True)
class Options:
    """Predict each image or row of DATA with a bundle. If you give only DATA, the newest bundle under runs/ is used."""

    bundle: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
    """Folder of the bundle, as studies.refit writes it. If you give only one path, it is DATA."""
    folder: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = None
    """Folder, zip or tar of images (every file gets a row, unless it is hidden or a document), or a CSV that names
    images. If the bundle was trained on a table, DATA is such a table in any form that a study reads (CSV, parquet,
    npy, HDF5, a folder of embeddings)."""
    labels: str | None = None
    """Table of labels (name,ground truth; CSV, Excel or parquet), for figures with limits in the report. Default:
    labels from the table itself, from class folders, or from a table among the images. labels_corrected.csv changes
    these."""
    name_column: str | None = None
    """Column that names files or rows, in --labels and in a table. Default: found by its header."""
    label_column: str | None = None
    """Column that holds the classes, in --labels or in the table. Default: found by its header."""
    out: str = "evaluation.csv"
    """The table to write: name,prediction,label,score,threshold,status. If it exists for the same bundle and data, it
    is continued. Next to it are the report (.html), if cases are known percentages (_cases.csv, _slides.csv), and if
    there are labels the wrong calls (_errors.csv)."""
    geojson: str | None = None
    """Folder to write QuPath's annotations to, with classes and scores. DATA must be the manifest.csv of
    studies.crops."""
    show_names: bool = False
    """Show real names of cases and slides in the report, instead of pseudonyms."""
    recursive: bool = False
    """Also take the files of sub-folders. This is the default if the folder itself holds no image."""
    groups: str | None = None
    """Where the case comes from, as in a study. Default: the bundle's own rule."""
    batch: int = 32
    """How many images to hold at once. It is part of what identifies the output, because the last digits of a network's
    scores depend on it. For tables, as many rows are held as fit into --memory."""
    weights: str | None = None
    """File or folder with the weights of a pretrained backbone, if they are not in the bundle."""
    device: str = "auto"
    """The device that computes: auto, cpu, cuda, cuda:1, mps."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: 80 % of what the process may use."""
    jobs: int | None = None
    """How many images to decode or describe at once. Default: one for each core."""
    trust: tuple[str, ...] = ()
    """Your own parts that the bundle names and that may be imported and run, as module:function."""


def main(arguments):
    """Evaluate the data that the command line names. Exit status: 0 done, 1 some files or rows have no prediction."""
    options = parse_options(Options, arguments, "python -m studies.evaluate")
    _check(options)

    from glomfeat.core.locks import alone_in

    console = open_console()
    place, data = _places(options, console.out)
    out = Path(options.out).expanduser()
    bundle = _load(place, options, console.out)
    data, crops = _crops(options, bundle, data, console.out)
    given, facts, labels = (_images if bundle.table is None else _rows)(options, bundle, data, out, console.out)
    labels, notes = _labels(options, given, bundle, labels, console.out) if options.labels else labels()
    with alone_in(out, "--out", beside=True):
        tally = _evaluate(options, bundle, place, given, out, console.out)
        predicted = _read(out, bundle)
        _report(options, bundle, given, facts, labels, notes, predicted, out, console)
    if options.geojson:
        _send_back(options, bundle, crops, predicted, console.out)
    return INCOMPLETE if tally.bad else DONE


def _evaluate(options, bundle, place, given, out, say):
    """Predict what the output lacks; return counts of what it then holds."""
    import joblib

    from glomfeat.bundle.evaluate import evaluate_all, open_output, paced
    from glomfeat.bundle.format import ABOUT
    from glomfeat.core.memory import budget_bytes
    from glomfeat.data.files import sha256_of

    settings, names = {"batch": options.batch, "device": options.device, "recursive": options.recursive}, given.names
    if bundle.table is not None:
        settings = {}
    identity = {"bundle": sha256_of(place / ABOUT), **given.identity(), **settings}
    tally = open_output(out, identity, names, bundle.columns)
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
    at_least(options, batch=1, jobs=1)
    if Path(options.out).suffix != ".csv":
        raise InputError(f"--out is {options.out!r}: write a name that ends in .csv")
    if options.labels and not Path(options.labels).is_file():
        raise InputError(
            f"there is no {options.labels}: --labels must be a table (CSV, Excel or parquet) of names and classes"
        )


def _places(options, say):
    """The folder of the bundle, and the data."""
    from glomfeat.bundle.format import ABOUT
    from glomfeat.data.locate import path_of
    from glomfeat.data.sources import find_archives

    if options.folder is None:
        folder, found = Path(options.bundle), [path for path in RUNS.glob(f"**/{ABOUT}") if not _is_member(path)]
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        if (folder / ABOUT).is_file():
            raise InputError(f"{folder} is a bundle: name the folder of images after it")
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


def _crops(options, bundle, data, say):
    """The data, replaced by its table if it is a folder of crops, and that table with its annotations or None."""
    from glomfeat.core.errors import UserError
    from glomfeat.data.locate import path_of
    from glomfeat.data.slides.back import find_annotations, find_manifest

    path = path_of(data)
    if options.geojson and bundle.table is not None:
        raise InputError("--geojson needs a bundle that reads images: this one reads rows of a table")
    if not options.geojson and (bundle.table is not None or not path.is_dir()):
        return data, None
    try:
        crops = find_manifest(path)
    except UserError:
        if options.geojson:
            raise
        return data, None
    if options.geojson:  # fail before hours of predictions, not after them
        find_annotations(*crops, Path(options.geojson).expanduser())
    if path.is_dir():
        say(f"{crops[0]} of studies.crops names the images")
    return crops[0], crops


def _images(options, bundle, data, out, say):
    """The images that DATA holds or names, the table that names them, and a function that finds their classes."""
    from glomfeat.bundle.against_labels import labels_within
    from glomfeat.bundle.images_given import files_in, files_listed, labels_beside
    from glomfeat.bundle.inputs import with_names
    from glomfeat.bundle.of_table import holds_rows
    from glomfeat.core.locks import mark_of
    from glomfeat.data.locate import is_forced, path_of
    from glomfeat.data.sources import find_archives
    from glomfeat.data.tables.read import SHEETS
    from glomfeat.report.evaluation_page import beside

    path, classes, notes = path_of(data), bundle.about["classes"], []
    asked = _asked_of(path, options)
    if holds_rows(path, asked, is_forced(data)):
        raise InputError(
            f"{data} is a feature table, and the bundle reads images: give the folder of images, or a bundle of an arm "
            "that learnt such a table (python -m studies.refit)"
        )
    if path.is_file() and path.suffix.lower() in SHEETS:
        files, frame = files_listed(path, asked)
        given = frame, path, files.names, asked, classes, notes
        return files, with_names(frame, path, asked), _telling(lambda: labels_within(*given), notes, options, say)
    if not path.is_dir() and not find_archives(path):
        raise InputError(
            f"{data} holds no images that are read: give a folder, a zip or tar, or a CSV that names images"
        )
    ours = [out, out.with_suffix(".json"), *beside(out).values(), mark_of(out, beside=True)]
    but = [*ours, *([options.labels] if options.labels else [])]
    files = files_in(path, options.recursive, but, notes, asked)
    said = tuple(notes)
    for note in said:
        say(note)
    notes.clear()
    if not files.names:
        raise InputError(f"{data} holds no images: give a folder of them, or --recursive for its sub-folders")
    given = files, asked, classes, notes, said, options.show_names
    return files, None, _telling(lambda: labels_beside(*given), notes, options, say, options.name_column)


def _rows(options, bundle, data, out, say):
    """The rows of the table that is DATA, facts about them, and a function that finds their classes."""
    from glomfeat.bundle.inputs import labels_of, open_rows, with_names
    from glomfeat.core.memory import budget_bytes
    from glomfeat.data.locate import path_of

    notes = []
    rows = open_rows(bundle.table, str(data), _asked_of(path_of(data), options), budget_bytes(options.memory), notes)
    if not len(rows.order):
        raise InputError(f"{data} holds a header but no rows: save it again with its rows")
    for note in notes:
        say(note)
    notes.clear()
    facts = with_names(rows.told, rows.path, rows.asked)
    return rows, facts, _telling(lambda: labels_of(rows, bundle.about["classes"], notes), notes, options, say)


def _asked(options):
    from glomfeat.data.tables.columns import Asked

    return Asked(options.name_column or "", options.label_column or "")


def _asked_of(path, options):
    """The columns of DATA that options name; beside a table of labels, which they are for, DATA may lack them."""
    import pandas as pd

    from glomfeat.data.embeddings.read import header_of
    from glomfeat.data.labels.corrections import read_corrections
    from glomfeat.data.tables.columns import Asked
    from glomfeat.data.tables.read import as_spelt

    corrections = read_corrections(options.labels)
    own = not options.labels or (corrections is not None and not corrections.base)
    header = [] if own else header_of(path)
    asked = _asked(options)
    return Asked(as_spelt(pd.DataFrame(columns=header), asked.name)) if header else asked


def _telling(find, notes, options, say, needed=None):
    """A function that finds classes and reports it; classes that do not fit and are not `needed` are no error."""
    from glomfeat.core.errors import UserError

    def labels():
        try:
            found = find()
        except UserError as error:
            if options.label_column or needed:
                raise
            say(f"no figures: {error}")
            return None, [f"no figures: {error}"]
        for note in notes:
            say(note)
        return (None if found is None or found.empty else found), notes

    return labels


def _is_member(path):
    """Whether a bundle lies within the bundle of an ensemble."""
    return (path.parent.parent / path.name).is_file()


def _load(place, options, say):
    """Load the bundle, and print its warnings as lines."""
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


def _labels(options, given, bundle, own, say):
    """The classes from --labels, or the data's own with the changes that --labels holds, and notes on them."""
    from glomfeat.bundle.against_labels import corrected, read_labels
    from glomfeat.bundle.model import as_text
    from glomfeat.data.labels.corrections import read_corrections

    corrections, classes, found, notes = read_corrections(options.labels), bundle.about["classes"], None, []
    table, said = corrections.base if corrections else options.labels, 0
    if table:
        found = read_labels(table, list(map(as_text, given.names)), classes, _asked(options), notes, options.show_names)
    else:
        found, notes = own()
        said = len(notes)
    if corrections:
        found = corrected(corrections, found, classes, notes)
    for note in notes[said:]:
        say(note)
    return found, notes


def _said(tally, out, unit):
    ways = ", ".join(f"{count} by {way}" for way, count in sorted(tally.ways.items()))
    unlike = f", {tally.unlike} unlike the training data" + (f" ({ways})" if ways else "") if tally.unlike else ""
    return f"{out}: {number_of(tally.rows, unit.removesuffix('s'))}, {tally.bad} without a prediction{unlike}"


def _read(out, bundle):
    """The evaluation as it was written, to the last bit."""
    from glomfeat.core.csvs import read_csv

    # a class may be called NA
    frame = read_csv(out, dtype=str, keep_default_na=False, encoding_errors="replace")
    numbers = [name for name in bundle.columns if name.startswith(("score", "prediction", "threshold"))]
    return frame.assign(**{name: frame[name].replace("", "nan").astype(float) for name in numbers})


def _report(options, bundle, given, facts, labels, notes, predicted, out, console):
    """Write the report and the tables of percentages, and print what they say."""
    from glomfeat.bundle.against_labels import LabelsError, judge
    from glomfeat.bundle.images_given import facts_of_folders, refuse_copies
    from glomfeat.bundle.in_cases import cases_apart, in_cases
    from glomfeat.bundle.inputs import compare_seen
    from glomfeat.report.evaluation import NO_FIGURES, Evaluation, answer, banners
    from glomfeat.report.evaluation_page import ERROR, beside, write_evaluation

    groups, judged, notes = options.groups or bundle.about["trained_on"]["groups"], None, list(notes)
    if facts is None:
        said = len(notes)
        facts = facts_of_folders(given, labels, bundle.about["classes"], groups, notes, options.show_names)
        for line in notes[said:]:
            console.out(line)
    if labels is not None:
        try:
            judged = judge(predicted, labels, groups, bundle.about, unit=given.unit, facts=facts)
            if bundle.table is None:  # this reads every file once more
                refuse_copies(given, judged, options.show_names)
        except LabelsError as error:
            judged = None
            if options.labels or options.label_column:
                raise
            notes.append(f"{NO_FIGURES}{error}")
            console.out(notes[-1])
    cases, said = in_cases(predicted, facts, labels, groups, given.unit)
    shown = given.unit, options.show_names
    for line in filter(None, (said, cases_apart(predicted["name"], facts, labels, groups, *shown))):
        notes.append(line)
        console.out(line)
    for line in judged.notes if judged else ():
        console.out(line)
    seen, alike, said = compare_seen(bundle, given, judged) if judged else (0, 0, "")
    if said:
        notes.append(said)
        console.out(said)
    told = {"unit": given.unit, "notes": tuple(notes), "show_names": options.show_names}
    found = Evaluation(bundle.about, predicted, judged, cases, seen, alike=alike, **told)
    page, *tables = write_evaluation(found, out)
    for line in (*(f"{head} {text}" for _, head, text in banners(found)), *answer(found)):
        console.out(line)
    for path in tables:
        console.out(f"{'wrong calls' if path == beside(out)[ERROR] else 'percentages'}: {path}")
    console.out(f"report: {page}")


def _send_back(options, bundle, crops, predicted, say):
    """Write the calls of the crops into the annotations that they were cut from."""
    from glomfeat.bundle.model import UNLIKE
    from glomfeat.data.slides.back import write_calls

    classes, calls = bundle.about["classes"], {}
    scores = {f"score_{name}": name for name in classes} if len(classes) > 2 else {"score": classes[-1]}
    for row in predicted[predicted["prediction"].notna()].to_dict("records"):
        measured = {f"glomfeat: score of {name}": row[column] for column, name in scores.items()}
        measured |= {"glomfeat: threshold": row["threshold"], "glomfeat: unlike training data": row["status"] == UNLIKE}
        calls[row["name"]] = row["label"], {name: float(value) for name, value in measured.items()}
    out = Path(options.geojson).expanduser()
    slides, called, uncalled = write_calls(*crops, calls, classes, out)
    say(f"{out}: annotations of {number_of(slides, 'slide')}, {called} called, {uncalled} left as they are")


if __name__ == "__main__":
    run_main(main)
