"""Everything that the commands of all studies share: options from command line and YAML, messages, exit status."""

import inspect
import os
import shlex
import sys
import traceback
from dataclasses import fields
from pathlib import Path

from glomfeat import __version__
from glomfeat.core.errors import LOOK, InputError, UserError
from glomfeat.core.words import printable
from studies._help import NoNumberError, gathered, names_of_texts, parser_of
from studies._signals import signals_heard, stopped

DONE, INCOMPLETE, BAD_INPUT, FAULT = 0, 1, 2, 3
TEXT = "\0"  # precedes texts of a file that would be taken for options


def parse_options(cls, arguments, program, as_written=False):
    """Read options: defaults, then ``--config FILE``, then the command line.

    Parameters
    ----------
    cls : type
        A frozen dataclass.
    arguments : list of str
    program : str
        Shown by ``--help``.
    as_written : bool
        Whether to refuse a FILE that has changed since a run wrote it, instead of warning.

    Returns
    -------
    object
        An object of `cls`.

    Raises
    ------
    InputError
        An option of several values is given twice, a number was expected, or ``--config`` cannot be read or has
        changed.
    SystemExit
        With status 0 after ``--help``, 2 after a wrong option.
    """
    arguments, config = list(arguments), None
    _refuse_repeated(arguments, cls)
    for k, argument in enumerate(arguments):
        if argument == "--config" or argument.startswith("--config="):
            taken = arguments[k : k + 1 + ("=" not in argument)]
            config = argument.partition("=")[2] or (taken[1] if len(taken) > 1 else None)
            if config is None:
                raise InputError("--config needs a file: the study.yaml of a run")
            del arguments[k : k + len(taken)]
            break
    of_file = "--config FILE reads options from the study.yaml of an earlier run of this command."
    description = f"{inspect.getdoc(cls) or ''}\n\n{of_file}"
    values = {}
    if config:
        written = _as_arguments(cls, config, as_written)
        values = _parsed(cls, written, {}, f"--config {config}: ", prog=f"{program} --config {config}")
        values = {name: _without_mark(value) for name, value in values.items()}
    settings = {"prog": program, "description": description}
    found = _parsed(cls, arguments, values, **settings)
    if own := _own_table(values, found):
        found = _parsed(cls, arguments, values | own, **settings)
    return cls(**found)


def _refuse_repeated(arguments, cls):
    """Refuse an option of several values that is given twice, of which only the last values would count.

    The last of several single values counts, as in other programs, so that commands can be made from others.
    """
    until = arguments.index("--") if "--" in arguments else len(arguments)
    several = {f"--{field.name.rstrip('_').replace('_', '-')}" for field in fields(cls) if "tuple" in str(field.type)}
    seen = set()
    for argument in arguments[:until]:
        option = argument.partition("=")[0].replace("_", "-")
        if option in several and option in seen:
            raise InputError(f"{option} is given twice: give it once, with all of its values behind it")
        seen.add(option)


def _own_table(written, now):
    """Features for other DATA than those of a file, if the only one there is DATA itself, as older versions wrote."""
    if not {"data", "features"} <= written.keys() or now["data"] in (None, written["data"]):
        return {}
    there, new = (Path(str(one["data"]).removeprefix("file:")).expanduser() for one in (written, now))
    return {"features": (f"file:{new}",)} if written["features"] == (f"file:{there}",) else {}


def _parsed(cls, arguments, values, where="", **settings):
    """The options of a command line, by their names; messages on numbers begin with `where`."""
    import tyro

    try:
        return gathered(tyro.cli(parser_of(cls, values), args=arguments, **settings))
    except NoNumberError as error:
        raise InputError(f"{where}{error}") from None


def _without_mark(value):
    if isinstance(value, tuple):
        return tuple(map(_without_mark, value))
    return value.removeprefix(TEXT) if isinstance(value, str) else value


def _as_arguments(cls, path, as_written):
    """The options of a YAML file as command-line arguments, so that both are checked by the same rules."""
    from dataclasses import fields

    from glomfeat.core.plugins import did_you_mean
    from glomfeat.core.settings import read_settings

    try:
        options, changed = read_settings(path)
    except InputError as error:
        raise InputError(f"--config {path} {error}") from error
    if changed and as_written:
        raise InputError(f"{path} was changed since a run wrote it: run that study again, which writes it anew")
    if changed:
        print(f"warning: --config {path} was changed since a run wrote it, and is read as it stands", file=sys.stderr)
    # a field whose name would be a Python keyword ends in an underscore
    known, found, last = [field.name.rstrip("_") for field in fields(cls)], [], []
    several = [field.name for field in fields(cls) if field.default is False and field.type is not bool]
    texts = names_of_texts(cls)
    for name, value in options.items():
        name = str(name).replace("-", "_")
        if name == "quick" and name not in known:
            of = f"{path} is of homemade, baselines, pretrained or padding, not of compare"
            raise InputError(of + ("" if as_written else ": repeat it with the command that wrote it"))
        if name not in known:
            raise InputError(f"--config {path}: no option {name!r}, {did_you_mean(name, known)}; correct the file")
        if value is None:
            continue
        option, given = "--" + name.replace("_", "-"), list(map(str, value if isinstance(value, list) else [value]))
        if name in texts:
            given = [f"{TEXT}{one}" if one.startswith("-") else one for one in given]
        if name in ("data", "slides", "annotations"):
            last += given
        elif isinstance(value, bool):
            no = [option, "False"] if name in several else [option.replace("--", "--no-", 1)]
            found += [option] if value else no
        else:
            found += [option, *given]
    return last + found


