import logging
import pathlib

import mxnet as mx
import numpy
import pytest
from d2l import mxnet as d2l
from matches import (
    SYSTEMS,
    Match,
    OnlyFused,
    assert_close,
    gaussian,
    plain_step,
)
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan import fused
from d2l_gan.fused import FusedStep
from d2l_gan.train import (
    adversarial_step,
    set_seed,
    train,
    update_D,
    update_G,
)

npx.set_np()


def refuse(*_):
    raise AssertionError('this was not to be called')


@pytest.mark.parametrize('system', SYSTEMS)
def test_losses_and_gradients_are_those_of_the_plain_functions(system):
    ours, oracle = Match(system), Match(system)
    losses = ours.play(OnlyFused())
    net_D, net_G = oracle.nets
    loss_D = update_D(oracle.X, oracle.Z, net_D, net_G, oracle.loss,
                      oracle.trainers[0])  # fmt: skip
    gradients_D = oracle.gradients(0)
    loss_G = update_G(oracle.Z, net_D, net_G, oracle.loss, oracle.trainers[1])
    numpy.testing.assert_allclose(
        losses, [float(loss_D), float(loss_G)], rtol=1e-5
    )
    assert_close(ours.gradients(0), gradients_D)
    assert_close(ours.gradients(1), oracle.gradients(1))
    assert all(abs(gradient).max() > 0 for gradient in ours.gradients(0)[:1])


def test_the_plain_step_of_the_usual_game_is_the_adversarial_step():
    ours, oracle = Match(), Match()
    for _ in range(3):
        losses = ours.play(plain_step(fused.Game()))
        numpy.testing.assert_array_equal(losses, oracle.play(adversarial_step))
    for a, b in zip(ours.weights(), oracle.weights()):
        numpy.testing.assert_array_equal(a, b)


class Haggling(fused.Game):
    """Looks and learns in an odd order, and pays for a parameter of G."""

    def __init__(self, net_G):
        self.price = nn.HybridLambda(lambda F, w: ((w - 2) ** 2).sum())
        # (Plain steps could not add up a transposed convolution's gradients: a
        # fault of MXNet 1.9.1.)
        self.weight = next(
            parameter
            for parameter in net_G.collect_params().values()
            if len(parameter.shape) <= 2
        )

    def loss_G(self, net_D, loss, X, fake_X, ones, zeros):
        is_symbol = isinstance(X, mx.sym.Symbol)
        weight = self.weight.var() if is_symbol else self.weight.data()
        return loss(net_D(fake_X), ones) + self.price(weight)

    def play(self, step):
        step.look_G()
        step.learn_G(), step.look_G(), step.learn_G()
        step.look_D(), step.look_G()
        step.learn_G()
        step.draw(-step.Z)
        loss_D = step.look_D()
        step.learn_D(), step.look_D(), step.learn_D()
        return loss_D, step.look_G()


@pytest.mark.parametrize('system', ['gaussian', 'DCGAN, RGB', 'conditional'])
def test_a_game_may_have_any_order_and_a_price_on_parameters(system):
    # Steps of SGD are as long as the gradients.
    ours, oracle = (
        Match(system, optimizer='sgd', learning_rate=0.3) for _ in range(2)
    )
    steps = (
        OnlyFused(Haggling(ours.nets[1])),
        plain_step(Haggling(oracle.nets[1])),
    )
    for trained in (True, False):
        before = ours.weights(trained)
        for _ in range(2):
            numpy.testing.assert_allclose(
                ours.play(steps[0]), oracle.play(steps[1]), rtol=1e-4
            )
        went, expected = (
            [a - b for a, b in zip(match.weights(trained), before)]
            for match in (ours, oracle)
        )
        largest = max([abs(way).max() for way in expected], default=1)
        assert largest > 1e-4
        for a, b in zip(went, expected):
            numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * largest)


def test_what_is_no_game_is_named():
    with pytest.raises(TypeError, match="'bfloat16', but has to be a Game"):
        FusedStep('bfloat16')


