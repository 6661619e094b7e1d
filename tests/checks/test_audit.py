"""The audit finds what was put into a data set: copies however changed, bad files, shortcuts, impossible folds."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.planting import plant
from helpers.runs import make_run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from glomfeat.checks.data.candidates import MIRROR, hashes, near_hashes, thumbnail, unit
from glomfeat.checks.data.cases import (
    check_cases,
    check_classes,
    check_folds_possible,
    check_sizes,
    most_folds,
    telling,
)
from glomfeat.checks.data.duplicates import find_pairs
from glomfeat.checks.data.files import look
from glomfeat.checks.data.keypoints import describe, keypoints, unpack
from glomfeat.checks.data.leaks import torn
from glomfeat.checks.data.probe import probe_classes, probe_groups
from glomfeat.checks.data.register import match, overlay
from glomfeat.checks.data.sections import likeness, spectra
from glomfeat.checks.data.write import read_audit
from glomfeat.core.cache import Store
from glomfeat.core.cache_listing import list_stored
from glomfeat.data.images.decode import Preprocess, encode_png
from glomfeat.data.manifest import Manifest, ManifestError, inspect_manifest, read_manifest
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.features.extract import extract
from glomfeat.features.make import make_feature
from glomfeat.metrics.resampling import jackknife_limits
from glomfeat.report.page import section_html
from glomfeat.report.sections import audit as audit_section
from studies import audit
from studies._cli import run_main

SHARED = Path(__file__).parents[3] / "shared" / "data"


def manifest_of(labels, cases, classes=("no", "yes")):
    names = [f"{k:04d}.png" for k in range(len(labels))]
    return Manifest(pd.DataFrame({"name": names, "label": labels, "case": cases}), classes, True)


def found_pairs(out):
    frame = pd.read_csv(out / "pairs.csv")
    hard = frame[frame["hard"].astype(bool)]
    return {frozenset(pair) for pair in zip(hard["name_first"], hard["name_second"], strict=True)}, frame


def rates(found, planted):
    return len(found & planted.keys()) / len(planted), len(found - planted.keys()) / max(len(found), 1)


def run(*arguments):
    return audit.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A phantom with changed copies under other cases and bad files, and its audit."""
    root = tmp_path_factory.mktemp("audit")
    folder = make_phantom(root / "data", Phantom(images=16, cases=8, min_px=100, max_px=140))
    (folder / "public.csv").unlink()
    sick = folder / "globally_sclerotic_glomeruli"
    paths = sorted(folder.rglob("*.png"))[:5]
    planted = plant(paths, sick, np.random.default_rng(0), lambda k: f"P{90 + k % 4}_PAS_1of1_{k:024x}.png")
    first = sorted(folder.rglob("P0*.png"))[0]
    shutil.copy(first, sick / f"P95_PAS_1of1_{0:024x}.png")
    whole = first.read_bytes()
    bad = {"empty": b"", "text": b"hello", "cut": whole[:2000], "zeros": whole[:-4000] + bytes(4000)}
    for name, content in bad.items():
        (sick / f"P96_PAS_1of1_{name}.png").write_bytes(content)
    Image.open(first).convert("CMYK").save(sick / "P96_PAS_1of1_cmyk.jpg")
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(deep).save(sick / "P96_PAS_1of1_deep.png")
    status = run(folder, "--out", root / "out", "--cache", root / "cache", "--jobs", 1)
    return status, root / "out", planted


def codes(out):
    return {finding["code"]: finding for finding in read_audit(out)["findings"]}


def test_planted_copies_are_found_and_little_else(spoilt):
    _, out, planted = spoilt
    found, frame = found_pairs(out)
    exact = {
        frozenset(p) for p in frame.query("kind == 'exact copy'")[["name_first", "name_second"]].to_numpy().tolist()
    }
    cmyk = {pair for pair in found if any("cmyk" in name for name in pair)}  # that one is a copy too
    found_share, false_share = rates(found - exact - cmyk, planted)
    assert cmyk
    assert found_share >= 0.95
    assert false_share <= 0.01
    assert len(exact) == 1


