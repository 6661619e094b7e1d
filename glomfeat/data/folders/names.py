"""What the name of a folder says: a part of a split, a patient, a site, a class."""

import re

SPLITS = {
    "train": ("train", "training", "trn", "trainset"),
    "val": ("val", "valid", "validate", "validation", "dev", "development", "tune", "tuning", "valset"),
    "test": ("test", "testing", "tst", "holdout", "heldout", "testset"),
    "fold": ("fold", "kfold"),
}
FILLERS = frozenset(
    ("set", "data", "dataset", "split", "part", "subset", "folder", "dir", "images", "image", "imgs", "img", "crops")
    + ("patches", "tiles", "samples", "x", "y", "of")
)
PICTURES = frozenset(("images", "image", "imgs", "img", "crops", "patches", "tiles", "raw", "original", "originals"))
VERSIONS = frozenset(
    ("raw", "original", "originals", "normalized", "normalised", "macenko", "reinhard", "vahadane", "processed")
)
UNSURE = frozenset(("labels", "segs", "gt"))  # may be classes, too: segmental sclerosis, glomerular tufts
OUTLINES = frozenset(
    ("masks", "mask", "annotations", "annotation", "segmentations", "segmentation", "segs", "contours", "outlines")
    + ("overlays", "overlay", "heatmaps", "heatmap", "thumbnails", "thumbnail", "thumbs", "labels", "groundtruth", "gt")
)
PATIENT = re.compile(  # further parts that begin with a digit are of the patient's number, as after a year or a site
    r"(?i)^((case|patient|pat|pt|subject|subj|donor)s?[-_ .#]?\d+((?:[^\w([{]|_)+\d[^\W_]*)*|TCGA-\w{2}-\w{4})"
)
CODED = re.compile(  # initials, and numbers of cases of a year; stains are neither
    r"[^\w]*_?(?!PAS|HE|DX|IF|EM)([A-Z]{2,3}|[A-Za-z]{1,2}\d{3,})(?![^\W_])"
)
DRAWN = re.compile(
    r"(?i)[-_. ](masks?|overlays?|thumb(nail)?s?|labels?|seg(ment(ation|ed)?)?s?|contours?|outlines?|heatmaps?|gt|bw|"
    r"binary|rois?|ann(o|otations?|otated)?|pred(ictions?|icted)?)$"
)
YEAR = re.compile(r"\D*(19[5-9]|20[0-4])\d\D*")
FEW_YEARS = 5
BETWEEN = re.compile(r"[-_. ]")
SITE = re.compile(
    r"^(?i:site|cent(er|re)|hospital|clinic|institut(e|ion)|scanner|lab|batch|cohort|source)s?"
    r"(?P<rest>[-_ .]\w{1,12}|[A-Z0-9]\w{0,3})?$"
)
SLIDE = re.compile(r"^(?i:slide|wsi|section|block)(?i:s?)(?![a-z]{2})(?P<rest>[-_ .]?\w*\d)")
CODE = re.compile(r"[A-Z\d]|^[-_ .]?[a-z]{0,2}$")
GRADED = re.compile(
    r"(?i)^((isup|banff|gleason|oxford)?[-_ ]?(grade|class|stage|score|type|level|label|ckd|kl)[-_ ]*"
    r"(\d\d?|[iv]+|[a-f])[a-c]?|\d)$"
)
_CLASSES = """
    normal abnormal healthy disease diseased control controls benign malignant tumor tumour cancer carcinoma metastasis
    positive negative pos neg yes no true false sclerotic sclerosed nonsclerotic sclerosis nonsclerosis gs ngs nongs sgs
    global segmental sick well viable obsolete good bad other others none glomeruli
"""
CLASSES = frozenset(_CLASSES.split())


def words_of(name):
    """The words and numbers in a name, in lower case.

    Examples
    --------
    >>> words_of("TrainingSet_02")
    ['training', 'set', '02']
    """
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def split_of(name):
    """The part of a split that a folder or file is named for: train, val, test or foldK; empty if none.

    Examples
    --------
    >>> [split_of(name) for name in ("TRAIN", "valid_images", "Hold-out", "fold_2", "Test Set")]
    ['train', 'val', 'test', 'fold2', 'test']
    >>> split_of("contest"), split_of("test tumor")
    ('', '')
    """
    words = [word for word in words_of(name) if word not in FILLERS]
    numbers = [word for word in words if word.isdigit()]
    word = "".join(word for word in words if not word.isdigit())
    part = next((part for part, known in SPLITS.items() if word in known), "")
    if len(numbers) > 1 or (part == "fold") > len(numbers):
        return ""
    return part + str(int(numbers[0])) if part and numbers else part


def part_in(name):
    """The part of a split that one of the words in a name is, or all of it; empty if none.

    Examples
    --------
    >>> [part_in(name) for name in ("train-00000-of-00002", "CRC_DX_TEST", "fold 1", "train_test")]
    ['train', 'test', 'fold1', '']
    """
    parts = {split_of(word) for word in BETWEEN.split(name)} - {""}
    return parts.pop() if len(parts) == 1 else "" if parts else split_of(name)


def is_split(names):
    """Whether neighbouring folders are the parts of a split, perhaps beside words that all of them have.

    Examples
    --------
    >>> is_split({"Train", "TEST"}), is_split({"test", "control"}), is_split({"train"})
    (True, False, False)
    >>> is_split({"CRC_DX_TRAIN", "CRC_DX_TEST"}), is_split({"train_normal", "test_tumor"})
    (True, False)
    """
    parts, rests = {*map(split_of, names)}, ()
    if "" in parts:
        parts = {*map(part_in, names)}
        rests = {" ".join(word for word in BETWEEN.split(name) if not split_of(word)) for name in names}
    return len(parts) > 1 and "" not in parts and len(rests) < 2


