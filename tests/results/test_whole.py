"""Files of an output folder that a full disk cut short: they are made again, and a report without them says so."""

import json
import shutil

import pytest
import yaml
from helpers.running import run_study

from glomfeat.core.arms import StudyError
from glomfeat.report.write import write_report
from glomfeat.results.journal import Journal
from glomfeat.results.load import load_run
from glomfeat.results.whole import why_unfit
from glomfeat.results.write import BEFORE_THE_END, OUTPUTS

pytestmark = pytest.mark.usefixtures("dealt_once")

OPTIONS = {"reducers": ("none",), "heads": ("logreg",), "folds": 2}
AGAIN = "Run the study once more, by the same command with --out {}: it makes them again, and keeps all finished trials"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of a feature table: its folder, and what it was run with."""
    place, rows = tmp_path_factory.mktemp("whole"), range(40)
    text = "".join(f"P{k // 5}_PAS_1of1_{k:024x}.png,{k % 2},{k * 7 % 5 + k % 2},{k * 3 % 7}\n" for k in rows)
    (place / "table.csv").write_text(f"name,label,a,b\n{text}")
    run_study(place, data=str(place / "table.csv"), **OPTIONS)
    return place


@pytest.fixture
def again(study, tmp_path):
    """A copy of it that may be spoilt, and a function that asks for it again and gives what is said."""
    shutil.copytree(study / "out", tmp_path / "out")
    options = {"data": str(study / "table.csv"), "cache": str(study / "cache"), **OPTIONS}
    return tmp_path / "out", lambda: run_study(tmp_path, **options)[-1]


def empty(path):
    path.write_bytes(b"")


def tear(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tear_at_a_line(path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("spoil", [empty, tear_at_a_line])
def test_all_files_that_were_cut_short_are_made_again(again, study, spoil):
    out, run = again
    there = [name for name in (*OUTPUTS, *BEFORE_THE_END) if (out / name).exists()]
    assert {"results.csv", "importance.csv", "neighbours.csv", "quarantine.csv", "environment.json"} < set(there)
    for name in (*there, "study.yaml"):
        spoil(out / name)
    said, trials = run(), len(Journal(out / "journal.jsonl").read())
    wrong = "is empty" if spoil is empty else "is not as it was written"
    for name in ("quarantine.csv", "folds.csv", "environment.json", "neighbours.csv", "importance.csv"):
        # of one line, an end at a line is no end
        assert f"{name} {wrong}: it is made again" in said or not (study / "out" / name).read_bytes().count(b"\n") > 1
    for name in (*there, "study.yaml"):
        if name not in ("environment.json", "study.yaml"):
            assert (out / name).read_bytes() == (study / "out" / name).read_bytes(), name
    assert json.loads((out / "environment.json").read_text())["packages"] and trials == 4
    assert not [line for line in run() if "made again" in line]


def test_files_of_a_journal_without_checksums_are_judged_by_their_form(again):
    out, run = again
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    old = [{key: value for key, value in line.items() if key != "crc32"} for line in lines if "written" not in line]
    (out / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    before = (out / "importance.csv").read_bytes()
    assert not [line for line in run() if "made again" in line]
    (out / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    tear(out / "importance.csv")
    assert "importance.csv is cut short: it is made again" in run() and (out / "importance.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("none.csv", None, "is not there"),
        ("empty.csv", "", "is empty"),
        ("torn.csv", "arm,auroc\na,0.", "is cut short"),
        ("more.csv", "arm\na\nb,c\n", "is damaged"),
        ("whole.csv", "arm,auroc\n", ""),
        ("torn.json", '{"packages": {"nu', "is damaged"),
        ("whole.json", "{}", ""),
        ("torn.yaml", "features: [a", "is damaged"),
        ("text.yaml", "feat", "is damaged"),
        ("whole.yaml", "folds: 2\n", ""),
    ],
)
def test_without_a_checksum_a_file_is_judged_by_its_form(tmp_path, name, text, why):
    if text is not None:
        (tmp_path / name).write_text(text)
    assert why_unfit(tmp_path / name, Journal(tmp_path / "journal.jsonl")) == why


def test_options_that_were_cut_short_are_not_read_as_those_of_another_study(again, without_figures):
    out, _ = again
    path, said = out / "study.yaml", []
    path.write_text(path.read_text().partition("case_rule")[0])
    assert yaml.safe_load(path.read_text())["folds"], "what is left is options too"
    write_report(out, say=said.append)
    assert said == ["study.yaml is damaged: what they tell is left out. " + AGAIN.format(out)]


def test_a_report_says_which_parts_are_left_out_and_how_they_are_made_again(again, without_figures):
    out, _ = again
    said = []
    page = write_report(out, say=said.append).read_text()
    assert not said and "Parts of this page are left out" not in page
    for name in ("importance.csv", "quarantine.csv"):
        empty(out / name)
    (out / "study.yaml").write_text("{")
    (out / "neighbours.csv").unlink()
    page = write_report(out, say=said.append).read_text()
    left = "study.yaml is damaged; quarantine.csv is empty; neighbours.csv is not there; importance.csv is empty: "
    left += "what they tell is left out. "
    assert said == [left + AGAIN.format(out)]
    assert "Parts of this page are left out." in page and "neighbours.csv is not there" in page


def test_without_folds_there_is_no_report(again):
    out, _ = again
    tear(out / "folds.csv")
    with pytest.raises(StudyError) as error:
        load_run(out)
    why = f"{out / 'folds.csv'} is not as it was written, and nothing can be read without it. "
    assert str(error.value) == why + AGAIN.format(out)


def test_a_damaged_line_of_the_journal_is_dropped_and_its_trial_is_run_again(again, study):
    out, run = again
    lines = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)
    number = next(k for k, line in enumerate(lines) if b'/logreg"' in line and b'"scores"' in line)
    lines[number] = lines[number].replace(b'"status": "done"', b'"status": "gone"')
    (out / "journal.jsonl").write_bytes(b"".join(lines))
    assert load_run(out).lacks == "journal.jsonl has one damaged line: what they tell is left out. " + AGAIN.format(out)
    damaged = f"journal.jsonl: line {number + 1} is damaged and is dropped: a trial that it alone held is run again"
    assert damaged in run()
    assert (out / "predictions.parquet").read_bytes() == (study / "out" / "predictions.parquet").read_bytes()
    assert load_run(out).done == (4, 4)


def test_a_journal_whose_first_line_is_damaged_is_of_no_study(again):
    out, run = again
    text = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(text.replace(b'"folds": 2', b'"folds": 3', 1))
    with pytest.raises(
        StudyError, match=r"^the first line of .*journal.jsonl, which says what was compared, is damaged"
    ):
        run()
    assert len((out / "journal.jsonl").read_bytes()) == len(text)