def test_smooth_images_with_the_same_pixels_are_copies_and_blank_ones_are_not(tmp_path):
    rng, planted = np.random.default_rng(0), set()
    for k in range(4):
        label = ("a", "b")[k % 2]
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        grey = gaussian_filter(rng.normal(size=(100, 90, 3)), (25, 25, 0))
        image = Image.fromarray(np.uint8(100 + 120 * (grey - grey.min()) / np.ptp(grey)))
        names = f"P{k:03d}_PAS_1of1_00.png", f"P{k + 8:03d}_PAS_1of1_00.png"
        for name, level in zip(names, (9, 1), strict=True):
            image.save(tmp_path / "data" / label / name, compress_level=level)
        planted.add(frozenset(names))
    for case in (3, 12):
        blank = tmp_path / "data" / "a" / f"P{case:03d}_PAS_1of1_01.png"
        Image.new("RGB", (90, 100), "white").save(blank, compress_level=case // 2)
    manifest = read_manifest(tmp_path / "data")
    features = [make_feature("shortcut"), keypoints(), thumbnail()]
    extracted = extract(manifest, features, Preprocess.asked(None, "white"), Store(str(tmp_path / "cache")), 1)
    pairs = find_pairs(extracted, extracted.matrices["shortcut.v1"][:, :2].astype(int), seed=0)
    name = extracted.manifest.table["name"]
    assert {frozenset((name[a], name[b])) for a, b in zip(pairs["first"], pairs["second"], strict=True)} == planted
    assert set(pairs["kind"]) == {"copy: saved again"} and pairs["hard"].all()


def test_severe_findings_come_first_and_give_status_1(spoilt):
    status, out, _ = spoilt
    severities = [finding["severity"] for finding in read_audit(out)["findings"]]
    assert status == 1
    assert severities == sorted(severities, key=["severe", "warning", "info"].index)
    assert codes(out)["duplicates.exact"]["severity"] == codes(out)["duplicates.near"]["severity"] == "severe"
    assert all(finding["how"] and finding["why"] and finding["remedy"] for finding in read_audit(out)["findings"])


def test_bad_files_are_named_with_the_reason_and_odd_ones_listed(spoilt):
    _, out, _ = spoilt
    broken = codes(out)["files.broken"]
    assert {row["name"].split("_")[-1] for row in broken["rows"]} == {"empty.png", "text.png", "cut.png", "zeros.png"}
    assert broken["what"].startswith("4 of 28 files cannot be read: ") and "; empty file (1 file); " in broken["what"]
    assert "files.csv names them" in broken["remedy"]
    odd = pd.read_csv(out / "files.csv").set_index("name")["detail"]
    assert odd["P96_PAS_1of1_cmyk.jpg"] == "CMYK"
    assert odd["P96_PAS_1of1_deep.png"] == "I;16"


def test_of_a_class_without_a_readable_file_these_files_alone_are_called_broken(tmp_path):
    folder = make_phantom(tmp_path / "data", Phantom(images=8, cases=4, min_px=48, max_px=60))
    (folder / "public.csv").unlink()
    bad = sorted((folder / "globally_sclerotic_glomeruli").glob("*.png"))
    for path in bad:
        path.write_bytes(path.read_bytes()[:-900] + bytes(900))
    assert 0 < len(bad) < 8 and run(folder, "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--jobs", 1) in (
        0,
        1,
    )
    broken = codes(tmp_path / "out")["files.broken"]
    assert {row["name"] for row in broken["rows"]} == {path.name for path in bad}
    assert broken["what"].startswith(f"{len(bad)} of 8 files cannot be read: corrupt or truncated: ")


def test_names_of_cases_and_files_are_shown_nowhere_but_in_csv(spoilt):
    _, out, _ = spoilt
    findings = read_audit(out)["findings"]
    told = [{key: value for key, value in one.items() if key != "rows"} for one in findings]  # pages number the files
    kept = json.dumps([told, [one["rows"] for one in findings if one["code"] != "files.broken"]])
    in_report = section_html(audit_section, SimpleNamespace(run=make_run(), audit=read_audit(out)))
    for text in (kept, (out / "audit.txt").read_text(), (out / "audit.html").read_text(), in_report):
        said = re.sub(r"base64,[\w+/=]+|pairs\.png", "", text)
        assert not re.search(r"P\d\d|PAS_1of|\.png", said)


def test_messages_about_the_data_give_no_names_unless_asked(tmp_path):
    names = ["MILLER_1.png", *(f"P{k % 6}_{k}.png" for k in range(23))]
    table = pd.DataFrame({"name": names, "label": np.arange(24) % 2, "site": np.arange(24) % 3, "tone": np.arange(24)})
    table.to_csv(tmp_path / "tone.csv", index=False)
    table[["name"]].assign(area=1.0)[1:].to_csv(tmp_path / "area.csv", index=False)
    given = tmp_path / "tone.csv", "--groups", r"^(?P<case>P\d)_", "--features", f"file:{tmp_path / 'area.csv'}"
    for asked, told in ((), False), (("--show-names",), True):
        run(*given, "--out", tmp_path / "out", "--cache", tmp_path / "cache", *asked)
        findings = codes(tmp_path / "out")
        text = findings["manifest"]["what"] + findings["feature.failed"]["what"]
        assert "1 names that --groups" in text and "1 of 24 images have no row: " in text
        assert ("P0_0.png -> P0" in text) == ("no row: MILLER_1.png" in text) == told
        assert told or not re.search(r"MILLER|P\d_", text.replace(r"^(?P<case>P\d)_", ""))
    table[["name"]].assign(name=table["name"] + "_b", area=1.0).to_csv(tmp_path / "area.csv", index=False)
    run(*given, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    text = codes(tmp_path / "out")["feature.failed"]["what"]
    assert "24 of 24 images have no row: (name)" in text and not re.search(r"MILLER|P\d_", text)


def test_the_picture_shows_as_many_pairs_as_the_report_is_told(spoilt):
    _, out, _ = spoilt
    seen = read_audit(out)
    assert seen["sheet"].name == "pairs.png"
    assert 1 <= len(seen["pictures"]) <= 60
    assert set(seen["pictures"]) <= set(pd.read_csv(out / "pairs.csv")["number"])


@pytest.mark.slow
def test_a_second_audit_writes_the_same_bytes(spoilt, tmp_path):
    _, out, _ = spoilt
    run(out.parent / "data", "--out", tmp_path, "--cache", tmp_path / "cache", "--jobs", 2)
    for name in ("audit.json", "audit.txt", "pairs.csv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_bad_usage_is_status_2_with_one_message(tmp_path, capsys):
    for arguments, message in (
        (["/nowhere", "--out", str(tmp_path)], "error: there is no /nowhere"),
        (["--folds", "1"], "error: --folds is 1: at least 2"),
    ):
        with pytest.raises(SystemExit) as stopped:
            run_main(audit.main, arguments)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_inspecting_gives_the_problems_that_reading_raises(tmp_path):
    for k, kind in enumerate(["well", "sick"] * 3):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / f"case{k // 2}_{k}.png").write_bytes(encode_png(np.zeros((4, 4), np.uint8)))
    with pytest.raises(ManifestError) as raised:
        read_manifest(tmp_path)
    seen = inspect_manifest(tmp_path)
    assert len(seen.manifest) == 6
    assert all(what.split(" ", 1)[1] in str(raised.value) for what, _ in seen.problems)
    assert len(seen.problems) == 1


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_hashes_know_all_eight_orientations(seed):
    image = np.random.default_rng(seed).normal(size=(32, 32))
    turns = [np.rot90(flipped, k) for flipped in (image, image[:, ::-1]) for k in range(4)]
    assert len(near_hashes(hashes(np.array(turns)))) == 28


def test_a_descriptor_in_a_mirror_is_that_of_the_flipped_image():
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    image = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    (place, other), (patches, flipped) = unpack(
        np.stack([describe(one, (224, 224)) for one in (image, np.ascontiguousarray(image[:, ::-1]))])
    )
    there = patches.any(axis=1)
    seen = flipped.any(axis=1)
    pairs = match(unit(patches[there][:, MIRROR]), unit(flipped[seen]))
    where = place[there][pairs[:, 0], :2], other[seen][pairs[:, 1], :2]
    right = np.abs(where[0] * [1, -1] + [0, 223] - where[1]).max(axis=1) < 2
    assert len(pairs) > 20
    assert right.mean() > 0.9


@given(st.floats(0.6, 1.6), st.floats(-3, 3), st.floats(-50, 50), st.booleans(), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_an_overlay_is_recovered_among_wrong_matches(scale, angle, dx, mirrored, seed):
    rng = np.random.default_rng(seed)
    first = np.column_stack([rng.uniform(0, 200, (30, 2)), rng.normal(1, 0.3, 30), rng.uniform(-3, 3, 30)])
    z, look = first[:, 0] + 1j * first[:, 1], first[:, 2] + 1j * first[:, 3]
    z, look = (z.conj(), look.conj()) if mirrored else (z, look)
    factor = scale * np.exp(1j * angle)
    to, seen = factor * z + dx, look + np.log(factor)
    second = np.column_stack([to.real, to.imag, seen.real, seen.imag])
    second[20:] = rng.uniform(0, 200, (10, 4))
    found = overlay(first, second, mirrored)
    assert abs(found.factor - factor) < 0.02  # a wrong match can lie right by chance
    assert found.agree >= 20
    np.testing.assert_allclose(found.back(to[:20]), first[:20, 0] + 1j * first[:20, 1], atol=3)


def blurred(rng, side):
    noise = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
    return np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), np.float32)


def test_sections_are_alike_and_other_glomeruli_are_not():
    rng = np.random.default_rng(0)
    one, other = (blurred(rng, 50) for _ in range(2))
    again = np.roll(one, 2, axis=0) + rng.normal(0, 12, one.shape).astype(np.float32)
    assert likeness(spectra(one), spectra(again)) > 0.8
    assert likeness(spectra(one), spectra(other)) < 0.5


def test_an_audit_says_which_share_of_the_pairs_within_cases_it_compared(tmp_path, spoilt, monkeypatch, capsys):
    for name, value in (("MOST_SECTIONS", 20), ("SECTIONS", -1.0), ("COMPARED", 0)):  # so that all are alike
        monkeypatch.setattr(f"glomfeat.checks.data.duplicates.{name}", value)
    rng = np.random.default_rng(0)
    for k in range(12):
        (tmp_path / "data" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
        noise.save(tmp_path / "data" / "ab"[k % 2] / f"P{k // 6}_PAS_1of1_{k:02d}.png")
    run(tmp_path / "data", "--out", tmp_path / "out", "--cache", tmp_path / "cache", "--jobs", 1, "--seed", 7)
    sampled = f"20 of {2 * 15} pairs of like size within cases, drawn at random (seed 7)"  # two cases with six images
    said = f"outlines were compared in {sampled}: there may be more"
    assert said in codes(tmp_path / "out")["duplicates.sections"]["what"]
    assert said in " ".join(capsys.readouterr().out.split()) and said in (tmp_path / "out" / "audit.html").read_text()
    pairs = pd.read_csv(tmp_path / "out" / "pairs.csv")
    assert len(pairs) == 20 and set(pairs["found_by"]) == {f"coarse outline, in {sampled}"}
    assert "drawn at random (seed" not in (spoilt[1] / "audit.txt").read_text(), "all pairs were compared there"


def test_the_expected_number_of_torn_pairs_is_that_of_random_folds():
    manifest = manifest_of(np.arange(40) % 2, [f"c{k}" for k in range(40)])
    pairs = pd.DataFrame({"first": np.arange(0, 40, 2), "second": np.arange(1, 40, 2)})
    expected, seeded = torn(manifest, pairs, 4, seed=0)
    rng, parts = np.random.default_rng(0), np.repeat(np.arange(4), 10)
    drawn = [(np.diff(rng.permutation(parts).reshape(-1, 2)) != 0).sum() for _ in range(2000)]
    assert abs(expected - np.mean(drawn)) < 0.2
    assert seeded.dtype == bool and 0 < seeded.sum() <= 20


def test_images_that_are_their_own_cases_are_not_counted_as_cases():
    known = manifest_of([0, 1, 1], list("abb"))
    (finding,) = check_classes(known)
    assert finding.rows == ({"class": "no", "images": 1, "cases": 1}, {"class": "yes", "images": 2, "cases": 1})
    (finding,) = check_classes(replace(known, by_case=False))
    assert finding.rows == ({"class": "no", "images": 1}, {"class": "yes", "images": 2})


def test_impossible_folds_say_why_and_possible_ones_how_many():
    one_case = manifest_of([0] * 6 + [1] * 6, ["a"] * 6 + list("bcdefg"))
    (finding,) = check_folds_possible(one_case, 5, show_names=True)
    assert (finding.code, finding.severity, most_folds(one_case)) == ("folds.infeasible", "severe", 0)
    assert "all 6 negatives (no) are of case a: folds by case are impossible" in finding.what
    three = manifest_of([0, 1] * 3, list("aabbcc"))
    (finding,) = check_folds_possible(three, 5, show_names=False)
    assert (finding.severity, most_folds(three)) == ("warning", 3)
    assert finding.remedy == "use --folds 3, or add cases"


def test_the_probe_tells_colour_that_tells_from_colour_that_does_not():
    rng = np.random.default_rng(0)
    labels, cases = np.tile([0, 1], 60), np.repeat([f"c{k:02d}" for k in range(12)], 10)
    manifest, shortcut = manifest_of(labels, cases), rng.normal(size=(120, 10)).astype(np.float32)
    (blind,) = probe_classes(manifest, shortcut, 5, seed=0)
    assert blind.severity in ("info", "warning") and dict(blind.figures)["auroc colour"] < 0.7
    shortcut[:, 5] += 4 * labels
    (told,) = probe_classes(manifest, shortcut, 5, seed=0)
    assert told.severity == "severe" and dict(told.figures)["auroc colour"] > 0.95
    assert dict(told.figures)["auroc width and height"] < 0.7


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        ([], "info"),
        ([(0.89, 0.5), (0.6, 0.55)], "info"),
        ([(0.7, 0.51)], "warning"),
        ([(0.95, 0.5), (0.8, np.nan)], "warning"),
        ([(0.95, 0.5), (0.9, 0.51)], "severe"),
    ],
)
def test_only_limits_without_chance_make_what_tells_the_class_severe(found, severity):
    assert telling(found) == severity


