"""What the page's script computes and shows, in a browser."""

import json

import numpy
import pytest
from mxnet import autograd, np, npx
from mxnet.gluon import nn

from d2l_gan.data import load_array
from d2l_gan.demo import HERE, demo
from d2l_gan.evaluate import frechet_distance
from d2l_gan.fused import FusedStep
from d2l_gan.train import (
    GAUSSIAN,
    draw_gaussian,
    train,
    update_D,
)

npx.set_np()
GAME = (HERE / 'game.js').read_text('utf-8')

PUBLISHED = {
    'widths': (5, 3), 'lr_D': 0.05, 'lr_G': 0.005, 'beta1': 0.9,
    'batch_size': 8,
}  # fmt: skip
OURS = {**PUBLISHED, 'widths': (32,), 'lr_D': 0.02, 'beta1': 0.5}


class Exporter:
    """A step that writes down what a script needs to do the same."""

    def __init__(self, step):
        self.step, self.minibatches, self.losses = step, [], []

    def __call__(self, X, Z, net_D, net_G, *rest):
        if not self.minibatches:
            self.before = weights(net_D), weights(net_G)
        self.minibatches.append([X.asnumpy().tolist(), Z.asnumpy().tolist()])
        losses = self.step(X, Z, net_D, net_G, *rest)
        self.losses.append([float(loss) / len(X) for loss in losses])
        self.after = weights(net_D), weights(net_G)
        return losses


def weights(net):
    return [
        parameter.data().asnumpy().ravel().tolist()
        for parameter in net.collect_params().values()
    ]


def saturating_step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
    loss_D = update_D(X, Z, net_D, net_G, loss, trainer_D)
    with autograd.record():
        loss_G = -loss(net_D(net_G(Z)), np.zeros(len(Z)))
    loss_G.backward()
    trainer_G.step(len(Z))
    return loss_D, loss_G.sum()


REPLAY = """
const { settings, before, minibatches } = GIVEN;
const game = new Game({ A: [[1, 0], [0, 1]], b: [0, 0] }, settings, 0);
[game.D.params, game.G.params] = before;
const losses = minibatches.map(([X, Z]) =>
  [game.learnD(X, Z), game.learnG(Z)]);
return { losses, after: [game.D.params, game.G.params] };
"""


@pytest.mark.parametrize(
    'settings, saturating, step',
    [
        (PUBLISHED, False, FusedStep()),
        (OURS, False, FusedStep()),
        (OURS, True, saturating_step),
    ],
)
def test_it_takes_the_library_s_course(perform, settings, saturating, step):
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    for width in settings['widths']:
        net_D.add(nn.Dense(width, activation='tanh'))
    net_D.add(nn.Dense(1))
    net_G.add(nn.Dense(2))
    exporter = Exporter(step)
    data = draw_gaussian(1600)
    train(
        net_D, net_G, load_array((data,), 8), 1, settings['lr_D'],
        settings['lr_G'], 2, data[:9], beta1=settings['beta1'], seed=1,
        step=exporter, animator=False,
    )  # fmt: skip
    given = json.dumps(
        {
            'settings': {**settings, 'saturating': saturating},
            'before': exporter.before,
            'minibatches': exporter.minibatches,
        }
    )
    found = perform('', GAME + REPLAY.replace('GIVEN', given))
    assert len(found['losses']) == 200
    numpy.testing.assert_allclose(found['losses'], exporter.losses, rtol=1e-3)
    for ours, theirs in zip(found['after'], exporter.after):
        for a, b in zip(ours, theirs):
            error = numpy.abs(numpy.subtract(a, b)).max()
            assert error < 1e-3 * numpy.abs(b).max()


def test_its_distance_is_the_library_s(perform):
    distance, cov, true_cov = perform(
        '',
        f'{GAME}const truth = {json.dumps(GAUSSIAN)};'
        'const game = new Game(truth, { widths: [3] }, 1);'
        'game.G.params = [[1, -2, 0.5, 3], [0.5, -1]];'
        'return [game.distance(), game.made().cov, game.truth.cov];',
    )
    A, W = numpy.array(GAUSSIAN['A']), numpy.array([[1, -2], [0.5, 3]])
    numpy.testing.assert_allclose(numpy.reshape(cov, (2, 2)), W @ W.T)
    numpy.testing.assert_allclose(numpy.reshape(true_cov, (2, 2)), A.T @ A)
    assert distance == pytest.approx(
        frechet_distance([0.5, -1], W @ W.T, GAUSSIAN['b'], A.T @ A)
    )


PRESETS = {'as published': PUBLISHED, 'ours': OURS}
OPEN = """
const root = document.querySelector('.gan-demo');
const form = root.querySelector('form');
const presets = root.querySelectorAll('.presets button');
const says = (...names) => names.map((name) =>
  form.querySelector(`output[name=${name}], [name=${name}] + output`).value);
const choose = (name, value) => {
  form[name].value = value;
  form[name].dispatchEvent(new Event('input', { bubbles: true }));
};
"""


