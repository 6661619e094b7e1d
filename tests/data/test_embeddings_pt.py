"""Files of tensors, ``.pt``: what they may hold, and those that would run code."""

import pickle

import pytest
import torch

from glomfeat.features.make import FeatureError
from glomfeat.features.table import Table


@pytest.mark.parametrize(
    "saved",
    [
        lambda row: row,
        lambda row: row[None],
        lambda row: torch.stack([row - 1, row + 1]),
        lambda row: [row - 1, row + 1],
        lambda row: (row[None],),
        lambda row: {"embedding": row, "epoch": 3},
        lambda row: {"whatever": row[None]},
        lambda row: torch.nn.Parameter(row),
        lambda row: row.double(),
    ],
)
def test_what_a_pt_file_may_hold(tmp_path, saved):
    row = torch.tensor([1.0, 2.5, -4.0])
    torch.save(saved(row), tmp_path / "a.pt")
    torch.save(saved(row * 2), tmp_path / "b.pt")
    assert Table(str(tmp_path)).rows(["b.png", "a.png"]).tolist() == [[2, 5, -8], [1, 2.5, -4]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32])
def test_pt_files_of_other_types(tmp_path, dtype):
    torch.save(torch.tensor([[1, 2], [3, 6]], dtype=dtype), tmp_path / "a.pt")
    assert Table(str(tmp_path)).rows(["a"]).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.ones(2), "b": torch.ones(2)}, r"^x\.pt holds 2 tensors \(a, b\): one is needed$"),
        ([torch.ones(2), torch.ones(3)], r"^x\.pt holds list: it must hold a tensor of shape \(d,\) or \(n, d\)$"),
        (torch.ones(1, 2, 3), r"^x\.pt holds \(1, 2, 3\): it must hold"),
        ("text", r"^x\.pt holds str: it must hold"),
        (torch.ones(0, 2), r"1 of 1 files hold no row: x\.pt \(0, 2\)$"),
    ],
)
def test_pt_files_that_do_not_serve(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(FeatureError, match=message):
        _ = Table(str(tmp_path)).name


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pt_file_that_would_run_code_is_not_opened(tmp_path, legacy):
    (tmp_path / "emb").mkdir()
    attack = {"embedding": torch.ones(2), "more": Attack(tmp_path / "owned")}
    torch.save(attack, tmp_path / "emb" / "x.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FeatureError, match=r"^x\.pt holds Python objects .* torch\.save\(embedding\.cpu\(\), FILE\)$"):
        _ = Table(str(tmp_path / "emb")).name
    (tmp_path / "emb" / "x.pt").write_bytes(pickle.dumps(attack["more"]))
    with pytest.raises(FeatureError, match=r"^x\.pt (holds Python objects|cannot be read)"):
        _ = Table(str(tmp_path / "emb")).name
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x80\x02"])
def test_damaged_pt_files_are_named(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(FeatureError, match=r"^x\.pt (cannot be read: .|holds Python objects)"):
        _ = Table(str(tmp_path)).name
