import hashlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glomfeat.comparison.options import Study
from glomfeat.core import cache as store_module
from glomfeat.core.cache import Store
from glomfeat.core.errors import ChangedError
from glomfeat.data.images.decode import ImageError, Preprocess, encode_png
from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.columns import Asked
from glomfeat.features.extract import extract
from glomfeat.features.make import FeatureError, Handcrafted, Pixels, Table, make_feature

SQUARE = Preprocess(size=8)
COUNT = 14


def png(seed):
    height, width = np.random.default_rng([1, seed]).integers(5, 13, 2)
    return encode_png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def write(folder, number, data=None):
    kind = "sick" if number % 2 else "well"
    path = folder / kind / f"case{number // 3}_{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(number) if data is None else data)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images in several shards."""
    monkeypatch.setattr(store_module, "ROWS_PER_SHARD", 2)
    for number in range(COUNT):
        write(tmp_path / "images", number)
    return tmp_path / "images"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def decoded(monkeypatch):
    """Digests of the bytes that were decoded."""
    calls, read = [], Preprocess.read

    def counted(self, data):
        calls.append(hashlib.sha256(data).hexdigest())
        return read(self, data)

    monkeypatch.setattr(Preprocess, "read", counted)
    return calls


def describe(image, size):
    return [image.mean(), image[..., 0].std(), *size]


def counting(calls, name="count.v1"):
    """A feature that notes the images it describes; for jobs=1."""

    def noted(image, size):
        calls.append(image.tobytes())
        return describe(image, size)

    return Handcrafted(name, noted)


class Network:
    """Like a deep feature: all rows of a shard in one call."""

    key, weights, standardise = {"feature": "net.v1", "weights": "w"}, "random", False
    name = "net.random"

    def __init__(self, fails=False):
        self.seen, self.fails = [], fails

    def transform(self, pixels, sizes):
        self.seen.append(len(pixels))
        if self.fails:
            raise ValueError("no such layer")
        return pixels.reshape(len(pixels), -1)[:, :5].astype(np.float32)


def expected_rows(manifest, function):
    rows = [SQUARE.read(Path(path).read_bytes()) for path in manifest.table["path"]]
    return np.array([np.ravel(function(pixels, size)) for pixels, size in rows], np.float32)


def top_bit(data):
    return int(hashlib.sha256(data).hexdigest(), 16) >> 255


def reasons(found):
    return {row["name"]: row["reason"] for row in found.quarantine}


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_matrices_are_what_direct_computation_gives(folder, store, jobs):
    manifest, network = read_manifest(folder), Network()
    names = manifest.table["name"].tolist()
    area = np.random.default_rng(0).normal(size=COUNT).astype(np.float32)
    pd.DataFrame({"name": names, "area": area}).to_csv(folder.parent / "t.csv", index=False)
    table, shortcut = Table(str(folder.parent / "t.csv")), make_feature("shortcut")
    mean = Handcrafted("mean.v1", lambda image, size: [image.mean(), size[0]])
    found = extract(manifest, [mean, shortcut, Pixels(), network, table], SQUARE, store, jobs)
    matrices = found.matrices
    assert set(matrices) == {"mean.v1", "shortcut.v1", "pixels.v1", "net.random", table.name} == set(found.keys)
    assert found.failed == {} and found.quarantine == [] and found.manifest is manifest
    for name, function in (("mean.v1", mean.describe), ("shortcut.v1", shortcut.describe)):
        np.testing.assert_array_equal(matrices[name][:], expected_rows(manifest, function))
    pixels = expected_rows(manifest, lambda image, size: image)
    np.testing.assert_array_equal(matrices["pixels.v1"][:], pixels)
    assert matrices["pixels.v1"].dtype == np.uint8 and matrices["pixels.v1"].shape == (COUNT, 8 * 8 * 3)
    np.testing.assert_array_equal(matrices["net.random"][:], pixels[:, :5])
    np.testing.assert_array_equal(matrices[table.name][:], area[:, None])
    assert {matrices[name].dtype for name in set(matrices) - {"pixels.v1"}} == {np.dtype(np.float32)}


def test_pixels_as_a_feature_are_the_stored_pixels():
    pixels = np.arange(2 * 12, dtype=np.uint8).reshape(2, 2, 2, 3)
    rows = Pixels().transform(pixels, None)
    assert rows.dtype == np.float32 and rows.tolist() == pixels.reshape(2, 12).tolist()


