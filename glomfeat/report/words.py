"""Words that a page explains beside the paragraph in which they stand first."""

import re

from markupsafe import Markup, escape

# How a word is found, and what is said of it, in the order in which notes of one paragraph stand.
WORDS = {
    "arm": (r"\barms?\b", "What is compared, a row of the table: features of images and a classifier, or a network."),
    "AUROC": (
        r"\bAUROC\b",
        "The chance that an image of the positive class scores above another: 1 is perfect, 0.5 a coin.",
    ),
    "95 % limits": (
        r"\b95.%(?: confidence)? limits\b",
        "How far off the figure may be for the number of cases: the confidence interval.",
    ),
    "case": (
        r"\bcases?\b",
        "A patient, or what else images belong to. A split by case never learns from one and tests it too.",
    ),
    "fold": (r"\bfolds?\b", "A part of the cases. Each is tested once, by models that learnt from the other parts."),
    "beyond chance": (
        r"\bbeyond chance\b",
        "More than luck with the cases brings in one study of twenty (p below 0.05).",
    ),
    "threshold": (r"\bthresholds?\b", "The score from which an image is called positive."),
    "out of fold": (r"\bout[- ]of[- ]fold\b", "Scored by a model that learnt from other cases."),
    "shortcut": (r"\bshortcuts?\b", "What gives the class away without any tissue: size, padding, colour."),
}
PARAGRAPH = re.compile(r"(<p\b[^>]*>)(.*?)(</p>)", re.DOTALL)
TAGS = re.compile(r"<code>.*?</code>|<[^>]+>", re.DOTALL)


def explain(html, left):
    """A part of a page whose paragraphs explain the words that were not met before.

    Parameters
    ----------
    html : str
        Whose paragraphs hold no other ones.
    left : dict
        The part of `WORDS` that is not explained yet; what is explained here is taken out.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> left = dict(WORDS)
    >>> print(explain("<p>One arm &amp; <b>more</b> arms.</p><p>No arm.</p>", left))
    <p>One arm &amp; <b>more</b> arms. <span class="note" role="note"><b>arm</b> What is ...</span></p><p>No arm.</p>
    >>> "arm" in left
    False
    """

    def with_notes(found):
        opening, inside, closing = found.groups()
        said = TAGS.sub("", inside)
        met = [word for word, (pattern, _) in left.items() if re.search(pattern, said)]
        notes = "".join(
            f' <span class="note" role="note"><b>{escape(word)}</b> {escape(left.pop(word)[1])}</span>' for word in met
        )
        return f"{opening}{inside}{notes}{closing}"

    return Markup(PARAGRAPH.sub(with_notes, html))
