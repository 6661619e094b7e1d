"""Digests of code and settings: equal in every process, other where the numbers could be others."""

import copy
import functools
import importlib
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import uuid

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch.nn.utils import skip_init

from glomfeat.core.fingerprint import UnstableError, digest_of_code, digest_of_thing

SOURCE = """
import re
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

SCALE, NAMES = 3, {"b", "a", "cc"}

def helper(image):
    return [len(NAMES), image.mean() * SCALE]

def redness(image, size):
    return [*helper(image), (lambda x: x in {"x", "y"})(size), np.add(1, 2), bool(re.match("a", "b"))]

class Mine(SVC):
    def fit(self, X, y):
        return super().fit(X, y)

class Box:
    def __init__(self):
        self.inside = np.arange(3)

THINGS = redness, Mine(C=2), make_pipeline(StandardScaler(), SVC()), Box(), Box().__init__, Mine
"""


def made_by(source):
    """What a notebook's cell defines."""
    names = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), names)
    return names


def test_a_new_process_gives_the_same_digests():
    code = (
        f"# moves every line\n\n{SOURCE}\nfrom glomfeat.core.fingerprint import *\nprint(*map(digest_of_thing, THINGS))"
    )
    elsewhere = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    there = subprocess.run([sys.executable, "-c", code], env=elsewhere, capture_output=True, text=True, check=True)
    here = [digest_of_thing(thing) for thing in made_by(SOURCE)["THINGS"]]
    assert there.stdout.split() == here and len(set(here)) == 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* SCALE", "+ SCALE"),
        ("SCALE, NAMES = 3", "SCALE, NAMES = 4"),
        ('"cc"}', '"cd"}'),
        ("image, size", "image, size=(1, 1)"),
        ('{"x", "y"}', '{"x", "z"}'),
        ("np.add", "np.subtract"),
        ('re.match("a"', 're.match("c"'),
    ],
)
def test_what_a_function_uses_is_in_its_digest(old, new):
    assert SOURCE.count(old)
    one, other = (made_by(source)["redness"] for source in (SOURCE, SOURCE.replace(old, new)))
    assert digest_of_thing(one) != digest_of_thing(other)


def test_what_changes_no_number_is_not():
    other = made_by("# comment\n" + SOURCE.replace("def redness(image, size):", "def redness(image, size):  # why\n"))
    assert digest_of_thing(made_by(SOURCE)["redness"]) == digest_of_thing(other["redness"])
    unused = made_by(
        SOURCE.replace("SCALE, NAMES", "image = memoryview(b'')\nSCALE, NAMES")
    )  # a global that only looks used
    assert digest_of_thing(unused["redness"]) == digest_of_thing(made_by(SOURCE)["redness"])


def test_closures_defaults_partials_and_methods():
    def scaled(by, shift=0):
        return lambda image, more=shift: image * by + more

    things = [scaled(2), scaled(3), scaled(2, 1), functools.partial(max, key=len), functools.partial(max, key=str)]
    assert len({digest_of_thing(thing) for thing in things}) == 5
    assert digest_of_thing(scaled(2)) == digest_of_thing(scaled(2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x): return f.k\nf.k = 1", "def f(x): return f.k\nf.k = 2"),
        (
            "def g(x): return g.k\ng.k = 1\ndef f(x): return g(x)",
            "def g(x): return g.k\ng.k = 2\ndef f(x): return g(x)",
        ),
        ("def f(*x): return x", "def f(**x): return x"),
        ("def f(**x): return x", "def f(*y, **x): return y"),
        (
            "class K(dict): pass\nk = K()\nk.a = 1\ndef f(x): return k.a",
            "class K(dict): pass\nk = K()\nk.a = 2\ndef f(x): return k.a",
        ),
        (
            "class K(dict):\n def __missing__(self, x): return 1\nk = K()\ndef f(x): return k[x]",
            "class K(dict):\n def __missing__(self, x): return 2\nk = K()\ndef f(x): return k[x]",
        ),
        ("class K(int): pass\nk = K(1)\ndef f(x): return k", "class K(int): pass\nk = K(2)\ndef f(x): return k"),
        (
            "class M(type):\n def __call__(self): return 1\nclass K(metaclass=M): pass\ndef f(x): return K()",
            "class M(type):\n def __call__(self): return 2\nclass K(metaclass=M): pass\ndef f(x): return K()",
        ),
        (
            "from collections import defaultdict\nk = defaultdict(lambda: 1)\ndef f(x): return k[x]",
            "from collections import defaultdict\nk = defaultdict(lambda: 2)\ndef f(x): return k[x]",
        ),
        (
            "from collections import namedtuple\nk = namedtuple('P', 'a b')(1, 2)\ndef f(x): return k.a",
            "from collections import namedtuple\nk = namedtuple('P', 'b a')(1, 2)\ndef f(x): return k.a",
        ),
    ],
)
def test_attributes_are_in_the_digest(one, other):
    assert digest_of_thing(made_by(one)["f"]) == digest_of_thing(made_by(one)["f"])
    assert digest_of_thing(made_by(one)["f"]) != digest_of_thing(made_by(other)["f"])


