"""Metrics and threshold rules of one's own: what they are given, where their numbers go, and what goes wrong."""

import functools
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.runs import GOOD, WEAK, make_run
from sklearn.metrics import fbeta_score, log_loss

from glomfeat import load_bundle
from glomfeat.bundle.save import save_bundle
from glomfeat.comparison.compare import compare
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.core.arms import StudyError
from glomfeat.core.plugins import PluginError, name_of
from glomfeat.features.extract import extract
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.metrics.user import find_metrics, number_of
from glomfeat.report.page import section_html
from glomfeat.report.sections import table as section
from glomfeat.report.write import write_report
from glomfeat.results.next_study import next_study_table
from glomfeat.results.show import to_markdown
from glomfeat.results.tables import result_columns, results_table, taken_names, trials_table
from glomfeat.results.user_metrics import say_missing

pytestmark = pytest.mark.usefixtures("dealt_once")

MINE = """
import numpy as np

def f2(y, score):
    called = score >= 0.5
    hit = (y * called).sum()
    return 5 * hit / (4 * y.sum() + called.sum()) if hit else 0.0

def broken(y, score):
    raise KeyError("no such thing")

def auroc(y, score):
    return 1.0

def middle(y, score):
    return (score[y == 1].mean() + score[y == 0].mean()) / 2

def nothing(y, score):
    return float("nan")

def above(y, score):
    return 1.5
"""