def test_jobs_do_not_change_a_byte(folder, tmp_path):
    manifest = read_manifest(folder)
    features = [make_feature("shortcut"), Handcrafted("mean.v1", describe), Pixels()]
    one, two = (extract(manifest, features, SQUARE, Store(str(tmp_path / f"s{jobs}")), jobs) for jobs in (1, 2))
    for name in one.matrices:
        assert one.matrices[name][:].tobytes() == two.matrices[name][:].tobytes()
    assert one.keys == two.keys


def test_second_time_nothing_is_decoded_or_computed(folder, store, decoded):
    calls, network = [], Network()
    features = [counting(calls), Pixels(), network]
    first = extract(read_manifest(folder), features, SQUARE, store)
    assert len(calls) == len(decoded) == sum(network.seen) == COUNT
    again = extract(read_manifest(folder), features, SQUARE, Store(store.folder))
    assert len(calls) == len(decoded) == sum(network.seen) == COUNT
    for name in first.matrices:
        np.testing.assert_array_equal(first.matrices[name][:], again.matrices[name][:])


def test_a_second_feature_shares_the_decoded_pixels(folder, store, decoded):
    extract(read_manifest(folder), [counting([])], SQUARE, store)
    extract(read_manifest(folder), [counting([], "other.v1"), Network()], SQUARE, store)
    assert len(decoded) == COUNT


def test_moving_renaming_and_relabelling_compute_nothing(folder, store, decoded):
    calls = []
    feature = counting(calls)
    extract(read_manifest(folder), [feature], SQUARE, store)
    moved = folder.rename(folder.parent / "elsewhere")
    (moved / "sick" / "case0_1.png").rename(moved / "well" / "case9_renamed.png")
    (moved / "well").rename(moved / "fine")
    manifest = read_manifest(moved, positive="fine")
    found = extract(manifest, [feature], SQUARE, store)
    assert len(calls) == len(decoded) == COUNT
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(manifest, describe))


def test_one_more_image_computes_its_shard_only(folder, store, decoded):
    calls, network = [], Network()
    features = [counting(calls), network]
    extract(read_manifest(folder), features, SQUARE, store)
    write(folder, COUNT)
    decoded.clear(), calls.clear(), network.seen.clear()
    manifest = read_manifest(folder)
    found = extract(manifest, features, SQUARE, store)
    prefixes = manifest.table["digest"].map(lambda digest: int(digest, 16) >> 253)  # 15 rows by 2: 8 shards
    new = hashlib.sha256(png(COUNT)).hexdigest()
    shard = manifest.table["digest"][prefixes == int(new, 16) >> 253]
    assert new in set(shard) and len(shard) < 7
    assert sorted(decoded) == sorted(shard) and len(calls) == len(shard) and network.seen == [len(shard)]
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(manifest, describe))


def test_preprocess_and_version_are_in_the_key(folder, store, decoded):
    calls, manifest = [], read_manifest(folder)
    extract(manifest, [counting(calls)], SQUARE, store)
    extract(manifest, [counting(calls)], Preprocess(8, "zero"), store)
    assert len(decoded) == len(calls) == 2 * COUNT
    extract(manifest, [counting(calls, "count.v2")], SQUARE, store)
    assert len(decoded) == 2 * COUNT and len(calls) == 3 * COUNT


def test_equal_images_under_two_names_are_computed_once(folder, store):
    shutil.copy(folder / "well" / "case0_0.png", folder / "well" / "case0_copy.png")
    calls, manifest = [], read_manifest(folder)
    found = extract(manifest, [counting(calls)], SQUARE, store)
    assert len(calls) == COUNT and len(found.matrices["count.v1"]) == COUNT + 1
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(manifest, describe))


def wide_network():
    """A network that reads images in a way of its own."""
    network = Network()
    network.name, network.key, network.reads = "wide.random", {"feature": "wide.v1"}, (16, "bicubic")
    return network


