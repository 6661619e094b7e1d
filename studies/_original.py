"""Code shared by the studies of the original: its published figures, a quick version, and both side by side."""

import csv
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path

from glomfeat.comparison.options import Study
from glomfeat.core.atomic import written_whole
from studies._cli import DONE, INCOMPLETE, end_with_report, open_console, print_tables

QUICK_SAID = "quick: this is not the study"
QUICK_IMAGES, QUICK_CASES, QUICK_PX = 96, 12, (60, 100)
QUICK = {"epochs": 1, "folds": 2}
QUICK_SHRINK = 4  # networks with a side of their own read images of a quarter of it
CAVEAT = (
    "published: image-level, one split of 577 images; "
    "ours: {split}, AUROC as the mean over folds, the rest over all images"
)
COUNTS = ("tn", "fp", "fn", "tp")


@dataclass(frozen=True)
class OriginalStudy(Study):
    """A study of the original, with its published figures next to ours."""

    features: tuple[str, ...] = ()
    """Features to compare the networks with."""
    size: int | tuple[int, ...] | None = 224
    """Side in pixels of the square to which all images are resized, with a Lanczos filter."""
    quick: bool = False
    """One epoch, two folds, few and small images, for a laptop. The output says that it is not the study. Options that
    differ from their defaults are kept."""


