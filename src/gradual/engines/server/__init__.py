"""An inference server as an `Engine`: requests that survive its faults, answers in order, and a canary before them.

Knows servers with OpenAI's completions that take and give token ids (vLLM). Loads httpx and tenacity, and no torch but
to hold local weights against the server.
"""
