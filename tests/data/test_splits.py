from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from glomfeat.data.manifest import Manifest
from glomfeat.data.other_folds import make_smaller_folds
from glomfeat.data.splits import (
    SplitError,
    _tries,
    check_folds,
    deal,
    expected_inner_fits,
    few_in_words,
    fold_rows,
    inner_splits,
    make_folds,
    other_folds,
)

LABELS = Path("../shared/data/glomeruli_labels.csv")
SIZES = st.sampled_from([1, 1, 2, 5, 30, 430])


def rows_of(counts):
    """Labels and cases of a table of counts (cases x classes)."""
    counts = np.asarray(counts)
    cases, labels = (index.ravel() for index in np.indices(counts.shape))
    return np.repeat(labels, counts.ravel()), np.repeat(cases, counts.ravel())


def manifest_of(labels, cases, by_case=True):
    names = [f"i{row:05d}.png" for row in range(len(labels))]
    table = pd.DataFrame({"name": names, "path": "", "label": labels, "case": [f"C{case:05d}" for case in cases]})
    table = table.assign(slide=table["case"], digest=names)
    return Manifest(table, tuple("abc"[: labels.max() + 1]), by_case)


def twin(seed=0, cases=215, classes=2):
    """Cases of 1 to 430 images, most of them small, in which the last class is the rarer."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(2.5, 1.2, cases)).astype(int).clip(1, 430)
    sizes[0] = 430
    shares = rng.dirichlet(np.r_[np.full(classes - 1, 3.0), 0.6], cases)
    return rows_of([rng.multinomial(size, share) for size, share in zip(sizes, shares, strict=True)])


def real():
    if not LABELS.exists():
        pytest.skip(f"{LABELS} is not here")
    table = pd.read_csv(LABELS)
    return table["ground truth"].to_numpy(), pd.factorize(table["name"].str.split("_").str[0], sort=True)[0]


@pytest.fixture(params=["real", "twin"])
def uneven(request):
    return real() if request.param == "real" else twin()


def partition(labels, cases, part):
    """Which rows are together, whatever the parts are called."""
    return frozenset(frozenset(np.flatnonzero(part == k)) for k in np.unique(part))


@st.composite
def feasible(draw):
    """Two classes, each in at least as many cases as there are parts, often in no case more."""
    shares = draw(st.sampled_from([[0.5] * 2, [1 / 3] * 3, [0.2] * 5, [1 / 7] * 7, [0.1, 0.1, 0.8]]))
    places = st.integers(0, 2 * len(shares))
    counts = np.zeros((2 * len(shares) + 1, 2), int)
    for label in range(2):
        most = draw(st.sampled_from([len(shares), len(counts)]))
        for case in draw(st.lists(places, unique=True, min_size=len(shares), max_size=most)):
            counts[case, label] = draw(SIZES)
    return counts[counts.sum(axis=1) > 0], shares, draw(st.integers(0, 2**31 - 1))


@settings(max_examples=40, deadline=None)
@given(feasible())
def test_deal_finds_a_way_wherever_each_class_is_in_enough_cases(problem):
    counts, shares, seed = problem
    labels, cases = rows_of(counts)
    part = deal(labels, cases, shares, seed)
    assert part.shape == labels.shape and set(part) == set(range(len(shares)))
    together = pd.DataFrame({"case": cases, "part": part, "label": labels})
    assert (together.groupby("case")["part"].nunique() == 1).all()
    assert (together.groupby("part")["label"].nunique() == 2).all()
    np.testing.assert_array_equal(part, deal(labels, cases, shares, seed))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31 - 1))
def test_deal_finds_a_way_for_three_classes_of_single_cases(parts, seed):
    # each class is in cases of its own and in exactly as many as there are parts
    counts = np.kron(np.eye(3, dtype=int), np.random.default_rng(seed).integers(1, 200, (parts, 1)))
    labels, cases = rows_of(counts)
    part = deal(labels, cases, [1 / parts] * parts, seed)
    assert all(set(labels[part == k]) == {0, 1, 2} for k in range(parts))


def test_parts_of_uneven_cases_are_balanced(uneven):
    labels, cases = uneven
    for seed in range(3):
        part = deal(labels, cases, [0.2] * 5, seed)
        got = np.array([np.bincount(part[labels == label], minlength=5) for label in (0, 1)])
        assert (np.abs(got / got.mean(axis=1, keepdims=True) - 1) < 0.04).all()


def test_three_classes_are_balanced_too():
    labels, cases = twin(classes=3)
    part = deal(labels, cases, [0.25] * 4, 0)
    got = np.array([np.bincount(part[labels == label], minlength=4) for label in range(3)])
    assert (np.abs(got / got.mean(axis=1, keepdims=True) - 1) < 0.08).all()


def test_seeds_and_repeats_differ_in_who_is_together(uneven):
    labels, cases = uneven
    dealt = [deal(labels, cases, [0.2] * 5, seed) for seed in range(3)]
    assert len({partition(labels, cases, part) for part in dealt}) == 3
    folds = make_folds(manifest_of(labels, cases), folds=5, repeats=3, seed=3)
    of_cases = folds.drop_duplicates(["repeat", "case"]).pivot(index="case", columns="repeat", values="fold")
    likeness = [adjusted_rand_score(of_cases[i], of_cases[j]) for i in range(3) for j in range(i)]
    assert max(likeness) < 0.1  # 1: the same partition, 0: chance


def test_repeats_do_not_depend_on_how_many_there_are():
    manifest = manifest_of(*twin(cases=40))
    two, three = (make_folds(manifest, folds=3, repeats=repeats) for repeats in (2, 3))
    pd.testing.assert_frame_equal(two, three[three["repeat"] < 2])
    assert not make_folds(manifest, folds=3, seed=1)["fold"].equals(two.loc[two["repeat"] == 0, "fold"])


def test_names_of_cases_do_not_matter_while_their_order_stays():
    labels, cases = twin(cases=30)
    np.testing.assert_array_equal(deal(labels, cases, [0.25] * 4, 5), deal(labels, 7 * cases + 100, [0.25] * 4, 5))


def test_row_order_does_not_matter():
    labels, cases = twin(cases=30)
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = deal(labels[order], cases[order], [0.25] * 4, 5)
    np.testing.assert_array_equal(deal(labels, cases, [0.25] * 4, 5)[order], shuffled)


def test_fold_table_of_cross_validation():
    manifest = manifest_of(*twin(cases=40))
    folds = make_folds(manifest, folds=4, repeats=2)
    assert folds.columns.tolist() == ["name", "case", "label", "repeat", "fold"]
    assert len(folds) == 2 * len(manifest) and set(folds["fold"]) == {0, 1, 2, 3}
    for repeat in (0, 1):
        rows = folds[folds["repeat"] == repeat].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[["name", "case", "label"]], manifest.table[["name", "case", "label"]])


def test_holdout_is_80_10_10(uneven):
    folds = make_folds(manifest_of(*uneven), scheme="holdout", repeats=3)
    for _, rows in folds.groupby("repeat"):
        for label in (0, 1):
            share = rows.loc[rows["label"] == label, "fold"].value_counts(normalize=True)
            assert set(share.index) == {"train", "inner-valid", "outer-test"}
            assert share["train"] == pytest.approx(0.8, abs=0.02)
            assert share["inner-valid"] == pytest.approx(0.1, abs=0.02)
        assert (rows.groupby("case")["fold"].nunique() == 1).all()


def test_holdout_keeps_inner_valid_apart():
    manifest = manifest_of(*twin(cases=60))
    folds = make_folds(manifest, scheme="holdout", repeats=2)
    train, test, valid = fold_rows(folds, 1, "outer-test")
    part = folds.loc[folds["repeat"] == 1, "fold"].to_numpy()
    assert set(part[train]) == {"train"} and set(part[test]) == {"outer-test"} and set(part[valid]) == {"inner-valid"}
    assert len(train) + len(test) + len(valid) == len(manifest)
    ((fit, inner_valid),) = inner_splits(manifest.labels, manifest.cases, train, valid, 0)
    np.testing.assert_array_equal(fit, train)
    np.testing.assert_array_equal(inner_valid, valid)


@pytest.mark.parametrize("folds", [2, 5])
def test_inner_splits_share_no_case_and_stay_off_the_test_rows(uneven, folds):
    labels, cases = uneven
    table = make_folds(manifest_of(labels, cases), folds=folds)
    for fold in range(folds):
        train, test, valid = fold_rows(table, 0, fold)
        assert len(valid) == 0 and sorted([*train, *test]) == list(range(len(labels)))
        assert not set(cases[train]) & set(cases[test])
        inner = inner_splits(labels, cases, train, valid, seed=fold)
        assert len(inner) == 4
        np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in inner])), train)
        for fit, held in inner:
            assert not set(cases[fit]) & set(cases[held])
            np.testing.assert_array_equal(np.sort(np.r_[fit, held]), train)
            assert set(labels[fit]) == set(labels[held]) == {0, 1}


def test_inner_splits_are_two_where_a_class_is_in_two_cases():
    labels, cases = rows_of([[5, 3], [5, 2], [5, 0], [5, 0], [5, 4]])
    train = np.flatnonzero(cases < 4)
    inner = inner_splits(labels, cases, train, np.array([], int), 0)
    assert len(inner) == 2 * 2 and all(set(labels[held]) == {0, 1} for _, held in inner)
    assert inner_splits(labels, cases, np.flatnonzero((cases < 4) & (cases > 0)), np.array([], int), 0) == []


@pytest.mark.parametrize(("holders", "parts", "deals"), [(2, 2, 5), (3, 3, 4), (5, 4, 3), (11, 4, 2), (12, 4, 1)])
def test_few_cases_are_dealt_to_inner_folds_several_times(holders, parts, deals):
    labels, cases = rows_of([[3, 2]] * holders + [[4, 0]] * 10)
    inner = inner_splits(labels, cases, np.arange(len(labels)), [], seed=3)
    assert len(inner) == parts * deals == expected_inner_fits(1000, 1 / 1000, holders)
    for k in range(deals):
        held = np.concatenate([rows for _, rows in inner[k * parts : (k + 1) * parts]])
        np.testing.assert_array_equal(np.sort(held), np.arange(len(labels)))
    partitions = {frozenset(tuple(rows) for _, rows in inner[k * parts : (k + 1) * parts]) for k in range(deals)}
    assert len(partitions) == deals, "no partition is dealt twice"


@pytest.mark.parametrize(
    ("cases", "folds", "serve"), [(40, 5, True), (40, 4, True), (40, 3, False), (13, 5, False), (40, 12, False)]
)
def test_folds_serve_each_other_where_there_are_enough_of_them_and_of_cases(cases, folds, serve):
    labels, of = rows_of([[3, 2]] * cases)
    table = make_folds(manifest_of(labels, of), folds=folds)
    assert other_folds(table, labels, of, 0) == (list(range(folds)) if serve else [])
    assert other_folds(make_folds(manifest_of(labels, of), "holdout"), labels, of, 0) == []


def test_of_a_share_of_the_cases_only_those_count():
    labels, cases = rows_of([[3, 2]] * 40)
    folds = make_folds(manifest_of(labels, cases), folds=5)
    half, eighth = (make_smaller_folds(folds, share) for share in (50, 12.5))
    assert len(other_folds(half, labels, cases, 0)) == 5 and other_folds(eighth, labels, cases, 0) == []


@pytest.mark.parametrize(("images", "cases", "said"), [(59, 20, True), (60, 12, False), (200, 11, True)])
def test_small_data_are_told_what_they_can_show(images, cases, said):
    labels = np.arange(images) % 2
    manifest = manifest_of(labels, np.arange(images) % cases)
    said_of = f"{images} images of {cases} cases are few: limits are wide and arms cannot be ranked"
    assert few_in_words(manifest) == (said_of if said else "")


def test_too_few_cases_say_so_with_the_numbers():
    labels, cases = rows_of([[9, 1], [9, 1], [9, 0], [9, 0]])
    with pytest.raises(SplitError, match=r"^class 1 is in 2 cases, 3 parts need 3$"):
        deal(labels, cases, [1 / 3] * 3, 0)
    with pytest.raises(SplitError, match=r"^class 1 is in 2 cases, 5 parts need 5$"):
        make_folds(manifest_of(labels, cases), folds=5)


def test_what_cannot_be_dealt_says_so():
    # each class is in two cases, but a case of all three leaves the second part without one of them
    labels, cases = rows_of([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert len(set(deal(labels, cases, [0.5, 0.5], 0)[cases > 0])) == 1
    labels, cases = rows_of([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    message = r"^no way was found to deal 3 cases to 2 parts with every class in each$"
    with pytest.raises(SplitError, match=message):
        deal(labels, cases, [0.5, 0.5], 0)


def split_a_case(table):
    first = table.index[(table["repeat"] == 1) & (table["case"] == "C00000")][0]
    return table.assign(fold=table["fold"].where(table.index != first, (table["fold"] + 1) % 3))


def lose_a_row(table):
    return table.iloc[:-1]


def repeat_a_name(table):
    return table.assign(name=[*table["name"][:-1], table["name"].iloc[-2]])


def lack_a_class(table):
    one_class = table.groupby("case")["label"].transform("nunique") == 1
    return table.assign(fold=np.where((table["repeat"] == 1) & one_class, 1, 0))


def forget_a_case(table):
    return table.assign(fold=table["fold"].where((table["repeat"] == 0) | (table["case"] != "C00000")))


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (split_a_case, r"^repeat 1: a case is in several folds$"),
        (lose_a_row, r"^repeat 1: 149 rows for 150 images$"),
        (repeat_a_name, r"^repeat 1: 150 rows for 150 images$"),
        (lack_a_class, r"^repeat 1: a fold lacks a class$"),
        (forget_a_case, r"^repeat 1: .*15.*fold"),
    ],
)
def test_corrupt_fold_tables_are_found(corrupt, message):
    manifest = manifest_of(*rows_of([[5, 10]] * 8 + [[15, 0]] * 2))
    table = make_folds(manifest, folds=3, repeats=2)
    assert check_folds(table)[0] > 0
    with pytest.raises(SplitError, match=message):
        check_folds(corrupt(table))


def test_prevalence_range_is_of_the_last_class():
    labels, cases = rows_of([[3, 1], [1, 1]])
    table = pd.DataFrame({"name": range(6), "case": cases, "label": labels, "repeat": 0, "fold": cases})
    assert check_folds(table) == (0.25, 0.5)


def one_way(counts, shares, rng):
    """The parts of all cases, case by case, each to the part that lacks most of what the case holds."""
    holders, total = (counts > 0).sum(axis=0), counts.sum(axis=0)
    goal, got, part_of = shares[:, None] * total, np.zeros((len(shares), len(total))), np.empty(len(counts), int)
    order = rng.permutation(len(counts))
    rare = [(((holders <= 2 * len(shares)) & (counts[case] > 0)) / holders).max() for case in order]
    for case in order[np.argsort(-np.array(rare), kind="stable")]:
        wish = []
        for part in range(len(shares)):
            lacks = 10 * len(counts) * (((counts[case] > 0) & (got[part] == 0)) / holders).sum()
            share = (goal[part] - got[part]) / goal[part] * counts[case] / total
            wish.append(lacks + share.sum() / (counts[case] / total).sum())
        best = [part for part, one in enumerate(wish) if one >= max(wish) - 1e-12]
        part_of[case] = best[rng.integers(len(best))]
        got[part_of[case]] += counts[case]
    return part_of


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.8, 0.1, 0.1], [0.2] * 5], ids=len)
def test_ways_that_are_dealt_together_are_those_dealt_one_by_one(classes, shares):
    rng, shares = np.random.default_rng(classes), np.array(shares)
    counts = rng.integers(0, 6, (24, classes)) * (rng.random((24, classes)) < [0.3, *[0.9] * (classes - 1)])
    counts = counts[counts.sum(axis=1) > 0].astype(float)
    generators = [np.random.default_rng(seed) for seed in range(8)]
    part_of, got = _tries(counts, shares, generators)
    for seed, parts in enumerate(part_of):
        np.testing.assert_array_equal(parts, one_way(counts, shares, np.random.default_rng(seed)))
        np.testing.assert_array_equal(got[seed], [counts[parts == part].sum(axis=0) for part in range(len(shares))])
