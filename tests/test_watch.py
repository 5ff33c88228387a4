"""What `train` watches: false alarms, provoked failures, late losses."""

import logging
import math
import sys

import numpy
import pytest
from d2l import mxnet as d2l
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn
from tqdm import tqdm

import d2l_gan.run
from d2l_gan.conditional import FakeClassLoss, JoinLabels
from d2l_gan.data import load_images
from d2l_gan.mlp import mlp_discriminator, mlp_generator
from d2l_gan.systems import System, read_examples
from d2l_gan.train import set_seed, train
from d2l_gan.watch import (
    LateLosses,
    mean_opinion,
    note_spread,
    spread,
    troubles,
    warn,
)

npx.set_np()

XAVIER = init.Xavier('gaussian', 'in', 2)


def demo(name='gaussian', **options):
    """The demo of the first chapter, for 500 minibatches."""
    points, _ = read_examples(name)
    system = System(name, points.shape[1:])
    data_iter = system.minibatches(points)
    return system.train(
        data_iter, 4, next(iter(data_iter)), animator=False, **options
    )


def digits(lr_D, lr_G, num_epochs=12):
    """A fully connected GAN on digits of 8 by 8 pixels."""
    return train(
        mlp_discriminator((256,), leak=0.2), mlp_generator((1, 8, 8), (256,)),
        load_images(64), num_epochs, lr_D, lr_G, 100, np.zeros((2, 1, 8, 8)),
        beta1=0.5, initializer=XAVIER, animator=False, opinions=True,
    )  # fmt: skip


def test_spread_by_hand():
    # The mean is (1, 2); squared distances are 2, 2, 4 and 0.
    X = numpy.array([[0, 1], [2, 3], [1, 4], [1, 2.0], [1, 0]])
    assert spread(X) == pytest.approx(math.sqrt((2 + 2 + 4 + 0 + 4) / 5))
    assert spread(np.array(X)) == pytest.approx(spread(X))


def test_maps_that_are_constant_have_no_say():
    rng = numpy.random.RandomState(0)
    X = rng.normal(size=(6, 1, 4, 4))
    labels = np.array(numpy.eye(3)[[0, 1, 2, 0, 1, 2]], dtype='float32')
    joined = JoinLabels()(np.array(X), labels)
    assert joined.shape == (6, 4, 4, 4)
    assert spread(joined) == pytest.approx(spread(X), rel=1e-5)
    # The same picture six times, but for its brightness
    assert spread(X[:1] + rng.normal(size=(6, 1, 1, 1))) < 1e-6


def test_a_mean_opinion_by_hand():
    net_D = nn.Dense(1, in_units=1, use_bias=False)
    net_D.initialize(init.One())
    probability = mean_opinion(
        np.array([[math.log(3)], [-math.log(4)]]),
        net_D,
        gluon.loss.SigmoidBCELoss(),
    )
    assert probability == pytest.approx((3 / 4 + 1 / 5) / 2, rel=1e-5)

    def log_p(X):
        return np.log(np.array([[0.6, 0.4], [0.3, 0.1]]))

    probability = mean_opinion(np.zeros((2, 1)), log_p, FakeClassLoss())
    assert probability == pytest.approx((0.6 + 0.3) / 2, rel=1e-5)


def test_an_opinion_is_that_of_training_and_leaves_no_trace():
    net_D = nn.HybridSequential()
    net_D.add(nn.BatchNorm(in_channels=1), nn.Dense(1, in_units=1))
    net_D.initialize(init.One())
    loss = gluon.loss.SigmoidBCELoss()
    # By their own statistics both minibatches are the same.
    opinions = [
        mean_opinion(np.array(X), net_D, loss)
        for X in ([[1.0], [3.0]], [[101.0], [103.0]])
    ]
    assert opinions[0] == pytest.approx(opinions[1], rel=1e-4)
    assert float(net_D[0].running_mean.data()) == 0
    assert float(net_D[0].running_var.data()) == 1


def test_looking_adds_to_the_history():
    net_D, net_G = nn.Dense(1), nn.Dense(2, use_bias=False)
    net_D.initialize(init.Zero()), net_G.initialize(init.One())
    X = np.array([[0, 0], [2, 2.0]])
    Z = np.array([[0.0], [1.0]])
    history = {'spread': [7.0]}
    note_spread(history, X, Z, net_D, net_G, gluon.loss.SigmoidBCELoss())
    assert history == {'spread': [7.0, pytest.approx(0.5)]}
    note_spread(history, X, Z, net_D, net_G, gluon.loss.SigmoidBCELoss(), True)
    assert history['D_real'] == history['D_fake'] == [pytest.approx(0.5)]
    # Data that do not vary have no spread to compare with
    note_spread(history, 0 * X, Z, net_D, net_G, None)
    assert math.isnan(history['spread'][-1])


