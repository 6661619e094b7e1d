"""The paper's tables and figures: what makes them, that the paper names no other, and that its references are ours."""

import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.running import refusal
from PIL import Image

from glomfeat.core.settings import write_settings
from glomfeat.data import phantom
from glomfeat.report.references import OF_PROGRAMS, WORKS
from studies import compare, coverage, paper
from studies._cli import parse_options
from studies.coverage.best_of import CORRECTED, HOLM, MAX_T, SEEN
from studies.coverage.simulate import CASES, IMAGES, OURS, PAIRED, PAIRED_CASES, PAIRED_IMAGES, RESAMPLED, WILCOXON
from studies.paper import Paper
from studies.paper.steps import QUICK_SAID, is_finished, left_out, steps_of
from studies.paper.write import FIGURES, TABLES, leaks, write_all

PLACE = Path(__file__).parents[2] / "glomfeat" / "docs" / "paper"
TEXT = (PLACE / "paper.md").read_text(encoding="utf-8")
STATISTICS = (PLACE.parent / "statistics.md").read_text(encoding="utf-8")
BIBTEX = (PLACE / "paper.bib").read_text(encoding="utf-8")
SCENARIO = "weak"


def test_every_figure_of_the_paper_is_one_that_the_study_makes():
    figures = re.findall(r"\]\(figures/(\w+)\.png\)", TEXT)
    assert figures and len(figures) == TEXT.count("![")
    assert set(figures) <= set(FIGURES)
    assert {path.name for path in (PLACE / "figures").iterdir()} == {f"{name}.png" for name in figures}


def test_simulated_numbers_of_the_paper_are_those_of_the_statistics_page_with_their_commands():
    tables = re.findall(r"^\|.*?(?=\n\n)", TEXT, re.DOTALL | re.MULTILINE)
    assert len(tables) == 2
    # the page also says in its headings what the columns mean
    assert all("\n" + table.partition("\n")[2] + "\n" in STATISTICS for table in tables)
    said, ten = " ".join(TEXT.split()), STATISTICS.split("| ten equal arms |")[1].split("\n\n")[0]
    seen, corrected, worse = (
        [float(cell.strip()) for cell in re.search(rf"^\| {re.escape(row)} \|(.*)\|$", ten, re.MULTILINE)[1].split("|")]
        for row in ("AUROC of the best less that of all arms, as seen", "**corrected**", "**max-T over cases**")
    )
    assert f"by {min(seen):.3f} to {max(seen):.3f} in AUROC" in said
    after = f"{min(corrected):.3f} to {max(corrected):.3f}" if any(corrected) else "less than 0.001"
    assert f"by {after} after the correction" in said
    assert f"in {min(worse):.1f} to {max(worse):.1f} % of studies" in said
    for command in re.findall(r"`(python -m studies\.coverage [^`]+)`", said):
        assert command in " ".join(STATISTICS.split())
        parse_options(coverage.Coverage, shlex.split(command)[3:], "coverage")


def test_the_page_lists_every_table_and_figure():
    page = (PLACE.parent / "paper.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([\w/]+\.(?:csv|png))`", page.split("## glomfeat's own paper")[1]))
    assert listed == {f"{name}.csv" for name in TABLES} | {f"figures/{name}.png" for name in FIGURES}


def test_what_the_paper_cites_is_in_its_references_and_nothing_else():
    found = re.findall(r"^(@\w+\{(\w+),.*?^\})$", BIBTEX, re.DOTALL | re.MULTILINE)
    entries = {key: whole for whole, key in found}
    assert set(re.findall(r"@([a-z]+\d{4})", TEXT)) == set(entries)
    kept = {work.key: work.to_bibtex().strip() for work in (*WORKS.values(), *OF_PROGRAMS.values())}
    shared = set(kept) & set(entries)
    assert len(shared) >= 5
    for key in shared:
        assert entries[key] == kept[key], f"{key} is otherwise in methods.bib"


