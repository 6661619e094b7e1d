"""Figures of classes, of cases and of readers: each curve says its own figure, and each cell its class."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.pages import Page
from helpers.reports import write_folder
from helpers.runs import FOLDS, GOOD, REPEATS, WEAK, end, make_run, of_arm
from matplotlib.collections import PathCollection
from sklearn import metrics as sk

from glomfeat.core.arms import FLOOR
from glomfeat.report import checklists
from glomfeat.report.checklists import (
    BOTH,
    CHECKLISTS,
    DEVELOPED,
    EVALUATED,
    HERE,
    OPEN,
    PARTLY,
    PROBAST,
    STARD,
    answered,
)
from glomfeat.report.content import read_content
from glomfeat.report.drawing import to_chart
from glomfeat.report.figures import agreement, case_scores, confusion, decision_curve, elsewhere, ranking
from glomfeat.report.find import find_sections
from glomfeat.report.page import section_html
from glomfeat.report.sections import cases as by_case
from glomfeat.results import curves
from glomfeat.results.case_level import case_level_table


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(curves, "REPLICATES", 10)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    run = make_run(3)
    return read_content(write_folder(tmp_path_factory.mktemp("three") / "out", run))


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    run = make_run()
    table = run.manifest.table
    case = table["case"] + "-" + table["label"].astype(str)
    folds = run.folds.assign(case=run.folds["name"].map(dict(zip(table["name"], case, strict=True))))
    run = replace(run, folds=folds)
    return read_content(write_folder(tmp_path_factory.mktemp("two") / "out", run))


def test_the_caption_counts_the_cases_between_the_limits_and_chance_has_no_row(tmp_path):
    content = read_content(write_folder(tmp_path / "out", make_run()))
    said = []
    for arm in (GOOD, WEAK):
        mine = content.cases[content.cases["arm"] == arm]
        gaps = (mine["predicted_percent"] - mine["true_percent"]).to_numpy()
        inside = (np.abs(gaps - gaps.mean()) <= 1.96 * gaps.std(ddof=1)).sum()
        said.append(f"{inside} of 18 cases for {content.names[arm]}")
    expected = f"ones are bias ± 1.96 SD; {' and '.join(said)}.".replace("18 cases", "18 cases lie between", 1)
    assert expected in agreement.draw(content).caption
    found = Page(section_html(by_case, content)).said
    assert "good + logistic regression 18" in found and "weak + logistic regression 18" in found
    assert content.names[FLOOR] not in found and FLOOR in set(content.agreement["arm"])


def legends(picture):
    return [[text.get_text() for text in axis.get_legend().get_texts()] for axis in picture.figure.axes]


def test_each_class_has_a_curve_with_its_own_figure(content):
    picture = ranking.draw(content)
    assert picture.heading == "How well scores rank images: each class against the rest"
    assert "A curve for each of a, b, c, by the score of this class" in picture.caption
    found = legends(picture)
    assert len(found) == 4  # the better two arms, ROC and precision
    for row, arm in enumerate((GOOD, WEAK)):
        folds = of_arm(content.run, arm)
        for of, metric in zip(
            found[2 * row : 2 * row + 2], (sk.roc_auc_score, sk.average_precision_score), strict=True
        ):
            values = [np.mean([metric(y == k, score[:, k]) for y, score, _ in folds]) for k in range(3)]
            assert of == [f"{name}  {value:.3f}" for name, value in zip("abc", values, strict=True)]
            assert f"a {values[0]:.3f}, b" in picture.alt or metric is sk.average_precision_score
    # the area under each drawn curve is what its legend says
    line = picture.figure.axes[0].get_lines()[1]
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(float(found[0][1].split()[1]), abs=0.01)


def test_a_curve_of_another_place_has_its_own_figure(content):
    """It is of the last class against the rest, while the table's AUROC is a mean over classes."""
    rng, rows, figures = np.random.default_rng(0), [], []
    for cohort, clear in (("north", 2.0), ("007", 0.5)):
        for arm in (GOOD, WEAK):
            label = np.arange(30) % 3
            score = np.round(clear * (label == 2) + rng.normal(size=30), 1)
            rows.append(pd.DataFrame({"cohort": cohort, "arm": arm, "label": label, "score": score}))
            figures.append({"cohort": cohort, "arm": arm, "auroc": 0.111})
    found = pd.concat(rows, ignore_index=True)
    picture = elsewhere.draw(replace(content, external=pd.DataFrame(figures), external_predictions=found))
    areas = {key: sk.roc_auc_score(part["label"] == 2, part["score"]) for key, part in found.groupby(["cohort", "arm"])}
    for axis, cohort in zip(picture.figure.axes, ("north", "007"), strict=True):
        said = [text.get_text().split()[-1] for text in axis.get_legend().get_texts()]
        assert said == [f"{areas[cohort, arm]:.3f}" for arm in (GOOD, WEAK)]
        assert axis.get_legend().get_title().get_text() == "AUROC, c against the rest"
        drawn = np.trapezoid(axis.get_lines()[1].get_ydata(), axis.get_lines()[1].get_xdata())
        assert drawn == pytest.approx(areas[cohort, GOOD], abs=0.02)
        assert f"{cohort}: {max(areas[cohort, arm] for arm in (GOOD, WEAK)):.3f} at best" in picture.alt


