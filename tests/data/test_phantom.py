import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.core.errors import InputError
from glomfeat.data import phantom
from glomfeat.data.cartoon import render
from glomfeat.data.manifest import read_manifest
from glomfeat.data.phantom import (
    BAND,
    FOLDERS,
    Phantom,
    folder_in,
    make_phantom,
    plan_phantom,
    read_phantom,
)
from glomfeat.data.schemes import find_scheme

SMALL = Phantom(images=24, cases=6, min_px=64, max_px=96)
MEDIUM = Phantom(images=120, cases=12, positives=0.4, min_px=90, max_px=130)
NAME = re.compile(r"P\d{3}_PAS_([12])of([12])_[0-9a-f]{24}\.png")


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_phantom(tmp_path_factory.mktemp("phantom") / "small", SMALL)


@pytest.fixture(scope="module")
def medium():
    """Rendered in memory: the plan, per image a few statistics of stain and texture, and its size and colour."""
    plan = plan_phantom(MEDIUM)
    texture, plain = [], []
    for row in plan.to_dict("records"):
        rgb = render(MEDIUM.seed, row)[..., :3]
        height, width = rgb.shape[:2]
        core = rgb[height // 4 : -height // 4, width // 4 : -width // 4]
        hed, grey = rgb2hed(core), core.mean(axis=2)
        detail = [np.log((grey - ndimage.gaussian_filter(grey, s)).std()) for s in (1, 2, 4)]
        relative = np.quantile(grey, [0.05, 0.25, 0.75, 0.95]) / np.median(grey)
        texture.append([*detail, *relative, *hed[..., :2].std(axis=(0, 1)), *hed[..., :2].mean(axis=(0, 1))])
        plain.append([*rgb.mean(axis=(0, 1)), height, width])
    return plan, np.array(texture), np.array(plain)


def auroc_by_case(plan, X):
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    folds = GroupKFold(4).split(X, plan["label"], plan["case"])
    score = cross_val_predict(head, X, plan["label"], cv=list(folds), method="decision_function")
    return roc_auc_score(plan["label"], score)


def test_same_spec_same_bytes_whatever_the_jobs(small, tmp_path):
    again = make_phantom(tmp_path / "again", SMALL, jobs=2)
    assert contents(again) == contents(small)


def test_other_seed_other_bytes(small, tmp_path):
    other = contents(make_phantom(tmp_path / "other", Phantom(6, 2, seed=1, min_px=64, max_px=96)))
    images = {data for name, data in contents(small).items() if name.endswith(".png")}
    assert not images & set(other.values())


def test_files_names_and_table_agree(small):
    table = pd.read_csv(small / "public.csv")
    assert table.columns.tolist() == ["name", "ground truth"]
    assert table["name"].is_unique and len(table) == SMALL.images
    for label, folder in enumerate(FOLDERS):
        names = {p.name for p in (small / folder).iterdir()}
        assert names == set(table.loc[table["ground truth"] == label, "name"])
    for name in table["name"]:
        slide, slides = NAME.fullmatch(name).groups()
        assert slide <= slides
    assert {p.name for p in small.iterdir()} == {*FOLDERS, "public.csv", "phantom.json"}
    assert [p.name for p in small.parent.iterdir()] == ["small"]  # no left-over


def test_images_are_rgba_of_many_sizes(small):
    sizes = set()
    for path in small.glob("*/*.png"):
        with Image.open(path) as image:
            assert image.mode == "RGBA"
            assert SMALL.min_px <= max(image.size) <= SMALL.max_px
            sizes.add(image.size)
    assert len(sizes) > 12


def test_a_few_images_have_a_transparent_border():
    rows = plan_phantom(Phantom(images=100, cases=6, min_px=48, max_px=64)).to_dict("records")
    clear = [(render(0, row)[..., 3] == 0).mean() for row in rows]
    assert 0 < np.count_nonzero(clear) < 15
    assert max(clear) < 0.4


def test_finished_phantom_is_left_alone(small, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in small.rglob("*")}
    monkeypatch.setattr(phantom, "plan_phantom", None)  # would fail if it were called
    assert make_phantom(str(small), SMALL) == small
    assert {p: p.stat().st_mtime_ns for p in small.rglob("*")} == before


def test_other_content_is_refused_with_the_remedy(small, tmp_path):
    with pytest.raises(FileExistsError, match=r"small exists and is not a finished Phantom.*name another folder"):
        make_phantom(small, Phantom(images=24, cases=6, seed=5))
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError):
        make_phantom(tmp_path, SMALL)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    with pytest.raises(FileExistsError):
        make_phantom(tmp_path / "mine.txt", SMALL)


