import json
import os
import pathlib
import random
import sys
from types import SimpleNamespace

import numpy
import PIL.Image
import pytest
import small
from mxnet import gluon, np
from processes import ROOT, python

from d2l_gan import data
from d2l_gan.app import commands
from d2l_gan.app.animator import RunAnimator
from d2l_gan.app.cli import main
from d2l_gan.app.folder import RunFolder
from d2l_gan.dcgan import AveragedStep
from d2l_gan.evaluate import frechet_distance
from d2l_gan.systems import SYSTEMS
from d2l_gan.train import GAUSSIAN


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.delenv('D2L_GAN_DATASET', raising=False)
    return tmp_path


@pytest.fixture
def images(tmp_path):
    """A folder of 24 images of noise."""
    rng = numpy.random.RandomState(0)
    (tmp_path / 'images').mkdir()
    for i in range(24):
        pixels = rng.randint(256, size=(8, 8)).astype('uint8')
        PIL.Image.fromarray(pixels).save(tmp_path / f'images/{i}.png')
    return 'images'


def run(line):
    return main(line.split())


def pixels(path):
    with PIL.Image.open(path) as image:
        return numpy.asarray(image)


def weights(folder):
    trained = RunFolder.open(folder)
    trained.load_generator()
    return small.weights(trained.system.generator)


def history(folder):
    return json.loads((pathlib.Path(folder) / 'history.json').read_text())


def assert_fails(capsys, line, status, *messages):
    """See that a command gives a status, and an error of one line."""
    try:
        assert run(line) == status
    except SystemExit as end:
        assert end.code == status
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('d2l-gan') and ': error: ' in error
    for message in messages:
        assert message in error


def test_help_does_not_wait_for_mxnet():
    for command in ('', "'train', "):
        _, out, err = python(
            '-c',
            'import sys, d2l_gan.app.cli\n'
            'try:\n'
            f'    d2l_gan.app.cli.main([{command}"--help"])\n'
            'except SystemExit as end:\n'
            "    print(end.code, 'mxnet' in sys.modules)",
        )
        assert out.startswith('usage: d2l-gan'), err
        assert '\n\nexamples:\n  d2l-gan' in out
        assert out.endswith('0 False\n')


def test_the_module_is_the_command():
    status, out, err = python('-m', 'd2l_gan', 'sample', 'runs/none')
    assert status == 1 and out == ''
    assert err == (
        'd2l-gan: error: there is no run in runs/none: check the path, or '
        'train a system first\n'
    )


def test_the_list_shows_every_system_and_its_settings(capsys):
    assert run('list') == 0
    lines = capsys.readouterr().out.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert set(SYSTEMS) <= set(words)
    assert words['dcgan'] == ['64', '1500', '0.0002', '0.0002', '0.5', '100']
    assert words['mlp-small'][4:] == ['0.9', '200', 'latent', 'uniform_latent']
    assert words['deligan'][-2:] == ['game', 'MixtureGame']


def test_a_run_leaves_settings_history_and_pictures(images, capsys):
    assert run(f'train dcgan --data {images} --size 8 --epochs 3') == 0
    assert 'runs/dcgan-0/samples.png' in capsys.readouterr().out
    out = pathlib.Path('runs/dcgan-0')
    assert {path.name for path in out.iterdir()} == {
        'checkpoints', 'generator-0000.params', 'generator-symbol.json',
        'history.json', 'losses.png', 'samples', 'samples.png',
        'settings.json',
    }  # fmt: skip
    settings = json.loads((out / 'settings.json').read_text())
    for name, value in {
        'system': 'dcgan',
        'data': str(pathlib.Path(images).resolve()),
        'size': 8,
        'num_epochs': 3,
        'seed': 0,
        'shape': [1, 8, 8],
    }.items():
        assert settings[name] == value
    assert settings['train']['beta1'] == 0.5
    lengths = {name: len(values) for name, values in history(out).items()}
    assert lengths == {
        'loss_D': 3, 'loss_G': 3, 'examples_per_sec': 3, 'spread': 3,
        'warnings': 0,
    }  # fmt: skip
    assert numpy.isfinite(history(out)['loss_D']).all()
    # 50 images, 5 rows of 10 with a line between them; 89 pixels are 600 when
    # each has become 7.
    assert pixels(out / 'samples.png').shape == (7 * 44, 7 * 89)
    assert len(list((out / 'samples').iterdir())) == 3
    curves = pixels(out / 'losses.png')[..., :3].reshape(-1, 3)
    assert len(numpy.unique(curves, axis=0)) > 10


