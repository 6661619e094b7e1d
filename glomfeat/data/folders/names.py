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
OUTLINES = frozenset(
    ("masks", "mask", "annotations", "annotation", "segmentations", "segmentation", "segs", "contours", "outlines")
    + ("overlays", "overlay", "heatmaps", "heatmap", "thumbnails", "thumbnail", "thumbs", "labels", "groundtruth", "gt")
)
PATIENT = re.compile(  # further parts that begin with a digit are of the patient's number, as after a year or a site
    r"(?i)^((case|patient|pat|pt|subject|subj|donor)s?[-_ .#]?\d+((?:[^\w([{]|_)+\d[^\W_]*)*|TCGA-\w{2}-\w{4})"
)
DRAWN = re.compile(r"(?i)[-_. ](masks?|overlays?|thumb(nail)?s?|labels?|segmentation|contours?|outlines?|heatmaps?)$")
SITE = re.compile(
    r"^(?i:site|cent(er|re)|hospital|clinic|institut(e|ion)|scanner|lab|batch|cohort|source)s?"
    r"([-_ .]\w{1,12}|[A-Z0-9]\w{0,3})?$"
)
SLIDE = re.compile(r"(?i)^(slide|wsi|section|block)s?[-_ .]?\w*\d")
GRADED = re.compile(
    r"(?i)^((isup|banff|gleason|oxford)?[-_ ]?(grade|class|stage|score|type|level|label|ckd|kl)[-_ ]*"
    r"(\d\d?|[iv]+|[a-f])[a-c]?|\d)$"
)
CLASSES = frozenset(
    ("normal", "abnormal", "healthy", "disease", "diseased", "control", "controls", "benign", "malignant", "tumor")
    + (
        "tumour",
        "cancer",
        "carcinoma",
        "metastasis",
        "positive",
        "negative",
        "pos",
        "neg",
        "yes",
        "no",
        "true",
        "false",
    )
    + ("sclerotic", "sclerosed", "nonsclerotic", "sclerosis", "nonsclerosis", "gs", "ngs", "nongs", "sgs", "global")
    + ("segmental", "sick", "well", "viable", "obsolete", "good", "bad", "other", "others", "none", "glomeruli")
)


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


def is_split(names):
    """Whether neighbouring folders are the parts of a split.

    Examples
    --------
    >>> is_split({"Train", "TEST"}), is_split({"test", "control"}), is_split({"train"})
    (True, False, False)
    """
    return len(names) > 1 and all(map(split_of, names)) and len({split_of(name) for name in names}) > 1


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

    If the classes are known without the folders, only a folder of images beside them counts.

    Examples
    --------
    >>> outlines_beside({"images", "Masks"}), outlines_beside({"GS", "nonGS", "thumbs"}), outlines_beside({"gt"}, True)
    (['Masks'], ['thumbs'], ['gt'])
    >>> outlines_beside({"mask", "no_mask"}), outlines_beside({"masks"})
    ([], [])
    """
    words = {name: "".join(words_of(name)) for name in names}
    found = sorted(name for name, word in words.items() if word in OUTLINES)
    beside = images or len(words) - len(found) > 1
    return found if PICTURES & {*words.values()} or (beside and not labelled) else []


def are_patients(names):
    """Whether folders are named like patients: ``patient7``, ``case_12``, a TCGA barcode."""
    return bool(names) and all(map(PATIENT.search, names))


def patient_in(name):
    """The patient in the name of a folder, without what tells biopsies or slides apart; all of it if there is none.

    That is what follows the patient's number from a letter or a bracket on.

    Examples
    --------
    >>> [patient_in(name) for name in ("patient0_b1", "Patient 12 (left)", "case_2021_03", "patient7a", "8860")]
    ['patient0', 'Patient 12', 'case_2021_03', 'patient7a', '8860']
    """
    found = re.match(rf"{PATIENT.pattern}(?![^\W_])", name)
    return found[0] if found else name


def are_numbered(names):
    """Whether folder names are codes with a number of two or more digits, as is common for patients but not classes.

    Examples
    --------
    >>> are_numbered({"8860", "8861"}), are_numbered({"PT01", "PT12"}), are_numbered({"grade1", "grade2"})
    (True, True, False)
    """
    return bool(names) and all(re.search(r"\d\d", name) for name in names) and not are_classes(names)


def are_sites(names):
    """Whether folders are named like sites, scanners or batches.

    Examples
    --------
    >>> are_sites({"siteA", "siteB"}), are_sites({"Batch 1", "Batch 2"}), are_sites({"labelled", "sites"})
    (True, True, False)
    """
    return len(names) > 0 and all(SITE.match(name) for name in names)


def are_slides(names):
    """Whether folders are named like slides or sections."""
    return bool(names) and all(map(SLIDE.search, names))


def are_classes(names):
    """Whether folders are named as classes often are: words such as benign, grades or small numbers.

    Examples
    --------
    >>> are_classes({"benign", "malignant"}), are_classes({"0", "1"}), are_classes({"8860", "8861"})
    (True, True, False)
    """
    return all(GRADED.match(name) or CLASSES & set(words_of(name)) for name in names)
