"""Prompt texts, shipped as data; bot/prompts.py renders them."""
