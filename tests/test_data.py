"""Images from files made here, and from a server on this machine."""

import gzip
import hashlib
import http.server
import io
import re
import struct
import threading
import zipfile
from types import SimpleNamespace

import numpy
import PIL.Image
import pytest
from d2l import mxnet as d2l
from mxnet import gluon, np, npx
from tqdm import tqdm

from d2l_gan import data
from d2l_gan.data import LazyImages, load_array, load_images, read_images
from d2l_gan.train import set_seed

npx.set_np()

# As d2l has it, before the tests put something else there
POKEMON = d2l.DATA_HUB['pokemon']
RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """An empty folder of data sets, and no way to fetch any."""
    for name in ('DATA', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / 'root'
    monkeypatch.setenv('D2L_GAN_DATA', str(folder))
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    # Nobody listens there.
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9/')
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', ('http://127.0.0.1:9/pokemon.zip', '0' * 40)
    )
    return folder


def idx(array, magic=None):
    """The bytes of an IDX file."""
    array = numpy.asarray(array, 'uint8')
    return (
        bytes((0, 0, 8, array.ndim) if magic is None else magic)
        + struct.pack(f'>{array.ndim}I', *array.shape)
        + array.tobytes()
    )


# Three images of 2x2
PIXELS = numpy.array(
    [[[0, 255], [51, 204]], [[1, 2], [3, 4]], [[255, 255], [255, 255]]]
)
IMAGES, LABELS = idx(PIXELS), idx([7, 0, 9])
NORMAL = {
    'train-images-idx3-ubyte.gz': gzip.compress(IMAGES, mtime=0),
    'train-labels-idx1-ubyte.gz': gzip.compress(LABELS, mtime=0),
}


def put(folder, **files):
    """Write bytes to files; `__` in a keyword is a dot in the name."""
    for name, content in files.items():
        path = folder / name.replace('__', '.').replace('_', '-')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def put_mnist(root, images=IMAGES, labels=LABELS, name='mnist'):
    put(root / name, train_images_idx3_ubyte=images)
    put(root / name, train_labels_idx1_ubyte=labels)