def test_epochs_are_those_of_the_chapter(images):
    # 24 images are one minibatch of 64, and the chapter trains for 400.
    created = RunFolder.create('out', 'tanh-dropout', images, 8)
    assert created.settings['num_epochs'] == 400
    assert RunFolder.create('out', 'gaussian').settings['num_epochs'] == 20
    assert not pathlib.Path('out').exists()


def test_the_same_seed_gives_the_same_run(images):
    train = f'train mlp-deep --data {images} --size 8 --epochs 2'
    for out, seed in (('first', 3), ('again', 3), ('other', 4)):
        assert run(f'{train} --seed {seed} --out {out}') == 0
    first, again, other = map(weights, ('first', 'again', 'other'))
    for a, b, c in zip(first, again, other):
        assert (a == b).all() and (a != c).any()


def test_images_that_do_not_fit_into_memory(images, monkeypatch):
    train = f'train mlp-deep --data {images} --size 8 --epochs 2'
    assert run(f'{train} --out cut') == 0
    monkeypatch.setattr('d2l_gan.data.images.MAX_BYTES', 0)
    assert run(f'{train} --out decoded') == 0
    assert isinstance(RunFolder.open('decoded').data[0], data.LazyImages)
    for a, b in zip(weights('cut'), weights('decoded')):
        numpy.testing.assert_array_equal(a, b)


def test_a_run_that_was_interrupted_goes_on(images, monkeypatch, capsys):
    train = f'train deligan --data {images} --size 8 --epochs 3'
    assert run(f'{train} --out whole') == 0
    add = RunAnimator.add

    def interrupted(self, x, y):
        add(self, x, y)
        if x == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunAnimator, 'add', interrupted)
        assert run(f'{train} --out parts') == 130
    error = capsys.readouterr().err
    # The second epoch was not whole.
    assert 'interrupted after 1 of 3 epochs' in error
    assert 'd2l-gan train deligan --out parts --resume' in error
    assert (pathlib.Path('parts') / 'samples.png').exists()
    assert (pathlib.Path('parts') / 'losses.png').exists()
    kept, whole = history('parts'), history('whole')
    assert len(kept.pop('examples_per_sec')) == 1 and kept['warnings'] == []
    assert kept == {name: whole[name][:1] for name in kept}
    assert {'loss_D', 'loss_G', 'spread'} < set(kept)
    assert run('train deligan --out parts --resume') == 0
    parts = history('parts')
    for name in ('loss_D', 'loss_G', 'spread'):
        assert whole[name] == parts[name] and len(whole[name]) == 3
    assert small.same(weights('whole'), weights('parts'))
    capsys.readouterr()
    assert run('train deligan --out parts --resume') == 0
    assert 'has its 3 epochs' in capsys.readouterr().out


def test_only_the_first_worker_tells_how_to_go_on(monkeypatch, capsys):
    def interrupted(self, kvstore):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, 'train', interrupted)
    for rank in (0, 1):
        monkeypatch.setattr(
            commands,
            'join_workers',
            lambda rank=rank: SimpleNamespace(rank=rank, num_workers=3),
        )
        assert run('train gaussian') == 130
        error = capsys.readouterr().err
        told = 'd2l-gan launch -n 3 train gaussian --out runs/gaussian-0'
        assert (told in error) == (rank == 0) == (error != '')


