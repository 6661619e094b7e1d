"""Plain words for what tables hold as codes, and numbers as people read them."""

import math

from glomfeat.core.arms import FLOOR, Arm

HEADS = {"logreg": "logistic regression", "svm": "SVM", "xgboost": "boosted trees"}
FLOOR_NAME = "chance (no image read)"
LONGEST = 42  # longer names of ensembles leave no room in figures; the tables have them in full
SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plain_class(name):
    """A class as prose writes it.

    Examples
    --------
    >>> plain_class("non_sclerotic_glomeruli"), plain_class("1")
    ('non-sclerotic glomeruli', 'class 1')
    """
    text = " ".join(str(name).replace("non_", "non-").replace("_", " ").split())
    return f"class {text}" if text.lstrip("-").isdigit() else text


def plain_arms(arms):
    """A short name for each arm; two arms never share one.

    Parameters
    ----------
    arms : sequence of str

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> plain_arms(["resnet18.imagenet-1a2b/ipca128/svm", "net:compact"])
    {'resnet18.imagenet-1a2b/ipca128/svm': 'resnet18 + SVM', 'net:compact': 'compact (network)'}
    >>> list(plain_arms(["a.v1/none/svm", "a.v1/ipca8/svm"]).values())
    ['a + SVM, none', 'a + SVM, ipca8']
    >>> plain_arms(["mean:a.v1/none/svm,net:compact"]).popitem()[1]
    'mean of a + SVM and compact (network)'
    >>> plain_arms(["mean:a.v1/none/svm,a.v1/none/logreg,net:compact"]).popitem()[1]
    'mean of 3 arms'
    """
    parsed = {str(arm): Arm.parse(str(arm)) for arm in arms}
    spellings = (_brief, _with_reducer, str)
    found = {}
    for spell in spellings:
        left = {text: spell(arm) for text, arm in parsed.items() if text not in found}
        taken = [*left.values(), *found.values()]
        found |= {text: name for text, name in left.items() if taken.count(name) == 1}
    found = {text: found.get(text, text) for text in parsed}
    long = sorted(text for text, arm in parsed.items() if arm.members and len(found[text]) > LONGEST)
    for k, text in enumerate(long, 1):
        found[text] = f"mean{f' {k}' if len(long) > 1 else ''} of {len(parsed[text].members)} arms"
    return found


def _with_reducer(arm):
    if arm.members:
        return f"mean of {' and '.join(map(_with_reducer, arm.members))}"
    return f"{_brief(arm)}, {arm.reducer}" if arm.reducer else _brief(arm)


def _brief(arm):
    if arm.members:
        return f"mean of {' and '.join(map(_brief, arm.members))}"
    if arm.net:
        return f"{arm.net} (network)"
    if str(arm) == FLOOR:
        return FLOOR_NAME
    stem, _, rest = arm.feature.partition(".")
    if ":" in stem:
        stem = stem.rpartition(":")[2].rpartition("/")[2]
    random = "random " if rest.startswith("random") else ""
    return f"{random}{stem} + {HEADS.get(arm.head, arm.head)}"


def count(number, one, more=None):
    """A number with its noun; small numbers in words.

    Examples
    --------
    >>> count(1, "arm"), count(3, "arm"), count(2000, "image")
    ('one arm', 'three arms', '2,000 images')
    """
    word = SMALL[number] if number < len(SMALL) else f"{number:,}"
    return f"{word} {one if number == 1 else more or one + 's'}"


def figure(value, digits=3):
    """A number, or nothing where it is not known.

    Examples
    --------
    >>> figure(0.94249), figure(float("nan")), figure(1234.5, 0)
    ('0.942', '', '1,234')
    """
    return "" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def between(low, high, digits=3):
    """Limits as prose writes them.

    Examples
    --------
    >>> between(0.9, 0.95, 2)
    '0.90 to 0.95'
    """
    return f"{figure(low, digits)} to {figure(high, digits)}"


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
