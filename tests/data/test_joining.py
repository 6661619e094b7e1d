"""Names find each other whatever folders, suffixes and drives are written before and behind them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.data.tables.joining import find_names_among

KNOWN = ["sick/a.png", "sick/b.png", "well/c.png"]


@pytest.mark.parametrize(
    "write",
    [
        lambda name: name,
        lambda name: name.rpartition("/")[2],
        lambda name: name.rpartition("/")[2].removesuffix(".png"),
        lambda name: name.removesuffix(".png"),
        lambda name: name.replace("/", "\\"),
        lambda name: "C:\\Users\\me\\data\\" + name.replace("/", "\\"),
        lambda name: f"D:/data/{name}",
        lambda name: f"/home/me/data/{name}",
        lambda name: f"./{name}",
        lambda name: name.replace(".png", ".svs"),
    ],
)
def test_each_way_of_writing_a_name(write):
    found, unclear = find_names_among([write(name) for name in KNOWN], KNOWN)
    assert [found[write(name)] for name in KNOWN] == [0, 1, 2] and unclear == []


def test_folders_decide_where_names_are_the_same():
    known = ["train/sick/1.png", "train/well/1.png", "test/sick/2.png"]
    found, unclear = find_names_among(["D:\\x\\sick\\1.png", "well/1.png", "2"], known)
    assert list(found.values()) == [0, 1, 2] and unclear == []
    assert find_names_among(["1.png", "2.png"], known) == ({"2.png": 2}, ["1.png"])


def test_no_two_names_share_one():
    assert find_names_among(["a.png", "a.jpg"], ["a.png"]) == ({"a.png": 0}, [])
    assert find_names_among(["x/a.jpg", "y/a.tif"], ["a.png"]) == ({}, ["x/a.jpg", "y/a.tif"])
    assert find_names_among(["gone"], KNOWN) == ({}, [])


def test_a_number_behind_a_dot_is_part_of_the_name():
    assert find_names_among(["slide.1", "slide.2"], ["slide.1.png", "slide.2.png"])[0] == {"slide.1": 0, "slide.2": 1}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.from_regex(r"[a-c]{1,2}/[a-d]{1,2}\.(png|jpg)", fullmatch=True), unique=True, max_size=12), st.data()
)
def test_what_is_found_is_right(known, data):
    """Exact names find themselves; a shorter one finds the only name that ends so, and never another."""
    wanted = [
        data.draw(st.sampled_from([name, name.split("/")[1], name.split("/")[1].split(".")[0]])) for name in known
    ]
    found, unclear = find_names_among(wanted, known)
    assert len(set(found.values())) == len(found) and not set(found) & set(unclear)
    for name, place in found.items():
        assert known[place].split("/")[1].startswith(name.split("/")[-1].split(".")[0])
    assert find_names_among(known, known) == ({name: k for k, name in enumerate(known)}, [])