def picture(path, color, mode='RGB', size=(5, 3), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new(mode, size, color).save(path, **options)
    return path


def files_in(folder):
    return [path for path in folder.rglob('*') if path.is_file()]


def the_colors(images):
    """The colour of each image, which must have one only."""
    colors = images[:, :, :1, :1]
    assert (images == colors).all()
    return colors[:, :, 0, 0].tolist()


# ----- the data sets


def test_digits_are_the_scans_of_scikit_learn():
    images, labels = read_images()
    assert (images.shape, images.dtype) == ((1797, 1, 8, 8), 'uint8')
    assert (labels.shape, labels.dtype) == ((1797,), 'int32')
    # The first row of its first image is 0 0 5 13 9 1 0 0, of 16; times
    # 15.9375 that is 0 0 79.7 207.2 143.4 15.9 0 0.
    assert images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert (images.min(), images.max()) == (0, 255)
    assert len(numpy.unique(images)) == 17
    assert labels[:10].tolist() == list(range(10))


@pytest.mark.parametrize('size', [5, 16, 28, 64])
def test_digits_at_another_size(size):
    images, labels = read_images('digits', size)
    assert (images.shape, images.dtype) == ((1797, 1, size, size), 'uint8')
    assert labels.shape == (1797,)
    scan = PIL.Image.fromarray(read_images('digits')[0][1000, 0])
    scan = scan.resize((size, size), PIL.Image.Resampling.BICUBIC)
    numpy.testing.assert_array_equal(images[1000, 0], numpy.asarray(scan))
    # The curves of bicubic scaling leave 0..255, the pixels must not.
    X = numpy.concatenate(
        [X.asnumpy() for X, _ in load_images(500, 'digits', size)]
    )
    assert (X.min(), X.max()) == (-1, 1)


def test_the_environment_names_the_data_set(monkeypatch, root):
    monkeypatch.setenv('DATA', '')
    assert len(read_images()[0]) == 1797
    put_mnist(root)
    monkeypatch.setenv('DATA', 'mnist')
    assert len(read_images()[0]) == 3
    assert len(read_images('digits')[0]) == 1797


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist'])
def test_idx_files(root, name):
    put_mnist(root, name=name)
    images, labels = read_images(name)
    assert (images.dtype, labels.dtype) == ('uint8', 'int32')
    numpy.testing.assert_array_equal(images[:, 0], PIXELS)
    assert images.shape == (3, 1, 2, 2)
    assert labels.tolist() == [7, 0, 9]
    images[0] = 1  # not locked


def test_packed_idx_files_and_the_test_set(root):
    put(root / 'mnist', t10k_images_idx3_ubyte__gz=gzip.compress(IMAGES))
    put(root / 'mnist', t10k_labels_idx1_ubyte=LABELS)
    images, labels = read_images('mnist', train=False)
    numpy.testing.assert_array_equal(images[:, 0], PIXELS)
    assert labels.tolist() == [7, 0, 9]


def test_idx_files_at_another_size(root):
    put_mnist(root)
    assert read_images('mnist', 1)[0][2].tolist() == [[[255]]]
    # The mean of 0, 255, 51 and 204 is 127.5.
    assert abs(int(read_images('mnist', 1)[0][0, 0, 0, 0]) - 127.5) <= 1
    larger = read_images('mnist', 6)[0]
    assert larger.shape == (3, 1, 6, 6)
    assert the_colors(larger[2:]) == [[255]]
    # The corners are those of the small image: 0 255 above 51 204, and
    # bicubic curves overshoot a little.
    corners = larger[0, 0, ::5, ::5].astype(int)
    assert numpy.abs(corners - PIXELS[0]).max() < 32


def test_without_a_variable_the_cache_is_below_home(monkeypatch, tmp_path):
    monkeypatch.delenv('D2L_GAN_DATA')
    monkeypatch.setenv('HOME', str(tmp_path))
    put_mnist(tmp_path / '.cache/d2l_gan')
    assert len(read_images('mnist')[0]) == 3
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    put_mnist(tmp_path / 'xdg/d2l_gan', idx(PIXELS[:1]), idx([1]))
    assert len(read_images('mnist')[0]) == 1


# ----- folders


def test_a_folder_is_searched_and_sorted(tmp_path):
    folder = tmp_path / 'art'
    picture(folder / 'b/1.PNG', RED)
    picture(folder / 'a/2.png', (0, 255, 0))
    picture(folder / 'c.jpeg', WHITE)
    picture(folder / 'b/.1.png', RED)
    picture(folder / '.trash/1.png', RED)
    put(folder, notes__txt=b'no image')
    images, labels = read_images(str(folder))
    assert labels is None
    assert (images.shape, images.dtype) == ((3, 3, 64, 64), 'uint8')
    assert the_colors(images) == [[0, 255, 0], [255, 0, 0], [255, 255, 255]]
    assert read_images(folder, 8)[0].shape == (3, 3, 8, 8)


def test_a_folder_of_grey_files_has_one_channel(tmp_path):
    picture(tmp_path / '1.png', 0, 'L')
    picture(tmp_path / '2.png', 1, '1')
    picture(tmp_path / '3.png', (100, 255), 'LA')
    picture(tmp_path / '4.jpg', 255, 'L')
    # 16 bits: 0x6450 is 100 * 256 + 80.
    picture(tmp_path / '5.png', 0x6450, 'I;16')
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0], [255], [100], [255], [100]]
    # One in colour gives all of them three.
    picture(tmp_path / '6.png', RED)
    images, _ = read_images(tmp_path, 4)
    assert the_colors(images) == [[0] * 3, [255] * 3, [100] * 3, [255] * 3,
                                  [100] * 3, [255, 0, 0]]  # fmt: skip


def test_what_is_transparent_is_white(tmp_path):
    picture(tmp_path / '1.png', (255, 0, 0, 0), 'RGBA')
    # 255 - 51 = 204 of 255 are white: 0.8 * 255 = 204.
    picture(tmp_path / '2.png', (255, 0, 0, 51), 'RGBA')
    picture(tmp_path / '3.png', (255, 0, 0, 255), 'RGBA')
    picture(tmp_path / '4.png', RED, transparency=RED)
    colors = the_colors(read_images(tmp_path, 2)[0])
    assert colors == [[255] * 3, [255, 204, 204], [255, 0, 0], [255] * 3]


def test_photographs_are_turned_upright(tmp_path):
    pixels = numpy.zeros((1, 2), 'uint8')
    pixels[0, 1] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned to the left
    PIL.Image.fromarray(pixels).save(tmp_path / '1.png', exif=exif)
    images, _ = read_images(tmp_path, 2)
    assert images[0, 0].tolist() == [[0, 0], [255, 255]]


def test_pokemon_is_a_tree_of_images(root):
    picture(root / 'pokemon/pokemon/Pikachu/1.png', (255, 255, 0))
    images, labels = read_images('pokemon')
    assert labels is None
    assert images.shape == (1, 3, 64, 64)
    assert the_colors(images) == [[255, 255, 0]]


# ----- minibatches


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


