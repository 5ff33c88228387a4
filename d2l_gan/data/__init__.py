"""Examples to learn from: where they come from, and minibatches of them.

A data set is looked for in the folder of its name in $D2L_GAN_DATA (by
default, in ~/.cache/d2l_gan), and is fetched to there if it is missing.
"""

import collections
import concurrent.futures
import contextlib
import difflib
import functools
import gzip
import hashlib
import math
import os
import pathlib
import re
import struct
import tempfile
import zipfile
import zlib

import joblib
import numpy
import PIL.Image
import PIL.ImageOps
import requests
from d2l import mxnet as d2l
from mxnet import gluon, np
from mxnet.gluon.utils import _get_repo_file_url
from tqdm import tqdm

from d2l_gan.parallel import own_share
from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import replacing

__all__ = [
    'LazyImages',
    'load_array',
    'load_images',
    'loader',
    'normalize',
    'read_images',
]

# Data sets in the IDX format, and the classes that know their files
IDX = {
    'mnist': gluon.data.vision.MNIST,
    'fashion_mnist': gluon.data.vision.FashionMNIST,
}
NAMES = ('digits', *IDX, 'pokemon')
SUFFIXES = ('.png', '.jpg', '.jpeg')
# The size of images that have none in common
SIZE = 64
# So many minibatches are decoded before somebody asks for them.
NUM_AHEAD = 8


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
    in_memory=None,
):
    """Load images as minibatches.

    They are cut from all images, which are read before; or, if these do not
    fit into memory, they are decoded by threads, 8 minibatches ahead. On the
    same seed both ways give the same.

    Args:
        batch_size: the number of images in a minibatch, at least 1; the last
            one holds what is left.
        shuffle: whether the order is drawn anew every epoch, by
            `numpy.random`.
        name, size, train: as in `read_images`.
        labels: one for each image, in the place of those of the data set.
        kvstore: connects the workers of a distributed run, each of which gets
            the minibatches of its own share; `None` for all images.
        in_memory: as in `read_images`.

    Returns:
        an iterable, every time anew, with a length. It gives tuples (X, y), or
        X alone where there are no labels. X is a float32 `mxnet.np.ndarray` in
        [-1, 1] of shape (batch_size, channels, size, size), y an int32 one of
        shape (batch_size,).

    Raises:
        ValueError: if `batch_size` is below 1, or there is not a label for
            each image; in the loop, if a file that is decoded there is
            damaged.
        ValueError, OSError: as in `read_images`.
    """
    images, own = read_images(name, size, train, in_memory)
    labels = own if labels is None else labels
    return loader(images, labels, batch_size, shuffle, kvstore)


