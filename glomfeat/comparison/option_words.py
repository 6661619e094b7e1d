"""Explanations of a study's options: what each is for, and which values it takes."""

import ast
import inspect
import itertools
import re
import textwrap
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from glomfeat.core.arms import StudyError
from glomfeat.core.plugins import did_you_mean

WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text", NoneType: "None"}


def explain(study: type, *names: str) -> str:
    """Say what options are for, which values they take, and what their defaults are.

    Parameters
    ----------
    study : type
        A dataclass of options, with a text under each.
    *names : str
        Names of options; all if none is given.

    Returns
    -------
    str
        Lines of at most 120 characters.

    Raises
    ------
    StudyError
        There is no such option.
    """
    hints, texts = get_type_hints(study), option_texts(study)
    if unknown := [name for name in names if name not in texts]:
        raise StudyError(f"there is no option {unknown[0]!r}: {did_you_mean(unknown[0], texts)}")
    said = []
    for name in names or texts:
        said.append(f"{name} : {allowed(hints[name]).partition(' ')[2]}; default {getattr(study, name)!r}")
        said.append(textwrap.fill(texts[name], 120, initial_indent=" " * 4, subsequent_indent=" " * 4))
    return "\n".join(said)


def option_texts(study: type) -> dict[str, str]:
    """The text under each option as one line, with names of other options as Python writes them."""
    tree = ast.parse(inspect.getsource(study)).body[0]
    hints, found = get_type_hints(study, include_extras=True), {}
    for field, text in itertools.pairwise(ast.iter_child_nodes(tree)):
        if not isinstance(field, ast.AnnAssign):
            continue
        name = ast.unparse(field.target)
        helps = [one.help for one in getattr(hints[name], "__metadata__", ()) if getattr(one, "help", None)]
        words = helps[0] if helps else ast.literal_eval(text.value) if isinstance(text, ast.Expr) else ""
        found[name] = re.sub(r"--([a-z]\w*(?:-\w+)*)", lambda m: m[1].replace("-", "_"), " ".join(words.split()))
    return found


def allowed(hint: Any) -> str:
    """The values that a type takes, such as ``is a whole number`` or ``are white, zero``.

    Examples
    --------
    >>> allowed(int | None), allowed(tuple[str, ...])
    ('is a whole number or None', 'is a list of text')
    """
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return f"are {', '.join(map(str, parts))}"
    if kind is tuple:
        return f"is a list of {allowed(parts[0]).partition(' ')[2]}"
    choices = [part for part in parts if get_origin(part) is Literal]
    if choices and NoneType in parts:
        return f"{allowed(choices[0])} or None"
    alone = [part for part in parts if get_origin(part) is not tuple]
    others = [part for part in parts if get_origin(part) is tuple and get_args(part)[0] not in alone]
    if others:
        return f"{allowed(alone[0])}, or {allowed(others[0]).partition(' ')[2]}"
    if len(alone) < len(parts):
        rest = "".join(f" or {WORDS[part]}" for part in alone[1:])
        return f"{allowed(alone[0])}{rest}, or a list of them"
    return f"is {' or '.join(WORDS.get(part, str(part)) for part in parts or [hint])}"