def test_what_a_function_counts_of_itself_is_no_change():
    def tone(x):
        tone.calls += 1
        return x + tone.channel

    tone.calls, tone.channel, digests = 0, 1, []
    for channel in (1, 1, 2):
        tone.channel = channel
        digests.append(digest_of_thing(tone))
        tone(0)
    assert digests[0] == digests[1] != digests[2] and tone.calls == 3


def test_digests_of_ordinary_parts_stay_as_they_are():
    """Those of 0.10.0: caches and folders of own parts hang on them. Bytecode differs between versions of Python."""
    ordinary = [
        PCA(2),
        {"a": [1, (2.5, {3})]},
        functools.partial(max, key=len),
        RandomForestClassifier(5),  # its constructor sets more than its settings
    ]
    assert [digest_of_thing(part) for part in ordinary] == [
        "d0d52f7878cd",
        "0820d8534149",
        "15fc557c80c0",
        "bbdd0d59adad",
    ]


@pytest.mark.skipif(not sklearn.__version__.startswith("1.9."), reason="settings differ between releases")
def test_digests_of_pipelines_stay_as_they_are():
    assert digest_of_thing(make_pipeline(StandardScaler(), SVC(C=2))) == "988470676a07"


def test_settings_of_estimators():
    pipes = [make_pipeline(StandardScaler(), SVC(C=c), memory=m) for c, m in ((1, None), (2, None), (1, "here"))]
    assert len({digest_of_thing(pipe) for pipe in (*pipes, PCA(), PCA(2))}) == 5


class Codebook(BaseEstimator):
    """Its constructor sets what it will learn."""

    def __init__(self, words=2):
        self.words, self.tones = words, None

    def fit(self, tones):
        self.tones = tones[: self.words]
        return self


@pytest.mark.parametrize("make", [PCA, Codebook, lambda: make_pipeline(PCA()), SVC])
def test_what_an_estimator_has_learnt_is_in_the_digest(make):
    y = [0, 1] * 3
    one, other = (np.random.default_rng(seed).normal(size=(6, 3)) for seed in (0, 1))
    fitted = [make(), *(make().fit(rows, *([y] if make is SVC else [])) for rows in (one, one, other))]
    fitted.append(pickle.loads(pickle.dumps(fitted[1])))
    new, first, again, last, sent = (digest_of_thing(lambda x, part=part: part) for part in fitted)
    assert first == again == sent and len({new, first, last}) == 3
    assert digest_of_thing(FrozenEstimator(fitted[1])) != digest_of_thing(FrozenEstimator(fitted[3]))


def test_a_class_is_the_same_after_a_copy_of_an_object():
    mine = made_by(SOURCE)["Mine"]()
    before = digest_of_thing(mine)
    copy.copy(mine)  # what pickle does as well
    assert digest_of_thing(mine) == before


class Sets(BaseEstimator):
    """Its constructor sets what `digest_of_thing` cannot compare, and what is never the same."""

    def __init__(self, size=2):
        self.size, self.made = size, str(uuid.uuid4())
        self.device, self.ones, self.lock = torch.device("cpu"), torch.ones(size), threading.Lock()
        self.draws, self.net = np.random.default_rng(0), skip_init(torch.nn.Linear, size, 1)
        torch.nn.init.ones_(self.net.weight)
        torch.nn.init.zeros_(self.net.bias)


def test_what_a_constructor_sets_is_not_learnt_unless_it_was_changed():
    assert digest_of_thing(Sets()) == digest_of_thing(Sets()) != digest_of_thing(Sets(3))
    drawn, trained, put = Sets(), Sets(), Sets()
    drawn.draws.random()
    torch.nn.init.zeros_(trained.net.weight)
    put.device = torch.device("meta")
    for part, said in ((drawn, "Generator"), (trained, "Parameter"), (put, "torch.device")):
        with pytest.raises(UnstableError, match=said):
            digest_of_thing(FrozenEstimator(part))


class Weights(BaseEstimator):
    """Its constructor draws what is trained in place."""

    def __init__(self):
        self.weights = np.random.default_rng().normal(size=3)


