"""Files that are written whole or not at all."""

import uuid
from contextlib import contextmanager


@contextmanager
def written_whole(path):
    """A file to write beside another, whose place it takes when all is written; after an error it is gone.

    Parameters
    ----------
    path : Path
        Its folder is made.

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
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