def test_it_shows_what_the_game_computes(perform):
    shown, computed = perform(
        demo(GAUSSIAN, PRESETS).data,
        f'{GAME}{OPEN}const settings = {json.dumps(OURS)};'
        f'const game = new Game({json.dumps(GAUSSIAN)}, settings, 3);'
        """
        presets[1].click();
        choose('seed', 3);
        const losses = { D: [], G: [] };
        for (let i = 0; i < 4; i++) {
          if (i === 2) {
            choose('lr_D', -1);
            choose('beta1', 0);
            choose('saturating', 'true');
            Object.assign(settings, { lr_D: 0.1, beta1: 0, saturating: true });
          }
          for (const who of 'DG') form[who].click();
          const [X, Z] = game.draw();
          losses.D.push(game.learnD(X, Z));
          losses.G.push(game.learnG(Z));
        }
        return [says('loss_D', 'loss_G', 'distance', 'minibatch', 'lr_D'), [
          average(losses.D).toFixed(3), average(losses.G).toFixed(3),
          game.distance().toPrecision(2), '4', '0.1']];""",
    )
    assert shown == computed


def test_one_plays_stops_and_begins_anew(perform):
    # A browser that nobody looks at draws few frames.
    frames = (
        '<script>window.cancelAnimationFrame = clearTimeout;'
        'window.requestAnimationFrame = (draw) =>'
        'setTimeout(() => draw(performance.now()), 16);</script>'
    )
    found = perform(
        frames + demo(GAUSSIAN, PRESETS).data,
        OPEN
        + """
        const found = [];
        const see = () => found.push(+says('minibatch')[0]);
        await wait(500); see();
        // Who is quick makes it no faster.
        for (let i = 0; i < 5; i++) form.play.click();
        await wait(330); form.play.click(); see();
        await wait(2000); see();
        form.reset.click(); see();
        choose('speed', 0);
        form.play.click(); await wait(5000); form.play.click(); see();
        choose('widths', '[8]'); see();
        return found;""",
    )
    at_first, played, stopped, anew, slow, other = found
    # Whoever has not pressed play sees nothing move.
    assert at_first == anew == other == 0
    assert 5 * 15 < played == stopped < 5 * 25
    assert 3 <= slow <= 4


def test_presets_fill_the_controls(perform):
    other = {**OURS, 'widths': (7, 7), 'lr_G': 0.00025}
    found = perform(
        demo(GAUSSIAN, {'other': other, **PRESETS}).data,
        OPEN
        + """
        return [...presets].map((preset) => {
          preset.click();
          return [form.widths.value, form.widths.selectedOptions[0].text,
            form.batch_size.value, ...says('lr_D', 'lr_G', 'beta1')];
        });""",
    )
    assert found == [
        ['[7,7]', '7,7', '8', '0.02', '0.00025', '0.5'],
        ['[5,3]', '5,3', '8', '0.05', '0.005', '0.9'],
        ['[32]', '32', '8', '0.02', '0.005', '0.5'],
    ]


def test_all_is_named_in_reach_of_keys_and_fits_a_telephone(perform):
    found = perform(
        '<div style="width: 420px; font: 16px sans-serif">'
        f'{demo(GAUSSIAN, PRESETS).data}</div>',
        OPEN
        + """
        const pressed = [...form.elements].filter((e) => e.type !== 'output');
        const named = (e) => e.labels[0]?.textContent.trim() || e.textContent;
        return [pressed.length, pressed.every((e) => e.tabIndex === 0),
          pressed.every(named), root.scrollWidth,
          [...root.querySelectorAll('canvas')].every((e) => e.ariaLabel)];""",
    )
    assert found == [14, True, True, 420, True]


def test_the_published_settings_are_stuck_where_it_begins(perform):
    """With the seed that the demo begins with, and after 20 epochs."""
    found = perform(
        demo(GAUSSIAN, PRESETS).data,
        f'{GAME}{OPEN}const truth = {json.dumps(GAUSSIAN)};'
        f'return {json.dumps([PUBLISHED, OURS])}.map((settings) => '
        """{
          const game = new Game(truth, settings, +form.seed.value);
          for (let i = 0; i < 2500; i++) {
            const [X, Z] = game.draw();
            game.learnD(X, Z);
            game.learnG(Z);
          }
          const points = game.random.pairs(500).map((z) => game.G.output(z));
          return [game.distance(), game.saturated(points)];
        });""",
    )
    (stuck, dead), (arrived, alive) = found
    assert stuck > 10 * arrived and arrived < 0.05
    assert dead > 0.9 and alive < 0.5


def test_presets_have_all_settings():
    with pytest.raises(ValueError, match=r"\['short'\] must have just"):
        demo(GAUSSIAN, {'ours': OURS, 'short': {'lr_D': 1}})
    with pytest.raises(ValueError, match='at least one preset'):
        demo(GAUSSIAN, {})