def test_confusion_matrices_have_names_in_the_order_that_was_said(content):
    for order in ((), ("c", "a", "b")):
        loaded = replace(content.loaded, study={"ordinal": list(order)})
        picture = confusion.draw(replace(content, loaded=loaded))
        axis, names = picture.figure.axes[0], list(order or "abc")
        assert [label.get_text() for label in axis.get_xticklabels()] == names
        assert [label.get_text() for label in axis.get_yticklabels()] == names
        y, called = (
            np.concatenate(of) for of in zip(*((y, s.argmax(1)) for y, s, _ in of_arm(content.run, GOOD)), strict=True)
        )
        counts = sk.confusion_matrix(y, called, labels=["abc".index(name) for name in names]) / REPEATS
        shown = [text.get_text() for text in axis.texts if "%" not in text.get_text()]
        assert [float(text) for text in shown] == counts.ravel().tolist()
        assert f"{counts[0, 0]:.0f} of {counts[0].sum():.0f} {names[0]} right" in picture.alt


def test_long_names_of_classes_are_broken_into_lines(of_two):
    manifest = replace(of_two.run.manifest, classes=("non_globally_sclerotic_glomeruli", "yes"))
    run = replace(of_two.run, manifest=manifest)
    content = replace(of_two, loaded=replace(of_two.loaded, run=run))
    labels = [label.get_text() for label in confusion.draw(content).figure.axes[0].get_xticklabels()]
    assert labels == ["non-globally\nsclerotic\nglomeruli", "yes"]


def test_hatches_have_no_face_for_printers_draw_it_without_its_opacity(content):
    drawn = to_chart(confusion.draw(content)).drawing
    faces = re.findall(r'<pattern[^>]*>\s*<rect[^>]*fill="([^"]*)"', drawn)
    assert faces and set(faces) == {"none"}


def test_readers_are_marks_beside_the_curves_of_two_classes(of_two):
    readers = pd.DataFrame({"reader": ["A", "B"], "sensitivity": [0.9, np.nan], "specificity": [0.7, 0.5]})
    picture = ranking.draw(replace(of_two, readers=readers))
    marks = [one for one in picture.figure.axes[0].collections if isinstance(one, PathCollection)]
    assert np.concatenate([np.array(one.get_offsets()) for one in marks]).ravel() == pytest.approx([0.3, 0.9])
    assert "readers" in legends(picture)[0] and "Each cross is a reader" in picture.caption
    without = ranking.draw(of_two)
    assert "readers" not in legends(without)[0] and "has no band" not in without.caption


