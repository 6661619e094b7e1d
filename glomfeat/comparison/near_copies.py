"""Changed copies of images of DATA among those of a cohort, which would be scored by models that have learnt them."""

from dataclasses import replace

import pandas as pd
from threadpoolctl import threadpool_limits

from glomfeat.checks.data.candidates import thumbnail
from glomfeat.checks.data.duplicates import find_pairs, pairs_need
from glomfeat.checks.data.keypoints import keypoints
from glomfeat.comparison.extraction import extract_for
from glomfeat.core.words import number_of
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.problems import SHOWN, ManifestError
from glomfeat.data.tables.read import listed
from glomfeat.features.make import make_feature


def refuse_near_copies(prepared, extracted, places, say):
    """Refuse cohorts that hold images of DATA, however turned, cropped, recoloured or saved again.

    They are found as an audit finds copies, `glomfeat.checks.data.duplicates.find_pairs`.

    Parameters
    ----------
    prepared : Prepared
    extracted : Extracted
        Of DATA.
    places : dict of str to Extracted
        Of the cohorts, by their keys.
    say : callable
        Told of a cohort that there is no memory to look through.

    Raises
    ------
    ManifestError
        With the names of both images of each pair.
    """
    if prepared.manifest.source:
        return
    for one in prepared.cohorts:
        ours, theirs = extracted.manifest, places[one.key].manifest
        need = pairs_need(len(ours) + len(theirs))
        if need.bytes > prepared.free:
            without = f"{need.how} take more than --memory leaves"
            say(f"cohort {one.name}: changed copies of images of DATA are not looked for: {without}")
            continue
        both = pd.concat([ours.table, theirs.table.assign(name=f"{one.name}: " + theirs.table["name"])])
        found = extract_for(
            replace(prepared, preprocess=Preprocess.asked(None, "white", prepared.study.icc)),
            replace(ours, by_case=False, table=both.reset_index(drop=True)),  # sections of a case are no copies
            [make_feature("shortcut"), keypoints(), thumbnail()],
        )
        sizes = found.matrices["shortcut.v1"][:, :2].astype(int)
        with threadpool_limits(1):  # as in an audit
            pairs = find_pairs(found, sizes, prepared.study.seed, prepared.study.jobs or 1)
        copies = pairs[pairs["hard"]]
        names, own = found.manifest.table["name"], len(ours)
        across = [(names[a], names[b]) for a, b in zip(copies["first"], copies["second"], strict=True) if a < own <= b]
        if across:
            shown = [f"{b} = {a}" for a, b in across]
            what = number_of(len(across), "image is a changed copy", "images are changed copies")
            raise ManifestError(
                f"cohort {one.name}: {what} of images of DATA ({listed(shown, SHOWN)}): take them out of the cohort or "
                "of DATA"
            )
