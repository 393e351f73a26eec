"""The token broker and pusher (zone B): it alone holds the App's key and tokens, and never opens a worktree.

The bot's process holds opaque handles; what it asks of the forge goes through here, where the real secret is put in.
"""
