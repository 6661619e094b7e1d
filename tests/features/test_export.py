"""Features that are written for others: what pandas and h5py find in them, and that our own reader reads them back."""

import json
import re
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import glomfeat
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.cache import Store
from glomfeat.data.cases import pseudonyms
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.manifest import Manifest, read_manifest
from glomfeat.data.problems import ManifestError
from glomfeat.features.export import ExportError, check_target, export_feature, target_of
from glomfeat.features.extract import extract
from glomfeat.features.make import Handcrafted, Pixels, make_feature
from glomfeat.features.shards import Extracted
from glomfeat.features.table import Table
from studies.export import main

SQUARE = Preprocess(32)


@pytest.fixture(scope="module")
def described(phantom_folder, tmp_path_factory):
    """The phantom, and two features of it."""
    features = [make_feature("shortcut"), Handcrafted("mine.v1", lambda image, size: image[:2, :2].ravel())]
    store = Store(str(tmp_path_factory.mktemp("store")))
    return extract(read_manifest(phantom_folder), features, SQUARE, store), features


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
def test_what_is_written_is_read_back_bit_for_bit(described, tmp_path, suffix, which):
    (found, features), path = described, tmp_path / f"t{suffix}"
    feature = features[which]
    assert export_feature(found, feature, path)
    names, expected = found.manifest.table["name"].tolist(), found.matrices[feature.name][:]
    assert Table(str(path)).rows(names).tobytes() == expected.tobytes()
    again = read_manifest(path)
    assert again.classes == found.manifest.classes and again.labels.tolist() == found.manifest.labels.tolist()
    assert again.cases.max() == found.manifest.cases.max()
    pairs = {*zip(again.cases.tolist(), found.manifest.cases.tolist(), strict=True)}
    assert len(pairs) == len(set(again.cases))  # the same cases by other names


def test_what_pandas_finds(described, tmp_path):
    found, (shortcut, mine) = described
    export_feature(found, shortcut, tmp_path / "a.parquet")
    export_feature(found, mine, tmp_path / "b.parquet", show_names=True)
    a, b = pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "b.parquet")
    table = found.manifest.table
    assert a.columns[:4].tolist() == ["name", "label", "case", "shortcut.width_px"]
    assert b.columns[3:5].tolist() == ["mine.v1:0", "mine.v1:1"]
    assert a["name"].tolist() == table["name"].tolist()
    assert a["label"].tolist() == [found.manifest.classes[label] for label in table["label"]]
    assert a["case"].tolist() == table["case"].map(pseudonyms(table["case"])).tolist()
    assert b["case"].tolist() == table["case"].tolist()
    np.testing.assert_array_equal(b.iloc[:, 3:].to_numpy(), found.matrices["mine.v1"][:])
    assert (a.dtypes[3:] == np.float32).all()


