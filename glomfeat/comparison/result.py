"""The result of a comparison as Python objects: tables, figures, and each arm as a model."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from glomfeat.comparison.hidden_names import hide_names
from glomfeat.comparison.plots import Plots
from glomfeat.comparison.prepare import Prepared
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.csvs import read_csv
from glomfeat.core.plugins import did_you_mean
from glomfeat.report.content import Content, read_content
from glomfeat.report.paper import AS_PAGE, Paper
from glomfeat.report.write import write_report
from glomfeat.results.external import read_external
from glomfeat.results.finished import Finished
from glomfeat.results.show import as_text, to_html
from glomfeat.results.tables import finished_first, why_without_figure, with_figure
from glomfeat.results.write import is_up_to_date


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """The result of a comparison; a notebook shows it as its table.

    Tables show pseudonyms of images and cases unless ``show_names`` was asked for, but their cells hold the names.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per arm, best AUROC first: results.csv before rounding.
    out : Path
        The output folder. If none was asked for, it is a temporary one that is deleted with this object.
    title : str
        What was compared, on which data, and how they were split.
    show_names : bool
        Whether the report shows real names of cases.
    """

    table: pd.DataFrame
    out: Path
    title: str
    show_names: bool = False
    _prepared: Prepared | None = None
    _finished: Finished | None = None

    @property
    def best(self) -> "ArmResult":
        """The finished arm with the best AUROC, but not the floor. Others may tie: see ``table`` or ``comparisons``."""
        known = with_figure(finished_first(self.table))
        if known.empty:
            raise StudyError(why_without_figure(self.table, "result.trials"))
        return self.arms[known.iloc[0]["arm"]]

    @property
    def arms(self) -> "Arms":
        """Each arm by its name, best first: ``result.arms["classical.v1/ipca128/svm"].model()``."""
        return Arms({name: ArmResult(name, self) for name in self.table["arm"]})

    @property
    def plot(self) -> Plots:
        """The report's figures: ``result.plot.roc(arms=[...], ax=ax)`` and others."""
        return Plots(self._content)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """Every arm against the best one, as in comparisons.csv."""
        return self._content.comparisons

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row per arm and case: the true and predicted share of the positive class, as in cases.csv."""
        return self._named(self._content.cases)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per arm, repeat and fold, as in trials.csv; folds are texts, as in `predictions`."""
        return read_csv(self.out / "trials.csv", dtype={"reason": str, "fold": str}).fillna({"reason": ""})

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per arm, repeat and image, as in predictions.parquet."""
        return self._named(pd.read_parquet(self.out / "predictions.parquet"))

    @cached_property
    def external(self) -> pd.DataFrame:
        """One row per cohort of ``test`` and arm, as in external.csv."""
        if not (self._finished and self._finished.cohorts):
            raise StudyError("no cohort was scored: compare again with the same out and test=['NAME=PATH']")
        return read_external(self.out / "external.csv")

    def report(self) -> Path:
        """Write report.html and its figures, unless they are there already.

        Returns
        -------
        Path
            The page.
        """
        if self._paper == AS_PAGE and is_up_to_date(self.out):
            return self.out / "report.html"
        return write_report(self.out, self.show_names, results=self.table, finished=self._finished, paper=self._paper)

    @property
    def _paper(self) -> Paper:
        if self._prepared is None:
            return AS_PAGE
        study: Any = self._prepared.study
        return Paper(tuple(study.figures), study.column, study.style)

    @cached_property
    def _content(self) -> Content:
        return read_content(self.out, self.show_names, results=self.table, finished=self._finished)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: not what was read from the folder, which is read again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def _named(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table that shows names of images and cases in the way this result does."""
        return table if self.show_names else hide_names(table, self._content.run.manifest)

    def __repr__(self) -> str:
        return as_text(self.table, self.title)

    def _repr_html_(self) -> str:
        return to_html(self.table, self.title)


@dataclass(frozen=True, repr=False, eq=False)
class ArmResult:
    """The result of one arm; a notebook shows its row of the table.

    Attributes
    ----------
    name : str
        The arm's name, such as ``classical.v1/ipca128/svm``.
    """

    name: str
    _result: Result

    @property
    def table(self) -> pd.DataFrame:
        """Its row of the result's table."""
        return self._rows(self._result.table)

    @property
    def auroc(self) -> float:
        """AUROC within each fold, averaged over folds."""
        return float(self.table["auroc"].iloc[0])

    @property
    def trials(self) -> pd.DataFrame:
        """Its rows of the result's trials."""
        return self._rows(self._result.trials)

    @property
    def predictions(self) -> pd.DataFrame:
        """Its out-of-fold scores, one row per repeat and image."""
        return self._rows(self._result.predictions)

    @property
    def cases(self) -> pd.DataFrame:
        """Its rows of the result's cases."""
        return self._rows(self._result.cases)

    def model(self, say: Callable[[str], object] = lambda line: None) -> Any:
        """Fit the arm on all images, with everything chosen as in its trials; this takes as long as one trial.

        Parameters
        ----------
        say : callable
            Called with each line on its progress.

        Returns
        -------
        glomfeat.bundle.model.Bundle
            Has ``predict_proba(images)`` and ``predict(images)`` for paths or arrays of images, or for rows of a table
            such as the study read; ``classes_``; and ``threshold``. Expect of it what the study found.

        Raises
        ------
        BundleError
            The arm did not finish, is the floor, or reads joined columns (``with_``).
        """
        from glomfeat.comparison.fold_stains import extract_for_arm
        from glomfeat.comparison.refit import refit_arm, refuse_joined

        prepared = self._result._prepared
        if prepared is None:
            raise StudyError("this result knows no study: call glomfeat.compare once more with the same out")
        refuse_joined(prepared, Arm.parse(self.name))
        prepared, extracted = extract_for_arm(prepared, self.name)
        return refit_arm(prepared, extracted, self.name, say, to_save=False)

    def _rows(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table["arm"] == self.name].reset_index(drop=True)

    def __repr__(self) -> str:
        return as_text(self.table, self._result.title)

    def _repr_html_(self) -> str:
        return to_html(self.table, self._result.title)


class Arms(dict[str, ArmResult]):
    """The arms of a result, by name."""

    def __missing__(self, name: str) -> ArmResult:
        raise StudyError(f"there is no arm {name!r}: {did_you_mean(str(name), self)}")

    def __repr__(self) -> str:
        return "\n".join(self)
