"""The options of a run as a file, ``study.yaml``, which shows whether it is as the run wrote it."""

import re
from hashlib import sha256
from pathlib import Path

from glomfeat.core.atomic import write_text
from glomfeat.core.errors import InputError

FIRST = "# {} options as a run wrote them, digest {}: delete this line if you take some out\n"
BY_A_RUN = re.compile(r"# (\d+) options as a run wrote them, digest ([0-9a-f]{16}).*\n")


def write_settings(options, path):
    """Write options as YAML below a comment that counts them.

    Parameters
    ----------
    options : dict of str to object
    path : Path
    """
    import yaml

    text = yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    write_text(path, FIRST.format(len(options), _digest(text)) + text, if_other=True)


def read_settings(path):
    """Read options from YAML: from a file of `write_settings`, or one that a user wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    options : dict
    changed : bool
        Whether it has changed since a run wrote it; False if no run did.

    Raises
    ------
    InputError
        The file cannot be read, or does not hold all options that a run wrote. The message begins with what is wrong
        with it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "study.yaml")
    >>> write_settings({"folds": 5, "seed": 12}, path)
    >>> read_settings(path)
    ({'folds': 5, 'seed': 12}, False)
    >>> _ = path.write_text(path.read_text().replace("12", "1"))
    >>> read_settings(path)
    ({'folds': 5, 'seed': 1}, True)
    """
    import yaml

    if Path(path).exists() and not Path(path).is_file():
        raise InputError("is not a file: give the study.yaml of a run")
    try:
        text = Path(path).read_text(encoding="utf-8")
        options = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read: {error}; give the study.yaml that a run wrote") from error
    if options is None:
        raise InputError("is empty: give the study.yaml that a run wrote")
    if not isinstance(options, dict):
        raise InputError("must hold names and values, such as folds: 5")
    written = BY_A_RUN.match(text)
    if written and len(options) < int(written[1]):
        raise InputError(
            f"holds {len(options)} of the {written[1]} options that a run wrote: if it was cut short, run that study "
            "again, which writes it anew; if you took some out, delete its first line"
        )
    return options, bool(written) and _digest(text[written.end() :]) != written[2]


def _digest(text):
    return sha256(text.encode()).hexdigest()[:16]
