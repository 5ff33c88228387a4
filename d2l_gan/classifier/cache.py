"""The files that keep trained classifiers, so that none is trained twice."""

import hashlib
import io
import warnings

import numpy

from d2l_gan.support.files import cache_folder, expand, replacing

__all__ = ['cache_path', 'load', 'save']

# To be raised with every change that makes the same data and settings give
# another classifier or another file
FORMAT = 3


def cache_path(folder, images, labels, seed, num_epochs):
    """Name the file of a classifier: one for each data and settings.

    Args:
        folder: where it is; `d2l_gan` in $XDG_CACHE_HOME or ~/.cache if
            `None`.
        images, labels: `numpy.ndarray`s that it learns from.
        seed, num_epochs: as in `train_classifier`.

    Returns:
        pathlib.Path
    """
    settings = f'{FORMAT} {seed} {num_epochs} {images.dtype} {images.shape}'
    key = hashlib.sha256(settings.encode())
    key.update(numpy.ascontiguousarray(images).data)
    key.update(labels.data)
    name = f'classifier-{key.hexdigest()}.weights'
    return (expand(folder) if folder else cache_folder()) / name


def save(path, arrays):
    """Write a list of arrays, after the SHA-256 of what follows.

    If that cannot be done, nothing is lost but time: it warns.
    """
    body = io.BytesIO()
    numpy.savez(body, *arrays)
    body = body.getvalue()
    try:
        with replacing(path) as draft:
            draft.write_bytes(hashlib.sha256(body).digest() + body)
    except OSError as error:
        message = f'the classifier is not kept for the next time: {error}'
        warnings.warn(message, stacklevel=3)


def load(path):
    """Read what `save` wrote; `None` where that is not there or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != digest:
        return None
    # Arrays only: NumPy does not unpickle unless told to.
    with numpy.load(io.BytesIO(body)) as arrays:
        return [arrays[name] for name in arrays.files]
