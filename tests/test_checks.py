"""Bad input to `train`: each a clear error."""

import mxnet as mx
import numpy
import pytest
from d2l import mxnet as d2l
from mxnet import gluon, np, npx
from mxnet.gluon import nn

from d2l_gan.support import checks
from d2l_gan.train import train

npx.set_np()


def run(data, data_iter=None, net_D=None, net_G=None, shown=None, **settings):
    """`train` on small networks, with what a test wants otherwise."""
    if net_D is None:
        net_D = nn.Dense(1)
    if net_G is None:
        net_G = nn.Dense(2)
    if data_iter is None:
        data_iter = d2l.load_array((data,), 4)
    arguments = {
        'num_epochs': 2,
        'lr_D': 0.1,
        'lr_G': 0.1,
        'latent_dim': 3,
        'data': data if shown is None else shown,
        'animator': False,
        **settings,
    }
    return train(net_D, net_G, data_iter, **arguments)


points = numpy.random.RandomState(0).normal(size=(12, 2)).astype('float32')


def test_good_input_raises_nothing():
    assert len(run(points)['loss_D']) == 2


@pytest.mark.parametrize(
    'setting',
    [
        {'num_epochs': 0},
        {'lr_D': 0},
        {'lr_G': -1},
        {'lr_D': float('nan')},
        {'latent_dim': 0},
        {'beta1': 1.0},
        {'seed': -1},
        {'seed': 2**32},
    ],
)
def test_settings_out_of_range(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f'{name} is {value}, but has to be'):
        run(points, **setting)


def test_an_empty_iterator():
    with pytest.raises(ValueError, match=r'epoch 1: .*no minibatch'):
        run(points, data_iter=[])


def test_an_iterator_that_ends_for_good():
    once = (np.array(points[:4]) for _ in range(2))
    with pytest.raises(
        ValueError, match=r'(?s)epoch 2: .*such as a generator'
    ):
        run(points, data_iter=once)


def test_an_iterator_that_does_not_batch():
    with pytest.raises(ValueError, match=r'\(2,\).*does the data iterator'):
        run(points, data_iter=[np.array(row) for row in points])


@pytest.mark.parametrize('minibatch', [points, [], mx.nd.ones((4, 2))])
def test_an_iterator_of_something_else(minibatch):
    with pytest.raises(ValueError, match=r'has to give arrays of mxnet\.np'):
        run(points, data_iter=[minibatch])


@pytest.mark.parametrize(
    'late, shape',
    [
        (np.zeros((0, 2)), r'\(0, 2\) and type float32'),
        (np.zeros((4, 3)), r'\(4, 3\) and type float32'),
        (np.zeros(4), r'\(4,\) and type float32'),
        (np.zeros(()), r'\(\) and type float32'),
        (np.zeros((4, 2), dtype='float64'), r'\(4, 2\) and type float64'),
    ],
)
def test_a_minibatch_unlike_the_first_one(late, shape):
    data_iter = [np.array(points[:4])] * 2 + [late]
    with pytest.raises(
        ValueError, match=f'epoch 1, minibatch 3: .*{shape}.*must hold'
    ):
        run(points, data_iter=data_iter)
    npx.waitall()
    assert len(run(points)['loss_D']) == 2


def test_a_first_minibatch_without_examples():
    with pytest.raises(ValueError, match=r'minibatch 1: .*at least one exam'):
        run(points, data_iter=[np.zeros((0, 2))])


@pytest.mark.parametrize('good', [0, 3])
def test_an_error_in_a_network_does_not_stay_in_the_engine(good):
    class Failing(nn.Block):
        def __init__(self):
            super().__init__()
            self.dense, self.calls = nn.Dense(2), 0

        def forward(self, Z):
            self.calls += 1
            std = 1 if self.calls <= good else -1
            # The engine finds out, while others think that all is well.
            return self.dense(Z) + np.random.normal(0, std, (len(Z), 2))

    with pytest.raises((ValueError, mx.MXNetError)):
        run(points, net_G=Failing())
    npx.waitall()
    assert len(run(points)['loss_D']) == 2


def test_data_in_double_precision():
    with pytest.raises(ValueError, match=r"float64.*astype\('float32'\)"):
        run(points.astype('float64'))