def loader(images, labels, batch_size, shuffle=True, kvstore=None):
    """Give images as minibatches.

    Args:
        images: pixels, as `read_images` gives them.
        labels: one for each image, or `None`.
        batch_size, shuffle, kvstore: as in `load_images`.

    Returns:
        as `load_images` does.

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
    return _ImageMinibatches(
        images,
        labels,
        # It deals in indices, so that NumPy takes a minibatch at once, which
        # is three times as fast as to stack its images.
        gluon.data.DataLoader(
            own_share(range(len(images)), kvstore),
            batch_size,
            shuffle,
            batchify_fn=list,
        ),
    )


class _ImageMinibatches:
    def __init__(self, images, labels, batches):
        self.images, self.labels, self.batches = images, labels, batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        # Not into the next epoch: its order is drawn when it begins, or else
        # it would depend on who else draws random numbers in between.
        ahead = functools.partial(_ahead, num_ahead=NUM_AHEAD)
        cuts = ahead if isinstance(self.images, LazyImages) else map
        for indices, X in cuts(self._cut, self.batches):
            X = np.array(X)
            if self.labels is None:
                yield X
            else:
                yield X, np.array(self.labels[indices], dtype='int32')

    def _cut(self, indices):
        return indices, normalize(self.images[indices])


def _ahead(function, inputs, num_ahead):
    """Map a function in threads, `num_ahead` calls ahead of their use."""
    # Pillow decodes without holding Python's lock, but for half of the time
    # only: threads that have no core to themselves are in the way.
    pool = concurrent.futures.ThreadPoolExecutor(joblib.cpu_count())
    try:
        calls = collections.deque()
        for x in inputs:
            calls.append(pool.submit(function, x))
            if len(calls) > num_ahead:
                yield calls.popleft().result()
        while calls:
            yield calls.popleft().result()
    finally:
        # If the loop is left early, no other call begins, and the threads end.
        pool.shutdown(wait=False, cancel_futures=True)


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


class LazyImages:
    """Images that are decoded or scaled when somebody asks for them.

    `numpy.asarray` reads all, in threads.

    Args:
        read: gives the pixels of image i, uint8 of shape (channels, size,
            size); called by many threads.
        shape: of all, (n, channels, size, size).
        task: what that is called beside its progress bar.
    """

    def __init__(self, read, shape, task):
        self.read, self.shape, self.task = read, shape, task

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, indices):
        """Read the images of a list of indices, a `numpy.ndarray`."""
        return self._fill(len(indices), map(self.read, indices))

    def __array__(self, dtype=None):
        # So many that no thread waits for the one that copies; but all at once
        # would take memory, two kilobytes for each.
        pixels = _ahead(self.read, range(len(self)), 64)
        bar = tqdm(pixels, self.task, len(self), unit=' images', disable=None)
        return self._fill(len(self), bar).astype(dtype or 'uint8', copy=False)

    def _fill(self, n, pixels):
        images = numpy.empty((n, *self.shape[1:]), 'uint8')
        for i, image in enumerate(pixels):
            images[i] = image
        return images


def read_images(name=None, size=None, train=True, in_memory=True):
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
        in_memory: whether to decode and scale all images now. If `None`, that
            is done if they take half of the memory that is available, or
            less.

    Returns:
        tuple: the images, a uint8 `numpy.ndarray` of shape (n, channels,
        size, size) with 1 channel if all are grey, else 3; and the labels,
        an int32 one of shape (n,), or `None` for 'pokemon' and folders. What
        was transparent is white. If they are not decoded now, the images are
        `LazyImages`.

    Raises:
        ValueError: if `size` is below 1, there is no test set, a folder holds
            no images, or a file is damaged (with `LazyImages`, as late as it
            is read).
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
        images, labels = _folder_images(folder, size or SIZE), None
    if labels is not None:
        images, labels = _resized(images, size), labels.astype('int32')
    if in_memory is None:
        in_memory = math.prod(images.shape) <= _memory() / 2
    return numpy.asarray(images) if in_memory else images, labels


def _memory(root='/'):
    """Count the bytes that this process may take.

    They are those that are free, or those that a control group, such as a
    container's, is limited to, if these are fewer. (What is free of the limit
    is not known: files that are only cached count as used.)
    """

    def text(path):
        with contextlib.suppress(OSError):
            return pathlib.Path(f'{root}/{path}').read_text()
        return ''

    free = re.findall(r'MemAvailable: *(\d+) kB', text('proc/meminfo'))
    amounts = [1024 * int(number) for number in free]
    for controllers, group in re.findall(
        r'^\d+:(.*?):/(.*)$', text('proc/self/cgroup'), re.MULTILINE
    ):
        # Version 2 has one tree, version 1 a tree for each controller.
        pattern = {
            '': 'sys/fs/cgroup/{}/memory.max',
            'memory': 'sys/fs/cgroup/memory/{}/memory.limit_in_bytes',
        }.get(controllers)
        path = pathlib.PurePath(group)
        for folder in (path, *path.parents) if pattern else ():
            limit = text(pattern.format(folder)).strip()
            if limit.isdigit():  # rather than 'max', or nothing
                amounts.append(int(limit))
    return min(amounts, default=math.inf)


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


def _resized(images, size):
    """Scale grey images, shape (n, height, width), by Pillow."""
    if size is None or images.shape[1:] == (size, size):
        # Not the bytes of the file, which cannot be written to
        return images[:, None].copy()

    def read(i):
        return numpy.asarray(_scale(PIL.Image.fromarray(images[i]), size))

    return LazyImages(read, (len(images), 1, size, size), 'Scaling')


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


def _folder_images(folder, size):
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
    grey = all(_is_grey_file(path) for path in paths)

    def read(i):
        pixels = numpy.asarray(
            _read_picture(paths[i], size).convert('L' if grey else 'RGB')
        )
        return pixels if grey else pixels.transpose(2, 0, 1)

    shape = len(paths), 1 if grey else 3, size, size
    return LazyImages(read, shape, f'Reading {folder.name}')


@contextlib.contextmanager
def _opened(path):
    """Open a picture; errors in the block name the file."""
    try:
        with PIL.Image.open(path) as image:
            yield image
    # Pillow's decoders raise errors of many kinds.
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as an image ({error}): remove it, or put '
            'a whole one there'
        ) from error


def _is_grey_file(path):
    """Look into its header, which takes a tenth of the time to decode it."""
    with _opened(path) as image:
        return _is_grey(image)


def _read_picture(path, size):
    """Read one file as a Pillow image of mode L or RGB."""
    with _opened(path) as image:
        return _scale(_flatten(PIL.ImageOps.exif_transpose(image)), size)


def _is_grey(image):
    # The last one is grey in more than 8 bits.
    return image.mode in ('1', 'L', 'LA') or image.mode.startswith('I')


def _flatten(image):
    mode = 'L' if _is_grey(image) else 'RGB'
    if image.mode.startswith('I'):
        # 16 bits, which `convert` would clip at 255
        image = PIL.Image.fromarray(
            (numpy.asarray(image) >> 8).astype('uint8')
        )
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
