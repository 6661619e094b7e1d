"""Make a run's report: the page, its figures, and the tables of cases."""

from pathlib import Path

import pandas as pd

from glomfeat.core.atomic import written_whole
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.drawing import save_png
from glomfeat.report.figures.arms import forest, leak_price
from glomfeat.report.figures.cases import agreement
from glomfeat.report.figures.columns import importance
from glomfeat.report.figures.cost import costs
from glomfeat.report.figures.ranks import critical
from glomfeat.report.figures.scores import figures_of_scores
from glomfeat.report.figures.training import learning, training
from glomfeat.report.page import Content, page_html
from glomfeat.report.sections.answer import shown_arms
from glomfeat.report.sections.audit import audit_html
from glomfeat.report.sections.errors import gallery_html
from glomfeat.report.sections.nearest import read_nearest
from glomfeat.report.sections.saliency import inside_html
from glomfeat.report.thumbnails import data_folder
from glomfeat.results.cases import agreement_table, cases_table
from glomfeat.results.finished import Finished
from glomfeat.results.leak_price import read_leak_price
from glomfeat.results.load import load_run
from glomfeat.results.tables import curves_table, own_columns

FLOATS = "%.6g"


def write_report(out, show_names=False, data=None, audit=None, results=None, finished=None):
    """Write report.html, figures/*.png, cases.csv and agreement.csv into an output folder, from that folder alone.

    Nothing is run. Half way through a run, the report is of what is finished.

    Parameters
    ----------
    out : path-like
        That a study wrote.
    show_names : bool
        Show real names of images instead of pseudonyms of their cases.
    data : path-like, optional
        Where the images lie now, for thumbnails; else where the run read them.
    audit : path-like, optional
        Folder of an audit; else ``OUT/audit`` if it is there.
    results : pandas.DataFrame, optional
        Of `glomfeat.results.tables.results_table`, if it is at hand.
    finished : glomfeat.results.finished.Finished, optional
        The run itself, if it is at hand: its tables are what takes longest.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    StudyError
        As `glomfeat.results.load.load_run`.
    """
    loaded = load_run(out)
    run, out = loaded.run, loaded.out
    tables = finished or Finished(**vars(run))
    comparisons, trials = tables.comparisons, tables.own_trials
    if results is None:
        results = tables.results if finished else _with_own(tables.results, out / "results.csv")
    cases, agreed = cases_table(run), agreement_table(run)
    names = plain_arms(results["arm"])
    cases.to_csv(out / "cases.csv", index=False, float_format=FLOATS)
    agreed.to_csv(out / "agreement.csv", index=False, float_format=FLOATS)
    pictures = _pictures(loaded, results, tables, cases, names)
    folder = None if loaded.about["table"] and data is None else data_folder(loaded.study, data)
    nearest = read_nearest(out / "neighbours.csv", results["arm"], run.manifest)
    content = Content(
        loaded=loaded,
        results=results,
        trials=trials,
        agreement=agreed,
        names=names,
        comparisons=comparisons,
        pictures=pictures,
        gallery=gallery_html(run, results, names, folder, show_names, nearest),
        inside=inside_html(loaded, results, names, folder, show_names),
        audit=audit_html(Path(audit).expanduser() if audit else out / "audit"),
        show_names=show_names,
    )
    figures = out / "figures"
    figures.mkdir(exist_ok=True)
    for old in figures.glob("*.png"):
        if old.stem not in {picture.name for picture in pictures}:
            old.unlink()
    for picture in pictures:
        save_png(picture, figures)
    with written_whole(out / "report.html") as part:
        part.write_text(page_html(content), encoding="utf-8")
    return out / "report.html"


def _with_own(results, path):
    """The results with metrics of one's own as they were written: a report runs no function of anybody's."""
    if not path.exists():
        return results
    written = pd.read_csv(path, index_col="arm")
    return results.assign(**{name: results["arm"].map(written[name]) for name in own_columns(written)})


def _pictures(loaded, results, tables, cases, names):
    """All figures that the run has something to show for."""
    run, arms = loaded.run, shown_arms(results)
    curves, more = curves_table(run), loaded.out / "learning_curve.csv"
    found = [training(curves, names)]
    if arms:
        found += [
            forest(run, results, names),
            *figures_of_scores(run, results, tables.reliability, arms, names),
        ]
        found += [agreement(run, cases, arms[:2], names), costs(results, names)]
        found.append(critical(run, tables.own_trials, results, names))
    if (loaded.out / "leak_price.csv").exists():
        found.append(leak_price(read_leak_price(loaded.out), names))
    if (loaded.out / "importance.csv").exists():
        worth = pd.read_csv(loaded.out / "importance.csv", dtype={"group": str}, keep_default_na=False)
        found.append(importance(worth, results, names))
    if more.exists():
        found.append(learning(pd.read_csv(more), names))
    return [picture for picture in found if picture is not None]
