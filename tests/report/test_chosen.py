"""The methods say which hyper-parameters, thresholds and calibrations were chosen, and which were not."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.reports import write_folder
from helpers.runs import make_run, manifest_of, scores_like

from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import FLOOR
from glomfeat.core.notes import NO_INNER
from glomfeat.metrics.thresholds import threshold_unchosen
from glomfeat.report.content import read_content
from glomfeat.report.figures import agreement, confusion, scores
from glomfeat.report.page import page_html
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.external import Cohort, external_tables
from glomfeat.results.load import load_run
from glomfeat.results.tables import results_table

pytestmark = pytest.mark.usefixtures("dealt_once")

CHOSEN = "were chosen on inner splits by case of the training data"


def table(classes=2, poor=False):
    """Cases with images of all classes and a given split; in poor data, class b is in one training case only."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"case": np.repeat(np.arange(18), 6), "label": np.tile(list("abc"[:classes]), 108 // classes)})
    frame["part"] = np.where(frame["case"] < 12, "train", "test")
    if poor:
        frame.loc[(frame["case"] > 0) & (frame["part"] == "train"), "label"] = "a"
    x = rng.normal(size=(len(frame), 3)) + frame["label"].map(ord).to_numpy()[:, None] - 97.5
    return frame.assign(name=[f"i{k}" for k in range(len(frame))], x=x[:, 0], y=x[:, 1], z=x[:, 2])


