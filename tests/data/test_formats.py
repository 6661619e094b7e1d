"""Files of other kinds: formats, colours by a profile, and what is not read, which is never passed over."""

import io
import json
import os
import shutil
import socket
import tarfile
import threading

import numpy as np
import pandas as pd
import pytest
from helpers.running import SMALL
from PIL import Image, ImageCms

from glomfeat.checks.data.files import look
from glomfeat.data.archives import read_index
from glomfeat.data.files import read_bytes
from glomfeat.data.images import dicom
from glomfeat.data.images.decode import ImageError, Preprocess, decode, encode_png, has_profile
from glomfeat.data.manifest import ManifestError, read_manifest
from studies import audit, compare
from studies._cli import run_main

pytestmark = pytest.mark.usefixtures("dealt_once")

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 255, shape or (24, 24, 3), np.uint8)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def put(root, *names, kind="PNG", **options):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(noise(), kind, **options))
    return root


def three_classes(root, suffix="jp2", kind="JPEG2000"):
    put(root, *(f"{name}/patient{k}_{name[0]}.png" for k in range(6) for name in ("none", "segmental")))
    return put(root, *(f"global/patient{k}_g.{suffix}" for k in range(6)), kind=kind)


def test_a_third_class_in_another_format(tmp_path, capsys, only_exact_copies):
    root = three_classes(tmp_path / "data")
    manifest = read_manifest(root)
    assert manifest.classes == ("global", "none", "segmental") and len(manifest) == 18 and not manifest.unread
    rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert compare.main([str(root), *SMALL, "--dry-run", *rest]) == 0
    assert "18 images of 6 cases: 6 global, 6 none, 6 segmental" in capsys.readouterr().out
    audit.main([str(root), "--jobs", "1", "--size", "48", *rest])
    codes = {one["code"] for one in json.loads((tmp_path / "out" / "audit.json").read_text())["findings"]}
    assert not codes & {"files.broken", "files.unread", "files.suffix", "manifest"}


def test_a_class_of_a_format_that_is_not_read_stops(tmp_path):
    root = three_classes(tmp_path, "heic", "PNG")
    with pytest.raises(ManifestError) as error:
        read_manifest(root)
    assert str(error.value).splitlines()[1] == (
        "- 6 files, all of folder global, cannot be read (6 .heic): save them as PNG, or move the folder out "
        "of DATA: global/patient0_g.heic, global/patient1_g.heic, global/patient2_g.heic, global/patient3_g.heic, "
        "global/patient4_g.heic, ..."
    )
    for name in ("none", "segmental"):  # whatever remains does not look like the classes
        for k, path in enumerate(sorted((root / name).iterdir())):
            (root / name / str(k % 2)).mkdir(exist_ok=True)
            path.rename(root / name / str(k % 2) / path.name)
    with pytest.raises(ManifestError, match="all of folder global, cannot"):
        read_manifest(root)


def test_files_that_are_not_read_are_counted(tmp_path, capsys, without_report, only_exact_copies):
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in ("sick", "well")))
    for name in ("sick/case9.heic", "sick/case8.HEIC", "sick/case7.svs", "well/odd", "well/notes.txt", "top.bin"):
        (root / name).write_bytes(b"...")
    said = "not read: 2 .heic of sick, 1 .svs of sick, 1 without a suffix of well; "
    said += "python -m studies.crops cuts crops out of whole slides; save images as PNG"
    manifest = read_manifest(root)
    assert said in manifest.said and len(manifest) == 8
    rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert compare.main([str(root), *SMALL, *rest]) == 1
    assert said in " ".join(capsys.readouterr().out.split())
    table = pd.read_csv(tmp_path / "out" / "quarantine.csv")
    assert table["name"].tolist() == ["sick/case7.svs", "sick/case8.HEIC", "sick/case9.heic", "well/odd"]
    assert table["reason"][0] == ".svs is a whole slide: cut crops out of it with python -m studies.crops"
    assert table["reason"][3].startswith("a file without a suffix is not read: save it as PNG, if it is an image (PNG,")
    rest[1] = str(tmp_path / "audit")
    audit.main([str(root), "--jobs", "1", "--size", "48", *rest])
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]
    [one] = [one for one in found if one["code"] == "files.unread"]
    assert one["what"].startswith("4 files are of no format that is read: 2 .heic of sick, ") and len(one["rows"]) == 4