@pytest.mark.parametrize('system', ['dcgan', 'deligan'])
def test_an_average_is_what_a_run_draws_from(system, images, monkeypatch):
    train = f'train {system} --data {images} --size 8 --epochs 3 --out'
    assert run(f'{train} plain') == 0
    states, call = [], AveragedStep.__call__

    def watched(self, X, Z, net_D, net_G, *args):
        losses = call(self, X, Z, net_D, net_G, *args)
        states.append(small.weights(net_G))
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(AveragedStep, '__call__', watched)
        assert run(f'{train} whole --average 0.3') == 0
    assert RunFolder.open('plain').settings['average'] is None
    assert RunFolder.open('whole').settings['average'] == 0.3
    # It leaves the training alone.
    assert small.same(weights('plain'), states[-1])
    # An epoch has one minibatch; the first decay of 3 / 12 is below 0.3.
    first, second, last = states
    for a, b, c, mean in zip(first, second, last, weights('whole')):
        expected = 0.3 * (0.25 * a + 0.75 * b) + 0.7 * c
        numpy.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-7)
    assert (pixels('plain/samples.png') != pixels('whole/samples.png')).any()
    trained = RunFolder.open('whole')
    assert trained.load_generator()['epoch'] == 3
    exported = gluon.SymbolBlock.imports(
        'whole/generator-symbol.json', ['data'], 'whole/generator-0000.params'
    )
    Z = np.random.normal(0, 1, (5, trained.system.settings['latent_dim']))
    fakes = trained.system.generator(Z).asnumpy()
    numpy.testing.assert_allclose(exported(Z).asnumpy(), fakes, atol=1e-6)

    def interrupted(self, *args):
        if self.num_steps == 1:
            raise KeyboardInterrupt
        return call(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(AveragedStep, '__call__', interrupted)
        assert run(f'{train} parts --average 0.3') == 130
    assert run(f'train {system} --out parts --resume') == 0
    assert small.same(weights('whole'), weights('parts'))
    for out in ('whole', 'parts'):
        assert run(f'sample {out} -n 9 --out {out}.png') == 0
        assert (pixels(f'{out}.png') == pixels('whole.png')).all()
    assert (pixels('parts/samples.png') == pixels('whole/samples.png')).all()


def test_the_average_comes_before_the_judge(monkeypatch, capsys):
    assert run('train gaussian --epochs 2 --average --out a') == 0
    trained = RunFolder.open('a')
    assert trained.settings['average'] == 0.999
    trained.load_generator()
    W, b = (p.data() for p in trained.system.generator[0].params.values())
    assert run('evaluate a') == 0
    verdict = json.loads(pathlib.Path('a/evaluation.json').read_text())
    W, b = W.asnumpy().astype('float64'), b.asnumpy().astype('float64')
    A, mean = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])
    expected = frechet_distance(b, W @ W.T, mean, A.T @ A)
    assert verdict['distance'] == pytest.approx(expected, rel=1e-3)
    assert_fails(
        capsys,
        'train gaussian --average 0.99 --out a --resume --epochs 3',
        2,
        'begun with the average 0.999, not 0.99',
    )
    assert run('train gaussian --average --out a --resume --epochs 3') == 0
    assert run('train gaussian --epochs 1 --out b') == 0
    assert_fails(
        capsys,
        'train gaussian --average --out b --resume --epochs 2',
        2,
        'begun with the average None, not 0.999',
    )


def test_a_run_can_be_made_longer():
    assert run('train gaussian --epochs 1') == 0
    assert run('train gaussian --epochs 2 --resume') == 0
    assert RunFolder.open('runs/gaussian-0').settings['num_epochs'] == 2
    assert len(history('runs/gaussian-0')['loss_D']) == 2


def test_an_existing_folder_stays_as_it_is(images, capsys):
    assert run('train gaussian --epochs 1') == 0
    path = pathlib.Path('runs/gaussian-0/checkpoints/epoch-000001.npz')
    before = path.read_bytes()
    assert_fails(
        capsys,
        'train gaussian --epochs 1',
        1,
        'there is a run in runs/gaussian-0: --resume goes on with it',
    )
    assert path.read_bytes() == before
    assert_fails(
        capsys, f'train gaussian --out {images}', 1, 'not an empty folder'
    )
    assert_fails(
        capsys,
        'train gaussian --seed 5 --out runs/gaussian-0 --resume',
        2,
        'begun with the seed 0, not 5',
    )
    assert_fails(
        capsys,
        'train gaussian-published --out runs/gaussian-0 --resume',
        2,
        "begun with the system 'gaussian', not 'gaussian-published'",
    )