def test_a_curve_without_a_band_is_said_to_have_none(of_two, monkeypatch):
    monkeypatch.setattr(curves, "count_holders", lambda parts, classes: 1)
    assert ranking.draw(of_two).caption.endswith(
        "A curve has no band if one of the cases holds a whole side, or if most draws of cases lack a side."
    )


def test_captions_name_panels_that_phones_show_below_each_other(content, of_two):
    for picture in (ranking.draw(of_two), ranking.draw(content), agreement.draw(content)):
        assert picture.figure.get_figwidth() > 5.4
        assert not re.search(r"\b(Left|Right)\b", picture.caption)


@pytest.mark.parametrize("cases", [11, 12])
def test_bands_of_few_cases_are_said_to_hold_less(tmp_path, cases):
    picture = ranking.draw(read_content(write_folder(tmp_path / "out", make_run(n=132, cases=cases))))
    assert ("With so few cases they hold less" in picture.caption) == (cases < 12)


def test_a_curve_without_errors_is_said_to_have_a_band_without_width(of_two):
    right = {arm: [replace(part, score=part.y + 0.0) for part in parts] for arm, parts in of_two.scored.items()}
    said = "The band of a curve without errors has no width, since no draw has any; the limits of its AUROC are wider."
    assert ranking.draw(replace(of_two, scored=right)).caption.endswith(said)
    assert "no width" not in ranking.draw(of_two).caption


def test_cases_of_one_class_have_their_scores_drawn_and_no_bland_altman_plot(of_two, content):
    assert agreement.draw(of_two) is None and case_scores.draw(content) is None
    picture = case_scores.draw(of_two)
    assert "Each mark is one of 36 cases" in picture.caption and len(picture.figure.axes) == 2
    mine = of_two.cases[of_two.cases["arm"] == GOOD]
    for marks, name in zip(picture.figure.axes[0].collections, "ab", strict=True):
        assert marks.get_offsets()[:, 1].tolist() == pytest.approx(
            mine.loc[mine["label"] == name, "mean_score"].tolist()
        )


def test_the_section_of_cases_waits_for_its_table(of_two, content):
    section = next(section for section in find_sections() if section.NAME == "case-level")
    chart = to_chart(case_scores.draw(of_two))
    html = section_html(section, of_two, [chart])
    assert "All images of a case are of one class" in html and "<table" not in html and section.fill(content) is None
    table = case_level_table(of_two.run, "share")
    html = section_html(section, replace(of_two, case_level=table), [chart])
    assert html.count("<tr><td>") == 2 and "and a half decides" in html and "sensitivity" in html


def test_arms_whose_trials_are_not_all_done_are_marked_where_cases_are_told(of_two, tmp_path):
    sections = {section.NAME: section for section in find_sections()}
    unfinished = end(make_run(), WEAK, "failed", "why", folds=[1])
    several = read_content(write_folder(tmp_path / "out", unfinished))
    partly = of_two.results["status"].where(of_two.results["arm"] != WEAK, "partial")
    results, table = of_two.results.assign(status=partly), case_level_table(of_two.run, "mean")
    single = replace(of_two, case_level=table, results=results)
    for name, content in (("cases", several), ("case-level", single)):
        rows = section_html(sections[name], content).split("<tr><td>")[1:]
        marked = ["its trials are not all done" in row for row in rows]
        assert marked == [content.names[WEAK] in row for row in rows] and sum(marked) == 1 < len(rows)


def test_checklists_say_of_every_item_where_it_is_answered(content):
    tables = answered(content)
    assert list(tables) == list(CHECKLISTS) and all(
        len(table) == len(CHECKLISTS[title]) for title, table in tables.items()
    )
    for table in tables.values():
        for number, topic, who, where in table:
            assert number and topic and who in checklists.KINDS and (where or who == checklists.YOURS), topic
    parts = [row[0].partition(",")[0] for row in PROBAST]
    assert parts.count(BOTH) + parts.count(DEVELOPED) == 16 and parts.count(BOTH) + parts.count(EVALUATED) == 18
    items = {int(end) for row in STARD for end in row[0].rstrip("abcd-").replace("a-", "").split("-")}
    assert min(items) == 1 and max(items) == 40


