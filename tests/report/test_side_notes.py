"""Words of the house: explained once, beside the paragraph that has them first, and replaced where they can be."""

import re
from pathlib import Path

import pytest

from glomfeat.report import words
from glomfeat.report.words import WORDS, explain, words_of

TEMPLATES = Path(words.__file__).parent / "templates"


def test_a_word_is_explained_once_at_the_end_of_the_paragraph_that_has_it_first():
    left = words_of("case")
    first = explain("<h2>Arms</h2><p>No word.</p><p class='x'>The <b>arm</b>s &amp; folds.</p><p>An arm.</p>", left)
    note = '<span class="note" role="note"><b>{}</b> {}</span>'
    assert first == (
        "<h2>Arms</h2><p>No word.</p><p class='x'>The <b>arm</b>s &amp; folds. "
        f"{note.format('arm', WORDS['arm'][1])} {note.format('fold', words_of('case')['fold'][1])}</p><p>An arm.</p>"
    )
    assert explain("<p>Arms of folds, an arm.</p>", left) == "<p>Arms of folds, an arm.</p>"


def test_without_cases_notes_speak_of_images():
    assert words_of("image")["fold"][1].startswith("A part of the images.")
    assert [word for word, (_, said) in words_of("image").items() if "cases" in said] == []


@pytest.mark.parametrize(
    "html", ["<p><code>arm</code></p>", '<p title="arm">x</p>', "<li>arm</li>", "<td>arm</td>", ""]
)
def test_codes_tables_and_attributes_explain_nothing(html):
    assert explain(html, words_of("case")) == html


@pytest.mark.parametrize("word", WORDS)
def test_every_word_finds_itself_and_is_a_sentence(word):
    pattern, said = WORDS[word]
    assert re.search(pattern, f"the {word} is") and not re.search(pattern, f"x{word}x")
    assert said[0].isupper() and said.endswith(".") and "<" not in said


def test_templates_use_readers_words():
    for path in TEMPLATES.rglob("*.html"):
        text = re.sub(r"{[%{].*?[%}]}|<[^>]*>", " ", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(floor|heads?|reducers?|told from|tells? \w+ apart)\b", text), path.name
