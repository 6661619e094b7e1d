"""The site holds every page once, its links lead somewhere, and it builds without a warning and without other hosts."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import glomfeat

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "glomfeat" / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
OF_THE_SITE = ["docs/gallery.md", "docs/index.md", "docs/options.md", "docs/reference.md"]  # empty without Sphinx
CODE = re.compile(r"^(```|~~~).*?^\1$|`[^`]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def navigation():
    """The pages of the navigation, by its headings."""
    found = {}
    for tree in re.findall(r"^:::\{toctree\}\n(.*?)^:::$", (DOCS / "index.md").read_text("utf-8"), re.DOTALL | re.M):
        lines = tree.split()
        caption = re.search(r":caption: (.+)", tree)[1]
        found[caption] = [line for line in tree.splitlines() if line and not line.startswith(":")]
        assert lines
    return found


def anchors(text):
    """What GitHub and the site call the headings of a page in links."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^(```|~~~).*?^\1$", "", text, flags=re.DOTALL | re.M), re.M):
        plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading).lower()
        found.append(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return [f"{name}-{found[:k].count(name)}" if name in found[:k] else name for k, name in enumerate(found)]


def test_every_page_is_in_the_navigation_once():
    found = [page for pages in navigation().values() for page in pages]
    assert sorted([*found, "index"]) == sorted(path.stem for path in DOCS.glob("*.md"))
    assert list(navigation()) == ["Tutorials", "How to", "Reference", "Explanation", "Gallery"]
    assert len(navigation()["Tutorials"]) == 6


def test_anchors_are_those_of_github():
    text = "# A `b`: c, d!\n## [E](f.md) 2.5\n```text\n# no\n```\n## A b c d\n"
    assert anchors(text) == ["a-b-c-d", "e-25", "a-b-c-d-1"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(CODE.sub("", text)):
        if re.match(r"(https?|mailto):", link):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), f"{page.name} links to {link}, which is not there"
        if heading:
            assert heading in anchors(target.read_text(encoding="utf-8")), f"{page.name} links to {link}"
        if page.name != "README.md" and target.suffix == ".md":
            assert target.parent == DOCS, f"{page.name} links to {link}, which is no page of the site"


def test_reference_has_every_public_name_and_every_command():
    reference, options = ((DOCS / f"{page}.md").read_text(encoding="utf-8") for page in ("reference", "options"))
    assert not {name for name in glomfeat.__all__ if f"glomfeat.{name}" not in reference} - {"__version__"}
    studies = {path.stem for path in (ROOT / "studies").glob("[a-z]*.py")}
    studies |= {path.parent.name for path in (ROOT / "studies").glob("*/__main__.py")}
    assert set(re.findall(r"^:::\{options\} (\w+)$", options, re.M)) == studies


def test_readme_is_short_enough_to_be_read():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("\n") <= 250


def test_wheel_takes_the_pages_and_nothing_that_builds_the_site():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "docs/*.md" in settings["package-data"]["glomfeat"]
    assert settings["exclude-package-data"]["glomfeat"] == OF_THE_SITE
    assert not [entry for entry in settings["package-data"]["glomfeat"] if entry.endswith((".py", "static/*"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason='pip install -e ".[docs]" brings what builds the site')
    place = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {"http_proxy": nowhere, "https_proxy": nowhere}
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(place / "html")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr  # -W makes an error of every warning
    return place / "html"


@pytest.mark.slow
def test_site_loads_nothing_from_other_hosts(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+"', text), path.name
    for path in (site / "_static").rglob("*.css"):
        assert not re.findall(r"@import[^;]+//|url\(['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path.name


@pytest.mark.slow
def test_site_has_a_home_options_reference_and_figures(site):
    home, options, reference, gallery = (
        (site / f"{page}.html").read_text(encoding="utf-8") for page in ("index", "options", "reference", "gallery")
    )
    assert '<a class="reference internal" href="data.html">' in home and "glomfeat/docs" not in home
    for option in ("compare-features", "compare-with", "refit-arm", "crops-mpp", "cache-free-older"):
        assert f'id="{option}"' in options
    text = re.sub(r"<[^>]+>", "", options)
    assert "default: classical resnet18)" in text and "--with NAME" in text
    assert 'id="glomfeat.compare"' in reference and "Default: the built-in phantom" in reference
    shown = re.findall(r'src="(_images/[\w-]+\.svg)"', gallery)
    assert len(shown) >= 14
    for name in shown:
        assert (site / name).stat().st_size > 5000