# ----- more than fits into memory


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
    monkeypatch.setattr(data, 'NUM_AHEAD', ahead)
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


def test_half_of_the_memory_is_for_images(noise, monkeypatch):
    # 11 images of 3 * 5 * 5 bytes take 825.
    for memory, kind in ((1650, numpy.ndarray), (1649, LazyImages)):
        monkeypatch.setattr(data, '_memory', lambda memory=memory: memory)
        assert isinstance(read_images(noise, 5, in_memory=None)[0], kind)
        # Who does not ask gets an array.
        assert isinstance(read_images(noise, 5)[0], numpy.ndarray)
    read = []
    monkeypatch.setattr(data, '_read_picture', lambda *args: read.append(args))
    load_images(4, noise, 5)
    assert read == []


@pytest.mark.parametrize(
    'files, amount',
    [
        ({}, float('inf')),
        (
            {'proc/meminfo': 'MemFree: 1 kB\nMemAvailable:   3000 kB\n'},
            3072000,
        ),
        (
            {
                'proc/meminfo': 'MemAvailable: 3000 kB\n',
                'proc/self/cgroup': '0::/\n',
                'sys/fs/cgroup/memory.max': '5000\n',
            },
            5000,
        ),
        # The limit of a group above holds, too.
        (
            {
                'proc/meminfo': 'MemAvailable: 3000 kB\n',
                'proc/self/cgroup': '0::/jobs/7\n',
                'sys/fs/cgroup/jobs/7/memory.max': 'max\n',
                'sys/fs/cgroup/jobs/memory.max': '6000\n',
            },
            6000,
        ),
        # Version 1, and a limit that is none
        (
            {
                'proc/meminfo': 'MemAvailable: 3000 kB\n',
                'proc/self/cgroup': '4:memory:/a\n3:cpu,cpuacct:/b\n0::/\n',
                'sys/fs/cgroup/memory/a/memory.limit_in_bytes': '7000\n',
                'sys/fs/cgroup/memory/memory.limit_in_bytes': f'{2**63 - 1}',
            },
            7000,
        ),
    ],
    ids=range(5),
)
def test_how_much_memory_there_is(tmp_path, files, amount):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert data._memory(tmp_path) == amount


