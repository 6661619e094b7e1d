"""The blocks and commands of the README and of the pages run, in order, as a stranger would; ruff checks the style.

What a page does on several machines is done on this one; a stand-in for SLURM runs one job at a time. By default most
of the README is run in this process, on fewer and smaller images. As written, each step in a process of its own, all
pages are run with ``-m slow``; of their commands options are read by default.
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import glomfeat
from glomfeat.data import phantom
from studies._cli import run_main

pytestmark = pytest.mark.usefixtures("dealt_once")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "glomfeat" / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAM = r"(?:python -m|pip install|pytest|dask|ray|sbatch) "
STEP = re.compile(rf"(?:^<!-- file: (?P<file>\S+) -->\n)?{FENCE.pattern}|`(?P<inline>{PROGRAM}[^`]+)`", FENCE.flags)
ORIGINAL = r"studies\.(?:baselines|homemade|pretrained|padding) (?:DATA )?--quick"
LONG = re.compile(rf"studies\.(?:bench|coverage|paper)(?!.*--quick)|PHANTOM|{ORIGINAL}")
SERVES = {"dask scheduler": "Scheduler at", "dask worker": "Registered to", "ray start": "Ray runtime started"}


@dataclass(frozen=True)
class Step:
    """What a reader of a page does: a command, a script, or a file to write (added to, if it is there)."""

    page: str
    text: str
    kind: str = "command"
    file: str = ""


def read_steps():
    """The steps of all pages; a command that was read before in the same words is not one again."""
    steps = []
    for page in PAGES:
        for found in STEP.finditer(page.read_text(encoding="utf-8")):
            file, kind, text, inline = found["file"], found[2], found[3], found["inline"]
            if inline:
                text = " ".join(inline.split())
                if not any(step.text == text or step.text.endswith(f"&& {text}") for step in steps):
                    steps.append(Step(page.name, text))
            elif file:
                steps.append(Step(page.name, text, "file", file))
            elif kind == "bash":
                steps += [Step(page.name, line) for line in text.replace("\\\n", " ").splitlines() if line]
            elif kind == "python" and (steps[-1].page, steps[-1].kind) == (page.name, "script"):
                steps[-1] = Step(page.name, steps[-1].text + text, "script")
            elif kind == "python":
                steps.append(Step(page.name, text, "script"))
    return steps


STEPS = read_steps()
TESTS = [step for step in STEPS if "pytest" in step.text]
LASTING = [step for step in STEPS if LONG.search(step.text)]
INSTALLS = [step for step in STEPS if all(part.startswith("pip install ") for part in step.text.split(" && "))]
RUN = [step for step in STEPS if step not in TESTS + LASTING + INSTALLS]
WEEKLY = re.compile(r"--nets compact|--repeats 2|--sites 3|studies\.audit|glomfeat\.compare\(")
SOON = [step for step in RUN if step.page == "README.md" and not WEEKLY.search(step.text)]
READ = [step for step in STEPS if step not in SOON and step.kind == "command" and "-m studies." in step.text]

SBATCH = """#!{python}
import itertools, os, pathlib, subprocess, sys

queue = pathlib.Path(os.environ["QUEUE"])
for number in itertools.count(1):
    job = queue / str(number)
    try:
        job.mkdir()
        break
    except FileExistsError:
        pass
(job / "script.sh").write_bytes(pathlib.Path(sys.argv[-1]).read_bytes())
try:
    (queue / "running").mkdir()
    work = f"bash {{job}}/script.sh > {{job}}/out 2>&1; s=$?; rmdir {{queue}}/running"
    command = f"{{work}}; echo $s > {{job}}/s; mv {{job}}/s {{job}}/status"
    nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    started = subprocess.Popen(command, shell=True, start_new_session=True, **nothing)
    (job / "pid").write_text(str(started.pid))
except FileExistsError:
    pass
print("Submitted batch job", number)
"""
SCANCEL = """#!{python}
import contextlib, os, pathlib, signal, sys

queue = pathlib.Path(os.environ["QUEUE"])
for number in sys.argv[1:]:
    if (queue / number / "pid").exists() and not (queue / number / "status").exists():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.killpg(int((queue / number / "pid").read_text()), signal.SIGTERM)
            (queue / "running").rmdir()
