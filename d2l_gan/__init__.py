"""Generative adversarial networks on MXNet: the library of the book.

The modules are made from the chapters, or serve them:

    from d2l_gan.train import train, update_D, update_G
    from d2l_gan.animator import Animator
"""

import os

import numpy

from d2l_gan.support import threads

# MXNet 1.9.1 reads `numpy.bool`, which NumPy 1.24 took out. It has to be back
# before MXNet is imported, so this package does it first of all. (Assigned
# without a look, for asking `hasattr` would raise NumPy's warning.)
if tuple(map(int, numpy.__version__.split('.')[:2])) >= (1, 24):
    numpy.bool = bool

threads.prepare()

# Else MXNet reports on every symbol that is bound, and `fused` binds three for
# each shape of a minibatch.
os.environ.setdefault('MXNET_SUBGRAPH_VERBOSE', '0')

# Else what convolutions prepare for each shape is kept for ever.
os.environ.setdefault('MXNET_MKLDNN_CACHE_NUM', '64')

# Else four operators in a row each get a workspace of their own, as large as
# anybody ever wanted one, although they run one after the other.
os.environ.setdefault('MXNET_CPU_TEMP_COPY', '1')

# A server or the scheduler of a distributed run does not return from the
# import of MXNet, so that they can be watched only from here on.
if 'DMLC_ROLE' in os.environ:
    from d2l_gan.cluster import peers

    peers.watch()

__version__ = '0.1.0'
