import base64
import io
import json
import re
import sys
import time
import types

import numpy
import PIL.Image
import pytest
from d2l import mxnet as d2l
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from d2l_gan.animator import Animator, draw_field, film, save_images, tile
from d2l_gan.animator import plot as module


class Terminal(io.StringIO):
    def __init__(self, monkeypatch):
        super().__init__()
        monkeypatch.setattr(sys, 'stderr', self)

    def isatty(self):
        return True


class Notebook:
    """What the animator needs of an IPython shell with a kernel."""

    kernel = object()

    def __init__(self, monkeypatch):
        self.frames, self.updates, self.hooks = [], [], []
        self.events = types.SimpleNamespace(
            register=lambda name, hook: self.hooks.append(hook),
            unregister=lambda name, hook: self.hooks.remove(hook),
        )
        monkeypatch.setattr(module, 'get_ipython', lambda: self)
        monkeypatch.setattr(module.display, 'display', self.display)

    def display(self, frame, raw, display_id):
        self.frames.append(frame['image/svg+xml'])
        return types.SimpleNamespace(
            update=lambda frame, raw: self.updates.append(
                frame['image/svg+xml']
            )
        )

    def end_cell(self):
        for hook in list(self.hooks):
            hook()


@pytest.fixture
def notebook(monkeypatch):
    return Notebook(monkeypatch)


def test_curves_hold_what_was_added():
    animator = Animator(xlabel='epoch', legend=['a', 'b'], xlim=[1, 3])
    animator.add(1, (0.5, 2))
    animator.add(2, (None, 3))
    animator.add([3, 4], [0.25, 5])
    a, b = animator.axes[0].lines
    assert list(a.get_xdata()) == [1, 3] and list(a.get_ydata()) == [0.5, 0.25]
    assert list(b.get_xdata()) == [1, 2, 4] and list(b.get_ydata()) == [
        2,
        3,
        5,
    ]
    names = [t.get_text() for t in animator.axes[0].get_legend().get_texts()]
    assert names == ['a', 'b']


def test_epochs_are_whole_numbers():
    for xlabel, whole in (('epoch', True), ('time', False)):
        axis = Animator(xlabel=xlabel, xlim=[1, 3]).axes[0].xaxis
        axis.axes.set_xlim(1, 3)
        ticks = axis.get_majorticklocs()
        assert all(tick == int(tick) for tick in ticks) == whole