@pytest.mark.parametrize(("cases", "severity"), [pytest.param(10, "severe", marks=pytest.mark.slow), (6, "warning")])
def test_a_perfect_shortcut_is_severe_if_classes_can_be_exchanged_among_enough_cases(cases, severity):
    """Of five cases against five, 2 of 252 ways to deal the classes are perfect; of three against three, 2 of 20."""
    of_case = np.repeat(np.arange(cases), 4)
    manifest = manifest_of(of_case % 2, [f"c{k}" for k in of_case])
    shortcut = np.random.default_rng(0).normal(size=(4 * cases, 10)).astype(np.float32)
    shortcut[:, 5] += 50 * manifest.labels
    (told,) = probe_classes(manifest, shortcut, 5, seed=0)
    colour = told.rows[2]
    assert colour["auroc"] == 1 and colour["auroc_lo"] < 0.5 and told.severity == severity


def test_noise_of_few_cases_is_no_shortcut():
    rng = np.random.default_rng(11)
    of_case = np.repeat(np.arange(10), 6)
    manifest = manifest_of(of_case % 2, [f"c{k}" for k in of_case])
    noise = (np.repeat(rng.normal(size=(10, 10)), 6, axis=0) + rng.normal(size=(60, 10))).astype(np.float32)
    (told,) = probe_classes(manifest, noise, 5, seed=0)
    assert max(row["auroc"] for row in told.rows) > 0.8 and told.severity == "info"
    sizes = np.round(100 * np.exp(0.2 * noise[:, :2])).astype(int)
    (told,) = check_sizes(manifest, sizes)
    value, labels = sizes[:, 0] / sizes[:, 1], manifest.labels
    area = roc_auc_score(labels, value)
    without = np.array([roc_auc_score(labels[of_case != k], value[of_case != k]) for k in range(10)])
    low, high = jackknife_limits(area, without, holders=5)
    assert area > 0.7 > 0.5 > low and told.severity == "info"
    assert told.what.endswith(f", of the aspect {area:.2f} ({low:.2f} to {high:.2f})")


