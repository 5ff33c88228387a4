"""The folder of a run, whose files are whole or passed over."""

import io
import json
import logging
import os
import re
import tempfile
import zipfile
import zlib

import numpy

from d2l_gan.support.files import expand, replacing

# Of the files. A reader refuses those of a later one.
FORMAT = 1


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

    def prepare(self):
        """Make the folder, and see that it takes files.

        Raises:
            OSError: naming the folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise OSError(
                error.errno,
                f'checkpoints cannot be written to the folder {self.folder} '
                f'({error.strerror}): allow it, or take another folder',
            ) from error

    def save(self, epoch, facts, arrays):
        """Write the file of an epoch, and remove those that are too many.

        Args:
            epoch: its number.
            facts: a dictionary that is fit for JSON.
            arrays: numpy.ndarrays by name.

        Raises:
            OSError: naming the file; then those from before are still there.
        """
        content = io.BytesIO()
        text = json.dumps(facts, default=float)
        numpy.savez(content, facts=text, **arrays)
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
                f'the checkpoint {path} could not be written '
                f'({error.strerror}; {good or "it is the first"}): make room '
                'there, and train again to go on',
            ) from error
        for other in older[self.keep - 1 :]:
            self.path(other).unlink()
        for draft in self.folder.glob('.epoch-*.npz.*'):  # after a kill
            draft.unlink()

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
        file.seek(0)
        try:
            if not foreign:
                with numpy.load(file, allow_pickle=False) as archive:
                    arrays = dict(archive)
                facts = json.loads(str(arrays.pop('facts', '{}')))
                foreign = 'format' not in facts
        except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
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
