#!/usr/bin/env bash
# SLURM: one sweep on all nodes of an allocation, a Ray cluster for as long as it lasts. What follows the script is the sweep's:
#   sbatch slurm.sh gta2cityscapes --profile full --data /shared/data --store /shared/store
# Two minutes before its time is up the sweep is stopped, and the job queued again; it goes on from the store, until it is done.
# `scancel` stops it for good. Store, data and home must be on disks that all nodes see.
#SBATCH --job-name=segshift
#SBATCH --nodes=2                            # EDIT
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4                    # EDIT
#SBATCH --cpus-per-task=32                   # EDIT: all cores of a node
#SBATCH --time=24:00:00                      # EDIT
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=segshift-%j.log
##SBATCH --partition=gpu                     # EDIT, and remove one #
set -uo pipefail
SEGSHIFT_HOME="${SEGSHIFT_HOME:-$HOME/segshift}" # EDIT: the checkout, after `make setup`
export PATH="$SEGSHIFT_HOME/.venv/bin:$PATH"
START_LIMIT_S="${START_LIMIT_S:-180}"

if [ $# -eq 0 ]; then
    echo "usage: sbatch slurm.sh EXPERIMENT [what segshift sweep takes]" >&2
    exit 2
fi

# Ports from the job's number: two jobs on one node do not meet.
port=$((20000 + SLURM_JOB_ID % 5000))
agent_port=$((port + 15000))
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head="${nodes[0]}"
head_ip="$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')"
address="$head_ip:$port"

# A token for this job alone: whoever reaches Ray's ports without it is refused.
umask 077
mkdir -p "$HOME/.ray"
token="$HOME/.ray/segshift-$SLURM_JOB_ID"
python -c 'import secrets; print(secrets.token_hex(32))' > "$token" || exit 1
export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK" # srun does not take it from sbatch since 22.05
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$token" RAY_USAGE_STATS_ENABLED=0
temp="/tmp/ray-$SLURM_JOB_ID"

sweep=""
time_is_up=""
stop_sweep() { if [ -n "$sweep" ]; then kill -TERM "$sweep" 2> /dev/null; fi; }
trap 'time_is_up=1; stop_sweep' USR1
trap 'stop_sweep' TERM
clean_up() {
    trap - EXIT USR1 TERM
    jobs -p | xargs -r kill 2> /dev/null # the steps that hold Ray
    wait
    rm -f "$token"
}
trap clean_up EXIT

echo "Ray's head on $head ($address), workers on ${nodes[*]:1}"
srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" \
    ray start --head --node-ip-address="$head_ip" --port="$port" --ray-client-server-port=$((port + 10000)) \
    --dashboard-host=127.0.0.1 --dashboard-port=$((port + 5000)) --dashboard-agent-listen-port="$agent_port" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="$temp" --block &
started=$!

count_nodes() {
    timeout 30 python -c '
import sys, ray
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(sum(node["Alive"] for node in ray.nodes()))
' "$address" 2> /dev/null || echo 0
}
wait_for_nodes() { # how many
    local until=$((SECONDS + START_LIMIT_S))
    while [ "$(count_nodes)" -lt "$1" ]; do
        if [ "$SECONDS" -ge "$until" ] || ! kill -0 "$started" 2> /dev/null; then
            echo "only $(count_nodes) of $1 Ray nodes came up; see above, and $temp/session_latest/logs on the nodes" >&2
            return 1
        fi
        sleep 2
    done
}
wait_for_nodes 1 || exit 1

if [ "${#nodes[@]}" -gt 1 ]; then
    others=$((${#nodes[@]} - 1))
    srun --nodes="$others" --ntasks="$others" --ntasks-per-node=1 --overlap --exclude="$head" \
        ray start --address="$address" --dashboard-agent-listen-port="$agent_port" \
        --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="$temp" --block &
    started=$!
    wait_for_nodes "${#nodes[@]}" || exit 1
fi

segshift sweep "$@" --address "$address" --no-servers &
sweep=$!
if [ -n "$time_is_up" ]; then stop_sweep; fi
# A trapped signal ends `wait` early: wait again until the sweep itself has ended.
while kill -0 "$sweep" 2> /dev/null; do wait "$sweep"; done
wait "$sweep"
code=$?
if [ -n "$time_is_up" ] && [ "$code" -ne 0 ]; then
    echo "time is up: queued again"
    clean_up
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
