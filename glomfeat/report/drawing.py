"""How every figure is drawn: one style, to SVG that follows the page's colours and to PNG for a paper."""

import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from glomfeat.core.atomic import written_whole
from glomfeat.core.errors import InputError
from glomfeat.report.paper import AS_PAGE, box_of, make_axes, settle, styled

# Okabe & Ito (2008) without yellow, which is lost on white; each colour keeps one line style and one marker,
# so that what colours say can be read in grey too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
# Drawn in these colours; in the page they become the page's own, light or dark.
INK, GRID, PAPER = "#1b1b1b", "#d4d4d4", "#fefefe"
IN_PAGE = {INK: "currentColor", GRID: "var(--line)", PAPER: "var(--paper)"} | {
    colour: f"var(--arm-{number})" for number, colour in enumerate(COLOURS)
}
MUTED = "#767676"
SVG_DPI = 72  # at which every SVG is drawn
PACKERS = 2
HIGH = 0.7  # broad for one high: a column that such a drawing fills leaves the page half empty
STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.edgecolor": GRID,
    "legend.facecolor": PAPER,
    "legend.framealpha": 0.9,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "glomfeat",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class _Palette(Sequence):
    """The colours of the style in which a figure is being drawn, as many as there are lines and markers."""

    def __len__(self):
        return len(COLOURS)

    def __getitem__(self, place):
        colours = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", [INK])
        return colours[range(len(self))[place] % len(colours)]


PALETTE = _Palette()
_GIVEN = ContextVar("axes", default=None)


@dataclass(frozen=True)
class Picture:
    """A figure and what is said about it.

    Attributes
    ----------
    name : str
        Of its file, and of its place in the page.
    heading, caption : str
        What it shows, and how to read it.
    alt : str
        What one would see, for those who do not see it.
    figure : matplotlib.figure.Figure
    """

    name: str
    heading: str
    caption: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Chart:
    """A figure as the page holds it.

    Attributes
    ----------
    name, heading, caption, alt : str
        Of the `Picture`.
    box : str
        The viewBox of the drawing.
    width : int
        Of the drawing at its own size, in pixels of CSS.
    drawing : str
        What stands inside the SVG element, and its end.
    column : Chart or None
        The same as wide as a column of a journal, for narrow screens and for print.
    """

    name: str
    heading: str
    caption: str
    alt: str
    box: str
    width: int
    drawing: str
    column: "Chart | None" = None

    @property
    def spans(self):
        """Whether it is printed across the page: in a column it would be high, and it is broad."""
        return self.column is not None and _flat(self.column) < HIGH and _flat(self) > 1


def _flat(chart):
    """How many times as broad as high a drawing is."""
    _, _, width, height = map(float, chart.box.split())
    return width / height


def make_figure(width, height, make, rows=1, columns=1, **settings):
    """Make a figure in the common style, or draw on the axes of `drawn_on`, in the style of whoever made these.

    Parameters
    ----------
    width, height : float
        Inches.
    make : callable
        Called with the axes as `matplotlib.figure.Figure.subplots` returns them; draws.
    rows, columns : int
    **settings
        Of `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if _GIVEN.get():
        return _draw_on(_GIVEN.get(), make, rows, columns, **settings)
    with styled(STYLE):
        # what texts measure is kept by the resolution, so that the SVG need not measure them again
        figure, axes = make_axes(width, height, rows, columns, SVG_DPI, **settings)
        FigureCanvasAgg(figure)
        make(axes)
        # settled once: it takes longer than all drawing, and even an engine that does nothing has all drawn once more
        settle(figure)
        figure.set_layout_engine(None)
        return figure


@contextmanager
def drawn_on(axes):
    """Draw figures on axes of the user's.

    Parameters
    ----------
    axes : sequence of matplotlib.axes.Axes
        Of a figure's panels, as many as are wanted, the first ones first. None: a figure of its own is made.
    """
    token = _GIVEN.set(axes)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def _draw_on(given, make, rows, columns, squeeze=True, **settings):
    if len(given) > rows * columns:
        raise InputError(
            f"ax holds {len(given)} axes, and the figure has {rows * columns} panels: give as many, or fewer for the "
            "first ones"
        )
    spare = Figure().subplots(rows, columns, squeeze=False)  # for panels that nobody asks for
    axes = np.array([*given, *spare.flat[len(given) :]], object).reshape(rows, columns)
    make(axes if not squeeze else axes.item() if axes.size == 1 else axes.squeeze())
    return given[0].figure


def to_chart(picture, paper=AS_PAGE):
    """A figure as SVG that can stand in a page beside others.

    Parameters
    ----------
    picture : Picture
    paper : glomfeat.report.paper.Paper
        That it was drawn for.

    Returns
    -------
    Chart
        With no fixed colours of text and paper, no fixed fonts, and names of its own.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        box = box_of(picture.figure, paper)
        picture.figure.savefig(buffer, format="svg", transparent=True, metadata=nothing, bbox_inches=box)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{picture.name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{picture.name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{picture.name}-\1)", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"\s*font-family: [^;\"]*;?", "", text)
    for colour, of_page in IN_PAGE.items():
        text = text.replace(colour, of_page)
    box = re.search(r'viewBox="([^"]+)"', text)[1]
    width = round(float(box.split()[2]) * 96 / 72)
    drawing = text[text.index(">") + 1 :]
    return Chart(picture.name, picture.heading, picture.caption, picture.alt, box, width, drawing)


def save_pngs(pictures, folder, dpi=300):
    """Write figures as PNG on white, without a date.

    Parameters
    ----------
    pictures : sequence of Picture
    folder : Path
    dpi : int
        Dots per inch.
    """
    # a quarter of the time of the usual level 6, a tenth larger
    how = {"dpi": (dpi, dpi), "compress_level": 3}
    with ThreadPoolExecutor(PACKERS) as pool:  # packing leaves Python free to draw the next figure
        saved = [pool.submit(_pack, _pixels(one, dpi), folder / f"{one.name}.png", how) for one in pictures]
    for one in saved:
        one.result()


def _pack(image, path, how):
    with written_whole(path) as part:
        image.save(part, format="png", **how)


def _pixels(picture, dpi):
    """A figure as an image without transparency, which is a quarter less to pack."""
    with matplotlib.rc_context(STYLE):
        picture.figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(picture.figure)
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def look(position):
    """Colour, line and marker of the arm that is drawn as the n-th.

    Examples
    --------
    >>> look(0)[1:]
    ('-', 'o')
    """
    return tuple(values[position % len(values)] for values in (PALETTE, LINES, MARKERS))
