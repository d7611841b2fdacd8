#!/usr/bin/env bash
# A Slurm of one node on the loopback interface, with two invented GPUs and no accounting.
#
#   cluster.sh start DIR     DIR receives state, logs and the pid files
#   cluster.sh stop DIR
#
# Needs root and Debian's slurm-wlm and munge, which it installs when it can. Exit code 77: cannot be had here.
set -euo pipefail

MARK="# made by tests/slurm/cluster.sh"
CONF=/etc/slurm/slurm.conf
GRES=/etc/slurm/gres.conf

cannot() {
    echo "no Slurm here: $*" >&2
    exit 77
}

install() {
    command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null && return
    command -v apt-get >/dev/null || cannot "slurm-wlm and munge are not installed and there is no apt-get"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; } >"$DIR/apt.log" 2>&1 ||
        cannot "slurm-wlm and munge cannot be installed (see $DIR/apt.log)"
}

configure() {
    local host
    host=$(hostname -s)
    mkdir -p "$DIR"/{spool,state,run} /etc/slurm
    for number in 0 1; do # character devices: with plain files Slurm leaves CUDA_VISIBLE_DEVICES unset
        [ -e "$DIR/fakegpu$number" ] || mknod "$DIR/fakegpu$number" c 1 3 || cannot "mknod is not allowed"
    done
    cat >"$CONF" <<EOF
$MARK
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
ReturnToService=2
MinJobAge=7200
KillWait=5
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.pid
SlurmdSpoolDir=$DIR/spool
StateSaveLocation=$DIR/state
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.log
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname=$host CPUs=$(nproc) RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
EOF
    cat >"$GRES" <<EOF
$MARK
AutoDetect=off
NodeName=localhost Name=gpu File=$DIR/fakegpu[0-1]
EOF
}

start() {
    [ "$(id -u)" = 0 ] || cannot "root is needed to start the daemons"
    mkdir -p "$DIR"
    [ ! -e "$CONF" ] || grep -q "^$MARK" "$CONF" || cannot "$CONF is there already: this machine belongs to a cluster"
    install
    configure
    mkdir -p "$DIR/munge" /run/munge
    chown munge: "$DIR/munge" /run/munge
    chmod 755 "$DIR"
    [ -e /etc/munge/munge.key ] || create-munge-key >/dev/null 2>&1 || cannot "no munge key"
    if ! munge -n >/dev/null 2>&1; then
        runuser -u munge -- munged --log-file="$DIR/munge/munged.log" --pid-file="$DIR/munge/munged.pid" \
            --seed-file="$DIR/munge/seed" || cannot "munged does not start (see $DIR/munge/munged.log)"
    fi
    { slurmctld -c && slurmd -c; } || gives_up "its daemons do not start"
    for _ in $(seq 60); do
        [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && break
        sleep 0.5
    done
    # What this machine cannot do at all is not the workflow's failure.
    timeout 60 srun --ntasks=1 true || gives_up "a job that does nothing does not run"
}

gives_up() {
    tail -n 20 "$DIR"/slurm*.log >&2 || true
    stop
    cannot "$*"
}

stop() {
    for name in slurmd slurmctld; do
        [ -s "$DIR/run/$name.pid" ] && kill "$(cat "$DIR/run/$name.pid")" 2>/dev/null || true
    done
    [ -s "$DIR/munge/munged.pid" ] && kill "$(cat "$DIR/munge/munged.pid")" 2>/dev/null || true
    for file in "$CONF" "$GRES"; do
        if [ -e "$file" ] && grep -q "^$MARK" "$file"; then rm -f "$file"; fi
    done
}

DIR=$(realpath -m "${2:?usage: cluster.sh start|stop DIR}")
case "$1" in
start | stop) "$1" ;;
*)
    echo "usage: cluster.sh start|stop DIR" >&2
    exit 2
    ;;
esac