def test_the_probe_tells_whether_colour_gives_the_case_away():
    rng = np.random.default_rng(0)
    cases, shortcut = np.repeat(list("abcd"), 20), rng.normal(size=(80, 10)).astype(np.float32)
    (blind,) = probe_groups(cases, shortcut, "cases", seed=0)
    assert blind.severity == "info" and blind.what.startswith("how well colour tells the cases apart")
    shortcut[:, 4] += 5 * np.repeat(np.arange(4), 20)
    (told,) = probe_groups(cases, shortcut, "cases", seed=0)
    assert told.severity == "warning" and told.what.startswith("colour tells the cases apart")
    assert probe_groups(np.array(["a"] * 80), shortcut, "cases", seed=0) == []


def test_cases_of_one_class_are_named_with_their_images():
    manifest = manifest_of([0, 0, 1, 1, 1, 0, 0, 1], [*"aaabbccd"])
    spread, pure = check_cases(manifest, show_names=True)
    found = [(row["case"], row["images"], row["no"], row["yes"]) for row in spread.rows]
    assert found == [("a", 3, 2, 1), ("b", 2, 0, 2), ("c", 2, 2, 0), ("d", 1, 0, 1)]
    assert pure.rows == spread.rows[1:] and pure.figures == (("cases", 3), ("share_of_images", 5 / 8))


