"""What a run leaves in its output folder: one row per file."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glomfeat.core.atomic import written_whole
from glomfeat.core.words import joined
from glomfeat.data.other_folds import IMAGE, prefix_share
from glomfeat.results.case_level import case_level_table, why_uncalled
from glomfeat.results.classes import classes_table, more_than_two
from glomfeat.results.joined import joined_table
from glomfeat.results.label_doubt import doubt_table
from glomfeat.results.latex import to_latex
from glomfeat.results.leak_price import leak_price_table
from glomfeat.results.learning_curve import learning_table
from glomfeat.results.nearest import read_nearest
from glomfeat.results.ordinal import ordinal_table
from glomfeat.results.predictions import write_predictions
from glomfeat.results.readers import reader_pairs_table, readers_table
from glomfeat.results.robustness import robustness_table
from glomfeat.results.save import write_folds, write_table
from glomfeat.results.show import to_markdown
from glomfeat.results.tables import curves_table, finished_first
from glomfeat.results.workbook import write_sheets

if TYPE_CHECKING:
    import pandas as pd

    from glomfeat.results.finished import Finished


def _always(finished: "Finished") -> bool:
    return True


@dataclass(frozen=True)
class Output:
    """A file that a finished run leaves in its output folder.

    Attributes
    ----------
    name : str
        The file's name in the output folder.
    says : str
        What it holds.
    write : callable
        ``(finished, path)``, for a `glomfeat.results.finished.Finished`.
    when : callable
        ``(finished) -> object``: true if this run leaves the file.
    """

    name: str
    says: str
    write: Callable[["Finished", Path], object]
    when: Callable[["Finished"], object] = _always


def _table(
    name: str, says: str, of: Callable[["Finished"], "pd.DataFrame"], when: Callable[["Finished"], object] = _always
) -> Output:
    """An output that is a table of the run, written by `write_table`."""
    return Output(name, says, lambda finished, path: write_table(of(finished), path), when)


def _marked(of: Callable[["Finished"], "pd.DataFrame"]) -> Callable[["Finished"], "pd.DataFrame"]:
    """Give a table a last column that says how images were split."""

    def marked(finished: "Finished") -> "pd.DataFrame":
        manifest: Any = finished.manifest
        return of(finished).assign(split=manifest.split)

    return marked


def _environment(finished: "Finished", path: Path) -> None:
    path.write_text(json.dumps(finished.environment, indent=2) + "\n")


def _leak_folds(finished: "Finished", path: Path) -> None:
    leaking = finished.beside[IMAGE]
    write_folds(leaking.folds, leaking.manifest, path)


def _leak_predictions(finished: "Finished", path: Path) -> None:
    write_predictions(finished.beside[IMAGE], path)


def _leaks(finished: "Finished") -> bool:
    return IMAGE in finished.beside


def _doubt(finished: "Finished", path: Path) -> None:
    best_first = finished_first(finished.results)["arm"]
    near = read_nearest(path.with_name("neighbours.csv"), best_first, finished.manifest)
    write_table(doubt_table(finished, finished.doubt, near.of), path)


def _learning_curve(finished: "Finished") -> "pd.DataFrame":
    fewer = {prefix_share(prefix): run for prefix, run in finished.beside.items() if prefix != IMAGE}
    return learning_table({100: finished} | fewer)


def _has_networks(finished: "Finished") -> bool:
    return any(trial.arm.net for trial in finished.trials)


def _has_cohorts(finished: "Finished") -> bool:
    return bool(finished.cohorts)


_ROWS = (
    Output("environment.json", "Versions, machine, weights.", _environment, lambda finished: finished.environment),
    _table("results.csv", "A row per arm, best AUROC first.", lambda f: f.results),
    _table(
        "comparisons.csv",
        "Every arm against the best one, and what difference these cases could show.",
        lambda f: f.comparisons,
    ),
    _table(
        "best_of_many.csv",
        "How often each arm is the best one, and the best one's figure corrected for that choice.",
        lambda f: f.best_of_many,
    ),
    _table(
        "reference.csv",
        "Every arm against the reference, and whether it is within the margin.",
        lambda f: f.against_reference,
        lambda finished: finished.reference,
    ),
    _table(
        "pairs.csv",
        "Every two arms: differences in AUROC and in what they decide, with limits.",
        lambda f: f.pairs,
    ),
    _table(
        "reliability.csv",
        "How often what was scored so was positive, in ten bins.",
        lambda f: f.reliability,
    ),
    _table(
        "calibration.csv",
        "Slope and intercept of each arm's calibration, with limits.",
        lambda f: f.calibration,
    ),
    _table(
        "calibration_curve.csv",
        "The calibration of each arm as a smooth curve, with limits.",
        lambda f: f.calibration_curve,
    ),
    _table(
        "decision_curve.csv",
        "Net benefit of each arm over thresholds, beside acting on all images or on none.",
        lambda f: f.decision_curve,
    ),
    _table(
        "predictive_values.csv",
        "PPV and NPV of each arm at the share of positives in the data, and at those asked for.",
        lambda f: f.predictive_values,
    ),
    _table(
        "abstention.csv",
        "What is left of errors when the least sure images or cases are handed over.",
        lambda f: f.abstention,
    ),
    _table(
        "conformal.csv",
        "How often sets of classes at 90 % hold the true one, by case.",
        lambda f: f.conformal,
    ),
    _table(
        "next_study.csv",
        "How many independent images these are worth, and how many cases the next study needs.",
        lambda f: f.next_study,
    ),
    _table("trials.csv", "A row per arm, repeat and fold.", lambda f: f.all_trials),
    _table(
        "sites.csv",
        "A row per arm and value that was left out, with limits.",
        _marked(lambda f: f.sites),
        lambda finished: finished.left_out,
    ),
    _table(
        "leak_price.csv",
        "What each arm gains from a split that tears cases apart.",
        lambda f: leak_price_table(f, f.beside[IMAGE]),
        _leaks,
    ),
    Output("leak_predictions.parquet", "A row per arm, repeat and image of that split.", _leak_predictions, _leaks),
    Output("leak_folds.csv", "Which image lies in which fold of that split.", _leak_folds, _leaks),
    _table(
        "learning_curve.csv",
        "What each arm reaches with fewer training cases.",
        _marked(_learning_curve),
        lambda finished: finished.learning_curve,
    ),
    _table(
        "robustness.csv",
        "What each arm keeps where the tested images are changed.",
        _marked(lambda f: robustness_table(f, f.perturbed, f.changed)),
        lambda finished: finished.perturbed,
    ),
    _table(
        "subgroups.csv",
        "Each arm's figures in each group of images, and whether they differ from the rest.",
        lambda f: f.subgroups,
        lambda finished: finished.asked_subgroups,
    ),
    _table(
        "case_level.csv",
        "Each arm's figures where a case is one call; where each case is of one class, and tested in one fold.",
        lambda f: case_level_table(f, f.case_rule),
        lambda finished: not why_uncalled(finished),
    ),
    _table(
        "classes.csv",
        "With more than two classes: each one against the rest, with limits.",
        lambda f: classes_table(f),
        lambda finished: more_than_two(finished.manifest),
    ),
    _table(
        "ordinal.csv",
        "How far calls of ordered classes lie from the truth: quadratic kappa and mean absolute error.",
        lambda f: ordinal_table(f, f.order),
        lambda finished: finished.order,
    ),
    _table(
        "readers.csv",
        "How well each reader calls the images.",
        lambda f: readers_table(f, f.asked_readers),
        lambda finished: finished.asked_readers,
    ),
    _table(
        "reader_pairs.csv",
        "Each reader beside every arm and every other reader.",
        lambda f: reader_pairs_table(f, f.asked_readers),
        lambda finished: finished.asked_readers,
    ),
    _table(
        "external.csv",
        "A row per cohort of another place and arm, fitted on all images; best AUROC first.",
        lambda f: f.external.results,
        _has_cohorts,
    ),
    _table(
        "external_comparisons.csv",
        "Every arm against the best one of a cohort.",
        lambda f: f.external.comparisons,
        _has_cohorts,
    ),
    Output(
        "external_predictions.parquet",
        "A row per cohort, arm and image.",
        lambda f, path: f.external.predictions.to_parquet(path, index=False),
        _has_cohorts,
    ),
    _table(
        "external_quarantine.csv",
        "Files of cohorts that were set aside, with the reason.",
        lambda f: f.external.aside,
        _has_cohorts,
    ),
    _table(
        "joined.csv",
        "What joined columns hold in each class.",
        lambda f: joined_table(f, f.joined),
        lambda f: f.joined,
    ),
    _table(
        "joined_pairs.csv",
        "What images add to joined columns, and these to images.",
        lambda f: f.joined_pairs,
        lambda f: f.joined,
    ),
    Output(
        "predictions.parquet",
        "A row per arm, repeat and image.",
        write_predictions,
    ),
    Output(
        "predictions.xlsx",
        "The same for people: images, cases and errors of the best arm and those tied with it.",
        write_sheets,
        lambda finished: finished.calls.arms,
    ),
    Output(
        "labels_to_check.csv",
        "Images whose label most arms together contradict, and their nearest training images.",
        _doubt,
    ),
    _table(
        "curves.csv",
        "Losses and inner-valid AUROC of every epoch of every network.",
        _marked(lambda f: curves_table(f)),
        _has_networks,
    ),
    Output(
        "results.md",
        "The table of results, for people.",
        lambda f, path: path.write_text(to_markdown(f.results, f.title, f.positive), encoding="utf-8"),
    ),
    Output(
        "results.tex",
        "The same for a paper, in LaTeX: every metric with its limits, the best arm and those tied with it marked.",
        lambda f, path: path.write_text(to_latex(f.results, f.title, f.positive), encoding="utf-8"),
    ),
)
OUTPUTS = {output.name: output for output in _ROWS}
OF_REPORT = {
    "report.html": "One page with the answer, the table, figures and methods.",
    "errors.html": "Labels in doubt and errors, large, to accept or to change labels.",
    "figures/": "The figures of the page.",
    "cases.csv": "The share of the positive class in each case, true and predicted.",
    "agreement.csv": "How far these shares are from the truth.",
    "methods.bib": "What the paragraphs on methods cite, as BibTeX.",
}
# what every run leaves, before it ends or, if it computed nothing, from the run before
BEFORE_THE_END = ("environment.json", "quarantine.csv", "folds.csv", "neighbours.csv", "importance.csv")
# What is written before a run has finished, because others read it in the meantime or the run needs it to go on; and
# what the report adds.
ALONG = {
    "study.yaml": "The options.",
    "journal.jsonl": "One line for each trial, written when it ends. An interrupted run continues from here.",
    "quarantine.csv": "Files that were set aside, with the reason.",
    "folds.csv": "Which case lies in which fold, and its pseudonym.",
    "neighbours.csv": "Of the surest errors of each arm, and of labels in doubt, the nearest training images.",
    "importance.csv": "By how much AUROC falls when a group of columns is shuffled.",
    "models/": "A bundle of each arm, with --save-models.",
    "tensorboard/": "What TensorBoard shows, with --track tensorboard.",
    **OF_REPORT,
}


def write_outputs(finished: "Finished", out: Path) -> list[str]:
    """Write every file of `OUTPUTS` that this run leaves; a file that already has the same content keeps its time.

    Parameters
    ----------
    finished : glomfeat.results.finished.Finished
    out : pathlib.Path
        The output folder.

    Returns
    -------
    list of str
        The names of these files, and of those in `BEFORE_THE_END`: all that belongs to this run.
    """
    left = [output for output in OUTPUTS.values() if output.when(finished)]
    for output in left:
        with written_whole(out / output.name, if_other=True) as part:
            output.write(finished, part)
    return list(dict.fromkeys([*(output.name for output in left), *BEFORE_THE_END]))


def line_on_earlier(out: Path, names: list[str]) -> str:
    """Say which outputs in a folder an earlier run with other options has left; empty if there are none.

    Parameters
    ----------
    out : pathlib.Path
    names : list of str
        What belongs to this run, from `write_outputs`.
    """
    earlier = [name for name in OUTPUTS if name not in names and (out / name).is_file()]
    if not earlier:
        return ""
    are, them = ("is", "it") if len(earlier) == 1 else ("are", "them")
    return (
        f"{joined(earlier)} in {out} {are} of an earlier run with other options: this run and its report leave {them} "
        f"out; delete {them}, or ask for {them} again"
    )


def is_up_to_date(out: Path) -> bool:
    """Whether the report is newer than everything that the run has since left in the folder, and than an audit there.

    Files made with the page are older than the page, which is written last, unless somebody has changed them.

    Parameters
    ----------
    out : pathlib.Path

    Returns
    -------
    bool
    """
    page = out / "report.html"
    names = [name for name in (*OUTPUTS, *ALONG) if name not in OF_REPORT]
    sources = [path for name in names if (path := out / name).is_file()] + [*(out / "audit").glob("*")]
    beside = [out / name for name in OF_REPORT if name.endswith((".csv", ".bib", ".html")) and out / name != page]
    if not all(path.is_file() for path in [page, *beside]):
        return False
    written, beside = page.stat().st_mtime_ns, [*beside, *(out / "figures").glob("*.png")]
    if not page.read_bytes().rstrip().endswith(b"</html>") or any(path.stat().st_mtime_ns > written for path in beside):
        return False
    return all(path.stat().st_mtime_ns < written for path in sources)
