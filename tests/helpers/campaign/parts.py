"""Faults of the user's own parts: heads, features, reducers, metrics and rules that misbehave in each method."""

import contextlib
from functools import partial

from helpers.campaign.jobs import PART
from helpers.campaign.judge import Fault

HEAD = """
class Spoilt(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        {fit}
        return super().fit(X, y)

    def predict_proba(self, X):
        found = super().predict_proba(X)
        {predict}
        return found

    def decision_function(self, X):
        self.predict_proba(X)
        return super().decision_function(X)

def head(seed):
    {make}
    return Spoilt()
"""
HEADS = {
    "gives nothing when it is made": {"make": "return None"},
    "raises in fit": {"fit": "raise ValueError('no')"},
    "leaves in fit": {"fit": "raise SystemExit(4)"},
    "has too little memory in fit": {"fit": "raise MemoryError"},
    "gives NaN": {"predict": "found[:] = float('nan')"},
    "gives one row": {"predict": "found = found[:1]"},
}
FUNCTIONS = {
    "raises": "raise ValueError('no')",
    "leaves": "raise SystemExit(4)",
    "gives nothing": "return None",
    "gives text": "return 'high'",
    "gives NaN": "return float('nan')",
    "gives a row": "return [0.5, 0.5]",
}
FEATURES = {
    "raises": "raise ValueError('no')",
    "leaves": "raise SystemExit(4)",
    "gives NaN": "return [float('nan'), 0]",
}
REDUCERS = {
    "raises in fit": "def fit(self, X, y=None):\n        raise ValueError('no')",
    "gives NaN": "def transform(self, X):\n        return super().transform(X) * float('nan')",
}
NAMED = ("campaign_part",)
KILL = "import os; os.kill(os.getpid(), 9)"
ONCE = f"""import pathlib
        flag = pathlib.Path("{{}}/killed")
        if not flag.exists():
            flag.touch()
            {KILL}"""


def parts():
    """All faults of this file."""
    blank = {"make": "pass", "fit": "pass", "predict": "pass"}
    found = [_fault("head", f"a head that {what}", HEAD.format(**blank | how)) for what, how in HEADS.items()]
    found += [
        _fault(part, f"a {word} that {what}", f"\ndef {part}(y, score):\n    {body}\n")
        for part, word, many in (("metric", "metric", 5), ("rule", "threshold rule", 3))
        for what, body in list(FUNCTIONS.items())[:many]
    ]
    found += [
        _fault("feature", f"a feature that {what}", f"\ndef mean(image, size):\n    {body}\n")
        for what, body in FEATURES.items()
    ]
    found += [
        _fault(
            "reducer", f"a reducer that {what}", f"\nclass Own(PCA):\n    {body}\n\ndef reducer():\n    return Own(2)\n"
        )
        for what, body in REDUCERS.items()
    ]
    found += [
        Fault("a module that cannot be imported", f"compare own {part}", partial(_written, text), NAMED, elsewhere=True)
        for part, text in (
            ("head", "raise ValueError('no')"),
            ("feature", "def feature(:"),
            ("metric", "import nowhere"),
        )
    ]
    for kind, body in (("killed once", ONCE), ("killed each time", KILL)):
        says = ("memory",) if "each" in kind else ()
        text = PART + HEAD.format(**blank | {"fit": body})
        found.append(
            Fault(f"a worker that is {kind}", "compare workers", partial(_written, text), says, elsewhere=True)
        )
    return found


def _fault(part, kind, text):
    kind = kind.partition(" that ")[0] + " that misbehaves"
    return Fault(kind, f"compare own {part}", partial(_written, PART + text), NAMED, elsewhere=True)


@contextlib.contextmanager
def _written(text, scene):
    path = scene.place / "campaign_part.py"
    path.write_text(text.replace("{}", str(scene.place)))
    yield
    path.write_text(PART)
