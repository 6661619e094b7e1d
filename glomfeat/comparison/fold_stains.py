"""Stain references drawn from the training images of each fold, and images described with them."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from glomfeat.comparison.beside import folds_beside
from glomfeat.comparison.extraction import extract_for
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.cache import digest_of
from glomfeat.core.errors import ChangedError
from glomfeat.core.seeds import seed_for
from glomfeat.data.images.decode import ImageError, decode
from glomfeat.data.images.stain import DRAWN, METHODS, Drawn, Stain, look, median_of
from glomfeat.data.splits import fold_rows, make_folds
from glomfeat.features.decode import read_checked
from glomfeat.features.extract import extract, views_of
from glomfeat.features.seen import view_of
from glomfeat.features.table import Table

SAMPLE, TRIED = 16, 64  # images for a reference, and most that are read to find as many that show tissue
WHOLE = "all"  # stands for repeat and fold if models are fitted on all images
PARTS = "matrices", "pixels", "keys", "failed", "as_were"  # the parts of what was extracted that depend on a reference


def is_drawn(view):
    """Whether this way of reading images uses a reference for each fold."""
    return isinstance(view.stain, Drawn)


def drawn_features(prepared):
    """The features of a study that are computed once for each fold."""
    of_images = [feature for feature in prepared.features if not isinstance(feature, Table)]
    return [feature for feature in of_images if is_drawn(view_of(feature, prepared.preprocess))]


def common_parts(prepared):
    """What is computed once for all folds, as `extract_for` takes it.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    features : list
    views : list of Preprocess
        For networks. If nothing else reads images, one that reads them without normalisation, because folds can only be
        dealt when it is known which images can be read.
    """
    drawn = {feature.name for feature in drawn_features(prepared)}
    features = [feature for feature in prepared.features if feature.name not in drawn]
    views = [view for view in prepared.views_of_nets if not is_drawn(view)]
    if _draws(prepared) and not views_of(features, prepared.preprocess, views):
        views = [replace(prepared.preprocess, stain=None)]
    return features, views


def _draws(prepared):
    return bool(drawn_features(prepared)) or any(map(is_drawn, prepared.views_of_nets))


def settle(prepared, extracted, rows, *name, read=None):
    """Draw a study's references from some rows, and describe its images with them.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        What all folds have in common.
    rows : ndarray of int64
        Rows of the images that models learn from.
    *name : str or int
        What the draw is for, see `draw_stains`.
    read : Prepared, optional
        A study with those features and networks whose images are described; all of them if left out.

    Returns
    -------
    prepared : Prepared
        The same study if no reference is drawn.
    extracted : Extracted
    """
    read = read or prepared
    if not _draws(read):
        return prepared, extracted
    there = _with_stains(prepared, draw_stains(prepared, extracted.manifest, rows, *name))
    drawn = {feature.name for feature in drawn_features(read)}
    features = [feature for feature in there.features if feature.name in drawn]
    nets = [net for net in read.nets if is_drawn(prepared.view_of_net(net))]
    found = extract_for(there, extracted.manifest, features, [there.view_of_net(net) for net in nets])
    if len(found.manifest) != len(extracted.manifest):
        raise ChangedError("the images that can be read have changed during the run: start again")
    return there, replace(extracted, **{part: getattr(extracted, part) | getattr(found, part) for part in PARTS})


def settle_whole(prepared, extracted, read=None):
    """`settle` with references drawn from all images, for models that are fitted on all of them."""
    return settle(prepared, extracted, np.arange(len(extracted.manifest)), WHOLE, read=read)


def settle_folds(prepared, extracted, tables):
    """`settle` for each fold of a study.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
    tables : dict of str to pandas.DataFrame
        Folds, by the prefix of their names.

    Returns
    -------
    dict of (repeat, fold) to (Prepared, Extracted)
        Empty if no reference is drawn.
    """
    if not _draws(prepared):
        return {}
    return {
        place: settle(prepared, extracted, fold_rows(folds, *place)[0], *place)
        for place, folds in _where(prepared, tables).items()
    }


def _where(prepared, tables):
    """The table of folds for each repeat and fold that is tested."""
    trials = {prefix: prepared.trials_on(prefix) if prefix else prepared.trials for prefix in tables}
    return {(one.repeat, one.fold): folds for prefix, folds in tables.items() for one in trials[prefix]}


def _with_stains(prepared, stains):
    """A study that normalises stains to drawn references, by the method and the colour of transparent parts."""

    def settled(view):
        return replace(view, stain=stains[_reads(view)]) if view and is_drawn(view) else view

    def seen(feature):
        return replace(feature, view=settled(feature.view)) if feature.view else feature

    cohorts = [
        replace(one, features={name: seen(feature) for name, feature in one.features.items()})
        for one in prepared.cohorts
    ]
    return replace(
        prepared,
        preprocess=settled(prepared.preprocess),
        features=list(map(seen, prepared.features)),
        read_by_nets={net: settled(view) for net, view in prepared.read_by_nets.items()},
        cohorts=tuple(cohorts),
    )


def draw_stains(prepared, manifest, rows, *name):
    """Draw references from some images: for each method, the median of what it finds in up to 16 of them.

    They are stored by these images.

    Parameters
    ----------
    prepared : Prepared
    manifest : Manifest
    rows : ndarray of int64
        Of the manifest. No other image is read.
    *name : str or int
        For the seed: repeat and fold, or `WHOLE`.

    Returns
    -------
    dict of (str, int) to Stain
        By the method and the colour of transparent parts.

    Raises
    ------
    StudyError
        None of the images that were tried shows what a method needs.
    """
    tried = _tried(prepared, manifest, rows, *name)
    table, icc, stains = manifest.table.iloc[tried], prepared.preprocess.icc, {}
    for colour in _colours(prepared):
        key = _key(manifest, tried, icc, colour)
        found = prepared.store.shard(key, partial(_references, table, icc, colour))
        for method in (method for method in prepared.study.stains if method in METHODS):
            if not len(found[method]):
                what = f"none of {len(tried)} images, drawn from those that models of a fold learn from, shows"
                raise StudyError(
                    f"--stain-reference fold: {what} what {method} needs, tissue of more than one colour or stain: "
                    "give pas, he or an image that is filled with tissue"
                )
            stains[method, colour] = Stain(method, tuple(found[method].tolist()))
    return stains


def _reads(view):
    """What a reference of a way of reading images depends on: the method, and the colour of transparent parts."""
    return view.stain.method, view.colour


def _colours(prepared):
    """The colours that a study lays transparent parts over."""
    return sorted({replace(prepared.preprocess, padding=padding).colour for padding in prepared.study.paddings})


def _tried(prepared, manifest, rows, *name):
    seed = seed_for(prepared.study.seed, "stain reference", *name)
    return order_drawn(manifest.table["digest"], manifest.cases, rows, seed)[:TRIED]


def order_drawn(digests, cases, rows, seed):
    """Rows in the order in which they are drawn: one of each case, then a second one of each, and so on.

    The order depends on the images and their cases, whatever else DATA holds and in whichever order.

    Parameters
    ----------
    digests : sequence of str
        SHA-256 of each image, hexadecimal.
    cases : ndarray of int64
    rows : ndarray of int64
    seed : int

    Returns
    -------
    ndarray of int64

    Examples
    --------
    >>> digests, cases = [f"{k:064x}" for k in (7, 5, 9, 8)], np.array([0, 0, 0, 1])
    >>> order_drawn(digests, cases, np.arange(4), seed=2).tolist()
    [2, 3, 0, 1]
    """
    digests = np.asarray(digests, object)
    drawn = np.array([seed_for(seed, digests[row]) for row in rows], np.int64)
    order = rows[np.lexsort([rows, drawn])]
    turn = pd.Series(cases[order]).groupby(cases[order]).cumcount()
    return order[np.argsort(turn.to_numpy(), kind="stable")]


def _key(manifest, tried, icc, colour):
    versions = {method: f"v{one.version}" for method, one in METHODS.items()}
    images = digest_of(manifest.table["digest"].iloc[tried].tolist())
    return {"statistics": DRAWN, "what": "a stain reference", "icc": icc, "on": colour, **versions, "images": images}


def _references(table, icc, colour):
    """The numbers of every method; empty if none were found."""
    densities = []
    for path, digest in zip(table["path"], table["digest"], strict=True):
        if len(densities) == SAMPLE:
            break
        try:
            density = look(np.asarray(decode(read_checked(path, digest), colour, icc)))[1]
        except ImageError:
            continue
        if all(one.describe(density) is not None for one in METHODS.values()):
            densities.append(density)
    return {method: np.array(median_of(method, densities) or (), np.float64) for method in METHODS}


def whole_drawn(prepared):
    """A study whose images are described only as models need them that are fitted on all of DATA."""
    if not _draws(prepared):
        return prepared
    rows = np.arange(len(prepared.manifest))
    return _with_stains(prepared, draw_stains(prepared, prepared.manifest, rows, WHOLE))


def stand_for(prepared, whole):
    """A function that resolves a way of reading images: to itself, or to a reference for each fold if stored.

    Parameters
    ----------
    prepared : Prepared
    whole : bool
        Whether models are also fitted on all images.

    Returns
    -------
    callable
        Takes a `Preprocess` and returns the list of those by which images will be read. References that are not known
        yet stay as they are.
    """
    if not _draws(prepared):
        return lambda view: [view]
    study, manifest = prepared.study, prepared.manifest
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    where = _where(prepared, {"": folds} | folds_beside(prepared, folds, lambda line: None))
    places = [(place, fold_rows(table, *place)[0]) for place, table in where.items()]
    places += [((WHOLE,), np.arange(len(manifest)))] if whole else []
    stains = []
    for place, rows in places:
        tried = _tried(prepared, manifest, rows, *place)
        keys = [_key(manifest, tried, prepared.preprocess.icc, colour) for colour in _colours(prepared)]
        stains.append(draw_stains(prepared, manifest, rows, *place) if all(map(prepared.store.has, keys)) else {})
    return lambda view: (
        [replace(view, stain=one.get(_reads(view), view.stain)) for one in stains] if is_drawn(view) else [view]
    )


def extract_for_arm(prepared, arm):
    """Everything that an arm reads, and nothing else; as a rule it is all stored.

    Parameters
    ----------
    prepared : Prepared
    arm : str

    Returns
    -------
    prepared : Prepared
        With stain references from all images, if folds draw them.
    extracted : Extracted
    """
    arm, study = Arm.parse(arm), prepared.study
    arms = arm.members or (arm,)
    features = [feature for feature in prepared.features if feature.name in {one.feature for one in arms}]
    nets = {one.net: prepared.nets[one.net] for one in arms if one.net}
    read = replace(prepared, features=features, nets=nets)
    features, also = common_parts(read)
    rest = prepared.preprocess, prepared.store, study.jobs, study.on_error, also, prepared.free
    return settle_whole(prepared, extract(prepared.manifest, features, *rest), read)