def study_of(tmp_path, frame, **options):
    """The records of the arms, the methods section, the table for people, and the lines that were said."""
    frame.to_csv(tmp_path / "t.csv", index=False)
    usual = {"heads": ("logreg",), "reducers": ("none",), "jobs": 1, "scheme": "given:part", "groups": "case"}
    places = {"data": str(tmp_path / "t.csv"), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    said = []
    compare(prepare(Study(**places | usual | options), said.append), said.append)
    lines = map(json.loads, (tmp_path / "out" / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    records = {line["arm"]: line for line in lines if "status" in line and line["arm"] != FLOOR}
    return records, " ".join(paragraph(load_run(tmp_path / "out"))), (tmp_path / "out" / "results.md").read_text(), said


@pytest.mark.parametrize(
    ("classes", "threshold", "what", "decided"),
    [
        (2, "sensitivity>=0.9", "Hyper-parameters and decision thresholds", "as the highest with a sensitivity of at "),
        (2, "0.2", "Hyper-parameters", "scored once. The threshold was fixed at 0.2."),
        (3, "0.2", "Hyper-parameters", "scored once. The class with the largest score was called."),
    ],
)
def test_only_what_was_chosen_is_called_chosen(tmp_path, without_figures, classes, threshold, what, decided):
    records, methods, shown, said = study_of(tmp_path, table(classes), threshold=threshold)
    assert f". {what} {CHOSEN}" in methods and decided in methods
    assert ("hreshold" in methods) == ("The positive class was b." in methods) == (classes == 2)
    assert ("; positive class: b; " in shown) == (classes == 2)
    assert ("at the study's threshold, fixed or chosen within the training cases;" in shown) == (classes == 2)
    assert [record["threshold"] for record in records.values()] == [0.2] or what.endswith("s") or classes == 3
    line = "--threshold 0.2 changes nothing: with 3 classes, the one with the largest score is called"
    assert (line in said) == (classes == 3)


@pytest.mark.parametrize(("threshold", "at", "mean"), [("0.2", 0.2, "done"), ("youden", 0.5, "failed")])
def test_without_inner_splits_a_fixed_threshold_holds_and_nothing_is_called_chosen(
    tmp_path, without_figures, threshold, at, mean
):
    members = ",".join(f"file:{tmp_path / 't.csv'}/none/{head}" for head in ("logreg", "svm"))
    asked = {"heads": ("logreg", "svm"), "ensembles": (members,), "calibration": "platt"}
    records, methods, *_ = study_of(tmp_path, table(poor=True), threshold=threshold, **asked)
    *heads, ensemble = records.values()
    assert [(record["threshold"], "calibration" in record) for record in heads] == [(at, False)] * 2
    note = f"the head has its default setting and decides at {at}; platt: scores are left as they are"
    assert all(note in record["reason"] for record in heads)
    assert ensemble["status"] == mean and ensemble.get("threshold", at) == at
    if mean == "done":
        assert np.allclose(ensemble["scores"], np.mean([record["scores"] for record in heads], axis=0))
        assert ensemble["reason"].count("as they were, because inner splits cannot hold all classes") == 2
    assert (
        "Inner splits of the training data could not hold all classes, so that nothing was chosen on them: "
        f"hyper-parameters kept their defaults, scores were not calibrated and the threshold was {at}. Each outer test "
        "fold was scored once."
    ) in methods
    assert CHOSEN not in methods and "Scores were calibrated" not in methods and "Thresholds" not in methods


def content_of(tmp_path, classes, rule, lacking):
    """A run of made-up scores with a cohort, whose threshold is what the rule gives without inner splits if asked."""
    run, there = make_run(classes), manifest_of(classes, 60, 10)
    for record in run.records.values():
        record["reason"] = f"{NO_INNER} both classes" if lacking else ""
        if lacking or rule[0].isdigit():
            record["threshold"] = threshold_unchosen(rule, classes)
    rng = np.random.default_rng(1)
    found = {str(trial.arm): scores_like(str(trial.arm), there.labels, classes, rng) for trial in run.trials}
    threshold = threshold_unchosen(rule, classes)
    records = {arm: {"status": "done", "threshold": threshold, "scores": of.tolist()} for arm, of in found.items()}
    content = read_content(write_folder(tmp_path / "out", run, threshold=rule))
    external = external_tables(run, results_table(run), [Cohort("north", there, [], records)])
    return replace(content, external=external.results)


@pytest.mark.parametrize(
    ("classes", "rule", "lacking", "at"),
    [
        (2, "youden", False, "the chosen threshold"),
        (2, "0.30", False, "the threshold of 0.3"),
        (2, "balanced", True, "the threshold of 0.5"),
        (3, "0.3", False, ""),
    ],
)
def test_captions_and_sections_name_the_threshold_as_it_was_found(tmp_path, classes, rule, lacking, at):
    content, chosen = content_of(tmp_path, classes, rule, lacking), at == "the chosen threshold"
    errors, cases, apart = (figure.draw(content) for figure in (confusion, agreement, scores))
    panels = [axis.get_title("left").rpartition("\n")[2] for axis in errors.figure.axes[:2]]
    if at and not lacking:
        assert panels == ["decision at 0.5", f"decision at {at}"] and f"at {at} misses" in errors.alt
    else:  # a panel for each arm, since both of an arm would be the same
        assert panels == ["decision at 0.5" if at else "the largest score decides"] * 2
    assert f"Calls are at {at}." in cases.caption if at else "Calls are those of the largest score." in cases.caption
    text = re.sub("<[^>]*>", "", page_html(content, {}))
    said = re.split(r"[.;:]\s", " ".join([errors.caption, cases.caption, apart.caption, text]))
    called = [one for one in said if "hreshold" in one and "chose" in one]
    assert bool(called) == (chosen or lacking) and (chosen or len(called) == lacking), "with all images it is chosen"
    assert ("with its settings and its threshold chosen on inner" in text) == (chosen or lacking)
    assert ("the threshold that was carried over" in text) == (chosen or lacking)
    assert ("Sensitivity and specificity are at the threshold of 0.3." in text) == (rule == "0.30")
    assert ("calibration slope below 1" in text) == (classes == 2)


def test_methods_of_three_classes_without_inner_splits_name_no_threshold(tmp_path):
    said = " ".join(paragraph(content_of(tmp_path, 3, "youden", True).loaded))
    assert "hyper-parameters kept their defaults and the largest score decided. Each outer test fold" in said
    assert "hreshold" not in said