@pytest.mark.parametrize(
    'line, status, message',
    [
        ('trian dcgan', 2, "no command 'trian': did you mean 'train'?"),
        ('train', 2, 'SYSTEM'),
        ('train DCGAN', 2, "no system 'DCGAN': did you mean 'dcgan'?"),
        ('train xyz', 2, "no system 'xyz': only gaussian-published, "),
        ('train dcgan --epochs 0', 2, 'integer from 1'),
        ('train dcgan --batch-size 0', 2, 'integer from 1 to 4096'),
        ('train dcgan --width 1e3', 2, 'integer from 1 to 4096'),
        ('train mlp-small --width 8', 1, 'mlp-small has no width'),
        ('train dcgan --latent 0', 2, 'integer from 1 to'),
        ('train dcgan --lr 0', 2, "'0' is not a number above 0 to below 1"),
        ('train dcgan --lr-D nan', 2, "'nan' is not a number above 0"),
        ('train dcgan --beta1 1', 2, "'1' is not a number from 0 to below 1"),
        ('train dcgan --fit zoom', 2, "choose from 'crop', 'pad', 'stretch'"),
        ('train gaussian --mirror', 2, 'leave out --mirror'),
        ('train gaussian --skip-damaged', 2, 'leave out --skip-damaged'),
        ('train dcgan --data ~nobody/x', 1, "'~nobody/x' is neither"),
        ('train dcgan --average 1', 2, "'1' is not a number from 0 to below"),
        ('train dcgan --average nan', 2, "'nan' is not a number from 0 to"),
        ('train dcgan --seed -1', 2, "'-1' is not an integer from 0 to"),
        ('train gaussian --data mnist', 2, 'leave out --data'),
        ('train dcgan --data mnsit', 1, "did you mean 'mnist'?"),
        ('train dcgan --size 12', 1, '8, 16, 32, 64 or 128 pixels'),
        ('train gaussian --resume', 1, 'no run in runs/gaussian-0'),
        ('train conditional-dcgan --data images --size 8', 1, 'no labels'),
        ('train gaussian --out images/0.png/x', 1, 'Not a directory'),
    ],
)
def test_mistakes(line, status, message, images, capsys):
    assert_fails(capsys, line, status, message)
    assert not pathlib.Path('runs').exists()


def test_a_full_disk(monkeypatch, capsys):
    def full(source, target):
        raise OSError(28, os.strerror(28), str(target))

    monkeypatch.setattr(os, 'replace', full)
    assert_fails(
        capsys, 'train gaussian --out out', 1, 'No space left', 'settings.json'
    )
    assert list(pathlib.Path('out').iterdir()) == []


