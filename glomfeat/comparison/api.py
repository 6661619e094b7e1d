"""The main job from Python: plain arguments in, an object with tables and a report out."""

import ast
import inspect
import itertools
import os
import re
import shutil
import tempfile
import textwrap
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from glomfeat.comparison import compare as main_job
from glomfeat.comparison.folder import journal_of, open_out
from glomfeat.comparison.in_memory import write_arrays, write_table
from glomfeat.comparison.objects import own_function, own_names
from glomfeat.comparison.options import Paddings, Stains, Study
from glomfeat.comparison.prepare import Prepared, prepare
from glomfeat.core.arms import StudyError
from glomfeat.core.atomic import written_whole
from glomfeat.data.manifest import Manifest
from glomfeat.data.tables.read import PATH_COLUMNS, find_column
from glomfeat.report.write import write_report
from glomfeat.results.external import read_external
from glomfeat.results.show import as_text, to_html
from glomfeat.results.write import is_up_to_date

Place: TypeAlias = str | os.PathLike[str]
Parts: TypeAlias = str | Mapping[str, Any] | Sequence[Any] | None
Texts: TypeAlias = tuple[str, ...] | list[str]
Numbers: TypeAlias = tuple[float, ...] | list[float]

PARTS = ("features", "heads", "reducers", "nets")
FUNCTIONS = ("metrics", "threshold")
DECIDED = ("labels", "positive", "groups", "layout")
IMAGES = "images.csv"
WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text", NoneType: "None"}


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What a comparison found; a notebook shows it as its table.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per arm, best AUROC first: results.csv before rounding.
    out : Path
        The output folder. If none was asked for, it is a temporary one that is deleted with this object.
    title : str
        What was compared, on what, and how it was split.
    show_names : bool
        Whether the report shows real names of cases.
    """

    table: pd.DataFrame
    out: Path
    title: str
    show_names: bool = False

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per arm, repeat and fold, as in trials.csv."""
        return pd.read_csv(self.out / "trials.csv", dtype={"reason": str}).fillna({"reason": ""})

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row per arm, repeat and image, as in predictions.parquet."""
        return pd.read_parquet(self.out / "predictions.parquet")

    @cached_property
    def external(self) -> pd.DataFrame:
        """A row per cohort of ``test`` and arm, as in external.csv."""
        path = self.out / "external.csv"
        if not path.is_file():
            raise StudyError("no cohort was scored: compare again with the same out and test=['NAME=PATH']")
        return read_external(path)

    def report(self) -> Path:
        """Write report.html and its figures, unless they are there already.

        Returns
        -------
        Path
            Of the page.
        """
        if is_up_to_date(self.out):
            return self.out / "report.html"
        return write_report(self.out, self.show_names, results=self.table)

    def __repr__(self) -> str:
        return as_text(self.table, self.title)

    def _repr_html_(self) -> str:
        return to_html(self.table, self.title)


def compare(
    data: Place | Manifest | pd.DataFrame | Sequence[Any] | None = None,
    features: object = None,
    heads: Parts = None,
    reducers: Parts = None,
    nets: Parts = None,
    out: Place | None = None,
    *,
    quiet: bool = False,
    sites: int = 1,
    labels: Place | None = None,
    positive: str | None = None,
    groups: str = "auto",
    layout: str | None = None,
    name_column: str | None = None,
    label_column: str | None = None,
    columns: Texts = (),
    drop: Texts = (),
    missing: Literal["refuse", "impute"] = "refuse",
    with_: Texts = (),
    ensembles: Texts = (),
    preset: Literal["default", "paper"] = "default",
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    class_weight: Literal["none", "balanced"] = "none",
    size: int | tuple[int, ...] | list[int] | None = None,
    padding: Paddings | tuple[Paddings, ...] | list[Paddings] = "white",
    stain: Stains | tuple[Stains, ...] | list[Stains] = "none",
    stain_reference: Place = "pas",
    icc: Literal["srgb", "keep"] = "srgb",
    layer: str | None = None,
    scheme: str = "cv",
    allow_split_cases: bool = False,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    threshold: str | Callable[..., float] = "balanced",
    calibration: Literal["none", "platt", "isotonic"] = "none",
    weights: Place | None = None,
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32",
    random_twin: bool = False,
    leak_price: bool = False,
    learning_curve: bool = False,
    perturb: Texts = (),
    subgroups: Texts = (),
    reference: str | None = None,
    margin: float | None = None,
    prevalence: Numbers = (),
    test: Texts = (),
    map: Texts = (),
    case_rule: Literal["mean", "maximum", "share"] = "mean",
    ordinal: Texts = (),
    readers: Place | None = None,
    metrics: Sequence[str | Callable[..., float]] = (),
    inside: int = 2,
    save_models: bool = False,
    include_weights: bool = False,
    threads: int = 1,
    memory: str | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    backend: Literal["local", "dask", "ray"] = "local",
    scheduler: Place | None = None,
    device: str = "auto",
    cache: Place | None = None,
    on_error: Literal["skip", "stop"] = "skip",
    show_names: bool = False,
) -> Result:
    """Compare features, heads and networks on one set of folds, split by case.

    The same as ``python -m studies.compare``, to the last bit, with parts of your own as plain arguments. Wherever
    several parts are asked for, write a list of names, objects and dicts; a dict gives your own objects their names.
    Every option of `glomfeat.Study` but ``dry_run`` is an argument. ``metrics`` takes functions of true classes and
    scores besides names, and ``threshold`` such a function as its rule.

    Parameters
    ----------
    data : path-like, Manifest, pandas.DataFrame or tuple, optional
        A folder, CSV or feature table; what `glomfeat.read_manifest` returns; a table with a row an image and the
        columns ``path, label[, case, slide]``; a table of features with a column of classes; or ``(X, y, groups)``:
        numbers, and the class and case of each row. Left out: the built-in phantom.
    features : optional
        Names as on the command line; objects such as `glomfeat.Handcrafted`; or by name a function of an image (uint8,
        shape (size, size, 3)) and its width and height before padding, that returns numbers. A name without a version
        gets ``.v1``; stored numbers follow the function's code. Left out: classical and resnet18.
    heads : optional
        Names; or by name any scikit-learn classifier or pipeline, not fitted, of which each trial gets a clone with its
        own seed as ``random_state``; a `glomfeat.Head`, which adds settings to choose from; or a function of a seed
        that returns one of them. Left out: logreg, svm and xgboost.
    reducers : optional
        Names; or by name a scikit-learn transformer, or a function without arguments that returns one. Left out:
        ipca128.
    nets : optional
        Names; or by name layers such as ``"C16-MP-F-D64-out"``, or a function of ``classes`` that returns a
        ``torch.nn.Module``.
    out : path-like, optional
        Output folder; a run of the same study in it is resumed. Left out: a temporary one.
    quiet : bool
        Print nothing; progress is shown all the same.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        With the remedy, before work begins.

    Examples
    --------
    >>> import glomfeat, tempfile
    >>> from sklearn.naive_bayes import GaussianNB
    >>> images = glomfeat.make_phantom(tempfile.mkdtemp() + "/images", glomfeat.Phantom(images=24, cases=6))
    >>> small = {"size": 32, "folds": 2, "jobs": 1, "cache": tempfile.mkdtemp(), "quiet": True}
    >>> found = compare(images, features={"red": lambda image, size: image[..., 0].mean()}, heads={"nb": GaussianNB()},
    ...                 reducers="none", **small)
    >>> sorted(found.table["arm"])
    ['none/none/dummy', 'red.v1/none/nb']
    """
    return _compare(dict(locals()))  # so that no option is named a second time


def _compare(given: dict[str, Any]) -> Result:
    data, out, quiet = given["data"], given["out"], given["quiet"]
    say: Callable[[str], None] = _silent if quiet else print
    warn = say if out is not None else _silent  # what is temporary is not resumed anyway
    options = _checked({name: value for name, value in given.items() if name not in ("data", "out", "quiet", *PARTS)})
    if callable(options["threshold"]):
        options["threshold"] = own_function(options["threshold"], warn)
    asked = {kind: own_names(kind, given[kind], warn) for kind in PARTS if given[kind] is not None}
    decided = sorted(name for name in DECIDED if given[name] != getattr(Study, name))
    if isinstance(data, Manifest) and decided:
        said = f"{', '.join(decided)}: the manifest has been read already; give them to glomfeat.read_manifest"
        raise StudyError(said)
    folder = Path(tempfile.mkdtemp(prefix="glomfeat-") if out is None else os.fspath(out)).expanduser()
    study = Study(**asked, **options, out=str(folder))
    try:
        found = _run(study, data, say)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, True)
    return found


def _option_docs() -> Iterator[tuple[str, str]]:
    """The name of each option of a study and the text under it, in one line; nothing where Python keeps no source."""
    try:
        study = ast.parse(inspect.getsource(Study)).body[0]
    except OSError:
        return
    hints = get_type_hints(Study, include_extras=True)
    for field, text in itertools.pairwise(ast.iter_child_nodes(study)):
        if not isinstance(field, ast.AnnAssign):
            continue
        name = ast.unparse(field.target)
        helps = [one.help for one in getattr(hints[name], "__metadata__", ()) if getattr(one, "help", None)]
        words = helps[0] if helps else ast.literal_eval(text.value) if isinstance(text, ast.Expr) else ""
        if words:
            yield name, re.sub(r"--(\w+)", r"\1", " ".join(words.split()))


def _with_options(docs: str) -> str:
    """The docstring of `compare` with the options that it does not explain itself, in the words of `glomfeat.Study`."""
    asked, hints, said = inspect.signature(compare).parameters, get_type_hints(Study), ""
    explained = re.findall(r"^    (\w+) : ", docs, re.MULTILINE)
    for name, text in _option_docs():
        if name in asked and name not in explained:
            said += f"    {name} : {_allowed(hints[name]).partition(' ')[2]}; default {getattr(Study, name)!r}\n"
            said += textwrap.fill(text, 120, initial_indent=" " * 8, subsequent_indent=" " * 8) + "\n"
    return docs.replace("\n    Returns\n", f"{said}\n    Returns\n", 1)


def _silent(line: str) -> None:
    """Say nothing."""


def _run(study: Study, data: Any, say: Callable[[str], None]) -> Result:
    journal = journal_of(study)
    if isinstance(data, tuple | list):
        prepared = _prepare_written(study, lambda folder: write_arrays(data, folder, study.groups), say)
    elif isinstance(data, pd.DataFrame) and find_column(data, PATH_COLUMNS) is None:
        prepared = _prepare_written(study, lambda folder: write_table(data, folder), say)
    elif isinstance(data, pd.DataFrame):
        prepared = _prepare_frame(study, data, say)
    elif isinstance(data, Manifest):
        prepared = prepare(replace(study, data=_where(data)), say, data, journal)
    else:
        prepared = prepare(replace(study, data=None if data is None else os.fspath(data)), say, None, journal)
    _, results, _ = main_job.compare(prepared, say, journal)
    return Result(results, Path(study.out), prepared.title, study.show_names)


def _prepare_frame(study: Study, frame: pd.DataFrame, say: Callable[[str], None]) -> Prepared:
    """Read a table of images, and keep it in the output folder, so that the study can be found again from there."""
    column = find_column(frame, PATH_COLUMNS)
    if not all(isinstance(path, str | os.PathLike) for path in frame[column]):
        raise StudyError(f"data: every row of the column {column!r} must hold the path of an image")
    frame = frame.assign(**{column: [str(Path(path).expanduser().absolute()) for path in frame[column]]})
    with tempfile.TemporaryDirectory() as place:
        csv = Path(place) / IMAGES
        frame.to_csv(csv, index=False)
        prepared = prepare(replace(study, data=str(csv)), say)
    open_out(prepared)
    kept = Path(study.out) / IMAGES
    with written_whole(kept) as part:
        frame.to_csv(part, index=False)
    return replace(prepared, study=replace(prepared.study, data=str(kept)))


def _prepare_written(study: Study, write: Callable[[str], Path], say: Callable[[str], None]) -> Prepared:
    """Read what stands in a file that is written now, and keep the file in the output folder."""
    with tempfile.TemporaryDirectory() as place:
        path = write(place)
        prepared = prepare(replace(study, data=f"file:{path}"), say)
        open_out(prepared)
        kept = Path(study.out) / path.name
        with written_whole(kept) as part:
            shutil.copyfile(path, part)
    return prepare(replace(study, data=f"file:{kept}"), _silent)


def _where(manifest: Manifest) -> str:
    """Where the images of a manifest lie, or the feature table itself."""
    if manifest.source:
        return f"file:{manifest.source}"
    return os.path.commonpath([Path(path).absolute().parent for path in manifest.table["path"]])


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a study, refused where a study has no such value.

    Raises
    ------
    StudyError
    """
    hints, found = get_type_hints(Study), {}
    for name, value in options.items():
        value = _plain(value)
        value = tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
        if not _fits(value, hints[name], functions=name in FUNCTIONS):
            raise StudyError(f"{name} is {value!r}: allowed {_allowed(hints[name])}")
        found[name] = value
    return found


def _plain(value: Any) -> Any:
    """A path as text, and a number of NumPy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _fits(value: Any, hint: Any, functions: bool = False) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in parts
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(part, parts[0], functions) for part in value)
    if functions and callable(value):
        return True
    return type(value) is hint or (hint is float and type(value) is int)


def _allowed(hint: Any) -> str:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return f"are {', '.join(map(str, parts))}"
    if kind is tuple:
        return f"is a list of {_allowed(parts[0]).partition(' ')[2]}"
    alone = [part for part in parts if get_origin(part) is not tuple]
    if len(alone) < len(parts):
        rest = "".join(f" or {WORDS[part]}" for part in alone[1:])
        return f"{_allowed(alone[0])}{rest}, or a list of them"
    return f"is {' or '.join(WORDS.get(part, str(part)) for part in parts or [hint])}"


if compare.__doc__:  # python -OO has none
    compare.__doc__ = _with_options(compare.__doc__)
