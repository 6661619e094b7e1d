"""What a bundle notes about the parts of its model, so that they can be found again."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.bundle.columns import Columns
from glomfeat.bundle.format import BundleError
from glomfeat.core.plugins import Own
from glomfeat.models.nets import find_architecture, without_tuning
from glomfeat.models.nets.grid import KINDS, grid


def about_features(prepared, arm, fitted):
    """What a bundle with a feature, a reducer and a head notes, as plain data."""
    feature, reducer, width = fitted.model.feature, fitted.model.reducer, fitted.width
    if isinstance(feature, Columns):
        about = {"name": feature.name, "width": width, "weights": None, "table": feature.about()}
        about["standardised"] = _standardised(fitted.model)
    else:
        asked = prepared.called.get(arm.feature)
        about = {"asked": asked, "name": feature.name, "width": width, "weights": weights_about(feature, asked)}
    if feature.is_deep:
        about |= {"layer": feature.layer, "precision": feature.precision, "batch": feature.batch}
    return {
        "kind": "features",
        "feature": about,
        "reducer": {"name": arm.reducer, "stored": reducer.stored, "columns": fitted.reduced.shape[1]},
        "head": {"name": arm.head},
    }


def _standardised(model):
    """What scales the columns of a table, in words."""
    by = "the reducer" if model.reducer.stored != "as is" else ""
    if not by and isinstance(model.estimator, Pipeline) and isinstance(model.estimator[0], StandardScaler):
        by = "the head"
    return f"by {by}, with mean and deviation of the training rows" if by else "no, the head reads columns as they are"


def about_net(prepared, arm, fitted):
    """What a bundle with a network notes, as plain data."""
    net, architecture = fitted.found.estimator, find_architecture(arm.network)
    about = {
        "name": arm.network,
        "side": fitted.preprocess.size,
        "layers": architecture.layers if architecture else None,
        "batch": net.batch_size,
        "precision": net.module__precision,
        "started_from": net.weights_,
        "parameters": net.n_parameters_,
        "tuned": _tuned(prepared, arm, fitted.found.params),
    }
    if net.module_.has_backbone and net.module_.net.plain:
        about["timm"] = net.module_.net.plain
    return {"kind": "net", "net": about}


def _tuned(prepared, arm, params):
    """What was chosen for each setting that was tuned; None for the network's own."""
    asked = prepared.study.tuned
    if not asked or "epochs" not in params:  # what is fitted to convergence has nothing to tune
        return {}
    candidates, lengths = grid(arm.network, without_tuning(prepared.net_settings(arm.net)), asked)
    several = {"epochs"} if len(lengths) > 1 else set()
    return {name: params.get(name) for name in KINDS if name in several.union(*candidates)}


def weights_about(feature, asked):
    """Facts that find a backbone's parameters again; None if it has none, or if the user's own code brings them."""
    if not feature.is_deep:
        return None

    from glomfeat.features.deep.cut import backbone

    found, plain = feature.weights_found, feature.builder.plain
    if feature.build is not backbone and plain is None:
        refuse_code(asked)
        return None
    about = {"model": feature.model, "name": found.name, "sha256": found.sha256, "mean": found.mean, "std": found.std}
    about |= {"configuration": found.configuration} if found.configuration else {}
    return about | ({"timm": plain} if plain else {})


def refuse_code(name):
    """Refuse a part that a bundle could not name."""
    if isinstance(name, Own):
        stem = name.partition(".")[0]
        raise BundleError(
            f"{name} is an object of a Python session, and a bundle holds no code: write a function {stem} that "
            f"returns it into a module such as mylab.py, and name it mylab:{stem}"
        )
