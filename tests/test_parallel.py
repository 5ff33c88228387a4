import pathlib
import textwrap
import types

import mxnet as mx
import numpy
import pytest
from d2l import mxnet as d2l
from mxnet import gluon, init, np, npx
from mxnet.gluon import nn

from d2l_gan.cluster import launch
from d2l_gan.dcgan import AveragedStep
from d2l_gan.fused import FusedStep, warn_once
from d2l_gan.parallel import (
    DataParallel,
    OwnKeys,
    Workers,
    device_list,
    join_workers,
    own_share,
)
from d2l_gan.train import adversarial_step, set_seed, train

npx.set_np()

ROOT = pathlib.Path(__file__).parents[1]


def dense_networks():
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Dense(8, activation='tanh'), nn.Dense(1))
    net_G.add(nn.Dense(8, activation='tanh'), nn.Dense(2))
    return net_D, net_G, (2,)


def convolutional_networks():
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(
        nn.Conv2D(16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Dense(1)
    )
    net_G.add(
        nn.Dense(8 * 4 * 4),
        nn.HybridLambda(lambda F, X: F.npx.reshape(X, (-1, 8, 4, 4))),
        nn.Conv2DTranspose(2, 4, 2, 1, activation='tanh'),
    )
    return net_D, net_G, (2, 8, 8)


NETWORKS = {'dense': dense_networks, 'convolutional': convolutional_networks}


def game(make, workers, devices, first=None, batch_size=12):
    """A step's arguments, with this worker's rows of a fixed minibatch.

    The networks begin with the weights `first`, if given.
    """
    net_D, net_G, shape = make()
    state = numpy.random.RandomState(0)
    X, Z = (
        np.array(own_share(rows.astype('float32'), workers.kvstore))
        for rows in (
            state.uniform(-1, 1, (batch_size, *shape)),
            state.normal(size=(batch_size, 5)),
        )
    )
    trainers = []
    for net, rows in ((net_D, X), (net_G, Z)):
        net.initialize(init.Normal(0.2), ctx=devices)
        net(rows)
        trainers.append(
            workers.trainer(
                net.collect_params(),
                'adam',
                {'learning_rate': 0.01, 'beta1': 0.5},
            )
        )
    if first is not None:
        for parameter, value in zip(parameters(net_D, net_G), first):
            parameter.set_data(np.array(value))
    workers.start(*trainers)
    return X, Z, net_D, net_G, gluon.loss.SigmoidBCELoss(), *trainers


def parameters(*nets):
    return [p for net in nets for p in net.collect_params().values()]


def weights(*nets, device=None):
    return [p.data(device).asnumpy() for p in parameters(*nets)]


# One minibatch that the devices share equally, one that they do not, and one
# with fewer rows than devices
@pytest.mark.parametrize('batch_size', [12, 7, 1])
@pytest.mark.parametrize('make', NETWORKS.values(), ids=NETWORKS)
def test_a_step_on_many_devices_is_one_on_one(make, batch_size):
    devices = [mx.cpu(i) for i in range(3)]
    alone = Workers(None)
    set_seed(0)
    arguments = game(make, alone, devices, batch_size=batch_size)
    X, Z, net_D, net_G, *rest = arguments
    first = weights(net_D, net_G)
    losses = adversarial_step(
        X, Z, DataParallel(net_D, devices), DataParallel(net_G, devices), *rest
    )
    oracle = game(make, alone, devices[:1], first, batch_size)
    expected = adversarial_step(*oracle)
    numpy.testing.assert_allclose(
        [*map(float, losses)], [*map(float, expected)], rtol=1e-5
    )
    expected = weights(*oracle[2:4])
    for device in devices:
        for a, b in zip(weights(net_D, net_G, device=device), expected):
            numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    # Adam's first step has about the size of the learning rate.
    assert max(abs(a - b).max() for a, b in zip(first, expected)) > 0.005


def test_train_on_two_devices_is_train_on_one():
    data = numpy.random.RandomState(0).normal(size=(33, 2)).astype('float32')
    results = []
    for device in (None, [mx.cpu(0), mx.cpu(1)]):
        set_seed(0)
        net_D, net_G, _ = dense_networks()
        history = train(
            net_D,
            net_G,
            d2l.load_array((data,), 8),
            3,
            0.02,
            0.01,
            5,
            data,
            device=device,
            animator=False,
        )
        results.append((history['loss_D'], weights(net_D, net_G)))
    (losses, found), (expected_losses, expected) = results
    numpy.testing.assert_allclose(losses, expected_losses, atol=1e-5)
    for a, b in zip(found, expected):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_the_log_says_once_why_devices_take_plain_steps(caplog):
    warn_once.cache_clear()
    points = numpy.random.RandomState(0).normal(size=(8, 2)).astype('float32')
    losses = []
    # Both of them are fused on one device.
    for step in (adversarial_step, AveragedStep(dense_networks()[1])):
        net_D, net_G, _ = dense_networks()
        history = train(
            net_D, net_G, [np.array(points)], 1, 0.02, 0.01, 5, points,
            step=step, device=[mx.cpu(0), mx.cpu(1)], seed=0, animator=False,
        )  # fmt: skip
        losses.append((history['loss_D'], history['loss_G']))
    assert losses[0] == losses[1]
    (record,) = caplog.records
    assert record.getMessage() == (
        'training takes the plain steps: several devices share out the '
        'minibatches'
    )


def test_several_devices_compute_in_float32(monkeypatch):
    monkeypatch.setattr('d2l_gan.fused.has_bfloat16', lambda: True)
    net_D, net_G, _ = dense_networks()
    points = np.zeros((8, 2))
    with pytest.raises(ValueError, match=r'in bfloat16, .*: several devices'):
        train(
            net_D, net_G, [points], 1, 0.02, 0.01, 5, points,
            step=FusedStep(dtype='bfloat16'),
            device=[mx.cpu(0), mx.cpu(1)], animator=False,
        )  # fmt: skip


def test_device_list():
    assert device_list(None) == [mx.context.current_context()]
    assert device_list(mx.cpu(1)) == [mx.cpu(1)]
    assert device_list((mx.cpu(1), mx.cpu(0))) == [mx.cpu(1), mx.cpu(0)]
    for devices in ([], [mx.cpu(1), mx.cpu(1)]):
        with pytest.raises(ValueError, match='different devices'):
            device_list(devices)


class Place(mx.kvstore.KVStoreBase):
    """A KVStore as far as it tells who a worker is."""

    def __init__(self, rank, num_workers, type_='dist_sync'):
        self.place = rank, num_workers, type_

    rank = property(lambda self: self.place[0])
    num_workers = property(lambda self: self.place[1])
    type = property(lambda self: self.place[2])


def test_shares_are_equally_long_and_have_nothing_in_common():
    shares = [own_share(range(11), Place(rank, 3)) for rank in range(3)]
    assert [*map(list, shares)] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    array = numpy.arange(8).reshape(4, 2)
    assert own_share(array, Place(1, 2)).tolist() == [[2, 3], [6, 7]]
    assert own_share(array) is array
    with pytest.raises(ValueError, match='2 examples do not go round'):
        own_share(range(2), Place(0, 3))


def test_workers_have_other_latents_though_they_are_seeded_alike():
    drawn = []
    for rank in (0, 1, 0):
        set_seed(0)
        Workers(Place(rank, 2))
        drawn.append(np.random.normal(size=9).asnumpy())
    assert (drawn[0] == drawn[2]).all()
    assert not numpy.isin(drawn[0], drawn[1]).any()


def test_what_does_not_keep_workers_in_step():
    for kvstore, name in ((Place(0, 2, 'dist_async'), 'dist_async'), (3, '3')):
        with pytest.raises(ValueError, match=f'kvstore is .*{name}'):
            Workers(kvstore)


def test_two_trainers_share_one_kvstore():
    kvstore, nets = mx.kv.create('local'), []
    for value in (1.0, 5.0):
        net = nn.Dense(1, in_units=1, use_bias=False)
        net.initialize(init.Constant(value))
        trainer = gluon.Trainer(
            net.collect_params(),
            'sgd',
            {'learning_rate': 1.0},
            OwnKeys(kvstore),
            update_on_kvstore=False,
        )
        nets.append((net, trainer))
    for net, trainer in nets:
        with mx.autograd.record():
            y = net(np.array([[2.0]]))
        y.backward()
        trainer.step(1)
    assert [float(net.weight.data()) for net, _ in nets] == [-1.0, 3.0]


def test_who_is_alone_joins_nobody(monkeypatch):
    monkeypatch.delenv('DMLC_ROLE', raising=False)
    assert join_workers() is None


SCRIPT = """
    import ctypes
    import pickle
    import sys
    sys.path.insert(0, sys.argv[2])
    from d2l_gan.fused import FusedStep
    from test_parallel import *

    def first_steps(make, step, workers):
        mx.random.seed(workers.rank)  # other weights, until they start
        arguments = game(make, workers, mx.cpu())
        first = weights(*arguments[2:4])
        losses = [workers.sum(*map(float, step(*arguments)))
                  for _ in range(3)]
        return first, weights(*arguments[2:4]), losses

    class Animator:
        shown = 0
        close = add = lambda self, *arguments: None

        def show(self, real, fake):
            self.shown += 1

    kvstore = join_workers()
    workers = Workers(kvstore)
    results = {
        (name, type(step).__name__): first_steps(make, step, workers)
        for name, make in NETWORKS.items()
        for step in (adversarial_step, FusedStep())}
    X = numpy.random.RandomState(0).normal(size=(41, 2)).astype('float32')
    net_D, net_G, _ = dense_networks()
    animator = Animator()
    history = train(
        net_D, net_G, d2l.load_array((own_share(X, kvstore),), 6), 2, 0.02,
        0.01, 5, X[:9], kvstore=kvstore, animator=animator)
    results['train'] = weights(net_D, net_G), history, animator.shown
    won = train(
        net_D, net_G, [np.array(X[:6])], 1, 0.02, 0.01, 5, X[:9],
        loss=lambda logits, labels: 0 * logits.reshape(-1),
        kvstore=kvstore, animator=False)
    results['warnings'] = won['warnings']
    with open(f'{sys.argv[1]}/{workers.rank}', 'wb') as file:
        pickle.dump(results, file)
    # Python need not let go of it by itself before the process ends.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kvstore))
"""


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What two workers have done in two processes."""
    folder = tmp_path_factory.mktemp('workers')
    path = folder / 'script.py'
    path.write_text(textwrap.dedent(SCRIPT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT))
        patch.setenv('OMP_NUM_THREADS', '1')
        argv = ['-n', '2', str(path), str(folder), str(ROOT / 'tests')]
        assert launch.main(argv) == 0
    return [numpy.load(folder / str(i), allow_pickle=True) for i in (0, 1)]


@pytest.mark.parametrize('step', ['function', 'FusedStep'])
@pytest.mark.parametrize('name', NETWORKS)
def test_steps_of_two_workers_are_those_of_one(results, name, step):
    first, found, losses = results[0][name, step]
    others = results[1][name, step]
    for a, b in zip([*first, *found], [*others[0], *others[1]]):
        numpy.testing.assert_array_equal(a, b)
    oracle = game(NETWORKS[name], Workers(None), mx.cpu(), first)
    expected = [[*map(float, adversarial_step(*oracle))] for _ in range(3)]
    numpy.testing.assert_allclose(losses, expected, rtol=1e-5)
    for a, b in zip(found, weights(*oracle[2:4])):
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert max(abs(a - b).max() for a, b in zip(first, found)) > 0.01


def test_two_workers_train_to_equal_weights(results):
    (found, history, shown), (others, other_history, other_shown) = (
        result['train'] for result in results
    )
    for a, b in zip(found, others):
        numpy.testing.assert_array_equal(a, b)
    # Losses are everyone's, but only the first one draws.
    assert history['loss_D'] == other_history['loss_D']
    assert (shown, other_shown) == (2, 0)


def test_only_the_first_worker_warns(results):
    first, second = (result['warnings'] for result in results)
    assert len(first) == 1 and 'has won' in first[0]
    assert second == []


class First(Place):
    """A KVStore whose first worker has given out other numbers."""

    def __init__(self, numbers):
        super().__init__(1, 2)
        self.numbers = numbers

    def broadcast(self, key, value, out, priority=0):
        out[:] = mx.nd.array(self.numbers, dtype='float64')


def test_workers_go_on_from_one_epoch_with_one_seed():
    progress = types.SimpleNamespace(epoch=3, seed=5)
    Workers(First([3, 2**32 - 1])).same_epoch_and_seed(progress)
    assert progress.seed == 2**32 - 1
    Workers(First([3, -1])).same_epoch_and_seed(progress)
    assert progress.seed == 2**32 - 1
    with pytest.raises(ValueError, match='worker 1 has a checkpoint of epoch'):
        Workers(First([4, 5])).same_epoch_and_seed(progress)
