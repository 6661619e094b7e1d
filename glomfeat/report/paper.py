"""Figures for a paper: kinds of files, widths of columns, and a Matplotlib style of the user's."""

import math
import textwrap
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from glomfeat.core.atomic import written_whole

KINDS = ("png", "svg", "pdf")
WIDTHS_MM = {1: 89, 2: 180}
MM = 1 / 25.4
USUAL_SIZE = 9  # points of the text for which figures are laid out
PRINTED_DPI = 300  # at which small letters are as broad as in print; of few dots they come out narrower
COLUMN_SIZE = 7  # points of text in a column of a journal
LEAST_SIZE = 5.5  # which journals still print
NARROWEST = 0.6  # of the width for which a panel is laid out; narrower ones are put below each other
HIGHEST = 9.0  # inches of a page of a journal, with room for a caption
MARGIN = 0.02  # inches above and below a figure
SLACK = 0.01  # inches over its sides that are not seen
LEAST_SHARE = 0.2  # of its place in the figure that a panel must have for itself
BROAD = 5.6  # inches, of which text can still be read on a screen that is 360 px wide
# What a style does not say follows the size of its text.
FOLLOWING = {"axes.titlesize": "large", "legend.fontsize": "small"}
# Smaller than on a page, as text is.
IN_COLUMN = {
    "font.size": COLUMN_SIZE,
    "axes.titlesize": "medium",
    "lines.linewidth": 1.2,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
}
# Where the sizes of a style are too large for a column.
EVEN = dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), "medium")
EVEN |= {"legend.fontsize": "small"}
# What holds whatever a style says: fonts that are in the file, and widths that are as asked.
FIXED = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "glomfeat", "savefig.bbox": None}


@dataclass(frozen=True)
class Paper:
    """How the files of figures are made; those in the page stay as they are.

    Attributes
    ----------
    kinds : tuple of str
        Of `KINDS`.
    column : {1, 2} or None
        How many columns of a journal a figure is wide; None for its own width.
    style : str or None
        A name of Matplotlib's, or a file.
    """

    kinds: tuple = ("png",)
    column: int | None = None
    style: str | None = None

    @property
    def is_as_page(self):
        """Whether figures are drawn as they are in the page."""
        return self.column is None and self.style is None

    @property
    def width(self):
        """Inches; None for a figure's own width."""
        return None if self.column is None else WIDTHS_MM[self.column] * MM


class Sheet(Figure):
    """A figure that knows where its panels lie, and whether it is cut.

    Attributes
    ----------
    parts : list of Bbox
        In shares of the figure, what a narrow screen shows below each other; empty where it shows all at once.
    is_cut : bool
        Whether it is too narrow for its texts.
    """

    parts = ()
    is_cut = False


AS_PAGE = Paper()
_PAPER = ContextVar("paper", default=AS_PAGE)


@contextmanager
def drawn_for(paper):
    """Draw figures for a paper."""
    token = _PAPER.set(paper)
    try:
        yield
    finally:
        _PAPER.reset(token)


@contextmanager
def styled(style, size=None):
    """Use a style of Matplotlib's parameters, over it what the paper asks for, and over both a size of all text."""
    paper = _PAPER.get()
    with matplotlib.rc_context(style):
        if not paper.is_as_page:
            matplotlib.rcParams.update(FOLLOWING | (IN_COLUMN if paper.column else {}))
            if paper.style:
                from matplotlib import style as styles

                styles.use(paper.style if paper.style in styles.library else Path(paper.style).expanduser())
            matplotlib.rcParams.update(FIXED)
        if size is not None:
            matplotlib.rcParams.update(EVEN | {"font.size": size})
        yield


def sizes():
    """Sizes of text to try until a figure fits: the style's own (None), and in a column those of a journal."""
    return (None,) if _PAPER.get().width is None else (None, COLUMN_SIZE, LEAST_SIZE)


