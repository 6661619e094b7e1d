"""The command line: options, YAML, messages and exit status."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import yaml
from helpers.running import SMALL
from rich.table import Table

from glomfeat.comparison.options import Study
from glomfeat.core.errors import InputError
from glomfeat.core.settings import write_settings
from studies import check, compare
from studies._cli import DONE, open_console, parse_options, run_main
from studies._help import parser_of


def parse(*arguments):
    return parse_options(Study, list(arguments), "python -m studies.compare")


def status_of(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run_main(compare.main, [str(argument) for argument in arguments])
    return stopped.value.code


def test_options_come_from_the_command_line():
    study = parse("data", "--features", "pixels", "shortcut", "--folds", "3", "--dry-run")
    assert (study.data, study.features, study.folds, study.dry_run) == ("data", ("pixels", "shortcut"), 3, True)
    assert parse() == Study()


def test_a_yaml_file_is_read_and_the_command_line_wins(tmp_path):
    study = Study(data="somewhere", features=("pixels",), folds=4, memory="2GB", dry_run=True, groups="^(?P<case>x)")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study.plain()))
    assert parse("--config", str(path)) == study
    again = parse(f"--config={path}", "--folds", "3", "--no-dry-run", "elsewhere")
    assert (again.folds, again.dry_run, again.data, again.memory) == (3, False, "elsewhere", "2GB")


def test_what_is_tuned_is_read_as_a_wish_or_as_a_grid_and_from_yaml_too(tmp_path):
    for arguments, tuned in (
        ([], False),
        (["--tune"], True),
        (["--tune", "epochs=5,10", "lr=1e-4,3e-4"], {"lr": (1e-4, 3e-4), "epochs": (5, 10)}),
    ):
        study = parse("somewhere", *arguments)
        assert study.tuned == tuned
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.plain()))
        assert parse("--config", str(tmp_path / "study.yaml")).tuned == tuned
    assert parse("--config", str(tmp_path / "study.yaml"), "--tune", "False").tuned is False


def test_a_class_may_be_called_none(tmp_path):
    assert parse("--positive", "None").positive == "None" and parse("--label-column=None").label_column == "None"
    study = Study(data="None", positive="None", layer="None", subgroups=("None",), heads=("svm", "None"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.plain()))
    assert parse("--config", str(tmp_path / "study.yaml")) == study
    assert parse("--config", str(tmp_path / "study.yaml"), "--folds", "3") == Study(**{**vars(study), "folds": 3})
    (tmp_path / "study.yaml").write_text("positive: null\nlayer: ~\n")
    assert parse("--config", str(tmp_path / "study.yaml")) == Study()


def test_texts_of_a_file_may_begin_with_a_dash(tmp_path):
    texts = {"data": "-foo.csv", "labels": "--folds", "positive": "-", "threshold": "-1", "drop": ("-x", "y", "--seed")}
    study = Study(**texts, with_=("-age",), seed=-3, prevalence=(0.1,))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.plain()))
    assert parse("--config", str(tmp_path / "study.yaml")) == study
    again = parse("--config", str(tmp_path / "study.yaml"), "--drop=-z", "--", "-bar.csv")
    assert again == Study(**{**vars(study), "drop": ("-z",), "data": "-bar.csv"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("fold: 5", "no option 'fold', did you mean 'folds'?"),
        ("folds: 5\nquick: false", "is of homemade, baselines, pretrained or padding, not of compare: repeat it with"),
        ("", "is empty: give the study.yaml that a run wrote"),
        ("- 5", "must hold names and values, such as folds: 5"),
        ("a: [", "cannot be read"),
        ("é: 5", "cannot be read"),
    ],
)
def test_a_wrong_yaml_file_is_one_message(tmp_path, capsys, content, said):
    (tmp_path / "wrong.yaml").write_text(content, encoding="latin-1")
    assert status_of("--config", tmp_path / "wrong.yaml") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and "Traceback" not in error


def test_options_of_a_run_that_were_cut_short_or_changed_are_never_read_without_a_word(tmp_path, capsys):
    path, study = tmp_path / "study.yaml", Study(data="somewhere", folds=4, seed=1234, track="mlflow", style="paper")
    write_settings(study.plain(), path)
    text = path.read_text()
    for length in [*range(0, len(text), 29), *range(len(text) - 9, len(text))]:
        path.write_text(text[:length])
        with contextlib.suppress(InputError, SystemExit):  # refused
            assert parse("--config", str(path)) == study or "was changed" in capsys.readouterr().err, length
    path.write_text(text[: text.index("features")])
    message = r"study.yaml holds \d+ of the \d+ options that a run wrote: if it was cut short, run that study again"
    with pytest.raises(InputError, match=message):
        parse("--config", str(path))
    capsys.readouterr()
    path.write_text(text.replace("folds: 4", "folds: 5"))
    assert parse("--config", str(path)) == Study(**{**vars(study), "folds": 5})
    said = f"warning: --config {path} was changed since a run wrote it, and is read as it stands\n"
    assert capsys.readouterr().err == said
    path.write_text(text.partition("\n")[2].replace("folds: 4\n", ""))
    assert parse("--config", str(path)).folds == Study.folds and capsys.readouterr().err == ""
    path.write_text(text)
    assert parse("--config", str(path)) == study and capsys.readouterr().err == ""


def test_a_config_that_is_no_file_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert status_of("--config", path) == 2
        assert capsys.readouterr().err == f"error: --config {path} is not a file: give the study.yaml of a run\n"


def test_names_are_shown_and_not_obeyed(capsys):
    def refuse(arguments):
        open_console().out("left out: a\x1b[2J.png\r")
        raise InputError("there is no b\x1b]0;title\x07.png:\ngive another")

    with pytest.raises(SystemExit):
        run_main(refuse, [])
    found = capsys.readouterr()
    assert found.out == "left out: a\\x1b[2J.png\\r\n"
    assert found.err == "error: there is no b\\x1b]0;title\\x07.png:\ngive another\n"


def test_names_of_parts_are_no_pictures(capsys):
    table = Table("arm")
    table.add_row("net:key:net")
    for shown in (table, "net:key:net"):
        open_console().print(shown)
        assert "net:key:net" in capsys.readouterr().out


def test_numbers_are_taken_however_they_are_written():
    study = parse(
        "data", "--size", "64", "128", "--head_epochs=2", "--seed", "-1", "--prevalence", "1e-1", ".5", "--lr", "1E-3"
    )
    assert (study.size, study.head_epochs, study.seed) == ((64, 128), 2, -1)
    assert (study.prevalence, study.lr, parse("--size", "None").size) == ((0.1, 0.5), 0.001, None)


def test_a_yaml_value_of_a_wrong_type_is_refused(tmp_path, capsys):
    (tmp_path / "wrong.yaml").write_text("folds: many")
    assert status_of("--config", tmp_path / "wrong.yaml") == 2
    said = f"error: --config {tmp_path / 'wrong.yaml'}: --folds is 'many': give a whole number\n"
    assert capsys.readouterr().err == said


def test_a_wrong_option_says_what_is_allowed(capsys):
    assert status_of("--padding", "blue") == 2
    error = capsys.readouterr().err
    assert all(allowed in error for allowed in ("white", "zero", "edge", "reflect"))
    assert status_of("--fold", "5") == 2
    assert "--folds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--heads", "logrg"], "error: no head is called 'logrg': did you mean 'logreg'?"),
        (["--reducers", "ipac"], "error: no reducer is called 'ipac'"),
        (["--threshold", "high"], "error: --threshold is 'high': allowed are balanced, youden, 'sensitivity>=0.95' ("),
        (["--folds", "1"], "error: --folds is 1: at least 2"),
        (["--size", "sixtyfour"], "error: --size is 'sixtyfour': give one or more whole numbers\n"),
        (
            ["--size", "64", "x.csv", "--folds", "3"],
            "error: --size is '64 x.csv': give one or more whole numbers; DATA ",
        ),
        (["--jobs=1.5"], "error: --jobs is '1.5': give a whole number\n"),
        (["--folds", "None"], "error: --folds is 'None': give a whole number\n"),
        (["--prevalence", "0.1", "half"], "error: --prevalence is '0.1 half': give one or more numbers; "),
        (
            ["--heads", "svm", "--seed", "1", "--heads=dummy"],
            "error: --heads is given twice: give it once, with all of",
        ),
        (["--with", "age", "--with", "sex"], "error: --with is given twice: give it once, with all of its values"),
        (["--heads", "svm", "svm"], "error: --heads is svm svm: give each name once"),
        (["--memory", "much"], "error: --memory is 'much': write a size such as 4GB"),
        (["/nowhere"], "error: there is no /nowhere: give a folder of images, a zip or tar, a CSV or a feature table"),
    ],
)
def test_bad_input_is_one_message_and_status_2(feature_table, capsys, arguments, said):
    data = [] if arguments[0].startswith("/") else [feature_table]
    assert status_of(*data, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(said) and "Traceback" not in error


@pytest.mark.parametrize(
    ("option", "name"), [("--features", "clasical"), ("--reducers", "pac"), ("--heads", "logrg"), ("--nets", "compct")]
)
def test_an_unknown_name_is_told_before_data_are_read(capsys, option, name):
    assert status_of("/nowhere", option, name) == 2
    assert f" is called {name!r}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "known"), [("--features", "classical"), ("--reducers", "pca"), ("--heads", "svm"), ("--nets", "compact")]
)
def test_data_behind_names_are_told_from_a_wrong_name(tmp_path, capsys, option, known):
    assert status_of("/nowhere", option, known, str(tmp_path)) == 2
    assert f"; {str(tmp_path)!r} is a file or folder: DATA stands before the options" in capsys.readouterr().err
    assert status_of("/nowhere", option, known, str(tmp_path / "none")) == 2
    assert "stands before" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "name", "kind", "near"),
    [
        ("--features", "resnet19", "feature", "'resnet18', 'resnet152' or 'resnet101'"),
        ("--nets", "compct", "net", "'compact', 'homemade-224' or 'homemade-128'"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_three_and_where_all_are(
    phantom_folder, tmp_path, capsys, option, name, kind, near
):
    assert status_of(phantom_folder, option, name, "--cache", tmp_path) == 2
    error = capsys.readouterr().err
    lists = f"python -m studies.check --names --kind {kind}"
    assert f"no {kind} is called {name!r}: did you mean {near}? all names: {lists}; also " in error
    with pytest.raises(SystemExit):
        run_main(check.main, lists.split()[3:])
    assert set(near.replace("'", "").replace(" or ", ", ").split(", ")) < set(capsys.readouterr().out.split("\n"))


def test_pixels_of_a_feature_table_are_refused(feature_table, capsys):
    assert status_of(feature_table, "--features", "pixels") == 2
    assert "is a feature table without images; use file: features" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [ValueError("ours"), KeyError("ours"), OSError("ours")])
def test_a_fault_of_ours_keeps_its_traceback_below_how_to_report_it(feature_table, capsys, monkeypatch, fault):
    def broken(*arguments, **named):
        raise fault

    monkeypatch.setattr("glomfeat.comparison.compare.compare", broken)
    assert status_of(feature_table, "--heads", "logrg") == 2, "this fault is the user's"
    assert capsys.readouterr().err.count("\n") == 1
    assert status_of(feature_table, "--heads", "logreg", "--positive", "1") == 3
    sentence, command, _, traceback = capsys.readouterr().err.split("\n", 3)
    assert sentence.startswith("This is a fault of glomfeat ") and "Please report it" in sentence
    assert command == f"python -m studies.compare {feature_table} --heads logreg --positive 1"
    assert traceback.startswith("Traceback") and "in broken" in traceback
    assert traceback.endswith(f"{type(fault).__name__}: {fault}\n")


def test_what_the_system_says_of_a_file_is_one_message(capsys):
    def missing(arguments):
        Path("/nowhere/at all").read_bytes()

    with pytest.raises(SystemExit) as stopped:
        run_main(missing, [])
    assert stopped.value.code == 2
    said = "[Errno 2] No such file or directory: '/nowhere/at all'; check that it exists and may be read"
    assert capsys.readouterr().err == f"error: {said}, and run the same command again\n"


def test_the_command_of_a_fault_is_the_one_that_was_typed(tmp_path):
    (tmp_path / "broken.py").write_text(
        "from studies._cli import run_main\ndef main(arguments):\n    raise ValueError\nrun_main(main)\n"
    )
    asked = [sys.executable, "-m", "broken", "a b"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 3 and "\npython -m broken 'a b'\n" in done.stderr


class Forgetful:
    """Python drops what is raised while it cleans this up."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