def test_features_that_read_images_in_several_ways_have_the_same_rows(folder, store, decoded):
    bad, wide = bad_images(folder), wide_network()
    manifest = read_manifest(folder)
    also = [Preprocess(12), SQUARE]
    found = extract(manifest, [Network(), wide, Pixels()], SQUARE, store, also=also)
    assert [*found.pixels] == [SQUARE, Preprocess(16, filter="bicubic"), Preprocess(12)]
    assert len(decoded) == 3 * (COUNT + len(bad))  # what cannot be read is asked why
    assert reasons(found).keys() == set(bad) and len(found.quarantine) == len(bad)
    view = Preprocess(16, filter="bicubic")
    read = np.stack([view.read(Path(path).read_bytes())[0] for path in found.manifest.table["path"]])
    np.testing.assert_array_equal(found.pixels[view][:], read)
    np.testing.assert_array_equal(found.matrices["wide.random"][:], read.reshape(len(read), -1)[:, :5])
    assert found.keys["wide.random"] == {"feature": "wide.v1", **view.key}
    decoded.clear()
    again = extract(manifest, [wide], SQUARE, store)
    np.testing.assert_array_equal(again.matrices["wide.random"][:], found.matrices["wide.random"][:])
    assert len(decoded) == len(bad)  # to say why, and no more


def test_an_image_that_can_be_read_in_one_way_alone_ends_the_run(folder, store, monkeypatch):
    read = Preprocess.read

    def failing(self, data):
        if self.size == 16 and data == png(3):
            raise ImageError("gone")
        return read(self, data)

    monkeypatch.setattr(Preprocess, "read", failing)
    with pytest.raises(OSError, match="the images that can be read have changed during the run: start again"):
        extract(read_manifest(folder), [Network(), wide_network()], SQUARE, store)


def bad_images(folder):
    """Empty, no image, truncated, floating point: what is wrong with each."""
    buffer = io.BytesIO()
    Image.fromarray(np.ones((3, 3), np.float32)).save(buffer, "TIFF")
    bad = {0: b"", 3: b"no image", 4: png(4)[:90], 9: buffer.getvalue()}
    return {write(folder, number, data).name: number for number, data in bad.items()}


def test_bad_images_are_set_aside_with_their_reasons(folder, store):
    names, calls, network = bad_images(folder), [], Network()
    manifest = read_manifest(folder)
    found = extract(manifest, [counting(calls), Pixels(), network], SQUARE, store)
    said = reasons(found)
    assert set(said) == set(names) and len(found.quarantine) == 4
    assert said["case0_0.png"] == "empty file"
    assert said["case1_3.png"] == "not an image that can be read (PNG, JPEG, JPEG 2000, TIFF, BMP, WebP, GIF, DICOM)"
    assert said["case1_4.png"].startswith("corrupt or truncated: ")
    assert said["case3_9.png"].startswith("floating-point pixels: their range is unknown")
    assert set(found.manifest.table["name"]) == set(manifest.table["name"]) - set(names)
    for matrix in found.matrices.values():
        assert len(matrix) == COUNT - 4
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(found.manifest, describe))
    pixels = expected_rows(found.manifest, lambda image, size: image)
    np.testing.assert_array_equal(found.matrices["pixels.v1"][:], pixels)
    assert len(calls) == sum(network.seen) == COUNT - 4  # no feature saw a bad image
    again = extract(manifest, [counting(calls), Pixels(), network], SQUARE, store)
    assert again.quarantine == found.quarantine and len(calls) == sum(network.seen) == COUNT - 4


def test_bad_images_stop_the_run_if_asked(folder, store):
    bad_images(folder)
    remedy = r"repair or remove them, or set them aside with --on-error skip \(case0_0\.png: empty file; "
    with pytest.raises(ImageError, match=rf"^4 of 14 images cannot be read: {remedy}"):
        extract(read_manifest(folder), [Pixels()], SQUARE, store, on_error="stop")


def test_nothing_but_bad_images_stops_in_any_case(folder, store):
    for number in range(COUNT):
        write(folder, number, b"bad %d" % number)
    with pytest.raises(ImageError, match=r"^14 of 14 images cannot be read: repair or remove them \(case0_0\.png: not"):
        extract(read_manifest(folder), [Pixels(), counting([]), Network()], SQUARE, store)


def test_repaired_image_is_used(folder, store):
    bad_images(folder)
    extract(read_manifest(folder), [counting([])], SQUARE, store)
    for number in (0, 3, 4, 9):
        write(folder, number)
    manifest = read_manifest(folder)
    found = extract(manifest, [counting([])], SQUARE, store)
    assert found.quarantine == [] and len(found.manifest) == COUNT
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(manifest, describe))


def test_image_that_another_pillow_can_read_is_used(folder, store, monkeypatch):
    manifest, read, poor = read_manifest(folder), Preprocess.read, png(5)

    def older(self, data):
        if data == poor:
            raise ImageError("corrupt or truncated: unknown chunk")
        return read(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Preprocess, "read", older)
        found = extract(manifest, [counting([])], SQUARE, store)
    assert reasons(found) == {"case1_5.png": "corrupt or truncated: unknown chunk"}
    found = extract(manifest, [counting([])], SQUARE, store)
    assert found.quarantine == []
    np.testing.assert_array_equal(found.matrices["count.v1"][:], expected_rows(manifest, describe))


