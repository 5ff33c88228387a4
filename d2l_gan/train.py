"""Generative Adversarial Networks, as chapters/gan.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 c52eb8dc77825819.

import mxnet as mx
import numpy
import random
from d2l import mxnet as d2l
from d2l_gan.animator import Animator
from d2l_gan.checkpoint import Progress
from d2l_gan.fused import FusedStep
from d2l_gan.parallel import DataParallel, Workers, device_list
from d2l_gan.support import checks, threads
from d2l_gan.watch import LateLosses, look, warn
from mxnet import autograd, gluon, init, np

__all__ = [
    'GAUSSIAN',
    'Recorder',
    'adversarial_step',
    'draw_gaussian',
    'normal_latent',
    'set_seed',
    'train',
    'update_D',
    'update_G',
]


def set_seed(seed, *stream):
    """Seed all the random numbers that training draws.

    These are MXNet's (weights, latent vectors, dropout), NumPy's (the order in
    which Gluon's `DataLoader` shuffles) and Python's own.

    Args:
        seed: an integer from 0 to 2**32 - 1, NumPy's own included.
        stream: further integers, at least 0, such as the number of an epoch.
            Each choice makes other random numbers of the same seed; only
            zeros at the end make no difference.

    Raises:
        ValueError: for other integers.

    Taught in chapters/gan.md, "The Data".
    """
    if stream:
        mixed = numpy.random.SeedSequence((seed, *stream))
        seed = int(mixed.generate_state(1)[0])
    numpy.random.seed(seed)
    mx.random.seed(seed)
    random.seed(int(seed))


GAUSSIAN = {'A': [[1, 2], [-0.1, 0.5]], 'b': [1, 2]}


def draw_gaussian(n=1000):
    """Draw points A.T eps + b, with the A and b of `GAUSSIAN`.

    Args:
        n: how many.

    Returns:
        np.ndarray: shape (n, 2), from the Gaussian with the mean b and the
        covariance A.T A.

    Taught in chapters/gan.md, "The Data".
    """
    A, b = np.array(GAUSSIAN['A']), np.array(GAUSSIAN['b'])
    return np.dot(np.random.normal(0, 1, (n, 2)), A) + b


def update_D(X, Z, net_D, net_G, loss, trainer_D):
    """Let the discriminator take one step.

    Args:
        X: real examples, shape (batch_size, ...).
        Z: latent vectors, shape (batch_size, latent_dim).
        net_D: maps examples to logits, (batch_size,) or (batch_size, 1).
        net_G: maps latent vectors to examples.
        loss: maps logits and labels to one loss an example.
        trainer_D: the `gluon.Trainer` of `net_D`.

    Returns:
        np.ndarray: the minibatch's loss, half from the real examples and half
        from the fakes, summed over examples. Shape (); the engine may still
        be working on it until `float` waits for it.

    Raises:
        ValueError: if fakes and real examples differ in shape.

    Taught in chapters/gan.md, "Training".
    """
    batch_size = X.shape[0]
    ones = np.ones((batch_size,), ctx=X.ctx)
    with autograd.record():
        real_Y = net_D(X)
        fake_X = net_G(Z)
        if fake_X.shape != X.shape:
            raise ValueError(f'net_G made fakes of shape {fake_X.shape} '
                             f'for real examples of shape {X.shape}')
        fake_Y = net_D(fake_X.detach())
        loss_D = (loss(real_Y, ones) + loss(fake_Y, ones - 1)) / 2
    loss_D.backward()
    trainer_D.step(batch_size)
    return loss_D.sum()


def update_G(Z, net_D, net_G, loss, trainer_G):
    """Let the generator take one step, with the non-saturating loss.

    Args:
        Z: latent vectors, shape (batch_size, latent_dim).
        net_D: maps examples to logits, (batch_size,) or (batch_size, 1).
        net_G: maps latent vectors to examples.
        loss: maps logits and labels to one loss an example.
        trainer_G: the `gluon.Trainer` of `net_G`.

    Returns:
        np.ndarray: the minibatch's loss, summed over examples. Shape (); the
        engine may still be working on it until `float` waits for it.

    Taught in chapters/gan.md, "Training".
    """
    batch_size = Z.shape[0]
    ones = np.ones((batch_size,), ctx=Z.ctx)
    with autograd.record():
        loss_G = loss(net_D(net_G(Z)), ones)
    loss_G.backward()
    trainer_G.step(batch_size)
    return loss_G.sum()


def normal_latent(batch_size, latent_dim, ctx):
    """Draw latent vectors from N(0, I).

    Args:
        batch_size, latent_dim: the shape of the result.
        ctx: the device.

    Returns:
        np.ndarray: shape (batch_size, latent_dim).

    Taught in chapters/gan.md, "Training".
    """
    return np.random.normal(0, 1, (batch_size, latent_dim), ctx=ctx)


def adversarial_step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
    """Let the discriminator take a step, then the generator.

    Args:
        X, Z, net_D, net_G, loss, trainer_D: as in `update_D`.
        trainer_G: as in `update_G`.

    Returns:
        tuple: the losses of discriminator and generator, each summed over
        the examples, of shape ().

    Taught in chapters/gan.md, "Training".
    """
    return (update_D(X, Z, net_D, net_G, loss, trainer_D),
            update_G(Z, net_D, net_G, loss, trainer_G))


@threads.restored()
def train(net_D, net_G, data_iter, num_epochs, lr_D, lr_G, latent_dim, data,
          *, beta1=0.9, initializer=None, loss=None, latent=normal_latent,
          step=adversarial_step, dtype='float32', device=None, kvstore=None,
          seed=None, checkpoint=None, opinions=False, animator=None):
    """Train a GAN by Adam, and show how it goes.

    Args:
        net_D: the discriminator; maps examples to one logit each.
        net_G: the generator; maps latent vectors to examples.
        data_iter: gives minibatches, every epoch anew: arrays of shape
            (batch_size, ...), or tuples that begin with one.
        num_epochs: passes over the data, at least 1; those that a checkpoint
            has behind it count.
        lr_D, lr_G: the learning rates.
        latent_dim: the length of a latent vector.
        data: real examples to be shown, shape (n, ...), beside as many
            generated ones: points (n, 2) or images (n, channels, height,
            width) in [-1, 1].
        beta1: Adam's decay rate of the mean of the gradients, in [0, 1).
        initializer: gives both networks their first weights; N(0, 0.02**2)
            if `None`.
        loss: maps logits and labels, 1 for real examples and 0 for fakes, to
            one loss an example; the cross-entropy of their sigmoid if `None`.
        latent: draws latent vectors, called as `normal_latent` is.
        step: trains both networks on a minibatch, called as
            `adversarial_step` is; that function itself is replaced by a
            `FusedStep`, which does the same faster.
        dtype: in which type a `FusedStep` computes large products, 'float32'
            or 'bfloat16'.
        device: where to train; MXNet's current context if `None`. Of a list
            of devices each takes its part of every minibatch, in plain steps.
        kvstore: connects processes that train together, each with minibatches
            of its own, as many and as large as everyone's; made by
            `mx.kv.create('dist_sync')`. None if this one is alone.
        seed: an integer from 0 to 2**32 - 1, which fixes all that is random
            from the first weights on, the state that the networks and the
            random numbers were in before included; `None` leaves the random
            numbers alone.
        checkpoint: a folder, or a `Checkpoint`, where the run is kept after
            each epoch. If there is one already, training goes on from there,
            bit for bit as if it had never stopped; all arguments but
            `num_epochs` have to be the same, the data too. After Ctrl-C it is
            what the last whole epoch reached. Without a `seed`, one is drawn
            and kept.
        opinions: whether the history is to have `D_real` and `D_fake`.
        animator: an `Animator` with two panels; made if `None`. With `False`,
            nothing is shown or printed. Only the first of several processes
            has one, and only it warns.

    Returns:
        dict: lists with a number for every epoch: `loss_D`, `loss_G` (a mean
        over the examples), `examples_per_sec`, these of all processes
        together, and what `look` finds in the epoch's first minibatch; and
        `warnings`, a list of sentences.

    Raises:
        ValueError: if a setting is out of range, the iterator gives nothing,
            or networks and data, or they and the checkpoint, do not fit
            together.
        OSError: if a checkpoint cannot be written or read.
        FloatingPointError: if a loss is NaN or infinite, at most 100
            minibatches later, naming the last checkpoint.

    Taught in chapters/gan.md, "Training".
    """
    checks.check_settings(num_epochs, lr_D, lr_G, latent_dim, beta1, seed)
    devices, workers = device_list(device), Workers(kvstore)
    device = devices[0]
    loss = loss or gluon.loss.SigmoidBCELoss()
    if step is adversarial_step:
        step = FusedStep(step, dtype)  # the same, with less work
    elif dtype != 'float32':
        raise ValueError(f"dtype is {dtype!r}, but only train's own step can "
                         'compute in it')

    def initialize():
        for net in (net_D, net_G):
            net.initialize(initializer or init.Normal(0.02), ctx=devices,
                           force_reinit=True)

    initialize()
    trainer_D, trainer_G = (
        workers.trainer(net.collect_params(), 'adam',
                        {'learning_rate': lr, 'beta1': beta1})
        for net, lr in ((net_D, lr_D), (net_G, lr_G)))
    players = (net_D, net_G) if len(devices) == 1 else (
        DataParallel(net_D, devices), DataParallel(net_G, devices))
    history = {'loss_D': [], 'loss_G': [], 'examples_per_sec': [],
               'warnings': []}
    settings = {'lr_D': lr_D, 'lr_G': lr_G, 'latent_dim': latent_dim,
                'beta1': beta1, 'dtype': dtype}
    progress = Progress(checkpoint, seed, settings, history, net_D, net_G,
                        trainer_D, trainer_G, step=step, latent=latent,
                        writes=workers.rank == 0)
    workers.agree(progress)
    if progress.epoch >= num_epochs:
        workers.finish()
        return history
    if workers.rank > 0:
        animator = False
    elif animator is None:
        animator = Animator(xlabel='epoch', ylabel='loss',
                            xlim=[1, num_epochs], nrows=2, figsize=(5, 5),
                            legend=['discriminator', 'generator'])
    if animator:
        for past in enumerate(zip(history['loss_D'], history['loss_G']), 1):
            animator.add(*past)
    timer = d2l.Timer()
    for epoch in progress.epochs(num_epochs):
        if progress.seed is not None:
            set_seed(progress.seed, epoch, workers.rank)
        timer.start()
        losses, num_examples = LateLosses(epoch, data_iter, progress.last), 0
        for minibatch in data_iter:
            X = checks.real_examples(minibatch).as_in_ctx(device)
            Z = latent(len(X), latent_dim, device)
            if not losses:
                first = X, Z
                if not timer.times:
                    progress.settle('batch_size', len(X))
                    checks.check_fit(net_D, net_G, loss, X, Z, data)
                    threads.suit(net_D, net_G, X, Z)
                    if seed is not None and epoch == 1:
                        # Again, now that all shapes are known
                        set_seed(seed, 0, workers.rank)
                        initialize()
                    workers.start(trainer_D, trainer_G)
            losses.append(step(X, Z, *players, loss, trainer_D, trainer_G))
            num_examples += len(X)
        num_examples, *sums = workers.sum(num_examples,
                                          *map(sum, zip(*losses.read())))
        for name, total in zip(('loss_D', 'loss_G'), sums):
            history[name].append(total / num_examples)
        history['examples_per_sec'].append(num_examples / timer.stop())
        look(history, *first, net_D, net_G, loss, opinions)
        if workers.rank == 0:
            warn(history, len(losses))
        if animator:
            Z = latent(len(data), latent_dim, device)
            animator.show(data, net_G(Z))
            animator.add(epoch, (history['loss_D'][-1], history['loss_G'][-1]))
    workers.finish()
    if animator:
        animator.close()
        print(f'loss_D {history["loss_D"][-1]:.3f}, '
              f'loss_G {history["loss_G"][-1]:.3f}, '
              f'{num_examples / timer.avg():.1f} examples/sec on {device}')
    return history


class Recorder:
    """Stands in for an `Animator`, and keeps what it is shown.

    Attributes:
        fakes: what the generator made after each epoch, a list of
            numpy.ndarray.

    Taught in chapters/gan.md, "What Went Wrong".
    """
    def __init__(self):
        self.fakes = []

    def show(self, real, fake):
        """Keep the fakes."""
        self.fakes.append(fake.asnumpy())

    def add(self, x, y):
        """Leave losses alone."""

    def close(self):
        """Leave all as it is."""