def in_a_clean_up(number):
    Forgetful(number)
    time.sleep(30)
    raise AssertionError("the command went on")


def in_the_last_clean_up(number):
    Forgetful(number)


@pytest.mark.parametrize("when", [signal.raise_signal, in_a_clean_up, in_the_last_clean_up])
@pytest.mark.parametrize(
    ("number", "status", "what"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_a_signal_is_one_line_and_a_status(capsys, number, status, what, when):
    before, hook = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}, sys.unraisablehook
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a command in the background does not have
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as stopped:
            run_main(lambda arguments: when(number), [])
        assert {signal.getsignal(one) for one in before} == {signal.SIG_DFL}, "a second one ends it at once"
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert stopped.value.code == status and sys.unraisablehook is hook
    assert capsys.readouterr().err == f"{what}; what is finished is kept, run the same command again to continue\n"


def test_ctrl_c_is_a_status_and_no_end_by_a_signal_wherever_it_arrives(tmp_path):
    (tmp_path / "stopped.py").write_text(
        "import signal\nfrom studies._cli import run_main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "run_main(lambda arguments: exec('signal.raise_signal(signal.SIGINT)'), [])\n"
    )
    done = subprocess.run([sys.executable, "-m", "stopped"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)


def test_other_errors_of_a_clean_up_are_shown_as_python_does(capsys):
    class Broken:
        def __del__(self):
            raise ValueError("no room")

    shown, before, hook = [], signal.getsignal(signal.SIGTERM), sys.unraisablehook
    sys.unraisablehook = lambda unraisable: shown.append(unraisable.exc_type)
    try:
        with pytest.raises(SystemExit) as ended:
            run_main(lambda arguments: Broken() and DONE, [])
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)
    assert shown == [ValueError] and ended.value.code == DONE


def help_of(main, capsys):
    """The boxes of ``--help``: of each title its text, and all that is said."""
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    _, *parts = re.split(r"^\W*((?:\w+ )?options|positional arguments)\W*$", said, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True)), said


