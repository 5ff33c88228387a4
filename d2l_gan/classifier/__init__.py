"""A classifier of real images: the eyes with which fakes are judged.

It is small, learns in seconds, and is kept in a file, so that the same data
and settings need no second training.
"""

import hashlib
import io
import math
import os
import pathlib
import warnings

import mxnet as mx
import numpy
from mxnet import autograd, gluon, init, np
from mxnet.gluon import nn

from d2l_gan.data import normalize
from d2l_gan.support.checks import check_numpy_mode, to_numpy
from d2l_gan.support.files import replacing

__all__ = [
    'Classifier',
    'check_images',
    'classify',
    'cluster',
    'train_classifier',
]

# A part of the cache's file names: to be raised with every change that makes
# the same data and settings give another classifier or another file.
FORMAT = 2

NUM_FEATURES = 64
HELD_OUT = 0.15
BATCH_SIZE = 64
LEARNING_RATE = 0.002
# Small data sets are read often enough for this many steps.
MIN_STEPS = 500

# Where there are no labels, so many clusters are the classes. They are sought
# among at most so many images, scaled down to so many pixels.
NUM_CLUSTERS = 10
MAX_CLUSTERED = 10_000
CLUSTERED_SIZE = 8

# By how much rounding may take an image out of [-1, 1]
ROUNDING = 1e-4


class Classifier(nn.HybridBlock):
    """A convolutional network of the size of LeNet.

    Two layers of convolution and pooling, after LeCun, Bottou, Bengio and
    Haffner, "Gradient-based learning applied to document recognition" (1998),
    and two dense ones.

    Args:
        num_classes: the number of logits.
    """

    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.HybridSequential()
        with self.name_scope():
            for channels in (16, 32):
                self.body.add(
                    nn.Conv2D(channels, 5, padding=2, activation='relu'),
                    nn.MaxPool2D(2),
                )
            # Bounded, so that distances do not grow with the images' size
            self.body.add(nn.Dense(NUM_FEATURES, activation='tanh'))
            self.head = nn.Dense(num_classes)

    def hybrid_forward(self, F, X):
        """Map images to features and logits.

        Args:
            F: where the operators are; Gluon's own.
            X: images in [-1, 1], shape (n, channels, height, width).

        Returns:
            tuple: features, shape (n, 64), and logits, (n, num_classes).
        """
        features = self.body(X)
        return features, self.head(features)


