"""The outcome of a study; for a finished study it comes from its folder alone, so that no image is read again."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from glomfeat.comparison.beside import folds_beside
from glomfeat.comparison.cohorts import left_to_score, scored_cohorts
from glomfeat.comparison.explain.files import EXPLAINED
from glomfeat.comparison.perturbed import left_to_change
from glomfeat.core.arms import StudyError
from glomfeat.core.csvs import read_csv
from glomfeat.core.words import number_of
from glomfeat.data.splits import check_folds, few_in_words, make_folds
from glomfeat.features.budget import is_network
from glomfeat.models.heads.built_in import is_linear
from glomfeat.results.whole import why_unfit


@dataclass(frozen=True)
class Outcome:
    """The outcome of running a study now or earlier.

    Attributes
    ----------
    manifest : Manifest
        The images that could be read.
    aside : list of dict
        ``name`` and ``reason`` of the files that were set aside.
    folds : pandas.DataFrame
        As `glomfeat.data.splits.make_folds` returns it.
    beside : dict of str to pandas.DataFrame
        Further folds, as `glomfeat.comparison.beside.folds_beside` returns them.
    records : dict of (arm, repeat, fold) to dict
        Of the journal.
    cohorts : tuple of glomfeat.results.external.Cohort
    extracted : Extracted or None
        None if nothing was read.
    """

    manifest: object
    aside: list
    folds: pd.DataFrame
    beside: dict
    records: dict
    cohorts: tuple = ()
    extracted: object = None


def find_aside(prepared, journal, say):
    """The images that a finished study set aside, or None if anything is left to do.

    A file that a full disk cut short counts as left to do, and the user is told.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal
        Journal of the same study.
    say : callable

    Returns
    -------
    list of dict or None
        ``name`` and ``reason`` of images.
    """
    study, out, done = prepared.study, Path(prepared.study.out).expanduser(), journal.done()
    needed = ["quarantine.csv", "folds.csv", "environment.json", *(EXPLAINED if prepared.features else ())]
    unfit = {name: why for name in needed if (why := why_unfit(out / name, journal))}
    for name, why in unfit.items():
        if why != "is not there":
            say(f"{name} {why}: it is made again")
    aside = [] if "quarantine.csv" in unfit else _written_aside(prepared, out)
    readable = replace(prepared, manifest=_readable(prepared.manifest, aside))
    if (
        unfit
        or not all(trial.key in done for trial in readable.all_trials)
        or study.save_models
        or left_to_score(prepared, journal)
        or (study.inside and _left_to_look_into(prepared, journal))
        or left_to_change(prepared, journal)
    ):
        return None
    return None if aside and study.on_error == "stop" else aside


def _written_aside(prepared, out):
    return _images(prepared, read_csv(out / "quarantine.csv", dtype=str, keep_default_na=False).to_dict("records"))


def _images(prepared, aside):
    """Those of some rows that name an image, not another file."""
    names = {*prepared.manifest.table["name"]}
    return [row for row in aside if row["name"] in names]


def _readable(manifest, aside):
    """The images that have not been set aside."""
    names = [row["name"] for row in aside]
    return manifest.keep(~manifest.table["name"].isin(names).to_numpy()) if names else manifest


def refuse_other_images(prepared, aside, journal):
    """Refuse to go on with a study if other images can be read than when its first trials were run.

    Parameters
    ----------
    prepared : Prepared
    aside : list of dict
        ``name`` of what is set aside now.
    journal : Journal
    """
    out = journal.path.parent
    if journal.done() and not why_unfit(out / "quarantine.csv", journal):
        refuse_other(_written_aside(prepared, out), _images(prepared, aside), out)


def refuse_other(before, now, out, of=""):
    """Refuse to add to the scores in a folder if other images are set aside than before.

    Parameters
    ----------
    before, now : list of dict
        ``name`` of images that are set aside.
    out : path-like
    of : str
        What the message begins with.
    """
    before, now = ({row["name"] for row in rows} for rows in (before, now))
    if before != now:
        raise StudyError(
            f"{of}{number_of(len(before - now), 'image')} can be read now but could not be when the scores in {out} "
            f"were made, and {len(now - before)} the other way round: choose another folder with --out"
        )


def _left_to_look_into(prepared, journal):
    """Whether a linear head reads a deep feature that has no record of where it finds the evidence."""
    deep = {feature.name for feature in prepared.features if is_network(feature)}
    if not deep or len(prepared.manifest.classes) > 2:
        return False
    seen = journal.inside()
    return any(arm.feature in deep and is_linear(arm.head) and str(arm) not in seen for arm in prepared.arms)


def read_again(prepared, aside, journal, say):
    """The outcome of a finished study.

    Parameters
    ----------
    prepared : Prepared
    aside : list of dict
        As `find_aside` returns it.
    journal : Journal
    say : callable

    Returns
    -------
    Outcome
    """
    manifest = _readable(prepared.manifest, aside)
    say_aside(aside, journal.path.parent, say)
    folds = deal(prepared, manifest, say)
    beside = folds_beside(prepared, folds, say)
    cohorts = scored_cohorts(prepared, journal)
    return Outcome(manifest, [*aside, *prepared.manifest.unread], folds, beside, journal.read(), cohorts)


def say_aside(aside, out, say):
    """Say how many images cannot be read, if there are any."""
    if aside:
        where = number_of(len(aside), "image cannot be read and was", "images cannot be read and were")
        say(f"{where} set aside: see {out / 'quarantine.csv'}")


def say_profiles(extracted, study, say, of=""):
    """Say how many images have a profile other than sRGB, if any, and what is done with them."""
    if extracted.profiles:
        how = (
            "kept as the numbers in the file"
            if study.icc == "keep"
            else "converted to sRGB; --icc keep leaves them as they are"
        )
        who = number_of(extracted.profiles, "image has", "images have")
        say(f"{of}colours: {who} an embedded ICC profile that is not sRGB's: {how}")


def say_as_were(found, say, of=""):
    """Say how many images have a stain that could not be normalised, if any, by one reference or by several."""
    counts = {}
    for extracted in found:
        for view in (view for view in extracted.pixels if view.stain):  # the same number at every size
            counts[view.stain, view.colour] = extracted.as_were.get(view, 0), len(extracted.manifest)
    for method in dict.fromkeys(stain.method for stain, _ in counts):
        each = [count for (stain, _), count in counts.items() if stain.method == method]
        many, total = max(each)
        if not many:
            continue
        most = "up to " if min(each) < max(each) else ""
        left = f"{method} leaves {most}{many} of {number_of(total, 'image')} as they are"
        say(f"{of}stain: {left}: they show too little tissue, one colour or one stain, or little more than noise")


def deal(prepared, manifest, say):
    """Deal and verify the folds of a study, and say how they turned out."""
    study = prepared.study
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    low, high = check_folds(folds, manifest.torn)
    unit = "image" if manifest.torn else manifest.unit
    share = f"{manifest.classes[-1]} is {low:.1%} to {high:.1%} of a fold"
    say(f"folds: {manifest.split}; no {unit} is in two of them; {share}")
    if few := few_in_words(manifest):
        say(few)
    return folds
