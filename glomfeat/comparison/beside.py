"""Further folds on which the same trials are run: of images, and with fewer training cases."""

from dataclasses import replace

from glomfeat.data.other_folds import IMAGE, SHARES, cases_prefix, make_image_folds, make_smaller_folds


def folds_beside(prepared, folds, say):
    """The fold tables of what is run beside the study, by what stands before the names of their folds."""
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
    """The finished run's counterpart on other folds."""
    # cases keep their names: where images were dealt, what was trained did not know them, but cases are sampled still
    manifest = replace(finished.manifest, by_case=prefix != IMAGE)
    return replace(finished, manifest=manifest, folds=folds, trials=prepared.trials_on(prefix))
