"""Words that a page explains next to the paragraph in which they occur first, or behind the answer."""

import re

from markupsafe import Markup, escape

# For each word, the pattern that finds it and its explanation, in the order of the notes in a paragraph.
WORDS = {
    "arm": (r"\barms?\b", "What is compared, a row of the table: features of images and a classifier, or a network."),
    "AUROC": (
        r"\bAUROC\b",
        "The chance that an image of the positive class scores above another, or the mean of that over more than two "
        "classes: 1 is perfect, 0.5 a coin.",
    ),
    "95 % limits": (
        r"\b95.%(?: confidence)? limits\b",
        "How far off the figure may be for the number of {unit}s: the confidence interval.",
    ),
    "case": (
        r"\bcases?\b",
        "A patient, or whatever else images belong to. A split by case never learns from a case that it also tests.",
    ),
    "fold": (r"\bfolds?\b", "A part of the {unit}s. Each is tested once, by models that learnt from the other parts."),
    "beyond chance": (
        r"\bbeyond chance\b",
        "More than luck with the {unit}s alone would bring in all but one study of twenty (p below 0.05).",
    ),
    "threshold": (r"\bthresholds?\b", "The score from which an image is called positive."),
    "out of fold": (r"\bout[- ]of[- ]fold\b", "Scored by a model that learnt from other {unit}s."),
    "jackknife": (
        r"\bjackknife\b",
        "Each {unit} is left out in turn: how far the figure then moves says how sure it is.",
    ),
    "max-T": (
        r"\bmax-T\b",
        "An adjustment of p for many comparisons: how often luck alone would make the clearest of them as clear.",
    ),
    "shortcut": (r"\bshortcuts?\b", "Something that gives the class away without any tissue: size, padding, colour."),
}
PARAGRAPH = re.compile(r"(<p\b[^>]*>)(.*?)(</p>)", re.DOTALL)
TAGS = re.compile(r"<code>.*?</code>|<[^>]+>", re.DOTALL)


def words_of(unit):
    """List the words that a page explains, as `explain` needs them.

    Parameters
    ----------
    unit : str
        What folds consist of and limits count: ``case`` or ``image``.

    Returns
    -------
    dict
    """
    return {word: (pattern, said.format(unit=unit)) for word, (pattern, said) in WORDS.items()}


def meet(text, left):
    """Find the words of a text that have not occurred before.

    Parameters
    ----------
    text : str
    left : dict
        The words of `words_of` that are not explained yet; those that are found here are removed.

    Returns
    -------
    list of (str, str)
        Each word with its explanation.

    Examples
    --------
    >>> left = words_of("case")
    >>> [word for word, _ in meet("One arm and more arms.", left)], meet("No arm.", left)
    (['arm'], [])
    """
    met = [word for word, (pattern, _) in left.items() if re.search(pattern, text)]
    return [(word, left.pop(word)[1]) for word in met]


def explain(html, left):
    """Add notes to the paragraphs of a part of a page, which explain the words that have not occurred before.

    Parameters
    ----------
    html : str
        Part of a page, without nested paragraphs.
    left : dict
        The words of `words_of` that are not explained yet; those that are explained here are removed.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> left = words_of("case")
    >>> print(explain("<p>One arm &amp; <b>more</b> arms.</p><p>No arm.</p>", left))
    <p>One arm &amp; <b>more</b> arms. <span class="note" role="note"><b>arm</b> What is ...</span></p><p>No arm.</p>
    >>> "arm" in left
    False
    """

    def with_notes(found):
        opening, inside, closing = found.groups()
        notes = "".join(
            f' <span class="note" role="note"><b>{escape(word)}</b> {escape(means)}</span>'
            for word, means in meet(TAGS.sub("", inside), left)
        )
        return f"{opening}{inside}{notes}{closing}"

    return Markup(PARAGRAPH.sub(with_notes, html))
