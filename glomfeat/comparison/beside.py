"""Further folds on which the same trials run: folds of images, and folds with fewer training cases."""

from dataclasses import replace

import numpy as np

from glomfeat.core.arms import StudyError
from glomfeat.data.other_folds import IMAGE, SHARES, cases_prefix, make_image_folds, make_smaller_folds
from glomfeat.data.splits import make_folds


def prefixes_beside(study, manifest):
    """The prefixes of `folds_beside`, for a study of these images."""
    image = [IMAGE] if study.leak_price else []
    if not study.learning_curve:
        return image
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    return image + [cases_prefix(share) for share in SHARES if make_smaller_folds(folds, share, study.seed) is not None]


def folds_beside(prepared, folds, say):
    """The fold tables of everything that runs beside the study, by the prefix of their folds' names."""
    study, found = prepared.study, {}
    if study.leak_price:
        found[IMAGE] = make_image_folds(folds, study.seed)
    for share in SHARES if study.learning_curve else ():
        smaller = make_smaller_folds(folds, share, study.seed)
        if smaller is None:
            say(f"learning curve: {share:g}% of the training cases are too few for inner splits and are left out")
        else:
            found[cases_prefix(share)] = smaller
    return found


def run_on(prefix, finished, folds, prepared):
    """The counterpart of a finished run on other folds."""
    # cases keep their names: images were dealt, so training did not know cases, but limits still resample cases
    manifest = replace(finished.manifest, by_case=finished.manifest.by_case and prefix != IMAGE)
    return replace(finished, manifest=manifest, folds=folds, trials=prepared.trials_on(prefix))


def refuse_leak_price(study, manifest):
    """Refuse the price of leaking if no image can leak, or if cases are split anyway."""
    alone = not manifest.by_case or len(np.unique(manifest.cases)) == len(manifest)
    if study.leak_price and alone:
        raise StudyError(
            f"--leak-price: every image of {study.data} is its own case, so nothing can leak; leave it out, or say "
            "where the case is with --groups"
        )
    if study.leak_price and manifest.torn:
        raise StudyError(
            f"--leak-price: --scheme {study.scheme} puts cases on several sides itself; leave it out, or ask for it "
            "with --scheme cv"
        )