def test_calls_are_made_ahead_but_not_far(monkeypatch):
    monkeypatch.setattr(data.joblib, 'cpu_count', lambda: 2)
    begun = []
    # Each call waits for its neighbour, so that one at a time would not do.
    pairs = [threading.Barrier(2, timeout=60) for _ in range(10)]

    def square(i):
        pairs[i // 2].wait()
        return i * i

    numbers = (begun.append(i) or i for i in range(20))
    squares = data._ahead(square, numbers, 3)
    assert begun == []
    for i in range(20):
        assert next(squares) == i * i
        # The number itself, and three more
        assert begun == list(range(min(i + 4, 20)))
    assert next(squares, None) is None


def test_calls_that_nobody_waits_for_do_not_begin(monkeypatch, threads):
    monkeypatch.setattr(data.joblib, 'cpu_count', lambda: 1)
    begun, second, left = [], threading.Event(), threading.Event()

    def call(i):
        begun.append(i)
        if i == 1:
            second.set()
            assert left.wait(60)
        return i

    calls = data._ahead(call, range(9), 3)
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
    monkeypatch.setattr(data, 'NUM_AHEAD', 1)
    read, calls = data._read_picture, threading.Semaphore(0)

    def reading(*args):
        calls.release()
        return read(*args)

    monkeypatch.setattr(data, '_read_picture', reading)
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


# ----- bad input


@pytest.mark.parametrize('size', [0, -8])
@pytest.mark.parametrize('name', ['digits', '.'])
def test_a_size_below_one(size, name):
    with pytest.raises(ValueError, match=f'size is {size}, but must be'):
        read_images(name, size)


def test_a_batch_size_below_one():
    with pytest.raises(ValueError, match='batch_size is 0, but must be'):
        load_images(0)


def test_a_test_set_where_there_is_none():
    with pytest.raises(ValueError, match="'digits' has no test set, only mni"):
        read_images('digits', train=False)


@pytest.mark.parametrize(
    'name, meant',
    [
        ('minst', 'mnist'),
        ('MNIST', 'mnist'),
        ('Fashion-MNIST', 'fashion_mnist'),
        ('digit', 'digits'),
        ('pokémon', 'pokemon'),
    ],
)
def test_an_unknown_name(name, meant):
    with pytest.raises(
        FileNotFoundError,
        match=f"{name!r} is neither .*fashion_mnist.*mean '{meant}'",
    ):
        read_images(name)


def test_a_missing_folder(tmp_path):
    path = tmp_path / 'gone'
    with pytest.raises(
        FileNotFoundError, match=f'{path}.* is neither .*: check its path'
    ):
        read_images(path)


def test_a_folder_without_images(tmp_path):
    put(tmp_path / 'texts', a__txt=b'a')
    with pytest.raises(ValueError, match=f'{tmp_path} holds no images: .*png'):
        read_images(tmp_path)


def test_files_that_are_no_images(tmp_path):
    for i in range(20):
        picture(tmp_path / f'{i}.png', RED)
    broken = put(tmp_path, text__png=b'Dear reader,') / 'text.png'
    cannot = 'cannot be read as an image .*: remove it'
    with pytest.raises(ValueError, match=f'{broken} {cannot}'):
        read_images(tmp_path)
    broken.unlink()
    short = tmp_path / '7.png'
    short.write_bytes(short.read_bytes()[:50])
    with pytest.raises(ValueError, match=f'{short} {cannot}'):
        read_images(tmp_path)


def flipped(content, at):
    """The bytes with one of them changed."""
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


PACKED = gzip.compress(IMAGES, mtime=0)


@pytest.mark.parametrize(
    'content',
    [
        PACKED[:25],
        PACKED[:-3],
        flipped(PACKED, 0),
        flipped(PACKED, 10),
        flipped(PACKED, len(PACKED) - 6),  # in the checksum
        b'<html>Not found</html>',
    ],
    ids=range(6),
)
def test_a_broken_gzip_file(root, content):
    folder = put(root / 'mnist', train_images_idx3_ubyte__gz=content)
    put(folder, train_labels_idx1_ubyte=LABELS)
    with pytest.raises(
        ValueError,
        match=f'{folder}/train-images-idx3-ubyte.gz is damaged .*: remove it',
    ):
        read_images('mnist')


@pytest.mark.parametrize(
    'images, labels, message',
    [
        (LABELS, LABELS, 'images-.* begins with .*"00000801".*"00000803"'),
        (IMAGES, IMAGES, 'labels-.* begins with .*"00000803".*"00000801"'),
        (idx(PIXELS, (0, 0, 9, 3)), LABELS, 'images-.*"00000903"'),
        (b'', LABELS, 'images-.* begins with the bytes ""'),
        # 4 + 3 * 4 + 3 * 2 * 2 = 28 bytes
        (IMAGES[:-1], LABELS, 'images-.* holds 27 bytes, but needs 28 by'),
        (IMAGES[:9], LABELS, 'images-.* holds 9 bytes, but needs 16 by'),
        (IMAGES + b'!', LABELS, 'images-.* holds 29 bytes, but needs 28 by'),
        (IMAGES, LABELS[:-2], 'labels-.* holds 9 bytes, but needs 11 by'),
        (IMAGES, idx([1, 2]), 'images-.* 3 images, .*labels-.* 2 labels'),
    ],
    ids=range(9),
)
def test_a_wrong_idx_file(root, images, labels, message):
    put_mnist(root, images, labels)
    with pytest.raises(
        ValueError, match=f'{root}/mnist/train-{message}.*: remove '
    ):
        read_images('mnist')


# ----- downloads


class Server(http.server.ThreadingHTTPServer):
    """Gives `files` by path, but of `broken` only the first half."""

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server_port}/'
        self.files, self.asked, self.broken = {}, [], False


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        half = len(content) // 2 if self.server.broken else len(content)
        self.wfile.write(content[:half])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    with Server() as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv('MXNET_GLUON_REPO', it.url)
        yield it
        it.shutdown()
        thread.join()


def sha1(content):
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def bars(monkeypatch):
    """The progress bars, which are shown even though there is no terminal."""
    made = []

    class Bar(tqdm):
        def __init__(self, *args, **kwargs):
            kwargs.update(disable=False, file=io.StringIO())
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(data, 'tqdm', Bar)
    return made


def test_mnist_is_fetched_once(server, root, monkeypatch, bars):
    class Small(gluon.data.vision.MNIST):
        def __init__(self, root, train):
            super().__init__(root, train)
            self._train_data, self._train_label = (
                (name, sha1(content)) for name, content in NORMAL.items()
            )

    monkeypatch.setitem(data.IDX, 'mnist', Small)
    for name, content in NORMAL.items():
        server.files[f'/gluon/dataset/mnist/{name}'] = content
    for _ in range(2):
        images, labels = read_images('mnist')
        numpy.testing.assert_array_equal(images[:, 0], PIXELS)
        assert labels.tolist() == [7, 0, 9]
    assert server.asked == [f'/gluon/dataset/mnist/{name}' for name in NORMAL]
    assert {path.name: path.read_bytes() for path in files_in(root)} == NORMAL
    assert [(bar.total, bar.n) for bar in bars] == [
        (len(content), len(content)) for content in NORMAL.values()
    ]
    assert 'Downloading train-images' in bars[0].fp.getvalue()


