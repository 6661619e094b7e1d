"""A finished run and its tables, each of which is made once however often it is asked for."""

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from glomfeat.data.subgroups import make_groups
from glomfeat.results.abstention import abstention_table
from glomfeat.results.best_of_many import best_of_many_table
from glomfeat.results.calibration import calibration_curve_table, calibration_table
from glomfeat.results.calls import read_calls
from glomfeat.results.case_level import MEAN
from glomfeat.results.cases import cases_table
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.conformal import conformal_table
from glomfeat.results.decision_curve import decision_curve_table
from glomfeat.results.external import external_tables
from glomfeat.results.joined import joined_pairs_table
from glomfeat.results.label_doubt import find_doubt
from glomfeat.results.next_study import next_study_table
from glomfeat.results.pairs import pairs_table
from glomfeat.results.predictive_values import predictive_values_table
from glomfeat.results.reference import reference_table
from glomfeat.results.reliability import reliability_table
from glomfeat.results.resampled import resample
from glomfeat.results.run import Run
from glomfeat.results.sites import sites_table
from glomfeat.results.subgroups import subgroups_table
from glomfeat.results.tables import results_table, trials_table
from glomfeat.results.unmoved import say_unmoved


@dataclass(frozen=True)
class Finished(Run):
    """A run with everything that its outputs are made from.

    Attributes
    ----------
    title : str
        What was compared, on what, and how it was split.
    environment : dict
        From `glomfeat.core.environment.environment`; empty if nothing was computed, so that what was written about the
        machine that did the work stays.
    beside : dict of str to Run
        The same arms on further folds, by the prefix of these folds' names.
    learning_curve : bool
        Whether those with fewer training cases were asked for; there may be none with enough cases.
    perturbed : tuple of str
        How images were changed and then scored again.
    changed : dict of (arm, repeat, fold) to dict of str to list
        The scores of changed images, from `glomfeat.results.journal.Journal.changed`.
    asked_subgroups : tuple of str
        Columns, as in `glomfeat.data.subgroups.make_groups`.
    cohorts : tuple of glomfeat.results.external.Cohort
        From other places.
    reference : glomfeat.results.reference.Reference or None
        What every arm is compared to, if it was named.
    prevalences : tuple of float
        Shares of the positive class at which predictive values are asked for.
    case_rule : str
        As for `glomfeat.results.case_level.case_level_table`.
    order : tuple of str
        All classes, the lowest first, if they have an order.
    asked_readers : tuple of glomfeat.data.readers.Reader
    joined : glomfeat.data.joined.Joined or None
        Columns that joined features, for the images of the run.
    show_names : bool
        Whether output for people calls images and cases by their names.
    """

    title: str = ""
    environment: dict = field(default_factory=dict)
    beside: dict = field(default_factory=dict)
    learning_curve: bool = False
    perturbed: tuple = ()
    changed: dict = field(default_factory=dict)
    asked_subgroups: tuple = ()
    cohorts: tuple = ()
    reference: object = None
    prevalences: tuple = ()
    case_rule: str = MEAN
    order: tuple = ()
    asked_readers: tuple = ()
    joined: object = None
    show_names: bool = False

    @cached_property
    def comparisons(self):
        """The table of `glomfeat.results.comparisons.comparisons_table`."""
        return comparisons_table(self, self.resampled)

    @cached_property
    def resampled(self):
        """The result of `glomfeat.results.resampled.resample`."""
        return resample(self)

    @cached_property
    def best_of_many(self):
        """The table of `glomfeat.results.best_of_many.best_of_many_table`."""
        return best_of_many_table(self, self.resampled)

    @cached_property
    def calls(self):
        """The result of `glomfeat.results.calls.read_calls`."""
        return read_calls(self, self.results)

    @cached_property
    def cases(self):
        """The table of `glomfeat.results.cases.cases_table`."""
        return cases_table(self)

    @cached_property
    def doubt(self):
        """The result of `glomfeat.results.label_doubt.find_doubt`."""
        return find_doubt(self)

    @cached_property
    def pairs(self):
        """The table of `glomfeat.results.pairs.pairs_table`."""
        return pairs_table(self, self.resampled)

    @cached_property
    def joined_pairs(self):
        """The table of `glomfeat.results.joined.joined_pairs_table`."""
        return joined_pairs_table(self.pairs)

    @cached_property
    def against_reference(self):
        """The table of `glomfeat.results.reference.reference_table`, if a reference was named."""
        return reference_table(self, self.resampled, self.reference)

    @cached_property
    def results(self):
        """The table of `glomfeat.results.tables.results_table`, with a reason where limits have no width."""
        return say_unmoved(results_table(self, self.comparisons))

    @cached_property
    def reliability(self):
        """The table of `glomfeat.results.reliability.reliability_table`."""
        return reliability_table(self)

    @cached_property
    def calibration(self):
        """The table of `glomfeat.results.calibration.calibration_table`."""
        return calibration_table(self)

    @cached_property
    def calibration_curve(self):
        """The table of `glomfeat.results.calibration.calibration_curve_table`."""
        return calibration_curve_table(self)

    @cached_property
    def decision_curve(self):
        """The table of `glomfeat.results.decision_curve.decision_curve_table`."""
        return decision_curve_table(self)

    @cached_property
    def predictive_values(self):
        """The table of `glomfeat.results.predictive_values.predictive_values_table`."""
        return predictive_values_table(self, self.prevalences)

    @cached_property
    def abstention(self):
        """The table of `glomfeat.results.abstention.abstention_table`."""
        return abstention_table(self)

    @cached_property
    def conformal(self):
        """The table of `glomfeat.results.conformal.conformal_table`."""
        return conformal_table(self)

    @cached_property
    def sites(self):
        """The table of `glomfeat.results.sites.sites_table`, if values of a column were left out."""
        return sites_table(self)

    @cached_property
    def subgroups(self):
        """The table of `glomfeat.results.subgroups.subgroups_table`."""
        return subgroups_table(self, [make_groups(self.manifest.table, asked) for asked in self.asked_subgroups])

    @cached_property
    def external(self):
        """The tables of `glomfeat.results.external.external_tables`."""
        return external_tables(self, self.results, self.cohorts)

    @cached_property
    def next_study(self):
        """The table of `glomfeat.results.next_study.next_study_table`."""
        return next_study_table(self, self.resampled)

    @cached_property
    def own_trials(self):
        """The table of `glomfeat.results.tables.trials_table`, for the study's own folds."""
        return trials_table(self)

    @property
    def all_trials(self):
        """The table of `glomfeat.results.tables.trials_table`, for all folds."""
        return pd.concat([self.own_trials, *map(trials_table, self.beside.values())], ignore_index=True)