def test_what_h5py_finds(described, tmp_path):
    found, (shortcut, _) = described
    export_feature(found, shortcut, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["features"].dtype == np.float32 and file["features"].shape == (48, 10)
        assert file["names"].asstr()[:].tolist() == found.manifest.table["name"].tolist()
        assert {*file["cases"].asstr()[:]} == {*pseudonyms(found.manifest.table["case"]).values()}
        assert file["columns"].asstr()[0] == "shortcut.width_px"
        about = dict(file.attrs)
    assert about["feature"] == "shortcut.v1" and about["glomfeat"] == glomfeat.__version__
    assert json.loads(about["key"])["size"] == 32 and about["weights"] == ""


def test_weights_are_named_by_their_digest(tmp_path):
    network, wide = make_feature("squeezenet1_1", weights="none", device="cpu"), Wide(3, 512)
    found = Extracted(manifest_of(3), {network.name: wide}, keys={network.name: network.key})
    export_feature(found, network, tmp_path / "a.h5")
    export_feature(found, network, tmp_path / "a.parquet")
    with h5py.File(tmp_path / "a.h5") as file:
        about = dict(file.attrs)
        assert "columns" not in file
    metadata = parquet.read_schema(tmp_path / "a.parquet").metadata
    assert {key: metadata[f"glomfeat.{key}".encode()].decode() for key in about} == about
    assert re.fullmatch(r"random \(seed 0\) sha256:[0-9a-f]{64}", about["weights"])


@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
def test_what_is_there_is_kept_if_it_is_the_same_and_never_replaced(described, tmp_path, suffix):
    (found, (shortcut, mine)), path = described, tmp_path / f"t{suffix}"
    assert export_feature(found, shortcut, path)
    before = path.read_bytes()
    assert not export_feature(found, shortcut, path)
    with pytest.raises(ExportError, match=rf"t\{suffix} exists and holds something else: name another file with --to"):
        export_feature(found, mine, path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


class Broken:
    """A matrix that cannot be read to its end."""

    shape = (48, 10)

    def __len__(self):
        return 48

    def __getitem__(self, rows):
        raise OSError("the disk is gone")


@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
def test_nothing_is_left_of_an_export_that_fails(described, tmp_path, suffix):
    found, (shortcut, _) = described
    broken = Extracted(found.manifest, {shortcut.name: Broken()}, keys=found.keys)
    with pytest.raises(OSError, match="the disk is gone"):
        export_feature(broken, shortcut, tmp_path / f"t{suffix}")
    assert not list(tmp_path.iterdir())


def test_without_cases_there_is_no_column_of_them(phantom_folder, tmp_path):
    manifest, pixels = read_manifest(phantom_folder, groups="none"), Pixels()
    found = extract(manifest, [pixels], Preprocess(8), Store(str(tmp_path / "store")))
    export_feature(found, pixels, tmp_path / "a.h5")
    export_feature(found, pixels, tmp_path / "a.parquet")
    with h5py.File(tmp_path / "a.h5") as file:
        assert {*file} == {"features", "names", "labels"}
        np.testing.assert_array_equal(file["features"][:], found.matrices["pixels.v1"][:])
    assert pd.read_parquet(tmp_path / "a.parquet").columns[2] == "pixels.v1:0"


class Wide:
    """A matrix on the disk, as the store's."""

    def __init__(self, n, width):
        self.shape, self.read = (n, width), []

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        self.read.append(rows.stop - rows.start)
        return np.random.default_rng(rows.start).normal(size=(rows.stop - rows.start, self.shape[1])).astype(np.float32)


def manifest_of(n):
    names = [f"P{k % 9}_{k}" for k in range(n)]
    cases = [f"P{k % 9}" for k in range(n)]
    table = pd.DataFrame({"name": names, "path": "", "label": 0, "case": cases, "slide": cases, "digest": names})
    return Manifest(table, ("no", "yes"), True)


@pytest.mark.parametrize("suffix", [pytest.param(".parquet", marks=pytest.mark.slow), ".h5"])
def test_rows_are_never_held_as_a_whole(tmp_path, suffix, monkeypatch):
    for size in ("BLOCK_BYTES", "ROW_GROUP_BYTES"):
        monkeypatch.setattr(f"glomfeat.features.export.{size}", 2**20)
    feature, wide = Handcrafted("wide.v1", None), Wide(4000, 2000)
    found = Extracted(manifest_of(4000), {"wide.v1": wide}, keys={"wide.v1": feature.key})
    tracemalloc.start()
    export_feature(found, feature, tmp_path / f"t{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(wide.read) == 4000 and peak < 4000 * 2000 * 4 / 3


def test_parquet_of_too_many_columns_is_refused(tmp_path):
    feature, wide = Handcrafted("wide.v1", None), Wide(3, 10_001)
    found = Extracted(manifest_of(3), {"wide.v1": wide}, keys={"wide.v1": feature.key})
    with pytest.raises(ExportError, match=r"^wide\.v1 has 10001 columns, too many for parquet: write \.h5$"):
        export_feature(found, feature, tmp_path / "t.parquet")
    assert export_feature(found, feature, tmp_path / "t.h5")


def test_target_says_the_format_and_the_feature():
    with pytest.raises(ExportError, match=r"^--to is 'rows\.csv': name a file that ends in \.parquet, \.h5, \.hdf5$"):
        check_target("rows.csv")
    assert target_of("rows.h5", "a.v1", several=False).name == "rows.h5"
    assert target_of("rows.h5", "a.v1", several=True).name == "rows.a.v1.h5"


def test_the_command(phantom_folder, tmp_path, capsys):
    common = [str(phantom_folder), "--size", "32", "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    to = ["--to", str(tmp_path / "rows.parquet")]
    assert main([*common, "--features", "shortcut", *to]) == 0
    assert "rows.parquet: 48 images x 10 numbers of shortcut.v1" in capsys.readouterr().out.replace("\n", " ")
    assert main([*common, "--features", "shortcut", *to]) == 0
    assert "the same as was there" in capsys.readouterr().out.replace("\n", " ")
    assert main([*common, "--features", "shortcut", f"file:{tmp_path / 'rows.parquet'}", *to]) == 0
    written = sorted(path.name for path in tmp_path.glob("rows.*.parquet"))
    assert len(written) == 2 and written[1] == "rows.shortcut.v1.parquet" and written[0].startswith("rows.rows.")
    with pytest.raises(ExportError, match="holds something else"):
        main([*common, "--features", "shortcut", "--padding", "zero", *to])


def test_the_command_turns_a_table_into_another_format(feature_table, tmp_path):
    for source, to in ((feature_table, "a.h5"), (tmp_path / "a.h5", "b.parquet")):
        assert main([str(source), "--to", str(tmp_path / to), "--cache", str(tmp_path / "cache")]) == 0
    first, last = pd.read_csv(feature_table), pd.read_parquet(tmp_path / "b.parquet")
    assert last.columns[3:].tolist() == [f"x{k}" for k in range(6)]
    pd.testing.assert_frame_equal(last[["name"]], first[["name"]].sort_values("name", ignore_index=True))
    values = first.sort_values("name").iloc[:, 2:].to_numpy(np.float32)
    np.testing.assert_array_equal(last.iloc[:, 3:].to_numpy(), values)


def test_the_command_says_which_options_change_nothing(feature_table, phantom_folder, tmp_path, capsys):
    to = ["--to", str(tmp_path / "a.h5"), "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    of_networks = ["--layer", "layer4", "--weights", "none"]
    of_images = ["--size", "99", "--padding", "zero", "--icc", "keep"]
    none = "changes nothing: it is for features of networks, and there are none"
    pretrained = "--weights none changes nothing: it is for pretrained networks, and there are none"
    assert main([str(feature_table), *of_images, *of_networks, *to]) == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert "--size 99, --padding zero and --icc keep change nothing: DATA is a feature table, without images" in said
    assert f"--layer layer4 {none}" in said and pretrained in said
    to[1] = str(tmp_path / "b.h5")
    assert main([str(phantom_folder), *of_images, *of_networks, "--features", "shortcut", *to]) == 0
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"--layer layer4 {none}" in said and pretrained in said and "without images" not in said
    to[1] = str(tmp_path / "c.h5")
    assert main([str(feature_table), *to]) == 0 and "nothing" not in capsys.readouterr().out


def test_the_command_takes_the_columns_that_options_name(feature_table, phantom_folder, tmp_path):
    table = pd.read_csv(feature_table)
    other = table["label"].map(dict(zip(*[sorted(set(table["label"]))[::step] for step in (1, -1)], strict=True)))
    table.assign(consensus=other).to_csv(tmp_path / "two.csv", index=False)
    to, cache = str(tmp_path / "a.parquet"), ["--cache", str(tmp_path / "cache")]
    assert main([str(tmp_path / "two.csv"), "--label-column", "consensus", "--drop", "x0", "--to", to, *cache]) == 0
    found = pd.read_parquet(to)
    expected = dict(zip(table["name"].astype(str), other.astype(str), strict=True))
    assert dict(zip(found["name"], found["label"].astype(str), strict=True)) == expected
    assert found.columns[3:].tolist() == [f"x{k}" for k in range(1, 6)]
    for options, said in (
        (["--label-column", "nonsense"], "fits --label-column 'nonsense'"),
        (["--columns", "x1"], "--columns x1 is for tables of numbers"),
    ):
        with pytest.raises(ManifestError, match=said):
            main([str(phantom_folder), "--features", "shortcut", *options, "--to", str(tmp_path / "b.h5"), *cache])


def test_the_command_says_which_images_were_left_out(phantom_folder, tmp_path, capsys):
    rows = (phantom_folder / "public.csv").read_text() + "P000_PAS_1of1_0.png,0\n"
    folder = tmp_path / "own"
    folder.mkdir()
    for path in phantom_folder.rglob("*.png"):
        (folder / path.name).symlink_to(path)
    (folder / "P000_PAS_1of1_0.png").write_bytes(b"no image")
    (folder / "labels.csv").write_text(rows)
    options = ["--size", "32", "--cache", str(tmp_path / "cache"), "--jobs", "1", "--features", "shortcut"]
    assert main([str(folder), *options, "--to", str(tmp_path / "a.h5")]) == 1
    said = capsys.readouterr().out
    assert "48 images" in said and "left out: P000_PAS_1of1_0.png: " in said
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["names"]) == 48


@pytest.mark.parametrize("options", [["--features"], ["--features", "shortcut", "shortcut"], ["--size", "0"]])
def test_options_that_no_export_can_have(options):
    with pytest.raises((ValueError, SystemExit)) as error:
        main(["nowhere", *options])
    assert error.type is not SystemExit or error.value.code == 2


@pytest.mark.parametrize("size", [pytest.param(None, marks=pytest.mark.slow), 64])
def test_what_is_exported_of_a_pretrained_network_is_what_a_study_reads(
    phantom_folder, pretrained_folder, tmp_path, size
):
    weights, cache = str(pretrained_folder), str(tmp_path / "cache")
    given = [] if size is None else ["--size", str(size)]
    options = [*given, "--weights", weights, "--device", "cpu", "--cache", cache, "--jobs", "1"]
    assert main([str(phantom_folder), "--features", "squeezenet1_1", *options, "--to", str(tmp_path / "a.h5")]) == 0
    asked = {"features": ("squeezenet1_1",), "weights": weights, "device": "cpu", "size": size, "jobs": 1}
    prepared = prepare(Study(str(phantom_folder), **asked, cache=str(tmp_path / "other")), lambda line: None)
    found = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["features"][:], found.matrices[prepared.features[0].name][:])
        key = json.loads(file.attrs["key"])
    assert (key["size"], key.get("filter")) == ((224, "bilinear") if size is None else (64, None))