def points(size):
    """The size of text that is so many points where text is of the usual size.

    Examples
    --------
    >>> with matplotlib.rc_context({"font.size": 7}):
    ...     round(points(8), 2)
    6.22
    """
    return size * matplotlib.rcParams["font.size"] / USUAL_SIZE


def make_axes(width, height, rows, columns, dpi, **settings):
    """An empty figure with its axes, as wide as the paper asks for.

    Parameters
    ----------
    width, height : float
        Inches of the figure as it is laid out.
    rows, columns : int
        Of panels. Where they would be too narrow, a row goes on in further lines.
    dpi : float
        Of a figure of its own width.
    **settings
        Of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes
        As `subplots` of `rows` and `columns` returns them.
    """
    paper = _PAPER.get()
    if paper.width is None:
        figure = Sheet(figsize=(width, height), dpi=dpi, layout="constrained")
        return figure, figure.subplots(rows, columns, **settings)
    smaller = matplotlib.rcParams["font.size"] / USUAL_SIZE
    lines, across = wrap(paper.width, smaller * width / columns, columns)
    size = paper.width, min(smaller * height * lines, HIGHEST)
    figure = Sheet(figsize=size, dpi=PRINTED_DPI, layout="compressed")
    squeeze = settings.pop("squeeze", True)
    grid = figure.subplots(rows * lines, across, squeeze=False, **settings)
    of_rows = grid.reshape(rows, lines * across)
    for spare in of_rows[:, columns:].flat:
        spare.remove()
    axes = of_rows[:, :columns]
    return figure, (axes.item() if axes.size == 1 else axes.squeeze()) if squeeze else axes


