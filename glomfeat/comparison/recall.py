"""Notes on pretrained networks, by which a finished study is recognised without torch."""

from dataclasses import dataclass, field

from glomfeat.comparison.folder import differences
from glomfeat.comparison.outcome import find_aside
from glomfeat.core.plugins import is_own
from glomfeat.features.make import FEATURES
from glomfeat.features.recalled import Recalled, is_same_source, note_source, software
from glomfeat.features.seen import plain
from glomfeat.models.nets import is_pretrained, split_mode


@dataclass(frozen=True)
class Start:
    """The starting point of a network's training.

    Attributes
    ----------
    said : str
        What every row of the results says about it.
    reads : (int, str or None) or None
        Side and filter of the images that the network is made for; None if this is not known.
    """

    said: str
    reads: tuple | None = None


@dataclass(frozen=True)
class Notes:
    """Notes on a study's pretrained networks.

    Attributes
    ----------
    rows : list of dict
        As in `note_networks`.

    Examples
    --------
    >>> Notes().feature(["resnet18", "none"]), Notes().net("resnet18:frozen", "none")
    (None, None)
    """

    rows: list = field(default_factory=list)

    def feature(self, asked):
        """The feature that was noted for what is asked, or None."""
        row = self._row("name", asked)
        return row and Recalled(row["name"], row["weights"], row["note"], row["reads"] and tuple(row["reads"]))

    def net(self, name, where):
        """The starting point that was noted for a network, or None."""
        row = self._row("net", [name, where])
        return row and Start(row["weights"], row["reads"] and tuple(row["reads"]))

    def _row(self, kind, asked):
        return next((row for row in self.rows if kind in row and row["asked"] == asked), None)


NOTHING = Notes()


def asked_of(study, name, weights, side):
    """Everything that decides which deep feature a name means, as plain data."""
    size = list(study.sizes) if len(study.sizes) > 1 else study.sizes[0]
    return [str(name), str(weights), side, size, study.layer, study.precision, *["compiled"] * study.compile]


def read_notes(study, journal):
    """The notes in a study's folder, if all that are needed are there and still hold.

    Parameters
    ----------
    study : Study
        With its weights filled in.
    journal : Journal or None

    Returns
    -------
    glomfeat.comparison.recall.Notes
        Empty if any note is missing, or if no network of torchvision is asked for.
    """
    features = [name for name in study.features if not is_own(name) and name not in FEATURES]
    nets = [name for name in study.nets if is_pretrained(name)]
    if journal is None or study.init or not (features or nets):
        return NOTHING
    noted = (journal.about() or {}).get("networks")
    if not noted or noted["software"] != software():
        return NOTHING
    notes = Notes(noted["rows"])
    found = [notes.feature(asked_of(study, name, study.weights, side)) for name in features for side in study.sizes]
    found += [notes.net(name, study.weights) for name in nets]
    same = None not in found and all(is_same_source(row["source"], row["where"]) for row in notes.rows)
    return notes if same else NOTHING


def note_networks(prepared, asked, starts):
    """Write notes on a study's pretrained networks.

    Parameters
    ----------
    prepared : Prepared
        With features and networks that were made with torch.
    asked : dict of str to dict of (int or None) to list
        From `asked_of`, by the name of the feature that was found, and the side; without the user's own features.
    starts : dict of str to Weights or None
        From `glomfeat.models.nets.find_start`, by network.

    Returns
    -------
    dict
        Plain data, without folders; empty if there is no network of torchvision.
    """
    rows, where = [], prepared.study.weights
    deep = {plain(one).name: plain(one) for one in prepared.features if one.is_deep}
    # a configuration may change, and only its own file says so
    for feature in [one for one in deep.values() if not one.weights_found.configuration]:
        for side, of in asked.get(feature.name, {}).items():
            reads, note = feature.reads and list(feature.reads), feature.note(side or prepared.preprocess.size)
            about = {"name": feature.name, "reads": reads, "note": note}
            rows.append(about | _row(of, of[0], of[1], feature.weights_found))
    for name, start in starts.items():
        model = start and split_mode(name).model
        if start and not model.startswith("timm:"):  # the source of timm's weights is not noted
            reads = start.reads if start.path else None
            rows.append({"net": name, "reads": reads} | _row([name, where], model, where, start))
    return {"software": software(), "rows": rows} if rows else {}


def _row(asked, model, where, found):
    from glomfeat.features.deep.weights import default_file

    source = note_source(where, found, default_file(model))
    return {"asked": asked, "where": where, "weights": found.said, "source": source}


def is_finished(prepared, journal):
    """Whether a journal belongs to the same study, and nothing is left to do."""
    there = journal.header()
    if there is None or differences(there, prepared.identity):
        return False
    return find_aside(prepared, journal, lambda line: None) is not None  # the comparison itself says what is left
