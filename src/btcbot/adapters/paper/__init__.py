"""A venue of our own: real or recorded prices come in, orders rest, fill and are cancelled, and nothing leaves."""