def test_200_steps_lead_to_the_same_weights():
    games = Match(), Match()
    steps = OnlyFused(), adversarial_step
    data = np.random.normal(0, 1, (200, 8, 2)) * 2 + 1
    noise = np.random.normal(0, 1, (200, 8, 6))
    before = games[0].weights()
    for X, Z in zip(data, noise):
        for game, step in zip(games, steps):
            game.X, game.Z = X, Z
            game.play(step)
    for a, b, c in zip(games[0].weights(), games[1].weights(), before):
        numpy.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert abs(a - c).max() > 0.1  # they went somewhere


def train_on(data, nets, **settings):
    set_seed(4)
    history = train(
        *nets, d2l.load_array((data,), 8), 3, 0.05, 0.005, 2, data[:5],
        animator=False, **settings,
    )  # fmt: skip
    return [history['loss_D'], history['loss_G']] + [
        parameter.data(parameter.list_ctx()[0]).asnumpy()
        for net in nets
        for parameter in net.collect_params().values()
    ]


@pytest.mark.parametrize('device', [None, mx.cpu(1)])
def test_train_takes_fused_steps_by_itself(device, monkeypatch):
    # 36 is no multiple of 8: the last minibatch has 4 examples.
    data = numpy.random.RandomState(0).normal(size=(36, 2)).astype('float32')
    oracle = train_on(data, gaussian(), step=adversarial_step, device=device)
    monkeypatch.setattr('d2l_gan.train.update_D', refuse)
    ours = train_on(data, gaussian(), device=device)
    for a, b in zip(ours, oracle):
        numpy.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class Curious(nn.HybridSequential):
    def forward(self, X):
        float(X.sum())  # symbols have no value
        return super().forward(X)


def plain_block():
    net_D, net_G = nn.Sequential(), nn.Dense(2)
    net_D.add(nn.Dense(5, activation='tanh'), nn.Dense(1))
    return net_D, net_G


def curious():
    net_D, net_G = gaussian()[0], Curious()
    net_G.add(nn.Dense(2))
    return net_D, net_G


@pytest.mark.parametrize(
    'make, reason',
    [
        (plain_block, 'net_D is no HybridBlock'),
        (curious, 'cannot be hybridized'),
    ],
)
def test_other_networks_are_trained_all_the_same(make, reason, caplog):
    fused.warn_once.cache_clear()
    data = numpy.random.RandomState(0).normal(size=(16, 2)).astype('float32')
    with caplog.at_level(logging.WARNING):
        asked = train_on(data, make(), step=adversarial_step)
        assert not caplog.records
        ours = [train_on(data, make()) for _ in range(2)]
    assert len(caplog.records) == 1  # for two trainings
    assert reason in caplog.text
    for a, b in zip(ours[0], asked):
        numpy.testing.assert_array_equal(a, b)


def test_gradients_that_are_added_or_shared_are_left_to_the_plain_step():
    game = Match()
    game.nets[0][0].weight.grad_req = 'add'
    with pytest.raises(ValueError, match='added up'):
        fused.trace_step(*game.nets, game.loss, fused.Game())
    shared = nn.Dense(1, in_units=1)
    with pytest.raises(ValueError, match='in common'):
        fused.trace_step(shared, shared, game.loss, fused.Game())


@pytest.mark.parametrize('system', ['DCGAN, RGB', 'tanh', 'conditional'])
def test_running_statistics_are_those_of_the_plain_functions(system):
    # D runs three times and G once or twice, but MXNet moves the statistics
    # in the backward pass, and G has one in either step.
    games = Match(system), Match(system)
    steps = OnlyFused(), adversarial_step
    before = games[0].weights(trained=False)
    for game, step in zip(games, steps):
        game.play(step)
    statistics = [game.weights(trained=False) for game in games]
    assert_close(*statistics, rtol=1e-4)
    assert all(abs(a - b).max() > 1e-4 for a, b in zip(before, statistics[0]))


