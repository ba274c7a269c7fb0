#!/usr/bin/env bash
# A real Slurm on this host: N slurmd as virtual nodes with fake GPUs; no systemd, no cgroups. Needs root, slurm-wlm and munge.
#   slurm_cluster.sh up [-n NODES] [-c CPUS] [-g GPUS] [-m MB] [-a]   -a: accounting (sacct), needs slurmdbd and mariadb-server
#   slurm_cluster.sh down | env | guard PID
# After `up`: eval "$(slurm_cluster.sh env)". All files are below $SLURM_TEST_DIR, ports from $SLURM_TEST_PORT on; the names of the
# nodes are in /etc/hosts until `down`.
set -Eeuo pipefail
directory=${SLURM_TEST_DIR:-/tmp/gtn-slurm}
port=${SLURM_TEST_PORT:-28400}
export SLURM_CONF=$directory/etc/slurm.conf
mark="# gtn-slurm $directory"

alive() { # PIDFILE
    local pid
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}

stop() { # the processes of these pid files: TERM, ten seconds, KILL
    local file
    for file in "$@"; do if alive "$file"; then kill "$(cat "$file")" 2>/dev/null || true; fi; done
    for _ in {1..100}; do
        local left=0
        for file in "$@"; do alive "$file" && left=1; done
        [ "$left" = 0 ] && break
        sleep 0.1
    done
    for file in "$@"; do
        if alive "$file"; then kill -9 "$(cat "$file")" || true; fi
        rm -f "$file"
    done
    return 0
}

until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

names() { for index in $(seq 0 $((nodes - 1))); do echo "vnode$index"; done; }

forget_names() {
    if grep -qF "$mark" /etc/hosts; then
        local rest
        rest=$(grep -vF "$mark" /etc/hosts)
        printf '%s\n' "$rest" >/etc/hosts
    fi
}

no_jobs() { [ -z "$(timeout 5 squeue -h)" ]; }

all_idle() { [ "$(timeout 5 sinfo -h -N -t idle -p batch -o %N | wc -l)" = "$nodes" ]; }

down() {
    if [ -d "$directory/run" ]; then
        if alive "$directory/run/slurmctld.pid"; then
            timeout 5 scancel --user="$(id -un)" 2>/dev/null || true
            until_true 5 no_jobs || true
        fi
        stop "$directory"/run/slurmd.*.pid "$directory/run/slurmctld.pid"
        stop "$directory/run/slurmdbd.pid"
        stop "$directory/run/mariadbd.pid" "$directory/run/munged.pid"
    fi
    forget_names
    rm -rf "$directory"
}

accounting() { # a private database and slurmdbd
    local database=$directory/db
    mariadb-install-db --no-defaults --user=root --datadir="$database/data" --skip-test-db \
        --auth-root-authentication-method=normal >"$directory/log/mariadb.log" 2>&1
    mariadbd --no-defaults --user=root --datadir="$database/data" --socket="$database/socket" --pid-file="$database/pid" \
        --bind-address=127.0.0.1 --port=$((port + 3)) --skip-log-bin --innodb-flush-log-at-trx-commit=0 \
        --innodb-lock-wait-timeout=900 >>"$directory/log/mariadb.log" 2>&1 &
    echo $! >"$directory/run/mariadbd.pid"
    until_true 20 mariadb-admin --no-defaults -uroot -S "$database/socket" ping
    mariadb --no-defaults -uroot -S "$database/socket" -e "create database slurm_acct_db;
        create user 'slurm'@'localhost' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'localhost';
        create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';"
    (umask 077 && cat >"$directory/etc/slurmdbd.conf") <<CONF
AuthType=auth/munge
AuthInfo=socket=$directory/run/munge.sock,cred_expire=5
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=root
LogFile=$directory/log/slurmdbd.log
PidFile=$directory/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
}

