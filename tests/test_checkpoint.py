"""Runs that are stopped and taken up again, to the bit."""

import errno
import io
import json
import logging
import multiprocessing
import os
import pathlib
import random
import resource
import subprocess
import sys
import time
import tracemalloc
import zipfile

import mxnet as mx
import numpy
import pytest
import small
from mxnet import np, npx
from mxnet.gluon import nn
from processes import python

from d2l_gan import checkpoint
from d2l_gan.checkpoint import Checkpoint, save_generator
from d2l_gan.conditional import ConditionalGenerator
from d2l_gan.dcgan import AveragedStep, dcgan_generator
from d2l_gan.deligan import MixtureLatent
from d2l_gan.fused import FusedStep
from d2l_gan.mlp import SavingStep, mlp_generator
from d2l_gan.train import Recorder, adversarial_step, set_seed

npx.set_np()

TESTS = pathlib.Path(__file__).parent
ROOT = TESTS.parent


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def stopped_by(error, num_minibatches, step=adversarial_step):
    """A step that raises at one of the minibatches."""
    calls = []

    def stopping_step(*args):
        calls.append(args)
        if len(calls) == num_minibatches:
            raise error
        return step(*args)

    return stopping_step


# Going on


@pytest.mark.parametrize('system', small.SYSTEMS)
def test_a_run_goes_on_to_the_bit(system, tmp_path):
    whole = small.run(system, 4, seed=5)
    small.run(system, 2, seed=5, checkpoint=tmp_path)
    set_seed(99)
    nets = small.run(system, 4, seed=5, checkpoint=tmp_path)
    assert small.digest(*nets) == small.digest(*whole)
    assert names(tmp_path) == ['epoch-000003.npz', 'epoch-000004.npz']
    # When nothing is left, the history comes at once, and the networks too.
    again = small.run(system, 4, checkpoint=tmp_path, data=None)
    assert small.digest(*again) == small.digest(*whole)
    assert again[2] == nets[2]


def test_a_seed_is_drawn_and_kept(tmp_path):
    set_seed(8)
    whole = small.run('mlp', 3, checkpoint=tmp_path / 'a')
    set_seed(8)
    small.run('mlp', 1, checkpoint=tmp_path / 'b')
    assert small.digest(
        *small.run('mlp', 3, checkpoint=tmp_path / 'b')
    ) == small.digest(*whole)
    # Each run has another one.
    other = small.run('mlp', 3, checkpoint=tmp_path / 'c')
    assert small.digest(*other) != small.digest(*whole)


def test_what_is_shown_goes_on_too(tmp_path):
    class Curves(Recorder):
        def __init__(self):
            super().__init__()
            self.points = []

        def add(self, x, y):
            self.points.append((x, *y))

    for num_epochs in (2, 3):
        curves = Curves()
        *_, history = small.run(
            'gaussian', num_epochs, checkpoint=tmp_path, animator=curves
        )
    assert curves.points == list(
        zip((1, 2, 3), history['loss_D'], history['loss_G'])
    )
    assert len(curves.fakes) == 1


def test_a_learning_rate_that_a_step_has_changed_stays(tmp_path):
    def step(*args):
        trainer = args[-1]
        trainer.set_learning_rate(0.9 * trainer.learning_rate)
        return adversarial_step(*args)

    whole = small.run('gaussian', 4, seed=1, step=step)
    for num_epochs in (3, 4):
        last = small.run(
            'gaussian', num_epochs, seed=1, step=step, checkpoint=tmp_path
        )
    assert small.digest(*last) == small.digest(*whole)


def test_a_network_that_was_never_updated(tmp_path):
    def step(X, Z, net_D, net_G, loss, trainer_D, trainer_G):
        return np.ones(()), np.ones(())

    for num_epochs in (1, 2):
        nets = small.run(
            'gaussian', num_epochs, seed=1, step=step, checkpoint=tmp_path
        )
    assert small.digest(*nets) == small.digest(
        *small.run('gaussian', 2, seed=1, step=step)
    )