def test_the_paper_has_the_sections_and_the_length_that_the_journal_asks_for():
    _, front, text = TEXT.split("---\n", 2)
    said = yaml.safe_load(front)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= set(said)
    assert {author["affiliation"] for author in said["authors"]} == {place["index"] for place in said["affiliations"]}
    asked = ("Summary", "Statement of need", "State of the field", "Software design", "Research impact statement")
    for section in (*asked, "AI usage disclosure", "References"):
        assert f"\n# {section}\n" in text
    prose = re.sub(r"^\|.*$|<!--.*?-->|```.*?```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert 750 <= len(prose.split()) <= 1750


def test_commands_of_the_paper_are_read():
    commands = re.findall(r"python -m studies\.paper[^`\n]*", TEXT)
    assert commands
    for command in commands:
        parse_options(Paper, shlex.split(command)[3:], "paper")


def test_each_study_is_a_command_that_its_own_parser_reads(tmp_path):
    options = Paper(texture="t.csv", breakhis="images", memory="2GB", jobs=2, cache="c", out=str(tmp_path))
    steps = steps_of(options)
    assert [step.name for step in steps] == ["phantom", "texture", "breakhis", "coverage", "best_of"]
    for step in steps:
        python, _, module, *arguments = shlex.split(step.command)
        assert (python, module, tuple(arguments)) == ("python", step.study.__name__, step.arguments)
        cls = coverage.Coverage if step.study is coverage else compare.Study
        parsed = parse_options(cls, arguments, step.name)
        assert (Path(parsed.out), parsed.jobs) == (tmp_path / step.name, 2)
        assert step.out == tmp_path / step.name
        assert step.study is coverage or (parsed.leak_price and parsed.memory == "2GB")


def test_what_is_not_given_is_told():
    assert left_out(Paper()) == [
        "left out: the kidney texture table; --texture FILE says where it is",
        "left out: BreaKHis; --breakhis FOLDER says where its images are",
    ]
    assert left_out(Paper(texture="t.csv", breakhis="b", quick=True)) == [QUICK_SAID]
    assert [step.name for step in steps_of(Paper())] == ["phantom", "coverage", "best_of"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--simulations 1", "--simulations is 1: give 2 or more"),
        ("--jobs 0", "--jobs is 0: give 1 or more"),
        ("--texture no.csv", "--texture no.csv is not a file: give the CSV of the feature table, or leave it out"),
        ("--breakhis no", "--breakhis no is not a folder: give the one with benign and malignant, or leave it out"),
    ],
)
def test_what_no_study_can_be_made_of_is_refused_before_any_runs(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(paper.main, capsys, *arguments.split()) == f"error: {said}\n"
    assert not list(tmp_path.iterdir())


def test_a_simulation_is_finished_if_it_was_made_with_these_options(tmp_path):
    step = next(step for step in steps_of(Paper(out=str(tmp_path))) if step.name == "best_of")
    assert not is_finished(step)
    step.out.mkdir()
    made = parse_options(coverage.Coverage, step.arguments, "coverage")
    write_settings(asdict(replace(made, jobs=7)), step.out / "study.yaml")
    assert is_finished(step)
    other = next(step for step in steps_of(Paper(out=str(tmp_path), simulations=7)) if step.name == "best_of")
    assert not is_finished(other)


@pytest.fixture
def finished(tmp_path):
    """Folders such as the studies write, with a few rows."""
    steps = steps_of(Paper(out=str(tmp_path)))
    for step in steps:
        step.out.mkdir()
    place = tmp_path / "phantom"
    dummy = {"arm": "none/none/dummy", "status": "done"}
    arm = {"arm": "classical.v1/none/svm", "status": "done"}
    price = {"auroc_by_case": 0.8, "auroc_by_image": 0.95, "auroc_price": 0.15}
    price |= {"auroc_price_lo": 0.05, "auroc_price_hi": 0.25}
    failed = {"arm": "a|b.v1/none/svm", "status": "failed"}
    pd.DataFrame([arm | price, dummy | price, failed]).to_csv(place / "leak_price.csv", index=False)
    figures = {"auroc": 0.8, "auroc_lo": 0.7, "auroc_hi": 0.9, "auroc_procedure_lo": 0.65, "auroc_procedure_hi": 0.92}
    figures |= {"sensitivity_t": 0.75, "specificity_t": 0.7, "brier": 0.1, "tied_with_best": True}
    pd.DataFrame([arm | figures, dummy | figures, failed]).to_csv(place / "results.csv", index=False)
    best = {"arm": arm["arm"], "auroc": 0.8, "corrected": 0.79, "corrected_lo": 0.6, "corrected_hi": 0.9}
    pd.DataFrame([best | {"chosen": 0.5, "arms": 2}]).to_csv(place / "best_of_many.csv", index=False)
    trial = {"fit_s": 2.0, "predict_s": 0.5, "tree_pss_mb": 300.0}
    pd.DataFrame([trial, trial | {"fit_s": 3.0}]).to_csv(place / "trials.csv", index=False)
    pd.DataFrame({"case": list("aab")}).to_csv(place / "folds.csv", index=False)
    drawn = [("coverage", method, 0.95) for method in (OURS, CASES, IMAGES)]
    drawn += [("false alarms", method, 0.04) for method in (PAIRED, PAIRED_CASES, PAIRED_IMAGES, RESAMPLED, WILCOXON)]
    rows = [(question, SCENARIO, "auroc", method, rate) for question, method, rate in drawn]
    rows.append(("coverage", SCENARIO, "brier", OURS, 0.5))
    names = ["question", "scenario", "metric", "method", "rate"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "coverage" / "coverage.csv", index=False)
    of_best = [(SEEN, 0.0123, 0.8), (CORRECTED, 0.0, 0.99), (MAX_T, None, 0.02), (HOLM, None, 0.09)]
    named = pd.DataFrame(of_best, columns=["method", "bias", "rate"]).assign(scenario=SCENARIO, arms=10)
    named.to_csv(tmp_path / "best_of" / "best_of.csv", index=False)
    return steps, tmp_path


def test_tables_say_what_the_studies_wrote_and_figures_are_drawn(finished):
    steps, out = finished
    said = write_all(steps, out, quick=False)
    assert said[0].startswith(f"tables in {out}: leak.csv and leak.md, ")
    shown = {name: (out / f"{name}.md").read_text(encoding="utf-8") for name in TABLES}
    assert "| phantom | classical + SVM | 0.950 | 0.800 | +0.150 (+0.050 to +0.250) |" in shown["leak"]
    assert "| failed |" in shown["leak"] and "dummy" not in shown["leak"] + shown["arms"]
    assert "| 0.800 (0.700 to 0.900) | 0.650 to 0.920 | 0.750 | 0.700 | yes |" in shown["arms"]
    assert "| phantom | classical + SVM, of 2 | 0.800 | 0.790 (0.600 to 0.900) | 50 |" in shown["best"]
    assert "| phantom | 3 | 2 | 2 | 6.0 | 3.5 | 300 |" in shown["cost"]
    assert f"| 95 % limits of AUROC that hold the truth | {OURS} | 95.0 % |" in shown["coverage"]
    assert f"| AUROC above the mean of all arms | {SEEN} | +0.012 |" in shown["best_of"]
    assert f"| some arm called worse | {HOLM} | 9.0 % |" in shown["best_of"]
    assert not any(QUICK_SAID in text for text in shown.values())
    assert list(pd.read_csv(out / "coverage.csv")["metric"].unique()) == ["auroc"]
    for name in FIGURES:
        with Image.open(out / "figures" / f"{name}.png") as image:
            assert image.width > 1000
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_tables_of_a_quick_run_say_that_they_are_not_the_papers(finished, monkeypatch):
    steps, out = finished
    monkeypatch.setattr("studies.paper.write.save_figures", lambda *given: None)  # takes long
    write_all(steps, out, quick=True)
    assert all(QUICK_SAID in (out / f"{name}.md").read_text(encoding="utf-8") for name in TABLES)


@pytest.fixture
def few(monkeypatch):
    """A phantom of some images."""
    spec = phantom.Phantom(images=48, cases=8, min_px=60, max_px=90)
    monkeypatch.setattr(
        "glomfeat.comparison.prepare.built_in",
        lambda cache, jobs, of: phantom.make_phantom(phantom.folder_in(cache, spec), spec),
    )


@pytest.mark.slow
def test_a_quick_run_makes_everything_and_the_same_again_from_what_is_finished(few, tmp_path, feature_table, capsys):
    asked = ["--quick", "--jobs", "1", "--texture", str(feature_table), "--cache", str(tmp_path / "cache")]
    asked += ["--out", str(tmp_path / "out")]
    assert paper.main([*asked, "--dry-run"]) == 0
    assert not (tmp_path / "out").exists()
    assert "phantom: python -m studies.compare" in capsys.readouterr().out
    assert paper.main(asked) == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    assert set(first) == {f"{name}.csv" for name in TABLES}
    assert paper.main(asked) == 0
    assert capsys.readouterr().out.count("\nfinished\n") == 2
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}


@pytest.mark.slow
def test_the_papers_figure_of_the_phantom_is_what_the_study_makes(tmp_path):
    options = Paper(out=str(tmp_path / "out"), cache=str(tmp_path / "cache"))
    phantoms = [step for step in steps_of(options) if step.name == "phantom"]
    assert compare.main(list(phantoms[0].arguments)) == 0
    prices = leaks(phantoms)
    assert f"up to {prices['auroc_price'].max():.3f}" in " ".join(TEXT.split())
