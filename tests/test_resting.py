import json
import math

import mxnet as mx
import numpy
import pytest
import small
from matches import SYSTEMS, Match, OnlyFused, plain_step
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.dcgan import AveragedStep
from d2l_gan.fused import FusedStep, Game, trace_step
from d2l_gan.resting import (
    FallingStep,
    RestingGame,
    Signs,
    resting_step,
)
from d2l_gan.train import set_seed

npx.set_np()


class AllOnes(nn.HybridBlock):
    """Always the same direction, so that losses can be compared."""

    def hybrid_forward(self, F, X):
        return F.np.ones_like(X)


def without_chance(**settings):
    game = RestingGame(**settings)
    game.signs = AllOnes()
    return game


def softplus(t):
    return numpy.logaddexp(0, t)


@pytest.mark.parametrize('num_zeros', [0, 2])
def test_signs_are_a_fair_coin_but_for_label_maps(num_zeros):
    X = np.zeros((50, 5, 10, 10))
    with autograd.train_mode():
        first, second = (Signs(num_zeros)(X).asnumpy() for _ in range(2))
    signs = first[:, : 5 - num_zeros]
    assert set(numpy.unique(signs)) == {-1, 1}
    # Five standard deviations
    assert abs(signs.mean()) < 5 / math.sqrt(signs.size)
    assert not first[:, 5 - num_zeros :].any()
    agree = (first == second)[:, : 5 - num_zeros].mean()
    assert abs(agree - 0.5) < 2.5 / math.sqrt(signs.size)


def linear(w):
    net = nn.Dense(1, in_units=len(w))
    net.initialize()
    net.weight.set_data(np.array([w]))
    return net


def test_losses_by_hand():
    net_D, loss = linear([3.0, -1.0]), gluon.loss.SigmoidBCELoss()
    X, fake_X = np.array([[1.0, 2.0]]), np.array([[0.5, 4.0]])
    ones, zeros = np.ones(1), np.zeros(1)
    game = without_chance(gamma=0.5)
    loss_D = game.loss_D(net_D, loss, X, fake_X, ones, zeros)
    loss_G = game.loss_G(net_D, loss, X, fake_X, ones, zeros)
    # D gives 1 and -2.5; along (1, 1) its slope is 2, at both of them.
    assert float(loss_D) == pytest.approx(
        softplus(-2.5 - 1) + 0.25 * (4 + 4), rel=1e-4
    )
    assert float(loss_G) == pytest.approx(softplus(1 + 2.5), rel=1e-5)


def test_the_penalty_is_the_squared_slope_in_the_mean():
    w = numpy.array([0.5, -2, 1, 0.1], dtype='float32')
    X, ones = np.ones((4000, 4)), np.ones(4000)
    with autograd.train_mode():
        _, squares = RestingGame().look(
            X, linear(w), gluon.loss.SigmoidBCELoss(), ones, ones - 1
        )
    square = (w**2).sum()
    variance = 2 * (square**2 - (w**4).sum())
    assert float(squares.mean()) == pytest.approx(
        square, abs=5 * math.sqrt(variance / 4000)
    )
    assert squares.asnumpy().var() == pytest.approx(variance, rel=0.1)


def test_the_error_of_a_difference_falls_with_the_square_of_epsilon():
    """D = x^3 has the difference quotient 3 x^2 + epsilon^2."""
    cube, loss = (
        nn.HybridLambda(lambda F, X: X**3),
        gluon.loss.SigmoidBCELoss(),
    )
    X, ones = np.array([[2.0]]), np.ones(1)
    for epsilon in (0.5, 0.1):
        game = without_chance(epsilon=epsilon)
        value, square = game.look(X, cube, loss, ones, ones - 1)
        assert float(square) == pytest.approx((12 + epsilon**2) ** 2, rel=1e-4)
        # The mean of both opinions: 8 + 3 * 2 * epsilon^2
        assert float(value) == pytest.approx(8 + 6 * epsilon**2, rel=1e-5)


