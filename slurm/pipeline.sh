#!/usr/bin/env bash
# Trains a teacher, searches with it, trains the winners and reports: four jobs, each of which waits for the one before.
# Where one fails, those after it are cancelled. Options of sbatch for all: SBATCH_PARTITION=gpu ...; for one stage:
#   TRAIN="--nodes=2 --gpus-per-task=1" SEARCH="--ntasks-per-node=17" slurm/pipeline.sh CONFIG [KEY=VALUE ...]
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: slurm/pipeline.sh CONFIG [KEY=VALUE ...]" >&2; exit 2; }
here=$(dirname "$0")
before=

submit() { # STAGE OPTIONS SCRIPT ARGUMENTS...
    local stage=$1 script=$here/$3 options job
    read -ra options <<<"$2"
    [ -z "$before" ] || options+=("--dependency=afterok:$before" --kill-on-invalid-dep=yes)
    job=$(sbatch --parsable ${options[@]+"${options[@]}"} "$script" "${@:4}")
    before=${job%%;*}
    echo "$stage $before"
}

submit train "${TRAIN:-}" meta_train.sbatch "$@"
submit search "${SEARCH:-}" search.sbatch "$@"
submit final "${FINAL:-}" final.sbatch "$@"
submit report "${REPORT:-}" report.sbatch "$@"