HERE = "tests/features/test_extract.py:N"


def places(failed):
    """Reasons without the numbers of lines."""
    return {name: re.sub(r"test_extract\.py:\d+", "test_extract.py:N", why) for name, why in failed.items()}


def raises(image, size):
    raise ZeroDivisionError("no tissue")


@pytest.mark.parametrize("jobs", [1, 2])
def test_failing_features_are_named_and_the_others_go_on(folder, store, jobs):
    features = [Handcrafted("bad.v1", raises), Network(fails=True), Handcrafted("good.v1", describe), Pixels()]
    found = extract(read_manifest(folder), features, SQUARE, store, jobs)
    bad, net = 'raise ZeroDivisionError("no tissue"))', 'raise ValueError("no such layer"))'
    assert places(found.failed) == {
        "bad.v1": f"feature bad.v1: raises raised ZeroDivisionError: no tissue ({HERE}: {bad}",
        "net.random": f"feature net.random: transform raised ValueError: no such layer ({HERE}: {net}",
    }
    assert set(found.matrices) == set(found.keys) == {"good.v1", "pixels.v1"}
    assert len(found.matrices["good.v1"]) == COUNT


def test_failure_is_not_stored(folder, store):
    manifest = read_manifest(folder)
    extract(manifest, [Handcrafted("mine.v1", raises), Network(fails=True)], SQUARE, store)
    found = extract(manifest, [Handcrafted("mine.v1", describe), Network()], SQUARE, store)
    assert found.failed == {} and set(found.matrices) == {"mine.v1", "net.random"}


def test_feature_that_gives_nan(folder, store):
    def nan(image, size):
        return [1.0, float("nan"), image.mean(), float("inf")]

    found = extract(read_manifest(folder), [Handcrafted("nan.v1", nan)], SQUARE, store)
    said = f"feature nan.v1: gives NaN or infinity in columns [1, 3] of 2 of 2 images ({HERE}: def nan(image, size):)"
    assert places(found.failed) == {"nan.v1": said}
    assert found.matrices == {}


@pytest.mark.parametrize("per_shard", [128, 1])
def test_feature_of_varying_width_fails_within_a_shard_and_across_shards(tmp_path, store, monkeypatch, per_shard):
    monkeypatch.setattr(store_module, "ROWS_PER_SHARD", per_shard)
    low, high = (
        next(png(seed) for seed in range(100) if SQUARE.read(png(seed))[1][0] == width and upper == top_bit(png(seed)))
        for width, upper in ((6, 0), (9, 1))
    )
    write(tmp_path / "images", 0, low)
    write(tmp_path / "images", 1, high)
    ragged = Handcrafted("ragged.v1", lambda image, size: np.ones(size[0]))
    found = extract(read_manifest(tmp_path / "images"), [ragged, Handcrafted("good.v1", describe)], SQUARE, store)
    ragged = 'ragged = Handcrafted("ragged.v1", lambda image, size: np.ones(size[0]))'
    said = "feature ragged.v1: gives [6, 9] values for different images: always return as many"
    assert places(found.failed) == {"ragged.v1": f"{said} ({HERE}: {ragged})"} and set(found.matrices) == {"good.v1"}


@pytest.mark.parametrize("error", [FileNotFoundError("my.model"), MemoryError("Unable to allocate 9 TiB")])
def test_what_a_feature_of_ones_own_raises_stops_nothing_but_it(folder, store, error):
    def unlucky(image, size):
        raise error

    features = [Handcrafted("mine.v1", unlucky), Handcrafted("good.v1", describe)]
    found = extract(read_manifest(folder), features, SQUARE, store)
    assert str(error) in found.failed["mine.v1"] and set(found.matrices) == {"good.v1"}


@pytest.mark.parametrize("error", [OSError("disk full"), MemoryError()])
def test_what_is_the_machines_fault_stops_the_run(folder, store, error, monkeypatch):
    def unlucky(*arguments):
        raise error

    monkeypatch.setattr("glomfeat.features.shards.describe_rows", unlucky)
    with pytest.raises(type(error)):
        extract(read_manifest(folder), [make_feature("shortcut")], SQUARE, store)