@pytest.mark.parametrize('system', SYSTEMS)
def test_fused_and_plain_steps_play_the_same_game(system):
    # A wide look, so that rounding is not divided by little
    game = without_chance(gamma=0.1, epsilon=0.1)
    # Steps of SGD are as long as the gradients.
    ours, oracle = (Match(system, optimizer='sgd') for _ in range(2))
    before = ours.weights()
    numpy.testing.assert_allclose(
        ours.play(OnlyFused(game)),
        oracle.play(plain_step(game)),
        rtol=1e-4,
    )
    steps, expected = (
        [after - weight for after, weight in zip(match.weights(), before)]
        for match in (ours, oracle)
    )
    largest = max(abs(step).max() for step in expected)
    for a, b in zip(steps, expected):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * largest)


@pytest.mark.parametrize('game', [Game(), RestingGame()])
@pytest.mark.parametrize('system', SYSTEMS)
def test_a_game_says_how_often_the_discriminator_looks(system, game):
    match = Match(system)
    net_D, net_G = match.nets

    def num_layers(symbol):
        nodes = json.loads(symbol.tojson())['nodes']
        return sum(
            node['op'] in ('FullyConnected', 'Convolution') for node in nodes
        )

    alone = num_layers(net_D(mx.sym.var('X').as_np_ndarray()))
    _, *losses = trace_step(net_D, net_G, match.loss, game)
    assert tuple(num_layers(x) / alone for x in losses) == game.looks


def test_the_logit_of_a_class_for_fakes_is_that_of_its_probability():
    match = Match('conditional')
    net_D, ones = match.nets[0], np.ones(len(match.X))
    game = RestingGame(num_labels=4)
    log_p, log_q = net_D(match.X).asnumpy().T
    numpy.testing.assert_allclose(
        game.logit(match.X, net_D, match.loss, ones, ones - 1).asnumpy(),
        log_p - log_q,
        rtol=1e-4,
        atol=1e-5,
    )


def test_label_maps_stay_as_they_are():
    match, seen = Match('conditional'), []
    ones = np.ones(len(match.X))

    def net_D(X):
        seen.append(X.asnumpy())
        return match.nets[0](X)

    with autograd.train_mode():
        RestingGame(epsilon=0.5, num_labels=4).look(
            match.X, net_D, match.loss, ones, ones - 1
        )
    ahead, back = seen
    X = match.X.asnumpy()
    numpy.testing.assert_array_equal(ahead[:, -4:], X[:, -4:])
    numpy.testing.assert_array_equal(back[:, -4:], X[:, -4:])
    numpy.testing.assert_allclose(abs(ahead - X)[:, :-4], 0.5, rtol=1e-5)
    numpy.testing.assert_allclose((ahead + back) / 2, X, atol=1e-6)


@pytest.mark.parametrize(
    'settings',
    [
        {'gamma': -0.1},
        {'gamma': math.nan},
        {'gamma': math.inf},
        {'epsilon': 0},
        {'epsilon': math.inf},
        {'num_labels': -1},
    ],
)
def test_settings_out_of_range_are_named(settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f'{name} is {value}, but has to be'):
        resting_step(**settings)


