"""From logs and tables to triples (user, item, score)."""
