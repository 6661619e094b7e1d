"""Make a run's report: the page, its figures, and the tables of cases."""

from glomfeat.core.atomic import write_text
from glomfeat.core.disk import writing
from glomfeat.core.locks import alone_in
from glomfeat.report.checking import checking_html
from glomfeat.report.content import read_content
from glomfeat.report.drawing import STYLE, save_pngs, to_chart
from glomfeat.report.find import find_figures
from glomfeat.report.page import page_html
from glomfeat.report.paper import AS_PAGE, KINDS, drawn_for, save_figures, what_is_cut
from glomfeat.report.sections.methods import references
from glomfeat.results.save import save_table


def write_report(out, show_names=False, data=None, audit=None, results=None, finished=None, say=None, paper=AS_PAGE):
    """Write the pages, figures/, methods.bib, cases.csv and agreement.csv into an output folder, from it alone.

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
    paper : glomfeat.report.paper.Paper
        How the files of figures are made.

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
        return _write(content, content.loaded.out, paper, say)


def _write(content, out, paper, say):
    save_table(content.cases, out / "cases.csv")
    save_table(content.agreement, out / "agreement.csv")
    write_text(out / "methods.bib", references(content.loaded, content.results, content.best_of_many), if_other=True)
    pictures, charts = _draw(content), {}
    for section, picture in pictures:
        charts.setdefault(section, []).append(to_chart(picture))
    # before figures are saved: where the output lies in the data folder, they would be taken for its images
    page = page_html(content, charts)
    if not paper.is_as_page:
        with drawn_for(paper):
            pictures = _draw(content)
    if say and (cut := what_is_cut([picture for _, picture in pictures], paper)):
        say(cut)
    _save([picture for _, picture in pictures], out / "figures", paper)
    write_text(out / "errors.html", checking_html(content))
    write_text(out / "report.html", page)
    return out / "report.html"


def _draw(content):
    """The figures that there is something to draw for, each with its section."""
    return [(figure.SECTION, found) for figure in find_figures() if (found := figure.draw(content)) is not None]


def _save(pictures, folder, paper):
    """Save figures, and delete those of an earlier report that there is nothing to draw for any more."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
    if paper == AS_PAGE:
        save_pngs(pictures, folder)
    else:
        save_figures(pictures, folder, paper, STYLE)
    names = {f"{picture.name}.{kind}" for picture in pictures for kind in paper.kinds}
    for old in folder.iterdir():
        if old.suffix.removeprefix(".") in KINDS and old.name not in names:
            old.unlink()
