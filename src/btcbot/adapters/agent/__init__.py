"""Agents that are asked over the network."""
