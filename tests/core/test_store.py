import hashlib
import logging
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import numpy_pickle

from glomfeat.core import cache as store_module
from glomfeat.core.cache import Matrix, Store, digest_of, plan_shards

ROOT = Path(__file__).parents[2]

KEY = {"feature": "x.v1", "rows": "abc", "size": 8}
VALUES = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def never():
    raise AssertionError("a stored shard was made again")


def counted(value, calls):
    def make():
        calls.append(1)
        return {"rows": value.copy()}

    return make


def digests_of(numbers):
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def stored_file(store):
    """The one file of arrays, and where its array begins."""
    rows = store.shard(KEY, never)["rows"]
    return Path(rows.filename), rows.offset


def test_hit_reads_and_does_not_make(store):
    assert not store.has(KEY)
    made = store.shard(KEY, lambda: {"rows": VALUES, "sizes": np.ones(4, np.int32)})
    again = Store(store.folder).shard(KEY, never)
    assert store.has(KEY)
    for arrays in (made, again):
        assert set(arrays) == {"rows", "sizes"}
        np.testing.assert_array_equal(arrays["rows"], VALUES)
        assert arrays["rows"].dtype == np.float32 and arrays["sizes"].dtype == np.int32


def test_shards_are_read_only_memory_maps(store):
    store.shard(KEY, lambda: {"rows": VALUES})
    for arrays in (store.shard(KEY, never), Store(store.folder).shard(KEY, never)):
        assert isinstance(arrays["rows"], np.memmap) and arrays["rows"].mode == "r"
        with pytest.raises(ValueError, match="read-only"):
            arrays["rows"][0] = 0


@pytest.mark.parametrize("value", [VALUES.T, VALUES[::2, ::-1], VALUES.astype(">f4"), np.zeros((2, 0, 3), np.uint8)])
def test_any_layout_of_an_array_is_kept_by_value(store, value):
    store.shard(KEY, lambda: {"rows": value})
    np.testing.assert_array_equal(store.shard(KEY, never)["rows"], value)


def test_nothing_is_stored_when_making_fails(store):
    with pytest.raises(RuntimeError, match="no luck"):
        store.shard(KEY, lambda: (_ for _ in ()).throw(RuntimeError("no luck")))
    assert not store.has(KEY)
    np.testing.assert_array_equal(store.shard(KEY, lambda: {"rows": VALUES})["rows"], VALUES)


def test_key_does_not_depend_on_the_order_of_its_parts(store):
    store.shard({"a": 1, "b": {"c": "x", "d": [1, 2]}}, lambda: {"rows": VALUES})
    store.shard({"b": {"d": [1, 2], "c": "x"}, "a": 1}, never)


def test_every_part_of_a_key_matters(store):
    keys = [KEY, {**KEY, "size": 9}, {**KEY, "rows": "abd"}, {**KEY, "more": ""}, {**KEY, "size": "8"}]
    for k, key in enumerate(keys):
        store.shard(key, lambda k=k: {"rows": np.full(3, k)})
    assert [int(store.shard(key, never)["rows"][0]) for key in keys] == [0, 1, 2, 3, 4]


def test_forget_deletes_one_entry(store):
    other = {**KEY, "size": 9}
    for key in (KEY, other):
        store.shard(key, lambda: {"rows": VALUES})
    store.forget(KEY)
    assert not store.has(KEY) and store.has(other)


@pytest.mark.parametrize("at", [0, 1, 47, 95])
def test_flipped_bit_in_the_array_is_found_and_the_shard_made_again(store, caplog, at):
    store.shard(KEY, lambda: {"rows": VALUES})
    path, offset = stored_file(store)
    data = bytearray(path.read_bytes())
    data[offset + at] ^= 4
    path.write_bytes(data)
    calls = []
    with caplog.at_level(logging.WARNING, "glomfeat.core.cache"):
        arrays = store.shard(KEY, counted(VALUES, calls))
    np.testing.assert_array_equal(arrays["rows"], VALUES)
    assert len(calls) == 1 and "a stored shard was damaged and is made again" in caplog.text
    np.testing.assert_array_equal(store.shard(KEY, never)["rows"], VALUES)


@pytest.mark.parametrize(("right", "wrong"), [(b"\x01<", b"\x01>"), (b"\x02f4", b"\x02i4"), (b"arrays", b"arrayz")])
def test_damage_beside_the_numbers_is_found_too(store, right, wrong):
    """The bytes of the numbers are as they were, and mean others, or what holds them is broken."""
    store.shard(KEY, lambda: {"rows": VALUES})
    path, _ = stored_file(store)
    data = path.read_bytes()
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, wrong))
    arrays = store.shard(KEY, lambda: {"rows": VALUES})
    assert set(arrays) == {"rows"} and arrays["rows"].dtype == np.float32
    np.testing.assert_array_equal(arrays["rows"], VALUES)


