"""What fills the square: white, zero, edge and reflect at 128 and 224, on identical folds."""

from dataclasses import dataclass, replace
from pathlib import Path

from glomfeat.core.arms import Arm, StudyError
from studies._cli import DONE, INCOMPLETE, end_with_report, parse_options, run_main, write_options
from studies._original import (
    OriginalStudy,
    beside,
    open_console,
    prepare_original,
    print_beside,
    print_rows,
    published,
    saying_so,
)

NETS = ("homemade-128", "homemade-224")
PADDINGS = ("white", "zero", "edge", "reflect")
REFERENCE = "white"
EPOCHS = 20
COLUMNS = ("net", "padding", "than", "difference", "difference_lo", "difference_hi", "p", "n_trials")


@dataclass(frozen=True)
class Padding(OriginalStudy):
    """White, zero, edge and reflect padding on the same folds; each is a run of its own in OUT/PADDING-SIDE."""

    nets: tuple[str, ...] = NETS
    """Networks trained on the same folds with each padding."""
    epochs: int | None = EPOCHS
    """Epochs of every network."""
    out: str = "runs/padding"
    """Output folder; runs of the same study in it are resumed."""


def renamed(arm, padding):
    """An arm of one padding's run as an arm of the table over all runs."""
    return Arm(net=f"{arm.net}/{padding}")


def merge(runs):
    """All networks of all runs as the arms of one run.

    Parameters
    ----------
    runs : list of (str, Run)
        The padding, and its `glomfeat.results.run.Run`.

    Returns
    -------
    Run
        With arms such as ``net:homemade-128/zero``.

    Raises
    ------
    StudyError
        The runs do not have the same images in the same folds.
    """
    first = runs[0][1]
    trials, records, weights = [], {}, {}
    for padding, run in runs:
        if run.manifest.digest != first.manifest.digest or not run.folds.equals(first.folds):
            raise StudyError(f"the folds of {padding} are not those of {runs[0][0]}: give the runs one set of images")
        for trial in run.trials:
            if trial.arm.net:
                again = replace(trial, arm=renamed(trial.arm, padding))
                trials.append(again)
                records[again.key] = run.record(trial)
                weights[str(again.arm)] = run.weights.get(str(trial.arm), "")
    order = {trial.arm: k for k, trial in enumerate(trials)}
    trials.sort(key=lambda trial: (trial.arm.net.partition("/")[0], order[trial.arm]))
    return replace(first, trials=trials, records=records, weights=weights)


def paired(run, reference=REFERENCE):
    """Each padding against the reference with the same network: the paired difference of the AUROC over cases.

    Parameters
    ----------
    run : Run
        Of `merge`.
    reference : str

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; `difference` is the padding's AUROC less the reference's with 95 % limits, `p` is
        adjusted by Holm for the number of rows.
    """
    import pandas as pd

    from glomfeat.metrics.paired import paired_difference
    from glomfeat.metrics.resampling import holm, leave_out_weights
    from glomfeat.results.parts import rank, regroup, trial_parts, units_of

    units, trials, found = units_of(run), {}, {}
    for trial in run.trials:
        trials.setdefault(trial.arm.net, []).append(trial)
    for net, own in trials.items():
        parts = regroup(trial_parts(run, own), units)
        if len(parts) == len(own):
            found[net] = rank(parts).item(), rank(parts, leave_out_weights(units.max() + 1)), len(own)
    rows = []
    for net, (auroc, left_out, n) in found.items():
        name, _, padding = net.partition("/")
        if padding == reference or f"{name}/{reference}" not in found:
            continue
        than, than_left_out, _ = found[f"{name}/{reference}"]
        apart = paired_difference(auroc - than, left_out - than_left_out)
        rows.append((name, padding, reference, apart.value, apart.lo, apart.hi, apart.p, n))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(p=holm(frame["p"]))


def _runs(study):
    """The runs of the study: padding, folder and options of each."""
    from glomfeat.models.nets import check_net, net_side

    sides = {}
    for net in study.nets:
        sides.setdefault(net_side(check_net(net)), []).append(net)
    for side, nets in sides.items():
        for padding in PADDINGS:
            out = Path(study.out).expanduser() / f"{padding}-{side}"
            yield padding, replace(study, padding=padding, nets=tuple(nets), size=side, out=str(out))


def _check_out(study):
    if study.padding != REFERENCE:
        raise StudyError(f"--padding is {study.padding}: this study runs all of {', '.join(PADDINGS)}")
    if study.features:
        raise StudyError("--features: this study compares networks; use studies.compare --padding for features")
    out = Path(study.out).expanduser()
    if out.is_dir() and any(out.iterdir()) and not any((out / name).is_dir() for name in _folders(study)):
        raise StudyError(f"{out} holds files and no study: choose another folder with --out")


def _folders(study):
    return [Path(one.out).name for _, one in _runs(study)]


def main(arguments):
    """Run the study that the command line describes.

    Returns
    -------
    int
        Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    study = parse_options(Padding, arguments, "python -m studies.padding")
    _check_out(study)
    console = open_console()
    with saying_so(study, console):
        prepared, seen = [], set()

        def say_once(line):
            if line not in seen:
                seen.add(line)
                console.out(line)

        for padding, one in _runs(study):
            prepared.append((padding, prepare_original(one, say_once)))
        if study.dry_run:
            from glomfeat.comparison.forecast import print_plan

            for _, one in prepared:
                print_plan(one, console)
            return DONE
        return _compare_all(study, prepared, console, say_once)


def _compare_all(study, prepared, console, say):
    from glomfeat.comparison.compare import compare
    from glomfeat.core.atomic import write_text
    from glomfeat.results.show import print_table, to_markdown
    from glomfeat.results.tables import curves_table, results_table
    from glomfeat.results.write import save_table

    runs, whole = [], True
    for padding, one in prepared:
        console.out(f"{Path(one.study.out).name}: {', '.join(one.study.nets)}")
        run, results, quarantine = compare(one, say)
        end_with_report(one.study, results, console)
        runs.append((padding, run))
        whole &= not quarantine and bool((results["status"] == "done").all())
    merged, out, title = merge(runs), Path(study.out).expanduser(), prepared[0][1].title
    results, differences, curves = results_table(merged), paired(merged), curves_table(merged)
    save_table(differences, out / "paired.csv")
    save_table(results, out / "results.csv")
    write_text(out / "results.md", to_markdown(results, title))
    net = curves["arm"].str.removeprefix("net:").str.partition("/")
    curves = curves.assign(net=net[0], padding=net[2])
    save_table(curves, out / "curves.csv")
    common = prepared[0][1].study
    write_options(study.plain() | {"weights": common.weights}, out)
    print_table(results, title, console)
    texts = {column: differences[column].map("{:.3f}".format) for column in COLUMNS[3:7]}
    shown = differences.assign(**texts)
    print_rows(shown, "AUROC against white: paired over cases, p adjusted by Holm", console)
    known = published(["padding-study"])
    of_row = {row["size"]: name for name in study.nets for row in known if name == f"homemade-{row['size']}"}
    rows = beside(merged, results, known, lambda row: f"net:{of_row.get(row['size'])}/{row['padding']}")
    common = replace(prepared[0][1], study=replace(common, out=study.out))
    print_beside(rows, common, console)
    console.out(f"tables: {study.out}; each padding's own in {', '.join(_folders(study))}")
    return DONE if whole else INCOMPLETE


if __name__ == "__main__":
    run_main(main)