def test_a_class_without_an_image_is_said_or_stops(tmp_path):
    names = [f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in ("sick", "well")]
    root = put(tmp_path / "data", *names)
    (root / "global").mkdir()
    (root / "papers").mkdir()
    (root / "papers" / "notes.txt").write_text("to do")
    assert "folders without an image, which are no classes: global, papers" in read_manifest(root).said
    for k in range(2):
        (root / "global" / f"IM{k}").write_bytes(b"?")
    said = (
        r"- 2 files, all of folder global, cannot be read \(2 without a suffix\): save them as PNG, or "
        r"move the folder out of DATA: global/IM0, global/IM1$"
    )
    with pytest.raises(ManifestError, match=said):
        read_manifest(root)
    alone = put(tmp_path / "alone", *names[::2])
    (alone / "well").mkdir()
    said = "1 folder beside those of classes holds no image: fill them, or give --labels: well"
    with pytest.raises(ManifestError, match=said):
        read_manifest(alone)


def test_a_class_of_which_no_image_can_be_read_stops(tmp_path):
    kinds = ("sick", "well", "worn")
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in kinds))
    for path in (root / "worn").iterdir():
        path.write_bytes(b"worn" + path.name.encode())
    rest = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    said = (
        r"^no image of the class worn can be read, 4 in all: repair them, or take the class out of DATA "
        r"\(case0_worn\.png: not an image that can be read \(PNG, "
    )
    with pytest.raises(ImageError, match=said):
        compare.main([str(root), *SMALL, *rest])


def test_labels_of_files_that_are_not_read(tmp_path):
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "c.heic").write_bytes(b"...")
    (tmp_path / "labels.csv").write_text("name,label\na.png,0\nb.png,1\nc.heic,1\ngone.png,1\n")
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path, groups="none")
    assert str(error.value).splitlines()[1:] == [
        "- 1 label of labels.csv without a file: gone.png (take the rows out, or bring the files)",
        "- 1 label of labels.csv whose files are not read (1 .heic): save them as PNG: c.heic",
    ]


def test_slides_alone_point_to_their_study(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"...")
    said = r"holds no image \(PNG, .*\); not read: 1 \.svs; python -m studies\.crops cuts crops out of whole slides$"
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)


def test_what_is_packed_is_to_be_unpacked(tmp_path):
    (tmp_path / "camelyonpatch_level_2_split_test_x.h5.gz").write_bytes(b"...")
    with pytest.raises(ManifestError, match=r"; not read: 1 \.gz; unpack what is packed, or move it out of DATA$"):
        read_manifest(tmp_path)


