"""The row of `speed.py` for the fastest step that there could be.

It takes the arithmetic that a step cannot do without at the machine's highest
rate, or MXNet's bare calls where those take longer.
"""

import json
import sys
import time

# Before MXNet, since it sees to what MXNet finds
import d2l_gan  # noqa: F401 isort: skip
import mxnet as mx
import mxnet_worker
from mxnet import np, npx

from d2l_gan.fused import Game
from d2l_gan.systems import step_work


def seconds(function, at_least=0.1):
    """Give the shortest time of several calls, all of them awaited."""
    times = []
    while sum(times) < at_least:
        start = time.perf_counter()
        function()
        npx.waitall()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_flops():
    """Measure the machine's operations a second, in its favourite work.

    That is a large convolution or a large product, whichever is faster.
    """
    X, W = np.ones((16, 128, 32, 32)), np.ones((128, 128, 3, 3))
    A = np.ones((1536, 1536))
    return max(
        2 * W.size * 16 * 32 * 32
        / seconds(lambda: npx.convolution(
            X, W, kernel=(3, 3), pad=(1, 1), num_filter=128, no_bias=True)),
        2 * A.size * 1536
        / seconds(lambda: npx.fully_connected(
            A, A, num_hidden=1536, no_bias=True)),
    )  # fmt: skip


def bare_step():
    """Give a function that makes the calls of a step, and computes nothing.

    No step has fewer than these: forward and backward for the fakes and for
    both losses, and an update for each network.
    """
    one, gradient = np.ones(1), np.ones(1)
    doubled = 2 * mx.sym.var('x').as_np_ndarray()
    graphs = [doubled.bind(mx.cpu(), [one], [gradient]) for _ in range(3)]
    arrays = [mx.nd.ones(1) for _ in range(4)]

    def step():
        for graph in graphs:
            graph.forward(is_train=True)
            graph.backward(one)
        for _ in range(2):
            mx.nd.adam_update(*arrays, out=arrays[0], lr=0)

    return step


def limit(
    net_D, net_G, data_iter, num_epochs, lr_D, lr_G, latent_dim, X,
    *, latent, **unused,
):  # fmt: skip
    """Answer in each turn how long a step takes at best."""
    # Of the work of a minibatch, the share of an example
    Z = latent(len(X), latent_dim, X.ctx)
    flop = step_work(net_D, net_G, X, Z, Game()) // len(X)
    step = bare_step()
    for _ in range(num_epochs):
        data_iter.turns.wait()
        flops = peak_flops()
        calls = seconds(lambda: [step() for _ in range(100)]) / 100
        data_iter.turns.answer(
            seconds=max(len(X) * flop / flops, calls),
            examples=len(X),
            flop=flop,
            flops=flops,
            calls=calls,
        )


if __name__ == '__main__':
    mxnet_worker.main(limit, **json.loads(sys.argv[1]))
