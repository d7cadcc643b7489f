"""The way to a running vLLM server. Nothing here needs torch or the package vllm."""
