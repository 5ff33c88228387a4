"""Real processes that train together, and that are lost."""

import os
import pathlib
import signal
import socket
import textwrap
import time

import pytest
from processes import ROOT, finish, start

from d2l_gan.cluster import launch, peers

SLEEP = 'import time; time.sleep(60)'


def script(folder, text):
    path = folder / 'script.py'
    path.write_text(textwrap.dedent(text))
    return path


TRAIN = """
    from d2l_gan.parallel import join_workers
    from d2l_gan.train import train
    from mxnet import np, npx
    from mxnet.gluon import nn

    npx.set_np()
    X = np.ones((4, 2))
    net_D, net_G = nn.Dense(1), nn.Dense(2)
    kvstore = join_workers()
    print('here\\n', end='', flush=True)  # at once: there are two workers
    train(net_D, net_G, [X] * 10, 10 ** 6, 0.02, 0.01, 2, X,
          kvstore=kvstore, animator=False)
"""


def pids(parent):
    """The processes that a launcher has started, by role."""
    roles = {}
    for process in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            stat = (process / 'stat').read_text().rpartition(')')[2].split()
            variables = (process / 'environ').read_text().split('\0')
        except OSError:
            continue
        if int(stat[1]) == parent:
            role = next(v for v in variables if v.startswith('DMLC_ROLE='))
            roles.setdefault(role.partition('=')[2], []).append(process)
    return roles


@pytest.mark.parametrize('victim', ['worker', 'server'])
def test_a_lost_process_ends_the_run(tmp_path, victim):
    path = script(tmp_path, TRAIN)
    process = start('-m', 'd2l_gan.cluster.launch', '-n', 2, path)
    assert sorted(process.stdout.read(10)) == sorted(2 * 'here\n')
    roles = pids(process.pid)
    assert {role: len(found) for role, found in roles.items()} == {
        'scheduler': 1,
        'server': 1,
        'worker': 2,
    }
    lost = roles[victim][-1]
    os.kill(int(lost.name), signal.SIGKILL)
    status, _, err = finish(process)
    assert status == 128 + signal.SIGKILL
    assert f'process {lost.name}) was ended by SIGKILL' in err
    # The others have found out themselves, or were told.
    assert err.count(f'process {lost.name}, is gone') == 3
    assert not any(found.exists() for role in roles.values() for found in role)


def test_an_interrupted_run(tmp_path):
    path = script(tmp_path, '''
        import time
        from d2l_gan.cluster import peers
        peers.begin(0)
        print('here', flush=True)
        time.sleep(60)
        ''')  # fmt: skip
    process = start('-m', 'd2l_gan.cluster.launch', '-n', 1, path)
    assert process.stdout.readline() == 'here\n'
    found = [f for role in pids(process.pid).values() for f in role]
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == 128 + signal.SIGINT
    assert 'KeyboardInterrupt' in err  # in the worker
    assert not any(process.exists() for process in found)


def free_port():
    return launch._free_port()


def peer(role, port, *codes, **variables):
    """A process of a run that leaves MXNet alone.

    Between two pieces of code it waits until `go` is called.
    """
    pause = "; print('ready', flush=True); input()\n"
    code = pause.join(codes or [SLEEP])
    return start(
        '-c',
        f'import d2l_gan\nfrom d2l_gan.cluster import peers\n{code}',
        **{
            'DMLC_ROLE': role,
            'DMLC_PS_ROOT_URI': '127.0.0.1',
            'DMLC_PS_ROOT_PORT': port,
            'DMLC_NUM_WORKER': 2,
            'DMLC_NUM_SERVER': 1,
            'D2L_GAN_JOIN_SECONDS': 30,
            **variables,
        },
    )


def ready(*processes):
    for process in processes:
        assert process.stdout.readline() == 'ready\n'


def go(*processes):
    for process in processes:
        process.stdin.write('\n')
        process.stdin.flush()


def test_a_scheduler_that_never_comes():
    port = free_port()
    process = peer('worker', port, D2L_GAN_JOIN_SECONDS=1)
    status, _, err = finish(process)
    assert status == peers.STATUS
    assert f'no scheduler answered at 127.0.0.1:{port + 1} for 1 s' in err


def test_a_worker_that_never_comes():
    port = free_port()
    processes = [
        peer(role, port, D2L_GAN_JOIN_SECONDS=2)
        for role in ('scheduler', 'server', 'worker')
    ]
    for process in processes:
        status, _, err = finish(process)
        assert status == peers.STATUS
        assert 'only 1 of 2 workers and 1 of 1 servers came' in err


@pytest.mark.parametrize('offset', [0, 1])
def test_a_port_in_use(offset):
    port = free_port()
    with socket.create_server(('', port + offset)):
        status, _, err = finish(peer('scheduler', port))
        assert status == peers.STATUS
        assert f'port {port + offset} is in use' in err
        process = start(
            '-m', 'd2l_gan.cluster.launch', '-n', 1, '--port', port, 'x.py'
        )
        status, _, err = finish(process)
        assert status == 2
        assert f'port {port + offset} is in use' in err


