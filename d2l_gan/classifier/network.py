"""The network, and how it learns."""

import math

import mxnet as mx
import numpy
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.classifier.cache import cache_path, load, save
from d2l_gan.classifier.images import as_floats, check_images, check_labels
from d2l_gan.data.minibatches import pieces
from d2l_gan.support.checks import check_numpy_mode
from d2l_gan.support.threads import one_thread

__all__ = ['Classifier', 'classify', 'fit', 'train_classifier']

NUM_FEATURES = 64
HELD_OUT = 0.15
BATCH_SIZE = 64
LEARNING_RATE = 0.002
# Small data sets are read often enough for this many steps.
MIN_STEPS = 500


class Classifier(nn.HybridBlock):
    """A convolutional network of the size of LeNet.

    Two layers of convolution and pooling, after LeCun, Bottou, Bengio and
    Haffner, "Gradient-based learning applied to document recognition" (1998),
    and two dense ones.

    Args:
        num_classes: the number of logits.
        body: a block that maps images to features; if `None`, all those
            layers but the last.
    """

    def __init__(self, num_classes, body=None):
        super().__init__()
        self.body = body or nn.HybridSequential()
        with self.name_scope():
            for channels in () if body else (16, 32):
                conv = nn.Conv2D(channels, 5, padding=2, activation='relu')
                self.body.add(conv, nn.MaxPool2D(2))
            if body is None:
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
    labels = check_labels(labels, len(images))
    num_held_out = max(1, round(HELD_OUT * len(images)))
    if num_epochs is None:
        steps_an_epoch = max(1, (len(images) - num_held_out) // BATCH_SIZE)
        num_epochs = max(3, math.ceil(MIN_STEPS / steps_an_epoch))
    if num_epochs < 1:
        raise ValueError(f'num_epochs is {num_epochs}, but must be at least 1')
    path = cache_path(cache, images, labels, seed, num_epochs)

    net = Classifier(int(labels.max()) + 1)
    parameters = _initialize(net, images)
    kept = load(path)
    if kept is not None:
        accuracy, *weights = kept
        for parameter, weight in zip(parameters, weights):
            parameter.set_data(np.array(weight, 'float32', ctx=mx.cpu()))
        return net, float(accuracy)

    rng = numpy.random.RandomState(seed)
    _draw_weights(parameters, rng)
    order = rng.permutation(len(images))
    held_out, learned = order[:num_held_out], order[num_held_out:]
    _fit(net, images, labels, learned, num_epochs, rng)
    _, logits = classify(net, images[held_out])
    accuracy = float((logits.argmax(axis=1) == labels[held_out]).mean())
    save(path, [accuracy] + [p.data().asnumpy() for p in parameters])
    return net, accuracy


@one_thread()
def fit(net, images, labels, *, seed=0, num_steps=MIN_STEPS, lr=LEARNING_RATE):
    """Train a new classifier on all of some images, and keep it nowhere.

    It learns with one thread, which is faster for small networks. It lives
    on the CPU, and the states of the random numbers of MXNet and NumPy stay
    as they are.

    Args:
        net: a `Classifier` that has no weights yet.
        images: as `check_images` gives them.
        labels: shape (n,), integers.
        seed: of the weights and the minibatches.
        num_steps: the minibatches that it learns from; a few more where that
            is no whole number of epochs.
        lr: the learning rate at first; it falls to 0.
    """
    rng, rows = numpy.random.RandomState(seed), numpy.arange(len(images))
    _draw_weights(_initialize(net, images), rng)
    num_epochs = math.ceil(num_steps / max(1, len(rows) // BATCH_SIZE))
    _fit(net, images, labels, rows, num_epochs, rng, lr)


def classify(net, images):
    """Let a classifier read images.

    Args:
        net: a `Classifier`.
        images: as `check_images` gives them.

    Returns:
        tuple: features, shape (n, 64), and logits, (n, num_classes), both
        numpy.ndarray of float32.
    """
    minibatches = map(_minibatch, pieces(images, 256))
    outputs = [[y.asnumpy() for y in net(X)] for X in minibatches]
    return tuple(map(numpy.concatenate, zip(*outputs)))


def _minibatch(images):
    """Give images, floats or uint8, as float32 in [-1, 1] to MXNet.

    They are made smaller, to 32 pixels at most: windows of 5 pixels see
    nothing but colours in large ones, and few images could not teach the
    many weights of the dense layer.
    """
    X = np.array(as_floats(images), dtype='float32', ctx=mx.cpu())
    k = math.ceil(max(X.shape[2:]) / 32)
    if k == 1:
        return X
    return npx.pooling(X, kernel=(k, k), stride=(k, k), pool_type='avg')


def _initialize(net, images):
    """Give a network parameters, without random numbers, and list them."""
    net.hybridize()
    net.initialize(init.Zero(), ctx=mx.cpu())
    # The first call finds out the shapes.
    net(_minibatch(images[:1]))
    return list(net.collect_params().values())


def _draw_weights(parameters, rng):
    """Draw first weights; parameters with one axis stay as they are.

    After He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015)
    """
    for p in parameters:
        if len(p.shape) > 1:
            std = math.sqrt(2 / math.prod(p.shape[1:]))
            weight = rng.normal(0, std, p.shape)
            p.set_data(np.array(weight, 'float32', ctx=mx.cpu()))


def _fit(net, images, labels, rows, num_epochs, rng, lr=LEARNING_RATE):
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
            trainer.set_learning_rate(lr * (1 - step / num_steps))
            with autograd.record():
                _, logits = net(X)
                L = loss(logits, y)
            L.backward()
            trainer.step(len(batch))
            # Prepare the next minibatch during this one's backward pass, but
            # not all of them, which could fill the memory.
            L.wait_to_read()
            step += 1
