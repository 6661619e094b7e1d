"""The twelve baselines of the original study, and an automatic version of the procedure that led to them."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from studies._cli import DONE, INCOMPLETE, parse_options, run_main
from studies._original import OriginalStudy, open_console, prepare_original, print_rows, run_original, saying_so

NETS = tuple(f"baseline-{i}" for i in range(1, 13))
QUICK = {
    "nets": ("baseline-1", "baseline-3", "baseline-9", "baseline-12"),
    **{"epochs": 6, "batch": 16, "lr": 1e-3},  # otherwise a few steps on a few images teach nothing
}
# Growing: where it starts, what it may add, and what counts as a gain.
START = ("F", "out")
DENSE = (512, 512, 64)
FILTERS = (16, 32, 64)
SMALLER = 64
DROPOUT = "DO0.2"
MAX_STEPS = 20
OVERFIT = 1.1  # least ratio of the inner-valid loss to the training loss
GAIN = 0.002  # in AUROC on inner-valid rows; a smaller difference is a draw, and the loss decides
LOWER = 0.98  # highest ratio of the inner-valid loss to the one before that decides a draw as a gain
RECIPE = "baseline-12"
CHOSEN = (
    "its layers were chosen on the training cases of the first fold, which the other folds test: "
    "only the first fold's score is free of that choice"
)
CAPTION = (
    "inner valid: cases of the first fold's training part, never its test rows; "
    "figures are of the last epoch, the training loss is of augmented images"
)
COMPARED = (  # options of a comparison that growing does not read
    *("nets", "features", "reducers", "heads", "ensembles", "repeats", "threshold", "calibration", "leak_price"),
    *("learning_curve", "perturb", "subgroups", "reference", "margin", "test", "save_models"),
)
PARTS = ("inner_valid_auroc", "inner_valid_loss", "train_loss")


@dataclass(frozen=True)
class Baselines(OriginalStudy):
    """Compare the twelve baselines of the original study, with published figures next to ours; or grow a network."""

    nets: tuple[str, ...] = NETS
    """Networks trained on the same folds."""
    out: str = "runs/baselines"
    """Output folder. A run of the same study in it is resumed."""
    grow: bool = False
    """Instead, grow a network as Wen et al. (2020) did, and write every step with its reason. Each step is judged on
    inner-valid cases of the first fold's training part."""

    def identity(self, manifest, features, nets=()):
        """What makes two runs the same study; growing shares a folder with the comparison."""
        found = super().identity(manifest, features, nets)
        del found["grow"]
        return found


@dataclass(frozen=True)
class Judged:
    """The result of training a candidate.

    Attributes
    ----------
    inner_valid_auroc, inner_valid_loss, train_loss : float
        From the last epoch before inner-valid cases are learnt from.
    why : str
        Why there are no figures; empty if there are.
    """

    inner_valid_auroc: float = float("nan")
    inner_valid_loss: float = float("nan")
    train_loss: float = float("nan")
    why: str = ""

    @property
    def overfits(self):
        """Whether it fits the training images much better than the inner-valid ones."""
        return self.inner_valid_loss > OVERFIT * self.train_loss


def _with_convolution(layers):
    """The layers with one more convolutional block before the flattening; None if there is none left to add."""
    k, have = layers.index("F"), sum(layer.startswith("C") for layer in layers)
    return (*layers[:k], f"C{FILTERS[have]}", *layers[k:]) if have < len(FILTERS) else None


def _dense(layers):
    """Positions of the dense layers, the largest first."""
    found = [k for k, layer in enumerate(layers) if layer[0] == "D" and layer[1:].isdigit()]
    return sorted(found, key=lambda k: -int(layers[k][1:]))


def _replaced(layers):
    """The layers with a convolutional block more and without the largest dense one, or None."""
    largest = _dense(layers)[:1]
    return _with_convolution(tuple(layer for k, layer in enumerate(layers) if [k] != largest)) if largest else None


def _after(layers, starts, new):
    """The layers with a new one after each of certain kinds, and after its batch normalisation if it has one."""
    grown, due = [], False
    for layer in layers:
        if due and layer != "BN":
            grown.append(new)
            due = False
        grown.append(layer)
        due = due or (layer[0] in starts and layer[1:].isdigit())
    return tuple(grown) if tuple(grown) != tuple(layers) else None


def _smaller(layers):
    """The layers with the largest dense one made smaller; None if all are small."""
    largest = _dense(layers)[:1]
    if not largest or int(layers[largest[0]][1:]) <= SMALLER:
        return None
    return tuple(f"D{SMALLER}" if [k] == largest else layer for k, layer in enumerate(layers))


REGULARISERS = (
    ("batch normalisation", lambda layers: _after(layers, "CD", "BN")),
    ("pooling", lambda layers: _after(layers, "C", "MP")),
    ("dropout", lambda layers: _after(layers, "D", DROPOUT)),
    ("a smaller dense layer", _smaller),
)