def train_classifier(images, labels, *, cache=None, seed=0, num_epochs=None):
    """Train a classifier on labelled images, or take it from the cache.

    It learns from 85 % of the images, drawn at random; the others tell how
    good it is. It lives on the CPU, and the states of the random numbers of
    MXNet and NumPy stay as they are.

    Args:
        images: as in `check_images`.
        labels: shape (n,), the integers from 0 to k - 1 that name k classes;
            each has to be there.
        cache: the folder for what was trained, made if need be; `d2l_gan` in
            $XDG_CACHE_HOME or ~/.cache if `None`. A file in it that was
            damaged is not used.
        seed: of the weights, the minibatches and the choice of the 85 %.
        num_epochs: passes over the data, at least 1; if `None`, 3, or for
            small data as many more as 500 steps take.

    Returns:
        tuple: the `Classifier`, and its accuracy on the images that it did
        not learn from, a float from 0 to 1.

    Raises:
        ValueError: if images, labels or `num_epochs` are not as above, or
            MXNet is not in its NumPy mode.
    """
    check_numpy_mode()
    images = check_images(images)
    labels = _labels(labels, len(images))
    num_held_out = max(1, round(HELD_OUT * len(images)))
    if num_epochs is None:
        steps_an_epoch = max(1, (len(images) - num_held_out) // BATCH_SIZE)
        num_epochs = max(3, math.ceil(MIN_STEPS / steps_an_epoch))
    if num_epochs < 1:
        raise ValueError(f'num_epochs is {num_epochs}, but must be at least 1')

    key = hashlib.sha256(
        f'{FORMAT} {seed} {num_epochs} {images.dtype} {images.shape}'.encode()
    )
    key.update(numpy.ascontiguousarray(images).data)
    key.update(labels.data)
    path = _cache_folder(cache) / f'classifier-{key.hexdigest()}.weights'

    net = Classifier(int(labels.max()) + 1)
    net.hybridize()
    # No random numbers: the weights follow below. The first call finds out
    # their shapes.
    net.initialize(init.Zero(), ctx=mx.cpu())
    net(_minibatch(images[:1]))
    parameters = list(net.collect_params().values())

    kept = _load(path)
    if kept is not None:
        accuracy, *weights = kept
        for parameter, weight in zip(parameters, weights):
            parameter.set_data(np.array(weight, dtype='float32', ctx=mx.cpu()))
        return net, float(accuracy)

    rng = numpy.random.RandomState(seed)
    for parameter in parameters:
        # After He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015)
        shape = parameter.shape
        if len(shape) > 1:
            scale = math.sqrt(2 / math.prod(shape[1:]))
            weight = rng.normal(0, scale, shape)
            parameter.set_data(np.array(weight, dtype='float32', ctx=mx.cpu()))
    order = rng.permutation(len(images))
    held_out, learned = order[:num_held_out], order[num_held_out:]
    _fit(net, images, labels, learned, num_epochs, rng)
    _, logits = classify(net, images[held_out])
    accuracy = float((logits.argmax(axis=1) == labels[held_out]).mean())
    _save(path, [accuracy] + [p.data().asnumpy() for p in parameters])
    return net, accuracy


def check_images(images, shape=None):
    """See that images are as the classifier takes them.

    Args:
        images: shape (n, channels, height, width), n at least 2, 1 or 3
            channels, height and width from 8 to 64; floats in [-1, 1], or
            uint8 with 0 and 255 in the places of -1 and 1.
        shape: what one image must have, any if `None`.

    Returns:
        numpy.ndarray: the images.

    Raises:
        ValueError: for other images.
    """
    images = to_numpy(images)
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(
            f'the images have shape {images.shape}; it has to be (n, '
            'channels, height, width), with n at least 2'
        )
    _, channels, height, width = images.shape
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(
            f'the images have shape {images.shape[1:]} each, but the real '
            f'ones have {shape}'
        )
    if (
        channels not in (1, 3)
        or not 8 <= min(height, width) <= max(height, width) <= 64
    ):
        raise ValueError(
            f'the images have shape {images.shape[1:]} each; they must have '
            '1 or 3 channels, and be from 8 to 64 pixels high and wide'
        )
    if images.dtype == 'uint8':
        return images
    if images.dtype.kind != 'f':
        raise ValueError(
            f'the images are of type {images.dtype}; they have to be floats '
            'in [-1, 1], or uint8'
        )
    low, high = images.min(), images.max()
    if numpy.isnan(low):
        raise ValueError('the images hold NaN')
    if low < -1 - ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'the images go from {low:.6g} to {high:.6g}, but have to be in '
            '[-1, 1]'
        )
    return images


def classify(net, images):
    """Let a classifier read images.

    Args:
        net: a `Classifier`.
        images: as `check_images` gives them.

    Returns:
        tuple: features, shape (n, 64), and logits, (n, num_classes), both
        numpy.ndarray of float32.
    """
    features, logits = [], []
    for start in range(0, len(images), 256):
        outputs = net(_minibatch(images[start : start + 256]))
        features.append(outputs[0].asnumpy())
        logits.append(outputs[1].asnumpy())
    return numpy.concatenate(features), numpy.concatenate(logits)


