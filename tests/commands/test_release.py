"""What goes out with a release says the same as the package: who to cite, the recipe of conda, the container."""

import json
import re
import tomllib
from pathlib import Path

import jinja2
import yaml

import glomfeat

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
OF_CONDA = {"torch": "pytorch", "xgboost": "py-xgboost", "matplotlib": "matplotlib-base"}


def test_the_citation_has_what_its_format_asks_for_and_names_this_version():
    assert set(CITATION) >= {"cff-version", "message", "title", "authors"}
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert str(CITATION["version"]) == glomfeat.__version__
    assert CITATION["license"] == PROJECT["license"]
    for author in CITATION["authors"]:
        assert set(author) in ({"name"}, {"family-names", "given-names"}, {"family-names", "given-names", "orcid"})


def test_the_archive_is_told_what_the_citation_says():
    archive = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert archive["upload_type"] == "software"
    assert archive["license"] == CITATION["license"]
    for name, other in {"title": "title", "keywords": "keywords", "description": "abstract"}.items():
        assert archive[name] == CITATION[other], f"{name} of .zenodo.json is not {other} of CITATION.cff"
    names = [author.get("name") or "{family-names}, {given-names}".format(**author) for author in CITATION["authors"]]
    assert [creator["name"] for creator in archive["creators"]] == names


def read_recipe():
    """The recipe as conda-build reads it, which has the two functions that load from files."""

    def load(path, from_recipe_dir):
        assert from_recipe_dir
        return (ROOT / ".github" / "conda" / path).read_text(encoding="utf-8")

    text = (ROOT / ".github" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    filled = jinja2.Template(text, undefined=jinja2.StrictUndefined).render(
        PYTHON="python",
        load_file_data=lambda path, from_recipe_dir: tomllib.loads(load(path, from_recipe_dir)),
        load_file_regex=lambda path, pattern, from_recipe_dir: re.search(pattern, load(path, from_recipe_dir)),
    )
    return yaml.safe_load(filled)


def test_the_recipe_of_conda_has_the_version_and_the_bounds_of_the_package():
    recipe = read_recipe()
    assert recipe["package"] == {"name": "glomfeat", "version": glomfeat.__version__}
    assert (ROOT / ".github" / "conda" / recipe["source"]["path"]).resolve() == ROOT
    bounds = {}
    for need in PROJECT["dependencies"]:
        name, found = re.fullmatch(r"([\w-]+)(>=.+)", need).groups()
        bounds[OF_CONDA.get(name, name)] = found
    assert dict(need.split(" ") for need in recipe["requirements"]["run"]) == bounds | {
        "python": PROJECT["requires-python"]
    }
    assert recipe["about"]["license"] == PROJECT["license"]


def test_the_container_copies_and_installs_what_there_is():
    lines = (ROOT / ".github" / "Containerfile").read_text(encoding="utf-8").splitlines()
    for copied in (line.split()[1:-1] for line in lines if line.startswith("COPY ")):
        assert all((ROOT / path).exists() for path in copied)
    python = next(re.fullmatch(r"FROM python:(\d+\.\d+)-slim", line)[1] for line in lines if line.startswith("FROM"))
    tested = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    assert python in tested["jobs"]["default"]["strategy"]["matrix"]["python"]
    extras = re.search(r'"\.\[(.+)\]"', "\n".join(lines))[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_the_workflow_builds_the_container_and_the_recipe_and_reviews_the_repository():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "packages.yml").read_text(encoding="utf-8"))["jobs"]
    runs = {name: " ".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert "docker build -f .github/Containerfile" in runs["container"]
    assert "build --channel conda-forge .github/conda" in runs["conda"]
    assert runs["review"].endswith("sp-repo-review .")


def test_pages_beside_the_code_link_to_what_is_there():
    for page in sorted((ROOT / ".github").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
