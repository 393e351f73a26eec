"""What all slash commands share: how their words are read, and when they mean something."""