def everything(folder):
    """The bytes of a run's files; speeds differ, and with them checkpoints."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob('*')
        if path.is_file() and path.suffix != '.npz'
    }
    speeds = history(folder).pop('examples_per_sec')
    files['history.json'] = files['history.json'].replace(
        json.dumps(speeds).encode(), b''
    )
    return files


def test_a_run_that_was_stopped_after_its_last_epoch_is_finished(capsys):
    assert run('train gaussian --epochs 2 --out out') == 0
    whole = everything('out')
    for name in (
        'losses.png',
        'samples.png',
        'history.json',
        'generator-symbol.json',
        'generator-0000.params',
    ):
        (pathlib.Path('out') / name).unlink()
        assert run('train gaussian --out out --resume') == 0
        assert 'has its 2 epochs' in capsys.readouterr().out
        assert everything('out') == whole


def test_two_processes_that_begin_one_run(capsys):
    late = RunFolder.create('out', 'gaussian', num_epochs=1, seed=2)
    assert run('train gaussian --epochs 1 --seed 1 --out out') == 0
    with pytest.raises(FileExistsError, match='just trained into out: --res'):
        late.train()
    assert RunFolder.open('out').settings['seed'] == 1


def test_a_run_writes_into_its_own_folder_only(folder, capsys):
    assert run('train gaussian --epochs 1 --out out') == 0
    out = pathlib.Path('out')
    (folder / 'mine').mkdir()
    (folder / 'mine.txt').write_text('mine')
    for name in ('samples', 'checkpoints'):
        (out / name).rename(folder / 'moved')
        (out / name).symlink_to(folder / 'mine')
        assert_fails(
            capsys, 'train gaussian --epochs 2 --out out --resume', 1,
            f'out/{name} is a link' if name == 'samples' else 'is a link',
        )  # fmt: skip
        (out / name).unlink()
        (folder / 'moved').rename(out / name)
    for name in ('history.json', 'samples.png', 'generator-symbol.json'):
        (out / name).unlink()
        (out / name).symlink_to(folder / 'mine.txt')
    assert run('train gaussian --epochs 2 --out out --resume') == 0
    assert (folder / 'mine.txt').read_text() == 'mine'
    assert list((folder / 'mine').iterdir()) == []


def test_a_hundred_random_edits_of_a_run(folder, capsys):
    """Each ends well, or with an error of one line."""
    assert run('train gaussian --epochs 1 --out out') == 0
    rng = random.Random(0)
    paths = [pathlib.Path('out/settings.json'),
             pathlib.Path('out/checkpoints/epoch-000001.npz')]  # fmt: skip
    for i in range(100):
        path = paths[i % 2]
        whole = path.read_bytes()
        data, place = bytearray(whole), rng.randrange(len(whole))
        if i % 3 == 0:
            del data[place:]
        elif i % 3 == 1:
            data[place] ^= 1 << rng.randrange(8)
        else:
            number = rng.choice([b'-1', b'"x"', b'1e999', b'null', b'[]'])
            data[place : place + rng.randrange(9)] = number
        path.write_bytes(data)
        capsys.readouterr()
        status = run('sample out -n 2')
        error = capsys.readouterr().err
        assert status == 0 or error.startswith('d2l-gan: error: '), error
        assert status in (0, 1) and error.count('\n') <= 2
        path.write_bytes(whole)
    names = {path.name for path in folder.iterdir()}
    assert names == {'out'}


LIMITED = """
import resource, sys
from d2l_gan.app import cli, commands
with open('/proc/self/statm') as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 5 * 10**8, -1))
sys.exit(cli.main('train mlp-small --data digits --size 30000'.split()))
"""


def test_too_little_memory(folder):
    # In a process of its own: threads that read images would go on here.
    status, _, err = python('-c', LIMITED, cwd=folder)
    assert status == 1 and 'the memory is full: end other' in err
    assert 'Traceback' not in err


def test_damaged_files(capsys):
    assert run('train gaussian --epochs 1 --out runs/good') == 0
    capsys.readouterr()
    assert_fails(
        capsys, 'sample runs/god', 1, 'no run', "did you mean 'good'?"
    )
    path = pathlib.Path('runs/good/checkpoints/epoch-000001.npz')
    whole = path.read_bytes()
    for content, message in ((whole[:-9], 'damaged'), (b'else', 'is no')):
        path.write_bytes(content)
        assert_fails(capsys, 'sample runs/good', 1, str(path.parent), message)
    path.unlink()
    assert_fails(capsys, 'evaluate runs/good', 1, f'nothing in {path.parent}')
    path.write_bytes(whole)
    assert run('evaluate runs/good') == 0
    path = pathlib.Path('runs/good/settings.json')
    settings = json.loads(path.read_text())
    for text in (
        '', '{', '[]', 'null', '{}', '\xff',
        json.dumps({**settings, 'system': 'GAN'}),
        json.dumps({**settings, 'shape': 2}),
        json.dumps({**settings, 'num_epochs': '3'}),
    ):  # fmt: skip
        path.write_text(text, encoding='latin-1')
        for command in ('sample', 'evaluate', 'train gaussian --resume --out'):
            assert_fails(
                capsys, f'{command} runs/good', 1, f'{path} is not as training'
            )
    settings.update(system='dcgan', shape=[1, 8, 8])
    path.write_text(json.dumps(settings))
    assert_fails(capsys, 'sample runs/good', 1, 'of another system than dcgan')


def test_a_grid_holds_the_images_that_files_hold(images):
    assert run(f'train dcgan --data {images} --size 8 --epochs 1') == 0
    assert run('sample runs/dcgan-0 -n 11 --seed 7 --out grid.png') == 0
    assert run('sample runs/dcgan-0 -n 11 --seed 7 --out files') == 0
    grid = pixels('grid.png')
    assert grid.shape == (14 * 26, 14 * 44)
    enlarged = grid[::14, ::14].repeat(14, axis=0).repeat(14, axis=1)
    assert (grid == enlarged).all()
    grid = grid[::14, ::14]
    names = sorted(os.listdir('files'))
    assert names == [f'{i:02}.png' for i in range(11)]
    for i, name in enumerate(names):
        row, column = 9 * (i // 5), 9 * (i % 5)
        image = pixels(f'files/{name}')
        assert (grid[row : row + 8, column : column + 8] == image).all()
    assert len({pixels(f'files/{name}').tobytes() for name in names}) == 11


def test_one_can_ask_for_a_class(capsys):
    train = 'train conditional-dcgan --data digits --size 8 --epochs 1 --out c'
    assert run(f'{train} --average') == 0
    assert run('sample c -n 3 --class 7 --out sevens') == 0
    assert sorted(os.listdir('sevens')) == [f'{i}-7.png' for i in '012']
    assert_fails(capsys, 'sample c --class 10', 2, "no class '10': did")
    assert_fails(capsys, 'sample c --out sevens', 1, 'not an empty folder')
    # What this generator makes for 7 is not what it makes for 0.
    assert run('sample c -n 3 --class 0 --out naughts') == 0
    seven, naught = (
        pixels('sevens/0-7.png'),
        pixels('naughts/0-0.png'),
    )
    assert (seven != naught).any()


def test_points_are_drawn_and_cannot_be_asked(capsys):
    assert run('train gaussian --epochs 1') == 0
    assert run('sample runs/gaussian-0 -n 9') == 0
    assert pixels('runs/gaussian-0/sample.png').std() > 0
    assert_fails(capsys, 'sample runs/gaussian-0 --out x', 2, '.png')
    assert_fails(
        capsys, 'sample runs/gaussian-0 --class 1', 2, 'cannot be asked'
    )


def test_a_perfect_linear_generator_has_no_distance(capsys):
    assert run('train gaussian --epochs 1') == 0
    A, b = numpy.array(GAUSSIAN['A']), numpy.array(GAUSSIAN['b'])

    def evaluate(bias):
        checkpoint = RunFolder.open('runs/gaussian-0').checkpoint
        _, facts, arrays = checkpoint.load()
        for name, values in (('weight', A.T), ('bias', bias)):
            arrays[f'net_G/0.{name}'] = values.astype('float32')
        checkpoint.save(1, facts, arrays)
        assert run('evaluate runs/gaussian-0') == 0
        text = pathlib.Path('runs/gaussian-0/evaluation.json').read_text()
        return json.loads(text)

    verdict = evaluate(b)
    assert verdict['distance'] < 1e-6 < verdict['floor'] < 0.05
    # All points moved by 3: by 9 in the mean square
    capsys.readouterr()
    assert abs(evaluate(b + numpy.array([3, 0]))['distance'] - 9) < 1e-5
    assert '  distance                        9 ' in capsys.readouterr().out


def test_the_generator_can_be_had_without_the_library(images):
    assert run(f'train dcgan --data {images} --size 8 --epochs 1 --out d') == 0
    net_G = gluon.SymbolBlock.imports(
        'd/generator-symbol.json', ['data'], 'd/generator-0000.params'
    )
    Z = np.random.normal(0, 1, (3, 100))
    trained = RunFolder.open('d')
    assert trained.load_generator()['epoch'] == 1
    expected = trained.system.net_G(Z).asnumpy()
    assert expected.shape == (3, 1, 8, 8)
    numpy.testing.assert_allclose(net_G(Z).asnumpy(), expected, atol=1e-6)


def test_images_come_before_the_judge(monkeypatch, capsys):
    monkeypatch.setattr('d2l_gan.classifier.network.MIN_STEPS', 60)
    train = 'train conditional-dcgan --data digits --size 8 --epochs 1 --out c'
    assert run(train) == 0
    assert run('evaluate c -n 50') == 0
    out = capsys.readouterr().out
    verdict = json.loads(pathlib.Path('c/evaluation.json').read_text())
    for name in verdict:
        assert f'  {name} ' in out
    assert verdict['num_images'] == 50
    assert verdict['distance'] > verdict['floor'] > 0
    # The judge sees 50 images: shares are fiftieths.
    for name in ('obedience', 'rarest_class', 'precision'):
        assert abs(50 * verdict[name] - round(50 * verdict[name])) < 1e-6
    assert verdict['patch_floor'] > 0
    assert 0 <= verdict['discriminator'] <= 1
    assert_fails(capsys, 'evaluate c -n 1796', 1, 'n is 1796')
    assert_fails(capsys, 'evaluate c -n 3', 2, 'not an integer from 4')


def test_one_image_is_too_few_for_a_judge(images, capsys):
    for path in list(pathlib.Path(images).iterdir())[1:]:
        path.unlink()
    train = f'train mlp-small --data {images} --size 8 --epochs 1 --out one'
    assert run(train) == 0
    for options in ('', ' -n 4'):
        assert_fails(
            capsys, f'evaluate one{options}', 1, 'there are 1 real images'
        )


def test_the_book_takes_its_own_arguments(monkeypatch, capsys):
    assert run(f'book --chapters {ROOT}/chapters lib --check') == 0
    with pytest.raises(SystemExit, match='0'):
        run('book --help')
    assert capsys.readouterr().out.startswith('usage: d2l-gan book')
    monkeypatch.delitem(sys.modules, 'd2l_gan.book.execute', raising=False)
    monkeypatch.setitem(sys.modules, 'nbclient', None)
    assert run(f'book --chapters {ROOT}/chapters chapter --build b') == 1
    assert 'needs the package nbclient' in capsys.readouterr().err


@pytest.fixture
def classes(tmp_path):
    """Ten reddish pictures of cats, ten bluish ones of dogs."""
    rng = numpy.random.RandomState(0)
    for i in range(20):
        pixels = rng.randint(100, size=(6, 9, 3)).astype('uint8')
        pixels[..., 0 if i < 10 else 2] += 150
        path = tmp_path / f'pets/{"cat" if i < 10 else "dog"}/{i}.webp'
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(path, lossless=True)
    return 'pets'


def test_one_asks_for_a_class_by_the_name_of_its_folder(classes, capsys):
    train = f'train conditional-dcgan --data {classes} --size 8 --epochs 2'
    assert run(f'{train} --width 4 --out c') == 0
    captured = capsys.readouterr()
    assert 'pets: took 20 of 20 files, in 2 classes' in captured.err
    assert 'd2l-gan sample c' in captured.out
    assert 'd2l-gan evaluate c' in captured.out
    assert 'd2l-gan train conditional-dcgan --out c --resume' in captured.out
    for asked in ('dog', '1'):
        assert run(f'sample c -n 2 --class {asked} --out {asked}') == 0
        assert sorted(os.listdir(asked)) == ['0-dog.png', '1-dog.png']
        assert pixels(f'{asked}/0-dog.png').shape == (8, 8, 3)
    for asked, cure in (('dgo', "did you mean 'dog'?"), ('2', 'only cat, ')):
        assert_fails(
            capsys, f'sample c --class {asked}', 2, f'no class {asked!r}', cure
        )


def test_settings_are_in_force_when_a_run_goes_on(classes, capsys):
    train = f'train dcgan --data {classes} --size 8 --mirror --fit pad'
    train += ' --batch-size 7 --width 4 --latent 9 --lr 1e-3 --lr-G 2e-3'
    train += ' --beta1 0.25'
    assert run(f'{train} --epochs 3 --out whole') == 0
    assert run(f'{train} --epochs 1 --out parts') == 0
    assert run('train dcgan --out parts --epochs 3 --resume --lr-D 1e-3') == 0
    assert small.same(weights('whole'), weights('parts'))
    trained = RunFolder.open('parts')
    assert trained.system.batch_size == 7
    assert trained.settings['fit'] == 'pad' and trained.settings['mirror']
    told = {
        'lr_D': 1e-3, 'lr_G': 2e-3, 'beta1': 0.25, 'latent_dim': 9,
    }  # fmt: skip
    assert told.items() <= trained.system.settings.items()
    assert (
        told.items()
        <= json.loads(pathlib.Path('parts/settings.json').read_text())[
            'train'
        ].items()
    )
    # The last layer of the generator has 4 channels to read.
    assert weights('parts')[-1].shape == (4, 3, 4, 4)
    for option, name, value in (
        ('--lr 5e-3', 'lr_D 0.001', '0.005'),
        ('--batch-size 8', 'batch_size 7', '8'),
        ('--fit crop', "fit 'pad'", "'crop'"),
        ('--width 8', 'n 4', '8'),
    ):
        assert_fails(
            capsys,
            f'train dcgan --out parts --resume {option}',
            2,
            f'begun with the {name}, not {value}',
        )
    assert run('train gaussian --latent 3 --epochs 1 --out g') == 0
    assert run('evaluate g') == 0


def test_a_damaged_picture_can_be_left_out(classes, capsys):
    broken = pathlib.Path(classes, 'cat/3.webp')
    broken.write_bytes(broken.read_bytes()[:99])
    train = f'train mlp-small --data {classes} --size 8 --epochs 1 --out d'
    assert_fails(capsys, train, 1, str(broken), '--skip-damaged')
    assert not pathlib.Path('d').exists()
    assert run(f'{train} --skip-damaged') == 0
    assert 'took 19 of 20 files' in capsys.readouterr().err
    # The run knows that it goes without.
    assert run('train mlp-small --out d --resume --epochs 2') == 0


def test_histories_are_strict_json(tmp_path):
    (tmp_path / 'grey').mkdir()
    for i in range(4):
        PIL.Image.new('L', (8, 8), 99).save(tmp_path / f'grey/{i}.png')
    # All alike: their spread is 0, and nothing can be divided by it.
    assert run('train mlp-small --data grey --size 8 --epochs 1 --out n') == 0

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / 'n/history.json').read_text()
    assert json.loads(text, parse_constant=refuse)['spread'] == [None]


def test_a_tilde_is_the_home_everywhere(tmp_path, monkeypatch, images):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    (tmp_path / 'home').mkdir()
    (tmp_path / images).rename(tmp_path / 'home/images')
    train = 'train mlp-small --data ~/images --size 8 --epochs 1'
    assert run(f'{train} --out ~/run') == 0
    assert run('sample ~/run --out ~/grid.png') == 0
    assert {path.name for path in (tmp_path / 'home').iterdir()} == {
        'images', 'run', 'grid.png'
    }  # fmt: skip
    # It may be the name of a folder here, and whose home is not the question.
    (tmp_path / 'home/images').rename(tmp_path / '~backup')
    assert len(data.read_images('~backup', 8)[0]) == 24
    assert not (tmp_path / '~').exists()


@pytest.mark.parametrize('size', [64, 128])
def test_large_images_are_judged(size, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('d2l_gan.classifier.network.MIN_STEPS', 2)
    rng = numpy.random.RandomState(0)
    (tmp_path / 'large').mkdir()
    for i in range(24):
        noise = rng.randint(256, size=(20, 30, 3)).astype('uint8')
        PIL.Image.fromarray(noise).save(tmp_path / f'large/{i}.png')
    train = f'train dcgan --data large --size {size} --width 2 --epochs 1'
    assert run(f'{train} --batch-size 24 --out l') == 0
    assert run('evaluate l') == 0
    assert 'distance' in capsys.readouterr().out
    assert run('sample l -n 2 --out two.png') == 0
    assert pixels('two.png').shape[1] >= 600


def test_names_that_cannot_be_printed(images, capsys):
    name = os.fsencode(images) + b'\xff'
    os.rename(images, name)
    line = ['train', 'mlp-small', '--size', '8', '--epochs', '1', '--data']
    assert main([*line, os.fsdecode(name)]) == 0
    assert '\\udcff' in capsys.readouterr().out
    assert RunFolder.open('runs/mlp-small-0').data[0].shape == (24, 1, 8, 8)