def test_a_seed_fixes_the_directions():
    first, again, other = (
        small.digest(*small.run('gaussian', seed=seed, step=resting_step()))
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize('system', ['gaussian', 'dcgan'])
def test_a_run_goes_on_as_if_it_had_never_stopped(system, tmp_path):
    settings = {'seed': 3, 'beta1': 0.0}
    whole = small.run(system, step=resting_step(), **settings)
    for num_epochs in (2, 3):
        parts = small.run(
            system, num_epochs, step=resting_step(), checkpoint=tmp_path,
            **settings,
        )  # fmt: skip
    assert small.same(small.weights(*whole[:2]), small.weights(*parts[:2]))
    assert whole[2]['loss_D'] == parts[2]['loss_D']


def test_several_devices_play_it_by_plain_steps():
    options = {'seed': 3, 'beta1': 0.0}
    game = without_chance()
    step = FusedStep(game)
    alone = small.run('gaussian', step=step, **options)
    shared = small.run(
        'gaussian', step=step, device=[mx.cpu(0), mx.cpu(1)], **options
    )
    for net_D, _, _ in (alone, shared):
        # Pairs have no use for it: its gradient is rounding, and Adam makes
        # steps of that.
        net_D[-1].bias.set_data(np.zeros(1))
    for a, b in zip(small.weights(*alone[:2]), small.weights(*shared[:2])):
        numpy.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_one_number_against_one_number_comes_to_rest():
    """The Dirac-GAN: data in one point, a line, and a point as generator."""
    distances, loss = {}, gluon.loss.SigmoidBCELoss()
    for name, game in (('usual', Game()), ('resting', RestingGame(0.5))):
        set_seed(0)
        net_D, net_G = nn.Dense(1, use_bias=False), nn.HybridSequential()
        net_G.add(nn.HybridLambda(lambda F, Z: 0 * Z), nn.Dense(1, in_units=1))
        net_D.initialize(init.Constant(1)), net_G.initialize()
        net_G[1].bias.set_data(np.ones(1))
        X, Z = np.zeros((2, 1)), np.zeros((2, 1))
        net_D(X)
        # Half of the loss in the usual game, so twice the learning rate
        trainers = [
            gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': lr})
            for net, lr in ((net_D, 0.4 if name == 'usual' else 0.2),
                            (net_G, 0.2))
        ]  # fmt: skip
        step = OnlyFused(game)
        for _ in range(200):
            step(X, Z, net_D, net_G, loss, *trainers)
        theta = float(net_G[1].bias.data()), float(net_D.weight.data())
        distances[name] = math.hypot(*theta)
    # After the time 40, as the chapter predicts: (1/2 + 40/8)^(-1/2)
    assert distances['usual'] == pytest.approx(0.43, abs=0.06)
    assert distances['resting'] < 1e-3


class Rates:
    """A step that notes the learning rates, and does nothing."""

    def __init__(self):
        self.pairs = []

    def __call__(self, X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        self.pairs.append((trainer_D.learning_rate, trainer_G.learning_rate))
        return np.zeros(()), np.zeros(())


def falling_rates(fall, num_minibatches, num_steps):
    match, noted = Match(), Rates()
    match.trainers[0].set_learning_rate(0.4)
    step = FallingStep(noted, num_minibatches, fall)
    for _ in range(num_steps):
        match.play(step)
    return noted.pairs


def test_rates_stay_and_then_fall_in_a_line():
    factors = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    rates = falling_rates(0.5, 8, 10)
    numpy.testing.assert_allclose(
        rates, [(0.4 * factor, 0.01 * factor) for factor in factors]
    )
    rates = falling_rates(1, 4, 4)
    numpy.testing.assert_allclose(
        [rate for _, rate in rates], [0.01, 0.0075, 0.005, 0.0025]
    )


@pytest.mark.parametrize('num_minibatches, fall', [
    (0, 0.5), (10, 0), (10, 1.5), (10, math.nan),
])  # fmt: skip
def test_a_fall_out_of_range_is_refused(num_minibatches, fall):
    with pytest.raises(ValueError, match=r'at least 1, and fall in \(0, 1\]'):
        FallingStep(resting_step(), num_minibatches, fall)


def test_a_falling_run_goes_on_where_it_was(tmp_path):
    def step():
        # 13 minibatches an epoch
        return AveragedStep(nn.Dense(2), step=FallingStep(resting_step(), 39))

    whole = small.run('gaussian', step=step(), seed=3)
    for num_epochs in (2, 3):
        parts = small.run(
            'gaussian', num_epochs, step=step(), seed=3, checkpoint=tmp_path
        )
    assert small.same(small.weights(*whole[:2]), small.weights(*parts[:2]))