@pytest.mark.parametrize("keep", [0, 1, 50, -1, -100])
def test_truncated_file_is_made_again_and_a_line_says_so(store, keep, caplog):
    store.shard(KEY, lambda: {"rows": VALUES})
    path, _ = stored_file(store)
    path.write_bytes(path.read_bytes()[:keep])
    calls = []
    np.testing.assert_array_equal(store.shard(KEY, counted(VALUES, calls))["rows"], VALUES)
    assert len(calls) == 1
    assert caplog.messages == ["a stored shard cannot be read and is made again"]
    np.testing.assert_array_equal(Store(store.folder).shard(KEY, never)["rows"], VALUES)


RACE = """
import sys, time
from pathlib import Path
import numpy as np
from glomfeat.core.cache import Store
folder, me, other = sys.argv[1:]
def make():
    Path(folder, me).touch()
    end = time.time() + 20
    while not Path(folder, other).exists() and time.time() < end:
        time.sleep(0.002)
    return {"rows": np.arange(50_000, dtype=np.float32)}
print(float(Store(folder + "/store").shard({"k": 1}, make)["rows"].sum(dtype=float)))
"""


def test_two_processes_that_make_one_shard_at_once_both_get_it(tmp_path):
    names = ["first", "second"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RACE, str(tmp_path), *order],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (names, names[::-1])
    ]
    said = [run.communicate(timeout=60) for run in runs]
    expected = float(sum(range(50_000)))
    assert [(float(out), err) for out, err in said] == [(expected, "")] * 2
    assert all((tmp_path / name).exists() for name in names)  # both were making
    rows = Store(str(tmp_path / "store")).shard({"k": 1}, never)["rows"]
    assert rows.sum(dtype=float) == expected


def test_a_shard_that_another_process_replaces_while_it_is_read_is_not_damaged(store, tmp_path, monkeypatch, caplog):
    store.shard(KEY, lambda: {"rows": VALUES})
    path, _ = stored_file(store)
    other, read = Store(str(tmp_path / "other")), numpy_pickle.make_memmap
    theirs = Path(other.shard(KEY, lambda: {"before": np.ones(99), "rows": VALUES})["rows"].filename)

    def replaced(*given, **options):
        if theirs.exists():
            theirs.replace(path)
        return read(*given, **options)

    monkeypatch.setattr(numpy_pickle, "make_memmap", replaced)
    found = store.shard(KEY, never)
    assert set(found) == {"before", "rows"} and caplog.messages == []
    np.testing.assert_array_equal(found["rows"], VALUES)


KILLED = """
import sys, time
from pathlib import Path
from glomfeat.core.cache import Store
def make():
    Path(sys.argv[1], "making").touch()
    time.sleep(60)
Store(sys.argv[1] + "/store").shard({"k": 1}, make)
"""


def test_every_store_of_a_process_is_of_use_to_the_next_process(tmp_path):
    code = "import sys; from glomfeat.core.cache import Store; print(*Store(sys.argv[1]).shard({'what': 1}, None)['x'])"
    for folder in (tmp_path / "one", tmp_path / "two"):
        Store(str(folder)).shard({"what": 1}, lambda: {"x": np.arange(3)})
        found = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=ROOT)
        assert found.stdout.split() == ["0", "1", "2"], found.stderr


def test_killed_while_making_leaves_no_entry(tmp_path):
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    end = time.monotonic() + 30
    while not (tmp_path / "making").exists() and time.monotonic() < end:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait(30) == -signal.SIGKILL and (tmp_path / "making").exists()
    store = Store(str(tmp_path / "store"))
    assert not store.has({"k": 1})
    np.testing.assert_array_equal(store.shard({"k": 1}, lambda: {"rows": VALUES})["rows"], VALUES)


def test_digest_of_is_of_the_sequence():
    assert digest_of(["a", "b"]) == hashlib.sha256(b"a\nb").hexdigest()
    assert len({digest_of(texts) for texts in (["ab"], ["a", "b"], ["b", "a"], ["a", "b", ""], [])}) == 5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=200), st.integers(1, 20))
def test_shards_are_a_partition_of_the_distinct_digests(numbers, per_shard):
    digests = digests_of(numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "ROWS_PER_SHARD", per_shard)
        shards = plan_shards(digests)
    rows = [int(row) for shard in shards for row in shard]
    assert [digests[row] for row in rows] == sorted(set(digests))  # each once, in order
    assert all(digests.index(digests[row]) == row for row in rows)
    assert all(len(shard) for shard in shards)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 20), st.randoms())