def test_steps_around_steps_keep_their_states(tmp_path):
    """A film goes on where it was, and so does the step that it is of."""

    def film(folder, num_epochs):
        net_D, net_G, _, settings = small.deligan()
        step = SavingStep(
            folder / 'film', 2, np.zeros((2, 20)), settings['step']
        )
        small.run('deligan', num_epochs, (net_D, net_G), seed=1, step=step,
                  checkpoint=folder / 'kept')  # fmt: skip
        return step

    step = film(tmp_path, 1)
    assert names(tmp_path / 'film') == ['000.png', '001.png']
    inner = step.step.state_dict()
    again = film(tmp_path, 1)
    assert (again.num_minibatches, again.step.state_dict()) == (3, inner)
    assert inner['num_minibatches'] == 3 and inner['balance'] != 0
    # By these names it is in checkpoints from before, too.
    kept = numpy.load(Checkpoint(tmp_path / 'kept').path(1))
    assert kept['step/num_minibatches'] == 3
    assert kept['step/step.balance'] == inner['balance']
    film(tmp_path, 2)
    assert names(tmp_path / 'film') == ['000.png', '001.png', '002.png']


def test_an_average_goes_on_with_the_step_inside(tmp_path):
    def averaged(folder, num_epochs, num_runs=1):
        for _ in range(num_runs):
            net_D, net_G, _, settings = small.deligan()
            inner, net_avg = settings['step'], small.deligan()[1]
            small.run(
                'deligan', num_epochs, (net_D, net_G), seed=1,
                step=AveragedStep(net_avg, step=inner), checkpoint=folder,
            )  # fmt: skip
            num_epochs += 1
        return small.weights(net_avg), inner.state_dict()

    averages, states = zip(
        averaged(tmp_path / 'whole', 3),
        averaged(tmp_path / 'parts', 2, num_runs=2),
    )
    assert states[0] == states[1] and states[0]['num_minibatches'] == 9
    for a, b in zip(*averages):
        numpy.testing.assert_array_equal(a, b)


def test_who_does_not_write_knows_the_last_checkpoint(tmp_path):
    history = {'loss_D': [], 'loss_G': []}
    nets = nn.Dense(1, in_units=1), nn.Dense(1, in_units=1)
    trainers = []
    for net in nets:
        net.initialize()
        trainers.append(mx.gluon.Trainer(net.collect_params(), 'adam'))
    progress = checkpoint.Progress(
        tmp_path, 1, {}, history, nets, trainers, writes=False
    )
    assert [progress.last for _ in progress.epochs(3)] == [
        None,
        *(Checkpoint(tmp_path).path(epoch) for epoch in (1, 2)),
    ]
    assert names(tmp_path) == []


def test_every_and_keep(tmp_path):
    small.run('gaussian', 8, checkpoint=Checkpoint(tmp_path, 3))
    # The last epoch counts, whatever `every` says.
    assert names(tmp_path) == ['epoch-000006.npz', 'epoch-000008.npz']
    small.run('gaussian', 9, checkpoint=Checkpoint(tmp_path, 3, keep=1))
    assert names(tmp_path) == ['epoch-000009.npz']
    for setting in ({'every': 0}, {'keep': 0}):
        with pytest.raises(ValueError, match='is 0, but has to be at least 1'):
            Checkpoint(tmp_path, **setting)


# Being stopped


@pytest.mark.parametrize('every', [1, 10])
def test_ctrl_c_keeps_the_last_whole_epoch(tmp_path, every):
    # 13 minibatches an epoch: this is in the middle of the third.
    step = stopped_by(KeyboardInterrupt, 30)
    keep = Checkpoint(tmp_path, every)
    with pytest.raises(KeyboardInterrupt):
        small.run('gaussian', 20, seed=3, step=step, checkpoint=keep)
    assert names(tmp_path)[-1] == 'epoch-000002.npz'
    went_on = small.run('gaussian', 4, seed=3, checkpoint=keep)
    assert small.digest(*went_on) == small.digest(
        *small.run('gaussian', 4, seed=3)
    )