def course(hybridize):
    """A run whose networks have much that could be disturbed."""
    set_seed(5)
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Dense(4), nn.BatchNorm(), nn.Dropout(0.3), nn.Dense(1))
    net_G.add(nn.Dense(4), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(2))
    if hybridize:
        net_D.hybridize(), net_G.hybridize()
    X = numpy.random.normal(size=(48, 2)).astype('float32')
    history = train(
        net_D, net_G, d2l.load_array((X,), 8), 3, 0.01, 0.01, 3, X,
        animator=False,
    )  # fmt: skip
    numbers = [history['loss_D'], history['loss_G'], numpy.random.rand(3)]
    numbers.append(np.random.normal(0, 1, (3,)).asnumpy())
    for net in (net_D, net_G):
        for parameter in net.collect_params().values():
            numbers.append(parameter.data().asnumpy())
    return history, numbers


@pytest.mark.parametrize('hybridize', [False, True])
def test_a_watched_training_takes_the_same_course(hybridize, monkeypatch):
    history, watched = course(hybridize)
    assert len(history['spread']) == 3 and 'D_real' not in history
    monkeypatch.setattr(d2l_gan.run, 'note_spread', lambda *_: None)
    monkeypatch.setattr(d2l_gan.run, 'warn', lambda *_: None)
    history, alone = course(hybridize)
    assert 'spread' not in history
    for a, b in zip(watched, alone):
        numpy.testing.assert_array_equal(a, b)


def made(loss_D, spreads):
    return {'loss_D': loss_D, 'spread': spreads, 'warnings': []}


@pytest.mark.parametrize(
    ('history', 'num_minibatches', 'signs'),
    [
        (made([0.0099], [1.0]), 1, ['has won']),
        (made([0.0101], [1.0]), 1, []),
        (made([0.0, 0.5], [1.0, 1.0]), 1, []),  # it was, but is no more
        (made([-0.001], [1.0]), 1, []),  # the loss of another game
        (made([0.5], [0.049]), 300, ['nearly all alike']),
        (made([0.5], [0.051]), 300, []),
        (made([0.5], [0.0]), 299, []),  # too early to tell
        (made([0.5] * 3, [0.0] * 3), 100, ['nearly all alike']),
        (made([0.5], [float('nan')]), 300, []),
        (made([0.0], [0.0]), 300, ['has won', 'nearly all alike']),
    ],
)
def test_where_trouble_begins(history, num_minibatches, signs):
    found = troubles(history, num_minibatches)
    assert len(found) == len(signs)
    for sentence, sign in zip(found, signs):
        assert sign in sentence and '. Try ' in sentence


def test_each_warning_is_given_once(caplog):
    history = {'loss_D': [], 'spread': [], 'warnings': []}
    for loss_D in (0.5, 0.001, 0.001, 0.5, 0.001):
        history['loss_D'].append(loss_D)
        history['spread'].append(0.0)
        warn(history, 100)
    assert [warning[:8] for warning in history['warnings']] == [
        'epoch 2:',
        'epoch 3:',
    ]
    assert caplog.messages == history['warnings']
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_a_progress_bar_steps_aside(capsys, monkeypatch):
    logger = logging.getLogger('d2l_gan.watch')
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logger, 'handlers', [handler])
    monkeypatch.setattr(logger, 'propagate', False)
    with tqdm(total=2, file=sys.stderr, mininterval=0) as bar:
        bar.update(1)
        warn(made([0.0], [1.0]), 1)
    before, after = capsys.readouterr().err.split('epoch 1: ')
    assert '50%' in before
    assert before.endswith('\r')  # the line was wiped
    assert '50%' in after.split('\n')[1]  # and drawn again below


@pytest.mark.parametrize('seed', [1, 2])
def test_no_false_alarm_in_the_first_chapter(seed):
    set_seed(seed)
    assert demo()['warnings'] == []
    # The published settings stop on the way, but their samples do differ.
    assert demo('gaussian-published')['warnings'] == []


@pytest.mark.parametrize('name', ['mlp-small', 'mlp-less-momentum', 'deligan',
                                  'dcgan', 'conditional-dcgan'])  # fmt: skip