def test_other_version_or_missing_table_is_not_finished(tmp_path):
    spec = Phantom(images=2, cases=1, min_px=48, max_px=48)
    folder = make_phantom(tmp_path / "a", spec)
    facts = json.loads((folder / "phantom.json").read_text())
    (folder / "phantom.json").write_text(json.dumps({**facts, "phantom": "v0"}))
    with pytest.raises(FileExistsError):
        make_phantom(folder, spec)
    folder = make_phantom(tmp_path / "b", spec)
    (folder / "public.csv").unlink()
    with pytest.raises(FileExistsError):
        make_phantom(folder, spec)


def test_interrupted_make_leaves_nothing(tmp_path, monkeypatch):
    spec, drawn = Phantom(images=4, cases=2, min_px=48, max_px=48), []

    def interrupted(seed, row):
        drawn.append(row)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return render(seed, row)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("glomfeat.data.cartoon.render", interrupted)
        make_phantom(tmp_path / "phantom", spec)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "phantom").mkdir()  # an empty folder is no obstacle
    assert len(list(make_phantom(tmp_path / "phantom", spec).glob("*/*.png"))) == 4


def test_lost_race_returns_the_winner(tmp_path, monkeypatch):
    spec, write = Phantom(images=2, cases=1, min_px=48, max_px=48), phantom._write_image

    def overtaken(*args):
        monkeypatch.setattr(phantom, "_write_image", write)
        make_phantom(tmp_path / "phantom", spec)  # the other process is done first
        write(*args)

    monkeypatch.setattr(phantom, "_write_image", overtaken)
    monkeypatch.setattr(phantom.Path, "rmdir", lambda self: None)  # it came after we looked
    assert len(contents(make_phantom(tmp_path / "phantom", spec))) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["phantom"]


specs = st.integers(6, 40).flatmap(
    lambda cases: st.builds(
        Phantom,
        images=st.integers(4 * cases, 20 * cases),
        cases=st.just(cases),
        positives=st.floats(0.01, 0.99),
        seed=st.integers(0, 2**31),
    )
)


@settings(max_examples=40, deadline=None)
@given(specs)
def test_plan_keeps_its_promises(spec):
    plan = plan_phantom(spec)
    assert len(plan) == spec.images and plan["case"].nunique() == spec.cases
    assert plan["name"].is_unique and plan["name"].is_monotonic_increasing
    both = (plan.groupby("case")["label"].nunique() == 2).sum()
    assert both >= max(4, spec.cases / 3)
    assert plan[["width", "height"]].max(axis=1).between(spec.min_px, spec.max_px).all()
    assert (plan.groupby("case")["slides"].nunique() == 1).all() and (plan["slide"] <= plan["slides"]).all()
    glomeruli = plan.groupby(["case", "glomerulus"])
    assert (glomeruli[["severity", "label"]].nunique() == 1).all(axis=None)
    assert not plan.duplicated(["case", "glomerulus", "section"]).any()
    clear = ~plan["severity"].between(*BAND)
    assert (plan["label"] == (plan["severity"] > 0.5))[clear].all()
    pd.testing.assert_frame_equal(plan, plan_phantom(spec))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 30), st.floats(0.01, 0.99))
def test_plan_of_any_size(cases, more, positives):
    plan = plan_phantom(Phantom(images=cases + more, cases=cases, positives=positives))
    assert len(plan) == cases + more and plan["case"].nunique() == cases


def test_plan_over_many_seeds():
    plans = [plan_phantom(Phantom(seed=seed)) for seed in range(30)]
    pooled = pd.concat(plans)
    assert abs(pooled["label"].mean() - 0.25) < 0.04
    for column in ("width", "height", "diameter", "aspect", "slides"):
        assert abs(roc_auc_score(pooled["label"], pooled[column]) - 0.5) < 0.05
    one_class = [(plan.groupby("case")["label"].nunique() == 1).sum() for plan in plans]
    assert min(one_class) > 0 and max(one_class) <= 16
    sizes = [plan["case"].value_counts() for plan in plans]
    assert all(size.max() > 2.5 * size.median() for size in sizes)
    assert all(plan["section"].max() > 0 and set(plan["slides"]) == {1, 2} for plan in plans)
    band = pooled[pooled["severity"].between(*BAND)]
    shares = band.groupby(pd.cut(band["severity"], 3), observed=True)["label"].mean()
    assert shares.is_monotonic_increasing and shares.iloc[0] > 0.01 and shares.iloc[-1] < 0.99


@pytest.mark.slow
def test_serial_sections_are_near_duplicates(medium):
    plan, *_ = medium
    rows = plan[plan["slides"] == 1]
    first = rows[rows["section"] == 0].set_index(["case", "glomerulus"], drop=False)
    serial = rows[rows["section"] > 0].head(10)
    assert len(serial) >= 6

    def flat(row):
        image = Image.fromarray(render(MEDIUM.seed, row)).convert("L").resize((24, 24))
        values = ndimage.gaussian_filter(np.asarray(image, float), 1).ravel()
        return (values - values.mean()) / values.std()

    cut = np.array([flat(row) for row in serial.to_dict("records")])
    other = np.array([flat(row) for row in first.to_dict("records")])
    likeness = cut @ other.T / cut.shape[1]
    own = first.index.get_indexer(list(zip(serial["case"], serial["glomerulus"], strict=True)))
    assert np.mean(likeness.argmax(axis=1) == own) >= 0.5  # among dozens
    assert likeness.max() < 0.9999