BROKEN = "raised KeyError: 'no such thing' (minelab.py:10: raise KeyError(\"no such thing\"))"


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch, parts_here):
    (tmp_path / "minelab.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))


def f2(y, score):
    return fbeta_score(y, score >= 0.5, beta=2, zero_division=0)


def of_arm(run, arm):
    return [trial for trial in run.trials if str(trial.arm) == arm]


def pooled(run, arm, repeat):
    """Labels and scores of a repeat, fold after fold."""
    mine = [trial for trial in of_arm(run, arm) if trial.repeat == repeat]
    y = np.concatenate([run.manifest.labels[run.tested(trial)] for trial in mine])
    return y, np.concatenate([run.record(trial)["scores"] for trial in mine])


def test_a_metric_is_of_pooled_scores_of_a_repeat_and_averaged_over_repeats():
    run = replace(make_run(), metrics={"f2": f2})
    results = results_table(run)
    assert results.columns.tolist() == [*result_columns(), "f2"]
    for arm in (GOOD, WEAK):
        expected = np.mean([f2(*pooled(run, arm, repeat)) for repeat in range(2)])
        assert results.set_index("arm").loc[arm, "f2"] == pytest.approx(expected, abs=1e-12)
    trials = trials_table(run)
    assert trials.columns[-1] == "f2"
    first = trials[trials["arm"] == GOOD].iloc[0]
    trial = of_arm(run, GOOD)[0]
    expected = f2(run.manifest.labels[run.tested(trial)], np.array(run.record(trial)["scores"]))
    assert first["f2"] == pytest.approx(expected, abs=1e-12)


def test_a_metric_changes_nothing_else():
    run = make_run()
    more = replace(run, metrics={"f2": f2})
    for table in (results_table, trials_table):
        assert table(more).drop(columns="f2").to_csv() == table(run).to_csv()


def test_of_more_than_two_classes_it_is_the_mean_of_one_against_the_rest():
    run = replace(make_run(classes=3), metrics={"loss": lambda y, score: log_loss(y, score)})
    y, score = (np.asarray(part) for part in pooled(run, GOOD, 0))
    first = np.mean([log_loss(y == k, score[:, k]) for k in range(3)])
    y, score = (np.asarray(part) for part in pooled(run, GOOD, 1))
    second = np.mean([log_loss(y == k, score[:, k]) for k in range(3)])
    assert results_table(run).set_index("arm").loc[GOOD, "loss"] == pytest.approx((first + second) / 2)


def test_a_metric_that_gives_no_number_is_said_once_and_loses_nothing():
    def fussy(y, score):
        if len(np.unique(score)) == 1:
            raise ZeroDivisionError("all scores tie")
        return 0.25

    run = replace(make_run(), metrics={"fussy": fussy, "nothing": lambda y, score: None})
    results, said = results_table(run), []
    say_missing(results, run.metrics, said.append)
    where = "the column reason of results.csv says why, such as: "
    assert said[0].startswith(
        f"metric fussy gave no number for 1 of 3 arms: {where}raised ZeroDivisionError: all scores"
    )
    assert said[1].startswith(f"metric nothing gave no number for 3 of 3 arms: {where}returned None: return one finite")
    assert len(said) == 2 and "test_functions.py:" in said[0]
    rows = results.set_index("arm")
    assert rows.loc[GOOD, "fussy"] == 0.25 and np.isnan(rows.loc["none/none/dummy", "fussy"])
    raised, returned = (
        "metric fussy raised ZeroDivisionError: all scores tie (",
        "metric nothing returned None: return one ",
    )
    both = rows.loc["none/none/dummy", "reason"]
    assert both.startswith(raised) and 'raise ZeroDivisionError("all scores tie")); ' + returned in both
    assert rows.loc[GOOD, "reason"].startswith(returned) and (rows["status"] == "done").all()


@pytest.mark.parametrize("value", [None, "0.5", np.nan, -np.inf, [0.5], np.array([0.5]), True, 1j, np.array(["a"])])
def test_only_one_finite_number_is_a_number(value):
    with pytest.raises(
        ValueError, match=r"^metric f returned .*: return one finite number \(.*test_functions.py:\d+: .*\)$"
    ):
        number_of(lambda y, score: value, [0, 1], [0.1, 0.2], "metric f")


@pytest.mark.parametrize("value", [0, 0.25, np.float32(0.25), np.int8(3), np.array(0.5)])
def test_numbers_of_any_kind_are_taken(value):
    found = number_of(lambda y, score: value, [0, 1], [0.1, 0.2], "metric f")
    assert type(found) is float and found == value


def test_a_function_gets_copies_of_labels_and_scores_of_known_types():
    y, score, seen = np.array([0, 1], np.int8), np.array([0.1, 0.2], np.float32), []

    def greedy(own_y, own_score):
        seen.append((own_y.dtype, own_score.dtype))
        own_y[:], own_score[:] = 7, 7
        return 0

    number_of(greedy, y, score, "metric greedy")
    assert seen == [(np.int64, np.float64)] and y.tolist() == [0, 1] and score.max() < 1


def test_names_of_columns_are_checked():
    assert list(find_metrics(["minelab:f2", f2.__class__], taken_names())) == ["f2", "function"]
    taken = "metric 'minelab:auroc': there is already a column 'auroc': rename the function"
    for asked, said in [
        (["minelab:auroc"], taken),
        (["minelab:f2", f2], "metric 'test_functions:f2': there is already a column 'f2': rename the function"),
        ([lambda y, score: 1], "its column would have no name: write it as def NAME"),
        (["minelab:f3"], "metric 'minelab:f3': minelab has no function 'f3'; known: above, auroc, broken"),
        (["f2"], "no metric is called 'f2'"),
    ]:
        with pytest.raises(PluginError) as raised:
            find_metrics(asked, taken_names())
        assert said in str(raised.value)
    run = make_run()
    assert {*results_table(run).columns, *trials_table(run).columns} <= taken_names()
    with pytest.raises(StudyError, match=r"^--metrics is a:b a:b: give each name once$"):
        Study(metrics=("a:b", "a:b")).check()


def test_it_is_shown_wherever_the_table_is():
    run = replace(make_run(), metrics={"f2": f2})
    results = results_table(run)
    lines = to_markdown(results, "Title").splitlines()
    head = next(line for line in lines if line.startswith("| arm"))
    assert head.endswith("| f2 |") and sum(line.count("|") for line in lines if line.startswith("|---")) > 0
    row = next(line for line in lines if line.startswith(f"| {GOOD}"))
    assert row.endswith(f"| {results.set_index('arm').loc[GOOD, 'f2']:.3f} |")
    names, nothing = {arm: arm for arm in results["arm"]}, pd.DataFrame({"arm": []})
    content = SimpleNamespace(
        run=run, results=results, comparisons=nothing, next_study=next_study_table(run), names=names
    )
    html = section_html(section, content)
    without = SimpleNamespace(**vars(content) | {"results": results.drop(columns="f2")})
    assert 'data-key="f2"' in html and 'data-key="f2"' not in section_html(section, without)


def study(tmp_path, table, **options):
    options = {"folds": 2, "heads": ("logreg",), "jobs": 1} | options
    return Study(data=str(table), out=str(tmp_path / "out"), cache=str(tmp_path / "cache"), **options)


def run_study(tmp_path, table, **options):
    said = []
    prepared = prepare(study(tmp_path, table, **options), said.append)
    return prepared, *compare(prepared, said.append), said


def test_a_metric_can_be_asked_for_after_a_run(feature_table, tmp_path, monkeypatch, without_figures):
    run_study(tmp_path, feature_table)
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def refuse(task):
        raise AssertionError("computed again")

    monkeypatch.setattr("glomfeat.comparison.run.run_trial", refuse)
    *_, said = run_study(tmp_path, feature_table, metrics=("minelab:f2", "minelab:broken"))
    assert any(line.startswith("metric broken gave no number for 2 of 2 arms: ") for line in said)
    written, notes = pd.read_csv(out / "results.csv"), ["ipca128 leaves the 6 columns as they are; ", ""]
    assert written.columns.tolist() == [*result_columns(), "f2", "broken"] and written["f2"].notna().all()
    assert written["reason"].tolist() == [f"{note}metric broken {BROKEN}" for note in notes]
    assert (pd.read_csv(out / "trials.csv")["status"] == "done").all()
    # a report made later has it too, and runs none of it
    (tmp_path / "minelab.py").unlink()
    page = write_report(out).read_text()
    assert 'data-key="f2"' in page and 'data-key="broken"' not in page
    run_study(tmp_path, feature_table)
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.name in before}
    assert {name for name in before if before[name] != after[name]} == {"journal.jsonl"}, "it notes what was written"


