"""The benchmark, on small hand-made cases and once in a short run."""

import json
import sys

import numpy
import pytest
from processes import ROOT, python

BENCHMARKS = ROOT / 'benchmarks'


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def result(*seconds, obstacle='', **more):
    turn = {'examples': 10, 'peak': 2e8, 'resident': 1e8, 'cores': 1.5}
    turns = [{**turn, 'seconds': s, **more} for s in seconds]
    return {'turns': turns, 'obstacle': obstacle}


def test_report_compares_turn_by_turn():
    from report import report

    text = report(
        {
            'machine': 'a machine',
            'processes': 3,
            'workloads': {
                'demo': {
                    # As fast as this or as slow: always half the time
                    'd2l': result(1, 2, 8),
                    'fast': result(0.5, 1, 4),
                    'torch': result(obstacle='no PyTorch: get it'),
                    'limit': result(0.1, 0.2, 0.8, flop=1, flops=1, calls=11),
                }
            },
        }
    )
    rows = {
        line.split('|')[1].strip(): line.split('|')[2].strip()
        for line in text.splitlines()[:10]
        if line.startswith('|')
    }
    # 10, 5 and 1.25 examples a second: quartiles 3.125 and 7.5
    assert rows["d2l's MXNet code"] == '5 ±2.19'
    assert rows['ours, fast step'] == '10 (2.00 ±0.00)'
    assert rows['limit, float32'] == '50 (10.00 ±0.00)'
    assert rows['PyTorch as in d2l'] == 'no PyTorch'
    assert 'PyTorch as in d2l: no PyTorch: get it.' in text
    assert 'demo: the bare calls of a step, 11000000 µs' in text


def test_modes_are_judged_by_the_cells_of_the_chapter(monkeypatch):
    monkeypatch.chdir(ROOT)
    from modes import chapter_names

    from d2l_gan.evaluate import ring_of_gaussians

    _, modes = ring_of_gaussians(1)
    # Ten good ones, of which each mode is due 10 / 8, and two in the middle
    fakes = numpy.concatenate([modes, modes[[0, 0]], 0 * modes[:2]])
    found = chapter_names()['judge_points'](fakes, 'ring')
    assert found == pytest.approx((8, 10 / 12, 1 / (10 / 8)))


def test_a_worker_that_fails_leaves_its_last_words():
    from speed import WORKLOADS, Worker

    # This Python has no PyTorch.
    worker = Worker('torch', WORKLOADS['Gaussian demo'], sys.executable)
    try:
        with pytest.raises(ChildProcessError, match="No module named 'torch'"):
            worker.turn()
    finally:
        worker.close()


def test_a_short_run(tmp_path):
    script, workload = BENCHMARKS / 'speed.py', 'Gaussian demo'
    status, out, err = python(
        script, '--quick', '--workloads', workload,
        '--contestants', 'd2l', 'fast', 'limit', 'torch',
        cwd=tmp_path, D2L_GAN_TORCH='',
    )  # fmt: skip
    assert status == 0, err
    folder = tmp_path / '_build/bench'
    runs = json.loads((folder / 'speed.json').read_text())['workloads']
    for name in ('d2l', 'fast'):
        turns = runs[workload][name]['turns']
        # 1000 minibatches of 8, in each of two turns
        assert [turn['examples'] for turn in turns] == [8000, 8000]
        assert all(
            0 < turn['resident'] <= turn['peak'] < 1e9 for turn in turns
        )
    rates = {
        name: max(turn['examples'] / turn['seconds'] for turn in run['turns'])
        for name, run in runs[workload].items()
        if run['turns']
    }
    assert rates['d2l'] < rates['fast'] < rates['limit']
    assert out.startswith((folder / 'speed.txt').read_text())
    assert (folder / 'speed.png').read_bytes().startswith(b'\x89PNG')
    assert sorted(path.name for path in folder.iterdir()) == [
        'speed.json', 'speed.png', 'speed.txt',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--processes', '0'], 'must be above 0'),
        (['--torch', 'nope'], 'nope is no Python that can import torch'),
    ],
)
def test_mistakes_are_named(arguments, words, tmp_path, monkeypatch, capsys):
    from speed import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['speed.py', *arguments])
    with pytest.raises(SystemExit):
        main()
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
