"""Data sets that others published, and the folder where they are kept.

A data set is looked for in the folder of its name in $D2L_GAN_DATA (by
default, in ~/.cache/d2l_gan), and is fetched to there if it is missing.
"""

import gzip
import os
import pathlib
import sys
import tempfile
import zipfile
import zlib

import numpy
import pooch
from d2l import mxnet as d2l
from tqdm import tqdm

from d2l_gan.support.files import cache_folder, expand, replacing

__all__ = ['MNIST', 'NAMES', 'pokemon_folder', 'read_digits', 'read_mnist']

# Where Gluon looks, too, unless $MXNET_GLUON_REPO names another place
REPOSITORY = 'https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/'
# Data sets like MNIST, and the SHA-1 of their packed files
MNIST = {
    'mnist': {
        'train-images': '6c95f4b05d2bf285e1bfb0e7960c31bd3b3f8a7d',
        'train-labels': '2a80914081dc54586dbdf242f9805a6b8d2a15fc',
        't10k-images': 'c3a25af1f52dad7f726cce8cacb138654b760d48',
        't10k-labels': '763e7fa3757d93b0cdec073cef058b2004252c17',
    },
    'fashion_mnist': {
        'train-images': '0cf37b0d40ed5169c6b3aba31069a9770ac9043d',
        'train-labels': '236021d52f1e40852b06a4c3008d8de8aef1e40b',
        't10k-images': '626ed6a7c06dd17c0eec72fa3be1740f146a2863',
        't10k-labels': '17f9ab60e7257a1620f4ad76bbbaf857c3920701',
    },
}
NAMES = ('digits', *MNIST, 'pokemon')


def read_digits():
    """Read the 1797 scans that come with scikit-learn.

    Returns:
        tuple: images, a uint8 `numpy.ndarray` of shape (1797, 8, 8), and
        labels, an int32 one of shape (1797,).
    """
    # Imported here, since it takes a second.
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Their values are the integers from 0 to 16.
    images = numpy.rint(digits.images * (255 / 16)).astype('uint8')
    return images, digits.target.astype('int32')


def read_mnist(name, train):
    """Read a data set like MNIST; its files may be packed or unpacked.

    Args:
        name: a key of `MNIST`.
        train: whether to take its training set, or its test set.

    Returns:
        tuple: images, a uint8 `numpy.ndarray` of shape (n, height, width)
        that cannot be written to, and labels, an int32 one of shape (n,).

    Raises:
        ValueError: if a file is damaged, or they do not belong together.
        OSError: if a file is missing and cannot be fetched.
    """
    part = 'train' if train else 't10k'
    images_path = _mnist_file(name, f'{part}-images', 3)
    labels_path = _mnist_file(name, f'{part}-labels', 1)
    images, labels = _read_idx(images_path, 3), _read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise ValueError(
            f'{images_path} holds {len(images)} images, but {labels_path} '
            f'{len(labels)} labels: remove both, to have them fetched anew, '
            'or take both from one source'
        )
    return images, labels.astype('int32')


def pokemon_folder():
    """Find the folder with the pictures of d2l's Pokémon data set.

    Returns:
        pathlib.Path

    Raises:
        OSError: if it is missing and cannot be fetched.
    """
    root = _root()
    folder = root / 'pokemon'
    if folder.is_dir():
        return folder
    url, sha1 = d2l.DATA_HUB['pokemon']
    root.mkdir(parents=True, exist_ok=True)
    # In there until all of it is unpacked
    with tempfile.TemporaryDirectory(prefix='.pokemon', dir=root) as draft:
        archive = pathlib.Path(draft, 'pokemon.zip')
        _fetch(url, archive, sha1, folder)
        # `extract` keeps to its folder, whatever the names say.
        with zipfile.ZipFile(archive) as packed:
            for member in tqdm(packed.infolist(), 'Unpacking', disable=None):
                packed.extract(member, f'{draft}/unpacked')
        os.replace(f'{draft}/unpacked', folder)
    return folder


def _root():
    root = os.environ.get('D2L_GAN_DATA')
    return expand(root) if root else cache_folder()


def _mnist_file(name, part, ndim):
    """Find a file of a data set like MNIST, or fetch it.

    Args:
        name: a key of `MNIST`.
        part: a key of `MNIST[name]`.
        ndim: the number of axes of what it holds, a part of its name.
    """
    unpacked = _root() / name / f'{part}-idx{ndim}-ubyte'
    packed = unpacked.with_suffix('.gz')
    if not (unpacked.exists() or packed.exists()):
        repository = os.environ.get('MXNET_GLUON_REPO') or REPOSITORY
        folder = f'gluon/dataset/{name.replace("_", "-")}'
        url = f'{repository.rstrip("/")}/{folder}/{packed.name}'
        _fetch(url, packed, MNIST[name][part], packed.parent)
    return unpacked if unpacked.exists() else packed


def _read_idx(path, ndim):
    """Read a file of bytes in the IDX format, into an array of `ndim` axes."""
    magic = bytes((0, 0, 8, ndim))
    try:
        content = path.read_bytes()
        if path.suffix == '.gz':
            content = gzip.decompress(content)
        if content[:4] != magic:
            raise ValueError(
                f'it begins with the bytes "{content[:4].hex()}", where an '
                f'IDX file of its kind has "{magic.hex()}"'
            )
        shape = numpy.frombuffer(content, '>u4', ndim, offset=4)
        pixels = numpy.frombuffer(content, 'uint8', offset=4 + 4 * ndim)
        return pixels.reshape(shape)
    except (EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f'{path} is damaged ({error}): remove it, to have it fetched '
            'anew, or put a whole one there'
        ) from error


def _fetch(url, path, sha1, folder):
    """Fetch a file, whole or not at all.

    (d2l's function keeps what fails its checksum; Gluon's does too, and
    neither shows how far it is.)

    Args:
        url: its address.
        path: where to put it.
        sha1: its SHA-1, in hexadecimal digits.
        folder: where users can put what it holds, if they get it otherwise.

    Raises:
        OSError: if it cannot be fetched, or has another SHA-1.
    """
    # A bar is for who watches; a log has no use for it.
    download = pooch.HTTPDownloader(progressbar=sys.stderr.isatty())
    try:
        # (`pooch.retrieve` leaves a file that nobody else may read.)
        with replacing(path) as draft:
            download(url, draft, None)
            found = pooch.file_hash(draft, 'sha1')
            if found != sha1:
                raise OSError(f'its SHA-1 is {found}, but must be {sha1}')
    except OSError as error:
        raise OSError(
            f'{url} could not be fetched ({error}): try again, or get it '
            f'otherwise and put it, unpacked, into {folder}'
            + (' ($D2L_GAN_DATA)' if os.environ.get('D2L_GAN_DATA') else '')
        ) from error
