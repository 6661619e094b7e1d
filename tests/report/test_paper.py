"""Figures for a paper: kinds of files, widths of columns, embedded fonts, and a style of the user's."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import pytest
from helpers.reports import write_folder
from helpers.running import refusal
from helpers.runs import make_run
from matplotlib.text import Text
from PIL import Image

from glomfeat.comparison.options import Study
from glomfeat.core.arms import StudyError
from glomfeat.core.errors import InputError
from glomfeat.report.content import read_content
from glomfeat.report.drawing import STYLE, to_chart
from glomfeat.report.figures import confusion, forest, ranking
from glomfeat.report.paper import Paper, drawn_for, save_figures, what_is_cut
from glomfeat.report.styles import check_style
from glomfeat.report.write import write_report
from studies import report

pytestmark = pytest.mark.usefixtures("dealt_once")

POINTS = 72 / 25.4  # of a millimetre


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("paper") / "out", make_run())


@pytest.fixture(scope="module")
def content(out):
    return read_content(out)


def drawn(paper, content, folder, *figures):
    folder.mkdir(exist_ok=True)
    with drawn_for(paper):
        pictures = [figure.draw(content) for figure in figures]
    save_figures(pictures, folder, paper, STYLE, dpi=50)
    return [picture.figure for picture in pictures]


@pytest.mark.parametrize(("column", "wide"), [(1, 89), (2, 180)])
def test_files_are_as_wide_as_columns_and_bring_their_fonts(content, tmp_path, column, wide):
    drawn(Paper(("png", "svg", "pdf"), column), content, tmp_path, forest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forest.pdf", "forest.png", "forest.svg"]
    pdf = (tmp_path / "forest.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ ?([\d. ]+)\]", pdf)[1].split()
    assert float(box[2]) == pytest.approx(wide * POINTS, abs=0.1)
    assert b"/FontFile2" in pdf and b"/CIDFontType2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
    svg = ElementTree.parse(tmp_path / "forest.svg").getroot()
    assert float(svg.get("width").removesuffix("pt")) == pytest.approx(wide * POINTS, abs=0.1)
    assert not list(svg.iter("{http://www.w3.org/2000/svg}text")), "letters are drawn, so that no font is needed"
    with Image.open(tmp_path / "forest.png") as image:
        assert image.width == pytest.approx(wide / 25.4 * 50, abs=1)


def test_panels_that_would_be_too_narrow_stand_below_each_other(content, tmp_path):
    curves, matrices = drawn(Paper(column=1), content, tmp_path, ranking, confusion)
    roc, recall = (axis.get_position() for axis in curves.axes)
    assert roc.x0 == pytest.approx(recall.x0, abs=0.01) and roc.y0 > recall.y1 and roc.width > 0.6
    left, right = matrices.axes[:2]
    assert left.get_position().x1 < right.get_position().x0 and left.get_ylabel() == "truth" and not right.get_ylabel()
    renderer = matrices.canvas.get_renderer()
    texts = [next(text for text in axis.findobj(Text) if "decision" in text.get_text()) for axis in (left, right)]
    titles = [text.get_window_extent(renderer) for text in texts]
    assert titles[0].x1 <= titles[1].x0 and titles[1].x1 <= matrices.bbox.x1, "titles are folded, not cut"


@pytest.mark.parametrize(("size", "drawn_at"), [(14, 7), (6, 6)])
def test_text_of_a_style_that_is_too_broad_for_a_column_is_drawn_smaller(content, tmp_path, size, drawn_at):
    (tmp_path / "large").write_text(f"font.size: {size}\naxes.titlesize: x-large\naxes.labelsize: {size}\n")
    paper = Paper(("png",), 1, str(tmp_path / "large"))
    with drawn_for(paper):
        picture = forest.draw(content)
    box, (axis,) = picture.figure.get_tightbbox(), picture.figure.axes
    assert box.x0 >= 0 and box.x1 <= 89 / 25.4
    assert axis.get_position().width > 0.2, "there is room for the limits"
    assert axis.xaxis.label.get_size() == drawn_at and what_is_cut([picture], paper) == ""


def test_figures_that_no_size_of_text_fits_are_named(out, tmp_path, monkeypatch, capsys):
    (tmp_path / "long").write_text("ytick.major.size: 220\n")  # points, which matrices are drawn without
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [forest, confusion])
    monkeypatch.setattr("glomfeat.report.write.save_figures", lambda *given: None)
    report.main([str(out), "--column", "1", "--style", str(tmp_path / "long")])
    assert (
        "--column 1: forest: text is broader than 89 mm and is cut, even at 5.5 points: take --column 2 or no "
        "--column, another --style, or shorter names"
    ) in capsys.readouterr().out.replace("\n", " ")


def test_a_style_gives_the_files_their_colours_and_leaves_the_page(content, tmp_path):
    style = tmp_path / "mine.mplstyle"
    style.write_text(
        "axes.prop_cycle: cycler('color', ['123456', '654321'])\nfont.family: serif\nsavefig.bbox: tight\n"
    )
    drawn(Paper(("svg",), None, str(style)), content, tmp_path, forest)
    text = (tmp_path / "forest.svg").read_text()
    assert "#123456" in text and "#0072b2" not in text
    assert "DejaVuSerif" in text, "glyphs of the style's font"
    chart = to_chart(forest.draw(content))
    assert "var(--arm-0)" in chart.drawing and "#123456" not in chart.drawing
    assert matplotlib.rcParams["font.family"] == ["sans-serif"], "the user's own settings are left alone"


def test_a_report_writes_what_is_asked_for_and_leaves_no_older_kind(out, monkeypatch, capsys):
    monkeypatch.setattr("glomfeat.report.write.find_figures", lambda: [forest])
    report.main([str(out), "--figures", "pdf", "svg"])
    page = (out / "report.html").read_text()
    (out / "figures" / "mine.txt").touch()
    assert {path.name for path in (out / "figures").iterdir()} == {"forest.pdf", "forest.svg", "mine.txt"}
    monkeypatch.setattr("glomfeat.report.write.save_pngs", lambda pictures, folder: (folder / "forest.png").touch())
    write_report(out)
    assert {path.name for path in (out / "figures").iterdir()} == {"forest.png", "mine.txt"}
    assert (out / "report.html").read_text() == page
    said = refusal(report.main, capsys, out, "--style", "ggplt")
    assert said.startswith("error: --style ggplt is neither a file nor a style of Matplotlib's: did you mean 'ggplot'?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('font.family: "Arial', "cannot be read: Missing closing quote"),
        ("", "holds no parameter of Matplotlib's: write lines such as font.family: Arial"),
        ("axes.prop_cycle: cycler('linestyle', ['-'])\ntext.usetex: True\n", "asks for what cannot be drawn here"),
    ],
)
def test_a_style_that_cannot_be_used_is_refused(tmp_path, monkeypatch, text, said):
    (tmp_path / "bad").write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path))  # no LaTeX
    with pytest.raises(InputError, match=f"^--style {tmp_path}/bad {said}"):
        check_style(str(tmp_path / "bad"))
    with pytest.raises(InputError, match=r"^--style https://a.b/c is neither a file nor"):
        Study(style="https://a.b/c").check()


def test_a_font_that_is_not_there_is_told(tmp_path):
    (tmp_path / "style").write_text("font.family: No Such Font\n")
    said = []
    check_style(str(tmp_path / "style"), said.append)
    assert said == [f"--style {tmp_path}/style: this machine has no font No Such Font; DejaVu Sans is taken"]


def test_a_kind_is_asked_for_once():
    for figures, said in (((), "empty"), (("pdf", "pdf"), "pdf pdf")):
        with pytest.raises(StudyError, match=f"^--figures is {said}: give each kind once$"):
            replace(Study(), figures=figures).check()
