"""The classifier: what it learns, and its cache."""

import mxnet as mx
import numpy
import pytest
from mxnet import npx
from sklearn.datasets import load_digits
from small import same, weights

from d2l_gan.classifier import (
    check_images,
    classify,
    cluster,
    train_classifier,
)

npx.set_np()


@pytest.fixture(scope='module')
def few():
    """Few and small images, for tests that train often: two classes."""
    images, labels = load_digits(n_class=2, return_X_y=True)
    return images.reshape(-1, 1, 8, 8).astype('float32') / 8 - 1, labels


def test_the_accuracy_is_that_on_images_never_seen(few, tmp_path):
    # Nobody can learn labels drawn by a coin.
    images, labels = few
    coins = numpy.random.RandomState(0).randint(0, 2, len(labels))
    net, accuracy = train_classifier(
        images, coins, cache=tmp_path, num_epochs=100
    )
    _, logits = classify(net, images)
    assert (logits.argmax(axis=1) == coins).mean() > 0.85
    assert accuracy < 0.75


def test_large_images_are_learned_too(tmp_path):
    # Squares and discs of the same area, of any colour and at any place
    rng, size, r = numpy.random.RandomState(0), 64, 10
    images = numpy.full((400, 3, size, size), 230, 'uint8')
    labels = numpy.arange(len(images)) % 2
    rows, columns = numpy.mgrid[:size, :size]
    for image, is_square in zip(images, labels):
        y, x = (
            abs(rows - rng.randint(r, size - r)),
            abs(columns - rng.randint(r, size - r)),
        )
        distance = (
            numpy.maximum(y, x) if is_square else 0.886 * numpy.hypot(y, x)
        )
        image[:, distance < r] = rng.randint(0, 200, (3, 1))
    _, accuracy = train_classifier(images, labels, cache=tmp_path)
    assert accuracy > 0.8


# Images without labels


def test_clusters_of_bytes_and_of_many_images(few, monkeypatch):
    images = few[0]
    clusters = cluster(images, 0)
    # Multiples of 1/8, so that the bytes have other roundings
    small = numpy.round((images + 1) * 127.5).astype('uint8')
    assert (cluster(small, 0) == clusters).mean() > 0.95
    counts = numpy.bincount(clusters)
    assert len(counts) == 10 and (numpy.diff(counts) <= 0).all()
    # Clusters of a part of the images, given to all of them
    monkeypatch.setattr('d2l_gan.classifier.clusters.MAX_CLUSTERED', 100)
    clusters = cluster(images, 0)
    assert clusters.shape == (len(images),) and clusters.max() == 9


# Cache and repeatability


def test_other_data_or_settings_are_trained_anew(few, tmp_path, fits):
    images, labels = few
    other = images.copy()
    other[-1, 0, 0, 0] += 0.5
    for arguments, settings in (
        ((images, labels), {}),
        ((other, labels), {}),
        ((images, 1 - labels), {}),
        ((images[:, :, ::-1], labels), {}),
        ((images, labels), {'seed': 1}),
        ((images, labels), {'num_epochs': 2}),
    ):
        before = len(fits)
        for _ in range(2):
            train_classifier(
                *arguments, cache=tmp_path, **{'num_epochs': 1, **settings}
            )
        assert len(fits) == before + 1
    assert len(list(tmp_path.iterdir())) == len(fits)


def damage(content):
    """Yield damaged versions of a file."""
    yield b''
    yield content[:20]
    yield content[:-1]
    yield content + b'\0'
    for i in (0, 40, len(content) // 2, len(content) - 1):
        yield content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :]


def test_a_damaged_file_is_not_trusted(few, tmp_path, fits):
    settings = {'cache': tmp_path, 'num_epochs': 1}
    net, accuracy = train_classifier(*few, **settings)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for i, damaged in enumerate(damage(content)):
        path.write_bytes(damaged)
        for _ in range(2):
            again, its_accuracy = train_classifier(*few, **settings)
            assert same(weights(again), weights(net))
            assert its_accuracy == accuracy
        assert len(fits) == i + 2
        assert path.read_bytes() == content


def test_the_seed_alone_decides(few, tmp_path):
    nets = []
    for i, seed in enumerate((0, 0, 1)):
        # What came before makes no difference.
        mx.random.seed(i)
        numpy.random.seed(i)
        nets.append(
            train_classifier(
                *few, cache=tmp_path / str(i), seed=seed, num_epochs=2
            )[0]
        )
    assert same(weights(nets[0]), weights(nets[1]))
    assert not same(weights(nets[0]), weights(nets[2]))


@pytest.mark.parametrize(
    'variable, folder',
    [('XDG_CACHE_HOME', 'd2l_gan'), ('HOME', '.cache/d2l_gan')],
)
def test_the_usual_place_of_the_cache(
    few, tmp_path, monkeypatch, variable, folder
):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    train_classifier(*few, num_epochs=1)
    (path,) = (tmp_path / folder).iterdir()
    assert path.name.startswith('classifier-')


def test_a_cache_that_cannot_be_written(few, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.warns(UserWarning, match='classifier is not kept'):
        net, _ = train_classifier(*few, cache=tmp_path / 'file', num_epochs=1)
    expected, _ = train_classifier(*few, cache=tmp_path, num_epochs=1)
    assert same(weights(net), weights(expected))


# Bad input


blank = numpy.zeros((4, 1, 16, 16), 'float32')


@pytest.mark.parametrize('shape', [(2, 16, 16), (1, 7, 16), (1, 16, 129)])
def test_real_images_out_of_range(shape):
    with pytest.raises(ValueError, match=r'1 or 3 channels.*8 to 128'):
        train_classifier(numpy.zeros((4, *shape)), [0, 1, 0, 1])


@pytest.mark.parametrize(
    'labels, message',
    [
        ([0, 1, 0], r'shape \(3,\), but there are 4 images'),
        ([[0], [1], [0], [1]], r'shape \(4, 1\)'),
        ([0, 2, 0, 2], r'found \[0 2\]'),
        ([1, 2, 1, 2], 'from 0 to k - 1'),
        ([-1, 0, 1, 0], 'from 0 to k - 1'),
        ([0, 0.5, 1, 0], 'from 0 to k - 1'),
        ([0, numpy.nan, 1, 0], 'from 0 to k - 1'),
        ([0, 0, 0, 0], 'k >= 2'),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        train_classifier(blank, labels)


def test_no_epoch():
    with pytest.raises(ValueError, match='num_epochs is 0'):
        train_classifier(blank, [0, 1, 0, 1], num_epochs=0)


def test_the_legacy_mode_of_mxnet():
    npx.reset_np()
    try:
        with pytest.raises(ValueError, match=r'npx\.set_np\(\)'):
            train_classifier(blank, [0, 1, 0, 1])
    finally:
        npx.set_np()


def test_images_as_they_should_be():
    images = blank + numpy.float32(1 + 1e-6)
    assert check_images(images, (1, 16, 16)) is images
    with pytest.raises(ValueError, match=r'real ones have \(3, 16, 16\)'):
        check_images(images, (3, 16, 16))
