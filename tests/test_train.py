import math

import mxnet as mx
import numpy
import pytest
import scipy.linalg
import small
from d2l import mxnet as d2l
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn
from processes import python
from small import weights

from d2l_gan.data import read_images
from d2l_gan.systems import POINT_SYSTEMS, SYSTEMS, System, count_classes
from d2l_gan.train import (
    FieldRecorder,
    Recorder,
    adversarial_step,
    draw_gaussian,
    set_seed,
    train,
    update_D,
    update_G,
)

npx.set_np()


def networks():
    """Those of d2l, which are no hybrid ones."""
    net_D, net_G = nn.Sequential(), nn.Sequential()
    net_D.add(
        nn.Dense(5, activation='tanh'),
        nn.Dense(3, activation='tanh'),
        nn.Dense(1),
    )
    net_G.add(nn.Dense(2))
    return net_D, net_G


def run_steps(step_D, step_G, steps, batch_size=8):
    """d2l's demo for some steps; gives all losses and the final weights."""
    set_seed(7)
    net_D, net_G = networks()
    for net in (net_D, net_G):
        net.initialize(init.Normal(0.02))
    loss = gluon.loss.SigmoidBCELoss()
    trainer_D = gluon.Trainer(
        net_D.collect_params(), 'adam', {'learning_rate': 0.05}
    )
    trainer_G = gluon.Trainer(
        net_G.collect_params(), 'adam', {'learning_rate': 0.005}
    )
    losses = []
    for _ in range(steps):
        X = draw_gaussian(batch_size)
        Z = np.random.normal(0, 1, (batch_size, 2))
        losses += [
            step_D(X, Z, net_D, net_G, loss, trainer_D),
            step_G(Z, net_D, net_G, loss, trainer_G),
        ]
    return numpy.array([float(x) for x in losses]), weights(net_D, net_G)


def test_updates_are_those_of_d2l():
    losses, ours = run_steps(update_D, update_G, steps=200)
    oracle_losses, oracle = run_steps(d2l.update_D, d2l.update_G, steps=200)
    numpy.testing.assert_allclose(losses, oracle_losses, rtol=0, atol=1e-6)
    for a, b in zip(ours, oracle):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    # The comparison says something only if training went somewhere.
    assert abs(losses[-2:] - losses[:2]).max() > 0.05


def fixed_networks(w_D, w_G):
    """D(x) = w_D x and G(z) = w_G z, in one dimension."""
    nets = []
    for w in (w_D, w_G):
        net = nn.Dense(1, in_units=1, use_bias=False)
        net.initialize(init.Constant(w))
        nets.append(net)
    return nets


def sgd(net):
    return gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 1.0})


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_update_D_by_hand():
    # One example: x = 2, fake = 3 * 0.5; the logits are 0.4 and 0.3.
    net_D, net_G = fixed_networks(0.2, 3.0)
    loss = update_D(
        np.array([[2.0]]),
        np.array([[0.5]]),
        net_D,
        net_G,
        gluon.loss.SigmoidBCELoss(),
        sgd(net_D),
    )
    expected = -math.log(sigmoid(0.4)) - math.log(1 - sigmoid(0.3))
    assert float(loss) == pytest.approx(expected / 2, rel=1e-5)
    # dL/dw = (-(1 - s(0.4)) * 2 + s(0.3) * 1.5) / 2
    slope = (-(1 - sigmoid(0.4)) * 2 + sigmoid(0.3) * 1.5) / 2
    assert float(net_D.weight.data()) == pytest.approx(0.2 - slope, rel=1e-5)
    assert float(net_G.weight.data()) == 3.0


