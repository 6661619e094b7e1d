"""Plain words for the codes in tables, and numbers as people read them."""

import math
import re

import numpy as np

SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plain_class(name):
    """A class's name as prose writes it.

    Examples
    --------
    >>> plain_class("non_sclerotic_glomeruli"), plain_class("1"), plain_class("100%_GS")
    ('non-sclerotic glomeruli', 'class 1', '100%_GS')
    """
    text = str(name)
    if re.fullmatch(r"\w+", text):  # a name with other characters is a code, and stays as it is
        text = text.replace("non_", "non-").replace("_", " ")
    text = " ".join(text.split())
    return f"class {text}" if text.lstrip("-").isdigit() else text


def said_of(text, unit):
    """A text about cases, changed to speak of the given unit: of images if no case is known.

    Examples
    --------
    >>> said_of("limits count cases, each case once", "image"), said_of("each case once", "case")
    ('limits count images, each image once', 'each case once')
    """
    return re.sub(r"\bcase(s?)\b", rf"{unit}\1", text)


def as_decided(title, largest):
    """The title of a metric, without its cut-off if the largest score decides.

    Examples
    --------
    >>> as_decided("accuracy at 0.5", largest=True), as_decided("accuracy at 0.5", largest=False)
    ('accuracy', 'accuracy at 0.5')
    """
    return title.replace(" at 0.5", "") if largest else title


def count(number, one, more=None):
    """A number with its noun; small numbers in words.

    Examples
    --------
    >>> count(1, "arm"), count(3, "arm"), count(2000, "image")
    ('one arm', 'three arms', '2,000 images')
    """
    word = SMALL[number] if number < len(SMALL) else f"{number:,}"
    return f"{word} {one if number == 1 else more or one + 's'}"


def classes_in_words(manifest):
    """How many images each class has, in words."""
    held = np.bincount(manifest.labels, minlength=len(manifest.classes))
    return ", ".join(f"{n:,} {plain_class(name)}" for n, name in zip(held, manifest.classes, strict=True))


def figure(value, digits=3):
    """A number as text; empty if it is not known.

    Examples
    --------
    >>> figure(0.94249), figure(float("nan")), figure(1234.5, 0), figure(-0.0001)
    ('0.942', '', '1,234', '0.000')
    """
    return "" if value is None or not math.isfinite(value) else f"{value:z,.{digits}f}"


def signed(value, digits=3):
    """A difference with its sign; what rounds to zero gets a plus.

    Examples
    --------
    >>> signed(0.0312), signed(-2.34, 1), signed(-0.0001)
    ('+0.031', '-2.3', '+0.000')
    """
    return f"{value:+z.{digits}f}"


def between(low, high, digits=3, to=" to "):
    """Limits as prose writes them, or ``no limits`` if there are none.

    Examples
    --------
    >>> between(0.9, 0.95, 2), between(0.9, 0.95, 2, "-"), between(float("nan"), float("nan"))
    ('0.90 to 0.95', '0.90-0.95', 'no limits')
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no limits"
    return f"{figure(low, digits)}{to}{figure(high, digits)}"


def is_known(value):
    """Whether a cell of a table holds a number.

    Examples
    --------
    >>> is_known(0.5), is_known(float("nan")), is_known("")
    (True, False, False)
    """
    return isinstance(value, int | float) and math.isfinite(value)


def p_value(value):
    """A p-value as tables show it.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.0004), p_value(float("nan"))
    ('p = 0.031', 'p < 0.001', '–')
    """
    if not math.isfinite(value):
        return "–"
    return f"p = {value:.3f}" if value >= 0.0005 else "p < 0.001"


def seconds(value):
    """A duration in the unit that suits it.

    Examples
    --------
    >>> seconds(0.25), seconds(75), seconds(7500)
    ('0.25 s', '1.2 min', '2.1 h')
    """
    if not math.isfinite(value):
        return ""
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 3600 else f"{value / 3600:.1f} h"
