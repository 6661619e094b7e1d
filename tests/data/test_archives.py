"""Members of archives: the bytes that zipfile and tarfile packed, and a clear reason for everything that is wrong."""

import os
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.packing import pack
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.data import archives
from glomfeat.data.archives import ArchiveError, read_index
from glomfeat.data.images.decode import ImageError

MEMBERS = {f"{kind}/{k:02d} é.png": os.urandom(k) + b"x" * 50 * k for k in range(20) for kind in ("sick", "well")}


def zipped(path, members=MEMBERS, way=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", way) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tarred(path, members=MEMBERS, form=tarfile.PAX_FORMAT):
    return pack(path, members, form)


def everything(path):
    archive = read_index(path)
    return {name: archive.read(row) for row, name in enumerate(archive.names)}


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zips_members_are_those_that_were_packed(tmp_path, way):
    path = zipped(tmp_path / "a.zip", way=way)
    assert everything(path) == MEMBERS
    with zipfile.ZipFile(path, "a") as file:
        file.comment = b"PK\5\6 in a comment" * 9
        file.mkdir("empty")
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" + path.read_bytes())  # one that unpacks itself
    assert everything(path) == everything(tmp_path / "b.zip") == MEMBERS


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tars_members_are_those_that_were_packed(tmp_path, form):
    members = MEMBERS | {f"{'long' * 30}/{'name' * 20}.png": b"1"}
    assert everything(tarred(tmp_path / "a.tar", members, form)) == members
    assert everything(tarred(tmp_path / "b.tar", {})) == {}


def test_a_zip_of_more_members_and_bytes_than_the_old_format_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # instead of 65,535: the numbers go to the zip64 records
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for k in range(5):
            file.writestr(f"{k}.png", b"")
        with file.open("large.png", "w", force_zip64=True) as member:
            member.write(b"data")
    assert b"PK\6\6" in (tmp_path / "a.zip").read_bytes()
    index = read_index(tmp_path / "a.zip")
    assert len(index.names) == 6 and index.read(index.find("large.png")) == b"data"


def test_an_index_is_compact(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for k in range(5000):
            file.writestr(f"{k}.png", b"ab")
    tracemalloc.start()
    index = read_index(tmp_path / "a.zip")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (held - sum(map(sys.getsizeof, index.names))) / 5000 < 60


def test_names_are_those_of_a_folder_however_they_were_packed(tmp_path):
    members = {"./a/1.png": b"1", "b\\2.png": b"2", "c//./3.png": b"3"}
    assert read_index(tarred(tmp_path / "a.tar", members)).names == ["a/1.png", "b/2.png", "c/3.png"]
    assert read_index(zipped(tmp_path / "a.zip", members)).names == ["a/1.png", "b/2.png", "c/3.png"]


class _Raw(zipfile.ZipInfo):
    """A member whose name is written in the bytes that are given, without a word on their encoding."""

    def __init__(self, written, field=b""):
        super().__init__(written.decode("latin-1"))
        self.extra = field

    def _encodeFilenameFlags(self):  # noqa: N802 (zipfile's)
        return self.filename.encode("latin-1"), 0


def _unicode_path(of, name):
    data = struct.pack("<BL", 1, zlib.crc32(of)) + name.encode()
    return struct.pack("<HHH", 0x5455, 1, 0)[:5] + struct.pack("<HH", 0x7075, len(data)) + data


@pytest.mark.parametrize(
    ("written", "field", "name"),
    [
        ("scl\u00e9rose\u0301/1.png".encode(), b"", "scl\u00e9rose\u0301/1.png"),  # macOS
        ("scl\u00e9/1.png".encode(), _unicode_path("scl\u00e9/1.png".encode(), "scl\u00e9/1.png"), "scl\u00e9/1.png"),
        (b"scl\x82/1.png", b"", "scl\u00e9/1.png"),  # Windows
        (b"scl?/1.png", _unicode_path(b"scl?/1.png", "scl\u0113/1.png"), "scl\u0113/1.png"),
        (b"renamed/1.png", _unicode_path(b"scl?/1.png", "scl\u0113/1.png"), "renamed/1.png"),
    ],
)
def test_names_without_a_word_on_their_encoding(tmp_path, written, field, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(_Raw(written, field), b"x")
    assert everything(tmp_path / "a.zip") == {name: b"x"}


def test_names_that_lead_out_and_names_of_two_members(tmp_path):
    index = read_index(
        tarred(tmp_path / "a.tar", {"../a.png": b"", "/b.png": b"", "C:\\c.png": b"", "a..b/d.png": b""})
    )
    assert index.escaping() == ["../a.png", "/b.png", "C:/c.png"] and index.repeated() == []
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("a.png", "b.png", "a.png"):
            file.writestr(name, b"")
    assert read_index(tmp_path / "a.zip").repeated() == ["a.png"]


def test_threads_read_side_by_side(tmp_path):
    for path in (zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar")):
        index = read_index(path)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(index.read, list(range(len(index.names))) * 20))
        assert found == [MEMBERS[name] for name in index.names] * 20


def patched(path, name, before, after):
    """Change the first bytes of a member's entry in a zip's list, or in the data."""
    data = path.read_bytes()
    at = data.index(before) if name is None else data.rindex(name.encode()) - 46
    changed = data[:at] + after(data[at:])
    path.write_bytes(changed)
    return path


def field(offset, form, value):
    size = struct.calcsize(form)
    return lambda data: data[:offset] + struct.pack(form, value) + data[offset + size :]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (field(8, "<H", 1), r"^encrypted in the archive: pack it again without a password$"),
        (field(10, "<H", 14), r"^packed by zip's method 14: pack it again, stored or deflated$"),
        (field(24, "<L", 2_000_000_000), r"^2,000,000,000 bytes are more than 1,000,000,000 allowed$"),
        (field(24, "<L", 99), r"^damaged in the archive: its size or checksum is not as stated$"),
        (field(24, "<L", 101), r"^damaged in the archive: its size or checksum is not as stated$"),
        (field(16, "<L", 1), r"^damaged in the archive: its size or checksum is not as stated$"),
        (field(20, "<L", 500_000_000), r"^cut off in the archive$"),
        (field(42, "<L", 3), r"^damaged in the archive: no header where it should begin$"),
        (field(5, "<B", 3), None),
    ],
)
def test_a_bad_member_of_a_zip_says_why_and_the_others_are_read(tmp_path, change, reason):
    path = patched(zipped(tmp_path / "a.zip", {"bad.png": b"a" * 100, "good.png": b"b"}), "bad.png", None, change)
    index = read_index(path)
    assert index.read(index.find("good.png")) == b"b"
    if reason:
        with pytest.raises(ImageError, match=reason):
            index.read(index.find("bad.png"))
    else:
        assert index.read(index.find("bad.png")) == b"a" * 100


def test_a_bomb_is_not_unpacked_beyond_what_it_states(tmp_path):
    path = zipped(tmp_path / "a.zip", {"bomb.png": b"\0" * 50_000_000})
    patched(path, "bomb.png", None, field(24, "<L", 1000))
    index = read_index(path)
    tracemalloc.start()
    with pytest.raises(ImageError, match="not as stated"):
        index.read(0)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_links_and_sparse_files_of_a_tar_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, kind in (
            ("soft.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    index = read_index(tmp_path / "a.tar")
    assert index.names == ["hard.png", "pipe.png", "soft.png"]
    for row in (0, 2):
        with pytest.raises(ImageError, match=r"^a link in the archive, which is not followed: .* --dereference"):
            index.read(row)
    with open(tmp_path / "sparse.png", "wb") as file:  # noqa: PTH123
        file.truncate(1_000_000)
    packed = subprocess.run(["tar", "-S", "-cf", "s.tar", "sparse.png"], cwd=tmp_path, capture_output=True)
    if packed.returncode:
        pytest.skip("the system's tar makes no sparse archives")
    with pytest.raises(ImageError, match="sparse"):
        read_index(tmp_path / "s.tar").read(0)


CUT = "is damaged or cut off|has no end mark|is not a zip, or is cut off|is a part of a zip"


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.77, 0.9999])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_archive_that_is_cut_off_is_refused_as_a_whole(tmp_path, make, share):
    path = make(tmp_path / f"a.{make.__name__[:3]}")
    data = path.read_bytes()
    data = data.rstrip(b"\0") if make is tarred else data
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArchiveError, match=rf"^{path} (?:{CUT}).*: copy or pack it again$"):
        read_index(path)