def run_of(codes_0, codes_1):
    """A run without MXNet: its scheduler, its server and two workers."""
    port = free_port()
    return [
        peer('scheduler', port),
        peer('server', port, 'peers._peer.connected.wait()', SLEEP),
        peer('worker', port, *codes_0),
        peer('worker', port, *codes_1),
    ]


def test_an_error_in_one_worker_ends_all():
    processes = run_of(['peers.begin(0)', '1 / 0'], ['peers.begin(1)', SLEEP])
    ready(*processes[1:])
    go(*processes[1:3])
    results = [finish(process) for process in processes]
    status, _, err = results.pop(2)
    assert status == 1
    assert 'ZeroDivisionError' in err
    assert 'left before the training was over' in err
    for status, _, err in results:
        assert status == peers.STATUS
        assert 'is gone' in err
    assert 'worker 0 on' in results[0][2]


BUSY = """
peers.begin(1)
import time
end = time.monotonic() + 4
while time.monotonic() < end:
    pass
peers.end()
"""


def test_a_long_step_is_no_silence(monkeypatch):
    monkeypatch.setenv('D2L_GAN_SILENCE_SECONDS', '2')
    processes = run_of(['pass', 'peers.begin(0); peers.end()'], ['pass', BUSY])
    ready(*processes[1:])
    go(*processes[2:])
    for process in (*processes[2:], *processes[:2]):
        status, _, err = finish(process)
        assert (status, err) == (0, '')


@pytest.mark.parametrize('victim', [0, 1, 3])
def test_a_process_that_is_stopped_goes_on_or_is_lost(victim, monkeypatch):
    monkeypatch.setenv('D2L_GAN_SILENCE_SECONDS', '6')
    processes = run_of(['peers.begin(0)', SLEEP], ['peers.begin(1)', SLEEP])
    ready(*processes[1:])
    go(*processes[1:])
    processes[victim].send_signal(signal.SIGSTOP)
    time.sleep(3)
    processes[victim].send_signal(signal.SIGCONT)
    time.sleep(4)
    assert all(process.poll() is None for process in processes)
    processes[victim].send_signal(signal.SIGSTOP)
    role = ('scheduler', 'server', 'worker', 'worker 1')[victim]
    for i, process in enumerate(processes):
        if i != victim:
            status, _, err = finish(process)
            assert status == peers.STATUS
            assert role in err
            assert 'no sign of life for 6 s' in err or victim == 0
    # Should it wake up, it ends too.
    processes[victim].send_signal(signal.SIGCONT)
    assert finish(processes[victim])[0] == peers.STATUS


def test_ctrl_c_in_one_worker_ends_all():
    processes = run_of(['peers.begin(0)', SLEEP], ['peers.begin(1)', SLEEP])
    ready(*processes[1:])
    go(*processes[1:])
    time.sleep(1)
    processes[3].send_signal(signal.SIGINT)
    status, _, err = finish(processes.pop())
    assert status == 128 + signal.SIGINT
    assert 'KeyboardInterrupt' in err
    for process in processes:
        status, _, err = finish(process)
        assert status == peers.STATUS
        assert 'worker 1 on' in err and 'was interrupted' in err


def test_a_lost_scheduler_ends_all():
    processes = run_of(['peers.begin(0)', SLEEP], ['peers.begin(1)', SLEEP])
    ready(*processes[1:])
    go(*processes[1:])
    processes[0].kill()
    for process in processes[1:]:
        status, _, err = finish(process)
        assert status == peers.STATUS
        assert 'the scheduler at 127.0.0.1' in err and 'is gone' in err
    finish(processes[0])


def test_who_has_finished_needs_nobody():
    done = ['peers.begin(0)', 'peers.end()', 'print("evaluated")']
    processes = run_of(done, done)
    ready(*processes[2:])
    go(*processes[2:])
    ready(*processes[2:])
    go(processes[2])
    assert finish(processes[2])[:2] == (0, 'evaluated\n')
    go(processes[3])
    assert finish(processes[3])[:2] == (0, 'evaluated\n')
    # Nobody is left to be served.
    assert [finish(process)[0] for process in processes[:2]] == [0, 0]


def test_a_worker_that_begins_alone_is_told():
    processes = run_of(
        ['peers.begin(0)', 'peers.end()'],
        ['peers.begin(1)', 'peers.end()', f'peers.begin(1); {SLEEP}'],
    )
    ready(*processes[1:])  # nobody is missed before all have come
    go(*processes[2:])
    assert finish(processes[2])[0] == 0
    ready(processes[3])
    go(processes[3])
    status, _, err = finish(processes[3])
    assert status == peers.STATUS
    assert 'a worker goes on, but another one has left' in err
    for process in processes[:2]:
        finish(process)