def test_it_takes_the_arguments_of_d2l_s_animator():
    # The same positions, too: d2l's come first, ours by keyword only.
    import inspect

    theirs = inspect.signature(d2l.Animator.__init__).parameters
    ours = inspect.signature(Animator.__init__).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name
    for name in list(ours)[len(theirs) :]:
        assert ours[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_panel_grows_with_the_curves(notebook):
    animator = Animator(xlim=[1, 3])
    for epoch, loss in ((1, 0.5), (2, 9.0), (3, -4.0)):
        animator.add(epoch, loss)
    notebook.end_cell()
    low, high = animator.axes[0].get_ylim()
    assert -6 < low < -4 and 9 < high < 11
    assert animator.axes[0].get_xlim() == (1, 3)


def test_fixed_limits_stay(notebook):
    animator = Animator(ylim=[0, 1])
    for epoch in (1, 2):
        animator.add(epoch, 5.0 * epoch)
    notebook.end_cell()
    assert animator.axes[0].get_ylim() == (0, 1)


def test_d2l_s_way_of_drawing_the_second_panel_works(notebook):
    animator = Animator(
        xlabel='epoch', ylabel='loss', xlim=[1, 2], nrows=2, figsize=(5, 5),
        legend=['discriminator', 'generator'],
    )  # fmt: skip
    animator.fig.subplots_adjust(hspace=0.3)
    for epoch in (1, 2):
        animator.axes[1].cla()
        animator.axes[1].scatter([1, 2, 3], [1, 2, 3])
        animator.axes[1].legend(['real'])
        animator.add(epoch, (0.7, 0.6))
    notebook.end_cell()
    assert len(animator.axes[1].collections) == 1
    last = (notebook.frames + notebook.updates)[-1]
    assert last.count('<use') > 3 and '</svg>' in last


def test_a_notebook_gets_one_display_and_always_the_last_frame(
    notebook, monkeypatch
):
    # Drawing that takes all the time there is: frames must be left out.
    monkeypatch.setattr(module, 'BUDGET', 0.0)
    animator = Animator(xlabel='epoch', legend=['loss'], xlim=[1, 50])
    for epoch in range(1, 51):
        animator.add(epoch, 1 / epoch)
    assert len(notebook.frames) == 1 and notebook.updates == []
    notebook.end_cell()
    assert len(notebook.updates) == 1
    animator._draw()  # nothing has changed, so this is the same picture
    assert notebook.updates[1] == notebook.updates[0] != notebook.frames[0]
    notebook.end_cell()
    assert len(notebook.updates) == 2 and notebook.hooks == []


def test_drawing_keeps_to_its_budget(notebook, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module, 'BUDGET', 0.1)
    monkeypatch.setattr(
        module.time, 'perf_counter', lambda: clock[0], raising=True
    )
    animator = Animator(xlabel='epoch', xlim=[1, 400])
    draw = animator.fig.savefig

    def slow(*args, **kwargs):
        clock[0] += 0.5
        draw(*args, **kwargs)

    monkeypatch.setattr(animator.fig, 'savefig', slow)
    for epoch in range(1, 101):
        clock[0] += 0.5  # an epoch of training
        animator.add(epoch, 0.0)
    # 50 s of training allow 5 s of drawing, which are ten frames, and one
    # more, since the frame that exceeds the budget is drawn to its end.
    frames = len(notebook.frames) + len(notebook.updates)
    assert animator.seconds == 0.5 * frames
    assert 8 <= frames <= 12


def test_a_terminal_gets_a_progress_bar_and_no_figure(monkeypatch, capsys):
    terminal = Terminal(monkeypatch)
    animator = Animator(xlabel='epoch', legend=['loss'], xlim=[1, 4])
    for epoch in range(1, 5):
        animator.add(epoch, 1 / epoch)
    animator.close()
    text = terminal.getvalue()
    assert '4/4' in text and 'loss=0.250' in text
    assert 'Figure' not in text + capsys.readouterr().out


def test_a_bar_moves_within_an_epoch(monkeypatch):
    terminal = Terminal(monkeypatch)
    animator = Animator(xlabel='epoch', legend=['loss'], xlim=[1, 2])
    minibatches = animator.follow(['a', 'b', 'c', 'd'])
    assert len(minibatches) == 4
    for epoch in (1, 2):
        seen = []
        for minibatch in minibatches:
            seen.append(minibatch)
            time.sleep(0.11)  # tqdm leaves out what comes sooner
        assert seen == ['a', 'b', 'c', 'd']
        animator.add(epoch, 1 / epoch)
    animator.close()
    text = terminal.getvalue()
    assert 'epoch 0.2 of 2 |' in text  # after one of four minibatches
    assert 'epoch 2.0 of 2 |' in text and 'loss=0.500' in text


def test_epochs_of_a_resumed_run_took_no_time(monkeypatch):
    terminal = Terminal(monkeypatch)
    animator = Animator(xlabel='epoch', legend=['loss'], xlim=[1, 1000])
    minibatches = animator.follow([1, 2])
    for epoch in range(1, 101):
        animator.add(epoch, 1.0)
    for _ in minibatches:
        time.sleep(0.2)
    animator.add(101, 1.0)
    animator.close()
    # At 0.4 s an epoch, those that are left take 6 minutes.
    left = re.findall(r'([\d:]+) left', terminal.getvalue())[-1]
    assert left > '05:00'


def test_nothing_is_printed_where_nobody_watches(capsys):
    animator = Animator(xlabel='epoch', legend=['loss'], xlim=[1, 4])
    minibatches = [1, 2]
    assert animator.follow(minibatches) is minibatches
    animator.add(1, 0.5)
    animator.close()
    assert capsys.readouterr() == ('', '')


def test_the_last_picture_is_saved(tmp_path):
    path = tmp_path / 'new' / 'run.png'
    animator = Animator(nrows=2, figsize=(3, 3), path=path)
    animator.show(numpy.zeros((5, 2)), numpy.ones((5, 2)))
    animator.add(1, 0.5)
    assert not path.exists()
    animator.close()
    with PIL.Image.open(path) as picture:
        assert picture.size == (432, 432)
    assert [child.name for child in path.parent.iterdir()] == ['run.png']


def test_without_a_point_there_is_no_picture(tmp_path):
    Animator(path=tmp_path / 'run.png').close()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match=r'run\.xyz.*\.xyz.*png'):
        Animator(path=tmp_path / 'run.xyz')


def test_points_are_redrawn_as_the_same_artists():
    animator = Animator(nrows=2)
    artists = []
    for shift in (0, 5):
        real = numpy.arange(6.0).reshape(3, 2)
        animator.show(real, real + shift)
        artists.append(animator.axes[1].lines)
        xs = [list(cloud.get_xdata()) for cloud in animator.axes[1].lines]
        assert xs == [[0, 2, 4], [0 + shift, 2 + shift, 4 + shift]]
    assert list(artists[0]) == list(artists[1])