def test_file_changed_or_gone_while_the_study_runs(folder, store):
    manifest = read_manifest(folder)
    path = write(folder, 5, png(99))
    with pytest.raises(OSError, match=r"case1_5\.png changed while the study ran: start again$"):
        extract(manifest, [Pixels()], SQUARE, store)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"case1_5\.png"):
        extract(manifest, [Pixels()], SQUARE, store)
    found = extract(read_manifest(folder), [Pixels()], SQUARE, store)
    assert len(found.manifest) == COUNT - 1 and found.quarantine == []


@pytest.mark.parametrize("name", ["pixels.v1", "count.v1", "net.random"])
def test_damaged_shard_of_any_feature_is_computed_again(folder, store, name):
    manifest, features = read_manifest(folder), [Pixels(), counting([]), Network()]
    before = extract(manifest, features, SQUARE, store).matrices[name]
    expected = before[:]
    path, offset, _ = before._files[0]
    data = bytearray(Path(path).read_bytes())
    data[offset] ^= 255
    Path(path).write_bytes(data)
    found = extract(manifest, features, SQUARE, store)
    assert found.failed == {}
    np.testing.assert_array_equal(found.matrices[name][:], expected)


@pytest.mark.parametrize("form", [str, lambda name: Path(name).name, lambda name: Path(name).stem])
def test_table_is_joined_by_name_in_the_order_of_the_images(tmp_path, form):
    names = ["sick/b.png", "well/a.png", "sick/c.png"]
    frame = pd.DataFrame(
        {"file": [form(name) for name in names], "label": [0, 1, 1], "x": [1.0, 2, 3], "batch": [7, 8, 9]}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = Table(str(tmp_path / "t.csv"))
    assert table.rows([names[2], names[0]]).tolist() == [[3, 9], [1, 7]]
    assert Table(str(tmp_path / "t.csv"), asked=Asked(but=("batch",))).rows(names).tolist() == [[1], [2], [3]]
    digest = hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert table.name == f"t.{digest[:8]}" and table.key["sha256"] == digest
    assert table.key != Table(str(tmp_path / "t.csv"), asked=Asked(but=("batch",))).key


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_called_like_a_word_of_groups_describes_images_unless_it_gives_the_cases(tmp_path, suffix):
    names = [f"P{k // 2}_PAS_1of1_{k}" for k in range(6)]
    frame = pd.DataFrame({"name": names, "label": [0, 1] * 3, "x": np.arange(6.0), "Auto": [3, 4, 5, 3, 4, 6]})
    path = tmp_path / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    table = Table(str(path), asked=Study().asked)
    assert table.columns == ["x", "Auto"] and table.rows(names)[:, 1].tolist() == [3, 4, 5, 3, 4, 6]
    for groups, asked in (("auto", Asked()), ("auto", Study().asked), ("none", Study(groups="none").asked)):
        assert f"t{suffix}: 2 columns are used: x, Auto" in read_manifest(path, groups=groups, asked=asked).said
    of_cases = read_manifest(path, groups="Auto", asked=Study(groups="Auto").asked)
    assert of_cases.table["case"].astype(str).tolist() == list("345346")
    assert f"t{suffix}: left out: Auto (the case, by --groups)" in of_cases.said
    assert Table(str(path), asked=Study(groups="Auto").asked).columns == ["x"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"name": ["a", "b"], "x": [1, 2]}, r"1 of 3 images have no row: c$"),
        (
            {"name": ["d", "e", "f"], "x": [1, 2, 3]},
            r"3 of 3 images have no row: a, b, c; rows have names such as 'd': ",
        ),
        (
            {"id": ["7", "8", "9"], "crop": ["a.png", "b.png", "c.png"], "x": [1, 2, 3]},
            r"no row: a, b, c; column 'crop' names them: say --name-column crop$",
        ),
        (  # an image of several rows is named by none of them
            {"id": ["6", "7", "8", "9"], "crop": ["a", "a", "b", "c"], "x": [1, 2, 3, 4]},
            r"no row: a, b, c; rows have names such as '6': --name-column chooses another column$",
        ),
        ({"name": ["a", "b", "c", "c"], "x": [1, 2, 3, 4]}, r"1 name has several rows: c$"),
        (
            {"name": ["a", "b", "c"], "x": [1, None, 3], "w": [1, 2, 3]},
            r"NaN in x, first in the row of b: ",
        ),
        ({"name": ["a", "b", "c"], "label": [1, 0, 1]}, r"needs a column of numbers$"),
        (
            {"who": ["a", "b", "c"], "x": [1, 0, 1]},
            r"needs a column that names its rows \(path, name, .*--name-column$",
        ),
    ],
)
def test_tables_that_cannot_be_joined(tmp_path, rows, message):
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(FeatureError, match=message):
        Table(str(tmp_path / "t.csv")).rows(["a", "b", "c"])