def test_ctrl_c_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    fsync = os.fsync

    def interrupted(file):
        monkeypatch.setattr(os, 'fsync', fsync)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(KeyboardInterrupt):
        small.run('gaussian', 20, seed=3, checkpoint=tmp_path)
    assert names(tmp_path) == ['epoch-000001.npz']
    assert Checkpoint(tmp_path).load()[1]['epoch'] == 1


def test_nan_names_the_last_good_checkpoint(tmp_path):
    def step(*args):
        losses = adversarial_step(*args)
        step.calls += 1
        return losses if step.calls < 30 else (losses[0] * np.nan, losses[1])

    step.calls = 0
    with pytest.raises(FloatingPointError) as caught:
        small.run('gaussian', 9, seed=3, step=step, checkpoint=tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    assert f'The last good checkpoint is {path}' in str(caught.value)
    assert path.exists()


@pytest.mark.parametrize('every', [1, 10])
def test_weights_that_are_not_finite_are_not_kept(tmp_path, every):
    def step(*args):
        step.calls += 1
        losses = adversarial_step(*args)
        if step.calls == 26:  # the last one of the second epoch
            args[3][0].bias.set_data(np.array([np.nan, 1]))
        return losses

    step.calls = 0
    keep = Checkpoint(tmp_path, every)
    with pytest.raises(FloatingPointError) as caught:
        small.run('gaussian', 9, seed=3, step=step, checkpoint=keep)
    assert 'epoch 2: in net_G, 0.bias became NaN' in str(caught.value)
    assert str(tmp_path / 'epoch-000001.npz') in str(caught.value)
    assert names(tmp_path) == ['epoch-000001.npz']


def train_and_tell(folder, result):
    """In a process of its own: train on, and write down what it comes to."""
    run = small.run('gaussian', 8, seed=4, checkpoint=folder)
    pathlib.Path(result).write_text(small.digest(*run))


def test_killed_at_20_random_moments(tmp_path, monkeypatch):
    # The server imports MXNet once, and every process begins as its copy.
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(map(str, (ROOT, TESTS))))
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['small'])

    def start(folder):
        process = context.Process(
            target=train_and_tell, args=(folder, f'{folder}.txt')
        )
        process.start()
        return process

    start(tmp_path / 'first').join()  # and the server is ready
    begun = time.perf_counter()
    start(tmp_path / 'whole').join()
    seconds = time.perf_counter() - begun
    whole = (tmp_path / 'whole.txt').read_text()

    rng, kills, runs = random.Random(0), 0, 0
    while kills < 20:
        runs += 1
        process = start(tmp_path / f'{runs}')
        while True:
            process.join(rng.uniform(0, seconds))
            if process.exitcode is not None:
                break
            process.kill()  # SIGKILL
            process.join()
            kills += 1
            process = start(tmp_path / f'{runs}')
        assert process.exitcode == 0
        assert (tmp_path / f'{runs}.txt').read_text() == whole


# What can be wrong


def keep(folder, num_epochs=2, **options):
    return small.run(
        'gaussian', num_epochs, **{'seed': 3, 'checkpoint': folder, **options}
    )