def test_update_G_by_hand():
    # Two examples: their losses are summed, their gradients averaged.
    net_D, net_G = fixed_networks(0.2, 3.0)
    Z = np.array([[0.5], [-1.0]])
    loss = update_G(Z, net_D, net_G, gluon.loss.SigmoidBCELoss(), sgd(net_G))
    expected = -math.log(sigmoid(0.3)) - math.log(sigmoid(-0.6))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    # dL/dw_G = -(1 - s(o)) * w_D * z
    slope = (-(1 - sigmoid(0.3)) * 0.2 * 0.5 + (1 - sigmoid(-0.6)) * 0.2) / 2
    assert float(net_G.weight.data()) == pytest.approx(3.0 - slope, rel=1e-5)
    assert float(net_D.weight.data()) == pytest.approx(0.2, abs=1e-8)


def test_updates_do_not_wait_for_the_engine(monkeypatch):
    net_D, net_G = fixed_networks(0.2, 3.0)
    X, Z = np.array([[2.0]]), np.array([[0.5]])
    loss = gluon.loss.SigmoidBCELoss()
    trainer_D, trainer_G = sgd(net_D), sgd(net_G)

    def refuse(*_):
        raise AssertionError('the engine was stopped')

    with monkeypatch.context() as patch:
        for name in ('asnumpy', 'item', 'wait_to_read', '__float__'):
            patch.setattr(mx.np.ndarray, name, refuse)
        losses = (
            update_D(X, Z, net_D, net_G, loss, trainer_D),
            update_G(Z, net_D, net_G, loss, trainer_G),
        )
        with pytest.raises(AssertionError, match='stopped'):
            float(losses[0])  # so the trap is not a dummy
    assert all(loss.shape == () and float(loss) > 0 for loss in losses)


def test_update_D_names_shapes_that_differ():
    net_D, net_G = fixed_networks(0.2, 3.0)
    with pytest.raises(ValueError, match=r'\(2, 1\).*\(1, 1\)'):
        update_D(
            np.ones((1, 1)),
            np.ones((2, 1)),
            net_D,
            net_G,
            gluon.loss.SigmoidBCELoss(),
            sgd(net_D),
        )


def d2l_loop(net_D, net_G, data_iter, num_epochs, lr_D, lr_G, num_shown):
    """d2l's loop, with d2l's updates; gives the mean losses of each epoch."""
    loss = gluon.loss.SigmoidBCELoss()
    trainers = []
    for net, lr in ((net_D, lr_D), (net_G, lr_G)):
        net.initialize(init.Normal(0.02), force_reinit=True)
        trainers.append(
            gluon.Trainer(net.collect_params(), 'adam', {'learning_rate': lr})
        )
    means = []
    for _ in range(num_epochs):
        sums = numpy.zeros(3)
        for X in data_iter:
            Z = np.random.normal(0, 1, size=(X.shape[0], 2))
            sums += (
                d2l.update_D(X, Z, net_D, net_G, loss, trainers[0]),
                d2l.update_G(Z, net_D, net_G, loss, trainers[1]),
                X.shape[0],
            )
        means.append(sums[:2] / sums[2])
        np.random.normal(0, 1, size=(num_shown, 2))  # of what it shows
    return numpy.array(means)


def test_train_gives_the_losses_of_d2l_s_loop():
    # 100 is no multiple of 8: the last minibatch has 4 examples.
    set_seed(3)
    data = draw_gaussian(100)
    nets, oracle = networks(), networks()
    set_seed(4)
    history = train(
        *nets, d2l.load_array((data,), 8), 5, 0.05, 0.005, 2, data[:10],
        animator=False,
    )  # fmt: skip
    set_seed(4)
    means = d2l_loop(*oracle, d2l.load_array((data,), 8), 5, 0.05, 0.005, 10)
    numpy.testing.assert_allclose(history['loss_D'], means[:, 0], atol=1e-6)
    numpy.testing.assert_allclose(history['loss_G'], means[:, 1], atol=1e-6)
    for a, b in zip(weights(*nets), weights(*oracle)):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert len(history['examples_per_sec']) == 5
    assert all(rate > 0 for rate in history['examples_per_sec'])