def settle(figure):
    """Give all parts of a figure their places; in a column nothing may reach into the next panel.

    Parameters
    ----------
    figure : Sheet
    """
    paper, engine = _PAPER.get(), figure.get_layout_engine()
    if paper.width is None:
        figure.parts = _parts(figure, engine.execute(figure))
        return
    _hide_repeated(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # what is cut is told by its name
        engine.execute(figure)
        _fold_texts(figure)
        engine.execute(figure)
    figure.is_cut = _is_cut(figure, paper.width)


def _is_cut(figure, width):
    """Whether texts reach over the sides of a figure, or leave a panel hardly any room."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    drawn = figure.get_tightbbox(renderer)
    thin = any(
        axis.get_position().width * axis.get_gridspec().ncols < LEAST_SHARE
        for axis in figure.axes
        if axis.get_visible()
    )
    return thin or drawn.x0 < -SLACK or drawn.x1 > width + SLACK


def _parts(figure, laid_out):
    """Panels of a broad figure, as many side by side as stay readable, and before them what stands above all."""
    if figure.get_figwidth() <= BROAD:
        return []
    grid = figure.axes[0].get_gridspec()
    places = sorted(
        (axis.get_subplotspec().rowspan.start, axis.get_subplotspec().colspan.start)
        for axis in figure.axes
        if axis.get_visible()
    )
    found = [legend.get_window_extent().transformed(figure.transFigure.inverted()) for legend in figure.legends]
    row_before, across = None, BROAD / figure.get_figwidth()
    for row, column in places:
        cell = laid_out[grid].get_outer_bbox(row, column)
        if row == row_before and cell.x1 - found[-1].x0 <= across:
            found[-1] = Bbox.union([found[-1], cell])
        else:
            found.append(cell)
        row_before = row
    return found


def _hide_repeated(figure):
    """Of panels side by side whose upright axes say the same, only the first one says it."""
    for axis in figure.axes:
        place = axis.get_subplotspec()
        before = [
            other
            for other in figure.axes
            if other.get_subplotspec().rowspan == place.rowspan
            and other.get_subplotspec().colspan.stop == place.colspan.start
        ]
        if before and _upright(before[0]) == _upright(axis):
            axis.tick_params(labelleft=False)
    for axis in figure.axes:
        if not axis.get_subplotspec().is_first_col() and not axis.yaxis.get_tick_params().get("labelleft", True):
            axis.set_ylabel("")


def _upright(axis):
    ticks = [text.get_text() for text in axis.get_yticklabels()]
    return axis.get_ylabel(), axis.get_ylim(), ticks


def _fold_texts(figure):
    """Fold titles, and the labels of level axes, that reach into the next panel."""
    renderer, lefts = FigureCanvasAgg(figure).get_renderer(), [axis.get_position().x0 for axis in figure.axes]
    for axis, left in zip(figure.axes, lefts, strict=True):
        room = (min((other for other in lefts if other > left + 0.05), default=1.0) - left) * figure.bbox.width
        where = matplotlib.rcParams["axes.titlelocation"]
        for text in (axis.set_title(axis.get_title(where), loc=where), axis.xaxis.label):
            said, width = text.get_text(), text.get_window_extent(renderer).width
            if said and width > room:
                letters = int(0.95 * max(map(len, said.split("\n"))) * room / width)
                text.set_text("\n".join(textwrap.fill(line, max(letters, 8)) for line in said.split("\n")))


def wrap(width, panel, columns):
    """How many lines a row of panels takes, and how many panels stand in a line.

    Parameters
    ----------
    width : float
        That there is.
    panel : float
        The width for which a panel is laid out.
    columns : int

    Returns
    -------
    lines, across : int

    Examples
    --------
    >>> wrap(7.1, 2.2, 6), wrap(3.5, 3.6, 2), wrap(3.5, 2.9, 2)
    ((2, 3), (2, 1), (1, 2))
    """
    most = max(1, int(width / (NARROWEST * panel)))
    lines = math.ceil(columns / most)
    return lines, math.ceil(columns / lines)


def save_figures(pictures, folder, paper, style, dpi=300):
    """Write figures in the kinds that a paper asks for, without dates.

    Parameters
    ----------
    pictures : sequence of glomfeat.report.drawing.Picture
    folder : Path
    paper : Paper
    style : dict
        Matplotlib's parameters under those of the paper.
    dpi : int
        Dots per inch of PNG.
    """
    for picture in pictures:
        for kind in paper.kinds:
            save_figure(picture.figure, folder / f"{picture.name}.{kind}", kind, paper, style, dpi)


def what_is_cut(pictures, paper):
    """A line that says which figures are too broad for their column; empty where all fit.

    Parameters
    ----------
    pictures : sequence of glomfeat.report.drawing.Picture
    paper : Paper
    """
    cut = [picture.name for picture in pictures if picture.figure.is_cut]
    if not cut:
        return ""
    wider = "--column 2 or " if paper.column == 1 else ""
    return (
        f"--column {paper.column}: {', '.join(cut)}: text is broader than {WIDTHS_MM[paper.column]} mm and is cut, "
        f"even at {LEAST_SIZE} points: take {wider}no --column, another --style, or shorter names"
    )


def save_figure(figure, path, kind, paper, style, dpi=300):
    """Write one of them, of a kind of `KINDS`."""
    with written_whole(path) as part:
        render(figure, part, kind, paper, style, dpi)


def render(figure, to, kind, paper, style, dpi=300):
    """As `save_figure`, also into a file that is open."""
    nothing = {"pdf": ("CreationDate",), "svg": ("Date",), "png": ()}
    how = {"format": kind, "dpi": dpi, "metadata": dict.fromkeys(nothing[kind])}
    with drawn_for(paper), styled(style | FIXED):
        figure.savefig(to, bbox_inches=box_of(figure, paper), **how)


def box_of(figure, paper):
    """What is saved of a figure: in a column what is drawn, at its full width; else None, which is all."""
    if paper.width is None:
        return None
    tight = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    return Bbox([[0, tight.y0 - MARGIN], [figure.get_figwidth(), tight.y1 + MARGIN]])