accounting_lines() {
    if [ "$with_sacct" = 1 ]; then
        echo "AccountingStorageType=accounting_storage/slurmdbd"
        echo "AccountingStorageHost=127.0.0.1"
        echo "AccountingStoragePort=$((port + 2))"
        echo "AccountingStoragePass=$directory/run/munge.sock"
        echo "AccountingStorageTRES=gres/gpu"
    else
        echo "AccountingStorageType=accounting_storage/none"
    fi
}

configuration() {
    local here last=$((nodes - 1))
    here=$(hostname -s)
    cat <<CONF
ClusterName=testcluster
SlurmctldHost=$here(127.0.0.1)
SlurmctldPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$directory/run/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool/%n
SlurmctldPidFile=$directory/run/slurmctld.pid
SlurmdPidFile=$directory/run/slurmd.%n.pid
SlurmctldLogFile=$directory/log/slurmctld.log
SlurmdLogFile=$directory/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000,bf_interval=2
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
CompleteWait=0
MinJobAge=600
# Jobs derive the port of their rendezvous from their number: clusters beside each other number theirs apart.
FirstJobId=$((1 + (port - 28400) * 5))
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
TreeWidth=65533
DefMemPerCPU=256
$(accounting_lines)
NodeName=vnode[0-$last] NodeHostname=$here NodeAddr=127.0.0.1 Port=[$((port + 10))-$((port + 10 + last))] CPUs=$cpus RealMemory=$memory Gres=gpu:$gpus
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=30 PriorityTier=10 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL MaxTime=INFINITE DefaultTime=30 PriorityTier=100 PreemptMode=OFF
CONF
}

up() {
    nodes=3 cpus=4 gpus=2 memory=4096 with_sacct=0
    while getopts "n:c:g:m:a" option; do
        case $option in
        n) nodes=$OPTARG ;;
        c) cpus=$OPTARG ;;
        g) gpus=$OPTARG ;;
        m) memory=$OPTARG ;;
        a) with_sacct=1 ;;
        *) exit 2 ;;
        esac
    done
    [ "$nodes" -ge 2 ] || { echo "at least two nodes" >&2; exit 2; }
    down
    trap 'tail -n 5 "$directory"/log/*.log >&2; down; exit 1' ERR
    mkdir -p "$directory"/{etc,run,log,state,spool,dev,munge,db}
    chmod 755 "$directory" "$directory"/*
    (umask 077 && dd if=/dev/urandom of="$directory/munge/key" bs=128 count=1 status=none)
    munged --force --key-file="$directory/munge/key" --socket="$directory/run/munge.sock" --num-threads=2 \
        --pid-file="$directory/run/munged.pid" --log-file="$directory/log/munged.log" --seed-file="$directory/munge/seed"
    for index in $(seq 0 $((gpus - 1))); do ln -sfn /dev/null "$directory/dev/nvidia$index"; done
    echo "NodeName=vnode[0-$((nodes - 1))] Name=gpu File=$directory/dev/nvidia[0-$((gpus - 1))]" >"$directory/etc/gres.conf"
    configuration >"$SLURM_CONF"
    if [ "$with_sacct" = 1 ]; then
        accounting
        slurmdbd
        until_true 20 sacctmgr -n show cluster
        sacctmgr -i -Q add cluster testcluster >/dev/null
        sacctmgr -i -Q add account test cluster=testcluster >/dev/null
        sacctmgr -i -Q add user "$(id -un)" account=test >/dev/null
    fi
    for name in $(names); do echo "127.0.0.1 $name $mark"; done >>/etc/hosts
    slurmctld -f "$SLURM_CONF" -c
    for name in $(names); do slurmd -f "$SLURM_CONF" -N "$name"; done
    until_true 20 all_idle
    trap - ERR
    echo "up: $nodes nodes with $cpus CPUs and $gpus fake GPUs each"
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command in
up) up "$@" ;;
down) down ;;
guard) # PID: takes the cluster down when that process is gone, however it ended
    while kill -0 "$1" 2>/dev/null; do sleep 1; done
    down
    ;;
env) echo "export SLURM_CONF=$SLURM_CONF" ;;
*) sed -n 2,6p "$0" && exit 2 ;;
esac