def test_images_are_shown_in_a_grid():
    animator = Animator(nrows=2)
    for value in (-1, 1):
        animator.show(None, numpy.full((2, 1, 3, 3), float(value)))
        (image,) = animator.axes[1].images
        shown = numpy.asarray(image.get_array())
        assert shown.shape == (3, 7)
        assert (shown[:, :3] == (value + 1) / 2).all()


@pytest.mark.parametrize('shape', [(4,), (4, 3), (4, 8, 8)])
def test_other_shapes_cannot_be_shown(shape):
    animator = Animator(nrows=2)
    with pytest.raises(ValueError, match='generated data have shape'):
        animator.show(numpy.zeros((4, 2)), numpy.zeros(shape))


def test_tile_by_hand():
    # Three 1x2 images in colour: two rows of three columns would leave a hole
    # of one; the columns are ceil(sqrt(6)) = 3, so there is one row.
    images = numpy.stack([numpy.full((3, 1, 2), v) for v in (-1.0, 0, 3)])
    grid = tile(images)
    assert grid.shape == (1, 8, 3)
    numpy.testing.assert_array_equal(
        grid[0, :, 0], [0, 0, 1, 0.5, 0.5, 1, 1, 1]
    )


def test_saved_images_are_the_tiled_ones(tmp_path):
    images = numpy.linspace(-1, 1, 24).reshape(2, 3, 2, 2)
    save_images(tmp_path / 'new' / 'a.png', images)
    with PIL.Image.open(tmp_path / 'new' / 'a.png') as picture:
        pixels = numpy.asarray(picture)
    numpy.testing.assert_array_equal(pixels, numpy.round(255 * tile(images)))


@pytest.mark.parametrize('shape', [(0, 1, 2, 2), (2, 2, 2, 2)])
def test_tile_refuses(shape):
    with pytest.raises(ValueError, match='1 or 3 channels'):
        tile(numpy.zeros(shape))


def test_pixels_are_shown_as_floats_are():
    pixels = numpy.array([[[[0, 51], [204, 255]]]], 'uint8')
    assert tile(pixels).tolist() == pytest.approx(
        numpy.array([[0, 0.2], [0.8, 1]])
    )
    for wrong in (pixels.astype('int64'), pixels * numpy.nan):
        with pytest.raises(ValueError, match=r'floats in.*or uint8'):
            tile(wrong)


def test_small_pictures_are_enlarged_by_whole_pixels(tmp_path):
    images = numpy.linspace(-1, 1, 24).reshape(6, 1, 2, 2)
    for min_width, times in ((0, 1), (11, 1), (12, 2), (600, 55)):
        save_images(tmp_path / 'a.png', images, min_width)
        with PIL.Image.open(tmp_path / 'a.png') as image:
            grid = numpy.asarray(image)
        plain = numpy.round(255 * tile(images)).astype('uint8')
        assert plain.shape == (5, 11)
        assert (grid == plain.repeat(times, 0).repeat(times, 1)).all()


def test_a_film_has_the_ground_of_the_page():
    def draw(fig, i):
        # Many greys compete for the palette.
        ax = fig.add_axes([0, 0, 1, 0.5])
        ax.imshow(numpy.linspace(0, 1, 2500).reshape(50, 50), cmap='gray')

    picture = PIL.Image.open(io.BytesIO(film(draw, 2, (2, 2)).data))
    assert picture.convert('RGB').getpixel((5, 5)) == (255, 255, 255)


def test_a_film_has_its_frames_in_order():
    def draw(fig, i):
        fig.set_facecolor(['red', 'lime', 'blue'][i])

    picture = PIL.Image.open(io.BytesIO(film(draw, 3, (1, 1), 0.1).data))
    assert picture.n_frames == 3
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        picture.seek(i)
        assert picture.convert('RGB').getpixel((50, 50)) == colour
        assert picture.info['duration'] == (500 if i == 2 else 100)


def test_a_field_s_arrows_begin_at_the_fakes():
    fakes = numpy.array([[0.5, -1], [1, 0.25], [0, 0]])
    field = numpy.linspace(0, 1, 6).reshape(2, 3)
    recorder = types.SimpleNamespace(
        box=(-1, 2, -2, 1),
        fields=[None, field],
        fakes=[None, fakes],
        arrows=[None, numpy.array([[1, 0], [0, -2]])],
    )
    canvas = FigureCanvasAgg(Figure())
    ax = canvas.figure.add_axes([0, 0, 1, 1])
    draw_field(ax, recorder, 1, [[0, 0.5]], length=0.5)
    assert (*ax.get_xlim(), *ax.get_ylim()) == (-1, 2, -2, 1)
    (arrows,) = (a for a in ax.collections if hasattr(a, 'angles'))
    numpy.testing.assert_array_equal(arrows.XY, fakes[:2])
    numpy.testing.assert_array_equal([arrows.U, arrows.V], [[0.5, 0], [0, -1]])
    # Where it says "fake" is orange: there is less blue than red.
    canvas.draw()
    pixels = numpy.asarray(canvas.buffer_rgba()).astype(int)
    for row, column, sign in ((-9, 9, 1), (9, -9, -1)):
        red, _, blue, _ = pixels[row, column]
        assert sign * (red - blue) > 50