def test_two_images_do_not_share_a_row_of_a_table(tmp_path):
    pd.DataFrame({"name": ["1.png", "2.png"], "x": [1.0, 2.0]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(FeatureError):
        Table(str(tmp_path / "t.csv")).rows(["sick/1.png", "well/1.png"])


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_a_table_that_is_rewritten_is_refused_and_a_copy_of_it_is_not(tmp_path, suffix):
    path, numbers = tmp_path / f"t{suffix}", np.array([[1.0, 2], [3, 4]])

    def write(numbers):
        if suffix == ".csv":
            return pd.DataFrame(numbers, columns=["x", "y"]).assign(name=["a", "b"]).to_csv(path, index=False)
        np.save(path, numbers)

    (tmp_path / "t.txt").write_text("a\nb\n")
    write(numbers)
    table = Table(str(path))
    assert table.name and table.rows(["a", "b"]).tolist() == numbers.tolist()
    opened = table.open()
    write(numbers[:, ::-1])  # as many bytes
    for act in (table.open, lambda: table.read(opened, np.arange(2)), lambda: table.columns):
        with pytest.raises(ChangedError, match=r"has changed since it was first read: start again"):
            act()
    path.unlink()
    with pytest.raises(ChangedError, match=r"is not there any more: start again"):
        table.read(opened, np.arange(2))
    write(numbers)  # a later time, the same bytes
    assert table.rows(["b"]).tolist() == [[3, 4]]


def test_table_alone_needs_no_pixels_and_changes_with_its_content(folder, store, decoded):
    manifest, path = read_manifest(folder), folder.parent / "t.csv"
    for factor in (1, 2):
        frame = pd.DataFrame({"name": manifest.table["name"], "x": np.arange(COUNT) * factor})
        frame.to_csv(path, index=False)
        found = extract(manifest, [Table(str(path))], SQUARE, store)
        (matrix,) = found.matrices.values()
        assert matrix[:].ravel().tolist() == [k * factor for k in range(COUNT)]
    assert decoded == []


def test_table_beside_bad_images_has_the_rows_of_the_good_ones(folder, store):
    bad_images(folder)
    manifest = read_manifest(folder)
    pd.DataFrame({"name": manifest.table["name"], "x": range(COUNT)}).to_csv(folder.parent / "t.csv", index=False)
    table = Table(str(folder.parent / "t.csv"))
    found = extract(manifest, [table, Pixels()], SQUARE, store)
    rank = {name: k for k, name in enumerate(manifest.table["name"])}
    assert found.matrices[table.name][:].ravel().tolist() == [rank[name] for name in found.manifest.table["name"]]


GROWTH = """
import sys
import numpy as np
from glomfeat.core import cache as store
from glomfeat.features.make import Handcrafted, Pixels
from glomfeat.features.extract import extract
from glomfeat.data.images.decode import Preprocess, encode_png
from glomfeat.data.manifest import read_manifest
from glomfeat.core.memory import PeakMemory
from pathlib import Path

class Wide:
    key, weights, standardise, name = {"feature": "wide.v1"}, "", False, "wide"

    def transform(self, pixels, sizes):
        return pixels.reshape(len(pixels), -1)[:, :5000].astype(np.float32)

store.ROWS_PER_SHARD = 32
features = [Pixels(), Handcrafted("mean.v1", lambda image, size: [image.mean()]), Wide()]
rng = np.random.default_rng(0)
for count in (96, 96, 480):  # the first time to warm up
    folder = Path(sys.argv[1], str(rng.integers(10**9)))
    for number in range(count):
        path = folder / f"images/{number % 2}/case{number // 8}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(rng.integers(0, 256, (9, 9, 3), np.uint8)))
    manifest = read_manifest(folder / "images", positive="1")
    with PeakMemory(every_s=0.002) as memory:
        found = extract(manifest, features, Preprocess(128), store.Store(str(folder / "store")))
    assert len(found.matrices["wide"]) == count
    print(memory.peak_bytes)
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    command = [sys.executable, "-c", GROWTH, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, few, many = map(int, said.split())
    stored = 384 * (128 * 128 * 3 + 5000 * 4)  # what is more on the disk
    assert many - few < stored / 2
