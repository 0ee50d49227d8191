#!/usr/bin/env bash
# tests/slurm_one_node.sh - scripts/slurm/phase1.sbatch under a real Slurm of this one machine, set up in a temporary folder: the signal that Slurm
# sends before a time limit makes two ranks save and stop, the job goes back into the queue, and the second start ends the run.
# Needs root and Debian's slurmctld, slurmd, slurm-client, munge and openmpi-bin; skipped (exit code 77) where one is missing. CPU build only.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
build=$(realpath "${PCM_BUILD:-build/cpu}")
skip() { echo "  skipped slurm_one_node: $1"; exit 77; }
for program in munged slurmctld slurmd sbatch mpirun; do
    command -v $program >/dev/null || skip "no $program (packages slurm-wlm, munge, openmpi-bin)"
done
[ "$(id -u)" -eq 0 ] || skip "Slurm's daemons need root"
[[ $build != *cuda* ]] || skip "one node without GPUs in its configuration"

work=$(mktemp -d) job=
host=$(hostname -s) port=$((20000 + RANDOM % 20000))
stop_daemons() {
    local d
    [ -z "$job" ] || scancel "$job" 2>/dev/null || true
    for d in slurmd slurmctld munged; do # in this order: those that wait for the later ones go first
        [ ! -s "$work/$d.pid" ] || kill "$(cat "$work/$d.pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$work"
}
trap stop_daemons EXIT
fail() {
    echo "  FAILED  slurm_one_node: $1"
    tail -n 30 "$work"/job.out "$work"/slurmctld.log "$work"/slurmd.log "$work"/munged.log 2>/dev/null || true
    exit 1
}
within() { # SECONDS WHAT COMMAND...: the command holds in time
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "$what"
        sleep 0.2
    done
}

cat >"$work/slurm.conf" <<EOF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.sock
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
export SLURM_CONF=$work/slurm.conf
mkdir "$work/state" "$work/spool"
chmod 755 "$work"
head -c 1024 /dev/urandom >"$work/munge.key"
chmod 400 "$work/munge.key"
munged --force --key-file="$work/munge.key" --socket="$work/munge.sock" --pid-file="$work/munged.pid" --log-file="$work/munged.log" \
    --seed-file="$work/munge.seed" >/dev/null 2>&1 || skip "munged does not start here"
within 10 "munged opens no socket" test -S "$work/munge.sock"
slurmctld -f "$SLURM_CONF" >/dev/null 2>&1 || skip "slurmctld does not start here"
slurmd -f "$SLURM_CONF" >/dev/null 2>&1 || skip "slurmd does not start here"
node_idle() { [[ $(sinfo -h -o %t 2>/dev/null) == idle* ]]; }
within 20 "the node does not become idle" node_idle

steps=600
"$build/synth" --level easy --count 400 --seed 1 --output "$work/a.jsonl" 2>/dev/null
"$build/prepare" --tokenizer byte --input "$work/a.jsonl" --output "$work/a.tok" 2>/dev/null
cat >"$work/model.json" <<EOF
{"model_type": "mamba2", "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 16, "expand": 2, "n_groups": 1, "state_size": 16,
 "conv_kernel": 4, "vocab_size": 260, "chunk_size": 32, "tie_word_embeddings": true}
EOF
cat >"$work/config.json" <<EOF
{"run_dir": "$work/run", "model": {"config": "$work/model.json"}, "tokenizer": "byte", "batch": {"rows": 24, "micro_rows": 4},
 "phases": [{"name": "phase1", "seq_len": 256, "steps": $steps, "data": [{"path": "$work/a.tok"}]}],
 "checkpoint": {"every_steps": 100000}, "log": {"every_steps": 50, "tensorboard": false}}
EOF

export BUILD=$build OMP_NUM_THREADS=1
job=$(sbatch --parsable --gpus-per-node=0 --ntasks-per-node=2 --cpus-per-task=1 --time=60 --output="$work/job.out" \
    scripts/slurm/phase1.sbatch "$work/config.json") || fail "sbatch refuses the script"
under_way() { [ -s "$work/run/metrics.jsonl" ]; }
said() { grep -q "$1" "$work/job.out"; }
within 60 "the run does not begin" under_way
scancel --batch --signal=USR1 "$job" # as Slurm itself, before the limit
within 60 "the job is not put back into the queue" said "back into the queue"
said "stopped by SIGUSR1 at step" || fail "the ranks did not save and stop"
first=$(sed -n 's/.*stopped by SIGUSR1 at step \([0-9]*\) of.*/\1/p' "$work/job.out")
# A job that was put back waits for two minutes, unless it is told not to.
start_now() { [[ $(squeue -h -j "$job" -o %t) != PD ]] || { scontrol update JobId="$job" StartTime=now 2>/dev/null; false; }; }
within 60 "the job does not start again" start_now
within 120 "the run does not end" said "launch: done"
said "resuming from $work/run/step_$(printf %06d "$first") " || fail "the second start did not go on from step $first"
[ "$(cat "$work/run/latest")" = "step_$(printf %06d $steps)" ] || fail "the newest checkpoint is $(cat "$work/run/latest")"
sed 's/^{"step":\([0-9]*\),.*/\1/' "$work/run/metrics.jsonl" | cmp - <(seq $steps) || fail "not every step once, in order"
gone() { [ -z "$(squeue -h -j "$job" -t RUNNING,COMPLETING)" ]; }
within 30 "the job does not end" gone
echo "  ok      slurm_one_node: stopped at step $first of $steps, queued again, done"