def tell_colours(fig, i):
    fig.set_facecolor(['red', 'lime', 'blue'][i])
    return f'colour {i} < 3'


READ_FILM = """
const film = document.querySelector('figure');
const [back, player, forth] = film.querySelectorAll('button');
const slider = film.querySelector('input');
const img = film.querySelector('img');
const key = (where, key) => where.dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const shown = () => {
  const canvas = document.createElement('canvas').getContext('2d');
  canvas.drawImage(img, 0, 0);
  const [r, g, b] = canvas.getImageData(5, 5, 1, 1).data;
  const caption = film.querySelector('figcaption').textContent;
  return [[r, g, b].indexOf(255), caption.match(/\\d/)[0], slider.value,
    player.title].join(' ');
};
const seen = [];
const see = async (ms) => {
  await wait(ms);
  seen.push(shown());
};
"""


def test_a_film_plays_stops_and_steps(perform):
    seen = perform(
        film(tell_colours, 3, (1, 1), 1)._repr_html_(),
        READ_FILM
        + """
        await see(500); await see(1000); await see(1000); await see(4000);
        await see(1000); player.click(); await see(9000);
        forth.click(); await see(3000);
        forth.click(); forth.click(); forth.click(); await see(0);
        back.click(); await see(0);
        slider.value = 0; slider.dispatchEvent(new Event('input'));
        await see(3000);
        back.click(); await see(0);
        key(slider, 'ArrowRight'); await see(0);
        key(player, 'End'); await see(0); key(player, 'Home'); await see(0);
        key(slider, ' '); await see(1500);
        return seen;""",
    )
    assert seen == [
        # It begins by itself, and its last frame stays five times as long.
        '0 0 0 pause', '1 1 1 pause', '2 2 2 pause', '2 2 2 pause',
        '0 0 0 pause',
        '0 0 0 play', '1 1 1 play', '2 2 2 play', '1 1 1 play',
        '0 0 0 play', '0 0 0 play', '1 1 1 play', '2 2 2 play',
        '0 0 0 play', '1 1 1 pause',
    ]  # fmt: skip


def test_a_film_waits_where_motion_is_to_be_reduced(perform):
    seen = perform(
        film(tell_colours, 3, (1, 1), 1)._repr_html_(),
        READ_FILM + 'await see(9000); player.click(); await see(1500);'
        'return seen;',
        '--force-prefers-reduced-motion',
    )
    assert seen == ['0 0 0 play', '1 1 1 pause']


def test_films_of_one_page_are_apart_and_fit_a_narrow_one(perform):
    # The second one's script finds the first one, and leaves it alone.
    two = ''.join(
        film(tell_colours, 3, figsize)._repr_html_()
        for figsize in ((8, 1), (1, 1))
    )
    assert perform(
        f'<div style="width: 420px">{two}</div>',
        """
        const films = [...document.querySelectorAll('figure')];
        films[0].querySelectorAll('button')[2].click();
        return films.map((film) => [
          film.querySelectorAll('button').length,
          film.querySelector('input').value,
          film.querySelector('img').clientWidth,
          film.scrollWidth <= 420]);""",
    ) == [[3, '1', 420, True], [3, '0', 100, True]]


def test_a_film_plays_where_a_notebook_puts_it(perform):
    """JupyterLab makes scripts anew, in what is not yet part of the page."""
    html = json.dumps(film(tell_colours, 3, (1, 1))._repr_html_())
    html = html.replace('</', r'<\/')
    assert perform(
        '',
        f'const html = {html};'
        """
        const cell = document.createElement('div');
        cell.innerHTML = html;
        for (const script of cell.querySelectorAll('script')) {
          const again = document.createElement('script');
          again.textContent = script.textContent;
          script.replaceWith(again);
        }
        document.body.append(cell);
        cell.querySelectorAll('button')[2].click();
        return cell.querySelector('figcaption').textContent;""",
    ).startswith('colour 1')


def test_without_scripts_a_film_is_a_moving_picture():
    picture = film(tell_colours, 3, (1, 1))
    html = picture._repr_html_()
    (src,) = re.findall(r'<img src="data:image/png;base64,(.*?)"', html)
    assert base64.b64decode(src) == picture.data
    assert '<button' not in html.split('<script>')[0]


def test_frames_that_are_alike_stay_frames():
    picture = film(lambda fig, i: None, 3, (1, 1))
    assert len(picture.film['frames']) == 3
    assert picture.film['captions'][2] == 'frame 3 of 3'
