#!/usr/bin/env bash
# A Slurm array that answers exported prompts: task I of N takes every N-th prompt.
#   pluralism export tests -o prompts.jsonl
#   sbatch --array=0-7 slurm_answers.sh prompts.jsonl ./checkpoint my-model
#   (head -1 answers-0.jsonl; tail -qn +2 answers-*.jsonl) > answers.jsonl
#   pytest --pluralism-model=responses:answers.jsonl
#SBATCH --job-name=pluralism
#SBATCH --gres=gpu:1
#SBATCH --time=02:00:00
set -euo pipefail
prompts=$1 model=$2 name=$3
task=${SLURM_ARRAY_TASK_ID:-0} tasks=${SLURM_ARRAY_TASK_COUNT:-1}
part="prompts-$task.jsonl"
awk -v n="$tasks" -v i="$task" '(NR - 1) % n == i' "$prompts" > "$part"
python "$(dirname "$0")/answer.py" "$part" "answers-$task.jsonl" --model="$model" --name="$name"