def test_train_takes_tuples_with_labels():
    data = draw_gaussian(64)
    results = []
    for arrays in ((data,), (data, np.arange(64))):
        set_seed(5)
        history = train(
            *networks(), d2l.load_array(arrays, 16), 2, 0.05, 0.005, 2, data,
            animator=False,
        )  # fmt: skip
        results.append((history['loss_D'], history['loss_G']))
    assert results[0] == results[1]


def test_beta1_reaches_both_optimizers():
    data, results = draw_gaussian(64), []
    for beta1 in (0.9, 0.5):
        set_seed(5)
        nets = networks()
        train(
            *nets, d2l.load_array((data,), 16), 1, 0.05, 0.005, 2, data,
            beta1=beta1, animator=False,
        )  # fmt: skip
        results.append([weights(net) for net in nets])
    for old, new in zip(*results):
        assert any(abs(a - b).max() > 1e-4 for a, b in zip(old, new))


def test_the_device_is_an_argument():
    # A second CPU context stands for another device.
    data = draw_gaussian(16)
    nets = networks()
    train(
        *nets, d2l.load_array((data,), 8), 1, 0.05, 0.005, 2, data,
        device=mx.cpu(1), animator=False,
    )  # fmt: skip
    for net in nets:
        for parameter in net.collect_params().values():
            assert parameter.list_ctx() == [mx.cpu(1)]


def test_d2l_s_own_cell_runs_and_prints(capsys):
    data = draw_gaussian(40)
    net_D, net_G = networks()
    train(net_D, net_G, d2l.load_array((data,), 8), 2, 0.05, 0.005, 2,
          data[:10].asnumpy())  # fmt: skip
    out, err = capsys.readouterr()
    assert out.count('\n') == 1 and 'loss_D 0.' in out
    assert 'examples/sec' in out and '<Figure' not in out + err


def test_images_go_through_the_same_loop():
    X = np.random.uniform(-1, 1, (32, 1, 8, 8))
    net_D, net_G = nn.Sequential(), nn.Sequential()
    net_D.add(nn.Dense(8, activation='tanh'), nn.Dense(1))
    net_G.add(
        nn.Dense(64, activation='tanh'),
        nn.HybridLambda(lambda F, x: F.npx.reshape(x, (-1, 1, 8, 8))),
    )
    history = train(
        net_D, net_G, d2l.load_array((X, np.arange(32)), 8), 2, 1e-3, 1e-3, 5,
        X[:6],
    )  # fmt: skip
    assert all(math.isfinite(loss) for loss in history['loss_G'])


def test_set_seed_fixes_weights_latents_and_shuffling():
    def draw():
        net = nn.Dense(3, in_units=2)
        net.initialize(init.Normal(0.02))
        loader = d2l.load_array((np.arange(20),), 20)
        return [
            net.weight.data().asnumpy(),
            np.random.normal(0, 1, (4,)).asnumpy(),
            next(iter(loader)).asnumpy(),
        ]

    set_seed(11)
    first = draw()
    second = draw()
    set_seed(11)
    again = draw()
    for a, b, c in zip(first, again, second):
        numpy.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_the_chapter_s_settings_reach_the_truth():
    """Fréchet distances, with SciPy's matrix root, over three seeds."""
    A, b = numpy.array([[1, 2], [-0.1, 0.5]]), numpy.array([1.0, 2.0])
    cov = A.T @ A
    for seed in (20, 21, 22):
        set_seed(seed)
        data = draw_gaussian().asnumpy()
        net_D, net_G = small.point_networks(32)
        net_D.hybridize()
        train(
            net_D, net_G, d2l.load_array((data,), 8), 20, 0.02, 0.005, 2,
            data, beta1=0.5, animator=False,
        )  # fmt: skip
        W, b_G = weights(net_G)
        root = scipy.linalg.sqrtm(W @ W.T @ cov).real
        distance = ((b_G - b) ** 2).sum() + numpy.trace(
            W @ W.T + cov - 2 * root
        )
        # Before training it is 10.2; the data's own error is up to 0.035.
        assert distance < 0.1


