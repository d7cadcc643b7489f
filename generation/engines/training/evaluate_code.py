"""How often pocket-code ends by itself and writes what parses: `python -m generation.engines.training.evaluate_code`.

Prompts are the first lines of made-up functions; sampled at temperature 0.6, top-p 0.9.
"""

import argparse
import ast
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from generation.engines.training.train_code import WEIGHTS_FOLDER

PROMPTS = (
    "def fibonacci(n):\n",
    "def read_lines(path):\n",
    "class Stack:\n\n    def __init__(self):\n",
    "def is_prime(number):\n    ",
    "def parse_header(line):\n",
    'def write_file(path, text):\n    """Write text to a file."""\n',
    "def count_words(text):\n",
    "async def fetch(reader):\n",
)
MOST_TOKENS = 200


def parses(text: str) -> bool:
    """Whether Python's own parser takes the text."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def without_last_line(text: str) -> str:
    """The text up to its last line end: what is left of a completion that ran out of tokens."""
    return text[: text.rfind("\n") + 1]


@torch.inference_mode()
def complete(model, tokenizer, prompt: str) -> tuple[str, bool]:
    """Prompt and completion, and whether the model ended it by itself."""
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    made = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=MOST_TOKENS,
        do_sample=True,
        temperature=0.6,
        top_p=0.9,
        pad_token_id=tokenizer.eos_token_id,
    )[0]
    return tokenizer.decode(made, skip_special_tokens=True), bool(made[-1] == tokenizer.eos_token_id)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--rounds", type=int, default=5, help="completions of each prompt")
    parser.add_argument("--show", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(arguments.folder)
    model = AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=torch.float32).eval()
    results = [complete(model, tokenizer, prompt) for _ in range(arguments.rounds) for prompt in PROMPTS]
    for text, _ in results[: arguments.show]:
        print(text, "-" * 40, sep="\n")
    count = len(results)
    ended = sum(done for _, done in results) / count
    parsed = sum(parses(text if done else without_last_line(text)) for text, done in results) / count
    print(json.dumps({"completions": count, "ended": round(ended, 3), "parses": round(parsed, 3)}))


if __name__ == "__main__":
    main()
