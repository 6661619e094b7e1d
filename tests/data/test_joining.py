"""Names find each other whatever folders, suffixes and drives are written before and behind them."""

import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glomfeat.data.embeddings import find_rows, named
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


def test_rows_of_a_patient_without_files_are_not_given_to_a_patient_without_rows():
    files = [f"P{p}/{k}.png" for p in (1, 2, 7) for k in (1, 2)]
    rows = [f"P{p}/{k}.png" for p in (1, 2, 3) for k in (1, 2)]
    for write in (str, lambda name: f"D:/x/{name}", lambda name: name.removesuffix(".png")):
        assert find_names_among(list(map(write, rows)), files) == ({write(rows[k]): k for k in range(4)}, [])
    assert find_rows(files, rows) == (None, ["P7/1.png", "P7/2.png"])


@pytest.mark.parametrize(
    ("known", "places"),
    [
        (["P1.png", "redo/P1.png", "P2.png"], [1, 2]),
        (["P1", "redo/P1", "P2"], [1, 2]),
        (["P1.HE", "P2", "P1"], [2, 1]),
        (["P1.7", "P2", "P1.8"], None),
    ],
)
def test_an_image_has_the_row_that_fits_it_best_or_none(known, places):
    found, missing = find_rows(["GS/redo/P1.png", "GS/P2.png"], known)
    assert missing == [] and found.tolist() == places if places else found is None and missing == ["GS/redo/P1.png"]


def test_what_follows_a_dot_may_be_part_of_a_name():
    assert find_rows(["S1.1", "S2.1"], ["S1", "S2", "S1.2"]) == (None, ["S1.1", "S2.1"])
    assert find_rows(["a/P1.HE.png", "a/P2.PAS.png"], ["P2.PAS", "P1.HE"])[0].tolist() == [1, 0]
    assert find_rows(["a/P1.HE.png", "a/P1.PAS.png"], ["P1.HE", "P2.PAS"]) == (None, ["a/P1.PAS.png"])


@pytest.mark.parametrize("known", ["{0}", "{0}.h5", "{0}.png", "GS/P{0}/{0}"])
def test_paths_of_a_long_table_are_not_compared_if_names_alone_tell(monkeypatch, known):
    def slow(*_):
        raise AssertionError("minutes in a table of a million rows")

    monkeypatch.setattr(named, "find_names_among", slow)
    found, missing = find_rows([f"GS/P{k}/{k}.png" for k in range(9)], [known.format(k) for k in range(8, -1, -1)])
    assert found.tolist() == [*range(8, -1, -1)] and missing == []


def test_a_name_that_only_two_patients_have_is_not_given_from_one_to_the_other():
    assert find_names_among(["P1/1.png", "P2/1.png", "P3/9.png"], ["P1/1.png", "P2/1.png", "P7/9.png"])[0] == {
        "P1/1.png": 0,
        "P2/1.png": 1,
    }


def test_folders_with_other_names_matter_only_where_names_repeat():
    known = ["train/a.png", "train/b.png", "test/c.png"]
    assert find_names_among(["test/a.png", "train/b.png", "train/c.png"], known)[0] == {
        "test/a.png": 0,
        "train/b.png": 1,
        "train/c.png": 2,
    }
    known = ["P1/P1_a.png", "P1/overview.png", "P2/P2_a.png", "P2/overview.png"]
    assert find_names_among(["crops/P1_a.png", "crops/P2_a.png"], known)[0] == {
        "crops/P1_a.png": 0,
        "crops/P2_a.png": 2,
    }
    assert find_names_among(["crops/overview.png"], known) == ({}, ["crops/overview.png"])
    assert find_names_among(["old/1.jpg", "x/1.png"], ["P1/1.png"]) == ({}, ["x/1.png", "old/1.jpg"])


def test_a_further_name_of_a_file_is_found_only_if_asked_for():
    wanted, known = ["a/1.png", "1.png", "a/1.tif", "b/1.tif"], ["a/1.png", "c/2.png"]
    assert find_names_among(wanted, known) == ({"a/1.png": 0}, [])
    assert find_names_among(wanted, known, again=True) == ({"a/1.png": 0, "1.png": 0, "a/1.tif": 0}, [])


