"""Minibatches of arrays and of images, in memory or decoded ahead."""

import threading
from types import SimpleNamespace

import numpy
import PIL.Image
import pytest
from d2l import mxnet as d2l
from mxnet import np, npx
from samples import RED, WHITE, picture, put_mnist

from d2l_gan.data import (
    LazyImages,
    folder,
    in_epochs,
    load_array,
    load_images,
    read_images,
    some_of,
)
from d2l_gan.data.lazy import ahead
from d2l_gan.train import set_seed

npx.set_np()

# Data sets come from an empty folder, and none can be fetched.
pytestmark = pytest.mark.usefixtures('root')


# ----- arrays


@pytest.mark.parametrize('is_train', [True, False])
@pytest.mark.parametrize('dtypes', [['float32'], ['float64', 'int32']])
@pytest.mark.parametrize('n, batch_size', [(20, 8), (200, 3), (4, 9)])
def test_arrays_come_as_from_d2l(n, batch_size, dtypes, is_train):
    arrays = [numpy.arange(n * 6).reshape(n, 3, 2).astype(t) for t in dtypes]
    ours = load_array(arrays, batch_size, is_train)
    oracle = d2l.load_array(arrays, batch_size, is_train)
    assert len(ours) == len(oracle)
    minibatches = []
    for data_iter in (ours, oracle):
        numpy.random.seed(4)
        minibatches.append([x for _ in range(2) for x in data_iter])
    assert len(minibatches[0]) == len(minibatches[1]) == 2 * len(ours)
    for a, b in zip(*minibatches):
        assert isinstance(a, list) == isinstance(b, list) == (len(dtypes) > 1)
        for x, y in zip(a, b) if len(dtypes) > 1 else [(a, b)]:
            assert x.dtype == y.dtype
            numpy.testing.assert_array_equal(x.asnumpy(), y.asnumpy())


def test_arrays_of_mxnet_are_loaded_too():
    X = np.arange(6).reshape(3, 2)
    (minibatch,) = load_array((X,), 3, is_train=False)
    numpy.testing.assert_array_equal(minibatch.asnumpy(), X.asnumpy())


@pytest.mark.parametrize(
    'arrays, batch_size, message',
    [
        ((numpy.ones(3), numpy.ones(4)), 2, r'\[3, 4\]'),
        ((), 2, 'one array or more'),
        ((numpy.ones(3),), 0, 'batch_size is 0'),
    ],
)
def test_arrays_that_cannot_be_cut(arrays, batch_size, message):
    with pytest.raises(ValueError, match=message):
        load_array(arrays, batch_size)


# ----- images


def test_pixels_become_numbers_from_minus_one_to_one(root):
    put_mnist(root)
    ((X, y),) = load_images(5, 'mnist', shuffle=False)
    assert isinstance(X, np.ndarray) and isinstance(y, np.ndarray)
    assert (X.shape, X.dtype) == ((3, 1, 2, 2), 'float32')
    assert (y.tolist(), y.dtype) == ([7, 0, 9], 'int32')
    # 51 / 127.5 - 1 = -0.6 and 204 / 127.5 - 1 = 0.6
    expected = numpy.array([[[-1, 1], [-0.6, 0.6]]], 'float32')
    numpy.testing.assert_allclose(X[0].asnumpy(), expected, atol=1e-7)
    assert (X.min(), X.max()) == (-1, 1)  # exactly


def test_without_labels_there_is_x_alone(tmp_path):
    picture(tmp_path / '1.png', RED)
    loader = load_images(2, tmp_path, 4)
    (X,) = loader
    assert X.shape == (1, 3, 4, 4)
    assert (X[0, 0] == 1).all() and (X[0, 1:] == -1).all()


def test_labels_of_ones_own(tmp_path):
    picture(tmp_path / '1.png', RED)
    picture(tmp_path / '2.png', WHITE)
    loader = load_images(2, tmp_path, 4, shuffle=False, labels=[5, 3])
    ((X, y),) = loader
    assert X.shape == (2, 3, 4, 4) and y.asnumpy().tolist() == [5, 3]
    with pytest.raises(ValueError, match=r'shape \(1,\).* 2 images'):
        load_images(2, tmp_path, 4, labels=[5])


def test_the_last_minibatch_is_short():
    loader = load_images(256, shuffle=False)
    # 1797 = 7 * 256 + 5
    assert [len(X) for X, _ in loader] == [256] * 7 + [5]
    assert len(loader) == 8
    y = numpy.concatenate([y.asnumpy() for _, y in loader])
    numpy.testing.assert_array_equal(y, read_images()[1])


