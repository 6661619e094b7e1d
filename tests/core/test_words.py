"""Names of strangers' files in lines for people."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from glomfeat.core.words import printable

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


def test_a_text_of_lines_keeps_them():
    assert printable("a\n\tb\x1b[2J", lines=True) == "a\n\tb\\x1b[2J"
