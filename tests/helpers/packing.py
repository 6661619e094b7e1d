"""Archives of given members."""

import io
import tarfile
import zipfile


def pack(path, members, form=tarfile.DEFAULT_FORMAT):
    """A zip or tar of these bytes, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
    else:
        with tarfile.open(path, "w", format=form) as file:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return path