"""
# what the README does is done with less of it by default
SHORTER = {
    r"studies\.compare$": "--folds 2 --size 32 --reducers ipca4 --heads svm",
    r"--out runs/mine$": "--folds 2 --size 32 --heads svm",
    r"--out runs/mylab$": "--inside 0 --reducers ipca4 --folds 2 --size 32",
    r"--to features\.h5$": "--size 32",
}
# stands for models of tables, whose weights are gigabytes; with their interface
TABLES = """
from pathlib import Path

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.neighbors import KNeighborsClassifier


class {name}(ClassifierMixin, BaseEstimator):
    def __init__(self, *, model_path="auto", device=None, n_estimators=4, random_state=0{more}):
        self.model_path, self.device = model_path, device
        self.n_estimators, self.random_state = n_estimators, random_state
        {keep}

    def fit(self, X, y):
        assert Path(self.model_path).read_bytes(), "no weights"
        self.near_ = KNeighborsClassifier(1).fit(X, y)
        self.classes_ = self.near_.classes_
        return self

    def predict_proba(self, X):
        return self.near_.predict_proba(X)
"""
OF_TABICL = {"more": ", allow_auto_download=True", "keep": "self.allow_auto_download = allow_auto_download"}
OF_TABLES = {
    "tabpfn": TABLES.format(name="TabPFNClassifier", more="", keep="pass"),
    "tabicl": TABLES.format(name="TabICLClassifier", **OF_TABICL),
}
SRUN = """#!/bin/sh
case "$1" in --cpus-per-task=*) shift; exec "$@";; esac
echo "srun gives one core unless it is told how many, whatever sbatch was told" >&2
exit 1
"""
STAND_INS = {"sbatch": SBATCH, "scancel": SCANCEL, "srun": SRUN}


def a_free_port():
    with socket.socket() as found:
        found.bind(("", 0))
        return str(found.getsockname()[1])


class Reader:
    """Somebody who goes through the pages: a folder for each, with what it takes as given, and what runs there."""

    def __init__(self, root, images):
        self.root, self.running = root, []
        self.said = {"HOST": "127.0.0.1", "8786": a_free_port(), "6379": a_free_port(), "DATA": "my_images"}
        self.said["LABELS.csv"] = "my_images/public.csv"
        for name in {step.page for step in STEPS}:
            self.furnish(root / name, images)
        for name, text in STAND_INS.items():
            path = root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.format(python=sys.executable))
            path.chmod(0o755)
        for name in ("queue", "home"):
            (root / name).mkdir()
        nowhere = "http://127.0.0.1:9"  # weights must not be needed from the network
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(root / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "QUEUE": str(root / "queue"),
            "SCRATCH": str(root / "scratch"),
            "LOKY_MAX_CPU_COUNT": "1",  # other tests run beside these, and each process takes seconds to start
            "HOME": str(root / "home"),
            "RAY_ADDRESS": f"127.0.0.1:{self.said['6379']}",
            "XDG_CACHE_HOME": str(root / "cache"),
            "TORCH_HOME": str(root / "torch"),
            "http_proxy": nowhere,
            "https_proxy": nowhere,
        }

    def furnish(self, place, images):
        shutil.copytree(images, place / "my_images")
        rows = (images / "public.csv").read_text().splitlines()[1:]
        table = "\n".join(f"{row},{k % 7 + 3 * int(row[-1])},{k % 5}" for k, row in enumerate(rows))
        (place / "my_features.csv").write_text(f"name,label,area,roundness\n{table}\n")
        (place / "new_images").mkdir()
        for k, path in enumerate(sorted(images.rglob("*.png"))[:6]):
            shutil.copy(path, place / "new_images" / f"new{k}.png")
        if place.name == "extending.md":
            for name, text in OF_TABLES.items():
                (place / f"{name}.py").write_text(text)
            for weights in ("tabpfn-v2-classifier.ckpt", "tabicl-classifier-v2-20260212.ckpt"):
                (place / weights).write_bytes(weights.encode())
        if place.name == "README.md":
            slides = next(step for step in STEPS if step.page == "data.md" and '("slides", "annotations")' in step.text)
            with contextlib.chdir(place):
                exec(slides.text, {})

    def do(self, step, most_s=1800):
        """Do a step; what it printed."""
        place, text = self.root / step.page, step.text
        if step.kind == "file":
            return self.write(step)
        if step.kind == "script":
            name = f"step{STEPS.index(step)}.py"
            (place / name).write_text(text, encoding="utf-8")
            text = f"python {name}"
        text = re.sub("|".join(map(re.escape, self.said)), lambda found: self.said[found[0]], text)
        if text.startswith("export "):
            self.environment.update([text.removeprefix("export ").split("=", 1)])
            return ""
        how = {"shell": True, "cwd": place, "env": self.environment}
        if ready := next((said for command, said in SERVES.items() if text.startswith(command)), None):
            return self.serve(text, ready, how)
        text = text.replace("pip install . && ", "")
        done = subprocess.run(text, capture_output=True, text=True, timeout=most_s, **how)
        assert done.returncode == 0, done.stderr
        return self.result_of_job() if text.startswith("sbatch") else done.stdout

    def write(self, step):
        """Write, or add to, the file of a step."""
        with (self.root / step.page / step.file).open("a", encoding="utf-8") as file:
            file.write(step.text)
        return ""

    def do_here(self, step, monkeypatch, capsys):
        """Do a step in this process, with less of it; what it printed."""
        if step.kind == "file":
            return self.write(step)
        place = self.root / step.page
        more = " ".join(more for end, more in SHORTER.items() if re.search(end, step.text))
        _, _, name, *arguments = shlex.split(f"{step.text.removeprefix('pip install . && ')} {more}")
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        monkeypatch.delitem(sys.modules, "mylab", raising=False)  # each page has its own
        for variable, value in self.environment.items():
            monkeypatch.setenv(variable, value)
        with pytest.raises(SystemExit) as ended:
            run_main(importlib.import_module(name).main, arguments)
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out

    def serve(self, text, ready, how):
        """Start what goes on until the reader has read all pages, and wait until it is ready."""
        text = f"exec {text}" + (" --block" if text.startswith("ray") else "")
        log = self.root / f"log{len(self.running)}"
        with log.open("w") as file:
            started = subprocess.Popen(text, stdout=file, stderr=file, start_new_session=True, **how)
        self.running.append(started)
        until = time.monotonic() + 60
        while ready not in log.read_text():
            assert started.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        return log.read_text()

    def result_of_job(self):
        """What the job printed that was submitted last, once it has ended well."""
        job = max((self.root / "queue").glob("[0-9]*"), key=lambda path: int(path.name))
        until = time.monotonic() + 300
        while not (job / "status").exists():
            assert time.monotonic() < until, (job / "out").read_text()
            time.sleep(0.1)
        said = (job / "out").read_text()
        assert (job / "status").read_text() == "0\n", said
        return said

    def leave(self):
        """End what still runs, the last one first."""
        for started in reversed(self.running):
            started.terminate()
            try:
                started.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, signal.SIGKILL)
        for job in (self.root / "queue").glob("[0-9]*"):
            if (job / "pid").exists() and not (job / "status").exists():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int((job / "pid").read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def reader(tmp_path_factory, phantom_folder):
    reader = Reader(tmp_path_factory.mktemp("docs"), phantom_folder)
    yield reader
    reader.leave()


def name_of(step):
    return f"{step.page}-{STEPS.index(step)}"


def test_pages_have_blocks_that_run_and_blocks_that_show():
    assert len(SOON) == 9
    assert any("pip install . && python -m studies.compare" in step.text for step in RUN)
    for page in PAGES:
        for kind, text in FENCE.findall(page.read_text(encoding="utf-8")):
            assert kind in ("bash", "python") or (kind == "text" and not re.search(f"^{PROGRAM}", text, re.MULTILINE))


def check_said(step, said):
    compares = re.search(r"studies\.(compare|homemade)|^sbatch", step.text) and step.kind == "command"
    if compares and not re.search("--help|--dry-run", step.text):
        assert "split by case" in said


@pytest.fixture
def few(monkeypatch, fewer_trees, parts_here):
    """A phantom of some images where nobody names data, and neither many trees nor other processes."""
    spec = phantom.Phantom(images=24, cases=8, min_px=60, max_px=90)
    monkeypatch.setattr(
        "glomfeat.comparison.prepare.built_in",
        lambda cache, jobs, of: phantom.make_phantom(phantom.folder_in(cache, spec), spec),
    )


@pytest.mark.parametrize("step", SOON, ids=name_of)
def test_a_step_of_the_readme_works_with_less(reader, few, step, monkeypatch, capsys):
    check_said(step, reader.do_here(step, monkeypatch, capsys))


@pytest.mark.slow
@pytest.mark.parametrize("step", RUN, ids=name_of)
def test_a_step_of_a_page_works(reader, step):
    if re.search(r"\bray\b", step.text) and not find_spec("ray"):
        pytest.skip("Ray is not installed")
    check_said(step, reader.do(step))


@pytest.mark.slow
@pytest.mark.parametrize("step", LASTING, ids=name_of)
def test_a_command_that_takes_long_works(reader, step):
    if "PHANTOM" in step.text and not (reader.root / step.page / "PHANTOM").exists():
        glomfeat.make_phantom(reader.root / step.page / "PHANTOM", glomfeat.Phantom(images=5758, cases=215))
    files = [other for other in STEPS if other.page == step.page and other.file]
    for file in [file for file in files if not (reader.root / file.page / file.file).exists()]:
        reader.do(file)
    if "studies.pretrained" in step.text:  # no test downloads weights
        step = replace(step, text=f"{step.text} --weights none")
    reader.do(step, most_s=None)


class ParsedError(Exception):
    """Stands for the rest of a study."""


@pytest.mark.parametrize("step", READ, ids=name_of)
def test_the_options_of_a_command_that_is_not_run_by_default_are_there(monkeypatch, step):
    _, _, name, *arguments = shlex.split(step.text)
    study = importlib.import_module(name)
    parse = study.parse_options

    def parse_and_stop(*given):
        raise ParsedError(parse(*given))

    monkeypatch.setattr(study, "parse_options", parse_and_stop)
    with pytest.raises(ParsedError):
        study.main(arguments)


@pytest.mark.parametrize("step", TESTS, ids=name_of)
def test_tests_that_a_page_names_are_there(step):
    named = re.search(r"pytest (?:-n 0 )?-m slow (?:-n 0 )?(?:-s )?(\S+)$", step.text)
    if named:
        assert "mark.slow" in (ROOT / named[1]).read_text(encoding="utf-8")
    else:
        assert step.text == 'pip install -e ".[test]" && pytest'  # what runs this


@pytest.mark.parametrize("step", INSTALLS, ids=name_of)
def test_what_a_page_installs_is_an_extra_or_among_what_tests_need(step):
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras, groups = found["project"]["optional-dependencies"], found["dependency-groups"]
    for part in step.text.split(" && "):
        what = part.removeprefix("pip install ").removeprefix("--no-deps ")
        named = re.fullmatch(r'"?(?:\.\[(\w+)\]|([\w-]+))"?', what)
        if what != "." and not (what.startswith("--group ") and what.split()[1] in groups):
            assert named[1] in extras if named[1] else any(need.startswith(named[2]) for need in extras["test"])


@pytest.fixture(scope="module")
def helps():
    """What ``--help`` of all studies says."""
    said = io.StringIO()
    names = [path.stem for path in (ROOT / "studies").glob("[a-z]*.py")]
    names += [path.parent.name for path in (ROOT / "studies").glob("*/__main__.py")]
    for name in names:
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
            importlib.import_module(f"studies.{name}").main(["--help"])
        assert not ended.value.code
    return said.getvalue()


def test_help_of_every_study_says_in_words_what_a_value_is(helps):
    assert not re.findall(r"\{None.*|\b(?:STR|INT|FLOAT)\b.*|default: (?:None|False)", helps)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_names_are_there(helps, page):
    named = set()
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", page.read_text(encoding="utf-8"))):
        named.update(re.findall(r"(?<!\S)--[a-z-]+", code))
    of_others = {"--memory-limit", "--scheduler-file", "--help", "--torch-backend", "--group", "--no-deps"}
    of_others |= {"--bind", "--build-arg", "--nv", "--user", "--volume"}  # of Docker and Apptainer
    assert not {option for option in named - of_others if not re.search(rf"{option}(?![\w-])", helps)}


def test_public_names_are_there():
    assert len(glomfeat.__all__) <= 12
    assert all(getattr(glomfeat, name) is not None for name in glomfeat.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'comparisons'"):
        _ = glomfeat.comparisons


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