class ReadsTables:
    """Options of a command that reads tables; those without a text of their own have that of `studies.compare`."""

    @property
    def asked(self):
        """The user's choices about columns of tables, as `glomfeat.data.tables.columns.Asked`."""
        from glomfeat.comparison.option_checks import name_tables
        from glomfeat.data.tables.columns import Asked

        words = self.name_column or "", self.label_column or "", self.columns, self.drop
        return Asked(*words, groups=self.groups, others=name_tables(self.features))


def at_least(options, **least):
    """Refuse options below the least value that is allowed for each, unless they are None."""
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and value < bound:
            raise InputError(f"--{name} is {value}: at least {bound}")


def open_console():
    """A console as wide as the terminal, or 160 columns for a file, which prints no control characters of names."""
    from rich.console import Console

    class Lines(Console):
        def out(self, *objects, **settings):
            super().out(*(printable(one, lines=True) for one in objects), **settings)

    settings = {} if sys.stdout.isatty() else {"width": 160}
    return Lines(**settings, emoji=False)  # a network called lab:key is not to be lab with a picture of a key


def print_tables(prepared, finished, results, quarantine, console):
    """Print the tables of a run: its arms, and what else was asked for.

    Parameters
    ----------
    prepared : glomfeat.comparison.prepare.Prepared
    finished, results, quarantine
        As `glomfeat.comparison.compare.compare` returns them.
    console : rich.console.Console

    Returns
    -------
    prices, cohorts : pandas.DataFrame or None
        The tables of the leak price and of cohorts, if there are any.
    whole : bool
        Whether all trials are done, no image was set aside, and each metric gave numbers.
    """
    from glomfeat.results.leak_price import print_leak_price, read_leak_price
    from glomfeat.results.learning_curve import lines_on_gaps, read_learning_curve
    from glomfeat.results.show import print_table
    from glomfeat.results.sites import print_sites
    from glomfeat.results.user_metrics import lacks_numbers

    study, prices, cohorts = prepared.study, None, None
    print_table(results, finished.title, console)
    if finished.left_out:
        print_sites(finished.sites, console, study.show_names)
    whole = (results["status"] == "done").all() and not quarantine and not lacks_numbers(results, prepared.metrics)
    if study.leak_price:
        prices = read_leak_price(study.out)
        print_leak_price(prices, console)
        whole &= (prices["status"] == "done").all()
    if study.learning_curve:
        gaps = lines_on_gaps(read_learning_curve(study.out))
        for line in gaps:
            console.out(line)
        whole &= not gaps
    if finished.cohorts:
        from glomfeat.results.external import print_external

        cohorts = finished.external.results
        print_external(cohorts, results, console)
        whole &= (cohorts["status"] == "done").all() and finished.external.aside.empty
    return prices, cohorts, whole


def end_with_report(study, results, console, finished=None):
    """Write the report of a run unless nothing has changed since the last one, and say where report and tables are.

    Parameters
    ----------
    study : Study
    results : pandas.DataFrame
        As `glomfeat.results.tables.results_table` returns it.
    console : rich.console.Console
    finished : glomfeat.results.finished.Finished, optional
        The run itself; its other tables are then not made again.
    """
    from glomfeat.results.write import is_up_to_date

    out, as_page = Path(study.out).expanduser(), (study.figures, study.column, study.style) == (("png",), None, None)
    console.out(f"tables: {study.out}")
    if finished is not None and not finished.environment and as_page and is_up_to_date(out):
        again = f"python -m studies.report {study.out} makes it again"
        console.out(f"report: {out / 'report.html'}, unchanged, because nothing is new; {again}")
    else:
        from glomfeat.report.paper import Paper
        from glomfeat.report.write import write_report

        paper = Paper(study.figures, study.column, study.style)
        given = {"results": results, "finished": finished, "say": console.out, "paper": paper}
        console.out(f"report: {write_report(study.out, study.show_names, **given)}")
    if study.track and finished is not None:
        from glomfeat.comparison.track import track

        track(study, finished, console.out)


def run_main(main, arguments=None):
    """Call a study's main function, and turn errors that the user can fix into one message.

    Any other exception is a fault of the program; its traceback follows a line on how to report it.

    Parameters
    ----------
    main : callable
        Takes a list of arguments and returns an exit status.
    arguments : list of str, optional
        By default those of the command line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with signals_heard():
            status = main(arguments)
            sys.stdout.flush()
    except KeyboardInterrupt as stop:
        status = stopped(stop)
    except BrokenPipeError:  # the reader of the output has read enough
        sys.stderr.close()
        status = DONE
    except Exception as error:
        if _is_the_users(error):
            print(f"error: {printable(_in_words(error), lines=True)}", file=sys.stderr)
            status = BAD_INPUT
        else:
            print(_report_it(main, arguments), file=sys.stderr)
            traceback.print_exception(error)
            status = FAULT
        _give_up_printing()
    sys.exit(status)


def _give_up_printing():
    """Discard output that cannot be printed, which Python would otherwise try to print once more at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(error):
    """Our own message, one on a full disk, or the system's own words."""
    from glomfeat.core.disk import told

    return error if isinstance(error, UserError) else told(error) or f"{error}; {LOOK}"


def _is_the_users(error):
    """Whether the message was written for the user: ours, or the system's about a file."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno is not None)


def _report_it(main, arguments):
    """How to report a fault, with the command that shows it."""
    module = sys.modules["__main__"].__spec__ if main.__module__ == "__main__" else None
    name = module.name.removesuffix(".__main__") if module else main.__module__
    command = shlex.join(["python", "-m", name, *map(str, arguments)])
    return (
        f"This is a fault of glomfeat {__version__}, or of your own part if the last lines name one. Please report "
        f"it to glomfeat's authors, with all that follows and the command:\n{command}\n"
    )
