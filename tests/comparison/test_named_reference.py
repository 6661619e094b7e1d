"""A reference that is named for a study: found among its arms, kept in its folder, and asked for again afterwards."""

import shutil

import pandas as pd
import pytest
import yaml
from helpers.running import run_study
from helpers.runs import write_feature_table

from glomfeat.comparison.options import Study
from glomfeat.core.arms import FLOOR, StudyError
from glomfeat.report.content import read_content
from glomfeat.results.load import load_run

pytestmark = pytest.mark.usefixtures("dealt_once")

OPTIONS = {"reducers": ("none",), "folds": 2}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    table = write_feature_table(place / "table.csv")
    named = f"file:{table}/none/"
    run = run_study(place, data=str(table), reference=f"{named}logreg", margin=0.05, **OPTIONS)
    return place, named, run


def test_a_reference_that_was_named_first_is_kept_as_such(study):
    place, named, (run, results, _, said) = study
    full = next(arm for arm in results["arm"] if arm.endswith("/logreg"))
    assert run.reference.arm == full and run.reference.margin == 0.05 and run.reference.before
    written = pd.read_csv(place / "out" / "reference.csv")
    assert (written["reference"] == full).all() and (written["named"] == "before the first trial").all()
    assert f"The reference is {full}, with a margin of 0.05 in AUROC, named before the first trial was run." in said
    assert pd.read_csv(place / "out" / "best_of_many.csv")["arms"].iloc[0] == 2
    options = yaml.safe_load((place / "out" / "study.yaml").read_text())
    assert options["reference"] == f"{named}logreg" and options["margin"] == 0.05
    content = read_content(place / "out")
    assert content.reference == run.reference and len(content.against_reference) == len(written) == 1


def test_another_reference_makes_tables_anew_and_is_said_to_come_afterwards(study, tmp_path):
    first, named, (_, results, _, _) = study
    place, feature_table = shutil.copytree(first, tmp_path / "study"), first / "table.csv"
    out, trials = place / "out", len(load_run(place / "out").run.records)
    lines = [line for line in (out / "journal.jsonl").read_text().splitlines() if '"status"' in line]
    before = {name: (out / name).read_bytes() for name in ("results.csv", "comparisons.csv", "pairs.csv")}
    run, *_, said = run_study(place, data=str(feature_table), reference=f"{named}svm", margin=0.05, **OPTIONS)
    assert len(run.records) == trials
    assert [line for line in (out / "journal.jsonl").read_text().splitlines() if '"status"' in line] == lines
    assert before == {name: (out / name).read_bytes() for name in before}
    assert (pd.read_csv(out / "reference.csv")["named"] == "after the first trial").all()
    assert any("named after the first trial was run, so that what follows is no test of a plan." in one for one in said)
    run, *_, said = run_study(place, data=str(feature_table), **OPTIONS)
    left = f"reference.csv in {out} is of an earlier run with other options: this run and its report leave it out; "
    assert run.reference is None
    assert [line for line in said if "reference" in line] == [f"{left}delete it, or ask for it again"]
    assert read_content(out).reference is None
    full = next(arm for arm in results["arm"] if arm.endswith("/logreg"))
    run, *_ = run_study(place, data=str(feature_table), reference=full, margin=0.05, **OPTIONS)
    assert run.reference.before, "what was planned first is still so when it is asked for again"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.02}, "--margin is 0.02, but no arm is named: say with --reference which arm it is about"),
        ({"reference": "a/none/svm", "margin": 0.0}, "--margin is 0: give a difference in AUROC, more than 0 and less"),
        ({"reference": "a/none/svm", "margin": float("nan")}, "--margin is nan: give a difference in AUROC, more than"),
        ({"reference": "a/none/svm", "margin": 2.0}, "--margin is 2: give a difference in AUROC, more than 0 and less"),
    ],
)
def test_a_margin_that_says_nothing_is_refused(options, message):
    with pytest.raises(StudyError) as refused:
        Study(**options).check()
    assert str(refused.value).startswith(message)


def test_a_reference_that_is_no_arm_is_refused_before_any_work(tmp_path, feature_table):
    def run(reference):
        return run_study(tmp_path, data=str(feature_table), reference=reference, **OPTIONS)

    with pytest.raises(StudyError, match=r"^--reference: no arm of this study is called 'svn': .*known: file:.*logreg"):
        run("svn")
    with pytest.raises(StudyError, match=f"^--reference: {FLOOR} is the floor and looks at no image: leave it out$"):
        run(FLOOR)
    with pytest.raises(StudyError, match="no arm of this study is called ''"):
        run("")
    assert not (tmp_path / "out").exists()