def test_running_statistics_can_be_read_after_the_step():
    # By an operator, which the engine has to let wait for the step.
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Dense(64), nn.BatchNorm(), nn.Dense(1))
    net_G.add(nn.Dense(512), nn.BatchNorm(), nn.Dense(512), nn.Dense(64))
    read, then = [], []

    def step(*arguments):
        losses = fused_step(*arguments)
        statistics = [
            parameter.data().as_nd_ndarray()
            for net in (net_D, net_G)
            for parameter in net.collect_params('.*running.*').values()
        ]
        read.extend(2 * array for array in statistics)
        npx.waitall()
        then.extend(array.asnumpy() for array in statistics)
        return losses

    fused_step = OnlyFused()
    X = np.random.normal(0, 1, (16, 64))
    train(net_D, net_G, [X] * 40, 1, 0.01, 0.01, 64, X, step=step,
          animator=False)  # fmt: skip
    assert len(read) == 40 * 4
    for array, statistic in zip(read, then):
        numpy.testing.assert_array_equal(array.asnumpy(), 2 * statistic)


def test_networks_keep_their_parameters_and_can_be_called_in_between():
    # In prediction mode, the engine lays the weights of convolutions out anew.
    ours, oracle = Match('DCGAN, grey'), Match('DCGAN, grey')
    step = OnlyFused()
    weight = ours.nets[1][4][0].weight.data()
    before = weight.asnumpy()
    for _ in range(3):
        losses = ours.play(step), oracle.play(adversarial_step)
        numpy.testing.assert_allclose(*losses, rtol=1e-4)
        assert ours.nets[1](ours.Z).shape == ours.X.shape
        ours.nets[0](ours.X).wait_to_read()
    assert ours.nets[1][4][0].weight.data() is weight
    assert abs(weight.asnumpy() - before).max() > 1e-3


@pytest.mark.parametrize('n', [3, 8])
def test_plain_and_fused_steps_and_saved_states_can_take_turns(n, tmp_path):
    ours, oracle = Match(), Match()
    step = OnlyFused()
    for i in range(8):
        oracle.play(adversarial_step, n if i % 3 else None)
        ours.play(adversarial_step if i == 4 else step, n if i % 3 else None)
        if i == 5:
            for trainer in ours.trainers:
                trainer.save_states(str(tmp_path / 'states'))
                trainer.load_states(str(tmp_path / 'states'))
    assert_close(ours.weights(), oracle.weights())


@pytest.mark.parametrize(
    'settings',
    [
        {'optimizer': 'sgd', 'momentum': 0.5},
        {'wd': 0.1},
        {'clip_gradient': 0.01},
        {'beta1': 0.5, 'beta2': 0.9, 'epsilon': 1e-3},
        {'rescale_grad': 0.1},
    ],
)
def test_other_optimizers_and_settings(settings):
    ours, oracle = Match(**settings), Match(**settings)
    step = OnlyFused()
    for _ in range(4):
        ours.play(step), oracle.play(adversarial_step)
    assert_close(ours.weights(), oracle.weights())


def test_learning_rates_of_parameters_and_frozen_ones():
    games = Match(), Match()
    steps = OnlyFused(), adversarial_step
    for game, step in zip(games, steps):
        net_D, _ = game.nets
        # (A frozen weight would do, but the plain step then finds a gradient
        # of zero for the bias beside it: a fault of MXNet 1.9.1.)
        net_D[0].bias.grad_req = 'null'
        net_D[1].weight.lr_mult = 0.1
        for i in range(4):
            if i == 2:
                game.trainers[1].set_learning_rate(0.1)
            game.play(step)
    assert_close(games[0].weights(), games[1].weights())
    (frozen,) = games[0].weights(trained=False)
    numpy.testing.assert_array_equal(frozen, numpy.zeros(5))


def test_weights_drawn_anew_are_found():
    ours, oracle = Match(), Match()
    step = OnlyFused()
    for game, one in ((ours, step), (oracle, adversarial_step)):
        for _ in range(2):
            set_seed(9)
            for net in game.nets:
                net.initialize(init.Normal(0.5), force_reinit=True)
            game.trainers = [
                gluon.Trainer(net.collect_params(), 'adam')
                for net in game.nets
            ]
            # The first call also finds the sizes of the layers.
            game.play(one)
    assert_close(ours.weights(), oracle.weights())


