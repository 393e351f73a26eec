"""The long work, one file for each kind of action that takes longer than a call to the forge."""
