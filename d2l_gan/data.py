"""Examples to learn from: where they come from, and minibatches of them.

A data set is looked for in the folder of its name in $D2L_GAN_DATA (by
default, in ~/.cache/d2l_gan), and is fetched to there if it is missing.
"""

import concurrent.futures
import difflib
import gzip
import hashlib
import math
import os
import pathlib
import struct
import tempfile
import zipfile
import zlib

import numpy
import PIL.Image
import PIL.ImageOps
import requests
from d2l import mxnet as d2l
from mxnet import gluon, np
from mxnet.gluon.utils import _get_repo_file_url
from tqdm import tqdm

from d2l_gan.checks import to_numpy
from d2l_gan.files import replacing
from d2l_gan.parallel import own_share

__all__ = ['load_array', 'load_images', 'loader', 'normalize', 'read_images']

# Data sets in the IDX format, and the classes that know their files
IDX = {
    'mnist': gluon.data.vision.MNIST,
    'fashion_mnist': gluon.data.vision.FashionMNIST,
}
NAMES = ('digits', *IDX, 'pokemon')
SUFFIXES = ('.png', '.jpg', '.jpeg')
# The size of images that have none in common
SIZE = 64


def load_array(data_arrays, batch_size, is_train=True):
    """Load arrays as minibatches, as d2l's function of that name, but faster.

    Args:
        data_arrays: a tuple of arrays of equal length, of NumPy or MXNet.
        batch_size: the number of examples in a minibatch, at least 1; the
            last one holds what is left.
        is_train: whether the order is drawn anew every epoch, by
            `numpy.random`; on the same seed it is that of d2l.

    Returns:
        an iterable, every time anew, with a length. It gives lists with a
        minibatch of each array, or minibatches alone if there is one array:
        `mxnet.np.ndarray` of the arrays' own types.

    Raises:
        ValueError: if there are no arrays, or their lengths differ, or
            `batch_size` is below 1.
    """
    _check_batch_size(batch_size)
    arrays = [to_numpy(array) for array in data_arrays]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            f'the arrays have lengths {[len(array) for array in arrays]}, but '
            'there must be one array or more, of one length'
        )
    return _Minibatches(arrays, batch_size, is_train)


class _Minibatches:
    # To hand an array of any size over to MXNet takes as long as several
    # operators on small ones, and to cut a piece out of it is next to nothing.
    # So many minibatches are handed over at once.
    together = 64

    def __init__(self, arrays, batch_size, shuffle):
        self.arrays, self.batch_size = arrays, batch_size
        self.shuffle = shuffle

    def __len__(self):
        return math.ceil(len(self.arrays[0]) / self.batch_size)

    def __iter__(self):
        order = numpy.arange(len(self.arrays[0]))
        if self.shuffle:
            numpy.random.shuffle(order)
        size = self.batch_size
        for start in range(0, len(order), size * self.together):
            indices = order[start : start + size * self.together]
            wholes = [
                np.array(array[indices], dtype=array.dtype)
                for array in self.arrays
            ]
            for i in range(0, len(indices), size):
                pieces = [whole[i : i + size] for whole in wholes]
                yield pieces if len(pieces) > 1 else pieces[0]


def load_images(
    batch_size,
    name=None,
    size=None,
    shuffle=True,
    train=True,
    *,
    labels=None,
    kvstore=None,
):
    """Load images as minibatches.

    Args:
        batch_size: the number of images in a minibatch, at least 1; the last
            one holds what is left.
        shuffle: whether the order is drawn anew every epoch, by
            `numpy.random`.
        name, size, train: as in `read_images`.
        labels: one for each image, in the place of those of the data set.
        kvstore: connects the workers of a distributed run, each of which gets
            the minibatches of its own share; `None` for all images.

    Returns:
        gluon.data.DataLoader: gives tuples (X, y), or X alone where there are
        no labels. X is a float32 `mxnet.np.ndarray` in [-1, 1] of shape
        (batch_size, channels, size, size), y an int32 one of shape
        (batch_size,).

    Raises:
        ValueError: if `batch_size` is below 1, or there is not a label for
            each image.
        ValueError, OSError: as in `read_images`.
    """
    images, own = read_images(name, size, train)
    labels = own if labels is None else labels
    return loader(images, labels, batch_size, shuffle, kvstore)


