"""The number of threads, asked for where it counts: in the engine."""

import ctypes
import os
import pathlib

import numpy
import pytest
import small
from matches import Match, OnlyFused
from mxnet import np, npx
from mxnet.gluon import nn
from processes import python

from d2l_gan.dcgan import dcgan_discriminator, dcgan_generator
from d2l_gan.support import threads
from d2l_gan.train import adversarial_step, normal_latent, train

npx.set_np()


def engine_threads():
    seen = []
    openmp = ctypes.CDLL('libgomp.so.1')
    threads._in_engine(lambda: seen.append(openmp.omp_get_max_threads()))
    return seen[0]


def output(code, **variables):
    """Of code that a fresh process runs."""
    status, out, err = python('-c', f'import os\n{code}', **variables)
    assert status == 0, err
    return out + err


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Every machine has two cores for these tests; OpenMP does not mind."""
    before = engine_threads()
    monkeypatch.setattr(threads, '_cores', 2)
    threads._set(2)
    yield
    threads._set(before)


def ready(net_D, net_G, X, Z):
    for net, inputs in ((net_D, X), (net_G, Z)):
        net.initialize()
        net(inputs)
    return net_D, net_G, X, Z


def test_the_package_asks_for_the_cores_of_the_process():
    code = 'import d2l_gan; print(os.environ["OMP_NUM_THREADS"])'
    assert 1 <= int(output(code)) <= len(os.sched_getaffinity(0))
    one = min(os.sched_getaffinity(0))
    assert output(f'os.sched_setaffinity(0, {{{one}}})\n{code}') == '1\n'


def test_a_number_that_the_user_set_stays():
    code = (
        'import d2l_gan\nfrom d2l_gan.support import threads\n'
        'print(os.environ["OMP_NUM_THREADS"], threads._cores)'
    )
    assert output(code, OMP_NUM_THREADS='3') == '3 1\n'


def test_a_process_that_it_starts_may_choose_as_well():
    code = (
        'import d2l_gan, subprocess, sys\n'
        'print(subprocess.check_output([sys.executable, "-c", '
        '"from d2l_gan.support import threads; print(threads._cores)"])'
        '.decode(), '
        'd2l_gan.support.threads._cores)'
    )
    own, inherited = output(code).split()
    assert own == inherited


@pytest.mark.parametrize('cores, warned', [(1, False), (64, True)])
def test_a_warning_if_mxnet_came_first_and_takes_fewer(cores, warned):
    told = output(
        'import joblib, sys\n'
        'sys.modules["mxnet"] = None\n'
        f'joblib.cpu_count = lambda only_physical_cores: {cores}\n'
        'import d2l_gan\n'
        'assert "OMP_NUM_THREADS" not in os.environ'
    )
    assert ('import d2l_gan first, or set OMP_NUM_THREADS=64' in told) == (
        warned
    ), told


def test_small_networks_get_one_thread_large_ones_all():
    X, Z = np.ones((8, 2)), np.ones((8, 2))
    threads.choose(*ready(*small.point_networks(5), X, Z))
    assert engine_threads() == 1
    shape = (1, 32, 32)
    X, Z = np.ones((64, *shape)), np.ones((64, 100))
    nets = dcgan_discriminator(shape, 32), dcgan_generator(shape, 32)
    threads.choose(*ready(*nets, X, Z))
    assert engine_threads() == 2


def test_the_numbers_of_a_forward_pass_are_counted():
    net_D, net_G, X, Z = ready(
        *small.point_networks(5), np.ones((8, 2)), np.ones((8, 3))
    )
    # The inputs, the parameters and the outputs of each operator
    assert threads._numbers(net_G, Z) == 8 * 3 + (2 * 3 + 2) + 8 * 2
    assert threads._numbers(net_D, X) == (
        8 * 2 + (5 * 2 + 5) + 2 * (8 * 5) + (5 + 1) + 8
    )


def test_what_is_no_symbol_is_left_alone():
    class Plain(nn.Block):
        def forward(self, X):
            return np.array(X.asnumpy()[:, :1])

    threads._set(1)
    threads.choose(Plain(), Plain(), np.ones((8, 2)), np.ones((8, 2)))
    assert engine_threads() == 1


@pytest.mark.parametrize('fails', [False, True])
def test_training_takes_one_thread_and_gives_the_others_back(fails):
    during = []

    def latent(batch_size, latent_dim, ctx):
        during.append(engine_threads())
        if fails and len(during) == 2:
            raise KeyboardInterrupt
        return normal_latent(batch_size, latent_dim, ctx)

    arguments = [np.ones((8, 2))] * 2, 1, 0.01, 0.01, 2, np.ones((8, 2))
    try:
        train(
            *small.point_networks(5), *arguments, latent=latent, animator=False
        )
    except KeyboardInterrupt:
        assert fails
    # Two minibatches, and what is shown of the epoch
    assert during == ([2, 1] if fails else [2, 1, 1])
    assert engine_threads() == 2


def looks(monkeypatch, *others):
    """Let others keep so many of two cores busy between looks, 10 s apart."""
    clock, busy = 100.0, 50.0
    taken = [(clock, busy, 7.0)]
    for other in others:
        clock += 10
        busy += 10 * other + 10 * 1.2
        taken.append((clock, busy, taken[-1][2] + 10 * 1.2))
    monkeypatch.setattr(threads, '_look', iter(taken).__next__)
    monkeypatch.setattr(threads, '_processors', lambda: range(2))
    times = (look[0] for look in taken)
    monkeypatch.setattr(threads.time, 'monotonic', times.__next__)


def large_networks():
    shape = (1, 32, 32)
    X, Z = np.ones((64, *shape)), np.ones((64, 100))
    nets = dcgan_discriminator(shape, 32), dcgan_generator(shape, 32)
    return ready(*nets, X, Z)


def test_there_are_as_many_threads_as_free_cores(monkeypatch):
    looks(monkeypatch, 0, 0.3, 0.5, 1, 3, 0.1, -0.05)
    threads.choose(*large_networks())
    seen = []
    for _ in range(7):
        threads.adapt()
        seen.append((threads.fewer(), engine_threads()))
    assert seen == [(None, 2)] * 2 + [(1, 1)] * 3 + [(None, 2)] * 2


def test_nothing_is_concluded_from_a_pause(monkeypatch):
    looks(monkeypatch, 1, 1)
    threads.choose(*large_networks())
    threads.adapt(first=True)
    assert threads.fewer() is None
    monkeypatch.setattr(threads, '_called', 119.5)
    threads.adapt(first=True)
    assert threads.fewer() == 1


def test_small_networks_keep_their_thread(monkeypatch):
    looks(monkeypatch, 0, 0)
    threads.choose(*ready(*small.point_networks(5), *[np.ones((8, 2))] * 2))
    threads.adapt()
    assert threads.fewer() is None and engine_threads() == 1


def test_nobody_looks_twice_in_a_second(monkeypatch):
    threads.choose(*large_networks())
    monkeypatch.setattr(threads, 'BETWEEN_LOOKS', 3600)
    monkeypatch.setattr(threads, '_look', None)
    threads.adapt()
    assert engine_threads() == 2


@pytest.mark.skipif(not os.path.exists('/proc/stat'), reason='no Linux')
def test_the_clocks_count_who_is_busy():
    before = threads._look()
    end = threads.time.process_time() + 0.3
    while threads.time.process_time() < end:
        pass
    seconds, busy, own = (b - a for a, b in zip(before, threads._look()))
    assert own == pytest.approx(0.3, abs=0.05)
    # Ticks are of 10 ms, on each processor.
    assert 0.25 < busy <= len(threads._processors()) * (seconds + 0.1)


@pytest.mark.parametrize('seed', [None, 1])
def test_only_a_training_without_a_seed_adapts(seed, monkeypatch):
    calls = []
    monkeypatch.setattr(
        threads, 'adapt', lambda first=False: calls.append(first)
    )
    arguments = [np.ones((8, 2))] * 3, 2, 0.01, 0.01, 2, np.ones((8, 2))
    train(*small.point_networks(5), *arguments, seed=seed, animator=False)
    # Three minibatches and the end of an epoch
    assert calls == ([] if seed else 2 * [True, False, False, False])


def processor_times():
    """Of all threads but Python's own, in seconds, by their ids."""
    return {
        path.parent.name: int(path.read_text().split()[0]) / 1e9
        for path in pathlib.Path('/proc/self/task').glob('*/schedstat')
        if path.parent.name != str(os.getpid())
    }


