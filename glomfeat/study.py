"""What a study is: its options, its arms and its trials. Light to import, so that ``--help`` answers at once."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Literal

import tyro

from glomfeat import __version__

FLOOR = "none/none/dummy"
DEFAULT_FEATURES = ("classical", "resnet18")
# Where and how fast a study runs changes none of its numbers, so it is no part of what the study is.
OPERATIONAL = frozenset(
    {"data", "labels", "memory", "jobs", "device", "out", "cache", "dry_run", "on_error", "show_names", "weights"}
)


class StudyError(ValueError):
    """Options that do not go together, or an output folder of another study."""


@dataclass(frozen=True)
class Study:
    """Compare features and heads on one set of folds, split by case."""

    data: Annotated[str | None, tyro.conf.Positional] = None
    """A folder with a sub-folder per class or a CSV of labels, a CSV, or a feature table (file:PATH).
    Left out: the built-in phantom."""
    labels: str | None = None
    """CSV of labels (name,ground truth); found in DATA if it lies there."""
    positive: str | None = None
    """Name of the positive class; else globally_sclerotic..., else 1, else the last in order."""
    groups: str = "auto"
    """Where the case comes from: auto, none, a column of the CSV, or a regular expression with (?P<case>...)."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """pixels, classical, shortcut, any torchvision model, file:PATH, module:function. A feature table as DATA is
    its own feature."""
    reducers: tuple[str, ...] = ("ipca128",)
    """none, ipcaK, module:function."""
    heads: tuple[str, ...] = ("logreg", "svm", "xgboost")
    """logreg, svm, xgboost, module:function; dummy is always in the table as its floor."""
    size: int = 224
    """Side of the square that images are brought to, in pixels."""
    padding: Literal["white", "zero", "edge", "reflect"] = "white"
    """What fills the square."""
    layer: str | None = None
    """Layer of deep features; the one before the classes if left out."""
    scheme: Literal["cv", "holdout"] = "cv"
    """Grouped stratified k-fold, or repeated 80:10:10 as the original study."""
    folds: int = 5
    """Folds of cv."""
    repeats: int = 1
    """How often cases are dealt anew."""
    seed: int = 0
    """Root of every seed."""
    threshold: str = "balanced"
    """balanced, youden, sensitivity>=0.95 or a number; chosen on inner out-of-fold scores of training cases."""
    weights: str | None = None
    """imagenet, auto (ImageNet if at hand, else random, and every row says so), none (random), or a folder or file of
    checkpoints. Left out: imagenet; auto for the phantom."""
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of deep features; all but float32 need a GPU."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out."""
    jobs: int | None = None
    """Trials, or images, that are worked on at once; all cores if left out."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    out: str = "runs/compare"
    """Output folder; a run of the same study in it is resumed."""
    cache: str | None = None
    """Folder of the feature cache; the user's cache folder if left out."""
    dry_run: bool = False
    """Print the plan and stop."""
    on_error: Literal["skip", "stop"] = "skip"
    """Whether an image that cannot be read is set aside and listed, or stops the run."""
    show_names: bool = False
    """Show the real names of cases instead of pseudonyms."""

    def check(self):
        """Refuse values that no study can have.

        Raises
        ------
        StudyError
            Which option, and what is allowed.
        """
        from glomfeat.metrics import parse_threshold

        for name, least in (("folds", 2), ("repeats", 1), ("size", 1), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise StudyError(f"--{name} is {value}: at least {least}")
        for name in ("features", "reducers", "heads"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise StudyError(f"--{name} is {' '.join(values) or 'empty'}: give each name once")
        try:
            parse_threshold(self.threshold)
        except ValueError as error:
            raise StudyError(f"--{error}") from None

    def plain(self):
        """The options as plain data for YAML."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def identity(self, manifest, features):
        """What makes two runs the same study: the options that change numbers, the data and the features.

        Parameters
        ----------
        manifest : Manifest
        features : sequence of str
            Full names of the features, with the digests of weights and tables.

        Returns
        -------
        dict
            Plain data.
        """
        options = {name: value for name, value in self.plain().items() if name not in OPERATIONAL}
        data = f"{len(manifest)} images, {manifest.split}, digest {manifest.digest[:16]}"
        return options | {"glomfeat": __version__, "data": data, "features": list(features)}


@dataclass(frozen=True)
class Arm:
    """One line of the comparison.

    Examples
    --------
    >>> str(Arm.parse("resnet18.imagenet/ipca128/svm"))
    'resnet18.imagenet/ipca128/svm'
    """

    feature: str
    reducer: str
    head: str

    kind = "features"

    def __str__(self):
        return f"{self.feature}/{self.reducer}/{self.head}"

    @classmethod
    def parse(cls, text):
        """Read an arm back from its text.

        Raises
        ------
        ValueError
            Not ``feature/reducer/head``.
        """
        parts = text.split("/")
        if len(parts) != len(fields(cls)) or not all(parts):
            raise ValueError(f"{text!r} is no arm: write feature/reducer/head, such as resnet18.imagenet/ipca128/svm")
        return cls(*parts)


@dataclass(frozen=True)
class Trial:
    """An arm on one fold of one repeat: the unit that is planned, seeded, journaled and tried again."""

    arm: Arm
    repeat: int
    fold: int | str

    @property
    def key(self):
        """How the journal knows it."""
        return str(self.arm), self.repeat, self.fold


def plan_arms(features, reducers, heads):
    """All arms: the floor first, then every feature with every reducer and head.

    Examples
    --------
    >>> [str(arm) for arm in plan_arms(["a.v1"], ["none"], ["svm", "dummy"])]
    ['none/none/dummy', 'a.v1/none/svm']
    """
    arms = [Arm.parse(FLOOR)]
    return arms + [Arm(f, r, h) for f in features for r in reducers for h in heads if h != "dummy"]


def plan_trials(arms, scheme, folds, repeats):
    """All trials, in the order in which tables list them.

    Examples
    --------
    >>> len(plan_trials(plan_arms(["a.v1"], ["none"], ["svm"]), "cv", folds=5, repeats=2))
    20
    """
    tested = ["outer-test"] if scheme == "holdout" else range(folds)
    return [Trial(arm, repeat, fold) for arm in arms for repeat in range(repeats) for fold in tested]