def refused(folder, error=ValueError, **options):
    """The message, and nothing in the folder has changed."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(error) as caught:
        keep(folder, 3, **options)
    assert before == {path: path.read_bytes() for path in folder.iterdir()}
    return str(caught.value)


@pytest.fixture
def whole():
    """The digest of four epochs without a stop."""
    return small.digest(*small.run('gaussian', 4, seed=3))


@pytest.mark.parametrize('damage', ['cut', 'empty', 'bit'])
def test_a_damaged_file_is_passed_over(tmp_path, damage, caplog, whole):
    keep(tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    content = path.read_bytes()
    weight = content.index(b'net_D/0.weight')
    middle = content.index(b'NUMPY', weight) + 140  # in one of its numbers
    flipped = bytes([content[middle] ^ 1])
    path.write_bytes(
        {
            'cut': content[: len(content) // 2],
            'empty': b'',
            'bit': content[:middle] + flipped + content[middle + 1 :],
        }[damage]
    )
    assert small.digest(*keep(tmp_path, 4)) == whole
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f'{path} is damaged' in record.getMessage()
    assert names(tmp_path) == ['epoch-000003.npz', 'epoch-000004.npz']


def test_good_files_are_not_removed_for_a_damaged_one(tmp_path):
    keep(tmp_path)
    (tmp_path / 'epoch-000009.npz').write_bytes(b'')
    keep(Checkpoint(tmp_path, keep=1), 3)
    assert names(tmp_path) == ['epoch-000003.npz', 'epoch-000009.npz']


def test_when_all_are_damaged_nothing_is_begun(tmp_path):
    keep(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    message = refused(tmp_path)
    assert f'all checkpoints in {tmp_path} are damaged' in message
    assert 'remove them, to begin anew' in message


def test_foreign_files_are_refused_and_stay(tmp_path):
    keep(tmp_path)
    path = tmp_path / 'epoch-000003.npz'
    for write in (
        lambda: path.write_text('a story'),
        lambda: numpy.savez(path, x=numpy.ones(3)),
        lambda: numpy.savez(path, facts=numpy.array('[]')),
    ):
        write()
        assert f'{path} is no checkpoint' in refused(tmp_path)
    path.unlink()
    (tmp_path / 'epoch-last.npz').write_text('not of our names')
    keep(tmp_path, 3)


def header(descr, shape):
    """The bytes of an array of NumPy that has no numbers."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"
    return b'\x93NUMPY\1\0' + len(text).to_bytes(2, 'little') + text.encode()


