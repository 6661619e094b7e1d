"""The model card, in Markdown: what a model is, how it was chosen, and what to expect of it."""

from glomfeat.bundle.format import MEMBER_NAME, preprocess_of
from glomfeat.core.arms import Arm
from glomfeat.core.words import joined, number_of
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.data.schemes import find_scheme
from glomfeat.data.tables.read import listed
from glomfeat.metrics.table import METRICS, limits_of, shown_in
from glomfeat.metrics.thresholds import fixed_at
from glomfeat.models.nets.grid import CALLED
from glomfeat.results.words import as_decided, count

SHOWN = 20


def make_card(about):
    """Write a model card.

    Parameters
    ----------
    about : dict
        From a bundle.

    Returns
    -------
    str
        Markdown.
    """
    trained, expected, study = about["trained_on"], about["expected"], about["study"]
    classes = about["classes"]
    counts = ", ".join(f"{count} {name}" for count, name in zip(trained["by_class"], classes, strict=True))
    scheme = find_scheme(study["scheme"], study["folds"])
    by_case = trained["split"] == "split by case"
    of = units(about)
    held = "cases" if by_case else of
    of_cases, known = "", f"No {of[:-1]} is named."
    if _unit(about) == "case":
        names = trained["cases"]
        of_cases = f" of {number_of(len(names), 'case')}"
        known = f"Cases are known here by pseudonyms, {names[0]} to {names[-1]}, and no {of[:-1]} is named."
    lines = [
        f"# {about['arm']}",
        "",
        f"A model that scores {of} of one kind between 0 and 1: {_said(classes)}",
        "",
        "## What it is",
        "",
        *_parts(about),
        *_membership(about),
        "",
        "## Which arm, and why",
        "",
        _rank(expected),
        "",
        "## What it was trained and chosen on",
        "",
        f"{trained['images']} {of}{of_cases} ({counts}), {trained['split']}; digest {trained['digest'][:16]}. {known} "
        f"{_before(trained)}{_choice(about)}",
        "",
        "## Expected performance",
        "",
        f"These are the figures of the outer folds of the study ({scheme.title} x {study['repeats']}, "
        f"{trained['split']}): of models like this one, fitted the same way without the {held} that they were tested "
        f"on. This very model, fitted on all {of}, has been tested on none: there is no re-evaluation, and none on "
        f"its own training images would mean anything. Limits are 95 %, with the {_unit(about)} as the unit, as in the "
        "study's results.",
        "",
        "| figure | value | 95 % limits |",
        "|---|---|---|",
        *(row for name in shown_in("card") if (row := _row(expected, METRICS[name], len(classes) > 2))),
        "",
        f"The scores behind them are in `arrays.safetensors` under `out_of_fold`. {_warning(by_case, of)}".rstrip(),
        "",
        *_use(about, scheme, of),
        "## How it was made",
        "",
        ", ".join(f"{name} {version}" for name, version in about["versions"].items()) + ".",
        "",
    ]
    return "\n".join(lines)


def table_of(about):
    """What a bundle says about the table whose rows it reads; None if it reads images."""
    return (about if about["kind"] == "ensemble" else about.get("feature", {})).get("table")


def units(about):
    """What a bundle scores, in a word."""
    return "images" if table_of(about) is None else "rows"


def _unit(about):
    """What the study dealt to folds, in a word."""
    return units(about)[:-1] if about["trained_on"]["split"] == IMAGE_LEVEL else "case"


def _use(about, scheme, of):
    """What the model is for, and its limits."""
    further = f"{of} from another laboratory, scanner or stain may score otherwise"
    like = "of images, measured or embedded in the same way: " if of == "rows" else ""
    elsewhere = f"{further.capitalize()}, and nothing here measures how much."
    if scheme.elsewhere:
        which = f"values of column {scheme.column!r} that were left out"
        elsewhere = f"The figures above are of {which}; {further} still."
    return [
        "## Intended use",
        "",
        f"Research on {of} like those that it was trained on: {like}same organ, stain, magnification and way of "
        "cropping. It is no medical device, and no decision about a patient should rest on it.",
        "",
        "## Limits",
        "",
        f"- {elsewhere}",
        _marked(about, of),
        f"- {_calibrated(about)}",
        f"- {_weighed(about['threshold'])}",
        "",
    ]


