"""Check that figures can be drawn with the Matplotlib style that a user names for a paper."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glomfeat.core.errors import InputError
from glomfeat.core.plugins import did_you_mean
from glomfeat.report.paper import Paper, drawn_for, styled


def check_style(style, say=lambda line: None):
    """Refuse a style that Matplotlib cannot draw with.

    Parameters
    ----------
    style : str
    say : callable
        Called with a line if the style asks for a font that this machine lacks.

    Raises
    ------
    InputError
        It is neither a name that Matplotlib knows nor a file of its parameters, or needs something not installed.
    """
    from matplotlib import style as styles

    names = [name for name in styles.available if not name.startswith("_")]
    if style not in styles.library and style != "default":
        if not Path(style).expanduser().is_file():
            raise InputError(
                f"--style {style} is neither a file nor a style of Matplotlib's: {did_you_mean(style, names)}; a file "
                "holds lines such as font.family: Arial"
            )
        try:
            found = matplotlib.rc_params_from_file(Path(style).expanduser(), use_default_template=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--style {style} cannot be read: {error}: give a file of Matplotlib's parameters"
            ) from error
        if not found:
            raise InputError(
                f"--style {style} holds no parameter of Matplotlib's: write lines such as font.family: Arial, or "
                "axes.prop_cycle: cycler('color', ['black', 'red'])"
            )
    with drawn_for(Paper(style=style)):
        _try(style, say)


def _try(style, say):
    try:
        with styled({}):
            figure = Figure(figsize=(1, 1))
            figure.text(0, 0, "text")
            FigureCanvasAgg(figure).draw()
            _say_fonts(style, say)
    except (RuntimeError, ValueError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"--style {style} asks for what cannot be drawn here ({first}): take that out of the style"
        ) from error


def _say_fonts(style, say):
    from matplotlib.font_manager import FontProperties, findfont

    try:
        findfont(FontProperties(), fallback_to_default=False)
    except ValueError:
        asked = np.atleast_1d(matplotlib.rcParams["font.family"]).tolist()
        say(f"--style {style}: this machine has no font {', '.join(asked)}; DejaVu Sans is taken")
