"""Files that are either whole or absent."""

import contextlib
import json
import math
import os
import pathlib

__all__ = ['cache_folder', 'expand', 'replacing', 'write_json', 'write_text']


def cache_folder():
    """Where to keep what can be made or fetched again, a `pathlib.Path`."""
    return expand(os.environ.get('XDG_CACHE_HOME') or '~/.cache') / 'd2l_gan'


def expand(path):
    """Make a `pathlib.Path`, with the user's home in the place of a `~`.

    `~name` stays, as the name of a file: it may be one.
    """
    path = pathlib.Path(path)
    return path.expanduser() if path.parts[:1] == ('~',) else path


@contextlib.contextmanager
def replacing(path):
    """Give a path to write to, which takes the place of `path` at the end.

    The file is written beside its destination and moved over it in one step,
    so that a reader, or a run after a kill, meets the old file or the new
    one. If the block raises, the old one stays and nothing else is left.

    Args:
        path: the destination, as in `expand`; its folder is made if need be.

    Yields:
        The `pathlib.Path` to write to.
    """
    path = expand(path)
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


def write_json(path, value):
    """Write a value as JSON, with null for numbers that are not finite."""
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_finite, value))
    bad = isinstance(value, float) and not math.isfinite(value)
    return None if bad else value