def test_drawn_weights_count_unless_they_are_drawn_anew_before_use():
    one, other = Weights(), Weights()
    assert digest_of_thing(FrozenEstimator(one)) != digest_of_thing(FrozenEstimator(other))
    assert digest_of_thing([one], [one]) == digest_of_thing([other], [other])


def test_own_modules_count_with_their_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for factor in (2, 33):  # of another length, for Python tells versions of one second by it
        (tmp_path / "mylab_digests.py").write_text(f"def helper(x):\n    return x * {factor}\n")
        sys.modules.pop("mylab_digests", None)
        found |= {
            digest_of_thing(made_by(textwrap.dedent(code))["f"])
            for code in (
                "from mylab_digests import helper\ndef f(x): return helper(x)",
                "import mylab_digests\ndef f(x): return mylab_digests.helper(x)",
            )
        }
        (tmp_path / "mylab_digests.py").write_text("")
    sys.modules.pop("mylab_digests", None)
    assert len(found) == 4


CALLS_MID = "from lab_digests import mid\ndef f(): return mid.run()"


@pytest.mark.parametrize(
    ("top", "mid"),
    [
        ("def f():\n    from lab_digests.help import value\n    return value()", ""),
        ("def f():\n    import lab_digests.help as it\n    return it.value()", ""),
        ("def f():\n    from . import help\n    return help.value()", ""),
        ("def f():\n    def g():\n        from .help import value\n        return value()\n    return g()", ""),
        ("def f():\n    from .mid import run\n    return run()", "from .help import value as run"),
        ("import lab_digests.help\ndef f(): return lab_digests.help.value()", ""),
        ("import lab_digests.open.deep\ndef f(): return lab_digests.open.deep.value()", ""),
        (
            "import lab_digests\nfrom . import mid\ndef f(): return lab_digests.mid.run()",
            "from .help import value as run",
        ),
        (CALLS_MID, "from .help import value as run"),
        (CALLS_MID, "from lab_digests.help import *\ndef run(): return value()"),
        (CALLS_MID, "import lab_digests.help\ndef run(): return lab_digests.help.value()"),
        (CALLS_MID, "def run():\n    from .help import value\n    return value()"),
        (CALLS_MID, "from . import top, help\ndef run(): return help.value()"),  # they import one another
        (CALLS_MID, "try:\n    import gone_digests\nexcept ImportError:\n    from .help import value as run"),
        ("from .help import value\nx = (1 for _ in ())\ndef f(): return value() + len(list(x))", ""),
        ("from .help import value\ndef f():\n    class K:\n        x = value()\n    return K.x", ""),
    ],
)
def test_own_modules_count_wherever_and_however_they_are_imported(tmp_path, monkeypatch, top, mid):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab_digests" / "open").mkdir(parents=True)  # a package without __init__.py
    found = []
    for number, unused in ((2, ""), (33, ""), (33, "changed = True")):  # of another length, as above
        helps = f"from . import mid\ndef value():\n    return {number}\n"
        files = {"__init__": "", "help": helps, "mid": mid, "top": top, "unused": unused, "open/deep": helps}
        for name, text in files.items():
            (tmp_path / "lab_digests" / f"{name}.py").write_text(text.replace(" . ", " .. ") if "/" in name else text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "lab_digests"]:
            del sys.modules[name]
        f = importlib.import_module("lab_digests.top").f
        before = digest_of_code(f)
        found.append((f(), before))
        assert digest_of_code(f) == before, "what was imported meanwhile"
    assert [number for number, _ in found] == [2, 33, 33]
    assert found[0][1] != found[1][1] == found[2][1]


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (np.random.default_rng(0), "a numpy.random._generator.Generator"),
        ((x for x in ()), "a generator"),
        (memoryview(b"a"), "a memoryview"),
        (np.frompyfunc(lambda x: x + 1, 1, 1), r"a numpy.ufunc, <lambda> \(vectorized\)"),
        (np.ma.masked_array([1, 2], [False, True]), "a numpy.ma.MaskedArray"),
    ],
)
def test_what_cannot_be_compared_is_said(thing, said):
    with pytest.raises(UnstableError, match=f"^{said}$"):
        digest_of_thing(lambda: thing)
    with pytest.raises(UnstableError, match=f"^{said}$"):
        digest_of_thing(SVC(C=thing))


def test_recursion_ends():
    def down(n):
        return down(n - 1) if n else 0

    itself = []
    itself.append(itself)
    assert len(digest_of_thing(down)) == 12
    with pytest.raises(UnstableError, match="a list that holds itself"):
        digest_of_thing(itself)
