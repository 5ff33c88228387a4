"""Runs That Keep, as chapters/runs.md teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 da42db4e1d6ec250.

import inspect
import mxnet as mx
import numpy
import random
from d2l import mxnet as d2l
from d2l_gan.animator import Animator
from d2l_gan.checkpoint import Progress
from d2l_gan.parallel import DataParallel, Workers, device_list
from d2l_gan.support import checks, threads
from d2l_gan.watch import LateLosses, note_spread, warn

__all__ = [
    'Run',
    'set_seed',
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

    Taught in chapters/runs.md, "The Same Again".
    """
    if stream:
        mixed = numpy.random.SeedSequence((seed, *stream))
        seed = int(mixed.generate_state(1)[0])
    numpy.random.seed(seed)
    mx.random.seed(seed)
    random.seed(int(seed))


class Run:
    """One training: all that stands around the loop of `train`.

    Args:
        net_D, net_G, loss, latent, data, animator: as in `train`. Only the
            first of several processes shows, prints and warns. Watching
            changes nothing: with any animator, and with none, a training
            takes the same course.
        seed: an integer from 0 to 2**32 - 1, which fixes all that is random
            from the first weights on, whatever happened before. With `None`
            the random numbers are left alone.
        checkpoint: a folder, or a `d2l_gan.checkpoint.Checkpoint`, where the
            run is kept after each epoch. If there is one already, training
            goes on from there, bit for bit as if it had never stopped; all
            arguments but `num_epochs`, which counts from the beginning, have
            to be the same, the data too. After Ctrl-C it is what the last
            whole epoch reached. Without a `seed`, one is drawn and kept.
        device: where to train; MXNet's current context if `None`. Of a list
            of devices each takes its part of every minibatch, in plain steps.
        kvstore: connects processes that train together, each with minibatches
            of its own, as many and as large as everyone's; see
            `d2l_gan.parallel.join_workers`. `None` if this one is alone.
        opinions: whether the history is to have `D_real` and `D_fake`. Asking
            a discriminator with dropout draws random numbers.
        unknown: refused.

    Attributes:
        history: a dict of lists with a number for every epoch: `loss_D`,
            `loss_G` (a mean over the examples), `examples_per_sec`, these of
            all processes together, and what `note_spread` finds in the
            epoch's first minibatch; and `warnings`, a list of sentences.

    Raises:
        TypeError: if there is no such argument, naming one that is alike.
        ValueError: if a setting is out of range, the iterator gives nothing,
            or networks and data, or they and the checkpoint, do not fit
            together.
        OSError: if a checkpoint cannot be written or read.
        FloatingPointError: if a loss is NaN or infinite, at most 100
            minibatches later, naming the last checkpoint.

    Taught in chapters/runs.md, "What Stands Around the Loop".
    """
    def __init__(self, net_D, net_G, loss, latent, data, animator=None, *,
                 seed=None, checkpoint=None, device=None, kvstore=None,
                 opinions=False, **unknown):
        checks.refuse_unknown(unknown, ('beta1', 'initializer', 'step',
                                        *inspect.signature(Run).parameters))
        self.net_D, self.net_G, self.loss = net_D, net_G, loss
        self.latent, self.data, self.animator = latent, data, animator
        self.seed, self.checkpoint, self.opinions = seed, checkpoint, opinions
        self.devices, self.workers = device_list(device), Workers(kvstore)
        self.trainers, self.timer, self.kind = [], d2l.Timer(), None
        self.history = {'loss_D': [], 'loss_G': [], 'examples_per_sec': [],
                        'warnings': []}

    def check(self, num_epochs, **settings):
        """See that settings are in range, and keep them.

        Args:
            num_epochs: as in `train`.
            settings: `lr_D`, `lr_G`, `latent_dim` and `beta1`. If the run goes
                on from a checkpoint, they have to be the same.
        """
        checks.check_settings(num_epochs, seed=self.seed, **settings)
        self.settings = settings

    def initialize(self, initializer):
        """Give both networks first weights, on all devices."""
        self.initializer = initializer
        for net in (self.net_D, self.net_G):
            net.initialize(initializer, ctx=self.devices, force_reinit=True)

    def adam(self, net, lr, beta1):
        """Make a trainer, which hears of all workers' gradients.

        Args:
            net: the discriminator first, then the generator.
            lr, beta1: the learning rate, and the decay of the mean gradient.

        Returns:
            gluon.Trainer
        """
        settings = {'learning_rate': lr, 'beta1': beta1}
        trainer = self.workers.trainer(net.collect_params(), 'adam', settings)
        self.trainers.append(trainer)
        return trainer

    def around(self, step):
        """Make a step that does what another one does, and looks after it.

        Args:
            step: called as `adversarial_step` is. If there are several
                devices, it gets networks that share out their minibatches.
        """
        self.step, players = step, (self.net_D, self.net_G)
        if len(self.devices) > 1:
            players = [DataParallel(net, self.devices) for net in players]

        def careful_step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
            with checks.engine_left_clean():
                if not self.losses:
                    self.first = X, Z
                    if not self.timer.times:
                        self.prepare(X, Z)
                if self.progress.seed is None:
                    threads.adapt(first=not self.losses)
                return step(X, Z, *players, loss, trainer_D, trainer_G)

        return careful_step

    def prepare(self, X, Z):
        """Do what has to wait for a minibatch, before the first step."""
        self.progress.check_setting('batch_size', len(X))
        checks.check_fit(self.net_D, self.net_G, self.loss, X, Z, self.data)
        threads.choose(self.net_D, self.net_G, X, Z)
        if self.seed is not None and self.progress.epoch == 0:
            # Again, now that all shapes are known
            set_seed(self.seed, 0, self.workers.rank)
            self.initialize(self.initializer)
        self.workers.start(*self.trainers)

    def epochs(self, num_epochs):
        """Give the numbers of the epochs to come; keep what they reach."""
        dtype = getattr(self.step, 'dtype', 'float32')
        self.progress = Progress(
            self.checkpoint, self.seed, {**self.settings, 'dtype': dtype},
            self.history, (self.net_D, self.net_G), self.trainers,
            writes=self.workers.rank == 0, step=self.step, latent=self.latent)
        self.workers.same_epoch_and_seed(self.progress)
        if self.progress.epoch < num_epochs:
            self.open_animator(num_epochs)
            with threads.all_cores_again():
                for epoch in self.progress.epochs(num_epochs):
                    if self.progress.seed is not None:
                        set_seed(self.progress.seed, epoch, self.workers.rank)
                    yield epoch
            self.close_animator()
        self.workers.finish()

    def minibatches(self, data_iter):
        """Give the examples of each minibatch; then note how it went."""
        num_examples, progress = 0, self.progress
        self.losses = LateLosses(progress.epoch + 1, data_iter, progress.last)
        self.timer.start()
        with checks.engine_left_clean():
            for i, minibatch in enumerate(data_iter, 1):
                X = checks.real_examples(minibatch).as_in_ctx(self.devices[0])
                self.kind = self.kind or (X.shape[1:], X.dtype)
                checks.check_like(X, self.kind, (progress.epoch + 1, i))
                num_examples += len(X)
                yield X
            losses = self.losses.read()
        if self.progress.seed is None:
            threads.adapt()
        num_examples, *sums = self.workers.sum(num_examples,
                                               *map(sum, zip(*losses)))
        for name, total in zip(('loss_D', 'loss_G'), sums):
            self.history[name].append(total / num_examples)
        rate = num_examples / self.timer.stop()
        self.history['examples_per_sec'].append(rate)
        note_spread(self.history, *self.first, self.net_D, self.net_G,
                    self.loss, self.opinions)
        if self.workers.rank == 0:
            warn(self.history, len(self.losses))

    def add(self, losses):
        """Take the losses (loss_D, loss_G) of a minibatch, as sums."""
        self.losses.append(losses)

    def open_animator(self, num_epochs):
        """Make an animator if there is none; show it the epochs of before."""
        if self.workers.rank > 0:
            self.animator = False
        elif self.animator is None:
            self.animator = Animator(
                xlabel='epoch', ylabel='loss', xlim=[1, num_epochs], nrows=2,
                figsize=(5, 5), legend=['discriminator', 'generator'])
        if self.animator:
            losses = zip(self.history['loss_D'], self.history['loss_G'])
            for epoch, pair in enumerate(losses, 1):
                self.animator.add(epoch, pair)

    def show(self, epoch, net_G, Z):
        """Show what the generator makes of latent vectors, and the losses."""
        if self.animator:
            self.animator.show(self.data, net_G(Z))
            self.animator.add(epoch, (self.history['loss_D'][-1],
                                      self.history['loss_G'][-1]))

    def close_animator(self):
        """Let the animator end, and print how the last epoch went."""
        if self.animator:
            self.animator.close()
            loss_D, loss_G, rate = (self.history[name][-1] for name in (
                'loss_D', 'loss_G', 'examples_per_sec'))
            print(f'loss_D {loss_D:.3f}, loss_G {loss_G:.3f}, '
                  f'{rate:.1f} examples/sec on {self.devices[0]}')
