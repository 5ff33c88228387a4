"""The mixture, its regulariser and the schedule, worked out by hand."""

import math

import mxnet as mx
import numpy
import pytest
from matches import OnlyFused, plain_step
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn
from small import same, weights

from d2l_gan.deligan import (
    GroupedDense,
    MixtureGame,
    MixtureLatent,
    ThresholdGame,
)
from d2l_gan.evaluate import moments
from d2l_gan.fused import FusedStep
from d2l_gan.mlp import mlp_discriminator, mlp_generator
from d2l_gan.train import adversarial_step, normal_latent, set_seed, train

npx.set_np()

LOSS = gluon.loss.SigmoidBCELoss()


def make_mixture(mu, sigma):
    mixture = MixtureLatent(*numpy.shape(mu))
    mixture.initialize()
    mixture.mu.set_data(np.array(mu))
    mixture.sigma.set_data(np.array(sigma))
    return mixture


MU = [[1.0, -2.0], [0.5, 0.0], [-3.0, 4.0]]
SIGMA = [[0.1, 0.2], [1.0, 0.5], [0.3, 2.0]]


# The mixture


@pytest.mark.parametrize('hybrid', [False, True])
@pytest.mark.parametrize('n', [1, 2, 3, 7])
def test_row_i_takes_component_i(hybrid, n):
    mixture = make_mixture(MU, SIGMA)
    mixture.hybridize(hybrid)
    for rows in (5, n):  # another number of rows than at the first call
        Z = np.random.normal(0, 1, (rows, 2))
        expected = [
            numpy.array(MU[i % 3]) + numpy.array(SIGMA[i % 3]) * z
            for i, z in enumerate(Z.asnumpy())
        ]
        numpy.testing.assert_allclose(
            mixture(Z).asnumpy(), expected, rtol=1e-5, atol=1e-6
        )


def test_mean_and_covariance_are_those_of_the_mixture():
    mx.random.seed(0)
    mixture = make_mixture(MU, SIGMA)
    n = 300_000
    mean, cov = moments(mixture(normal_latent(n, 2, mx.cpu())))
    mu, sigma = numpy.array(MU), numpy.array(SIGMA)
    expected = numpy.diag((sigma**2).mean(axis=0)) + numpy.cov(mu.T, bias=True)
    numpy.testing.assert_allclose(mean, mu.mean(axis=0), atol=0.01)
    numpy.testing.assert_allclose(cov, expected, atol=0.03)


@pytest.mark.parametrize('hybrid', [False, True])
def test_gradients_by_hand(hybrid):
    """For the sum of c * z over rows: c to mu, and c * epsilon to sigma."""
    mixture = make_mixture(MU, SIGMA)
    mixture.hybridize(hybrid)
    rng = numpy.random.RandomState(0)
    Z, C = rng.normal(size=(2, 7, 2)).astype('float32')
    with autograd.record():
        L = (np.array(C) * mixture(np.array(Z))).sum()
    L.backward()
    for i in range(3):
        rows = slice(i, None, 3)
        numpy.testing.assert_allclose(
            mixture.mu.grad().asnumpy()[i], C[rows].sum(axis=0), rtol=1e-4
        )
        numpy.testing.assert_allclose(
            mixture.sigma.grad().asnumpy()[i],
            (C[rows] * Z[rows]).sum(axis=0),
            rtol=1e-4,
            atol=1e-6,
        )


def test_the_start_is_its_own_whatever_the_initialiser():
    mx.random.seed(0)
    net = nn.HybridSequential()
    net.add(MixtureLatent(2000, 3, sigma=0.3), nn.Dense(1))
    for _ in range(2):
        # As `train` does
        net.initialize(init.Normal(0.02), force_reinit=True)
        mu, sigma = (p.data().asnumpy() for p in (net[0].mu, net[0].sigma))
        assert abs(mu).max() <= 1 and abs(mu.mean()) < 0.05
        assert (mu**2).mean() == pytest.approx(1 / 3, rel=0.05)
        assert (sigma == numpy.float32(0.3)).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((0, 2), 'num_components is 0'),
        ((-1, 2), 'num_components is -1'),
        ((5, 0), 'latent_dim is 0'),
        ((5, 2, 0), 'sigma is 0'),
        ((5, 2, -0.2), r'sigma is -0\.2'),
        ((5, 2, math.nan), 'sigma is nan'),
        ((5, 2, math.inf), 'sigma is inf'),
    ],
)
def test_what_is_no_mixture(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixtureLatent(*arguments)


@pytest.mark.parametrize('latent_dim', [1, 3])
def test_latents_of_another_length(latent_dim):
    net_G = nn.HybridSequential()
    net_G.add(MixtureLatent(5, 2), nn.Dense(2))
    X = np.zeros((6, 2))
    with pytest.raises(ValueError, match='net_G cannot take'):
        train(nn.Dense(1), net_G, [X], 1, 1e-3, 1e-3, latent_dim, X)


# The regulariser


def networks(lr=0.1, optimizer='sgd'):
    """Small networks of fixed weights, the generator with a mixture."""
    mx.random.seed(1)
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Dense(3, activation='tanh'), nn.Dense(1))
    net_G.add(MixtureLatent(3, 2, 0.2), nn.Dense(2))
    trainers = []
    for net in (net_D, net_G):
        net.initialize(init.Normal(0.5))
        net(np.zeros((1, 2)))
        net.hybridize()
        trainers.append(
            gluon.Trainer(
                net.collect_params(), optimizer, {'learning_rate': lr}
            )
        )
    return net_D, net_G, LOSS, *trainers