@pytest.mark.parametrize(("ours", "theirs"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_one_letter_however_they_are_stored(ours, theirs):
    names = ["M\u00fcller/\u00e9.png", "M\u00fcller/e.png", "Muller/\u00e9.png"]
    known = [unicodedata.normalize(ours, name) for name in names]
    wanted = [unicodedata.normalize(theirs, name) for name in names]
    assert list(find_names_among(wanted, known)[0].values()) == [0, 1, 2]
    assert find_rows(wanted, known)[0].tolist() == [0, 1, 2]
    both = [unicodedata.normalize(form, "\u00e9.png") for form in ("NFC", "NFD")]
    assert find_names_among(both, both)[0] == {both[0]: 0, both[1]: 1}
    assert find_names_among(["\u00e9"], both) == ({}, ["\u00e9"])


STYLES = {
    "as it is": str,
    "absolute": lambda name: f"/home/me/data/{name}",
    "Windows": lambda name: "C:\\Users\\me\\" + name.replace("/", "\\"),
    "without suffix": lambda name: name.removesuffix(".png"),
    "below another folder": lambda name: f"crops/{name}",
}
OF_PATIENTS = st.sets(st.tuples(st.integers(1, 5), st.sampled_from(["sick", "well"]), st.integers(1, 4)), min_size=2)


@settings(max_examples=100, deadline=None)
@given(
    OF_PATIENTS,
    OF_PATIENTS,
    st.sampled_from(["P{0}/{2}", "P{0}/{1}/{2}", "{1}/P{0}/{2}"]),
    *[st.sampled_from(sorted(STYLES))] * 2,
)
def test_a_file_of_a_patient_meets_its_own_row_and_no_other(rows, files, form, of_rows, of_files):
    """Patients and images lack on either side at random: what both sides have is found, and nothing else."""
    names = [{form.format(*one) + ".png" for one in side} for side in (rows, files)]
    assume(any(len({name.rpartition("/")[2] for name in side}) < len(side) for side in names))
    folders = [{name.rpartition("/")[0] for name in side} for side in names]
    patients = [{patient for patient, *_ in side} for side in (rows, files)]
    assume(folders[0] & folders[1] and patients[0] & patients[1])
    wanted, known = {STYLES[of_rows](name): name for name in names[0]}, sorted(names[1])
    found, unclear = find_names_among(list(wanted), [STYLES[of_files](name) for name in known])
    assert {wanted[name]: known[row] for name, row in found.items()} == {name: name for name in names[0] & names[1]}
    assert not {wanted[name] for name in unclear} & names[1]


PATHS = st.lists(st.from_regex(r"([a-c]/){0,3}[a-c](\.png|\.jpg|)", fullmatch=True), unique=True, max_size=8)


def _plainly(names):
    """Folders and name without suffix, of each name."""
    return [[*name.split("/")[:-1], name.split("/")[-1].split(".")[0]] for name in names]


@settings(max_examples=200, deadline=None)
@given(PATHS, PATHS, st.booleans())
def test_no_row_meets_a_file_whose_folders_contradict_it(wanted, known, again):
    """Pair by pair: where neither path ends with the other, names that repeat need folders that agree."""
    found, unclear = find_names_among(wanted, known, again=again)
    assert again or len(set(found.values())) == len(found)
    assert not set(found) & set(unclear)
    lists = [_plainly(wanted), _plainly(known)]
    for name, row in found.items():
        one, other = _plainly([name, known[row]])
        assert one[-1] == other[-1]
        same = next((k for k in range(1, 6) if one[-k:] != other[-k:]), 6) - 1
        repeated = any(len({tuple(path) for path in side if path[-1] == one[-1]}) > 1 for side in lists)
        if same < min(len(one), len(other)) and repeated:
            assert same > 1, "no folder agrees"
            assert all(len({tuple(path) for path in side if path[-same:] == one[-same:]}) == 1 for side in lists)
            folders = [{path[-same - 1] for path in side if len(path) > same} for side in lists]
            assert not folders[0] & folders[1]


FEW = st.lists(
    st.from_regex(r"(\./|D:\\)?([ab][/\\]){0,2}[abé](\.b)?(\.png|\.1|)", fullmatch=True), unique=True, max_size=4
)


@settings(max_examples=200, deadline=None)
@given(FEW, FEW)
def test_rows_are_those_that_paths_give(wanted, known):
    found, _ = find_names_among(wanted, known)
    places, _ = find_rows(wanted, known)
    assert (places is None) == (len(found) < len(wanted))
    assert places is None or dict(zip(wanted, places.tolist(), strict=True)) == found


@pytest.mark.parametrize("write", [str, "/data/{}".format])
def test_sides_and_visits_behind_a_dot_are_no_suffixes(write):
    features = [write(name) for name in ("P1.L", "P1.R", "P2.L", "P3.L", "P3.R")]
    assert find_rows(["P1.L", "P2.R", "P3.R"], features) == (None, ["P2.R"])
    assert find_names_among(["P1.L", "P2.R", "P3.R"], features) == ({"P1.L": 0, "P3.R": 4}, [])
    assert find_rows(["P1.T1", "P2.T1"], [write("P1.T0"), write("P2.T0")]) == (None, ["P1.T1", "P2.T1"])
    assert find_rows(["P2.L", "P1.R"], [write("P1.L"), write("P2.R")]) == (None, ["P1.R", "P2.L"])


@pytest.mark.parametrize(
    ("wanted", "known"),
    [
        (["P1.L", "P1.R"], ["P1.L.svs", "P1.R.svs"]),
        (["P1.R", "P2.R"], ["P1.R.png", "P2.R.png"]),
        (["P1.L.png", "P1.R.png"], ["P1.L", "P1.R"]),
        (["P1.roi", "P2.roi"], ["P1", "P2"]),
        (["P1", "P2"], ["P1.roi", "P2.roi"]),
        (["P1.roi", "P2.roi"], ["P1.PNG", "P2.PNG"]),
        (["P1.svs", "P2.mrxs"], ["P1.png", "P2.h5"]),
    ],
)
def test_suffixes_of_files_and_those_that_all_names_of_a_list_have_are_passed_over(wanted, known):
    assert find_rows(wanted, known)[0].tolist() == [0, 1]
    assert find_names_among(wanted, known) == ({wanted[0]: 0, wanted[1]: 1}, [])