def grow(judge, start=START, max_steps=MAX_STEPS):
    """Grow a network by the procedure of Wen et al. 2020 (Medical Image Analysis 63, 101694).

    Dense layers are added until the network overfits. The largest one is replaced by a convolutional block as long as
    this is a gain. Convolutional blocks are added as long as that is one. Then regularisers are tried one by one.

    Parameters
    ----------
    judge : callable
        Takes layers and returns a `Judged`.
    start : tuple of str
    max_steps : int

    Yields
    ------
    dict
        ``step, stage, candidate, kept, reason`` and the figures of `Judged` before and after. `candidate` is the
        name of a network.

    Examples
    --------
    >>> def judge(layers):
    ...     return Judged(0.8 + 0.01 * len(layers), 0.5, 0.1 if len(layers) > 3 else 0.5)
    >>> [(step["candidate"], step["kept"]) for step in grow(judge, max_steps=3)]
    [('F-out', True), ('F-D512-out', True), ('F-D512-D512-out', True)]
    """
    layers, now, steps = tuple(start), judge(tuple(start)), 1
    yield _step(steps, "start", layers, Judged(), now, True, now.why or "where growing starts")
    for width in DENSE:
        if now.overfits or steps >= max_steps:
            break
        layers, before = (*layers[:-1], f"D{width}", "out"), now
        steps, now = steps + 1, judge(layers)
        if now.why:
            yield _step(steps, "add a dense layer", layers, before, now, False, now.why)
            layers, now = (*layers[:-2], "out"), before
            break
        said = "it overfits now: enough dense layers" if now.overfits else "it does not overfit yet: go on"
        yield _step(steps, "add a dense layer", layers, before, now, True, f"{said} ({_losses(now)})")
    stages = [("replace the largest dense layer by a convolution", _replaced, True)]
    stages += [("add a convolution", _with_convolution, True), *((*pair, False) for pair in REGULARISERS)]
    for stage, change, again in stages:
        while steps < max_steps and (candidate := change(layers)):
            steps, after = steps + 1, judge(candidate)
            kept, reason = _gain(now, after)
            yield _step(steps, stage, candidate, now, after, kept, reason)
            layers, now = (candidate, after) if kept else (layers, now)
            if not kept or not again:
                break


def _losses(judged):
    return f"inner-valid loss {judged.inner_valid_loss:.3f}, train {judged.train_loss:.3f}"


def _gain(before, after):
    """Whether a candidate is a gain, and why."""
    if after.why:
        return False, after.why
    gain = after.inner_valid_auroc - before.inner_valid_auroc
    if abs(gain) >= GAIN:
        return gain > 0, f"inner-valid AUROC {gain:+.3f}: {'a gain' if gain > 0 else 'no gain'}"
    kept = after.inner_valid_loss <= LOWER * before.inner_valid_loss
    said = f"a draw by inner-valid AUROC ({gain:+.4f}), its loss {before.inner_valid_loss:.3f}"
    return kept, f"{said} to {after.inner_valid_loss:.3f}: {'a gain' if kept else 'no gain'}"


def _step(number, stage, layers, before, after, kept, reason):
    figures = {}
    for part in PARTS:
        figures |= {f"{part}_before": getattr(before, part), f"{part}_after": getattr(after, part)}
    head = {"step": number, "stage": stage, "candidate": "-".join(layers), "kept": kept}
    return head | figures | {"reason": reason}


def _make_judge(pixels, labels, fit, valid, settings, budget, seed, threads=1, journal=None):
    """A judge, which takes layers, trains a network of them on some rows and measures it on others.

    A candidate that needs more bytes than the budget is not trained. The journal holds finished candidates, so that an
    interrupted run continues.
    """
    from glomfeat.core.memory import format_bytes
    from glomfeat.core.seeds import seed_for
    from glomfeat.models.nets import make_net, net_bytes, recipe_for
    from glomfeat.models.nets.repeating import threads as so_many

    given = dict(settings)
    recipe = recipe_for(RECIPE, given.pop("preset", "default"), again=0.0)

    def judge(layers):
        name = "-".join(layers)
        key = f"net:{name}", 0, 0
        done = journal.done() if journal else {}
        if key in done:
            return Judged(**done[key]["judged"])
        try:
            need = net_bytes(name, {**given, "recipe": recipe})
        except ValueError as error:  # pooling left nothing
            return Judged(why=f"cannot be built: {error}")
        if need > budget:
            return Judged(why=f"memory: needs {format_bytes(need)} of {format_bytes(budget)}: raise --memory")
        with so_many(threads):
            net = make_net(name, **given, recipe=recipe, seed=seed_for(seed, "grow", name))
            net.fit(pixels, labels, train=fit, valid=valid)
        judged = Judged(*(net.curves_[-1][part] for part in PARTS))
        if journal:
            arm, repeat, fold = key
            journal.append({"arm": arm, "repeat": repeat, "fold": fold, "status": "done", "judged": vars(judged)})
        return judged

    return judge


