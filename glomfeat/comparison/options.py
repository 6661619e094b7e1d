"""What a study is: its options, its arms and its trials. Light to import, so that ``--help`` answers at once."""

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

import tyro

from glomfeat import __version__
from glomfeat.comparison.option_checks import READING, check_options, plainly
from glomfeat.core.plugins import Coded
from glomfeat.data.schemes import Given, find_scheme, schemes_in_words

Paddings = Literal["white", "zero", "edge", "reflect"]
Stains = Literal["none", "macenko", "reinhard"]
Figures = Literal["png", "svg", "pdf"]
DEFAULT_FEATURES = ("classical", "resnet18")
# Where and how fast a study runs changes none of its numbers, so it is no part of what the study is.
# What is measured beside the study can be asked for afterwards.
# What images are brought to is known by its numbers; where something is missing, who knows the tables adds it.
OPERATIONAL = frozenset(
    {"data", "sites", "labels", "name_column", "label_column", "memory", "jobs", "device", "out", "cache", "dry_run"}
    | {"on_error", "show_names", "weights", "stain_reference", "missing", "leak_price", "learning_curve", "perturb"}
    | {"subgroups", "reference", "margin", "prevalence", "timeout", "inside", "save_models", "include_weights"}
    | {"metrics", "backend", "scheduler", "test", "map", "case_rule", "ordinal", "readers"}
    | {"figures", "column", "style", "track", "init"}
)
# What is asked of training beside these, by the names of the recipe; where it is left as it is, it is not asked.
OF_NETS = (
    *("augment", "randaugment", "mixup", "label_smoothing", "layer_decay", "head_epochs", "drop_path"),
    *("lora_rank", "lora_layers"),
)


