"""The row of `speed.py` for d2l's MXNet code, as d2l's readers run it.

That is, MXNet is loaded before `d2l_gan` could see to its threads.
"""

import json
import os
import sys

import numpy

# MXNet's own settings of memory, of which `d2l_gan` has others
os.environ.update(MXNET_CPU_TEMP_COPY='4', MXNET_MKLDNN_CACHE_NUM='-1')

# MXNet reads this name, which newer NumPy has no more.
numpy.bool = bool

from d2l import mxnet as d2l  # noqa: E402
from mxnet import gluon, init  # noqa: E402

import mxnet_worker  # noqa: E402 isort: skip
from d2l_gan.support.checks import real_examples  # noqa: E402 isort: skip


def train(
    net_D, net_G, data_iter, num_epochs, lr_D, lr_G, latent_dim, _,
    *, beta1, loss, latent, **unused
):  # fmt: skip
    """Do what d2l's loops do with d2l's functions, but for the drawing."""
    trainers = []
    for net, lr in ((net_D, lr_D), (net_G, lr_G)):
        net.initialize(init.Normal(0.02), force_reinit=True)
        trainers.append(
            gluon.Trainer(
                net.collect_params(),
                'adam',
                {'learning_rate': lr, 'beta1': beta1},
            )
        )
    trainer_D, trainer_G = trainers
    for _ in range(num_epochs):
        metric = d2l.Accumulator(3)
        for X in data_iter:
            X = real_examples(X)
            Z = latent(len(X), latent_dim, X.ctx)
            metric.add(
                d2l.update_D(X, Z, net_D, net_G, loss, trainer_D),
                d2l.update_G(Z, net_D, net_G, loss, trainer_G),
                len(X),
            )


if __name__ == '__main__':
    mxnet_worker.main(train, **json.loads(sys.argv[1]))