def test_what_readers_of_tars_pass_over_in_silence_is_refused(tmp_path):
    path = tarred(tmp_path / "a.tar", form=tarfile.GNU_FORMAT)
    data = path.read_bytes()
    path.write_bytes(data + data)
    with pytest.raises(ArchiveError, match="continues after its end, or is damaged at byte"):
        read_index(path)
    path.write_bytes(b"?" + data[1:])  # the header's checksum does not fit
    with pytest.raises(ArchiveError, match="is damaged or cut off"):
        read_index(path)
    middle = data.index(b"well/")  # every name has a header of its own
    path.write_bytes(data[:middle] + b"W" + data[middle + 1 :])
    with pytest.raises(ArchiveError, match="damaged at byte"):
        read_index(path)


SAMPLES = {}


@pytest.fixture(scope="module", autouse=True)
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    few = {"a/1.png": b"x" * 300, "b/2.png": os.urandom(200)}
    SAMPLES.update(
        {make.__name__[:3]: make(folder / f"s.{make.__name__[:3]}", few).read_bytes() for make in (zipped, tarred)}
    )
    SAMPLES["folder"] = folder


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["zip", "tar"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5),
    st.floats(0.1, 1.0),
)
def test_damage_raises_nothing_else(kind, changes, share):
    data = bytearray(SAMPLES[kind][: int(len(SAMPLES[kind]) * share)])
    for at, value in changes:
        data[at % len(data)] = value
    path = SAMPLES["folder"] / f"d.{kind}"
    path.write_bytes(data)
    try:
        index = read_index(path)
    except ArchiveError:
        return
    for row in range(len(index.names)):
        try:
            assert len(index.read(row)) == index.sizes[row]
        except ImageError as error:
            assert str(error)


def test_numbers_that_are_packed_are_held_as_they_are(tmp_path):
    index = read_index(zipped(tmp_path / "a.zip", {"a.png": b"a" * 1000}))
    assert index.sizes.tolist() == [1000] and index.packed[0] < 100
    assert index.ways.dtype == np.uint8 and index.ways[0] == archives.DEFLATED
