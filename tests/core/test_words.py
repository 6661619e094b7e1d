"""Names of strangers' files in lines for people."""

import unicodedata

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from glomfeat.core.words import for_spreadsheets, from_spreadsheets, printable

OBEYED = {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(codec=None)))
def test_no_character_that_a_terminal_obeys_is_left_and_no_other_is_touched(text):
    found = printable(text)
    assert not OBEYED & {unicodedata.category(one) for one in found}
    found.encode("utf-8")
    if not text or all(unicodedata.category(one)[0] in "LNPS" for one in text):
        assert found == text


def test_writing_cannot_be_turned_round():
    assert printable("gnp\u202e.exe\u2069") == r"gnp\u202e.exe\u2069"


@given(st.lists(st.text(), min_size=1))
def test_no_text_is_a_formula_to_a_spreadsheet_and_numbers_are_left(texts):
    table = pd.DataFrame({"a-b": texts, "x": -np.arange(len(texts), dtype=float)})
    found = for_spreadsheets(table)
    assert not found["a-b"].str.startswith(("=", "+", "-", "@", "\t", "\r")).any()
    assert all(new in (old, f"'{old}") for new, old in zip(found["a-b"], texts, strict=True))
    pd.testing.assert_series_equal(found["x"], table["x"])
    assert from_spreadsheets(found)["a-b"].tolist() == texts


def test_a_text_of_lines_keeps_them():
    assert printable("a\n\tb\x1b[2J", lines=True) == "a\n\tb\\x1b[2J"
