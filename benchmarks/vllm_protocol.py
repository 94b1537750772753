"""The paper's protocol by vLLM, run by `probe.py` in vLLM's own environment; writes what it took as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; by default it takes most of a machine's memory

import vllm


def main() -> None:
    """Reads the task file named by the first argument, answers all its prompts and writes the second file."""
    task = json.loads(Path(sys.argv[1]).read_text())
    settings, prompts = task["settings"], task["prompts"]
    llm = vllm.LLM(model=task["model"], dtype="bfloat16", enable_prefix_caching=True, max_model_len=2048)
    common = {"max_tokens": settings["max_new_tokens"], "stop": ["\n"]}
    greedy = vllm.SamplingParams(temperature=0.0, **common)
    sampled = vllm.SamplingParams(
        n=settings["num_samples"], temperature=settings["temperature"], top_k=settings["top_k"], **common
    )
    llm.generate(prompts[:1], greedy, use_tqdm=False)
    started = time.perf_counter()
    outputs = [*llm.generate(prompts, greedy, use_tqdm=False), *llm.generate(prompts, sampled, use_tqdm=False)]
    seconds = time.perf_counter() - started
    read = sum(len(output.prompt_token_ids) for output in outputs)
    written = sum(len(answer.token_ids) for output in outputs for answer in output.outputs)
    result = {"seconds": seconds, "read": read, "written": written, "version": vllm.__version__}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