@pytest.mark.parametrize('name', SYSTEMS)
def test_watching_changes_nothing(name):
    """With any animator and with none, with a seed and without."""
    if name in POINT_SYSTEMS:
        examples, labels = draw_gaussian(48).asnumpy(), None
    else:
        examples, labels = read_images('digits', size=16)
        examples, labels = examples[:96], labels[:96]
    for seed in (None, 7):
        digests = set()
        for animator in (False, Recorder(), None):
            set_seed(3)
            system = System(name, examples.shape[1:], count_classes(labels))
            data_iter = system.minibatches(examples, labels, 48)
            # Of conditional systems a look at a batch is no picture.
            shown = next(iter(data_iter))
            if system.takes_orders and animator is None:
                continue
            history = system.train(
                data_iter, 2, shown, animator=animator, seed=seed
            )
            nets = system.net_D, system.net_G
            digests.add(small.digest(*nets, history))
        assert len(digests) == 1


def test_an_argument_is_what_it_says(monkeypatch):
    """Without a step fused ones are taken, and else the one that is given."""
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return update_D(*arguments)

    monkeypatch.setattr('d2l_gan.train.update_D', counted)
    data = draw_gaussian(16)
    for step, num_calls in ((None, 0), (adversarial_step, 2)):
        calls.clear()
        train(
            *small.point_networks(5), [data[:8], data[8:]], 1, 0.05, 0.005, 2,
            data, step=step, animator=False,
        )  # fmt: skip
        assert len(calls) == num_calls


@pytest.mark.parametrize(
    ('wrong', 'cure'),
    [
        ('sead', "did you mean 'seed'?"),
        ('initialiser', "did you mean 'initializer'?"),
        ('beta_1', "did you mean 'beta1'?"),
        ('kv_store', "did you mean 'kvstore'?"),
        ('dtype', 'see help(train)'),
    ],
)
def test_arguments_that_are_misspelt(wrong, cure):
    nets = networks()
    with pytest.raises(TypeError) as caught:
        train(*nets, [], 1, 0.05, 0.005, 2, None, **{wrong: 1})
    assert repr(wrong) in str(caught.value)
    assert str(caught.value).endswith(cure)
    # Nothing was begun.
    with pytest.raises(RuntimeError):
        weights(*nets)


def test_the_parts_of_the_loop_can_be_exchanged():
    data, seen = draw_gaussian(40), []

    def latent(batch_size, latent_dim, ctx):
        return np.full((batch_size, latent_dim), 3.0, ctx=ctx)

    def step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        assert all((w == 0.5).all() for w in weights(net_D, net_G)[::2])
        seen.append((X.shape, Z.shape, float(Z.min()), float(Z.max())))
        return np.full((), 2.0 * len(X)), np.full((), 3.0 * len(X))

    net_D, net_G = networks()
    history = train(
        net_D, net_G, d2l.load_array((data,), 16), 1, 0.05, 0.005, 4,
        data[:5], initializer=init.Constant(0.5), latent=latent, step=step,
        animator=False,
    )  # fmt: skip
    assert seen == [((n, 2), (n, 4), 3.0, 3.0) for n in (16, 16, 8)]
    # The means over the examples of what the step returned
    assert (history['loss_D'], history['loss_G']) == ([2.0], [3.0])


def test_a_recorder_keeps_the_fakes_of_every_epoch():
    set_seed(3)
    net_D, net_G = networks()
    X = draw_gaussian(40)
    recorder = Recorder()
    train(
        net_D, net_G, d2l.load_array((X.asnumpy(),), 8), 3, 0.05, 0.005, 2,
        X[:10], animator=recorder,
    )  # fmt: skip
    assert [fakes.shape for fakes in recorder.fakes] == [(10, 2)] * 3
    assert isinstance(recorder.fakes[0], numpy.ndarray)
    assert (recorder.fakes[0] != recorder.fakes[1]).all()


