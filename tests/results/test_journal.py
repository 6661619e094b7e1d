import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.results.journal import Journal

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
    assert journal.path.read_bytes() == json.dumps(RECORD).encode() + b"\n"


def test_a_record_that_cannot_be_written_leaves_the_file_whole(journal):
    journal.append(RECORD)
    with pytest.raises(TypeError):
        journal.append({**RECORD, "scores": object()})
    assert journal.path.read_bytes().endswith(b"\n") and set(journal.read()) == {KEY}