def test_fused_steps_do_not_wait_for_the_engine(monkeypatch):
    game = Match()
    step = OnlyFused()
    with monkeypatch.context() as patch:
        for name in ('asnumpy', 'item', 'wait_to_read', '__float__'):
            patch.setattr(mx.np.ndarray, name, refuse)
            if hasattr(mx.nd.NDArray, name):
                patch.setattr(mx.nd.NDArray, name, refuse)
        losses = [
            step(game.X, game.Z, *game.nets, game.loss, *game.trainers)
            for _ in range(3)
        ]
    # Later steps leave the losses of earlier ones alone.
    losses = [tuple(map(float, pair)) for pair in losses]
    assert len({loss_D for loss_D, _ in losses}) == 3
    assert all(loss.shape == () for loss in step(
        game.X, game.Z, *game.nets, game.loss, *game.trainers))  # fmt: skip


def test_shapes_that_differ_are_named():
    game = Match()
    game.X = np.ones((8, 3))
    set_seed(0)
    game.nets[0].initialize(force_reinit=True)
    game.nets = gaussian()
    for net in game.nets:
        net.initialize()
    with pytest.raises(ValueError, match=r'\(8, 2\).*\(8, 3\)'):
        game.play(OnlyFused())


@pytest.mark.parametrize('system', ['gaussian', 'DCGAN, RGB'])
def test_one_call_updates_all_small_parameters(system, monkeypatch):
    game, calls = Match(system), []
    step, adam_update = OnlyFused(), mx.nd.adam_update

    def count(*arrays, **settings):
        calls.append(arrays[0].ndim)
        return adam_update(*arrays, **settings)

    monkeypatch.setattr(mx.nd, 'adam_update', count)
    game.play(step)
    # One for each network, and one for the weights of each convolution
    convolutions = [weight for weight in game.weights() if weight.ndim > 2]
    assert sorted(calls) == [1, 1] + [4] * len(convolutions)


def test_parameters_that_were_moved_can_be_set_saved_and_read(tmp_path):
    game, oracle = Match(), Match()
    step, path = OnlyFused(), str(tmp_path / 'net.params')
    for _ in range(3):
        game.play(step), oracle.play(adversarial_step)
    game.nets[0].save_parameters(path)
    game.play(step)
    game.nets[0].load_parameters(path)
    weight = oracle.nets[1][0].weight
    game.nets[1][0].weight.set_data(weight.data())
    game.nets[1][0].bias.set_data(oracle.nets[1][0].bias.data())
    assert_close(game.weights(), oracle.weights())
    # The next step starts from there; the losses come before the updates.
    numpy.testing.assert_allclose(
        game.play(step)[0], oracle.play(adversarial_step)[0], rtol=1e-5
    )


@pytest.fixture
def bfloat16(monkeypatch):
    """Take any processor with AVX-512, by which bfloat16 is emulated."""
    if 'avx512bw' not in pathlib.Path('/proc/cpuinfo').read_text():
        pytest.skip('no AVX-512')
    monkeypatch.setattr(fused, 'has_bfloat16', lambda: True)


def to_bfloat16(array):
    """Round half to even, by the bits of float32."""
    bits = array.astype('float32').view('uint32').astype('uint64')
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return bits.astype('uint32').view('float32')


@pytest.mark.parametrize('sizes, rounds', [((32, 16), True), ((32, 8), False),
                                           ((33, 16), False)])  # fmt: skip
def test_factors_of_large_products_are_rounded(sizes, rounds):
    width, units = sizes
    net = nn.Dense(units, in_units=width)
    net.initialize(init.Normal(1))
    X = np.random.normal(0, 1, (5, width))
    symbol = net(mx.sym.var('X').as_np_ndarray())
    params = net.collect_params()
    symbol, names = fused.round_products(symbol, params)
    assert names == (set(params) if rounds else set())
    arrays, _ = fused.in_bfloat16(
        {name: params[name].data() for name in params}, names
    )
    (Y,) = fused.bind(symbol, {'X': X, **arrays}, {}, mx.cpu()).forward()
    factors = X.asnumpy(), net.weight.data().asnumpy().T
    expected = numpy.matmul(*map(to_bfloat16, factors) if rounds else factors)
    # The product is rounded too.
    tolerance = 2**-8 if rounds else 1e-5
    numpy.testing.assert_allclose(Y.asnumpy(), expected, tolerance, 1e-5)
    inexact = abs(Y.asnumpy() - numpy.matmul(*factors)).max()
    assert (inexact > 1e-3) == rounds