def loader(images, labels, batch_size, shuffle=True, kvstore=None):
    """Give images as minibatches.

    Args:
        images: pixels, as `read_images` gives them.
        labels: one for each image, or `None`.
        batch_size, shuffle, kvstore: as in `load_images`.

    Returns:
        gluon.data.DataLoader: as `load_images` does.

    Raises:
        ValueError: if `batch_size` is below 1, or there is not a label for
            each image.
    """
    _check_batch_size(batch_size)
    labels = None if labels is None else to_numpy(labels)
    if labels is not None and labels.shape != (len(images),):
        raise ValueError(
            f'the labels have shape {labels.shape}, but there are '
            f'{len(images)} images: one label each is needed'
        )

    def batchify(indices):
        X = np.array(normalize(images[indices]))
        if labels is None:
            return X
        return X, np.array(labels[indices], dtype='int32')

    # It deals in indices, so that NumPy takes a minibatch at once, which is
    # three times as fast as to stack its images.
    return gluon.data.DataLoader(
        own_share(range(len(images)), kvstore),
        batch_size,
        shuffle,
        batchify_fn=batchify,
    )


def _check_batch_size(batch_size):
    if batch_size < 1:
        raise ValueError(f'batch_size is {batch_size}, but must be at least 1')


def normalize(images):
    """Scale pixels to the range of the book.

    Args:
        images: a uint8 numpy.ndarray of any shape.

    Returns:
        numpy.ndarray: float32 of the same shape, from -1 for 0 to 1 for 255.
    """
    return images.astype('float32') / 127.5 - 1


def read_images(name=None, size=None, train=True):
    """Read all images of a data set, or of a folder.

    Args:
        name: 'digits' (1797 scans that come with scikit-learn), 'mnist',
            'fashion_mnist', 'pokemon', or the path to a folder of PNG and
            JPEG files, which are sorted by their paths. If `None`, what the
            environment variable DATA says, or else 'digits'.
        size: height and width, at least 1; images are stretched to it. If
            `None`, that of the data set (8 for 'digits', 28 for the two
            others), and 64 for 'pokemon' and folders.
        train: whether to take the training set of 'mnist' and
            'fashion_mnist', or their test set; the others have none.

    Returns:
        tuple: the images, a uint8 `numpy.ndarray` of shape (n, channels,
        size, size) with 1 channel if all are grey, else 3; and the labels,
        an int32 one of shape (n,), or `None` for 'pokemon' and folders. What
        was transparent is white.

    Raises:
        ValueError: if `size` is below 1, there is no test set, a folder holds
            no images, or a file is damaged.
        FileNotFoundError: if there is no such data set or folder.
        OSError: if a data set cannot be fetched.
    """
    name = os.fspath(name or os.environ.get('DATA') or 'digits')
    if size is not None and size < 1:
        raise ValueError(f'size is {size}, but must be at least 1')
    if not train and name not in IDX:
        raise ValueError(
            f'{name!r} has no test set, only {" and ".join(IDX)} have: leave '
            '`train` at True'
        )
    if name == 'digits':
        images, labels = _read_digits()
    elif name in IDX:
        images, labels = _read_mnist(name, train)
    else:
        folder = _pokemon() if name == 'pokemon' else _folder(name)
        return _read_folder(folder, size or SIZE), None
    return _resize(images[:, None], size), labels.astype('int32')


def _root():
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    root = os.environ.get('D2L_GAN_DATA') or f'{cache}/d2l_gan'
    return pathlib.Path(root).expanduser()


def _read_digits():
    # Imported here, since it takes a second.
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Their values are the integers from 0 to 16.
    images = numpy.rint(digits.images * (255 / 16)).astype('uint8')
    return images, digits.target


def _read_mnist(name, train):
    # Gluon's class would fetch its files as soon as it is made.
    listed = type('Listed', (IDX[name],), {'_get_data': lambda self: None})
    files = listed(root=os.curdir, train=train)
    pair = (
        (files._train_data, files._train_label)
        if train
        else (files._test_data, files._test_label)
    )
    paths = []
    for filename, sha1 in pair:
        packed = _root() / name / filename
        unpacked = packed.with_suffix('')
        if not packed.exists() and not unpacked.exists():
            url = _get_repo_file_url(
                f'gluon/dataset/{files._namespace}', filename
            )
            _download(url, packed, sha1, packed.parent)
        paths.append(unpacked if unpacked.exists() else packed)
    images, labels = _read_idx(paths[0], 3), _read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise ValueError(
            f'{paths[0]} holds {len(images)} images, but {paths[1]} '
            f'{len(labels)} labels: remove both, to have them fetched anew, '
            'or take both from one source'
        )
    return images, labels


def _read_idx(path, ndim):
    """Read a file of bytes in the IDX format, into an array of `ndim` axes."""
    cure = 'remove it, to have it fetched anew, or put a whole one there'
    try:
        content = path.read_bytes()
        if path.suffix == '.gz':
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f'{path} is damaged ({error}): {cure}') from error
    magic = bytes((0, 0, 8, ndim))
    if content[:4] != magic:
        raise ValueError(
            f'{path} begins with the bytes "{content[:4].hex()}", where an '
            f'IDX file of its kind has "{magic.hex()}": {cure}'
        )
    needed = start = 4 + 4 * ndim
    if len(content) >= start:
        shape = struct.unpack_from(f'>{ndim}I', content, 4)
        needed += math.prod(shape)
    if len(content) != needed:
        raise ValueError(
            f'{path} holds {len(content)} bytes, but needs {needed} by its '
            f'header: {cure}'
        )
    return numpy.frombuffer(content, 'uint8', offset=start).reshape(shape)