@dataclass(frozen=True)
class Study:
    """Compare features and heads on one set of folds, split by case."""

    data: Annotated[str | None, tyro.conf.Positional] = None
    """A folder, zip or tar with a sub-folder per class or a CSV of labels, a CSV, or a feature table (file:PATH).
    Left out: the built-in phantom."""
    sites: int = 1
    """Sites of the built-in phantom, each with a stain, a scanner and a share of sclerosis of its own; with
    --scheme leave-out:site each is left out once."""
    labels: str | None = None
    """CSV of labels (name,ground truth), or labels_corrected.csv of errors.html; found in DATA if it lies there."""
    positive: str | None = None
    """Name of the positive class; else globally_sclerotic..., else 1, else the last in order."""
    groups: str = "auto"
    """Where the case comes from: auto, none, a column of the CSV, or a regular expression with (?P<case>...)."""
    layout: str | None = None
    """What the folders above images are, from above: class, case, slide, split, site or ignore, then image, such as
    class/case/image. Left out: what their names tell."""
    name_column: str | None = None
    """The column of a table that names images or objects; found by its header if left out."""
    label_column: str | None = None
    """The column of a table that holds the classes; found by its header if left out."""
    columns: tuple[str, ...] = ()
    """Columns of feature tables that describe, by name or pattern such as 'area*'; all numbers that are no row numbers,
    ids, places, sites or splits if left out. A full name takes any column, and texts as columns of 0 and 1."""
    drop: tuple[str, ...] = ()
    """Columns of feature tables that do not describe, by name or pattern."""
    missing: Literal["refuse", "impute"] = "refuse"
    """Whether a cell of a feature table that holds no number stops the run, or is filled in each fold with the median
    of the rows that are learnt; columns of 0 and 1 then say where."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """pixels, classical, shortcut, any torchvision model, timm:NAME, file:PATH,
    module:function. A feature table as DATA is its own feature."""
    reducers: tuple[str, ...] = ("ipca128",)
    """none, ipcaK (incremental), pcaK (exact, and faster over many folds), module:function."""
    heads: tuple[str, ...] = ("logreg", "svm", "xgboost")
    """logreg, svm, xgboost, module:function; dummy is always in the table as its floor."""
    with_: Annotated[tuple[str, ...], tyro.conf.arg(name="with")] = ()
    """Columns of the table of labels, such as age sex, that join each feature as further arms, and are arms alone: what
    images add to them is then a comparison."""
    nets: tuple[str, ...] = ()
    """Networks trained on the same folds: compact, homemade-128, homemade-224, baseline-1 to baseline-12, layers such
    as C16-BN-MP-F-D64-out, module:function, any torchvision or timm:NAME model with what of it is trained: :frozen,
    :last2 (or another number of its last blocks), :finetune, :lora."""
    ensembles: tuple[str, ...] = ()
    """Means of the calibrated scores of other arms: of each its members, written FEATURE/REDUCER/HEAD or net:NAME, with
    commas between them."""
    preset: Literal["default", "paper"] = "default"
    """How networks are trained: on a schedule, with all training cases learnt in the end and an average of states kept,
    a frozen network's last layer to convergence; or as in the original study, at a constant rate."""
    epochs: int | None = None
    """Epochs of every network; on all training cases half as many follow, a fifth if it is fine-tuned. Each network's
    own if left out."""
    batch: int | None = None
    """Images per step of every network; each network's own if left out."""
    lr: float | None = None
    """Learning rate of every network, the highest of its schedule; each network's own if left out."""
    class_weight: Literal["none", "balanced"] = "none"
    """Whether networks weigh classes equally."""
    augment: Literal["paper", "none", "histology"] | None = None
    """How training images of networks are changed: paper (flips, rotations up to 15 degrees, shifts), none, histology
    (flips and right-angle turns both ways, crops, amounts of stain). Each network's own, paper or none, if left out."""
    randaugment: int = 0
    """Magnitude, up to 30, of two random operations more on each training image (RandAugment); 0 for none."""
    mixup: float = 0.0
    """Learn mixtures of two images, with shares of a beta distribution with this parameter, such as 0.2; 0 for none."""
    label_smoothing: float = 0.0
    """Which part of each label is shared among all classes in training, such as 0.1."""
    layer_decay: float = 1.0
    """By what the learning rate of pretrained networks is multiplied for each block on the way from the last layer to
    the image, such as 0.75."""
    head_epochs: int = 0
    """Epochs before all others in which the last layer of a pretrained network learns alone."""
    drop_path: float = 0.0
    """How often residual branches of pretrained networks are left out in training, such as 0.1."""
    lora_rank: int = 8
    """Rank of the adapters of MODEL:lora."""
    lora_layers: str = "all"
    """Layers that get an adapter: all, attention, or a pattern of names such as '*qkv'."""
    tta: Literal[1, 8] = 1
    """Score an image as the mean over 8 flips and right-angle turns of it; the names of networks then end in +tta8."""
    init: str | None = None
    """Start networks from a bundle of another study, or from those in the folder of another study, and not from
    --weights. Refused where it has learnt images of this one."""
    tune: bool = False
    """Choose learning rate and augmentation of networks that are trained in epochs, on inner-valid cases of each
    fold."""
    size: int | tuple[int, ...] | None = None
    """Side of the square that images are brought to, in pixels, by a Lanczos filter for all features. Left out:
    pretrained backbones read size and filter of their weights' configuration, without its cropping, all else 224.
    Of several sizes, paddings or stains every feature and network is made once for each, and its arms say which."""
    padding: Paddings | tuple[Paddings, ...] = "white"
    """What fills the square."""
    stain: Stains | tuple[Stains, ...] = "none"
    """Whether colours are brought to those of a reference before the square is filled, image by image: by stain vectors
    (macenko) or by mean and spread of the tissue's colours (reinhard)."""
    stain_reference: str = "pas"
    """The reference of --stain: pas or he, which are built in, an image file, or fold: drawn from the training images
    of each fold, so that features are made once for each."""
    icc: Literal["srgb", "keep"] = "srgb"
    """Colours of images with an embedded ICC profile are brought to sRGB, or kept as the numbers in the file."""
    layer: str | None = None
    """Layer of deep features; the one before the classes if left out."""
    scheme: Annotated[str, tyro.conf.arg(help=schemes_in_words())] = "cv"
    allow_split_cases: bool = False
    """Take a given split though cases are on several sides of it; all output then says that its scores are
    optimistic."""
    folds: int = 5
    """Folds of cv."""
    repeats: int = 1
    """How often cases are dealt anew."""
    seed: int = 0
    """Root of every seed."""
    threshold: str = "balanced"
    """balanced, youden, sensitivity>=0.95, a number, or module:function; chosen on inner out-of-fold scores of training
    cases."""
    calibration: Literal["none", "platt", "isotonic"] = "none"
    """A monotone map of scores to frequencies, fitted on inner out-of-fold scores of training cases; the threshold is
    chosen after it."""
    weights: str | None = None
    """imagenet, auto (ImageNet if at hand, else random, and every row says so), none (random), or a folder or file of
    checkpoints. Left out: imagenet; auto for the phantom."""
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of deep features; all but float32 need a GPU."""
    random_twin: bool = False
    """Compare each pretrained feature with the same network with random weights too: what its architecture alone
    gives."""
    leak_price: bool = False
    """Run each arm also on folds of images, which tear cases apart, of the same sizes: how much too good that looks."""
    learning_curve: bool = False
    """Run each arm also with an eighth, a quarter and a half of the training cases: whether more cases would help."""
    perturb: tuple[str, ...] = ()
    """stain, blur, jpeg, noise, brightness, scale: describe the images once more, changed in five strengths each, and
    score those that a fold tests by the model of that fold. Nothing is learnt or chosen from them. It can be asked for
    after a run."""
    subgroups: tuple[str, ...] = ()
    """Columns of the table of labels, such as site or age:18,65: each arm's figures in each group of their values, and
    whether they differ from the rest. They can be asked for after a run."""
    reference: str | None = None
    """The arm that every other one is compared to, FEATURE/REDUCER/HEAD or net:NAME; only against the best one if left
    out. It can be asked for after a run; the report says whether it was named before."""
    margin: float | None = None
    """By how much AUROC an arm may be below the reference and count as no worse, or differ and count as equivalent."""
    prevalence: tuple[float, ...] = ()
    """Shares of the positive class, such as 0.05 0.2, at which predictive values are given beside those at the data's
    own. They can be asked for after a run."""
    test: tuple[str, ...] = ()
    """Cohorts of other places, NAME=PATH or PATH each, read as DATA is: every arm is fitted once on all of DATA and
    scored on them, with nothing chosen on them."""
    map: tuple[str, ...] = ()
    """What cohorts call classes that DATA calls otherwise, THEIRS=OURS each."""
    case_rule: Literal["mean", "maximum", "share"] = "mean"
    """What makes one call of a case whose images are all of one class: the mean score of its images, the largest, or
    the share of them that is called positive. It can be asked for after a run."""
    ordinal: tuple[str, ...] = ()
    """The classes in their order, the lowest first, where they have one and are more than two: quadratic kappa and mean
    absolute error of each arm. It can be asked for after a run."""
    readers: str | None = None
    """A table of what people called the images: a column that names them and one for each reader, or the columns name,
    reader, call and perhaps score. Readers are set beside every arm. It can be asked for after a run."""
    metrics: tuple[str, ...] = ()
    """Metrics of your own, module:function each: columns beside the others. They can be asked for after a run."""
    inside: int = 2
    """Of the networks, and of the deep features that logreg reads, draw where they look for so many images of each
    kind: right and wrong, of each class."""
    save_models: bool = False
    """Fit every arm on all images when the study has ended, and write each as a bundle into OUT/models."""
    include_weights: bool = False
    """Put the weights of pretrained backbones into these bundles; else they are looked for when one is loaded."""
    threads: int = 1
    """Threads inside a trial; part of the study, because the last bits of sums depend on it."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out."""
    jobs: int | None = None
    """Trials, or images, that are worked on at once; as many as the cores have threads for if left out."""
    timeout: float | None = None
    """Seconds that a trial may take, or a feature of your own for an image, or a metric; then its process is ended, and
    the row says where it was. With it trials run in worker processes, even one at a time; not on a cluster. No limit if
    left out."""
    backend: Literal["local", "dask", "ray"] = "local"
    """Where trials run and features are computed: in processes of this machine, or by the workers of a cluster that is
    running; --memory is then the budget of each worker."""
    scheduler: str | None = None
    """Address of the cluster: tcp://HOST:8786 or a scheduler file of Dask; HOST:6379 of Ray, the one on this machine if
    left out."""
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
    figures: tuple[Figures, ...] = ("png",)
    """Kinds of files of the figures."""
    column: Literal[1, 2] | None = None
    """Make these files as wide as one or two columns of a journal, 89 or 180 mm; as wide as in the report if left
    out."""
    style: str | None = None
    """Colours and fonts of these files: a file of Matplotlib's parameters, or the name of a style of its own."""
    track: Literal["mlflow", "tensorboard"] | None = None
    """Log options, metrics and the report where these programs show them, when the study has ended; the program has to
    be installed."""

    @classmethod
    def explain(cls, *names: str) -> str:
        """What options are for, and which values they take: of those that are named, or of all.

        Parameters
        ----------
        *names : str

        Returns
        -------
        str

        Raises
        ------
        StudyError
            There is no such option.

        Examples
        --------
        >>> print(Study.explain("folds"))
        folds : a whole number; default 5
            Folds of cv.
        """
        from glomfeat.comparison.option_words import explain

        return explain(cls, *names)

    def check(self):
        """Refuse values that no study can have.

        Raises
        ------
        StudyError
            Which option, and what is allowed.
        """
        check_options(self)

    @property
    def sizes(self):
        """The sides that are asked for; None of one that is left open."""
        return _several(self.size)

    @property
    def paddings(self):
        return _several(self.padding)

    @property
    def stains(self):
        return _several(self.stain)

    @property
    def ways(self):
        """Every side with every padding and every treatment of stains."""
        return list(itertools.product(self.sizes, self.paddings, self.stains))

    @property
    def asked(self):
        """What is said of the columns of tables, as `glomfeat.data.tables.columns.Asked`."""
        from glomfeat.data.tables.columns import Asked

        words = self.name_column or "", self.label_column or ""
        but = self.groups, *filter(None, [self.split.column]), *self.with_
        uses = [(self.groups, "the case, by --groups"), (self.split.column, "--scheme splits by it")]
        uses += [(name, "--with joins it") for name in self.with_]
        for one in self.subgroups:  # with or without the numbers at which it is cut
            uses += [(name, "--subgroups groups by it") for name in {one, one.rpartition(":")[0]}]
        return Asked(*words, self.columns, self.drop, but, self.missing, tuple(uses))

    def plain(self):
        """The options as plain data for YAML; functions go by their names."""
        from glomfeat.core.plugins import name_of

        options = asdict(self).items()
        several = {name: list(map(_plain, value)) for name, value in options if isinstance(value, tuple)}
        found = {name: several.get(name, name_of(value)) for name, value in options}
        # one value of several is written as it was when there could be but one
        found |= {name: values[0] for name in READING if len(values := _several(getattr(self, name))) == 1}
        found["threshold"] = str(found["threshold"])  # YAML writes plain text only
        return {plainly(name): value for name, value in found.items()}

    @property
    def own(self):
        """The names of the user's own code, each with a digest of it."""
        names = (*self.features, *self.reducers, *self.heads, *self.nets, self.threshold)
        return [name for name in names if isinstance(name, Coded)]

    @property
    def split(self):
        """How cases are split, as `glomfeat.data.schemes.Scheme`."""
        found = find_scheme(self.scheme, self.folds)
        return replace(found, split_cases=self.allow_split_cases) if isinstance(found, Given) else found

    @property
    def tested(self):
        """How many trials an arm has."""
        return self.repeats * len(self.split.tested)

    def recipe(self):
        """What is asked of every network's training, by the names of `glomfeat.models.nets.Recipe`."""
        asked = {"epochs": self.epochs, "batch": self.batch, "lr": self.lr}
        weight = None if self.class_weight == "none" else self.class_weight
        found = {name: value for name, value in asked.items() if value is not None} | {"class_weight": weight}
        return found | {name: value for name in OF_NETS if (value := getattr(self, name)) != getattr(Study, name)}

    def identity(self, manifest, features, nets=()):
        """What makes two runs the same study: the options that change numbers, the data and the features.

        Parameters
        ----------
        manifest : Manifest
        features : sequence of str
            Full names of the features, with the digests of weights and tables.
        nets : sequence of str
            Networks, with what they start from.

        Returns
        -------
        dict
            Plain data. Ensembles and joined columns, which a study need not have, are added by who knows the full names
            of members, and the values.
        """
        apart = OPERATIONAL | {"ensembles", "with"} | ({"stain"} if self.stains == ("none",) else set())
        options = {name: value for name, value in self.plain().items() if name not in apart}
        data = f"{len(manifest)} images, {manifest.split}, digest {manifest.digest[:16]}"
        found = options | {"glomfeat": __version__, "data": data, "features": list(features), "nets": list(nets)}
        own = [name.full for name in self.own]
        return found | ({"own parts": ", ".join(own)} if own else {})


def _plain(part):
    """A part as YAML writes it."""
    from glomfeat.core.plugins import name_of

    return part if type(part) is int else str(name_of(part))


def _several(value):
    """What is asked for as a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)