def _weighed(threshold):
    """What decides on a call, and that it does not know what errors cost."""
    if _chose(threshold):
        return "The threshold weighs errors by a rule, not by what they cost you."
    if threshold["value"] is None:
        return "The class of the largest score is called, whatever an error costs you."
    return f"The threshold of {threshold['value']:.4g} was given. Nothing here says that it suits your data."


def _chose(threshold):
    """Whether a threshold was chosen: there is none with more than two classes, and a number was given."""
    return threshold["value"] is not None and fixed_at(threshold["rule"]) is None


def _marked(about, of):
    """When a row or an image is marked as unlike the training data."""
    by_case = _unit(about) == "case"
    if of == "rows":
        return (
            "- Rows unlike the training rows are marked `ok (unlike training data)`: farther away than 99.5 % of these "
            f"are from {'rows of other cases' if by_case else 'other rows'}. Nobody sees the images behind the rows: a "
            "row that is not marked may be unlike all the same, and rows of another network or program, of the same "
            "width, may look alike."
        )
    return (
        f"- Images unlike the training images are marked `ok (unlike training data)`: a side more than a quarter "
        f"beyond the training range, or {_unlike(about)} farther away than 99.5 % of the training images are from "
        f"other {'cases' if by_case else 'images'}. An image that is not marked may still be unlike them."
    )


def _said(classes):
    if len(classes) == 2:
        return f"how much it looks like `{classes[1]}` and not like `{classes[0]}`."
    return "one score for each of " + ", ".join(f"`{name}`" for name in classes) + "."


def _parts(about):
    if about["kind"] == "ensemble":
        members = Arm.parse(about["arm"]).members
        return [
            f"The mean of the scores of {len(members)} models, each calibrated ({about['calibration']['of_members']})"
            f"{', with a threshold of its own' if _chose(about['threshold']) else ''}. Each is a bundle in a folder of "
            "this one, with a card:",
            "",
            *(f"- `{MEMBER_NAME.format(k)}`: {arm}" for k, arm in enumerate(members, 1)),
        ]
    if table := table_of(about):
        return _reads_table(about, table)
    read = preprocess_of(about)
    stain = f"stain brought to a reference ({read.stain.method}), " if read.stain else ""
    lines = [f"- images: {stain}padded to a square ({read.padding}), {read.size} px ({read.filter}), nothing cropped"]
    if about["kind"] == "net":
        net = about["net"]
        return [*lines, f"- network: `{net['name']}`, {net['parameters']:,} parameters, from {net['started_from']}"]
    feature = about["feature"]
    lines.append(f"- feature: `{feature['name']}`, {feature['width']} numbers")
    if feature["weights"]:
        weights = feature["weights"]
        place = "in this bundle" if weights.get("included") else "not in this bundle, looked for when it is loaded"
        lines.append(f"- weights: {weights['name']}, sha256 {weights['sha256']}, {place}")
    return [*lines, *_head(about)]


def _head(about):
    return [
        f"- reducer: `{about['reducer']['name']}`, {about['reducer']['columns']} columns",
        f"- head: `{about['head']['name']}` with {about['chosen']['params'] or 'nothing to choose'}",
    ]


def _reads_table(about, table):
    """The parts of a model that reads rows of a table."""
    columns, feature = table["columns"], about["feature"]
    width = feature["width"] - len(table["lacking"])
    called = f"in the order of the file, without names ({width})" if columns is None else listed(columns, SHOWN)
    kinds = {"": "", "mean": ", each the mean of the rows in a file of a folder", "rows": ", each a row of such a file"}
    gaps = f"refused but in {listed(table['lacking'], SHOWN)}: there {table['filled']}"
    return [
        f"- reads: rows of a table, `{table['called']}` in the study, {width} numbers{kinds[table['rows']]}",
        f"- columns: {called}; found by name, others are left out",
        *(
            f"- texts of {column}: {listed(texts, SHOWN)}, a column of 0 and 1 each"
            for column, texts in (table["levels"] | table.get("shown", {})).items()
        ),
        f"- standardised: {feature['standardised']}",
        f"- missing values: {gaps if table['lacking'] else 'refused'}",
        *_head(about),
    ]