def test_shuffling_is_seeded_and_keeps_pairs_together():
    images, labels = read_images()
    loader = load_images(1000)
    numpy.random.seed(5)
    epochs = [list(loader), list(loader)]
    numpy.random.seed(5)
    order = numpy.arange(1797)
    numpy.random.shuffle(order)
    for (X, y), rows in zip(epochs[0], numpy.split(order, [1000])):
        numpy.testing.assert_array_equal(y.asnumpy(), labels[rows])
        numpy.testing.assert_allclose(
            X.asnumpy(), images[rows] / 127.5 - 1, atol=1e-6
        )
    # Another order in the next epoch, of the same images
    first, second = (
        numpy.concatenate([y.asnumpy() for _, y in epoch]) for epoch in epochs
    )
    assert (first != second).any()
    numpy.testing.assert_array_equal(numpy.sort(first), numpy.sort(second))


# ----- images that are decoded ahead


@pytest.fixture
def noise(tmp_path):
    """A folder of 11 images of noise, in colour."""
    rng = numpy.random.RandomState(0)
    for i in range(11):
        pixels = rng.randint(256, size=(6, 6, 3)).astype('uint8')
        PIL.Image.fromarray(pixels).save(tmp_path / f'{i:02}.png')
    return tmp_path


@pytest.fixture
def threads():
    """A function that gives the threads begun since, but for MXNet's."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


def two_epochs(data_iter):
    """Two epochs of minibatches, and the random state that they leave."""
    set_seed(3)
    minibatches = []
    for _ in range(2):
        for minibatch in data_iter:
            pair = minibatch if isinstance(minibatch, tuple) else (minibatch,)
            minibatches.append([part.asnumpy() for part in pair])
        minibatches.append([numpy.random.rand(1)])
    return minibatches


@pytest.mark.parametrize('ahead', [1, 2, 8])
@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'labels': list(range(11))},
        {'kvstore': SimpleNamespace(rank=1, num_workers=2)},
    ],
    ids=['alone', 'labels', 'share'],
)
def test_minibatches_decoded_ahead_are_the_same(
    noise, options, shuffle, ahead, monkeypatch
):
    monkeypatch.setattr('d2l_gan.data.minibatches.NUM_AHEAD', ahead)
    loaders = [
        load_images(4, noise, 5, shuffle, in_memory=in_memory, **options)
        for in_memory in (True, False)
    ]
    # 11 = 4 + 4 + 3, and of two workers each has 5 = 4 + 1.
    assert [len(loader) for loader in loaders] == [
        3 - ('kvstore' in options)
    ] * 2
    cut, decoded = map(two_epochs, loaders)
    assert len(cut) == len(decoded) == 2 * (len(loaders[0]) + 1)
    for a, b in zip(cut, decoded):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert x.dtype == y.dtype
            numpy.testing.assert_array_equal(x, y)


@pytest.mark.parametrize('mode, channels', [('L', 1), ('RGB', 3)])
def test_lazy_images_are_those_of_the_array(tmp_path, mode, channels):
    # Grey ones come first, so that the last one alone gives all their colour.
    picture(tmp_path / '1.png', (100, 255), 'LA')
    picture(tmp_path / '2.png', 0x6450, 'I;16')
    picture(tmp_path / '3.png', 7 if mode == 'L' else RED, mode)
    images, _ = read_images(tmp_path, 4)
    lazy, labels = read_images(tmp_path, 4, in_memory=False)
    assert isinstance(lazy, LazyImages) and labels is None
    assert lazy.shape == images.shape == (3, channels, 4, 4)
    some = lazy[[2, 0]]
    assert some.dtype == 'uint8'
    numpy.testing.assert_array_equal(some, images[[2, 0]])


def test_data_sets_are_scaled_ahead(root):
    images, labels = read_images('digits', 16)
    lazy, own = read_images('digits', 16, in_memory=False)
    assert isinstance(lazy, LazyImages) and lazy.shape == images.shape
    numpy.testing.assert_array_equal(lazy[[3, 1796]], images[[3, 1796]])
    numpy.testing.assert_array_equal(own, labels)
    # What is not scaled is there already.
    assert isinstance(read_images(in_memory=False)[0], numpy.ndarray)


def test_more_bytes_than_the_limit_are_not_read_at_once(noise, monkeypatch):
    # 11 images of 3 * 5 * 5 bytes take 825.
    for limit, kind in ((825, numpy.ndarray), (824, LazyImages)):
        monkeypatch.setattr('d2l_gan.data.images.MAX_BYTES', limit)
        assert isinstance(read_images(noise, 5, in_memory=None)[0], kind)
        # Who does not ask gets an array.
        assert isinstance(read_images(noise, 5)[0], numpy.ndarray)
    read = []
    monkeypatch.setattr(folder, 'scaled_pixels', read.append)
    load_images(4, noise, 5)
    assert read == []


def test_calls_are_made_ahead_but_not_far(monkeypatch):
    monkeypatch.setattr('joblib.cpu_count', lambda: 2)
    begun = []
    # Each call waits for its neighbour, so that one at a time would not do.
    pairs = [threading.Barrier(2, timeout=60) for _ in range(10)]

    def square(i):
        pairs[i // 2].wait()
        return i * i

    numbers = (begun.append(i) or i for i in range(20))
    squares = ahead(square, numbers, 3)
    assert begun == []
    for i in range(20):
        assert next(squares) == i * i
        # The number itself, and three more
        assert begun == list(range(min(i + 4, 20)))
    assert next(squares, None) is None


def test_calls_that_nobody_waits_for_do_not_begin(monkeypatch, threads):
    monkeypatch.setattr('joblib.cpu_count', lambda: 1)
    begun, second, left = [], threading.Event(), threading.Event()

    def call(i):
        begun.append(i)
        if i == 1:
            second.set()
            assert left.wait(60)
        return i

    calls = ahead(call, range(9), 3)
    assert next(calls) == 0
    assert second.wait(60)
    (thread,) = threads()
    calls.close()
    left.set()
    thread.join(60)
    assert not thread.is_alive()
    assert begun == [0, 1]


def test_a_loop_that_is_left_early_ends_its_threads(
    noise, monkeypatch, threads
):
    monkeypatch.setattr('d2l_gan.data.minibatches.NUM_AHEAD', 1)
    read, calls = folder.scaled_pixels, threading.Semaphore(0)

    def reading(*args):
        calls.release()
        return read(*args)

    monkeypatch.setattr(folder, 'scaled_pixels', reading)
    for X in load_images(3, noise, 5, in_memory=False):
        assert X.shape == (3, 3, 5, 5)
        # Of the four minibatches, this one and one more are decoded.
        for _ in range(6):
            assert calls.acquire(timeout=60)
        assert threads()
        break
    for thread in threads():
        thread.join(60)
    assert threads() == set()
    assert not calls.acquire(blocking=False)


def test_a_damaged_file_that_is_found_late(noise, threads):
    broken = noise / '09.png'
    whole = broken.read_bytes()
    broken.write_bytes(whole[:50])
    data_iter = load_images(4, noise, 5, shuffle=False, in_memory=False)
    for _ in range(2):
        minibatches = iter(data_iter)
        assert len(next(minibatches)) == len(next(minibatches)) == 4
        with pytest.raises(
            ValueError, match=f'{broken} cannot be read as an image .*: remove'
        ):
            next(minibatches)
    for thread in threads():
        thread.join(60)
    assert threads() == set()
    broken.write_bytes(whole)
    assert [len(X) for X in data_iter] == [4, 4, 3]


@pytest.mark.parametrize(
    'size, asked, epochs, length',
    [
        (29, 1500, 52, 29),  # those of the digits, whole
        (15, 1200, 80, 15),
        (938, 400, 4, 100),  # of MNIST no more than are asked for
        (938, 1500, 15, 100),
        (938, 7, 1, 7),
        (938, 150, 2, 75),
        (1, 3, 3, 1),
    ],
)
def test_a_number_of_minibatches_is_that_number(size, asked, epochs, length):
    data_iter, num_epochs = in_epochs(range(size), asked)
    assert (num_epochs, len(data_iter)) == (epochs, length)
    assert asked <= epochs * length < asked + length
    for _ in range(2):
        assert list(data_iter) == list(range(length))


def test_a_judge_gets_some_of_many_images():
    images = numpy.arange(20).reshape(20, 1, 1, 1)
    lazy = LazyImages(lambda i: images[i], images.shape, '')
    labels = numpy.arange(20) + 100
    for source in (images, lazy):
        some, theirs = some_of(source, labels, 7)
        assert len(some) == 7 and (some.ravel() + 100 == theirs).all()
        assert (numpy.diff(theirs) > 0).all() and theirs.max() > 107
        other, _ = some_of(source, None, 7, seed=1)
        assert (other != some).any()
        all_of, none = some_of(source, None, 20)
        assert (all_of == images).all() and none is None