def test_ssh_and_its_hosts(tmp_path, monkeypatch, capfd):
    """With an `ssh` that notes its arguments, and stays on this machine."""
    ssh = tmp_path / 'ssh'
    ssh.write_text('#!/bin/sh\necho "$3 $4 $5 $6" >> "$0.log"\nsh -c "$7"\n')
    ssh.chmod(0o755)
    hosts = tmp_path / 'hosts'
    hosts.write_text('127.0.0.1:2200  # mine\n\nlocalhost slots=2\n')
    path = script(tmp_path, """
        import os, sys
        from d2l_gan.cluster import peers
        peers.end()
        line = '|'.join([os.environ['DMLC_NODE_HOST'], *sys.argv[1:]])
        print(line + '\\n', end='')  # at once: others write there, too
        """)  # fmt: skip
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    argv = ['-n', '2', '-H', str(hosts), str(path), "it's", 'two  words']
    assert launch.main(argv) == 0
    lines = sorted((tmp_path / 'ssh.log').read_text().splitlines())
    assert lines == (['-p 22 -- localhost'] * 2 + ['-p 2200 -- 127.0.0.1'] * 2)
    out = capfd.readouterr().out
    assert sorted(out.splitlines()) == [
        "127.0.0.1|it's|two  words",
        "localhost|it's|two  words",
    ]


def test_variables_are_all_that_it_takes(tmp_path):
    """Processes that were started by other means than the launcher."""
    variables = {
        'DMLC_PS_ROOT_URI': '127.0.0.1',
        'DMLC_PS_ROOT_PORT': free_port(),
        'DMLC_NUM_WORKER': 1,
        'DMLC_NUM_SERVER': 1,
        'DMLC_NODE_HOST': '127.0.0.1',
    }
    serve = '-c', 'import d2l_gan, mxnet'
    train = '-m', 'd2l_gan', 'train', 'gaussian', '--epochs', '1'
    processes = [
        start(*argv, cwd=tmp_path, DMLC_ROLE=role, **variables)
        for role, argv in (
            ('scheduler', serve),
            ('server', serve),
            ('worker', train),
        )
    ]
    for process in processes:
        status, _, err = finish(process)
        assert status == 0, err
    assert (tmp_path / 'runs/gaussian-0/generator-0000.params').exists()


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['-n', '2'], 'Add a command'),
        (['-n', '2', '-H', 'none', 'x.py'], 'none'),
    ],
)
def test_what_cannot_be_started(argv, message, capsys):
    assert launch.main(argv) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'host', ['-oProxyCommand=id', 'fe80::1', '[::1]:22', 'a:b', 'me@a', '\xff']
)
def test_what_is_no_machine_does_not_reach_ssh(
    host, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'hosts').write_text(f'{host}\n', encoding='latin-1')
    monkeypatch.setattr('subprocess.Popen', None)
    argv = ['-n', '1', '-H', str(tmp_path / 'hosts'), 'x.py']
    assert launch.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'{tmp_path / "hosts"}: ' in line and 'is no machine' in line


def test_two_launchers_on_one_port(capsys):
    port = free_port()
    claim = launch._claim(port + 1)  # as one does that has just begun
    assert launch.main(['-n', '1', '--port', str(port), 'x.py']) == 2
    assert f'port {port + 1} is in use' in capsys.readouterr().err
    claim.close()
    launch._claim(port + 1).close()


def test_a_command_that_fails(tmp_path):
    path = script(tmp_path, 'import sys; sys.exit(3)')
    process = start('-m', 'd2l_gan.cluster.launch', '-n', 1, path)
    status, _, err = finish(process)
    assert status == 3
    assert 'worker 0' in err and 'ended with status 3' in err


def test_launching_after_mxnet_was_imported(tmp_path, monkeypatch):
    # Then the library has not set the number of threads.
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.delenv('D2L_GAN_NUM_THREADS', raising=False)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    path = script(tmp_path, 'import sys; sys.exit(3)')
    assert launch.main(['-n', '1', str(path)]) == 3


def test_processes_die_with_their_launcher(tmp_path):
    path = script(
        tmp_path, 'import time\nprint(1, flush=True)\ntime.sleep(60)'
    )
    process = start('-m', 'd2l_gan.cluster.launch', '-n', 2, path)
    assert sorted(process.stdout.read(4)) == sorted(2 * '1\n')
    found = [f for role in pids(process.pid).values() for f in role]
    assert len(found) == 4
    process.kill()
    process.wait()
    for _ in range(50):
        states = [
            (f / 'stat').read_text().rpartition(')')[2].split()[0]
            for f in found
            if f.exists()
        ]
        if set(states) <= {'Z'}:  # dead, if nobody has asked after them
            return
        time.sleep(0.1)
    pytest.fail(f'the processes are in the states {states}')
