"""GraphQL as GitHub speaks it, from GitHub's own schema, over the forge's state."""
