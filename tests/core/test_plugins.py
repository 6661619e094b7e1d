import copy
import hashlib
import io
import pickle
import sys
import time
from types import ModuleType

import pytest

from glomfeat.core import progress
from glomfeat.core.plugins import Own, PluginError, did_you_mean, is_own, resolve
from glomfeat.core.progress import track, waiting_for
from glomfeat.core.seeds import seed_for

TABLE = {"logreg": dict, "svm": list}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder that is not on the path yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_registered_names_come_first():
    assert resolve("svm", TABLE, "head") is list
    assert resolve("a:b", {"a:b": dict}, "head") is dict


def test_function_of_a_module_in_the_current_folder(folder):
    (folder / "my_heads.py").write_text("def stump(seed):\n    return ('stump', seed)\n")
    assert resolve("my_heads:stump", TABLE, "head")(3) == ("stump", 3)
    (folder / "my_package").mkdir()
    (folder / "my_package" / "deep.py").write_text("class Head: pass\n")
    assert resolve("my_package.deep:Head", TABLE, "head").__name__ == "Head"


def test_a_name_that_brings_its_part_is_a_name_wherever_it_goes():
    name = Own("mine", dict, "1a2b")
    again = pickle.loads(pickle.dumps({"heads": (name,)}))["heads"][0]
    assert again == "mine" and hash(again) == hash("mine") and type(str(again)) is str
    assert resolve(again, TABLE, "head") is dict and again.full == "mine@1a2b" and copy.deepcopy(again) is again
    assert resolve(Own("svm", dict, ""), TABLE, "head") is dict, "what it brings comes first"
    assert [is_own(text) for text in (again, "mylab:f", "mine")] == [True, True, False]


def test_current_folder_does_not_hide_installed_modules(folder):
    (folder / "colorsys.py").write_text("def hls_to_rgb(): return 'mine'\n")
    sys.modules.pop("colorsys", None)
    assert resolve("colorsys:hls_to_rgb", {}, "head")(0, 1, 0) == (1, 1, 1)


def test_unknown_name_is_told_what_there_is():
    with pytest.raises(PluginError) as error:
        resolve("logrg", TABLE, "head")
    expected = "no head is called 'logrg': did you mean 'logreg'? known: logreg, svm; your own is 'module:function'"
    assert str(error.value) == expected
    with pytest.raises(PluginError, match=r"^no net is called 'zzz': known: logreg, svm; your own"):
        resolve("zzz", TABLE, "net")
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize("module", ["no_such_thing", "no_such.thing", "math.thing"])
def test_missing_module_says_where_to_put_it(folder, module):
    with pytest.raises(PluginError) as error:
        resolve(f"{module}:f", TABLE, "head")
    where = "run the command in its folder, or put it on PYTHONPATH"
    assert str(error.value) == f"head '{module}:f': there is no module '{module}'; {where}"


@pytest.mark.parametrize("name", ["./my_heads.py:stump", ":stump", "../heads:stump"])
def test_a_path_in_place_of_a_module_is_refused(folder, name):
    with pytest.raises(PluginError, match="there is no module"):
        resolve(name, TABLE, "head")


def test_missing_function_says_which_there_are(folder):
    (folder / "mine_b.py").write_text("def stump(seed): pass\ndef forest(seed): pass\ndef _hidden(): pass\nvalue = 3\n")
    with pytest.raises(PluginError) as error:
        resolve("mine_b:stmp", TABLE, "head")
    expected = "head 'mine_b:stmp': mine_b has no function 'stmp'; did you mean 'stump'? known: forest, stump"
    assert str(error.value) == expected
    for name in ("mine_b:value", "mine_b:"):  # no function
        with pytest.raises(PluginError, match="has no function"):
            resolve(name, TABLE, "head")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import missing_dependency", "ModuleNotFoundError: No module named 'missing_dependency'"),
        ("from math import no_such_function", "ImportError: cannot import name 'no_such_function'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
    ],
)
def test_errors_of_the_users_own_module_are_his(folder, code, why):
    module = f"mine_{len(code)}"
    (folder / f"{module}.py").write_text(f"\n{code}\n")
    with pytest.raises(PluginError) as error:
        resolve(f"{module}:f", TABLE, "head")
    begins = f"head '{module}:f': {module} cannot be imported, correct it or install what it needs ({why}"
    assert str(error.value).startswith(begins) and str(error.value).endswith(f"; {module}.py:2: {code})")


def test_seed_is_the_leading_bits_of_the_digest_of_the_names():
    digest = hashlib.sha256(b'[7, "folds", 1]').hexdigest()
    assert seed_for(7, "folds", 1) == int(digest[:8], 16) // 2


def test_seeds_differ_by_every_part_and_do_not_run_names_together():
    calls = [
        (0,),
        (1,),
        (0, "a"),
        (0, "b"),
        (0, "a", "b"),
        (0, "ab"),
        (0, "b", "a"),
        (0, "1"),
        (0, 1),
        (0, 11),
        (0, 1, 1),
    ]
    assert len({seed_for(*call) for call in calls}) == len(calls)


