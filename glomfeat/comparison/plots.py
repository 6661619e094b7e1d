"""The report's figures from Python, for any of the arms, and if you like on your own axes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from glomfeat.core.arms import StudyError
from glomfeat.core.plugins import did_you_mean
from glomfeat.report.content import Content
from glomfeat.report.drawing import STYLE, drawn_on
from glomfeat.report.figures import agreement, case_scores, confusion, forest, ranking, reliability, robustness
from glomfeat.report.paper import AS_PAGE, KINDS, Paper, drawn_for, render, save_figure
from glomfeat.report.styles import check_style
from glomfeat.results.tables import why_without_figure

DPI_OF_NOTEBOOKS = 100


@dataclass(frozen=True, repr=False, eq=False)
class Drawn:
    """A figure with its heading, caption and description; a notebook shows figure and texts.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The figure that your axes belong to, if you gave axes.
    heading, caption, alt : str
        What it shows, how to read it, and a description for those who cannot see it.
    """

    figure: Any
    heading: str
    caption: str
    alt: str
    _paper: Paper
    _is_own: bool

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the figure as PDF or SVG with its fonts, or as PNG with 300 dots per inch.

        Parameters
        ----------
        path : path-like
            Its ending, ``.pdf``, ``.svg`` or ``.png``, decides the format.

        Returns
        -------
        Path
        """
        path = Path(path).expanduser()
        kind = path.suffix.lower().removeprefix(".")
        if kind not in KINDS:
            raise StudyError(f"{path.name} ends in none of {', '.join(f'.{one}' for one in KINDS)}: choose one of them")
        save_figure(self.figure, path, kind, self._paper if self._is_own else AS_PAGE, STYLE)
        return path

    def __repr__(self) -> str:
        return f"{self.heading}. {self.alt}"

    def _repr_html_(self) -> str:
        said = f"<p><b>{escape(self.heading)}.</b> {escape(self.caption)}</p>"
        if not self._is_own:  # the notebook shows the user's own figure anyway
            return said
        buffer = io.BytesIO()
        render(self.figure, buffer, "png", self._paper, STYLE, DPI_OF_NOTEBOOKS)
        data = base64.b64encode(buffer.getvalue()).decode()
        picture = f"<img style='max-width:100%' alt='{escape(self.alt)}' src='data:image/png;base64,{data}'>"
        return f"<div style='background:white;color:black;padding:.5em'>{picture}{said}</div>"


@dataclass(frozen=True, repr=False, eq=False)
class Plots:
    """The figures of a result: ``roc``, ``forest``, ``confusion``, ``calibration``, ``cases`` and ``robustness``.

    Each takes the names of arms (the best ones if left out) and ``ax``: Matplotlib axes to draw on, as many as the
    figure has panels, or fewer for the first panels. On these, colours and fonts follow your own settings. Without
    ``ax``, a figure is made as in the report. The same functions draw the figures of the report.
    """

    _content: Content
    _paper: Paper = AS_PAGE

    def on_paper(self, column: Literal[1, 2] | None = None, style: str | None = None) -> "Plots":
        """The same figures, as wide as one or two columns of a journal, and in a Matplotlib style.

        Parameters
        ----------
        column : {1, 2}, optional
            89 or 180 mm.
        style : str, optional
            Name of a Matplotlib style, or a file.

        Examples
        --------
        >>> result.plot.on_paper(column=1).roc().save("roc.pdf")  # doctest: +SKIP
        """
        if column not in (None, 1, 2):
            raise StudyError(f"column is {column!r}: allowed are 1, 2 or None")
        if style is not None:
            check_style(style)
        return replace(self, _paper=Paper(column=column, style=style))

    def roc(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw ROC curves and, in a second panel, precision against recall, with bands over cases."""
        return self._draw([ranking], arms, ax)

    def forest(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw the AUROC of arms with 95 % limits; all arms if left out."""
        return self._draw([forest], arms, ax)

    def confusion(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw confusion matrices, one row an arm: at 0.5, and at the threshold of the study."""
        return self._draw([confusion], arms, ax)

    def calibration(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw how often images with a given score are positive."""
        return self._draw([reliability], arms, ax)

    def cases(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw the percentage of each case, predicted against true; mean scores if each case has one class."""
        lacks = "every image is its own case, or there are fewer than three cases: there is nothing to draw"
        return self._draw([agreement, case_scores], arms, ax, lacks)

    def robustness(self, arms: str | Sequence[str] | None = None, ax: Any = None) -> Drawn:
        """Draw AUROC against the strength of each change of the images."""
        lacks = "images were not changed: compare again with the same out and perturb=['stain', 'blur']"
        return self._draw([robustness], arms, ax, lacks)

    def _draw(self, figures: list[ModuleType], arms: Any, ax: Any, lacks: str = "") -> Drawn:
        content = self._content if arms is None else self._content.of_arms(self._found(arms))
        axes = None if ax is None else list(np.ravel(np.asarray(ax, object)))
        if axes is not None and not all(hasattr(one, "get_figure") for one in axes):
            raise StudyError(f"ax is a {type(ax).__name__}: give axes of Matplotlib, such as those of plt.subplots()")
        for figure in figures:
            with drawn_for(self._paper), drawn_on(axes):
                found = figure.draw(content)
            if found is not None:
                return Drawn(found.figure, found.heading, found.caption, found.alt, self._paper, axes is None)
        raise StudyError(lacks or why_without_figure(content.results, "result.trials"))

    def _found(self, arms: Any) -> list[str]:
        """Find arms by their names, in full or as figures show them."""
        results, names = self._content.results.set_index("arm"), self._content.names
        in_full = {short: arm for arm, short in names.items()} | {arm: arm for arm in names}
        found = []
        for arm in [arms] if isinstance(arms, str) else list(map(str, arms)):
            if arm not in in_full:
                raise StudyError(f"there is no arm {arm!r}: {did_you_mean(arm, names)}")
            row = results.loc[in_full[arm]]
            if not np.isfinite(row["auroc"]):
                raise StudyError(f"{arm} is {row['status']}: {row['reason'] or 'it has no AUROC'}; choose another arm")
            found.append(in_full[arm])
        if not found or len(set(found)) < len(found):
            raise StudyError(f"arms is {' '.join(found) or 'empty'}: name each arm once")
        return found

    def __repr__(self) -> str:
        return "roc(), forest(), confusion(), calibration(), cases(), robustness(), each with arms= and ax="