def _membership(about):
    """For a member of an ensemble: what it was fitted for, and how it differs from the arm of the study."""
    if "member_of" not in about:
        return []
    calibration, said = about["calibration"], f"This is a member of the ensemble `{about['member_of']}`."
    if calibration["kind"] != calibration["asked"]:
        said += " For it scores were calibrated, and the figures below are of scores that were not."
    return ["", said]


def _rank(expected):
    if expected["of"] == 1:
        return "It is the only arm that was finished in the study that it comes from."
    return (
        f"In the study that it comes from, it ranks {expected['rank']} of {expected['of']} arms by "
        f"AUROC{_tied(expected)}. If it was chosen because it ranks high, the figures below are a little optimistic: "
        "they are of the arm that did best on these very folds."
    )


def _tied(expected):
    tied = expected.get("tied_with_best")
    if expected["rank"] == 1 or tied is None:
        return ""
    return (
        ", and does not differ from the best beyond chance"
        if tied
        else ", and the best one is better by more than chance"
    )


def _choice(about):
    threshold, chosen = about["threshold"], about["chosen"]
    at, fixed, unit = "", "", _unit(about)
    if _chose(threshold):
        at = f"threshold {threshold['value']:.4g} by the rule `{threshold['rule']}`"
    elif threshold["value"] is not None:
        fixed = f" The threshold was fixed at {threshold['value']:.4g}."
    if about["kind"] == "ensemble":
        of_mean = f" The {at} was chosen on the mean of their scores of inner-valid {unit}s." if at else ""
        return f"The members were fitted and calibrated one by one, as their cards say.{of_mean}{fixed}"
    if "epochs" in chosen["params"]:
        return f"{_trained(chosen, at, unit)}{_tuned(about.get('net', {}), unit)}{fixed}"
    found = [*filter(None, [at]), *(f"{name} = {value}" for name, value in chosen["params"].items())]
    which = f"Chosen on inner splits by {unit} of all of them: {joined(found)}" if found else "Nothing was chosen"
    return f"{which}. The model was then fitted on all.{fixed}"


def _before(trained):
    """How many other images were learnt in the bundles that a network started from."""
    before = trained.get("images_before")  # older bundles do not say
    if not before:
        return ""
    return (
        f"The network started from a bundle that had learnt {count(before, 'other image')}: figures of these would be "
        "too good as well. "
    )


def _trained(chosen, at, unit):
    """How a network that is trained in epochs was trained."""
    epochs, again = chosen["params"]["epochs"], chosen["params"].get("then on all", 0)
    left_out = f" The {at} was chosen on the {unit}s left out." if at else ""
    if again:
        return (
            f"The network learned for {count(epochs, 'epoch')} from most of the {unit}s.{left_out} Then it learned for "
            f"{count(again, 'epoch')} from all."
        )
    return f"The network learned for {count(epochs, 'epoch')} from {chosen['images']} of them.{left_out}"


def _tuned(net, unit):
    """Which settings of a training were chosen among several."""
    tuned = net.get("tuned")  # older bundles do not say
    if not tuned:
        return ""
    values = [f"{CALLED[name]} ({'its own' if value is None else value})" for name, value in tuned.items()]
    verb = "was" if len(values) == 1 else "were"
    return f" Its {joined(values)} {verb} chosen among several by the cross-entropy on the {unit}s left out."


def _row(expected, metric, largest):
    value, low, high = (expected.get(name) for name in (metric.name, *limits_of(metric.name)))
    if value is None:
        return ""
    title = as_decided(metric.card.title or metric.title, largest)
    unlimited = low is None or high is None or low == high  # equal limits do not mean certainty
    return f"| {title} | {value:.3f} | {'' if unlimited else f'{low:.3f} to {high:.3f}'} |"


def _warning(by_case, of):
    if by_case:
        return ""
    return f"**The split was by image: {of} of one patient may lie on both sides, so that the figures are too good.**"


def _unlike(about):
    return "colour" if about["kind"] == "net" else "colour or features"


def _calibrated(about):
    kind = about["calibration"]["kind"]
    if about["kind"] == "ensemble":
        kind = about["calibration"]["of_members"]
        on = f"on inner splits of the training {_unit(about)}s"
        return f"Scores of the members are calibrated ({kind}) {on}; their mean is not."
    if kind == "none":
        return "Scores are not calibrated: 0.8 does not mean that 80 % of such images are positive."
    return f"Scores are calibrated ({kind}) on inner splits of the training {_unit(about)}s; elsewhere they may be off."
