"""A guard model beside the classifier: any transformers sequence-classification folder whose labels name categories."""

from pathlib import Path


class GuardFolder:
    """Label → share of 1, by softmax, or by label on its own where the model was trained for several at once."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.set_num_threads(1)
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()

    def scores(self, text: str) -> dict[str, float]:
        """The whole text, in parts as long as the model reads; of each label the highest."""
        with self._torch.inference_mode():
            inputs = self._tokenizer(
                text,
                return_tensors="pt",
                truncation=True,
                padding=True,
                return_overflowing_tokens=True,
                stride=32,
            )
            inputs.pop("overflow_to_sample_mapping", None)
            logits = self._model(**inputs).logits
            several = self._model.config.problem_type == "multi_label_classification"
            shares = logits.sigmoid() if several else logits.softmax(dim=-1)
            highest = shares.max(dim=0).values.tolist()
        labels = self._model.config.id2label
        return {labels[place].lower().replace(" ", "_"): share for place, share in enumerate(highest)}
