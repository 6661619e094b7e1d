"""The search for changed copies of images of DATA in a cohort, which models that learnt them would score too well."""

from dataclasses import replace

import pandas as pd

from glomfeat.checks.data.candidates import NEIGHBOURS, thumbnail
from glomfeat.checks.data.duplicates import find_pairs, pairs_need
from glomfeat.checks.data.keypoints import keypoints
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.joined import Joining
from glomfeat.core.threads import limited_threads
from glomfeat.core.words import number_of
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.problems import SHOWN, ManifestError
from glomfeat.data.tables.read import listed
from glomfeat.features.make import make_feature
from glomfeat.features.shards import Extracted

ORIENTATIONS = 2  # as they are and mirrored; in each, the nearest images are candidates


def searched(prepared):
    """The cohorts that memory suffices to search for copies of images of DATA; tables are not searched.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    list of glomfeat.comparison.cohorts.Other
    """
    cohorts = () if prepared.manifest.source else prepared.cohorts
    return [one for one in cohorts if search_need(prepared, one).bytes <= prepared.free]


def search_need(prepared, cohort):
    """Memory for the search in a cohort."""
    return pairs_need(len(prepared.manifest) + len(cohort.manifest))


def to_describe(prepared, manifest):
    """A study that computes the features by which copies among some images are found.

    An audit computes the same features. Each place is described separately, so that what is stored serves audits and
    any further cohort.
    """
    return replace(
        prepared,
        study=replace(prepared.study, perturb=(), save_models=False),
        manifest=replace(manifest, by_case=False),  # sections of a case are not copies
        features=[make_feature("shortcut"), keypoints(), thumbnail()],
        preprocess=Preprocess.asked(None, "white", prepared.study.icc),
        nets={},
        cohorts=(),
        joining=Joining(),
    )


def copies_to_look_at(ours, theirs):
    """Approximate number of candidates in two places with similar images; there are fewer if they differ."""
    each = NEIGHBOURS * ORIENTATIONS
    return round(2 * each * ours * theirs / max(1, ours + theirs))


def refuse_near_copies(prepared, extracted, places, say):
    """Refuse cohorts that hold images of DATA, even if turned, cropped, recoloured or saved again.

    They are found in the same way as in an audit, by `glomfeat.checks.data.duplicates.find_pairs`.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    places : dict of str to Extracted
        Of the cohorts, by their keys.
    say : callable
        Called with a line about each cohort that there is too little memory to search.

    Raises
    ------
    ManifestError
        With the names of both images of each pair.
    """
    if prepared.manifest.source:
        return
    ours = extracted.manifest
    for one in prepared.cohorts:
        theirs, need = places[one.key].manifest, search_need(prepared, one)
        if need.bytes > prepared.free:
            without = f"{need.how} take more than --memory leaves"
            say(f"cohort {one.name}: changed copies of images of DATA are not looked for: {without}")
            continue
        found = _together(*(_describe(prepared, manifest) for manifest in (ours, theirs)))
        sizes = found.matrices["shortcut.v1"][:, :2].astype(int)
        with limited_threads(1):  # as in an audit
            pairs = find_pairs(found, sizes, prepared.study.seed, prepared.study.jobs or 1, across=len(ours))
        copies = pairs[pairs["hard"]]
        names, own = found.manifest.table["name"], len(ours)
        across = [(names[a], names[b]) for a, b in zip(copies["first"], copies["second"], strict=True) if a < own <= b]
        if across:
            shown = [f"{one.name}: {b} = {a}" for a, b in across]
            what = number_of(len(across), "image is a changed copy", "images are changed copies")
            raise ManifestError(
                f"cohort {one.name}: {what} of images of DATA ({listed(shown, SHOWN)}): take them out of the cohort or "
                "of DATA"
            )


def _describe(prepared, manifest):
    there = to_describe(prepared, manifest)
    return extract_for(there, there.manifest, there.features)


def _together(ours, theirs):
    """The images of both places, with those of DATA first."""
    table = pd.concat([ours.manifest.table, theirs.manifest.table], ignore_index=True)
    both = {name: matrix.followed_by(theirs.matrices[name]) for name, matrix in ours.matrices.items()}
    pixels = {view: matrix.followed_by(theirs.pixels[view]) for view, matrix in ours.pixels.items()}
    return Extracted(replace(ours.manifest, table=table), both, pixels)