@pytest.mark.parametrize(
    'name, train, address, checksum',
    [
        ('mnist', True, 'mnist/train', '6c95f4b05d2bf285e1bfb0e7960c31bd3b3f'),
        ('mnist', False, 'mnist/t10k', 'c3a25af1f52dad7f726cce8cacb138654b76'),
        ('fashion_mnist', True, 'fashion-mnist/train', '0cf37b0d40ed5169c6b3'),
    ],
)
def test_a_file_with_another_checksum_is_not_kept(
    server, root, name, train, address, checksum
):
    address = f'/gluon/dataset/{address}-images-idx3-ubyte.gz'
    server.files[address] = PACKED
    with pytest.raises(
        OSError,
        match=f'{address} could not be fetched .*SHA-1 is {sha1(PACKED)}, '
        f'but must be {checksum}.*: try again, .* into {root}/{name}$',
    ):
        read_images(name, train=train)
    assert server.asked == [address]
    assert files_in(root) == []


def test_a_download_that_breaks_off_leaves_nothing(server, root):
    server.files['/a.zip'] = content = bytes(range(256)) * 1000
    server.broken = True
    path = root / 'a.zip'
    with pytest.raises(OSError, match=r'/a\.zip could not be fetched'):
        data._download(f'{server.url}a.zip', path, sha1(content), root)
    assert list(root.iterdir()) == []
    # Nor does it harm what is there.
    path.write_bytes(b'old')
    with pytest.raises(OSError, match=r'/a\.zip could not be fetched'):
        data._download(f'{server.url}a.zip', path, sha1(content), root)
    assert path.read_bytes() == b'old'
    server.broken = False
    data._download(f'{server.url}a.zip', path, sha1(content), root)
    assert path.read_bytes() == content


def test_a_file_that_the_server_does_not_have(server, root):
    with pytest.raises(OSError, match=r'images-.*gz could not .*404'):
        read_images('fashion_mnist')
    assert files_in(root) == []


def test_a_server_that_is_not_there(root):
    with pytest.raises(
        OSError, match=r'127\.0\.0\.1:9/.* could not be fetched .*refused'
    ):
        read_images('mnist')
    assert files_in(root) == []


def test_a_folder_that_cannot_be_made(server, root):
    root.write_text('a file')
    with pytest.raises(
        OSError, match=f'could not be .*{re.escape(str(root))}'
    ):
        read_images('mnist')


def test_pokemon_is_fetched_and_unpacked(
    server, root, tmp_path, monkeypatch, bars
):
    made = picture(tmp_path / 'made.png', RED)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.write(made, 'pokemon/Bulbasaur/1.png')
        # Without its dots it is an image like another.
        archive.write(made, '../../../outside/2.png')
    content = packed.getvalue()
    server.files['/pokemon.zip'] = content
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', (f'{server.url}pokemon.zip', sha1(content))
    )
    for _ in range(2):
        images, _ = read_images('pokemon', 4)
        assert the_colors(images) == [[255, 0, 0]] * 2
    assert server.asked == ['/pokemon.zip']
    # Neither the archive nor a draft is left, and nothing lies elsewhere.
    assert sorted(files_in(tmp_path)) == [
        made,
        root / 'pokemon/outside/2.png',
        root / 'pokemon/pokemon/Bulbasaur/1.png',
    ]
    assert list(root.iterdir()) == [root / 'pokemon']
    downloading, unpacking, reading = bars[:3]
    assert downloading.n == downloading.total == len(content)
    assert unpacking.n == reading.n == 2


def test_a_half_fetched_pokemon_leaves_nothing(server, root, monkeypatch):
    server.files['/pokemon.zip'] = b'PK' * 1000
    server.broken = True
    monkeypatch.setitem(
        d2l.DATA_HUB, 'pokemon', (f'{server.url}pokemon.zip', '0' * 40)
    )
    with pytest.raises(
        OSError, match=f'pokemon.zip could not .* into {root}/pokemon$'
    ):
        read_images('pokemon')
    assert list(root.iterdir()) == []


def test_d2l_knows_pokemon():
    url, checksum = POKEMON
    assert url.endswith('/pokemon.zip')
    assert checksum == 'c065c0e2593b8b161a2d7873e42418bf6a21106c'


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
