"""Limits of no width say so."""

import numpy as np
import pandas as pd
from helpers.runs import GOOD, WEAK, make_run

from glomfeat.core.arms import FLOOR
from glomfeat.results.finished import Finished
from glomfeat.results.unmoved import say_unmoved, unmoved


def test_an_arm_whose_figure_no_case_changes_says_so_and_the_floor_does_not():
    run = make_run()
    for trial in run.trials:
        if str(trial.arm) == WEAK:
            run.records[trial.key]["scores"] = np.full(len(run.tested(trial)), 0.4).tolist()
    rows = Finished(**run.given()).results.set_index("arm")
    row = rows.loc[WEAK]
    assert row["auroc"] == row["auroc_lo"] == row["auroc_hi"] == 0.5
    assert row["reason"].startswith("limits of no width, for it is the same without each case: AUROC")
    assert row["auroc_case_weighted_lo"] == row["auroc_case_weighted_hi"] and "AUROC, each case once" in row["reason"]
    assert rows.loc[FLOOR, "auroc_lo"] == rows.loc[FLOOR, "auroc_hi"] and rows.loc[FLOOR, "reason"] == ""
    assert rows.loc[GOOD, "reason"] == ""


def test_a_reason_that_is_there_is_kept_and_a_table_without_rows_is_one():
    table = pd.DataFrame({"arm": [GOOD, WEAK], "reason": ["slow", "slow"]})
    table = table.assign(auroc=[0.5, 0.7], auroc_lo=[0.5, 0.6], auroc_hi=[0.5, 0.8])
    assert unmoved(table) == [["auroc"], []]
    said = "slow; limits of no width, for it is the same without each case: AUROC"
    assert say_unmoved(table)["reason"].tolist() == [said, "slow"]
    assert say_unmoved(table[:0]).empty
