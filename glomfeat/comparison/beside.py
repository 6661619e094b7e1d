"""Further folds on which the same trials are run: of images, and with fewer training cases."""

from dataclasses import replace

from glomfeat.data.other_folds import IMAGE, SHARES, cases_prefix, make_image_folds, make_smaller_folds
from glomfeat.results.leak_price import leak_price_table
from glomfeat.results.tables import predictions_table
from glomfeat.results.write import write_folds, write_table


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


def write_leak(run, leaking, out):
    """What folds of images gave, apart from the study's own tables."""
    write_table(leak_price_table(run, leaking), out / "leak_price.csv")
    predictions_table(leaking).to_parquet(out / "leak_predictions.parquet", index=False)
    write_folds(leaking.folds, leaking.manifest, out / "leak_folds.csv")