def test_texture_tells_the_classes_apart_but_not_perfectly(medium):
    plan, texture, _ = medium
    assert 0.8 < auroc_by_case(plan, texture) < 0.995


def test_size_and_mean_colour_do_not_tell_the_classes(medium):
    plan, _, plain = medium
    for size in plain[:, 3:].T:
        assert abs(roc_auc_score(plan["label"], size) - 0.5) < 0.15  # three standard errors of 120 images
    assert auroc_by_case(plan, plain) < 0.85


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": 3, "cases": 4}, "allowed are 1 <= cases <= images"),
        ({"cases": 0}, "allowed are 1 <= cases"),
        ({"positives": 1.0}, "positives is 1.0: it is a share"),
        ({"min_px": 200, "max_px": 100}, "allowed are 48 <= min_px <= max_px"),
    ],
)
def test_spec_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        Phantom(**wrong)


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_drawing_holds_over_sizes_and_severities(severity):
    for size in (48, 400):
        row = plan_phantom(Phantom(images=1, cases=1, min_px=size, max_px=size)).iloc[0].to_dict()
        image = render(0, {**row, "severity": severity, "aspect": 0.6})
        assert image.shape == (row["height"], row["width"], 4) and image.dtype == np.uint8
        assert image[..., :3].std() > 10


SITES = Phantom(images=60, cases=12, min_px=48, max_px=60, sites=3)


def test_a_phantom_of_one_site_is_the_one_that_it_always_was(small):
    plan = plan_phantom(SMALL)
    told = plan[["name", "label", "width", "height"]].to_csv(index=False)
    assert hashlib.sha256(told.encode()).hexdigest().startswith("8a97930832bdd29b6c5f90a52abc94a7")
    assert "sites" not in json.loads((small / "phantom.json").read_text()) and "site" not in plan
    assert folder_in(Path("c")).name == "v1-300-24-0-120-220"
    assert folder_in(Path("c"), Phantom(sites=3)).name == "v1-300-24-0-120-220-3sites"
    row = plan.iloc[0].to_dict()
    assert np.array_equal(render(0, row), render(0, row | {"leaning": 0.0})), "the first of several sites leans nowhere"


def test_cases_lie_within_sites_that_the_table_names(tmp_path):
    folder = make_phantom(tmp_path / "p", SITES)
    table = pd.read_csv(folder / "public.csv")
    case = table["name"].str.partition("_")[0]
    assert table.columns.tolist() == ["name", "ground truth", "site"]
    assert (table.groupby(case)["site"].nunique() == 1).all()
    assert case.groupby(table["site"]).nunique().to_dict() == {"A": 4, "B": 4, "C": 4}
    assert (table.groupby("site")["ground truth"].nunique() == 2).all(), "each has both classes"
    assert make_phantom(folder, SITES) == folder
    assert read_phantom(folder)[0].what == "60 images of 12 cases of 3 sites, seed 0"
    scheme = find_scheme("leave-out:site", 5)
    assert scheme.count_folds(read_manifest(folder, scheme=scheme)) == 3


def test_sites_lean_to_both_sides_in_stain_scanner_and_prevalence():
    looks = {}
    for row in plan_phantom(SITES).to_dict("records"):
        rgb = render(0, row)[8:-8, 8:-8, :3].astype(float)
        grey = rgb.mean(axis=2)
        detail = (grey - ndimage.gaussian_filter(grey, 1)).std()
        look = [grey.mean(), rgb[..., 0].mean() - rgb[..., 1].mean(), detail]
        looks.setdefault(row["site"], []).append(look)
    light, magenta, sharp = np.array([np.mean(looks[site], axis=0) for site in "BAC"]).T
    assert light[0] > light[1] + 5 > light[2] + 10, "B is bright and C dark"
    assert magenta[0] < magenta[1] - 1 < magenta[2] - 5, "B is pale and C full of PAS"
    assert sharp[0] > sharp[1] > sharp[2], "B is in focus and C is not"
    drawn = pd.concat([plan_phantom(Phantom(sites=3, seed=seed)) for seed in range(10)])
    share = drawn.groupby("site")["label"].mean()
    assert share["B"] < share["A"] - 0.05 < share["C"] - 0.1


@pytest.mark.parametrize(
    ("more", "most"), [({"sites": 7}, 6), ({"sites": 0}, 6), ({"cases": 8, "images": 9, "sites": 2}, 1)]
)
def test_sites_that_cannot_be(more, most):
    with pytest.raises(InputError, match=rf"sites is {more['sites']}, of .*allowed are 1 <= sites <= {most}, of four"):
        Phantom(**more)