def grow_on_fold(pixels, manifest, folds, settings, study, budget, journal=None):
    """Grow a network on the training part of the first outer fold, without reading its test rows.

    Parameters
    ----------
    pixels : array-like of uint8, shape (n, side, side, 3)
    manifest : glomfeat.data.manifest.Manifest
    folds : pandas.DataFrame
        As `glomfeat.data.splits.make_folds` returns it.
    settings : dict
        As in `glomfeat.models.nets.make_net`.
    study : Study
    budget : int
        Bytes.
    journal : glomfeat.results.journal.Journal, optional

    Yields
    ------
    dict
        As in `grow`.
    """
    from glomfeat.core.seeds import seed_for
    from glomfeat.data.splits import fold_rows, inner_valid_split

    where = 0, study.split.tested[0]
    train, test, valid = fold_rows(folds, *where)
    seed = seed_for(study.seed, "inner-valid", *where)
    fit, valid = inner_valid_split(manifest.labels, manifest.cases, train, valid, seed)
    assert not set(test) & {*fit, *valid}
    judge = _make_judge(pixels, manifest.labels, fit, valid, settings, budget, study.seed, study.threads, journal)
    yield from grow(judge)


def shorter(table):
    """A table of steps for reading, with figures before and after in one column."""
    shown = table[["step", "stage", "candidate"]].assign(kept=["yes" if kept else "no" for kept in table["kept"]])
    for part in PARTS:
        pairs = zip(table[f"{part}_before"], table[f"{part}_after"], strict=True)
        shown[part.replace("_", " ")] = [f"{one:.3f} to {two:.3f}".replace("nan to ", "") for one, two in pairs]
    return shown.assign(reason=table["reason"])


def _run_growth(study):
    """Grow a network, and print and write the steps; the exit status."""
    import pandas as pd

    from glomfeat.comparison.fold_stains import is_drawn
    from glomfeat.comparison.folder import open_out
    from glomfeat.comparison.no_effect import lines_on_no_effect
    from glomfeat.comparison.own_table import written
    from glomfeat.core.errors import InputError
    from glomfeat.core.settings import write_settings
    from glomfeat.data.splits import make_folds
    from glomfeat.features.extract import extract
    from glomfeat.results.journal import Journal
    from glomfeat.results.save import save_table

    console = open_console()
    with saying_so(study, console):
        prepared = prepare_original(study, console.out, QUICK)
        given, study, out = study, prepared.study, Path(prepared.study.out).expanduser()
        if is_drawn(prepared.preprocess):
            raise InputError("--grow judges on a single fold: give pas, he or an image file as --stain-reference")
        for line in lines_on_no_effect(prepared, given, dict.fromkeys(COMPARED, lambda *_: "--grow compares no arms")):
            console.out(line)
        if study.dry_run:
            console.out(f"growing trains at most {MAX_STEPS} networks, one after the other")
            return DONE
        settings = prepared.net_settings(RECIPE) | {"classes": len(prepared.manifest.classes)}
        view = replace(prepared.preprocess, size=settings["side"])
        open_out(prepared)
        write_settings(written(replace(prepared, study=replace(study, grow=False))), out / "study.yaml")
        extracted = extract(prepared.manifest, [], view, prepared.store, study.jobs, study.on_error, [view])
        pixels, manifest = extracted.pixels[view], extracted.manifest
        folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
        journal = Journal(out / "growth.jsonl")
        steps = []
        for step in grow_on_fold(pixels, manifest, folds, settings, study, prepared.budget, journal):
            steps.append(step)
            console.out(f"step {step['step']}: {step['candidate']}: {'kept' if step['kept'] else 'not kept'}")
        table = pd.DataFrame(steps)
        save_table(table, out / "growth.csv")
        title = replace(prepared, manifest=manifest).title
        print_rows(shorter(table), f"growing a network; {title}", console, CAPTION)
        grown = table.loc[table["kept"], "candidate"].iloc[-1]
        again = "--config", str(out / "study.yaml"), "--nets", grown, RECIPE, "--out", f"{out}-grown"
        console.out(f"grown: {grown}")
        console.out(f"compare it on all folds: {shlex.join(['python', '-m', 'studies.baselines', *again])}")
        console.out(CHOSEN)
        console.out(f"table: {out / 'growth.csv'}")
    return INCOMPLETE if extracted.quarantine else DONE


def main(arguments):
    """Run the study that the command line describes.

    Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    study = parse_options(Baselines, arguments, "python -m studies.baselines")
    return _run_growth(study) if study.grow else run_original(study, QUICK)


if __name__ == "__main__":
    run_main(main)
