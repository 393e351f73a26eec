"""Local mode: the same parts and the same engine for a clone on this machine, with files and branches only."""
