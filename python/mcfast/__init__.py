"""mcfast."""
