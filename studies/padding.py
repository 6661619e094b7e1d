"""Compare networks that read white, zero, edge and reflect padding, on identical folds."""

from dataclasses import dataclass
from pathlib import Path

from glomfeat.comparison.options import Paddings
from glomfeat.core.arms import StudyError
from studies._cli import parse_options, run_main
from studies._original import OriginalStudy, print_rows, published, run_original

NETS = ("homemade-128", "homemade-224")
PADDINGS = ("white", "zero", "edge", "reflect")
REFERENCE = "white"
EPOCHS = 20
COLUMNS = ("net", "padding", "than", "difference", "difference_lo", "difference_hi", "p", "n_trials")


@dataclass(frozen=True)
class Padding(OriginalStudy):
    """Compare white, zero, edge and reflect padding on the same folds, with each network once for each padding."""

    nets: tuple[str, ...] = NETS
    """Networks trained on the same folds with each padding."""
    padding: Paddings | tuple[Paddings, ...] = PADDINGS
    """What fills the square around an image: white, with which the others are compared, and at least one other."""
    epochs: int | None = EPOCHS
    """Epochs of every network."""
    out: str = "runs/padding"
    """Output folder. A run of the same study in it is resumed."""


def paired(run):
    """Compare each padding with the reference, for the same network: the paired difference of the AUROC over cases.

    Parameters
    ----------
    run : glomfeat.results.run.Run
        With arms such as ``net:homemade-128@zero``.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; `difference` is the padding's AUROC less the reference's with 95 % limits, `p` is
        adjusted by Holm for the number of rows.
    """
    import pandas as pd

    from glomfeat.metrics.many import holm
    from glomfeat.metrics.paired import paired_difference
    from glomfeat.metrics.resampling import leave_out_weights
    from glomfeat.results.parts import count_holders, rank, regroup, tested_units, trial_parts

    units, trials, found = tested_units(run), {}, {}
    without = leave_out_weights(units.max() + 1)
    for trial in run.trials:
        if trial.arm.net:
            trials.setdefault((trial.arm.network, trial.arm.way), []).append(trial)
    for key, own in trials.items():
        parts = regroup(trial_parts(run, own), units)
        if len(parts) == len(own):
            holders = count_holders(parts, len(run.manifest.classes))
            found[key] = rank(parts).item(), rank(parts, without), holders, len(own)
    rows = []
    for (net, padding), (auroc, left_out, holders, n) in found.items():
        if padding == REFERENCE or (net, REFERENCE) not in found:
            continue
        than, than_left_out, *_ = found[net, REFERENCE]
        apart = paired_difference(auroc - than, left_out - than_left_out, holders)
        rows.append((net, padding, REFERENCE, apart.value, apart.lo, apart.hi, apart.p, n))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(p=holm(frame["p"]))


def same_pixels(prepared, manifest):
    """Whether all paddings show the same pixels, because every image is opaque and square."""
    from sklearn.utils import gen_batches

    from glomfeat.comparison.extraction import extract_for

    side = min(view.size for view in prepared.views_of_nets)
    views = [view for view in dict.fromkeys(prepared.views_of_nets) if view.size == side]
    first, *others = (extract_for(prepared, manifest, [], views).pixels[view] for view in views)
    rows = [*gen_batches(len(manifest), 64)]
    return all((first[part] == other[part]).all() for part in rows for other in others)


def _check(study):
    if REFERENCE not in study.paddings or len(study.paddings) < 2:
        asked = " ".join(study.paddings)
        raise StudyError(f"--padding is {asked}: {REFERENCE}, which is compared to, and at least one other are needed")
    if len(study.sizes) > 1 or len(study.stains) > 1:
        raise StudyError("this study compares paddings alone; several --size or --stain are for studies.compare")
    if study.features:
        raise StudyError("--features: this study compares networks; use studies.compare --padding for features")


def main(arguments):
    """Run the study that the command line describes.

    Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    study = parse_options(Padding, arguments, "python -m studies.padding")
    _check(study)

    def show(console, prepared, run):
        from glomfeat.results.save import save_table

        differences = paired(run)
        save_table(differences, Path(prepared.study.out).expanduser() / "paired.csv")
        texts = {column: differences[column].map("{:.3f}".format) for column in COLUMNS[3:7]}
        shown = differences.assign(**texts)
        print_rows(shown, "AUROC against white: paired over cases, p adjusted by Holm", console)
        if len(differences) and same_pixels(prepared, run.manifest):
            console.out("all images are opaque and square: paddings show the same pixels, and differ by chance alone")

    known = [row | {"name": f"homemade-{row['size']}"} for row in published(["padding-study"])]
    return run_original(study, {}, show, known)


if __name__ == "__main__":
    run_main(main)
