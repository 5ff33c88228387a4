"""Files that are either whole or absent."""

import contextlib
import os
import pathlib

__all__ = ['cache_folder', 'replacing', 'write_text']


def cache_folder():
    """Where to keep what can be made or fetched again, a `pathlib.Path`."""
    caches = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return pathlib.Path(caches, 'd2l_gan').expanduser()


@contextlib.contextmanager
def replacing(path):
    """Give a path to write to, which takes the place of `path` at the end.

    The file is written beside its destination and moved over it in one step,
    so that a reader, or a run after a kill, meets the old file or the new
    one. If the block raises, the old one stays and nothing else is left.

    Args:
        path: the destination; its folder is made if need be.

    Yields:
        The `pathlib.Path` to write to.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path, text):
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(text, encoding='utf-8')