def test_a_discriminator_that_cannot_take_the_data():
    with pytest.raises(
        ValueError,
        match=r'net_D cannot take .*real examples of shape \(4, 2\)',
    ):
        run(points, net_D=nn.Dense(1, in_units=5))


def test_a_discriminator_for_images_given_points():
    with pytest.raises(ValueError, match=r'net_D cannot take .*\(4, 2\)'):
        run(points, net_D=nn.Conv2D(1, kernel_size=3))


def test_a_generator_that_cannot_take_the_latents():
    with pytest.raises(
        ValueError, match=r'net_G cannot take .*latent vectors.*\(4, 3\)'
    ):
        run(points, net_G=nn.Dense(2, in_units=7))


def test_fakes_of_another_shape_than_the_data():
    with pytest.raises(ValueError, match=r'\(5,\).*minibatches.*\(2,\)'):
        run(points, net_G=nn.Dense(5))


def test_shown_data_of_another_shape():
    with pytest.raises(ValueError, match=r'\(2,\).*`data`.*\(3,\)'):
        run(points, shown=numpy.zeros((4, 3)))


def test_a_loss_that_is_not_one_number_an_example():
    class Summed(gluon.loss.Loss):
        def __init__(self):
            super().__init__(None, 0)

        def forward(self, logits, labels):
            return (logits.reshape(-1) - labels).sum()

    net_D, net_G = nn.Dense(1), nn.Dense(2)
    net_D.initialize(), net_G.initialize()
    with pytest.raises(ValueError, match=r'losses of shape \(\)'):
        checks.check_fit(
            net_D, net_G, Summed(), np.ones((4, 2)), np.ones((4, 3)), points
        )


def test_the_legacy_mode_of_mxnet():
    npx.reset_np()
    try:
        with pytest.raises(ValueError, match=r'npx\.set_np\(\)'):
            run(points)
    finally:
        npx.set_np()


def test_nan_in_the_data():
    bad = points.copy()
    bad[5, 1] = numpy.nan
    # Not shuffled, so the second minibatch of four holds it.
    with pytest.raises(
        FloatingPointError, match=r'epoch 1, minibatch 2: .*data hold NaN'
    ):
        run(bad, data_iter=d2l.load_array((bad,), 4, is_train=False))


def test_training_that_diverges():
    with pytest.raises(
        FloatingPointError, match=r'epoch \d, minibatch \d+: .*diverged'
    ):
        run(points, num_epochs=9, lr_D=1e30, lr_G=1e30)


def test_a_check_draws_no_random_numbers():
    net_D, net_G = nn.Sequential(), nn.Dense(2)
    net_D.add(nn.Dense(4), nn.Dropout(0.5), nn.BatchNorm(), nn.Dense(1))
    net_D.initialize(), net_G.initialize()
    X, Z = np.ones((4, 2)), np.ones((4, 3))
    net_D(X), net_G(Z)  # the weights are there now
    mean = net_D[2].running_mean
    before = mean.data().asnumpy()
    draws = []
    for check in (False, True):
        mx.random.seed(3)
        if check:
            checks.check_fit(
                net_D, net_G, gluon.loss.SigmoidBCELoss(), X, Z, points
            )
        draws.append(np.random.normal(size=(5,)).asnumpy())
    numpy.testing.assert_array_equal(*draws)
    # Nor do the running statistics of batch norm move.
    numpy.testing.assert_array_equal(mean.data().asnumpy(), before)


def test_finite_arrays_become_numpys():
    for array in ([[1, 2]], np.array([[1, 2]]), numpy.array([[1, 2]], 'int8')):
        made = checks.finite_array('X', array, ndim=2, min_rows=1)
        assert type(made) is numpy.ndarray and made.dtype == 'float64'
        assert made.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    'array, message',
    [
        (numpy.zeros(3), r'X has shape \(3,\), but must have 2 axes, and at'),
        (numpy.zeros((1, 3)), 'at least 2 rows'),
        ([[0], [numpy.nan]], 'X holds NaN'),
        ([[0], [-numpy.inf]], 'X holds NaN or infinite'),
    ],
)
def test_what_is_no_finite_array(array, message):
    with pytest.raises(ValueError, match=message):
        checks.finite_array('X', array, ndim=2, min_rows=2)
