"""Segment Anything: models by name, image embeddings, prompts to masks."""
