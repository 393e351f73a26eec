"""Judges that we did not write: they hold the embedded forge to GitHub's published descriptions."""