@pytest.mark.parametrize('system', ['MLP, small', 'tanh', 'DCGAN, grey'])
def test_gradients_in_bfloat16_are_near_those_in_float32(system, bfloat16):
    games = Match(system), Match(system), Match(system)
    for net in games[2].nets:
        for parameter in net.collect_params().values():
            parameter.set_data(
                np.array(to_bfloat16(parameter.data().asnumpy()))
            )
    steps = FusedStep(dtype='bfloat16'), FusedStep(), FusedStep()
    losses = [game.play(step) for game, step in zip(games, steps)]
    numpy.testing.assert_allclose(*losses[:2], rtol=2**-6)
    assert (losses[0] != losses[1]).any()
    for net in (0, 1):
        ours, exact, rounded_once = (
            numpy.concatenate([g.ravel() for g in game.gradients(net)])
            for game in games
        )
        # Products and gradients are rounded themselves. And the kinks of leaky
        # ReLU make much of little with so few examples: to round nothing but
        # the weights, and only once, does as much.
        allowed = 2**-5 * numpy.linalg.norm(exact)
        allowed += 2 * numpy.linalg.norm(rounded_once - exact)
        assert numpy.linalg.norm(ours - exact) < allowed
    for weight in games[0].weights():
        assert weight.dtype == 'float32'
        # Steps of 0.01 on weights of that size would be lost in bfloat16.
        assert (weight != to_bfloat16(weight)).any() or not weight.any()


def test_tiny_networks_stay_in_float32(bfloat16):
    ours, oracle = Match(), Match()
    for _ in range(2):
        ours.play(FusedStep(dtype='bfloat16')), oracle.play(FusedStep())
    for a, b in zip(ours.weights(), oracle.weights()):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('flags, expected', [
    ('flags : fpu avx512f avx512_bf16 sse', True),
    ('flags : amx_bf16', True),
    ('flags : fpu avx512f', False),
    (None, False),
])  # fmt: skip
def test_the_processor_says_whether_it_has_bfloat16(
    flags, expected, monkeypatch
):
    def read_text(path):
        if flags is None:
            raise FileNotFoundError(path)
        return flags

    monkeypatch.setattr('pathlib.Path.read_text', read_text)
    assert fused.has_bfloat16() is expected


def test_types_that_cannot_be_had_are_refused(monkeypatch):
    data = numpy.random.RandomState(0).normal(size=(16, 2)).astype('float32')
    with pytest.raises(ValueError, match=r"'float16'.*'bfloat16'"):
        FusedStep(dtype='float16')
    monkeypatch.setattr(fused, 'has_bfloat16', lambda: False)
    with pytest.raises(ValueError, match='neither avx512_bf16 nor'):
        FusedStep(dtype='bfloat16')
    monkeypatch.setattr(fused, 'has_bfloat16', lambda: True)
    step = FusedStep(dtype='bfloat16')
    with pytest.raises(ValueError, match=r'plain steps.*no HybridBlock'):
        train_on(data, plain_block(), step=step)


def test_a_step_keeps_the_two_shapes_that_were_used_last():
    games = Match('DCGAN, grey'), Match('DCGAN, grey')
    step = OnlyFused()
    for n in (8, 7, 8, 6, 5, 8, 7):
        X, Z = games[0].X[:n], games[0].Z[:n]
        losses = [
            taken(X, Z, *game.nets, game.loss, *game.trainers)
            for taken, game in zip((step, adversarial_step), games)
        ]
        assert [float(x) for x in losses[0]] == [float(x) for x in losses[1]]
    assert [shape[0] for shape, _, _ in step.bound] == [8, 7]