def published(names):
    """The figures that the original study published.

    Parameters
    ----------
    names : collection of str
        Networks, or ``padding-study``.

    Returns
    -------
    list of dict of str to str
        The rows of published.csv, as written there.

    Examples
    --------
    >>> [row["accuracy"] for row in published(["homemade-128"])]
    ['0.97574', '0.95667']
    """
    with resources.files("studies").joinpath("published.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["name"] in names]


def shorten(study, changes):
    """Make the quick version of a study, in which options with their default values are replaced.

    Parameters
    ----------
    study : OriginalStudy
    changes : dict of str to object
        For this study, besides `QUICK`.

    Examples
    --------
    >>> quick = shorten(OriginalStudy(nets=("compact",), folds=3), {"size": 64})
    >>> quick.epochs, quick.folds, quick.size
    (1, 3, 64)
    """
    usual, changes = type(study)(), _changing(study, changes)
    return replace(study, **{k: v for k, v in changes.items() if getattr(study, k) == getattr(usual, k)})


def _changing(study, changes):
    """What makes this study quick, without what would change nothing in it."""
    idle = (*(() if study.scheme == "cv" else ("folds",)), *(() if study.nets else ("epochs", "batch", "lr")))
    return {name: value for name, value in {**QUICK, **changes}.items() if name not in idle}


@contextmanager
def saying_so(study, console):
    """A context in which a quick run says, before and after everything else, that it is not the study."""
    say = console.out if study.quick else lambda line: None
    say(QUICK_SAID)
    try:
        yield
    finally:
        say(QUICK_SAID)


def prepare_original(study, say, changes=None):
    """Prepare a study like `glomfeat.comparison.prepare.prepare`, or its quick version.

    Parameters
    ----------
    study : OriginalStudy
    say : callable
        Called with each line that the user should read.
    changes : dict of str to object, optional
        Further changes that make this study quick.
    """
    from glomfeat.comparison.prepare import prepare

    if not study.quick:
        return prepare(study, say)
    return _prepare_quick(study, say, changes or {})


def _prepare_quick(study, say, changes):
    from glomfeat.comparison.prepare import Prepared, prepare
    from glomfeat.core.arms import Arm
    from glomfeat.core.seeds import seed_for
    from glomfeat.models.nets import find_architecture
    from studies._sample import sample

    class Quick(Prepared):
        """A study whose networks read small pictures."""

        def net_settings(self, name):
            settings = super().net_settings(name)
            return settings | (
                {"side": settings["side"] // QUICK_SHRINK} if find_architecture(Arm(net=name).network) else {}
            )

    short = given = shorten(study, changes)
    if study.data is None:
        short = replace(short, data=str(_small_phantom(short, say)), weights=short.weights or "auto")
    lines = []
    prepared = prepare(short, lines.append)
    manifest = sample(prepared.manifest, QUICK_IMAGES, seed_for(study.seed, "quick"), max(4, short.folds))
    for line in [*manifest.said, *(line for line in lines if line not in prepared.manifest.said)]:
        say(line)
    left_out = [name for name in (*study.nets, *study.features) if name not in (*short.nets, *short.features)]
    set_by = [k for k in _changing(study, changes) if k not in ("nets", "features") and getattr(short, k) is not None]
    what = [f"{k} {getattr(short, k)}" for k in set_by] + [f"{len(manifest)} images", "small pictures"]
    say(f"quick: {', '.join(what)}; left out: {', '.join(left_out) or 'no network or feature'}")
    manifest = replace(manifest, said=(f"{QUICK_SAID}: {manifest.said[0]}", *manifest.said[1:]))
    # the study does not name the small phantom, so that its YAML repeats it on any machine
    kept = replace(prepared.study, data=given.data)
    parts = {field.name: getattr(prepared, field.name) for field in fields(Prepared)}
    return Quick(**parts | {"manifest": manifest, "study": kept})


def _small_phantom(study, say):
    from glomfeat.core.cache import cache_folder
    from glomfeat.data.phantom import Phantom, folder_in, make_phantom

    low, high = QUICK_PX
    spec = Phantom(images=QUICK_IMAGES, cases=QUICK_CASES, seed=study.seed, min_px=low, max_px=high)
    say("data: a small phantom, generated cartoons of glomeruli; no figure says anything about patients")
    return make_phantom(folder_in(cache_folder(study.cache), spec), spec, study.jobs or 1)


def caveats(prepared):
    """What a reader must know who compares our figures with theirs."""
    study = prepared.study
    said = [CAVEAT.format(split=prepared.manifest.split.replace("split by", "by"))]
    if (k := len(prepared.manifest.classes)) > 2:
        said.append(f"published: two classes; ours: {k}, and the AUROC is the mean of each class against the rest")
    if study.data is None or (Path(study.data) / "phantom.json").is_file():
        said.append("ours is of a phantom, generated cartoons: not comparable with the published figures at all")
    if study.quick:
        said.append(f"{QUICK_SAID}, and no figure of it is comparable with the published ones")
    elif study.epochs:
        said.append(f"ours: {study.epochs} epochs")
    return said


def confusions(run, arm):
    """The confusion matrices of an arm from its pooled out-of-fold decisions, averaged over repeats.

    Returns
    -------
    at_half, at_threshold : ndarray of float, shape (classes, classes)
        NaN if a trial is not done; the second one also with more than two classes.
    """
    import numpy as np

    from glomfeat.results.calls import confusions
    from glomfeat.results.parts import trial_parts

    k, trials = len(run.manifest.classes), [trial for trial in run.trials if str(trial.arm) == arm]
    parts = trial_parts(run, trials)
    if len(parts) < len(trials):
        return np.full((k, k), np.nan), np.full((k, k), np.nan)
    return confusions(parts, k)


def arm_of(row, prepared):
    """The arm of a published row's network on images that are padded as theirs were; None if there is none."""
    from glomfeat.core.arms import Arm
    from glomfeat.models.nets import find_architecture

    free = len(prepared.study.sizes) == 1 or find_architecture(row["name"])
    for name, view in prepared.read_by_nets.items():
        alike = view.padding == row["padding"] and not view.stain and (free or view.size == int(row["size"]))
        if Arm(net=name).network == row["name"] and alike:
            return f"net:{name}"
    return None


def beside(run, results, known, prepared):
    """A row of the original and a row of ours for each of its figures.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        As `glomfeat.results.tables.results_table` returns it.
    known : list of dict
        As `published` returns it.
    prepared : glomfeat.comparison.prepare.Prepared

    Returns
    -------
    pandas.DataFrame
        ``net, whose, decision, accuracy, auroc, tn, fp, fn, tp, train_s, gpu``, all text, empty if there is no value.
    """
    import pandas as pd

    rows, two = [], len(run.manifest.classes) == 2
    of_arm = results.set_index("arm")
    for row in known:
        arm = arm_of(row, prepared)
        chosen = row["threshold"] not in ("0.5", "argmax")
        if arm not in of_arm.index or (chosen and not two):
            continue
        name = arm.removeprefix("net:")
        matrix = confusions(run, arm)[int(chosen)]
        ours = of_arm.loc[arm]
        said = {"net": name, "whose": "published", "decision": row["threshold"] + (" (test set)" if chosen else "")}
        rows.append(said | {key: row[key] for key in ("accuracy", "auroc", *COUNTS, "train_s", "gpu")})
        at = f"{ours['threshold']:.6g} (inner-valid)" if chosen else "0.5" if two else "argmax"
        counts = dict(zip(COUNTS, (f"{value:g}" for value in matrix.ravel()), strict=False)) if two else {}
        figures = {"accuracy": f"{matrix.trace() / matrix.sum():.5f}", "auroc": f"{ours['auroc']:.3f}"}
        train = {"train_s": f"{ours['fit_s']:.2f}"}
        rows.append({"net": name, "whose": "ours", "decision": at, **figures, **counts, **train})
    columns = ["net", "whose", "decision", "accuracy", "auroc", *COUNTS, "train_s", "gpu"]
    return pd.DataFrame(rows, columns=columns).fillna("").replace("nan", "")


def print_rows(frame, title, console, caption=""):
    """Print a table of text unchanged, with a line between one published figure and the next."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), caption=escape(caption), title_justify="left", caption_justify="left")
    for column in frame.columns:
        table.add_column(column, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(str(value)) for value in row), end_section=getattr(row, "whose", "") == "ours")
    console.print(table)


def print_beside(frame, prepared, console):
    """Print and write what `beside` found, with its caveats; if nothing was published, say so."""
    with written_whole(Path(prepared.study.out).expanduser() / "published.csv") as part:
        frame.to_csv(part, index=False)
    if frame.empty:
        console.out("no published figure belongs to these arms")
        return
    empty = [column for column in (*COUNTS, "auroc", "gpu") if not frame[column].any()]
    print_rows(frame.drop(columns=empty), "published beside ours", console)
    for said in caveats(prepared):
        console.out(said)


def run_original(study, changes, show=None, known=None):
    """Run a study of the original: the comparison, its table, and the published figures beside it.

    Parameters
    ----------
    study : OriginalStudy
    changes : dict of str to object
        Changes that make the study quick, besides `QUICK`.
    show : callable, optional
        Called with the console, the prepared study and the run, after the tables.
    known : list of dict, optional
        The published figures, as `published` returns them; those of the study's networks if left out.

    Returns
    -------
    int
        Exit status: 0 done, 1 some trials failed, images were set aside, or a metric gave no number.
    """
    from glomfeat.comparison.compare import compare

    console = open_console()
    with saying_so(study, console):
        prepared = prepare_original(study, console.out, changes)
        if study.dry_run:
            from glomfeat.comparison.forecast import print_plan

            print_plan(prepared, console)
            return DONE
        run, results, quarantine = compare(prepared, console.out)
        *_, whole = print_tables(prepared, run, results, quarantine, console)
        print_beside(beside(run, results, known or published(study.nets), prepared), prepared, console)
        if show:
            show(console, prepared, run)
        end_with_report(prepared.study, results, console, run)
    return DONE if whole else INCOMPLETE
