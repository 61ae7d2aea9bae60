#!/usr/bin/env bash
# A Slurm array that answers exported prompts: task I of N takes every N-th prompt.
#   pluralism export tests -o prompts.jsonl
#   sbatch --array=0-7 slurm_answers.sh prompts.jsonl ./checkpoint my-model
#   sbatch --array=3 slurm_answers.sh prompts.jsonl ./checkpoint my-model 8    # task 3 of 8 again
#   (head -1 answers-0.jsonl; tail -qn +2 answers-*.jsonl) > answers.jsonl
#   pytest --pluralism-model=responses:answers.jsonl
#SBATCH --job-name=pluralism
#SBATCH --gres=gpu:1
#SBATCH --time=02:00:00
set -euo pipefail
prompts=$1 model=$2 name=$3
task=${SLURM_ARRAY_TASK_ID:-0} tasks=${4:-${SLURM_ARRAY_TASK_COUNT:-1}}
# A task beyond the number of tasks would answer nothing, and leave the prompts of another one unanswered.
if [ "$task" -ge "$tasks" ]; then
    echo "Task $task of $tasks: number tasks from 0 (--array=0-$((tasks - 1))), or give the number of tasks." >&2
    exit 2
fi
# Slurm runs a copy of this script from a folder of its own, so that the job is looked for where it was submitted, too.
job=$(dirname "$0")/answer.py
if [ ! -e "$job" ]; then
    job=${PLURALISM_JOBS:-${SLURM_SUBMIT_DIR:-.}/examples/cluster}/answer.py
fi
if [ ! -e "$job" ]; then
    echo "No $job: name the folder of answer.py in PLURALISM_JOBS." >&2
    exit 2
fi
part="prompts-$task.jsonl"
awk -v n="$tasks" -v i="$task" '(NR - 1) % n == i' "$prompts" > "$part"
# Under Slurm srun gives the step its GPU and stops it with the job.
run=()
if [ -n "${SLURM_JOB_ID:-}" ]; then run=(srun --ntasks=1); fi
"${run[@]}" python "$job" "$part" "answers-$task.jsonl" --model="$model" --name="$name"