def test_no_false_alarm_on_digits(name):
    set_seed(1)
    system = System(name, (1, 8, 8), 10)
    data_iter = system.minibatches(*read_examples(name, 'digits', 8))
    num_epochs = math.ceil(330 / len(data_iter))
    history = system.train(
        data_iter, num_epochs, next(iter(data_iter)), animator=False
    )
    assert history['warnings'] == []
    assert len(history['spread']) == num_epochs


@pytest.mark.parametrize('seed', [1, 2])
def test_a_discriminator_that_wins(seed):
    set_seed(seed)
    history = digits(lr_D=5e-3, lr_G=1e-5)
    (warning,) = history['warnings']
    assert 'the discriminator has won' in warning
    epoch = int(warning.split()[1][:-1])
    assert history['loss_D'][epoch - 1] < 0.01 <= history['loss_D'][epoch - 2]
    assert history['D_real'][-1] > 0.95 and history['D_fake'][-1] < 0.05


@pytest.mark.parametrize('seed', [1, 2])
def test_a_generator_that_collapses(seed):
    set_seed(seed)
    history = digits(lr_D=1e-3, lr_G=0.05)
    assert history['spread'][-1] < 0.05
    assert any('nearly all alike' in line for line in history['warnings'])


def test_a_generator_without_a_latent():
    set_seed(1)

    def nothing(batch_size, latent_dim, ctx):
        return np.zeros((batch_size, latent_dim), ctx=ctx)

    history = demo(latent=nothing)
    (warning,) = history['warnings']
    # After 125 minibatches, and 250, it is too early to tell.
    assert warning.startswith('epoch 3: the samples are nearly all alike')


def test_a_conditional_generator_that_only_obeys():
    """Labels differ from sample to sample, pictures do not."""
    rng = numpy.random.RandomState(0)
    y = np.array(numpy.eye(10)[rng.randint(10, size=64)], dtype='float32')
    join, picture = JoinLabels(), np.array(rng.normal(size=(1, 1, 8, 8)))
    X = join(np.array(rng.normal(size=(64, 1, 8, 8))), y)
    history = {}
    fakes = picture.repeat(64, 0)
    note_spread(history, X, y, None, lambda Z: join(fakes, Z), None)
    assert history['spread'][0] < 1e-5


class Loss:
    """A loss that notes when it is read."""

    def __init__(self, value, name, read):
        self.value, self.name, self.read = value, name, read

    def __float__(self):
        self.read.append(self.name)
        return self.value


def test_losses_are_read_late_and_in_order():
    losses, read = LateLosses(1, []), []
    for i in range(175):
        losses.append((Loss(i / 1, i, read), Loss(i / 2, i, read)))
        assert len(losses) == i + 1
        # The engine never has more than 20 minibatches before it, and from
        # then on never fewer than 10.
        unread = len(losses) - len(read) // 2
        assert unread < 20 and (i < 10 or unread >= 10)
    assert len(read) == 2 * 160
    assert losses.read() == [(i, i / 2) for i in range(175)]
    assert read[::2] == read[1::2] == list(range(175))


@pytest.mark.parametrize('wrong', [1, 9, 10, 11, 20, 21, 250])
def test_the_right_minibatch_is_named(wrong):
    losses = LateLosses(3, [np.ones((1, 1))], 'runs/a/0002.npz')
    message = (
        f'epoch 3, minibatch {wrong}: .* 1.0 .*nan.*diverged.*'
        'last good checkpoint is runs/a/0002.npz'
    )
    with pytest.raises(FloatingPointError, match=message):
        for i in range(1, 1001):
            losses.append((1.0, math.nan if i == wrong else 1.0))
    assert wrong <= len(losses) <= wrong + 20


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_training_stops_within_twenty_minibatches(bad):
    X, begun = numpy.zeros((4000, 2), 'float32'), []

    def step(X, *_):
        begun.append(len(X))
        loss = np.full((), bad if len(begun) == 1030 else 1.0)
        return np.ones(()), loss

    net_D, net_G = nn.Dense(1), nn.Dense(2)
    with pytest.raises(FloatingPointError, match='epoch 2, minibatch 30: '):
        train(
            net_D, net_G, d2l.load_array((X,), 4), 9, 0.1, 0.1, 2, X,
            step=step, animator=False,
        )  # fmt: skip
    assert 1030 <= len(begun) <= 1050