def test_a_field_is_what_the_discriminator_says_by_hand():
    """With a logit of 2 x - y + 1."""
    net_D = nn.Dense(1)
    net_D.initialize()
    net_D(np.zeros((1, 2)))
    net_D.weight.set_data(np.array([[2.0, -1.0]]))
    net_D.bias.set_data(np.ones(1))
    recorder = FieldRecorder(net_D, (-1, 3, 0, 2), num_arrows=2)
    fakes = numpy.array([[0, 1], [1, 0], [5, 5]], 'float32')
    recorder.show(None, np.array(fakes))
    (field,), (arrows,) = recorder.fields, recorder.arrows
    assert field.shape == (40, 40)
    for row, column, logit in ((0, 0, -1), (0, 39, 7), (39, 0, -3)):
        p = 1 / (1 + math.exp(-logit))
        assert field[row, column] == pytest.approx(p, rel=1e-5)
    # -log(sigmoid(o)) falls by 1 - sigmoid(o) for each unit of the logit.
    p = 1 / (1 + numpy.exp(-numpy.array([[0], [3]])))
    numpy.testing.assert_allclose(arrows, (1 - p) * [[2, -1]], rtol=1e-5)
    numpy.testing.assert_array_equal(recorder.fakes, [fakes])


@pytest.mark.parametrize('hybrid', [False, True])
def test_to_see_the_field_changes_nothing(hybrid):
    """Not a gradient, a running average or a random number either."""
    digests = set()
    for watched in (False, True):
        set_seed(3)
        net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
        net_D.add(nn.Dense(8, activation='tanh'), nn.BatchNorm())
        net_D.add(nn.Dropout(0.5), nn.Dense(1))
        net_G.add(nn.Dense(2))
        if hybrid:
            net_D.hybridize()
        X = draw_gaussian(40)
        history = train(
            net_D, net_G, d2l.load_array((X.asnumpy(),), 8), 3, 0.05, 0.005,
            2, X[:10], step=adversarial_step,
            animator=watched and FieldRecorder(net_D, (-1, 1, -1, 1)),
        )  # fmt: skip
        gradients = [
            parameter.grad().asnumpy().tobytes()
            for parameter in net_D.collect_params('.*weight').values()
        ]
        numbers = np.random.normal(0, 1, (4,)).asnumpy().tobytes()
        digest = small.digest(net_D, net_G, history)
        digests.add((digest, *gradients, numbers))
    assert len(digests) == 1


@pytest.fixture(scope='module')
def digests():
    """Of all small systems, from another process."""
    status, out, err = python(small.__file__, 5)
    assert status == 0, err
    return dict(line.split() for line in out.splitlines())


@pytest.mark.parametrize('system', small.SYSTEMS)
def test_a_seed_fixes_everything(system, digests):
    """To the bit: in another process, again, and with what was used before."""
    net_D, net_G, history = small.run(system, seed=5)
    assert small.digest(net_D, net_G, history) == digests[system]
    assert small.digest(*small.run(system, seed=6)) != digests[system]
    # Neither the state of the random numbers, nor that the shapes of the
    # layers are known by now, nor what is shown makes a difference.
    if system != 'deligan':  # whose step looks at the mixture it was made with
        again = small.run(
            system, nets=(net_D, net_G), seed=5, animator=Recorder()
        )
        assert small.digest(*again) == digests[system]


def test_every_epoch_of_a_seed_has_numbers_of_its_own():
    """A training can be taken up at any epoch; see `set_seed`."""
    draws = []
    for stream in ((), (0,), (1,), (2,), (1, 2), (1,)):
        set_seed(3, *stream)
        draws.append((float(np.random.normal()), numpy.random.rand()))
    assert len(set(draws)) == 5 and draws[2] == draws[5]
