import time

import mxnet as mx
import numpy
import PIL.Image
import pytest
from mxnet import np, npx

from d2l_gan.systems import SYSTEMS, ForSeconds, train_system

npx.set_np()


@pytest.mark.parametrize('name', SYSTEMS)
def test_every_system_makes_varied_images(name):
    trained = train_system(name, 0.05, size=16)
    images, asked = trained['sample'](40)
    assert images.shape == (40, 1, 16, 16)
    assert abs(images).max() <= 1
    assert images.std(axis=0).max() > 1e-4
    assert trained['num_minibatches'] >= 1
    assert (asked is not None) == (name == 'conditional DCGAN')
    if asked is not None:
        assert set(asked) <= set(range(10)) and len(set(asked)) > 5


def test_parameters_by_hand():
    counts = {
        # 256 pixels; 200 and 100 latent dimensions
        'MLP, small': (257 * 256 + 257) + (201 * 256 + 257 * 256),
        'MLP, logits': (257 * 128 + 129) + (101 * 128 + 129 * 256),
        # Two blocks on either side; a batch norm of c channels has 4 c
        # numbers, and a grey image is the first of two channels.
        'DCGAN': 16 * (16 + 16 * 32 + 32)
        + 4 * 32
        + 16 * (100 * 32 + 32 * 16 + 16 * 2)
        + 4 * (32 + 16),
    }
    for name, expected in counts.items():
        trained = train_system(name, 0.01, size=16)
        assert trained['num_parameters'] == expected, name


def test_the_same_seed_gives_the_same_system():
    # Nothing is trained but one minibatch, so time has no say.
    first, again, other = (
        train_system('DCGAN', 1e-9, size=8, seed=seed)['sample'](5)[0]
        for seed in (1, 1, 2)
    )
    numpy.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 1e-4


def test_minibatches_go_on_until_the_time_is_up():
    X = np.zeros((2, 2))
    minibatches = ForSeconds([X, X, X], 0.2)
    start = time.process_time()
    seen = sum(1 for _ in minibatches)
    assert seen == minibatches.num_minibatches > 3
    assert time.process_time() - start >= 0.2


def test_an_unknown_system_is_refused():
    with pytest.raises(ValueError, match="no system 'GAN', only MLP, small"):
        train_system('GAN', 1)


@pytest.mark.parametrize('seconds', [0, -1, float('nan')])
def test_a_time_has_to_be_positive(seconds):
    with pytest.raises(ValueError, match='has to be above 0'):
        ForSeconds([], seconds)


def test_who_takes_orders_needs_labels(tmp_path):
    for i in range(4):
        pixels = numpy.full((8, 8), 60 * i, 'uint8')
        PIL.Image.fromarray(pixels).save(tmp_path / f'{i}.png')
    train_system('DCGAN', 0.01, tmp_path, 8)
    with pytest.raises(ValueError, match='the data have no labels'):
        train_system('conditional DCGAN', 0.01, tmp_path, 8)
    labels = numpy.array([0, 0, 1, 1])
    trained = train_system('conditional DCGAN', 0.01, tmp_path, 8, labels)
    assert set(trained['sample'](50)[1]) == {0, 1}
    mx.nd.waitall()
