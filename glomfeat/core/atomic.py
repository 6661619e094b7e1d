"""Files that are written whole or not at all."""

import filecmp
import uuid
from contextlib import contextmanager


@contextmanager
def written_whole(path, if_other=False):
    """A file to write beside another, whose place it takes when all is written; after an error it is gone.

    Parameters
    ----------
    path : Path
        Its folder is made.
    if_other : bool
        Whether a file that holds the same already is left as it is, with its time.

    Yields
    ------
    Path

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "note.txt")
    >>> with written_whole(path) as part:
    ...     _ = part.write_text("all of it")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('all of it', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        if not (if_other and path.exists() and filecmp.cmp(part, path, shallow=False)):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