def named_in(box):
    return re.findall(r"^. --([a-z][a-z-]*)", box, re.MULTILINE)


def test_help_stands_in_groups_with_what_most_people_need_first(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    boxes, said = help_of(compare.main, capsys)
    groups = [f"{name} options" for name in ("data", "comparison", "fold", "network", "output", "machine")]
    assert list(boxes) == ["positional arguments", "options", *groups]
    first = "labels positive groups features heads nets folds weights out dry-run"
    assert named_in(boxes["options"]) == first.split()
    every = [name for box in boxes.values() for name in named_in(box)]
    assert sorted(every) == sorted(f.name.rstrip("_").replace("_", "-") for f in fields(Study) if f.name != "data")
    for shown in ("--labels PATH", "--folds N", "--features NAME ...", "--memory SIZE", "--padding {white,", "[DATA]"):
        assert shown in said
    assert "{None}" not in said and "STR" not in said and "(default: None)" not in said
    assert {"epochs", "lr", "preset"} < set(named_in(boxes["network options"]))
    assert "jobs" in named_in(boxes["machine options"]) and "scheme" in named_in(boxes["fold options"])


def test_an_option_that_no_group_names_stands_where_the_one_before_it_stands():
    @dataclass(frozen=True)
    class More(Study):
        style: str | None = None
        """A style."""

    group = next(field for field in fields(parser_of(More, {})) if field.name == "output_group")
    assert "style" in {field.name for field in fields(group.default_factory())}
    assert parse_options(More, ["--style", "mine"], "more").style == "mine"


def test_the_module_answers_help():
    done = subprocess.run(
        [sys.executable, "-m", "studies.compare", "--help"], capture_output=True, text=True, check=True
    )
    said = " ".join(done.stdout.replace("│", " ").split())
    assert "--features" in said and "(default: classical resnet18)" in said


def test_the_phantom_says_what_it_is_and_what_to_type_next(phantom_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("glomfeat.comparison.prepare.built_in", lambda *rest: str(phantom_folder))
    monkeypatch.setattr("glomfeat.report.write.find_figures", list)
    assert compare.main([*SMALL, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]) == 0
    (line,) = (one for one in capsys.readouterr().out.split("\n") if one.startswith("data: "))
    assert line == (
        "data: the built-in phantom; these are drawn cartoons of glomeruli in made-up cases, to see how everything "
        "works: no figure says anything about patients. For images of yours: python -m studies.compare FOLDER, where "
        "FOLDER has a sub-folder for each class."
    )
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<strong>The built-in phantom.</strong> These are drawn cartoons of glomeruli" in page
    assert "python -m studies.compare FOLDER" in page
