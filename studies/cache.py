"""List the contents of the cache and where they came from, verify them, or free some of them."""

from dataclasses import dataclass

from glomfeat.core.errors import InputError
from glomfeat.core.words import number_of
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main

AGES = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True)
class Options:
    """List what the cache holds and where it came from, verify it, and free some of it by age or size.

    Nothing is freed without --free-older or --free-to, and never a file that is not known to be glomfeat's. A study
    computes again what it misses. When something was last used is read from its files' times of access and
    modification. It is exact to a day if the file system notes accesses only that often (relatime).
    """

    cache: str | None = None
    """Folder of the feature cache. Default: your user's cache folder."""
    kind: tuple[str, ...] = ()
    """Show or free only these: pixels, features, reductions, statistics, inner-scores, phantom, other-arrays,
    unfinished, or the name of a feature (everything made from it)."""
    verify: bool = False
    """Compare all arrays with their SHA-256. They are pickles, which can run code: verify only a folder you trust."""
    free_older: str | None = None
    """Free what has not been used for this long, such as 12h, 30d or 8w."""
    free_to: str | None = None
    """Free the least recently used entries until the rest fits into this, such as 10GB."""


def main(arguments):
    """List, verify and free as the command line says. Exit status: 0, or 1 if a stored array is damaged."""
    options = parse_options(Options, arguments, "python -m studies.cache")

    import time
    from contextlib import nullcontext

    from glomfeat.core.cache import cache_folder
    from glomfeat.core.cache_listing import choose, free, in_use, is_whole, list_stored
    from glomfeat.core.memory import format_bytes
    from glomfeat.data.phantom import read_phantom

    unused_s, to_bytes, console = _seconds(options.free_older), _bytes(options.free_to), open_console()
    folder = cache_folder(options.cache)
    if not folder.is_dir():
        if options.cache:
            raise InputError(f"there is no folder {folder}: name the one of your studies with --cache")
        console.out(f"nothing is stored in {folder}")
        return DONE
    frees, gone, status = unused_s is not None or to_bytes is not None, [], DONE
    with in_use(folder, alone=True) if frees else nullcontext():
        found, other = list_stored(folder, {"phantom": read_phantom})
        entries = _only(found, options.kind)
        if frees:
            gone = choose(entries, time.time(), unused_s, to_bytes)
        for entry in gone:
            free(entry)
    if frees:
        size = format_bytes(sum(entry.size_bytes for entry in gone))
        console.out(f"freed {number_of(len(gone), 'entry', 'entries')}, {size}:")
        console.print(_table(gone))
    freed = set(gone)
    entries = [entry for entry in entries if entry not in freed]
    console.out(f"stored in {folder}:")
    console.print(_table(entries))
    if other:
        size = sum(path.lstat().st_size for path in other)
        console.out(
            f"other: {number_of(len(other), 'file')}, {format_bytes(size)}, not known to be glomfeat's and never freed"
        )
    if options.verify:
        summed = [entry for entry in entries if entry.kind not in ("phantom", "unfinished")]
        damaged = [entry for entry in summed if not is_whole(entry)]
        console.out(f"verified {number_of(len(summed), 'entry', 'entries')}: {len(damaged)} damaged")
        for entry in damaged:
            console.out(f"damaged: {entry.kind}: {entry.what}: {entry.path.name}")
        if damaged:
            console.out("a study that needs them finds the damage too and makes them again")
            status = INCOMPLETE
    return status


def _seconds(text):
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit()) or unit not in AGES:
        raise InputError(f"--free-older is {text!r}: write an age such as 12h, 30d or 8w")
    return int(number) * AGES[unit]


def _bytes(text):
    from glomfeat.core.memory import parse_bytes

    try:
        return None if text is None else parse_bytes(text)
    except ValueError:
        raise InputError(f"--free-to is {text!r}: write a size such as 10GB, 512MiB or 8000000000") from None


def _only(entries, kinds):
    """The entries of certain kinds or features; all if none are named."""
    from glomfeat.core.cache_listing import KINDS
    from glomfeat.core.plugins import did_you_mean

    known = {*KINDS, *(entry.name for entry in entries)}
    for kind in kinds:
        if kind not in known:
            raise InputError(f"--kind is {kind!r}: {did_you_mean(kind, known)}")
    return [entry for entry in entries if not kinds or {entry.kind, entry.name} & set(kinds)]


def _table(entries):
    """Entries grouped by what they are: how many, their rows and bytes, and when one was last used."""
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    from glomfeat.core.cache_listing import KINDS
    from glomfeat.core.memory import format_bytes

    table, groups = Table(show_footer=True), {}
    for entry in entries:
        groups.setdefault((KINDS.index(entry.kind), entry.what), []).append(entry)
    total = format_bytes(sum(entry.size_bytes for entry in entries))
    table.add_column("kind", "total", no_wrap=True)
    table.add_column("what it is and came from", overflow="fold")
    for name, footer in (("entries", str(len(entries))), ("rows", ""), ("bytes", total), ("last used", "")):
        table.add_column(name, footer, justify="right", no_wrap=True)
    for (kind, what), group in sorted(groups.items()):
        rows = [entry.rows for entry in group if entry.rows is not None]
        used = datetime.fromtimestamp(max(entry.used for entry in group)).strftime("%Y-%m-%d %H:%M")
        size = format_bytes(sum(entry.size_bytes for entry in group))
        shown = str(sum(rows)) if rows else ""
        table.add_row(*map(Text, (KINDS[kind], what, str(len(group)), shown, size, used)))
    return table


if __name__ == "__main__":
    run_main(main)
