"""Minibatches, in an order that every epoch draws anew."""

import functools
import itertools
import math

import numpy
from mxnet import np

from d2l_gan.data.lazy import LazyImages, ahead
from d2l_gan.parallel import own_share
from d2l_gan.support.checks import to_numpy

__all__ = [
    'in_epochs',
    'label_array',
    'load_array',
    'loader',
    'normalize',
    'pieces',
    'some_of',
]

# To hand an array of any size over to MXNet takes as long as several operators
# on small ones, and to cut a piece out of it is next to nothing. So many
# minibatches are handed over at once.
NUM_TOGETHER = 64
# So many minibatches are decoded before somebody asks for them.
NUM_AHEAD = 8
# An epoch that stands for many minibatches has no more than these.
MAX_IN_EPOCH = 100


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
    arrays = [to_numpy(array) for array in data_arrays]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            f'the arrays have lengths {[len(array) for array in arrays]}, but '
            'there must be one array or more, of one length'
        )

    def give(order):
        for indices in pieces(order, batch_size * NUM_TOGETHER):
            wholes = (np.array(a[indices], dtype=a.dtype) for a in arrays)
            for minibatch in zip(*(pieces(w, batch_size) for w in wholes)):
                yield list(minibatch) if len(arrays) > 1 else minibatch[0]

    return _minibatches(range(len(arrays[0])), batch_size, is_train, give)


def loader(
    images, labels, batch_size, shuffle=True, kvstore=None, mirror=False
):
    """Give images as minibatches.

    Args:
        images: pixels, as `read_images` gives them.
        labels: one for each image, or `None`.
        batch_size, shuffle, kvstore, mirror: as in `load_images`.

    Returns:
        as `load_images` does.

    Raises:
        ValueError: if `batch_size` is below 1, or there is not a label for
            each image.
    """
    if labels is not None:
        labels = label_array(labels, len(images))

    def read(cut):
        indices, mirrored = cut.T
        X = normalize(images[indices])
        X[mirrored > 0] = X[mirrored > 0, ..., ::-1]
        return indices, X

    def give(order):
        mirrored = numpy.zeros_like(order)
        if mirror:
            mirrored = numpy.random.randint(2, size=len(order))
        cuts = pieces(numpy.stack((order, mirrored), 1), batch_size)
        lazy = isinstance(images, LazyImages)
        # Not into the next epoch: its order is drawn when it begins, or else
        # it would depend on who else draws random numbers in between.
        for i, X in ahead(read, cuts, NUM_AHEAD) if lazy else map(read, cuts):
            X = np.array(X)
            yield X if labels is None else (X, np.array(labels[i], 'int32'))

    share = own_share(range(len(images)), kvstore)
    return _minibatches(share, batch_size, shuffle, give)


def normalize(images):
    """Scale pixels to the range of the book.

    Args:
        images: a uint8 numpy.ndarray of any shape.

    Returns:
        numpy.ndarray: float32 of the same shape, from -1 for 0 to 1 for 255.
    """
    return images.astype('float32') / 127.5 - 1


def in_epochs(data_iter, num_minibatches):
    """Make epochs of a number of minibatches, of large data short ones.

    Args:
        data_iter: gives minibatches, every epoch anew, in an order that is
            drawn; with a length.
        num_minibatches: how many an entire training takes, at least 1.

    Returns:
        tuple: an iterable that gives the same minibatches, but no more than
        100 an epoch; and the number of epochs, which together have
        `num_minibatches`, rounded up to whole epochs.
    """
    num_epochs = math.ceil(num_minibatches / min(len(data_iter), MAX_IN_EPOCH))
    length = math.ceil(num_minibatches / num_epochs)
    first = functools.partial(itertools.islice, data_iter, length)
    return _Epochs(length, first), num_epochs


def some_of(images, labels=None, n=10_000, seed=0):
    """Take as many images as a judge needs, if there are more.

    Args:
        images, labels: as `read_images` gives them.
        n: how many, at least 1.
        seed: of the draw.

    Returns:
        tuple: images, an array, and labels or `None`, in their order.
    """
    rows = numpy.random.RandomState(seed).permutation(len(images))[:n]
    rows = numpy.sort(rows)
    return images[rows], None if labels is None else labels[rows]


def pieces(array, size):
    """Cut an array along its first axis; the last piece may be shorter."""
    for start in range(0, len(array), size):
        yield array[start : start + size]


def label_array(labels, num_images):
    """See that there is a label for each image.

    Args:
        labels: an array of MXNet or NumPy, or anything like one.
        num_images: how many images there are.

    Returns:
        numpy.ndarray: the labels, shape (num_images,).

    Raises:
        ValueError: if they have another shape.
    """
    labels = to_numpy(labels)
    if labels.shape != (num_images,):
        raise ValueError(
            f'the labels have shape {labels.shape}, but there are '
            f'{num_images} images: one label each is needed'
        )
    return labels


def _minibatches(indices, batch_size, shuffle, give):
    """Make epochs of minibatches.

    Args:
        indices: those of the examples, a sequence of integers.
        batch_size: the number of examples in a minibatch.
        shuffle: whether to draw an order whenever an epoch begins.
        give: called with the indices in order, yields the minibatches.

    Raises:
        ValueError: if `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size is {batch_size}, but must be at least 1')
    indices = numpy.array(indices)

    def begin():
        order = numpy.random.permutation(indices) if shuffle else indices
        yield from give(order)

    return _Epochs(math.ceil(len(indices) / batch_size), begin)


class _Epochs:
    """An iterable that begins anew every time, and has a length."""

    def __init__(self, length, begin):
        self.length, self.begin = length, begin

    def __len__(self):
        return self.length

    def __iter__(self):
        return self.begin()
