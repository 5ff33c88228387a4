"""Files that are either whole or absent, and folders with one owner."""

import contextlib
import fcntl
import functools
import json
import logging
import math
import os
import pathlib
import secrets
import shutil
import socket

__all__ = [
    'cache_folder',
    'drafted',
    'expand',
    'owned',
    'replacing',
    'write_json',
    'write_text',
]

# How the names of files and folders begin that are not whole yet
DRAFT = '.d2l_gan-'
AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB


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
def owned(folder):
    """Own a folder in the block, as only one process at a time can.

    The lock ends with its process, however that ends, and its children do not
    inherit it. It holds between machines, too, if the file system that they
    share has locks; if not, the log says so.

    Args:
        folder: made if need be.

    Raises:
        BlockingIOError: if another process owns it, naming that one.
        OSError: if it cannot be written to, naming it.
    """
    path = pathlib.Path(folder, '.owner')
    with _explained(f'the folder {folder}'):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
        file.truncate(0)
        owner = f'process {os.getpid()} on {socket.gethostname()}'
        file.write(owner.encode())
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path):
    """Open a file that says who owns its folder, and lock it."""
    while True:
        # A link could lead to somebody else's file.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        file = os.fdopen(os.open(path, flags, 0o666), 'r+b', 0)
        try:
            fcntl.lockf(file, AT_ONCE)
        except (BlockingIOError, PermissionError):
            with file:
                owner = file.read(200).decode(errors='replace')
            raise BlockingIOError(
                f'{owner or "another process"} trains into the folder '
                f'{path.parent}: wait until it has ended, or take another one'
            ) from None
        except OSError as error:
            logging.getLogger(__name__).warning(
                'nothing keeps other processes out of the folder %s (%s): '
                'start none there',
                path.parent,
                error.strerror,
            )
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # Who had it has ended meanwhile, and removed it.


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

    Raises:
        OSError: if that cannot be done, naming `path`.
    """
    path = expand(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with drafted(path.parent) as draft:
            yield draft
            os.replace(draft, path)


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


@contextlib.contextmanager
def drafted(folder, is_folder=False):
    """Give the path of a draft in a folder, which is gone after the block.

    What a killed process has left there is swept up by the next one.

    Args:
        folder: where it is to be.
        is_folder: whether it is an empty folder, or an empty file.
    """
    folder = pathlib.Path(folder)
    _sweep(folder.resolve())
    path, lock = _make(folder, is_folder)
    try:
        yield path
    finally:
        os.close(lock)
        _remove(path)


def _make(folder, is_folder):
    while True:
        path = folder / f'{DRAFT}{secrets.token_hex(4)}'
        path.mkdir(0o700) if is_folder else path.touch()
        try:
            lock = _open(path)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(lock, AT_ONCE)
        if path.exists():
            return path, lock
        os.close(lock)  # Another process has swept it up before.


@functools.lru_cache(maxsize=1000)  # Once is enough: it reads all names.
def _sweep(folder):
    for path in folder.glob(f'{DRAFT}*'):
        with contextlib.suppress(OSError):
            lock = _open(path)
            try:
                fcntl.flock(lock, AT_ONCE)  # unless a living process has it
                _remove(path)
            finally:
                os.close(lock)


def _open(path):
    # For `flock`, not `lockf`, whose locks end as soon as anybody in this
    # process closes the file, such as who has written it
    return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(name):
    """Say of errors of the system what could not be written, and a cure."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # somebody else's, with words of its own
            raise
        raise OSError(
            error.errno,
            f'{name} could not be written to ({error.strerror}): make room '
            'there, allow it, or take another folder',
        ) from error
