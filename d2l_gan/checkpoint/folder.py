"""The folder of a run, whose files are whole or passed over."""

import io
import json
import logging
import os
import re
import zipfile

import numpy

from d2l_gan.support.checks import check_types
from d2l_gan.support.files import expand, replacing

# Of the files. A reader refuses those of a later one.
FORMAT = 2
# What `facts` must have, and of which types
FACTS = {
    'format': int,
    'epoch': int,
    'seed': (int, type(None)),
    'history': dict,
    'settings': dict,
    'states': list,
}


class Checkpoint:
    """A folder where `train` keeps how far it has come.

    The files are called `epoch-000001.npz` and so on. Each is an archive of
    NumPy that holds numbers and text only: nothing in it is ever executed.

    Args:
        folder: made if need be.
        every: so many epochs lie between two files, at least 1. The last
            epoch, and the last whole one before an interruption, are kept
            besides.
        keep: so many files stay, the newest, at least 1.

    Raises:
        ValueError: if `every` or `keep` is below 1.
    """

    def __init__(self, folder, every=1, keep=2):
        for name, value in (('every', every), ('keep', keep)):
            if value < 1:
                raise ValueError(
                    f'{name} is {value}, but has to be at least 1'
                )
        self.folder = expand(folder)
        self.every, self.keep = every, keep

    def path(self, epoch):
        """The file of an epoch."""
        return self.folder / f'epoch-{epoch:06d}.npz'

    def epochs(self):
        """The epochs that there are files of, the newest first."""
        names = (
            re.fullmatch(r'epoch-(\d{6,})\.npz', path.name)
            for path in self.folder.glob('epoch-*.npz')
        )
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def save(self, epoch, facts, arrays):
        """Write the file of an epoch, and remove those that are too many.

        Args:
            epoch: its number.
            facts: a dictionary that is fit for JSON.
            arrays: numpy.ndarrays by name.

        Raises:
            OSError: naming the file; then those from before are still there.
        """
        # Numbers take a tenth of the room in arrays, and there will be many.
        rows = {
            f'history/{name}': numpy.array(values, 'float64')
            for name, values in facts['history'].items()
            if name != 'warnings'
        }
        warnings = {'warnings': facts['history']['warnings']}
        text = json.dumps({**facts, 'history': warnings}, default=float)
        content = io.BytesIO()
        numpy.savez(content, facts=text, **rows, **arrays)
        # A damaged file of a later epoch is no reason to remove good ones.
        path, older = self.path(epoch), [e for e in self.epochs() if e < epoch]
        try:
            with replacing(path) as draft, draft.open('wb') as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            good = older and f'the one before, {self.path(older[0])}, is whole'
            raise OSError(
                error.errno,
                f'the checkpoint {error.strerror}; then train again to go on '
                f'({good or "it is the first"})',
            ) from error
        for other in older[self.keep - 1 :]:
            self.path(other).unlink()

    def load(self):
        """Read the newest file that is whole.

        Files that are damaged are passed over, and the log says so.

        Returns:
            tuple: the path, and what `save` has put into the file, `facts`
            and `arrays`. `None` if there are no files.

        Raises:
            ValueError: if there is no whole one among them, or the newest
                whole one is something else, or of a later format.
        """
        paths = [self.path(epoch) for epoch in self.epochs()]
        for path in paths:
            try:
                return path, *_read(path)
            except _DamagedError as error:
                logging.getLogger(__name__).warning(
                    'the checkpoint %s is damaged (%s): training goes on from '
                    'the one before',
                    path,
                    error,
                )
        if paths:
            raise ValueError(
                f'all checkpoints in {self.folder} are damaged: put a whole '
                'one there, or remove them, to begin anew'
            )
        return None


class _DamagedError(Exception):
    pass


def _read(path):
    """Give the facts and the arrays of a file."""
    with path.open('rb') as file:
        foreign = not b'PK\3\4'.startswith(file.read(4))
        try:
            if not foreign:
                arrays = _read_arrays(file)
                facts = json.loads(str(arrays.pop('facts', '{}')))
                foreign = 'format' not in facts
            if not foreign and facts['format'] <= FORMAT:
                _check(path, facts, arrays)
        except MemoryError:
            raise
        except Exception as error:  # What is damaged may fail in any way
            raise _DamagedError(error) from error
    if foreign:
        raise ValueError(
            f'{path} is no checkpoint of a training: remove it, or take '
            'another folder'
        )
    if facts['format'] > FORMAT:
        raise ValueError(
            f'the checkpoint {path} has format {facts["format"]}, but this '
            f'version of d2l_gan reads those up to {FORMAT}: install the one '
            'that wrote it, or a later one'
        )
    return facts, arrays


def _read_arrays(file):
    """Read arrays as NumPy does, but take no more memory than the file has."""
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        claimed = sum(member.file_size for member in members)
        if claimed > os.fstat(file.fileno()).st_size or any(
            member.compress_type for member in members
        ):
            raise ValueError(f'it claims to hold {claimed} bytes')
        for info in members:
            with archive.open(info) as member:
                version = numpy.lib.format.read_magic(member)
                if version != (1, 0):
                    raise ValueError(f'{info.filename} has version {version}')
                header = numpy.lib.format.read_array_header_1_0(member)
                shape, columns_first, dtype = header
                # This refuses Python objects, and the next line a shape that
                # claims more than there is.
                values = numpy.frombuffer(bytearray(member.read()), dtype)
            arrays[info.filename[: -len('.npy')]] = values.reshape(
                shape, order='F' if columns_first else 'C'
            )
    return arrays


def _check(path, facts, arrays):
    """See that facts are as `save` wrote them; move the history there."""
    check_types(facts, FACTS)
    epoch, seed, history = facts['epoch'], facts['seed'], facts['history']
    if not 0 <= (seed or 0) < 2**32 or path.stem != f'epoch-{epoch:06d}':
        raise ValueError(f'its epoch is {epoch}, and its seed {seed}')
    for name in [name for name in arrays if name.startswith('history/')]:
        history[name[len('history/') :]] = arrays.pop(name).tolist()
    for name, values in history.items():
        kind = str if name == 'warnings' else (int, float)
        if not all(isinstance(value, kind) for value in values) or (
            name != 'warnings' and len(values) != epoch
        ):
            raise ValueError(f'its history of {name} has other values')