def test_a_rule_is_given_inner_scores_of_training_cases(feature_table, tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()

    def middle(y, score):
        np.savez(seen / f"{len(list(seen.iterdir())):03d}.npz", y=y, score=score)
        return (score[y == 1].mean() + score[y == 0].mean()) / 2

    _, run, *_ = run_study(tmp_path, feature_table, threshold=middle)
    given = [(found["y"], found["score"]) for found in map(np.load, sorted(seen.iterdir()))]
    of_head = [(y, score) for y, score in given if len(np.unique(score)) > 9]
    trials = [trial for trial in run.trials if trial.arm.head == "logreg"]
    assert len(of_head) == len(trials) == 2
    for trial, (y, score) in zip(trials, of_head, strict=True):
        learnt = run.manifest.labels[run.learnt(trial)]
        assert sorted(y) == sorted(np.tile(learnt, len(y) // len(learnt))), "few cases are dealt several times"
        assert score.min() >= 0 and score.max() <= 1
        assert run.record(trial)["threshold"] == pytest.approx((score[y == 1].mean() + score[y == 0].mean()) / 2)
    header = json.loads((tmp_path / "out" / "journal.jsonl").read_text().splitlines()[0])
    assert name_of(middle) in json.dumps(header) and name_of(middle).startswith("test_functions:")
    with pytest.raises(StudyError, match=r"study \(threshold: test_functions:.*middle there, minelab:middle now"):
        run_study(tmp_path, feature_table, threshold="minelab:middle")


def test_a_rule_by_name_and_by_function_are_one(tmp_path, feature_table):
    import minelab

    y, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.7])
    assert choose_threshold(y, score, "minelab:middle") == choose_threshold(y, score, minelab.middle) == 0.4
    assert name_of(minelab.middle) == "minelab:middle" and name_of(functools.partial(max)) == "functools:partial"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("minelab:nothing", "returned nan: return one finite number (minelab.py:18: def nothing(y, score):)"),
        pytest.param(
            "minelab:above",
            "returned 1.5: return one number in 0..1 (minelab.py:21: def above(y, score):)",
            marks=pytest.mark.slow,
        ),
        pytest.param("minelab:broken", BROKEN, marks=pytest.mark.slow),
    ],
)
def test_an_odd_rule_is_the_reason_of_a_failed_trial(feature_table, tmp_path, rule, said):
    _, run, results, *_ = run_study(tmp_path, feature_table, threshold=rule)
    said = f"threshold rule {rule} {said}"
    assert {(record["status"], record["reason"]) for record in run.records.values()} == {("failed", said)}
    assert results["reason"].tolist() == [said] * 2


def test_a_rule_that_cannot_be_found_is_told_before_work_begins(feature_table, tmp_path):
    with pytest.raises(PluginError) as raised:
        prepare(study(tmp_path, feature_table, threshold="minelab:midle"), print)
    said = "threshold rule 'minelab:midle': minelab has no function 'midle'; did you mean 'middle'? known: "
    assert str(raised.value) == f"{said}above, auroc, broken, f2, middle, nothing"


def test_a_bundle_keeps_the_rules_name_and_needs_no_code_of_it(phantom_folder, tmp_path, without_figures):
    options = {"features": ("shortcut",), "size": 32, "threshold": "minelab:middle", "metrics": ("minelab:f2",)}
    prepared, *_ = run_study(tmp_path, phantom_folder, **options)
    assert "by a rule of the authors&#39; own (minelab:middle)" in write_report(tmp_path / "out").read_text()
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    made = refit_arm(prepared, extracted, "shortcut.v1/ipca128/logreg")
    save_bundle(made, tmp_path / "bundle")
    (tmp_path / "minelab.py").unlink()
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.about["threshold"]["rule"] == "minelab:middle"
    assert 0 < loaded.threshold < 1 and loaded.threshold == made.threshold
    image = sorted(phantom_folder.rglob("*.png"))[0]
    assert loaded.predict([image])["status"].tolist()[0].startswith("ok")
