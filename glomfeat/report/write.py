"""Make a run's report: the page, its figures, and the tables of cases."""

from glomfeat.core.atomic import write_text
from glomfeat.core.disk import writing
from glomfeat.core.locks import alone_in
from glomfeat.core.words import for_spreadsheets
from glomfeat.report.checking import checking_html
from glomfeat.report.content import read_content
from glomfeat.report.drawing import save_pngs, to_chart
from glomfeat.report.find import find_figures
from glomfeat.report.page import page_html
from glomfeat.results.write import save_table


def write_report(out, show_names=False, data=None, audit=None, results=None, finished=None, say=None):
    """Write the pages, figures/*.png, cases.csv and agreement.csv into an output folder, from that folder alone.

    Pages are report.html and errors.html. Nothing is run. Half way through a run, the report is of what is finished.

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
    say : callable, optional
        Called with a line on what is left out, if anything is; the page says it too.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    StudyError
        As `glomfeat.results.load.load_run`.
    """
    content = read_content(out, show_names, data, audit, results, finished)
    if say and content.loaded.lacks:
        say(content.loaded.lacks)
    with alone_in(content.loaded.out / "report.html", "--out", beside=True, wait=True):
        return _write(content, content.loaded.out)


def _write(content, out):
    save_table(for_spreadsheets(content.cases), out / "cases.csv")
    save_table(content.agreement, out / "agreement.csv")
    pictures = [(figure.SECTION, found) for figure in find_figures() if (found := figure.draw(content)) is not None]
    charts = {}
    for section, picture in pictures:
        charts.setdefault(section, []).append(to_chart(picture))
    # before figures are saved: where the output lies in the data folder, they would be taken for its images
    page = page_html(content, charts)
    _save([picture for _, picture in pictures], out / "figures")
    write_text(out / "errors.html", checking_html(content))
    write_text(out / "report.html", page)
    return out / "report.html"


def _save(pictures, folder):
    """Save figures as PNG, and delete those of an earlier report that there is nothing to draw for any more."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
    save_pngs(pictures, folder)
    names = {picture.name for picture in pictures}
    for old in folder.glob("*.png"):
        if old.stem not in names:
            old.unlink()
