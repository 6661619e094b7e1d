"""How every figure is drawn: one style, to SVG that follows the page's colours and to PNG for a paper."""

import hashlib
import io
import re
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glomfeat.core.atomic import written_whole
from glomfeat.core.errors import InputError
from glomfeat.report.paper import make_axes, settle, sizes, styled

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
DRAWN = "glomfeat drawing"  # what a PNG says of itself
PACKERS = 2
BELOW = 0.4  # inches, that numbers and name of an axis take
STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # no axis has ticks above, after which each drawing would look
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
    figure : glomfeat.report.paper.Sheet
    """

    name: str
    heading: str
    caption: str
    alt: str
    figure: Figure

    @cached_property
    def svg(self):
        """The figure as SVG without dates, as Matplotlib writes it."""
        buffer = io.StringIO()
        with matplotlib.rc_context(STYLE):
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        _hold_labels(self.figure)
        return buffer.getvalue()


def _hold_labels(figure):
    """Leave names of axes where they were drawn; the next drawing would find their places out again from all ticks."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            label = axis.label
            place = label.get_transform().transform(label.get_position())
            axis.set_label_coords(*axes.transAxes.inverted().transform(place))


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
    parts : tuple of (str, int)
        Boxes within the viewBox, and their widths in pixels: what a narrow screen shows of it below each other, each
        as large as it can be read. Without any it shows the whole drawing.
    """

    name: str
    heading: str
    caption: str
    alt: str
    box: str
    width: int
    drawing: str
    parts: tuple = ()


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
    for size in sizes():
        with styled(STYLE, size):
            # what texts measure is kept by the resolution, so that the SVG need not measure them again
            figure, axes = make_axes(width, height, rows, columns, SVG_DPI, **settings)
            FigureCanvasAgg(figure)
            make(axes)
            # settled once: it takes longer than all drawing, and an engine that does nothing has all drawn once more
            settle(figure)
            figure.set_layout_engine(None)
        if not figure.is_cut:
            break
    return figure


def put_legend_below(axis, **settings):
    """A legend under an axis and its name, where it takes no room from the curves.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    **settings
        Of `matplotlib.axes.Axes.legend`.
    """
    below = axis.transAxes + ScaledTranslation(0, -BELOW, axis.figure.dpi_scale_trans)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, **settings)


def fold(name, width=26):
    """A name on lines that are short enough to stand beside a panel.

    Examples
    --------
    >>> print(fold("classical + logistic regression"))
    classical + logistic
    regression
    """
    return "\n".join(textwrap.wrap(name, width, break_on_hyphens=False)) or name


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


def to_chart(picture):
    """A figure as SVG that can stand in a page beside others.

    Parameters
    ----------
    picture : Picture

    Returns
    -------
    Chart
        With no fixed colours of text and paper, no fixed fonts, and names of its own.
    """
    text = picture.svg[picture.svg.index("<svg") :].strip()
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
    drawing, (broad, high) = text[text.index(">") + 1 :], map(float, box.split()[2:])
    parts = [
        (part.x0 * broad, (1 - part.y1) * high, part.width * broad, part.height * high) for part in picture.figure.parts
    ]
    return Chart(
        picture.name,
        picture.heading,
        picture.caption,
        picture.alt,
        box,
        _pixels_of(broad),
        drawing,
        tuple((" ".join(f"{number:.2f}" for number in part), _pixels_of(part[2])) for part in parts),
    )


def _pixels_of(points):
    return round(points * 96 / SVG_DPI)


def save_pngs(pictures, folder, dpi=300):
    """Write figures as PNG on white, without a date. One that is there already, as it would be drawn, stays.

    Parameters
    ----------
    pictures : sequence of Picture
    folder : Path
    dpi : int
        Dots per inch.
    """
    asked = [(one, folder / f"{one.name}.png", _drawing(one, dpi)) for one in pictures]
    with ThreadPoolExecutor(PACKERS) as pool:  # packing leaves Python free to draw the next figure
        saved = [
            pool.submit(_pack, _pixels(one, dpi), path, dpi, drawing)
            for one, path, drawing in asked
            if _drawing_in(path) != drawing
        ]
    for one in saved:
        one.result()


def _drawing(picture, dpi):
    """A digest of all that a PNG is drawn from; its SVG says all that is drawn."""
    return hashlib.sha256(f"{matplotlib.__version__} {dpi} {STYLE} {picture.svg}".encode()).hexdigest()


def _drawing_in(path):
    """What a PNG says that it was drawn from; None where there is no whole PNG that says so."""
    try:
        with Image.open(path) as image:
            image.verify()
            return image.info.get(DRAWN)
    except (OSError, SyntaxError):
        return None


def _pack(image, path, dpi, drawing):
    said = PngInfo()
    said.add_text(DRAWN, drawing)
    with written_whole(path) as part:
        # a quarter of the time of the usual level 6, a tenth larger
        image.save(part, format="png", dpi=(dpi, dpi), compress_level=3, pnginfo=said)


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