@pytest.mark.skipif(
    not os.path.exists('/proc/self/schedstat'), reason='no Linux'
)
def test_convolutions_go_on_with_fewer_threads_and_come_back(monkeypatch):
    monkeypatch.setattr(threads, 'FEW_NUMBERS', 0)
    # With steps so small, so that all losses are alike
    game, oracle = (
        Match('DCGAN, RGB', optimizer='sgd', learning_rate=1e-7)
        for _ in range(2)
    )
    expected, step = oracle.play(adversarial_step), OnlyFused()
    looks(monkeypatch, 1, 0)
    threads.choose(*game.nets, game.X, game.Z)
    shares = []
    for _ in range(3):
        numpy.testing.assert_allclose(game.play(step), expected, rtol=1e-3)
        before = processor_times()
        for _ in range(5):
            game.play(step)
        times = [
            after - before.get(thread, 0)
            for thread, after in processor_times().items()
        ]
        *_, second, first = sorted(times)
        shares.append(second / first)
        if len(shares) < 3:
            threads.adapt()
    # Where there is a second thread, it works or waits as long as the first.
    # (Less than that where the machine is busy.)
    assert shares[1] < 0.5 * min(shares[0], shares[2]), shares


def test_the_setting_of_the_user_is_not_touched_in_training(monkeypatch):
    monkeypatch.setattr(threads, '_cores', 1)
    during = []

    def latent(*arguments):
        during.append(engine_threads())
        return normal_latent(*arguments)

    arguments = [np.ones((8, 2))] * 2, 1, 0.01, 0.01, 2, np.ones((8, 2))
    train(*small.point_networks(5), *arguments, latent=latent, animator=False)
    assert during == [2, 2, 2]
