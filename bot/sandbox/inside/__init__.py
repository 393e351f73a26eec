"""Owns the programs that run inside a box on the bot's behalf: Python's own library and each other is all they use.

In the box these files lie below /run/gitwright as they lie here, which `__main__.py` starts.
"""
