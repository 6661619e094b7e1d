"""Options that choose nothing and are about cases, orders and readers: asked for with a run, and after it."""

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study

from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import StudyError
from glomfeat.data.readers import ReadersError
from glomfeat.report.content import read_content
from glomfeat.report.find import find_sections
from glomfeat.report.page import section_html
from glomfeat.report.sections.methods import paragraph

pytestmark = pytest.mark.usefixtures("dealt_once")

OPTIONS = {"reducers": ("none",), "heads": ("logreg",), "folds": 2, "groups": "case"}
CALLS = ("none", "segmental", "global")


def table_of(tmp_path, classes, one_each=False):
    """A feature table of 96 rows of 16 cases."""
    rng = np.random.default_rng(3)
    case = np.repeat(np.arange(16), 6)
    label = case % len(classes) if one_each else rng.integers(0, len(classes), 96)
    frame = pd.DataFrame({"name": [f"i{k:02d}" for k in range(96)], "label": [classes[k] for k in label]})
    frame = frame.assign(case=[f"P{k:02d}" for k in case], x=label + rng.normal(size=96), y=rng.normal(size=96))
    frame.to_csv(tmp_path / "table.csv", index=False)
    return frame


def html_of(out, name):
    content = read_content(out)
    return section_html(next(section for section in find_sections() if name == section.NAME), content)


def test_an_order_and_readers_are_asked_for_after_a_run_and_change_nothing_else(tmp_path):
    frame, data = table_of(tmp_path, CALLS), str(tmp_path / "table.csv")
    run_study(tmp_path, data=data, **OPTIONS)
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "classes.csv" in before and not {"ordinal.csv", "readers.csv", "case_level.csv"} & set(before)
    calls = pd.DataFrame({"name": frame["name"], "=A": frame["label"], "B": frame["label"].where(frame.index % 2 == 0)})
    calls.to_csv(tmp_path / "r.csv", index=False)
    more = {"ordinal": CALLS, "readers": str(tmp_path / "r.csv"), "case_rule": "share"}
    *_, said = run_study(tmp_path, data=data, **more, **OPTIONS)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"ordinal.csv", "readers.csv", "reader_pairs.csv", "study.yaml", "journal.jsonl"}
    assert "readers: of 96 images =A 96, B 48 called; each is compared on these images alone" in said
    assert "--case-rule share: cases hold several classes or are not known, so none has a single call" in said
    readers = pd.read_csv(out / "readers.csv").set_index("reader")
    assert readers["kappa"].tolist() == [1, 1] and readers.index.tolist() == ["'=A", "B"]
    pairs = pd.read_csv(out / "reader_pairs.csv")
    assert pairs["kind"].tolist() == ["arm", "reader", "arm"] and (pairs["sensitivity_difference"] <= 0).all()
    html = html_of(out, "readers")
    assert "kappa with the truth" in html and "by its largest score" in html and html.count("<tr><td>=A") == 3
    assert "none, segmental, global" in html_of(out, "ordinal")
    said = " ".join(paragraph(read_content(out).loaded))
    assert "For the ordered classes none &lt; segmental" not in said and "none < segmental < global" in said
    assert "Readers were compared with each arm" in said
    *_, said = run_study(tmp_path, data=data, **OPTIONS)
    left = f"ordinal.csv, readers.csv and reader_pairs.csv in {out} are of an earlier run with other options: this run "
    assert f"{left}and its report leave them out; delete them, or ask for them again" in said
    assert all((out / name).read_bytes() == after[name] for name in ("ordinal.csv", "readers.csv", "reader_pairs.csv"))
    assert html_of(out, "readers") == "" == html_of(out, "ordinal") and read_content(out).loaded.lacks == ""
    *_, said = run_study(tmp_path, data=data, **more, **OPTIONS)
    assert not any("of an earlier run" in line for line in said) and "kappa with the truth" in html_of(out, "readers")


@pytest.mark.parametrize("classes", [("benign", "malignant"), pytest.param(CALLS, marks=pytest.mark.slow)])
def test_cases_of_one_class_each_are_called_once(tmp_path, classes):
    table_of(tmp_path, classes, one_each=True)
    run_study(tmp_path, data=str(tmp_path / "table.csv"), **OPTIONS)
    out = tmp_path / "out"
    first = pd.read_csv(out / "case_level.csv")
    assert first["rule"].eq("mean").all() and first["cases"].eq(16).all() and first["auroc"].notna().all()
    run_study(tmp_path, data=str(tmp_path / "table.csv"), case_rule="maximum", **OPTIONS)
    second = pd.read_csv(out / "case_level.csv")
    assert second["rule"].eq("maximum").all() and not second["auroc"].equals(first["auroc"])
    assert "the largest score of its images" in html_of(out, "case-level") and html_of(out, "cases") == ""
    said = " ".join(paragraph(read_content(out).loaded))
    assert "each case was also called once, by the largest score of its images." in said and "Bland" not in said


@pytest.mark.parametrize(
    ("classes", "asked", "said"),
    [
        (
            CALLS,
            ("none", "global"),
            "the classes are global, none, segmental: name each of them once, the lowest first",
        ),
        (CALLS, ("none", "none", "global"), "the classes are global, none, segmental: name each of them once, the low"),
        (CALLS, ("none", "mild", "global"), "the classes are global, none, segmental: name each of them once, the low"),
        (("no", "yes"), ("no", "yes"), "the classes are no, yes: two have no order; leave it out"),
    ],
)
def test_an_order_names_every_class_once(tmp_path, classes, asked, said):
    table_of(tmp_path, classes)
    study = Study(data=str(tmp_path / "table.csv"), ordinal=asked, out=str(tmp_path / "out"), **OPTIONS)
    with pytest.raises(StudyError) as error:
        prepare(study, str)
    assert str(error.value).startswith(f"--ordinal is {' '.join(asked)}: {said}")


def test_readers_are_read_before_any_work_and_an_order_is_spelt_as_data_is(tmp_path):
    table_of(tmp_path, CALLS)
    study = Study(data=str(tmp_path / "table.csv"), ordinal=("None", "SEGMENTAL", "global"), **OPTIONS)
    assert prepare(study, str).study.ordinal == CALLS
    with pytest.raises(ReadersError, match="cannot be read: No such file"):
        prepare(Study(data=str(tmp_path / "table.csv"), readers=str(tmp_path / "no.csv"), **OPTIONS), str)