def rewrite(path, compression=zipfile.ZIP_STORED, **members):
    """Put other bytes into members of an archive; `None` takes one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content.update({f'{name}.npy': data for name, data in members.items()})
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def facts_with(path, **changes):
    with numpy.load(path) as arrays:
        facts = {**json.loads(str(arrays['facts'])), **changes}
    content = io.BytesIO()
    numpy.save(content, json.dumps(facts))
    return content.getvalue()


def saved(array):
    content = io.BytesIO()
    numpy.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    'members',
    [
        {'net_G/0.weight': header("'<f4'", (10**13,))},
        {'net_G/0.weight': header("'<f4'", (2**40, 2**40))},
        {'net_G/0.weight': header("'|O'", (4,)) + bytes(32)},
        {'net_G/0.weight': header('[' * 150, (1,))},
        {'net_G/0.weight': b'\x93NUMPY\2\0\xff\xff\xff\xff'},
        {'net_G/0.weight': b''},
        {'bomb': bytes(10**7), 'compression': zipfile.ZIP_DEFLATED},
        {'facts': {'epoch': '2'}},
        {'facts': {'epoch': 3}},
        {'facts': {'seed': -1}},
        {'facts': {'seed': True}},
        {'facts': {'history': []}},
        {'facts': {'history': {'other': ['x', 'y'], 'warnings': []}}},
        {'facts': {'states': None}},
        {'facts': {'format': 'new'}},
        {'history/loss_D': saved(numpy.zeros((2, 2)))},
        {'history/loss_D': saved(numpy.zeros(1))},
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_says_is_damaged(
    members, tmp_path, caplog, whole
):
    keep(tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    if isinstance(members.get('facts'), dict):
        members = {'facts': facts_with(path, **members['facts'])}
    rewrite(path, **members)
    tracemalloc.start()
    found, facts, _ = Checkpoint(tmp_path).load()
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    assert (found.name, facts['epoch']) == ('epoch-000001.npz', 1)
    assert f'{path} is damaged' in caplog.text
    assert small.digest(*keep(tmp_path, 4)) == whole


@pytest.mark.parametrize(
    'members',
    [
        {'net_G/0.weight': saved(numpy.ones((2, 2)))},
        {'net_G/0.weight': saved(numpy.ones((2, 2), 'complex64'))},
        {'trainer_D/0.weight.mean': None},
        {'trainer_D/0.weight.mean': saved(numpy.ones(3, 'float32'))},
        {'trainer_D/0.weight.count': saved(numpy.array(-1))},
        {'trainer_D/0.weight.count': saved(numpy.array('x'))},
        {'trainer_D/learning_rate': None},
    ],
)
def test_states_of_other_types_are_refused(members, tmp_path):
    keep(tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    rewrite(path, **members)
    assert f'the checkpoint {path} holds states that do not' in refused(
        tmp_path
    )


def test_states_of_a_step_of_other_types_are_refused(tmp_path):
    def deligan(num_epochs):
        return small.run('deligan', num_epochs, seed=1, checkpoint=tmp_path)

    deligan(1)
    path = tmp_path / 'epoch-000001.npz'
    original = path.read_bytes()
    for member in (None, saved(numpy.array('x')), saved(numpy.ones(2))):
        path.write_bytes(original)
        rewrite(path, **{'step/balance': member})
        with pytest.raises(ValueError, match='holds states that do not fit'):
            deligan(2)


def test_a_history_takes_eight_bytes_a_number(tmp_path):
    sizes = []
    numbers = numpy.random.RandomState(0).uniform(size=2000).tolist()
    for epoch in (1000, 2000):
        history = {'loss_D': numbers[:epoch], 'warnings': ['epoch 1: words']}
        facts = {'format': 2, 'epoch': epoch, 'seed': 1, 'settings': {},
                 'states': [], 'history': history}  # fmt: skip
        Checkpoint(tmp_path).save(epoch, facts, {})
        assert Checkpoint(tmp_path).load()[1] == facts
        sizes.append(Checkpoint(tmp_path).path(epoch).stat().st_size)
    assert sizes[1] - sizes[0] == 8 * 1000


def test_histories_of_before_can_be_read(tmp_path, whole):
    keep(tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    _, facts, _ = Checkpoint(tmp_path).load()
    old = facts_with(path, format=1, history=facts['history'])
    rewrite(path, facts=old, **{
        f'history/{name}': None for name in facts['history']
        if name != 'warnings'
    })  # fmt: skip
    assert Checkpoint(tmp_path).load()[1]['history'] == facts['history']
    assert small.digest(*keep(tmp_path, 4)) == whole


def test_what_another_process_has_done_meanwhile_is_not_lost(tmp_path):
    nets = small.gaussian()[:2]
    trainers = []
    for net in nets:
        net.initialize()
        trainers.append(mx.gluon.Trainer(net.collect_params(), 'adam'))
    late = checkpoint.Progress(
        tmp_path, 1, {}, {'warnings': []}, nets, trainers
    )
    keep(tmp_path)
    with pytest.raises(ValueError, match='another process has just trained'):
        next(late.epochs(3))
    assert Checkpoint(tmp_path).load()[1]['seed'] == 3


class Payload:
    def __reduce__(self):
        return os._exit, (7,)


def test_nothing_in_a_file_is_executed(tmp_path):
    keep(tmp_path, 1)
    path = tmp_path / 'epoch-000001.npz'
    arrays = dict(numpy.load(path))
    arrays['net_G/0.weight'] = numpy.array([Payload()], dtype=object)
    numpy.savez(path, **arrays)
    with pytest.raises(ValueError, match='Object arrays cannot be loaded'):
        numpy.load(path)['net_G/0.weight']
    assert 'are damaged' in refused(tmp_path)


def test_later_formats_are_refused(tmp_path):
    keep(tmp_path)
    path = tmp_path / 'epoch-000002.npz'
    arrays = dict(numpy.load(path))
    facts = json.loads(str(arrays['facts']))
    arrays['facts'] = numpy.array(json.dumps({**facts, 'format': 3}))
    numpy.savez(path, **arrays)
    message = refused(tmp_path)
    assert f'{path} has format 3' in message and 'up to 2' in message


def other_networks(width=5, out=2, layers=1):
    net_D, net_G = nn.HybridSequential(), nn.HybridSequential()
    net_D.add(nn.Dense(width, activation='tanh'), nn.Dense(1))
    for _ in range(layers):
        net_G.add(nn.Dense(out))
    return net_D, net_G


@pytest.mark.parametrize(
    ('nets', 'found'),
    [
        ({'width': 7}, r'net_D/0.bias has shape (5,), but here (7,)'),
        ({'layers': 2}, r'net_G/1.bias has shape none, but here (2,)'),
    ],
)
def test_other_networks_are_refused(tmp_path, nets, found):
    keep(tmp_path)
    message = refused(tmp_path, nets=other_networks(**nets))
    assert str(tmp_path / 'epoch-000002.npz') in message and found in message


@pytest.mark.parametrize(
    ('setting', 'found'),
    [
        ({'lr_D': 0.1}, 'lr_D = 0.05, but here it is 0.1'),
        ({'beta1': 0.5}, 'beta1 = 0.9, but here it is 0.5'),
        ({'seed': 4}, 'seed = 3, but here it is 4'),
        ({'dtype': 'bfloat16'}, 'dtype = float32, but here it is bfloat16'),
    ],
)
def test_other_settings_are_refused(tmp_path, setting, found, monkeypatch):
    monkeypatch.setattr('d2l_gan.fused.has_bfloat16', lambda: True)
    if 'dtype' in setting:
        setting = {'step': FusedStep(**setting)}
    keep(tmp_path)
    message = refused(tmp_path, **setting)
    assert found in message and 'take another folder' in message


def test_another_batch_size_is_refused(tmp_path, monkeypatch, whole):
    keep(tmp_path)
    net_D, net_G, _, settings = small.gaussian()
    other = net_D, net_G, [np.zeros((10, 2))], settings
    with monkeypatch.context() as patch:
        patch.setitem(small.SYSTEMS, 'gaussian', lambda: other)
        message = refused(tmp_path)
    assert str(tmp_path / 'epoch-000002.npz') in message
    assert 'batch_size = 8, but here it is 10: go on with' in message
    # In files from before it is not kept: they go on, and keep it.
    path = tmp_path / 'epoch-000002.npz'
    arrays = dict(numpy.load(path))
    facts = json.loads(str(arrays['facts']))
    assert facts['settings'].pop('batch_size') == 8
    numpy.savez(path, **{**arrays, 'facts': json.dumps(facts)})
    assert small.digest(*keep(tmp_path, 4)) == whole
    assert Checkpoint(tmp_path).load()[1]['settings']['batch_size'] == 8


def test_states_need_their_owner(tmp_path):
    *_, settings = small.deligan()
    keep(tmp_path)
    message = refused(tmp_path, step=settings['step'])
    assert "holds states of nothing, but here there are ['step']" in message


def test_states_that_cannot_be_kept_are_named(tmp_path):
    class Step:
        def __call__(self, *args):
            return adversarial_step(*args)

        def state_dict(self):
            return {'best': None}

    with pytest.raises(TypeError, match="`step` gives 'best' = None: only"):
        keep(tmp_path, step=Step())
    assert names(tmp_path) == []


def test_a_full_disk(tmp_path):
    keep(tmp_path, 2)
    before = names(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The file system itself refuses to write more than this to a file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match='could not be written') as caught:
            keep(tmp_path, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    message = str(caught.value)
    assert str(tmp_path / 'epoch-000003.npz') in message
    assert f'{tmp_path / "epoch-000002.npz"}, is whole' in message
    assert names(tmp_path) == before
    # With room again, nothing is lost.
    went_on = keep(tmp_path, 4)
    assert small.digest(*went_on) == small.digest(
        *small.run('gaussian', 4, seed=3)
    )


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    blocked = tmp_path / 'file'
    blocked.write_text('')
    with pytest.raises(OSError, match=f'folder {blocked}/a .*Not a directory'):
        keep(blocked / 'a')

    # Nor through a link, which could lead to somebody else's file
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / '.owner').symlink_to(victim)
    with pytest.raises(OSError, match=f'folder {tmp_path}/run could not be'):
        keep(tmp_path / 'run')
    assert victim.read_text() == 'mine'


def test_what_has_come_to_its_end_needs_no_writing(tmp_path, monkeypatch):
    keep(tmp_path, 2)

    # The administrator may write anywhere, so that this is a simulation.
    def deny(path, *args):
        raise PermissionError(errno.EACCES, 'Permission denied', path)

    monkeypatch.setattr(os, 'open', deny)
    message = refused(tmp_path, PermissionError)
    assert f'folder {tmp_path} could not be written to (Permission' in message
    assert 'allow it, or take another folder' in message
    *_, history = keep(tmp_path, 2)
    assert len(history['loss_D']) == 2


# A generator alone


def generators():
    """With the length of their latent vectors."""
    deligan = nn.HybridSequential()
    deligan.add(MixtureLatent(5, 20), mlp_generator((1, 8, 8), (32,)))
    return {
        'mlp': (mlp_generator((1, 8, 8), (32,), output='sigmoid'), 20),
        'deligan': (deligan, 20),
        'grey': (dcgan_generator((1, 16, 16), 4), 20),
        'rgb': (dcgan_generator((3, 16, 16), 4), 20),
        'conditional': (
            ConditionalGenerator(dcgan_generator((1, 16, 16), 4), 10),
            30,
        ),
    }


# In a process that knows nothing of this library
LOADING = """
import sys
import numpy
if numpy.__version__ >= '1.24':
    numpy.bool = bool  # which MXNet reads
