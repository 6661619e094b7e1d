"""labels_to_check.csv: images whose label most arms together contradict."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FOLDS, GOOD, REPEATS, make_run

from glomfeat.core.arms import FLOOR
from glomfeat.data.cases import pseudonyms
from glomfeat.metrics.confident import confident_class
from glomfeat.results.finished import Finished
from glomfeat.results.label_doubt import COLUMNS, doubt_table, find_doubt
from glomfeat.results.write import OUTPUTS


def with_labels_turned_over(run, rows):
    """The run with other labels of some images, and scores that know the true ones."""
    labels = run.manifest.labels.copy()
    labels[rows] = 1 - labels[rows]
    table = run.manifest.table.assign(label=labels)
    folds = run.folds.assign(label=np.tile(labels, len(run.folds) // len(labels)))
    records = {}
    for trial in run.trials:
        tested, record = run.tested(trial), dict(run.record(trial))
        if str(trial.arm) != FLOOR:
            record["scores"] = np.where(run.manifest.labels[tested] == 1, 0.9, 0.1).tolist()
        records[trial.key] = record
    return replace(run, manifest=replace(run.manifest, table=table), folds=folds, records=records)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_means_over_arms_of_means_over_repeats_without_the_floor(classes):
    run = make_run(classes=classes)
    total = np.zeros((2, len(run.manifest), classes))
    for (arm, repeat, fold), record in run.records.items():
        if arm != FLOOR:
            rows = run.folds[(run.folds["repeat"] == repeat) & (run.folds["fold"] == fold)].index % len(run.manifest)
            score = np.array(record["scores"])
            score = np.column_stack([1 - score, score]) if classes == 2 else score
            total[int(arm == GOOD), rows] += score / REPEATS
    doubt, labels = find_doubt(run), run.manifest.labels
    np.testing.assert_allclose(doubt.score, total.mean(axis=0))
    expected = confident_class(labels, total.mean(axis=0))
    assert set(doubt.rows) == set(np.flatnonzero(expected != labels)) and (len(doubt.rows) or classes == 2)
    assert (doubt.suggested == expected[doubt.rows]).all() and (doubt.arms == 2).all()
    votes = sum((confident_class(labels, part) != labels).astype(int) for part in total)
    assert doubt.votes.tolist() == votes.tolist()
    of_label = doubt.score[doubt.rows, labels[doubt.rows]]
    assert (np.diff(of_label) >= 0).all()


def test_labels_that_were_turned_over_are_listed_and_no_others():
    wrong = [3, 50, 99]
    run = with_labels_turned_over(make_run(), wrong)
    table = doubt_table(run, find_doubt(run), {50: [7, 8], 3: [1, 2, 4, 5]}).set_index("name")
    assert set(table.index) == {"i003.png", "i050.png", "i099.png"} and table["rank"].tolist() == [1, 2, 3]
    assert (table["label"] != table["suggested"]).all() and (table["arms_in_doubt"] == 2).all()
    assert table["score_of_label"].tolist() == pytest.approx([0.1] * 3)
    shown = pseudonyms(run.manifest.table["case"])
    assert table["pseudonym"].tolist() == [shown[case] for case in table["case"]]
    assert table.loc["i003.png", ["nearest_1", "nearest_3"]].tolist() == ["i001.png", "i004.png"]
    assert table.loc["i050.png", "nearest_label_2"] == run.manifest.classes[run.manifest.labels[8]]
    assert pd.isna(table.loc["i050.png", "nearest_3"]) and pd.isna(table.loc["i099.png", "nearest_1"])


def test_a_run_without_doubt_or_without_scores_has_an_empty_table(tmp_path):
    clear = with_labels_turned_over(make_run(), [])
    for run in (clear, replace(clear, records={})):
        OUTPUTS["labels_to_check.csv"].write(Finished(**run.given()), tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_neighbours_are_those_that_the_study_wrote(tmp_path):
    run = with_labels_turned_over(make_run(), [3])
    pd.DataFrame(
        {
            "arm": [GOOD] * 2,
            "name": ["i003.png"] * 2,
            "fold": ["0"] * 2,
            "rank": [2, 1],
            "neighbour": ["i009.png", "i010.png"],
            "distance": [2.0, 1.0],
            "neighbour_label": [0, 1],
        }
    ).to_csv(tmp_path / "neighbours.csv", index=False)
    OUTPUTS["labels_to_check.csv"].write(Finished(**run.given()), tmp_path / "t.csv")
    row = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert row[["name", "nearest_1", "nearest_2"]].tolist() == ["i003.png", "i010.png", "i009.png"]
    assert json.loads(row[["arms", "arms_in_doubt"]].to_json()) == {"arms": 2, "arms_in_doubt": 2}
    assert len(run.folds) == FOLDS * REPEATS * len(run.manifest) // FOLDS
