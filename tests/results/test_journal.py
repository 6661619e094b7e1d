import errno
import json
import math

import pytest
from helpers.faults import KINDS, failing
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.core.disk import DiskError
from glomfeat.results.journal import Journal, note_versions, note_written, versions_in_words

RECORD = {"arm": "a.v1/none/svm", "repeat": 0, "fold": 1, "status": "done", "reason": ""}
KEY = ("a.v1/none/svm", 0, 1)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.jsonl")


def test_a_journal_that_is_not_there_is_empty(journal):
    assert journal.read() == {} and journal.header() is None and not journal.path.exists()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_numbers_come_back_bit_by_bit(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    Journal(path).append({**RECORD, "scores": scores})
    found = Journal(path).read()[KEY]["scores"]
    assert found == scores and [math.copysign(1, x) for x in found] == [math.copysign(1, x) for x in scores]


def test_nan_and_text_come_back(journal):
    reason = "Müller: 'a|b'\nline two \u2028 \x85 end"
    journal.append({**RECORD, "threshold": math.nan, "reason": reason})
    journal.append({**RECORD, "fold": "outer-test"})
    found = Journal(journal.path).read()
    assert math.isnan(found[KEY]["threshold"]) and found[KEY]["reason"] == reason
    assert set(found) == {KEY, ("a.v1/none/svm", 0, "outer-test")}
    assert len(journal.path.read_bytes().splitlines()) == 2  # a line each, whatever is in the text


def test_records_keep_the_order_in_which_trials_ended(journal):
    for fold in (3, 0, 2):
        journal.append({**RECORD, "fold": fold})
    assert [fold for *_, fold in journal.read()] == [3, 0, 2]


def test_header_is_what_the_study_is_and_no_trial(journal):
    journal.start({"seed": 3, "features": ["a.v1"]})
    journal.append(RECORD)
    assert journal.header() == {"seed": 3, "features": ["a.v1"]}
    assert journal.read() == {KEY: RECORD}


def test_journal_without_a_header_says_so(journal):
    journal.append(RECORD)
    assert journal.header() is None


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_torn_last_line_is_passed_over_and_the_next_begins_a_line(journal, kept):
    journal.start({"seed": 0})
    journal.append(RECORD)
    line = json.dumps({**RECORD, "fold": 2})
    with journal.path.open("a") as file:
        file.write(line[:kept])
    assert set(journal.read()) == {KEY}
    journal.append({**RECORD, "fold": 3})
    assert set(Journal(journal.path).read()) == {KEY, ("a.v1/none/svm", 0, 3)}
    assert journal.header() == {"seed": 0}


def test_line_that_only_lacks_its_end_counts(journal):
    journal.path.write_text(json.dumps(RECORD))
    assert set(journal.read()) == {KEY}
    journal.append({**RECORD, "fold": 2})
    assert set(journal.read()) == {KEY, ("a.v1/none/svm", 0, 2)}


def test_torn_header_is_no_header(journal):
    journal.path.write_text('{"study": {"se')
    assert journal.header() is None
    journal.start({"seed": 0})
    assert journal.header() == {"seed": 0}


def test_the_last_record_counts_but_done_wins(journal):
    journal.append({**RECORD, "status": "failed", "reason": "first"})
    journal.append({**RECORD, "status": "failed", "reason": "second"})
    assert journal.read()[KEY]["reason"] == "second"
    journal.append({**RECORD, "scores": [0.1]})
    journal.append({**RECORD, "status": "failed", "reason": "later"})
    assert journal.read()[KEY]["status"] == "done" and journal.read()[KEY]["scores"] == [0.1]


def test_what_is_appended_is_there_for_another_reader_at_once(journal):
    journal.append(RECORD)
    assert json.loads(journal.path.read_bytes()) == {"crc32": "21a3f487", **RECORD}


def test_a_record_that_cannot_be_written_leaves_the_file_whole(journal):
    journal.append(RECORD)
    with pytest.raises(TypeError):
        journal.append({**RECORD, "scores": object()})
    assert journal.path.read_bytes().endswith(b"\n") and set(journal.read()) == {KEY}


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_line_in_which_a_bit_has_changed_is_not_believed(journal, place):
    journal.start({"seed": 0})
    journal.append(RECORD)
    journal.append({**RECORD, "fold": 2})
    lines = journal.path.read_bytes().splitlines()
    lines[1] = lines[1][:place] + bytes([lines[1][place] ^ 4]) + lines[1][place + 1 :]
    journal.path.write_bytes(b"\n".join(lines) + b"\n")
    found = Journal(journal.path)
    assert set(found.read()) == {("a.v1/none/svm", 0, 2)} and found.header() == {"seed": 0}
    assert found.damaged() == [
        "journal.jsonl: line 2 is damaged and is dropped: a trial that it alone held is run again"
    ]


def test_behind_a_line_with_a_checksum_none_without_is_believed(journal):
    journal.path.write_text(json.dumps({"study": {}}) + "\n{torn by an earlier version\n" + json.dumps(RECORD) + "\n")
    assert set(journal.read()) == {KEY} and journal.damaged() == []
    journal.append({**RECORD, "fold": 2})
    with journal.path.open("a") as file:
        file.write(json.dumps({**RECORD, "fold": 3}) + "\n")
    found = Journal(journal.path)
    assert {fold for *_, fold in found.read()} == {1, 2} and "line 5 is damaged" in found.damaged()[0]


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("first", [True, False])
def test_a_record_that_the_disk_refuses_is_taken_back(journal, kind, first):
    if not first:
        journal.start({"seed": 0})
    before = journal.path.read_bytes() if not first else None
    with failing(journal.path.parent, errno.ENOSPC, kinds=(kind,)), pytest.raises(DiskError, match="the disk is full"):
        journal.append(RECORD)
    assert (journal.path.read_bytes() if journal.path.exists() else None) == before
    journal.append(RECORD)
    assert set(Journal(journal.path).read()) == {KEY}


def test_a_journal_that_went_away_with_its_disk_is_no_new_one(journal):
    journal.start({"seed": 0})
    assert journal.header() == {"seed": 0}
    journal.path.unlink()
    for ask in (journal.read, lambda: journal.append(RECORD)):
        with pytest.raises(DiskError, match=f"into {journal.path.parent}: the folder is gone"):
            ask()
    assert not journal.path.exists()


def test_what_was_written_is_noted_once(journal):
    journal.start({})
    (journal.path.parent / "a.csv").write_text("a\n")
    for _ in range(2):
        note_written(journal, ["a.csv", "none.csv"])
    assert list(journal.written()) == ["a.csv"] and journal.path.read_bytes().count(b"\n") == 2


def test_versions_count_where_trials_were_run_with_them(journal):
    old, unused, new = {"numpy": "1"}, {"numpy": "2"}, {"numpy": "3", "torch": "1"}
    journal.append(RECORD)  # by a version of glomfeat that wrote none
    assert journal.versions() == []
    for versions, trials in ((old, 2), (unused, 0), (new, 1), (old, 1)):
        note_versions(journal, versions)
        note_versions(journal, versions)
        for fold in range(trials):
            journal.append({**RECORD, "fold": fold})
    found = Journal(journal.path).versions()
    assert found == [old, new] and versions_in_words(found) == "numpy 1, then 3; torch none, then 1"
    assert len(journal.path.read_text().splitlines()) == 9 and versions_in_words([old]) == versions_in_words([]) == ""
