"""Processes that train together: how they start, and end together.

A run has a scheduler, through which the processes find each other, servers,
which add up gradients, and workers, which train. `d2l-gan launch` starts them
on this machine, or through ssh on others:

    d2l-gan launch -n 2 train dcgan --epochs 3
    d2l-gan launch -n 8 --hostfile machines own_script.py

Any other means will do as well, such as `mpirun`, Slurm, or a shell on each
machine: a process learns its part from environment variables alone.

    DMLC_ROLE: scheduler, server or worker
    DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT: the scheduler's machine and port
    DMLC_NUM_WORKER, DMLC_NUM_SERVER: how many of them there are
    DMLC_NODE_HOST: the name or address of the process's own machine

A scheduler or server has no more to do than `import d2l_gan, mxnet`; a worker
trains, with what `d2l_gan.parallel.join_workers` gives it. By hand, a run of
one worker is

    export DMLC_PS_ROOT_URI=10.0.0.1 DMLC_PS_ROOT_PORT=9000
    export DMLC_NUM_WORKER=1 DMLC_NUM_SERVER=1 DMLC_NODE_HOST=10.0.0.1
    DMLC_ROLE=scheduler python -c 'import d2l_gan, mxnet' &
    DMLC_ROLE=server python -c 'import d2l_gan, mxnet' &
    DMLC_ROLE=worker d2l-gan train dcgan

If one of the processes is lost, the others say so and exit; see
`d2l_gan.cluster.peers`. Three more variables are about that, and need not be
set.

    D2L_GAN_WATCH_PORT: a second port of the scheduler, by default the next
        one after DMLC_PS_ROOT_PORT; with 0, nobody watches.
    D2L_GAN_JOIN_SECONDS: how long processes wait for each other at the start,
        by default 120
    D2L_GAN_SILENCE_SECONDS: after how long without a sign of life a process
        is taken for lost, by default 60
"""