def test_sizes_that_tell_the_class_are_a_warning():
    manifest = manifest_of([0, 0, 1, 1], list("abcd"))
    (finding,) = check_sizes(manifest, np.array([[50, 50], [60, 50], [90, 80], [99, 98]]))
    assert finding.severity == "warning"
    assert dict(finding.figures)["auroc longer side"] == 1


def test_sizes_of_a_single_case_have_no_limits():
    sizes = np.array([[50, 50], [60, 50], [90, 80], [99, 98]])
    (finding,) = check_sizes(manifest_of([0, 0, 1, 1], list("aaaa")), sizes)
    assert finding.severity == "warning" and "longer side alone 1.00 (nan to nan)" in finding.what


def test_a_file_of_several_frames_and_one_with_a_wrong_suffix_are_odd(tmp_path):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    assert look(tmp_path / "two.tif") == {"frames": "2 frames"}
    frames[0].save(tmp_path / "x.png", "JPEG")
    assert look(tmp_path / "x.png") == {"suffix": "JPEG named .png"}
    clear = Image.new("RGBA", (40, 40), (9, 9, 9, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 40, 10))
    clear.save(tmp_path / "clear.png")
    assert look(tmp_path / "clear.png") == {"transparent": "25.0% of the pixels"}


@pytest.mark.slow
def test_a_site_in_the_table_is_probed_and_cases_that_are_unknown_do_not_stop_it(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for k in range(24):
        image = np.full((40, 40, 3), 60 + 120 * (k % 2), np.uint8) + rng.integers(0, 40, (40, 40, 3), np.uint8)
        (tmp_path / f"{k}.png").write_bytes(encode_png(image))
        rows.append((f"{k}.png", k // 2 % 2, "AB"[k % 2]))
    pd.DataFrame(rows, columns=["path", "label", "Scanner ID"]).to_csv(tmp_path / "labels.csv", index=False)
    assert (
        run(
            tmp_path / "labels.csv",
            "--out",
            tmp_path / "out",
            "--cache",
            tmp_path / "cache",
            "--embedding",
            "classical",
        )
        == 1
    )
    found = codes(tmp_path / "out")
    assert found["shortcut.scanner_id"]["what"].startswith("colour tells the scanner_id groups apart")
    assert "sites" in found and "columns that a study would not use: Scanner ID" in read_audit(tmp_path / "out")["said"]
    assert found["cases.unknown"]["severity"] == "severe"
    assert read_audit(tmp_path / "out")["said"][0] == "24 images: 12 0, 12 1"
    assert found["shortcut.class"]["how"].endswith("; limits: jackknife over images")


@pytest.mark.slow
def test_a_pretrained_embedding_reads_what_its_configuration_says_and_all_else_the_usual(
    phantom_folder, pretrained_folder, tmp_path
):
    out, cache = tmp_path / "out", tmp_path / "cache"
    embedding = ["--embedding", "squeezenet1_1", "--weights", pretrained_folder, "--device", "cpu", "--jobs", "1"]
    run(phantom_folder, "--out", out, "--cache", cache, *embedding)
    assert "feature.failed" not in codes(out)
    usual, own = "224 px, white", "224 px, white, bilinear"
    stored = list_stored(cache)[0]
    assert {entry.what for entry in stored if entry.kind == "pixels"} == {usual, own}
    features = [entry.what for entry in stored if entry.kind == "features"]
    assert {what.startswith("squeezenet1_1") for what in features if what.endswith(own)} == {True}


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not beside the checkout")
@pytest.mark.slow
def test_real_serial_sections_are_found_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    assert run(SHARED / "glomeruli_images", "--out", out, "--cache", tmp_path / "cache") == 1
    pairs = pd.read_csv(out / "pairs.csv")
    ends = {
        frozenset(name.split("_")[-1][:4] for name in pair) for pair in pairs[["name_first", "name_second"]].to_numpy()
    }
    by_eye = [("001c", "3886"), ("84c5", "8ca5"), ("2560", "61ea"), ("9837", "b61e"), ("4948", "af7d")]
    assert ends == {frozenset(pair) for pair in by_eye}
    assert "all 20 negatives" in codes(out)["folds.infeasible"]["what"]
    assert codes(out)["shortcut.cases"]["what"].startswith("colour tells the cases apart")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["phantom", "glomeruli_images", "breakhis_200x"])
def test_the_goal_of_95_percent_at_1_percent_false_pairs(source, tmp_path):
    data = tmp_path / "data"
    if source == "phantom":
        make_phantom(data, Phantom(images=300, cases=24), jobs=os.cpu_count())
    elif not SHARED.is_dir():
        pytest.skip("../shared/data is not beside the checkout")
    else:
        shutil.copytree(SHARED / source, data, copy_function=shutil.copyfile)
        for path in (data, *data.rglob("*")):
            path.chmod(0o755)
    (data / "public.csv").unlink(missing_ok=True)
    paths = [path for path in sorted(data.rglob("*.png")) for _ in range(10 if source == "glomeruli_images" else 1)]
    paths = paths[:: max(1, len(paths) // 160)]
    folder = min(path for path in data.iterdir() if path.is_dir())
    planted = plant(paths, folder, np.random.default_rng(1), lambda k: f"planted_{900 + k % 9}_{k:03d}.png")
    before, groups = tmp_path / "before", ["--groups", "none"]
    run(data, *groups, "--out", before, "--cache", tmp_path / "cache")
    found, _ = found_pairs(before)
    of_one = {name: original for pair in planted for name in pair for original in pair if "planted" not in original}
    alone = {pair for pair in found if not any("planted" in name for name in pair)}
    real = alone if source == "breakhis_200x" else set()  # fields that overlap: by eye, all that were looked at do
    origins = [frozenset(of_one.get(name, name) for name in pair) for pair in found]
    false = [pair for pair in origins if len(pair) > 1 and pair not in real]
    print(f"{source}: {len(found & planted.keys())} of {len(planted)} found, {len(false)} of {len(found)} false")
    print({change: sum(planted[p] == change for p in planted.keys() - found) for change in planted.values()})
    assert len(found & planted.keys()) / len(planted) >= 0.95
    assert len(false) / len(found) <= 0.01
