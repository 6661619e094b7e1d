"""Arrays and DataFrames given as data: what is written is what was given."""

import h5py
import numpy as np
import pandas as pd
import pytest

from glomfeat.comparison.in_memory import write_arrays

NAN = float("nan")
Y, GROUPS = [0, 1, 0], ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([[1, 2.5], [3, 4], [5, 6]], [[1, 2.5], [3, 4], [5, 6]]),
        ([[True], [False], [True]], [[1], [0], [1]]),
        ([[1.5], [None], [3]], [[1.5], [NAN], [3]]),
        (pd.DataFrame({"a": pd.array([1.5, None, 3], dtype="Float64"), "b": [1, 2, 3]}), [[1.5, 1], [NAN, 2], [3, 3]]),
        (pd.DataFrame({"a": pd.array([True, None, False], dtype="boolean")}), [[1], [NAN], [0]]),
        (pd.DataFrame({"a": [1, None, 3]}, dtype=object), [[1], [NAN], [3]]),
    ],
)
def test_numbers_of_every_kind_are_written(tmp_path, given, written):
    with h5py.File(write_arrays((given, Y, GROUPS), tmp_path, "auto", pytest.fail)) as file:
        np.testing.assert_array_equal(file["features"][()], np.array(written, np.float32))
        assert file["cases"].asstr()[()].tolist() == GROUPS and file["labels"].asstr()[()].tolist() == ["0", "1", "0"]


def test_tensors_are_written(tmp_path):
    torch = pytest.importorskip("torch")
    with h5py.File(write_arrays((torch.eye(3), torch.tensor(Y), torch.arange(3)), tmp_path, "auto")) as file:
        np.testing.assert_array_equal(file["features"][()], np.eye(3))
        assert file["labels"].asstr()[()].tolist() == ["0", "1", "0"]


def test_numbers_that_float32_rounds_are_said(tmp_path):
    X, said = np.array([[1e9, 1], [1e9 + 1, 2], [1e9 + 2, 3]]), []
    write_arrays((X, Y, GROUPS), tmp_path, "auto", said.append)
    write_arrays((pd.DataFrame(X, columns=["time", "area"]), Y, GROUPS), tmp_path, "auto", said.append)
    assert [line.partition(" differ by so little")[0] for line in said] == [
        "warning: the numbers of x0 in X",
        "warning: the numbers of time in X",
    ]
