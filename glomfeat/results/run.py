"""A run as data: manifest, folds, trials and the records of the journal."""

from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd

from glomfeat.data.splits import fold_rows


@dataclass(frozen=True)
class Run:
    """Everything that tables are made from.

    Attributes
    ----------
    manifest : Manifest
        The images that could be read.
    folds : pandas.DataFrame
        From `glomfeat.data.splits.make_folds`.
    trials : list of Trial
        The plan, in the order of the tables.
    records : dict of (arm, repeat, fold) to dict
        The journal's.
    weights : dict of str to str
        Where weights come from, by the feature's name or the network's arm.
    seed : int
        The study's.
    metrics : dict of str to callable
        The user's own, by column name; see `glomfeat.results.user_metrics.measure_own`.
    seconds : float or None
        The time that each of them may take.
    """

    manifest: object
    folds: pd.DataFrame
    trials: list
    records: dict
    weights: dict
    seed: int
    metrics: dict = field(default_factory=dict)
    seconds: float | None = None
    _tested: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def given(self):
        """The fields of a run by name, for making another run with some of them."""
        return {one.name: getattr(self, one.name) for one in fields(Run) if one.init}

    @property
    def positive(self):
        """The name of the positive class, which is the last one."""
        return self.manifest.classes[-1]

    @property
    def ever_tested(self):
        """Whether each row of the manifest is tested in some repeat: all are, except under hold-outs; shape (n,)."""
        held = self.folds.loc[self.folds["fold"].astype(str) == "outer-test", "name"]
        return self.manifest.table["name"].isin(held).to_numpy() if len(held) else np.ones(len(self.manifest), bool)

    @property
    def left_out(self):
        """The value that each fold leaves out, by fold; empty if folds are not values."""
        if "left_out" not in self.folds:
            return {}
        named = self.folds[["fold", "left_out"]].drop_duplicates()
        return dict(zip(named["fold"], named["left_out"], strict=True))

    def tested(self, trial):
        """Rows of the manifest that a trial is tested on."""
        where = trial.repeat, trial.fold
        if where not in self._tested:  # all arms are tested on the same rows
            self._tested[where] = fold_rows(self.folds, *where)[1]
        return self._tested[where]

    def learnt(self, trial):
        """Rows of the manifest that a trial learns from."""
        return fold_rows(self.folds, trial.repeat, trial.fold)[0]

    def done(self, trials):
        """Those of some trials that are done, each with its record; dict of Trial to dict."""
        return {trial: record for trial in trials if (record := self.record(trial))["status"] == "done"}

    def record(self, trial):
        """A trial's record, or one that says that it has not run yet."""
        return self.records.get(trial.key, {"status": "planned", "reason": ""})