def mixed_split(names):
    """Names beside a training part and another part of a split that are no part themselves, sorted; usually empty.

    Examples
    --------
    >>> mixed_split({"train", "test", "external"}), mixed_split({"test", "control"})
    (['external'], [])
    """
    parts = {split_of(name) for name in names} - {""}
    return sorted(name for name in names if not split_of(name)) if "train" in parts and len(parts) > 1 else []


def outlines_beside(names, images=False, labelled=False):
    """Folders of masks and the like beside images or several other folders, sorted: they do not hold another class.

    If the classes are known without the folders, only a folder of images beside them counts. So it is for words that
    may be classes, unless images lie beside them.

    Examples
    --------
    >>> outlines_beside({"images", "Masks"}), outlines_beside({"GS", "nonGS", "thumbs"}), outlines_beside({"gt"}, True)
    (['Masks'], ['thumbs'], ['gt'])
    >>> outlines_beside({"mask", "no_mask"}), outlines_beside({"GS", "SegS", "nonGS"}), outlines_beside({"raw", "gt"})
    ([], [], ['gt'])
    """
    words = {name: "".join(words_of(name)) for name in names}
    pictures = bool(PICTURES & {*words.values()})
    found = sorted(name for name, word in words.items() if word in OUTLINES - (set() if pictures or images else UNSURE))
    beside = images or len(words) - len(found) > 1
    return found if pictures or (beside and not labelled) else []


def are_versions(names):
    """Whether folders may hold the same images, once as they were and once processed, such as stain-normalised.

    Examples
    --------
    >>> are_versions({"raw", "normalized"}), are_versions({"HE_macenko", "HE"}), are_versions({"HE", "PAS"})
    (True, True, False)
    """
    return len(names) > 1 and any(VERSIONS & {*words_of(name)} for name in names)


def are_patients(names):
    """Whether folders are named like patients: ``patient7``, ``case_12``, a TCGA barcode."""
    return bool(names) and all(map(PATIENT.search, names))


def patient_in(name):
    """The patient in the name of a folder, without what tells biopsies or slides apart; all of it if there is none.

    That is what follows the patient's number from a letter or a bracket on, but not initials or a letter with a number
    of three or more digits.

    Examples
    --------
    >>> [patient_in(name) for name in ("patient0_b1", "Patient 12 (left)", "case_2021_S101", "patient7a", "8860")]
    ['patient0', 'Patient 12', 'case_2021_S101', 'patient7a', '8860']
    """
    found = re.match(rf"{PATIENT.pattern}(?![^\W_])", name)
    return found[0] if found and not CODED.match(name, found.end()) else name


def are_numbered(names):
    """Whether folder names are codes with a number of two or more digits, as is common for patients but not classes.

    Examples
    --------
    >>> are_numbered({"8860", "8861"}), are_numbered({"PT01", "PT12"}), are_numbered({"grade1", "grade2"})
    (True, True, False)
    """
    return bool(names) and all(re.search(r"\d\d", name) for name in names) and not are_classes(names)


def are_years(names):
    """Whether names are few and hold the number of a year and no other: these are no patients.

    Examples
    --------
    >>> are_years({"2019", "2020"}), are_years({"case_2020"}), are_years({"case_2020_01", "case_2021_01"})
    (True, True, False)
    """
    return 0 < len(names) <= FEW_YEARS and all(map(YEAR.fullmatch, names))


def are_parts(names):
    """Whether some names differ in numbers alone, as those of parts of a download do, and say nothing else.

    Examples
    --------
    >>> are_parts({"data-001", "data-002"}), are_parts({"crops", "crops (1)"}), are_parts({"stage1", "stage2"})
    (True, True, False)
    """
    known = are_patients(names) or are_sites(names) or are_slides(names) or any(map(GRADED.match, names))
    return not known and len({re.sub(r"[\W_]*\d+[\W_]*", "", name) for name in names}) < len(names)


def are_sites(names, coded=False):
    """Whether folders are named like sites, scanners or batches; if coded, by codes or proper names.

    Examples
    --------
    >>> are_sites({"siteA", "siteB"}), are_sites({"Batch 1", "Batch 2"}), are_sites({"lab_normal", "lab_abnormal"})
    (True, True, False)
    >>> are_sites({"source_human", "source_mouse"}), are_sites({"source_human", "source_mouse"}, coded=True)
    (True, False)
    """
    return _are_called(SITE, names, CODE if coded else None)


def are_slides(names):
    """Whether folders are named like slides or sections.

    Examples
    --------
    >>> are_slides({"slide1", "Slide PAS_2"}), are_slides({"blocked0", "blocked1"}), are_slides({"section_type1"})
    (True, False, False)
    """
    return _are_called(SLIDE, names)


def _are_called(known, names, code=None):
    """Whether names fit a pattern, and what follows its word is a code, and seldom one of the words for classes."""
    rests = [found["rest"] or "" for found in map(known.match, names) if found]
    classes = [rest for rest in rests if CLASSES & {*words_of(rest)} or (GRADED.match(rest) and not rest.isdecimal())]
    fit = len(rests) == len(names) > 0 and (code is None or all(map(code.search, rests)))
    return fit and 2 * len(classes) < len(names)


def are_classes(names):
    """Whether folders are named as classes often are: words such as benign, grades or small numbers.

    Examples
    --------
    >>> are_classes({"benign", "malignant"}), are_classes({"0", "1"}), are_classes({"8860", "8861"})
    (True, True, False)
    """
    return all(GRADED.match(name) or CLASSES & set(words_of(name)) for name in names)