def test_items_that_a_run_may_answer_are_open_where_it_does_not(content):
    there = replace(content, subgroups=content.results, external=content.results)
    for at, who in ((content, OPEN), (there, HERE)):
        row = next(row for row in answered(at)["CLAIM, 2024 update"] if row[0] == "33")
        assert row[2] == who
    torn = replace(content.run, manifest=replace(content.run.manifest, torn=True))
    torn = replace(content, loaded=replace(content.loaded, run=torn))
    assert decision_curve.draw(content) is not None and decision_curve.draw(torn) is None
    for at, who in ((content, HERE), (torn, OPEN)):
        of = {row[1]: row for table in answered(at).values() for row in table}
        assert of["no leak between training and test data"][2] == of["measures of decisions"][2] == who
        assert of["measures of discrimination and calibration"][2] == HERE


def test_checklists_point_to_what_the_page_holds(content, of_two, tmp_path):
    def said(at, title, *numbers):
        rows = {row[0]: row[2:] for row in answered(at)[title]}
        return [rows[number] for number in numbers]

    where = "say with --groups where the case is"
    both = OPEN, f"images of one case may lie on both sides: {where}, or leave out --allow-split-cases"
    images = read_content(write_folder(tmp_path / "out", make_run(by_case=False)))
    elsewhere = replace(content.run, folds=content.run.folds.assign(left_out="north"))
    elsewhere = replace(content, loaded=replace(content.loaded, run=elsewhere))
    for at, sides, clusters in (
        (content, (PARTLY, "same source, other cases"), (PARTLY, "percentages by case; differences between sites ")),
        (of_two, (PARTLY, "same source, other cases"), (PARTLY, "scores by case; differences between sites ")),
        (images, both, (OPEN, where)),
        (elsewhere, (PARTLY, "other values of the column, other cases"), (PARTLY, "section of values that were left")),
    ):
        (who, of_sides), (who_of, of_clusters) = said(at, "TRIPOD+AI, 2024", "16", "12d")
        assert (who, of_sides) == sides and who_of == clusters[0] and of_clusters.startswith(clusters[1])
    named = replace(content, show_names=True, importance=content.results)
    maps = replace(content, loaded=replace(content.loaded, inside={GOOD: {"maps": []}}))
    for at, whose, explained in ((content, PARTLY, OPEN), (named, OPEN, PARTLY), (maps, PARTLY, PARTLY)):
        assert [who for who, _ in said(at, "CLAIM, 2024 update", "11", "31")] == [whose, explained]


def test_checklists_name_weights_and_training_curves_only_where_there_are_any(content):
    run = replace(content.run, weights={"resnet18.imagenet": "sha256 1a2b"})
    trained = replace(content, loaded=replace(content.loaded, run=run), curves=pd.DataFrame({"epoch": [1]}))
    for at, of in (
        (content, ("seeds", "methods paragraph, study.yaml", "methods paragraph, study.yaml")),
        (
            trained,
            (
                "weights with their SHA-256, seeds",
                "methods paragraph, training curves, study.yaml",
                "methods paragraph, study.yaml, weights with SHA-256",
            ),
        ),
    ):
        where = {(title[:5], row[0]): row[3] for title, table in answered(at).items() for row in table}
        assert (where["CLAIM", "24"], where["CLAIM", "25"], where["STARD", "15a"]) == of


def test_the_curves_of_a_class_are_those_of_its_own_score(content):
    parts = curves.scored(content.run, GOOD, 0)
    y, score, _ = of_arm(content.run, GOOD)[0]
    assert len(parts) == FOLDS * REPEATS and parts[0].y.tolist() == (y == 0).tolist()
    assert parts[0].score.tolist() == score[:, 0].tolist()
