"""The game of the first chapter, trained in a page by the page's own script.

`game.js` is the mathematics, and `demo.js` what one sees and presses.
"""

import html
import json
import pathlib

from IPython import display

from d2l_gan.support.pages import with_files

__all__ = ['demo']

HERE = pathlib.Path(__file__).parent
SETTINGS = {'widths', 'lr_D', 'lr_G', 'beta1', 'batch_size'}


def demo(gaussian, presets):
    """Let one play the game of a linear generator, in a page or notebook.

    Args:
        gaussian: the truth, as `d2l_gan.train.GAUSSIAN`.
        presets: by name, dictionaries of settings to begin with: `widths` of
            the discriminator's layers of tanh, a tuple; `lr_D`, `lr_G`,
            `beta1` and `batch_size`, as in `train`.

    Returns:
        IPython.display.HTML: asks the network for nothing.

    Raises:
        ValueError: if there is no preset, or one has other settings.
    """
    wrong = {name for name in presets if set(presets[name]) != SETTINGS}
    if wrong or not presets:
        raise ValueError(
            f'the presets {sorted(wrong)} must have just the settings '
            f'{sorted(SETTINGS)}, and there must be at least one preset'
        )
    markup = (HERE / 'demo.html').read_text(encoding='utf-8')
    rules = {'truth': gaussian, 'presets': presets, 'markup': markup}
    return display.HTML(
        with_files(
            f'<div class="gan-demo" data-lm-suppress-shortcuts="true" '
            f'data-rules="{html.escape(json.dumps(rules))}"><p>Here is a game '
            'to play, where scripts may run.</p></div>',
            *(HERE / name for name in ('demo.css', 'game.js', 'demo.js')),
        )
    )