def test_membership_is_of_the_digests_and_not_of_their_order(count, per_shard, random):
    digests = digests_of(range(count))
    shuffled = random.sample(digests, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "ROWS_PER_SHARD", per_shard)
        plans = [[[names[row] for row in shard] for shard in plan_shards(names)] for names in (digests, shuffled)]
    assert plans[0] == plans[1]


def test_one_more_digest_changes_one_shard_except_where_their_number_doubles():
    digests, changes = digests_of(range(3000)), []
    for count in range(1000, 2990, 7):
        names = [*digests[:count], digests[-1]]
        before = {tuple(names[row] for row in shard) for shard in plan_shards(names[:-1])}
        after = {tuple(names[row] for row in shard) for shard in plan_shards(names)}
        changes.append(len(after - before))
    assert min(changes) == 1 and np.mean(np.array(changes) == 1) > 0.99


def test_shards_are_of_a_size():
    for count in (1, 128, 129, 1000, 5000):
        sizes = [len(shard) for shard in plan_shards(digests_of(range(count)))]
        assert sum(sizes) == count and max(sizes) <= 1.5 * store_module.ROWS_PER_SHARD
        assert len(sizes) <= max(1, 2 * count / store_module.ROWS_PER_SHARD)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """A matrix of 30 rows, some equal, in shards of a few, and the same in memory."""
    store = Store(str(tmp_path_factory.mktemp("matrix")))
    digests = digests_of([k % 23 for k in range(30)])
    content = {d: np.random.default_rng(int(d[:8], 16)).normal(size=(2, 3)).astype(np.float32) for d in digests}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "ROWS_PER_SHARD", 4)
        members = [[digests[row] for row in shard] for shard in plan_shards(digests)]
    shards = [
        store.shard({"k": k}, lambda names=names: {"rows": np.stack([content[d] for d in names])})["rows"]
        for k, names in enumerate(members)
    ]
    assert len(shards) > 4
    return Matrix(shards, digests, members), np.stack([content[d] for d in digests])


def test_matrix_looks_like_an_array(matrix):
    stored, array = matrix
    assert stored.shape == array.shape and stored.dtype == array.dtype and len(stored) == 30
    assert stored.row_bytes == array[0].nbytes
    flat = stored.flat()
    assert flat.shape == (30, 6) and flat.row_bytes == stored.row_bytes and stored.shape == (30, 2, 3)
    np.testing.assert_array_equal(flat[:], array.reshape(30, 6))


indices = st.one_of(
    st.slices(30),
    st.lists(st.integers(-30, 29), max_size=40).map(lambda rows: np.array(rows, np.int64)),
    st.lists(st.booleans(), min_size=30, max_size=30).map(np.array),
    st.lists(st.integers(0, 29), max_size=5),
)


@settings(max_examples=150, deadline=None)
@given(indices)
def test_matrix_is_indexed_as_numpy_is(matrix, rows):
    stored, array = matrix
    found = stored[rows]
    assert found.shape == array[rows].shape and found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[rows])
    np.testing.assert_array_equal(stored.flat()[rows], array.reshape(30, 6)[rows])


def test_matrix_refuses_what_numpy_refuses(matrix):
    for rows in (np.array([30]), np.array([-31]), np.ones(29, bool)):
        with pytest.raises(IndexError):
            matrix[0][rows]


def test_rows_read_are_the_callers_own(matrix):
    stored, array = matrix
    stored[:3][:] = 0
    np.testing.assert_array_equal(stored[:3], array[:3])


def test_equal_digests_share_a_place(tmp_path):
    store, digest = Store(str(tmp_path)), digests_of([1, 2])
    rows = store.shard(KEY, lambda: {"rows": VALUES[:2]})["rows"]
    matrix = Matrix([rows], [digest[1], digest[0], digest[1]], [digest])
    np.testing.assert_array_equal(matrix[:], VALUES[[1, 0, 1]])


READ = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer)[::7].tobytes())"


def test_matrix_is_sent_as_names_and_read_in_another_process(tmp_path):
    digests = digests_of(range(200))
    wide = np.random.default_rng(0).normal(size=(200, 512)).astype(np.float32)
    rows = Store(str(tmp_path)).shard(KEY, lambda: {"rows": wide})["rows"]
    sent = pickle.dumps(Matrix([rows], digests, [digests]))
    assert len(sent) < 200 * 16 + 2000 < wide.nbytes / 50
    found = subprocess.run([sys.executable, "-c", READ], input=sent, capture_output=True, check=True, timeout=60)
    assert found.stdout == wide[::7].tobytes()