def batch(n=6):
    rng = numpy.random.RandomState(0)
    return (np.array(A, 'float32') for A in rng.normal(size=(2, n, 2)))


@pytest.mark.parametrize('make', [plain_step, OnlyFused])
def test_the_regulariser_by_hand(make):
    """One step of gradient descent, with the term and without."""
    results = []
    for strength in (None, 0, 0.7):
        net_D, net_G, *rest = networks()
        net_G[0].sigma.set_data(np.array(SIGMA))
        if strength is None:
            step = adversarial_step
        else:
            step = make(MixtureGame(net_G[0], strength))
        losses = step(*batch(), net_D, net_G, *rest)
        results.append(([float(L) for L in losses], weights(net_G)))
    (plain, after), (zero, after_zero), (strong, after_strong) = results
    # The losses are given without the term.
    assert zero == pytest.approx(plain, rel=1e-6)
    assert strong == pytest.approx(plain, rel=1e-6)
    sigma = numpy.array(SIGMA)
    # The gradient of the mean over 6 elements, times the learning rate
    moved = 0.1 * 0.7 * 2 * (1 - sigma) / 6
    for name, w, w_zero, w_strong in zip(
        networks()[1].collect_params(), after, after_zero, after_strong
    ):
        expected = w + moved if name.endswith('sigma') else w
        numpy.testing.assert_allclose(w_zero, w, rtol=1e-5, atol=1e-7)
        numpy.testing.assert_allclose(w_strong, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('strength', [-0.1, math.nan])
def test_a_regulariser_that_would_narrow(strength):
    with pytest.raises(ValueError, match=f'strength is {strength}'):
        MixtureGame(MixtureLatent(3, 2), strength)


def test_the_discriminator_does_not_move_sigma():
    class Half(MixtureGame):
        def play(self, step):
            step.look_D()
            step.learn_D()
            return ()

    for make in (plain_step, OnlyFused):
        net_D, net_G, *rest = networks()
        before = weights(net_G)
        make(Half(net_G[0], 1))(*batch(), net_D, net_G, *rest)
        assert same(before, weights(net_G))


# The schedule


class Fixed:
    """A step in which the generator has the losses of a list, one a look."""

    def __init__(self, losses):
        self.losses, self.moves, self.Z = list(losses), '', np.ones((4, 1))

    def look_G(self):
        return np.array(4 * self.losses.pop(0))

    def look_D(self):
        return np.array(7.0)

    def learn_G(self):
        self.moves += 'G'

    def learn_D(self):
        self.moves += 'D'


def play(game, losses):
    """Take the steps that so many losses last for; gives who moved."""
    fixed = Fixed(losses)
    while fixed.losses:
        loss_D, loss_G = game.play(fixed)
    return fixed.moves, float(loss_D), float(loss_G)


def test_the_loss_decides():
    game = ThresholdGame(8)
    moves, loss_D, loss_G = play(game, [1.2, 0.9, 1.0, 1.1, 0.3])
    # The threshold is 1, and a loss of just that is not above it.
    assert moves == 'GDDGD'
    assert (loss_D, loss_G) == (7, pytest.approx(4 * 0.3))
    assert game.balance == 2 - 3
    assert game.threshold == 1


def test_both_losses_also_when_one_network_stood():
    moves, loss_D, loss_G = play(ThresholdGame(8), [2] * 5)
    assert moves == 'GGGGG' and (loss_D, loss_G) == (7, 8)
    moves, loss_D, loss_G = play(ThresholdGame(8), [0.5] * 5)
    assert moves == 'DDDDD' and (loss_D, loss_G) == (7, 2)


def test_a_generator_that_learns_too_much_raises_the_threshold():
    game = ThresholdGame(8)
    game.threshold = 0.95
    # 10 steps are not enough, 15 are: before the fourth minibatch
    play(game, [2] * 10)
    assert (game.threshold, game.balance) == (0.95, 10)
    play(game, [2] * 5)
    assert (game.threshold, game.balance) == (0.95, 15)
    play(game, [2] * 5)
    assert game.threshold == pytest.approx(0.96)
    assert game.balance == 5
    # Up to 1, and no further
    play(game, [2] * 5 * 3 * 10)
    assert game.threshold == 1


def test_a_discriminator_that_learns_too_much_lowers_it():
    game = ThresholdGame(10_000)
    play(game, [0.1] * 150)
    assert (game.threshold, game.balance) == (1, -150)
    play(game, [0.1] * 5)
    assert (game.threshold, game.balance) == (1, -155)
    play(game, [0.1] * 5)
    assert (game.threshold, game.balance) == (pytest.approx(0.999), -5)


def test_the_threshold_stops_at_its_floor_which_falls_with_the_epochs():
    game = ThresholdGame(2)
    game.threshold, game.balance = 0.7305, -151
    play(game, [0.1] * 5)
    assert (game.threshold, game.balance) == (0.73, -5)
    # On the floor the balance is left to fall.
    game.balance = -1000
    play(game, [0.1] * 5)
    assert (game.threshold, game.floor, game.balance) == (0.73, 0.73, -1005)
    # The third minibatch begins an epoch.
    play(game, [0.1] * 5)
    assert game.floor == pytest.approx(0.725)
    assert (game.threshold, game.balance) == (pytest.approx(0.729), -5)
    for _ in range(20):
        game.balance = -2000
        play(game, [0.1] * 5)
    assert game.floor == 0.70 <= game.threshold


@pytest.mark.parametrize('make', [plain_step, OnlyFused])
@pytest.mark.parametrize('adam', ['sgd', 'adam'])
def test_exactly_one_network_moves_in_an_inner_step(adam, make):
    """With real networks, seen between the inner steps."""
    X, Z = batch()
    net_D, net_G, loss, *trainers = networks(0.3, adam)
    seen, decisions = [], []

    class Watched(ThresholdGame):
        def play(self, step):
            look = step.look_G

            def look_G():
                # Without the term, from the networks themselves
                expected = loss(net_D(net_G(Z)), np.ones(6)).mean()
                seen.append((weights(net_D), weights(net_G)))
                decisions.append(float(expected) > self.threshold)
                found = look()
                assert float(found) == pytest.approx(6 * float(expected))
                return found

            step.look_G = look_G
            losses = super().play(step)
            step.look_G = look
            return losses

    game = Watched(8, MixtureGame(net_G[0], 0.1))
    # So that both kinds of step occur
    game.threshold = float(loss(net_D(net_G(Z)), np.ones(6)).mean()) + 1e-3
    step = make(game)
    for _ in range(4):
        step(X, Z, net_D, net_G, loss, *trainers)
    seen.append((weights(net_D), weights(net_G)))
    moved = ''
    for (D, G), (next_D, next_G), high in zip(seen, seen[1:], decisions):
        assert same(D, next_D) != same(G, next_G)
        moved += 'D' if same(G, next_G) else 'G'
        assert (moved[-1] == 'G') == high
    assert len(moved) == 20 and set(moved) == {'D', 'G'}


def test_a_schedule_without_minibatches():
    with pytest.raises(ValueError, match='minibatches_per_epoch is 0'):
        ThresholdGame(0)


# Layers side by side


@pytest.mark.parametrize('activation', [None, 'tanh'])
def test_groups_by_hand(activation):
    layer = GroupedDense(3, 4, 2, activation)
    layer.initialize(init.Normal(1))
    layer.bias.set_data(np.random.normal(0, 1, layer.bias.shape))
    X = np.random.normal(0, 1, (6, 2))
    W = layer.weight.data().asnumpy().reshape(3, 4, 2)
    b = layer.bias.data().asnumpy()
    expected = numpy.concatenate(
        [X.asnumpy()[2 * i : 2 * i + 2] @ W[i].T + b[i] for i in range(3)]
    )
    if activation:
        expected = numpy.tanh(expected)
    for _ in range(2):
        numpy.testing.assert_allclose(
            layer(X).asnumpy(), expected, rtol=1e-4, atol=1e-6
        )
        layer.hybridize()


def test_no_group():
    with pytest.raises(ValueError, match='num_groups is 0'):
        GroupedDense(0, 4, 2)


def test_initialisers_see_the_inputs():
    layer = GroupedDense(50, 30, 8)
    layer.initialize(init.Xavier('gaussian', 'in', 2))
    assert layer.weight.data().asnumpy().std() == pytest.approx(0.5, rel=0.02)
    assert (layer.bias.data().asnumpy() == 0).all()


def side_by_side(num_runs, num_components, width=8):
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(
        GroupedDense(num_runs, width, 2, 'tanh'),
        GroupedDense(num_runs, 1, width),
    )
    net_G.add(
        MixtureLatent(num_runs * num_components, 2),
        GroupedDense(num_runs, width, 2, 'tanh'),
        GroupedDense(num_runs, 2, width),
    )
    return net_D, net_G


def test_runs_side_by_side_are_those_that_one_would_train_apart():
    """Three GANs in one network, and each of them by itself."""
    rng = numpy.random.RandomState(0)
    num_runs, n = 3, 5
    X, Z = rng.normal(size=(2, 30, num_runs, n, 2)).astype('float32')
    start = [
        [
            rng.normal(0, 0.5, (num_runs, math.prod(p.shape) // num_runs))
            for p in net.collect_params().values()
        ]
        for net in side_by_side(num_runs, n)
    ]

    def run(runs):
        nets = side_by_side(len(runs), n)
        for net, values in zip(nets, start):
            net.initialize()
            for parameter, value in zip(net.collect_params().values(), values):
                parameter.set_data(np.array(value[runs]).reshape(
                    parameter.shape))  # fmt: skip
        trainers = [
            gluon.Trainer(net.collect_params(), 'adam',
                          {'learning_rate': 0.02, 'beta1': 0.5})
            for net in nets
        ]  # fmt: skip
        # The mean over a run's own sigmas, and Adam takes no note of scale.
        step = FusedStep(MixtureGame(nets[1][0], 0.1))
        for x, z in zip(X[:, runs], Z[:, runs]):
            step(np.array(x).reshape(-1, 2), np.array(z).reshape(-1, 2),
                 *nets, LOSS, *trainers)  # fmt: skip
        return [w.reshape(len(runs), -1) for net in nets for w in weights(net)]

    together = run([0, 1, 2])
    for i in range(num_runs):
        for whole, apart in zip(together, run([i])):
            numpy.testing.assert_allclose(whole[i], apart[0], atol=2e-4)


# All together


@pytest.mark.parametrize('threshold', [False, True])
def test_both_modes_are_reached(threshold):
    """Two clusters of points, five DeLiGANs side by side."""
    set_seed(0)
    num_runs = 5
    modes = numpy.array([[0.6, 0.6], [-0.6, -0.6]])
    points = numpy.resize(modes, (200, num_runs, 2))
    points = points + numpy.random.normal(0, 0.1, points.shape)
    batches = [
        np.array(points[i::10].swapaxes(0, 1).reshape(-1, 2), 'float32')
        for i in range(10)
    ]
    net_D, net_G = side_by_side(num_runs, 20, 32)
    game = MixtureGame(net_G[0], 0.01)
    if threshold:
        game = ThresholdGame(10, game)
    history = train(
        net_D, net_G, batches, 25 if threshold else 60, 5e-3, 5e-3, 2,
        batches[0], beta1=0.5, initializer=init.Xavier('uniform', 'in', 3),
        step=FusedStep(game), animator=False,
    )  # fmt: skip
    assert numpy.isfinite(history['loss_D'] + history['loss_G']).all()
    fakes = numpy.concatenate(
        [
            net_G(normal_latent(20 * num_runs, 2, mx.cpu()))
            .asnumpy()
            .reshape(num_runs, 20, 2)
            for _ in range(20)
        ],
        axis=1,
    )
    distances = numpy.linalg.norm(fakes[:, :, None] - modes, axis=3)
    # In each run
    assert ((distances < 0.4).mean(axis=1) > 0.1).all()
    # The components have moved.
    assert float(abs(net_G[0].sigma.data() - 0.2).mean()) > 0.01


def test_a_mixture_before_a_generator_of_images():
    set_seed(0)
    X = np.random.uniform(-1, 1, (40, 1, 4, 4))
    mixture, net_G = MixtureLatent(10, 3), nn.HybridSequential()
    net_G.add(mixture, mlp_generator((1, 4, 4), (8,)))
    net_G.hybridize()
    step = FusedStep(MixtureGame(mixture, 1))
    arguments = (mlp_discriminator((8,)), net_G, [X[:30], X[30:]], 15, 1e-2,
                 1e-2, 3, X)  # fmt: skip
    # 40 images to be shown, 30 and 10 to learn from, 10 components
    train(*arguments, step=step, animator=False)
    # So strong a regulariser takes sigma from 0.2 towards 1.
    assert 0.3 < float(mixture.sigma.data().mean()) < 1.1