def test_more_formats_are_decoded_as_they_are():
    image, box = noise(20, 30, 3), np.zeros((20, 30, 3), np.uint8)
    box[5:12, 8:20] = 255, 0, 0
    for mode, options in (("JPEG2000", {}), ("JPEG2000", {"no_jp2": True})):
        np.testing.assert_array_equal(np.asarray(decode(encode(image, mode, **options))), image)
    first, second = (Image.fromarray(one).quantize(4) for one in (box, 255 - box))
    gif = encode(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(np.asarray(decode(gif)), box)
    np.testing.assert_array_equal(np.asarray(decode(encode(Image.fromarray(noise(9, 9)), "JPEG2000"))).shape, (9, 9, 3))


def test_every_suffix_is_read_and_none_is_odd(tmp_path):
    kinds = {"jp2": "JPEG2000", "j2k": "JPEG2000", "gif": "GIF", "jfif": "JPEG", "jpe": "JPEG", "JPX": "JPEG2000"}
    for k, (suffix, kind) in enumerate(kinds.items()):
        put(tmp_path, f"{'ab'[k % 2]}/case{k}_1.{suffix}", kind=kind)
    manifest = read_manifest(tmp_path)
    assert len(manifest) == len(kinds)
    for path in manifest.table["path"]:
        assert "suffix" not in look(path) and decode(read_bytes(path)).size == (24, 24)


def profile(name):
    """A profile that is not sRGB's, of a colour space."""
    if name == "XYZ":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped():
    """sRGB's profile with red and green exchanged, called otherwise: what it does is easily told."""
    data = bytearray(profile("sRGB"))
    tags = {bytes(data[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(int.from_bytes(data[128:132], "big"))}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    return bytes(data).replace("sRGB built-in".encode("utf-16-be"), "Exchanged RGB".encode("utf-16-be"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_profile_is_applied_unless_it_is_to_be_kept(kind):
    image = np.zeros((8, 8, 3), np.uint8)
    image[...] = 200, 40, 90
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    with_it, without = encode(image, kind, icc_profile=swapped(), **options), encode(image, kind, **options)
    found = np.asarray(decode(with_it)).astype(int)
    assert np.abs(found - (40, 200, 90)).max() <= 3 and has_profile(with_it) and not has_profile(without)
    np.testing.assert_array_equal(np.asarray(decode(with_it, icc="keep")), np.asarray(decode(without)))
    assert Preprocess(8, icc="keep").read(with_it)[0][0, 0].tolist() != Preprocess(8).read(with_it)[0][0, 0].tolist()
    for nothing in (profile("sRGB"), b"no profile", profile("XYZ"), profile("LAB")):
        data = encode(image, kind, icc_profile=nothing, **options)
        np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(decode(without)))
        assert not has_profile(data)


def test_a_profile_of_linear_light_is_applied_whatever_it_is_called():
    data = bytearray(profile("sRGB"))
    curve = data.index(b"para\0\0\0\0")
    data[curve + 8 : curve + 10], data[curve + 12 : curve + 16] = b"\0\0", b"\0\1\0\0"  # the power of 1
    named = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile.profile_description
    found = np.asarray(decode(encode(np.full((8, 8, 3), 128, np.uint8), "PNG", icc_profile=bytes(data)))).astype(int)
    expected = 255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert "sRGB" in named and np.abs(found - expected).max() <= 1


def test_a_profile_leaves_what_is_clear_and_what_it_is_not_for():
    image = noise(6, 6, 4)
    image[..., 3] = np.arange(36).reshape(6, 6) * 7
    clear = np.asarray(decode(encode(image, "PNG", icc_profile=swapped()))).astype(int)
    plain = np.asarray(decode(encode(image[..., [1, 0, 2, 3]], "PNG"))).astype(int)
    assert np.abs(clear - plain).max() <= 4
    grey = noise(6, 6)
    np.testing.assert_array_equal(decode(encode(grey, "PNG", icc_profile=swapped())), decode(encode(grey, "PNG")))
    palette = Image.fromarray(noise(6, 6, 3)).quantize(8)
    exchanged = np.asarray(decode(encode(palette, "PNG", icc_profile=swapped()))).astype(int)
    assert np.abs(exchanged - np.asarray(palette.convert("RGB"))[..., [1, 0, 2]]).max() <= 4


def test_profiles_are_counted_in_a_line_and_in_the_audit(tmp_path, capsys, without_report, only_exact_copies):
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in ("sick", "well")))
    put(root, "sick/case0_sick.png", "well/case1_well.png", icc_profile=swapped())
    shutil.copy(root / "sick" / "case0_sick.png", root / "sick" / "case0_again.png")
    rest = ["--cache", str(tmp_path / "cache"), "--out"]
    said = "colours: 3 images have an embedded ICC profile that is not sRGB's: "
    for how, what in (
        ("srgb", "converted to sRGB; --icc keep leaves them as they are"),
        ("keep", "kept as the numbers in the file"),
    ):
        assert compare.main([str(root), *SMALL, "--icc", how, *rest, str(tmp_path / how)]) == 0
        assert said + what in " ".join(capsys.readouterr().out.split())
    one, other = (pd.read_parquet(tmp_path / how / "predictions.parquet") for how in ("srgb", "keep"))
    assert not one["score"].equals(other["score"])
    audit.main([str(root), "--jobs", "1", "--size", "48", *rest, str(tmp_path / "audit")])
    found = {one["code"]: one for one in json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]}
    assert found["files.profile"]["figures"] == {"files": 3}


def dicom_file(pixels, **values):
    """A DICOM file of these pixels, uncompressed."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = values.pop("syntax", pydicom.uid.ExplicitVRLittleEndian)
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = values.pop("sop", "1.2.840.10008.5.1.4.1.1.77.1.4")
    header.Rows, header.Columns = pixels.shape[-3:-1] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    header.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    header.PhotometricInterpretation = "RGB" if pixels.shape[-1] == 3 else "MONOCHROME2"
    header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8 * pixels.dtype.itemsize
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = 0
    header.PixelData = pixels.tobytes()
    for name, value in values.items():
        setattr(header, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()


def test_dicom_is_read():
    colour, grey = noise(10, 14, 3), noise(10, 14)
    np.testing.assert_array_equal(np.asarray(decode(dicom_file(colour))), colour)
    for name, expected in (("MONOCHROME2", grey), ("MONOCHROME1", 255 - grey)):
        found = np.asarray(decode(dicom_file(grey, PhotometricInterpretation=name)))
        np.testing.assert_array_equal(found, np.dstack([expected] * 3))
    deep = np.arange(140, dtype=np.uint16).reshape(10, 14) * 29
    found = np.asarray(decode(dicom_file(deep, BitsStored=12, HighBit=11)))[..., 0]
    np.testing.assert_array_equal(found, np.round(deep / 4095 * 255))
    frames = noise(3, 10, 14, 3)
    np.testing.assert_array_equal(np.asarray(decode(dicom_file(frames, NumberOfFrames=3))), frames[0])
    found = np.asarray(decode(dicom_file(colour, ICCProfile=swapped()))).astype(int)
    assert np.abs(found - colour[..., [1, 0, 2]]).max() <= 4
    assert dicom.size_of(io.BytesIO(dicom_file(colour))) == (14, 10) and dicom.size_of(io.BytesIO(b"x")) is None


def test_profiles_of_dicom_are_counted_where_they_are_applied(tmp_path):
    for values, applied in ((noise(40, 40), False), (noise(40, 40, 3), True)):
        data = dicom_file(values, ICCProfile=swapped())
        changed = (np.asarray(decode(data)) != np.asarray(decode(data, icc="keep"))).any()
        assert has_profile(data) == changed == applied
        (tmp_path / "a.dcm").write_bytes(data)
        assert look(tmp_path / "a.dcm") == ({"profile": "colours become those of sRGB"} if applied else {})
    assert not has_profile(dicom_file(noise(40, 40, 3)))


def test_the_audit_tells_of_further_frames_of_dicom(tmp_path):
    for count, said in ((1, {}), (3, {"frames": "3 frames"})):
        (tmp_path / "a.dcm").write_bytes(dicom_file(noise(count, 40, 40, 3), NumberOfFrames=count))
        assert look(tmp_path / "a.dcm") == said


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"PixelRepresentation": 1}, r"^signed pixels: .*; convert to unsigned 8 or 16 bit$"),
        ({"sop": dicom.WHOLE_SLIDE}, r"^a whole slide: cut crops out of it with python -m studies\.crops$"),
        ({"Rows": 20_000, "Columns": 20_000}, r"^20000 x 20000 pixels are more than 80,000,000 allowed$"),
        ({"PixelData": b"12"}, r"^DICOM pixels that are cut off, or packed in a way .* \(Explicit VR .*\): save"),
    ],
)  # fmt: skip
def test_dicom_that_is_refused(values, reason):
    with pytest.raises(ImageError, match=reason):
        decode(dicom_file(noise(10, 14), **values))


def test_dicom_without_what_it_needs(tmp_path, monkeypatch):
    whole = dicom_file(noise(10, 14))
    with pytest.raises(
        ImageError, match=r"^a DICOM file without an image, or cut off: copy it again, or leave it out$"
    ):
        decode(whole[:200])
    for k in range(4):
        put(tmp_path, f"{'ab'[k % 2]}/case{k}_1.dcm").joinpath(f"{'ab'[k % 2]}/case{k}_1.dcm").write_bytes(
            dicom_file(noise(10, 14))
        )
    assert len(read_manifest(tmp_path)) == 4
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    monkeypatch.setattr(dicom, "is_installed", lambda: False)
    with pytest.raises(ImageError, match=r"^DICOM needs pydicom: pip install 'glomfeat\[dicom\]'$"):
        decode(whole)
    said = r"- 4 files are DICOM, which needs pydicom: pip install 'glomfeat\[dicom\]': case0_1\.dcm, "
    with pytest.raises(ManifestError, match=said):
        read_manifest(tmp_path)


def test_nothing_waits_for_what_is_no_file(tmp_path, without_report):
    """A pipe that nobody writes into would be read for ever."""
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in ("sick", "well")))
    os.mkfifo(root / "sick" / "case0_pipe.png")
    (root / "sick" / "case1_device.png").symlink_to("/dev/zero")
    kinds = {"case0_pipe.png": "a named pipe", "case1_device.png": "a device"}
    place = os.open(root / "well", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{place}/case2_socket.png")  # whose names must be short
        kinds["case2_socket.png"] = "a socket"
        done = []
        rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
        worker = threading.Thread(target=lambda: done.append(compare.main([str(root), *SMALL, *rest])), daemon=True)
        worker.start()
        worker.join(240)
    os.close(place)
    assert done == [1]
    table = pd.read_csv(tmp_path / "out" / "quarantine.csv")
    what = ", not a file: put the image itself in its place, or remove it"
    assert dict(zip(table["name"], table["reason"], strict=True)) == {name: kind + what for name, kind in kinds.items()}


def test_members_of_a_tar_that_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, kind in (("pipe.png", tarfile.FIFOTYPE), ("disk.png", tarfile.BLKTYPE), ("tty.png", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            file.addfile(info)
    index = read_index(tmp_path / "a.tar")
    assert index.names == ["disk.png", "pipe.png", "tty.png"]
    for row in range(3):
        with pytest.raises(ImageError, match=r"^a pipe, socket or device in the archive, not a file: pack it again"):
            index.read(row)


def test_data_that_is_no_file_is_refused(tmp_path, capsys):
    os.mkfifo(tmp_path / "data.csv")
    with pytest.raises(SystemExit) as stop:
        run_main(compare.main, [str(tmp_path / "data.csv"), "--dry-run"])
    assert stop.value.code == 2
    said = "data.csv is neither a file nor a folder: give a folder of images, a zip or tar, a CSV or a feature table"
    assert f"{said}\n" in capsys.readouterr().err


def test_names_that_are_no_utf8_are_read_and_shown_escaped(tmp_path, capsys):
    root = put(tmp_path / "data", *(f"{kind}/case{k}_{kind}.png" for k in range(4) for kind in ("sick", "well")))
    odd = os.fsencode(root / "sick") + b"/case0_caf\xe9\r.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(encode_png(noise()))
    with open(os.fsencode(root / "well") + b"/case1_\xff\r.heic", "wb") as file:  # noqa: PTH123
        file.write(b"...")
    (root / "sick").rename(os.fsdecode(os.fsencode(root) + b"/s\xefck"))
    manifest = read_manifest(root)
    assert manifest.classes == ("s\\xefck", "well") and "case0_caf\\xe9\\x0d.png" in manifest.table["name"].tolist()
    rest = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert compare.main([str(root), *SMALL, *rest]) == 1
    assert "folders: class (s\\xefck, well)/image" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out" / "quarantine.csv")["name"].tolist() == ["well/case1_\\xff\\x0d.heic"]
    assert "case0_caf\\xe9\\x0d.png" in set(pd.read_parquet(tmp_path / "out" / "predictions.parquet")["name"])
