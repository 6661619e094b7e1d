"""A look at a few images before the work: what extraction needs, and how wide features are."""

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.utils import gen_batches

from glomfeat.comparison.cohorts import places_of
from glomfeat.comparison.fold_stains import common_parts, is_drawn, stand_for
from glomfeat.comparison.near_copies import searched, to_describe
from glomfeat.core.cache import plan_shards
from glomfeat.core.workers import alone
from glomfeat.data.embeddings.named import AT_ONCE
from glomfeat.data.images.decode import ImageError, Preprocess
from glomfeat.features.budget import find_pace, largest_source, width_of
from glomfeat.features.decode import decode_rows
from glomfeat.features.extract import refuse_unread, views_of
from glomfeat.features.pixels import Pixels
from glomfeat.features.seen import plain
from glomfeat.features.shards import Shards
from glomfeat.features.table import Table
from glomfeat.features.users import is_users

PROBED = 4


@dataclass(frozen=True)
class Shape:
    """What is known about a feature before it is computed.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    gaps : bool
        Whether values may be missing.
    """

    shape: tuple
    dtype: np.dtype
    gaps: bool = False

    def __len__(self):
        return self.shape[0]


@dataclass(frozen=True)
class View:
    """What a survey finds for one way of reading images.

    Attributes
    ----------
    preprocess : Preprocess
    pixels, sizes : ndarray
        Of a few images.
    decode_s : float
        Seconds for an image in one thread.
    pace : Pace
        How extraction will work.
    each : list of Preprocess
        What it stands for: itself, or a stain reference for each fold.
    """

    preprocess: Preprocess
    pixels: np.ndarray
    sizes: np.ndarray
    decode_s: float
    pace: object
    each: list


@dataclass(frozen=True)
class Survey:
    """What is found about images and features before the work.

    Attributes
    ----------
    prepared : Prepared
    views : list of View
        In the order in which images will be read.
    shards : Shards or None
    widths : dict of str to int
        Columns, by the feature's name.
    """

    prepared: object
    views: list
    shards: Shards
    widths: dict

    @cached_property
    def places(self):
        """A survey of each cohort, by its name.

        Raises
        ------
        ImageError
            None of a cohort's images can be read.
        """
        return {name: _survey_cohort(name, there) for name, there in places_of(self.prepared).items()}

    @cached_property
    def copies(self):
        """Surveys of the features that find changed copies, for DATA and the cohorts searched; empty if none is."""
        others = [one.manifest for one in searched(self.prepared)]
        places = [self.prepared.manifest, *others] if others else []
        return [survey(to_describe(self.prepared, manifest)) for manifest in places]


def survey(prepared, all_rows=False):
    """Look at a few images to find out what extraction needs and how wide the features are.

    Parameters
    ----------
    prepared : Prepared
    all_rows : bool
        Whether to read the rows of all images from feature tables, so that what extraction refuses is refused here.

    Returns
    -------
    Survey

    Raises
    ------
    BudgetError
        Extraction does not fit the budget.
    FeatureError
        A network does not take images of this side, or the rows of a table that are read cannot be used.
    """
    table = prepared.manifest.table
    names = table["name"].tolist()[: None if all_rows else 1]
    widths = {f.name: _width_of_table(f, names) for f in prepared.features if isinstance(f, Table)}
    asked = views_of(prepared.features, prepared.preprocess, [*prepared.views_of_nets, *common_parts(prepared)[1]])
    if prepared.manifest.source or not asked:
        return Survey(prepared, [], None, prepared.joining.extended(widths, 0))
    digests, paths = table["digest"].tolist(), table["path"].tolist()
    shards, source = Shards(plan_shards(digests), digests), largest_source(paths)
    probe = np.linspace(0, len(table) - 1, min(PROBED, len(table))).astype(int)
    views, rows, jobs = [], max(map(len, shards.rows)), 1 if prepared.cluster else prepared.study.jobs
    stands_for = stand_for(prepared, bool(prepared.cohorts or prepared.study.save_models))
    for preprocess, features in asked.items():
        start = time.perf_counter()
        read = replace(preprocess, stain=preprocess.stain.stand_in) if is_drawn(preprocess) else preprocess
        arrays = decode_rows([paths[row] for row in probe], [digests[row] for row in probe], read, 1)
        decode_s = (time.perf_counter() - start) / len(probe)
        good = arrays["sizes"][:, 0] > 0
        pixels, sizes = arrays["pixels"][good], arrays["sizes"][good]
        given = rows, source, jobs, prepared.free
        pace = find_pace(features, preprocess.size, *given, stain=bool(preprocess.stain))
        if len(pixels):
            found = {f.name: _width(f, preprocess.size, pixels, sizes, prepared.study.timeout) for f in features}
            widths |= {name: width for name, width in found.items() if width is not None}
        views.append(View(preprocess, pixels, sizes, decode_s, pace, stands_for(preprocess)))
    return Survey(prepared, views, shards, prepared.joining.extended(widths, 0))


def _survey_cohort(name, there):
    found = survey(there)
    try:
        if found.views and not len(found.views[0].pixels):
            refuse_unread(there.manifest, found.views[0].preprocess)
    except ImageError as error:
        raise ImageError(f"cohort {name}: {error}") from None
    return found


def _width_of_table(table, names):
    opened = table.open()
    places = table.places(opened, names)
    return max(table.read(opened, places[part]).shape[1] for part in gen_batches(len(places), AT_ONCE))


def _width(feature, side, pixels, sizes, seconds):
    """How many columns a feature has; None if the user's own feature fails to say, because its arms will say why."""
    if not is_users(feature):
        return width_of(feature, side, pixels, sizes)
    try:
        return alone(width_of, feature, side, pixels[:1], sizes[:1], seconds=seconds)
    except Exception:
        return None


def shapes(prepared, widths):
    """The shape of each feature whose width is known.

    Parameters
    ----------
    prepared : Prepared
    widths : dict of str to int
        Columns, by the feature's name.

    Returns
    -------
    dict of str to Shape
    """
    n = len(prepared.manifest)
    dtypes = {f.name: np.dtype(np.uint8 if isinstance(plain(f), Pixels) else np.float32) for f in prepared.features}
    gaps = {f.name for f in prepared.features if f.imputes}
    found = {name: Shape((n, widths[name]), dtypes[name], name in gaps) for name in dtypes if name in widths}
    return prepared.joining.extended(found, Shape((n, 0), np.dtype(np.float32), False))