from mxnet import gluon, np, npx
npx.set_np()
for name in sys.argv[1:]:
    net_G = gluon.SymbolBlock.imports(f'{name}-symbol.json', ['data'],
                                      f'{name}-0000.params')
    Z = np.array(numpy.load(f'{name}-Z.npy'))
    numpy.save(f'{name}-X.npy', net_G(Z).asnumpy())
assert 'd2l_gan' not in sys.modules
"""


def test_generators_are_loaded_without_this_library(tmp_path):
    expected = {}
    for name, (net_G, latent_dim) in generators().items():
        net_G.initialize()
        Z = np.random.normal(0, 1, (7, latent_dim))
        with mx.autograd.record():
            net_G(Z).sum().backward()  # moves the running statistics
        expected[name] = net_G(Z).asnumpy()
        save_generator(net_G, tmp_path / 'saved' / name)
        numpy.save(tmp_path / 'saved' / f'{name}-Z.npy', Z.asnumpy())
        # Gluon's own way comes to the same, but for the names.
        net_G.hybridize()
        net_G(Z)
        net_G.export(str(tmp_path / name))
        exported = npx.load(str(tmp_path / f'{name}-0000.params'))
        saved = npx.load(str(tmp_path / 'saved' / f'{name}-0000.params'))
        assert sorted(
            (key[:4], array.shape) for key, array in saved.items()
        ) == (
            sorted((key[:4], array.shape) for key, array in exported.items())
        )
    subprocess.run(
        [sys.executable, '-c', LOADING, *expected],
        cwd=tmp_path / 'saved', check=True,
    )  # fmt: skip
    for name, X in expected.items():
        again = numpy.load(tmp_path / 'saved' / f'{name}-X.npy')
        numpy.testing.assert_array_equal(again, X)


SAVING = """
import sys
import small
from d2l_gan.checkpoint import save_generator
for _ in range(int(sys.argv[1])):
    small.dcgan()
_, net_G, _ = small.run('dcgan', int(sys.argv[2]), seed=1, checkpoint='run')
save_generator(net_G, sys.argv[3])
"""


def test_equal_generators_are_equal_files(tmp_path):
    tests = f'{TESTS}{os.pathsep}{ROOT}'
    for arguments in ((0, 2, 'a'), (3, 2, 'b')):  # trained, and read again
        status, _, err = python(
            '-c', SAVING, *arguments, cwd=tmp_path, PYTHONPATH=tests
        )
        assert status == 0, err
    for name in ('symbol.json', '0000.params'):
        a, b = (tmp_path / f'{x}-{name}' for x in 'ab')
        assert a.read_bytes() == b.read_bytes()


def test_generators_that_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match='net_G is no HybridBlock'):
        save_generator(nn.Sequential(), tmp_path / 'a')
    net_G = nn.HybridSequential()
    net_G.add(nn.Dense(2))
    with pytest.raises(ValueError, match='has no weights yet'):
        save_generator(net_G, tmp_path / 'a')
    assert names(tmp_path) == []