def _resize(images, size):
    """Scale grey images, shape (n, 1, height, width), by Pillow."""
    if size is None or images.shape[2:] == (size, size):
        # Not the bytes of the file, which cannot be written to
        return images.copy()
    resized = numpy.empty((len(images), 1, size, size), 'uint8')
    for image, small in zip(
        tqdm(images[:, 0], 'Scaling', unit=' images', disable=None),
        resized[:, 0],
    ):
        small[:] = _scale(PIL.Image.fromarray(image), size)
    return resized


def _scale(image, size):
    # Pillow's filter takes in all pixels when it shrinks, and clips the
    # result to 0..255.
    return image.resize((size, size), PIL.Image.Resampling.BICUBIC)


def _folder(name):
    folder = pathlib.Path(name).expanduser()
    if not folder.is_dir():
        near = difflib.get_close_matches(name.lower(), NAMES, 1)
        raise FileNotFoundError(
            f'{name!r} is neither a data set ({", ".join(NAMES)}) nor a '
            'folder: '
            + (f'did you mean {near[0]!r}?' if near else 'check its path')
        )
    return folder


def _pokemon():
    folder = _root() / 'pokemon'
    if not folder.is_dir():
        url, sha1 = d2l.DATA_HUB['pokemon']
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In there until all of it is unpacked
        with tempfile.TemporaryDirectory(
            prefix='.pokemon', dir=folder.parent
        ) as draft:
            archive = pathlib.Path(draft) / 'pokemon.zip'
            _download(url, archive, sha1, folder)
            # `extract` keeps to its folder, whatever the names say.
            with zipfile.ZipFile(archive) as packed:
                for member in tqdm(
                    packed.infolist(), 'Unpacking', disable=None
                ):
                    packed.extract(member, f'{draft}/unpacked')
            os.replace(f'{draft}/unpacked', folder)
    return folder


def _read_folder(folder, size):
    paths = sorted(
        path
        for path in folder.rglob('*')
        if path.suffix.lower() in SUFFIXES
        # Some systems leave hidden files that are called as images are.
        and '/.' not in f'/{path.relative_to(folder).as_posix()}'
    )
    if not paths:
        raise ValueError(
            f'the folder {folder} holds no images: there must be files '
            f'{", ".join(SUFFIXES)} in it, or in the folders below'
        )
    images = numpy.empty((len(paths), 3, size, size), 'uint8')

    def read(i):
        image = _read_picture(paths[i], size)
        images[i] = numpy.asarray(image.convert('RGB')).transpose(2, 0, 1)
        return image.mode == 'L'

    # Pillow decodes without holding Python's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        grey = list(
            tqdm(
                pool.map(read, range(len(paths))),
                f'Reading {folder.name}',
                total=len(paths),
                unit=' images',
                disable=None,
            )
        )
    return images[:, :1].copy() if all(grey) else images


def _read_picture(path, size):
    """Read one file as a Pillow image of mode L or RGB."""
    try:
        with PIL.Image.open(path) as image:
            return _scale(_flatten(PIL.ImageOps.exif_transpose(image)), size)
    # Pillow's decoders raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as an image ({error}): remove it, or put '
            'a whole one there'
        ) from error


def _flatten(image):
    if image.mode.startswith('I'):
        # Grey in 16 bits, which `convert` would clip at 255
        image = PIL.Image.fromarray(
            (numpy.asarray(image) >> 8).astype('uint8')
        )
    mode = 'L' if image.mode in ('1', 'L', 'LA') else 'RGB'
    if image.has_transparency_data:
        white = PIL.Image.new('RGBA', image.size, 'white')
        white.alpha_composite(image.convert('RGBA'))
        image = white
    return image.convert(mode)


def _download(url, path, sha1, folder):
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
    digest = hashlib.sha1()
    try:
        with (
            replacing(path) as draft,
            requests.get(url, stream=True, timeout=30) as answer,
        ):
            answer.raise_for_status()
            with (
                draft.open('wb') as file,
                tqdm(
                    desc=f'Downloading {path.name}',
                    total=int(answer.headers.get('Content-Length', 0)) or None,
                    unit='B',
                    unit_scale=True,
                    disable=None,
                ) as bar,
            ):
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if digest.hexdigest() != sha1:
                raise OSError(
                    f'its SHA-1 is {digest.hexdigest()}, but must be {sha1}'
                )
    except OSError as error:
        raise OSError(
            f'{url} could not be fetched ({error}): try again, or get it '
            f'otherwise and put it, unpacked, into {folder}'
        ) from error
