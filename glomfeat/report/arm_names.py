"""Short names of arms for figures and prose."""

from glomfeat.core.arms import FLOOR, Arm, split_joined
from glomfeat.core.words import joined
from glomfeat.models.heads.built_in import entry_of

FLOOR_NAME = "chance (no image read)"
LONGEST = 42  # longer names of ensembles would take too much room in figures; the tables have them in full


def plain_arms(arms):
    """Make a short name for each arm; no two arms share one.

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
    >>> list(plain_arms(["a.v1@128-zero/none/svm", "net:compact@macenko"]).values())
    ['a at 128-zero + SVM', 'compact at macenko (network)']
    >>> list(plain_arms(["a.v1/none/svm", "a.v1/ipca8/svm"]).values())
    ['a + SVM, none', 'a + SVM, ipca8']
    >>> list(plain_arms(["a.v1+age+sex/ipca8/svm", "age+sex/none/svm"]).values())
    ['a+age+sex + SVM', 'age+sex + SVM']
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


def spelled(arm, names):
    """Write the name of an arm in prose, with the members of a mean whose short name only counts them.

    Parameters
    ----------
    arm : str
    names : dict of str to str
        From `plain_arms`.

    Returns
    -------
    str

    Examples
    --------
    >>> arms = ["mean:a.v1/none/svm,a.v1/none/logreg,net:compact"]
    >>> spelled(arms[0], plain_arms(arms))
    'mean of 3 arms (a + SVM, a + logistic regression and compact (network))'
    """
    members = Arm.parse(arm).members
    if not members or not names[arm].endswith(" arms"):
        return names[arm]
    called = plain_arms(map(str, members))
    return f"{names[arm]} ({joined(names.get(str(one), called[str(one)]) for one in members)})"


def _with_reducer(arm):
    if arm.members:
        return f"mean of {' and '.join(map(_with_reducer, arm.members))}"
    return f"{_brief(arm)}, {arm.reducer}" if arm.reducer else _brief(arm)


def _brief(arm):
    if arm.members:
        return f"mean of {' and '.join(map(_brief, arm.members))}"
    way = f" at {arm.way}" if arm.way else ""
    if arm.net:
        return f"{arm.network}{way} (network)"
    if str(arm) == FLOOR:
        return FLOOR_NAME
    feature, columns = split_joined(arm.one_way.feature)
    stem, _, rest = feature.partition(".")
    if ":" in stem:
        stem = stem.rpartition(":")[2].rpartition("/")[2]
    random = "random " if rest.startswith("random") else ""
    return f"{random}{stem}{f'+{columns}' if columns else ''}{way} + {entry_of(arm.head).label}"