def cluster(images, seed=0):
    """Sort images into ten clusters, where there are no labels.

    k-means on the pixels, scaled down to 8 by 8. It tells images apart by
    where they are bright, or of which colour, and not by what they show.

    Args:
        images: as in `check_images`.
        seed: of the clusters that it begins with.

    Returns:
        numpy.ndarray: shape (n,), the number of each image's cluster. The
        largest one has the number 0.

    Raises:
        ValueError: if there are not ten images that differ, or the images
            are not as above.
    """
    images = check_images(images)
    # Imported here, since it takes a second.
    from sklearn.cluster import KMeans

    rng = numpy.random.RandomState(seed)
    pixels = images
    for axis in (2, 3):
        # Means over blocks, whose sizes differ by 1 pixel at most
        size = images.shape[axis]
        edges = numpy.arange(CLUSTERED_SIZE + 1) * size // CLUSTERED_SIZE
        pixels = numpy.add.reduceat(
            pixels, edges[:-1], axis, dtype='float64'
        ) / numpy.diff(edges).reshape((-1, 1) if axis == 2 else -1)
    pixels = pixels.reshape(len(images), -1)
    some = pixels[rng.permutation(len(pixels))[:MAX_CLUSTERED]]
    num_different = len(numpy.unique(some, axis=0))
    if num_different < NUM_CLUSTERS:
        raise ValueError(
            f'without labels {NUM_CLUSTERS} clusters of images are the '
            f'classes, but only {num_different} of the {len(images)} images '
            'differ: give labels, or more images'
        )
    # Not MXNet's or NumPy's own random numbers
    k_means = KMeans(NUM_CLUSTERS, n_init=4, random_state=rng)
    clusters = k_means.fit(some).predict(pixels)
    found, clusters, counts = numpy.unique(
        clusters, return_inverse=True, return_counts=True
    )
    ranks = numpy.empty(len(found), 'int64')
    ranks[numpy.argsort(-counts, kind='stable')] = range(len(found))
    return ranks[clusters]


def _labels(labels, num_images):
    labels = to_numpy(labels)
    if labels.shape != (num_images,):
        raise ValueError(
            f'the labels have shape {labels.shape}, but there are '
            f'{num_images} images: one label each is needed'
        )
    found = numpy.unique(labels)
    if len(found) < 2 or not numpy.array_equal(found, range(len(found))):
        raise ValueError(
            'the labels have to be the integers from 0 to k - 1, each of them '
            f'at least once, for k >= 2 classes; found {found[:20]}'
        )
    return labels.astype('int64')


def _minibatch(images):
    """Give images, floats or uint8, as float32 in [-1, 1] to MXNet."""
    if images.dtype == 'uint8':
        images = normalize(images)
    return np.array(images, dtype='float32', ctx=mx.cpu())


def _fit(net, images, labels, rows, num_epochs, rng):
    """Train on `images[rows]`, with a learning rate that falls to 0."""
    loss = gluon.loss.SoftmaxCELoss()
    trainer = gluon.Trainer(net.collect_params(), 'adam')
    # Only whole minibatches, or a single one where there are too few images
    starts = range(0, max(len(rows) - BATCH_SIZE, 0) + 1, BATCH_SIZE)
    step, num_steps = 0, num_epochs * len(starts)
    for _ in range(num_epochs):
        rows = rng.permutation(rows)
        for start in starts:
            batch = rows[start : start + BATCH_SIZE]
            X = _minibatch(images[batch])
            y = np.array(labels[batch], dtype='int32', ctx=mx.cpu())
            trainer.set_learning_rate(LEARNING_RATE * (1 - step / num_steps))
            with autograd.record():
                _, logits = net(X)
                L = loss(logits, y)
            L.backward()
            trainer.step(len(batch))
            # Prepare the next minibatch during this one's backward pass, but
            # not all of them, which could fill the memory.
            L.wait_to_read()
            step += 1


def _cache_folder(cache):
    if cache is not None:
        return pathlib.Path(cache)
    root = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(root) / 'd2l_gan'


def _save(path, arrays):
    """Write arrays, after the SHA-256 of what the file holds."""
    body = io.BytesIO()
    numpy.savez(body, *arrays)
    body = body.getvalue()
    try:
        with replacing(path) as draft:
            draft.write_bytes(hashlib.sha256(body).digest() + body)
    except OSError as error:
        warnings.warn(
            f'the classifier is not kept for the next time: {error}',
            stacklevel=3,
        )


def _load(path):
    """Read what `_save` wrote; `None` where that is not there or damaged."""
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