def test_seeds_spread_over_their_range():
    seeds = [seed_for(0, "trial", k) for k in range(2000)]
    assert 0 <= min(seeds) < 2**31 * 0.01 and 2**31 * 0.99 < max(seeds) < 2**31
    assert abs(sum(seed % 2 for seed in seeds) - 1000) < 120


class Clock:
    """Time that moves when the work is done."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_log_gets_a_line_every_ten_seconds_with_an_estimate(clock):
    stream, seen = io.StringIO(), []
    for item in track("abcdefgh", "decoding", 8, stream):
        seen.append(item)
        clock.now += 5
    assert seen == list("abcdefgh")
    assert stream.getvalue().split("\n") == [
        "decoding: 2 of 8, about 30 s left",
        "decoding: 4 of 8, about 20 s left",
        "decoding: 6 of 8, about 10 s left",
        "",
    ]


def test_quick_work_says_nothing(clock):
    stream = io.StringIO()
    assert list(track(iter(range(1000)), "decoding", 1000, stream)) == list(range(1000))
    assert list(track([], "decoding", 0, stream)) == []
    assert stream.getvalue() == ""


def test_progress_goes_to_standard_error(clock, capsys):
    for _ in track([1, 2], "decoding", 2):
        clock.now += 60
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "decoding: 1 of 2, about 60 s left\n"


def said(capsys, line):
    """Wait until a line has been written to standard error; give how often."""
    heard, until = "", time.monotonic() + 20
    while line not in heard and time.monotonic() < until:
        time.sleep(0.01)
        heard += capsys.readouterr().err
    return heard.count(line)


def test_a_long_wait_says_once_what_it_waits_for_and_again_where_that_changes(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    awaited = ["waiting for a\n", "", "waiting for b\n"]
    with waiting_for(lambda: awaited[0].strip()) as arrived:
        assert said(capsys, "waiting for a\n") == 1
        for _ in range(2):
            del awaited[0]
            time.sleep(0.05)
        assert said(capsys, "waiting for b\n") == 1
        arrived()
        assert said(capsys, "waiting for b\n") == 1
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_log_has_a_line_where_an_item_takes_long(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)

    def slowly():
        yield 1
        assert said(capsys, "decoding: 1 of 2, waiting for the next\n") == 1
        yield 2

    assert list(track(slowly(), "decoding", 2)) == [1, 2]


@pytest.mark.parametrize("items", [[], [1], [[1], None, "x"]])
def test_terminal_gets_a_bar_and_the_items_are_unchanged(items):
    stream = Terminal()
    assert list(track(iter(items), "decoding", len(items), stream)) == items
    assert "decoding" in stream.getvalue() or not items


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_errors_of_the_work_come_through(stream):
    def work():
        yield 1
        raise KeyError("image 2")

    with pytest.raises(KeyError, match="image 2"):
        list(track(work(), "decoding", 2, stream))


class Cell:
    """IPython in a kernel, as far as it is asked: what it was told to display, and what that became."""

    kernel = object()

    def __init__(self):
        self.drawn = []

    def display(self, drawing, raw, display_id):
        assert raw and display_id
        return self.update(drawing, raw)

    def update(self, drawing, raw):
        self.drawn.append(drawing)
        return self


@pytest.fixture
def cell(monkeypatch):
    cell, ipython, shown = Cell(), ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython, shown.display = (lambda: cell), cell.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return cell


def test_a_notebook_gets_a_bar_with_an_estimate_that_goes_in_the_end(clock, cell, capsys):
    for _ in track("abcd", "a<b", 4):
        clock.now += 5
    lines = ["a<b: 1 of 4, about 15 s left", "a<b: 2 of 4, about 10 s left", "a<b: 3 of 4, about 5 s left", ""]
    assert [drawing["text/plain"] for drawing in cell.drawn] == lines
    assert cell.drawn[1]["text/html"] == "<progress value='2' max='4'></progress> a&lt;b: 2 of 4, about 10 s left"
    assert cell.drawn[-1]["text/html"] == "" and capsys.readouterr() == ("", "")


def test_a_notebook_is_not_drawn_anew_for_every_item(clock, cell):
    for _ in track(range(1000), "decoding", 1000):
        clock.now += 0.01
    assert 10 < len(cell.drawn) < 25


def test_a_bar_of_work_that_fails_goes_too(clock, cell):
    with pytest.raises(KeyError):
        for _ in track("abcd", "decoding", 4):
            clock.now += 5
            if len(cell.drawn) == 2:
                raise KeyError
    assert cell.drawn[-1]["text/plain"] == ""


@pytest.mark.parametrize("shell", [None, object()])
def test_a_prompt_and_a_script_are_no_notebook(clock, cell, capsys, shell):
    sys.modules["IPython"].get_ipython = lambda: shell
    for _ in track("ab", "decoding", 2):
        clock.now += 60
    assert not cell.drawn and capsys.readouterr().err == "decoding: 1 of 2, about 60 s left\n"
