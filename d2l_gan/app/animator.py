"""What one sees of a run that is kept in a folder."""

from matplotlib.figure import Figure

from d2l_gan.animator import Animator, save_images
from d2l_gan.support.checks import to_numpy
from d2l_gan.support.files import replacing

__all__ = ['RunAnimator', 'save_samples']

# Grids of samples are so many pixels wide, or more.
MIN_WIDTH = 600
# At least so many pictures of samples does a run leave, epochs permitting.
NUM_PICTURES = 10


class RunAnimator(Animator):
    """Shows how a run goes in the terminal, and leaves pictures of it.

    They are written about every tenth of the run, and when it closes.

    Args:
        run: the `RunFolder`.
    """

    def __init__(self, run):
        self.run, self.pair = run, None
        self.num_epochs = run.settings['num_epochs']
        super().__init__(
            'epoch',
            'loss',
            legend=['discriminator', 'generator'],
            xlim=[0, self.num_epochs],
            figsize=(5, 3),
            path=run.folder / 'losses.png',
        )

    def show(self, real, fake):
        """Keep samples for the pictures.

        Args:
            real, fake: as in `Animator`, but images may have label maps. If
                the run keeps an average, that one draws others as fakes.
        """
        system = self.run.system
        if system.generator is not system.net_G:
            # From random numbers that are seeded anew before the next epoch
            fake, _ = system.sample(len(real))
        channels = system.shape[0]
        self.pair = [to_numpy(X)[:, :channels] for X in (real, fake)]

    def add(self, x, y):
        """Show an epoch.

        Args:
            x: its number, from 1.
            y: the losses of discriminator and generator.
        """
        super().add(x, y)
        # Of an epoch before the run was resumed there is nothing to show.
        if self.pair and x % max(1, self.num_epochs // NUM_PICTURES) == 0:
            self._save(f'samples/epoch-{x:04d}.png')

    def close(self):
        """End the bar, and write the last pictures if there are any."""
        super().close()
        if self.pair:
            self._save('samples.png')

    def _save(self, name):
        real, fake = self.pair
        save_samples(self.run.folder / name, fake, real)


def save_samples(path, fake, real=None):
    """Save a picture of samples.

    Args:
        path: a PNG file.
        fake: images, as in `d2l_gan.animator.save_images`, or points, shape
            (n, 2). A single image keeps its size.
        real: points to be shown below them; not read for images.
    """
    if fake.ndim == 4:
        save_images(path, fake, MIN_WIDTH if len(fake) > 1 else 0)
        return
    fig = Figure(figsize=(5, 4))
    panel = fig.subplots()
    if real is not None:
        panel.plot(*real.T, 'o', markersize=4, label='real')
    panel.plot(*fake.T, 'o', markersize=4, label='generated', color='C1')
    panel.legend(loc='upper left')
    with replacing(path) as draft:
        fig.savefig(draft, format='png', dpi=144)
