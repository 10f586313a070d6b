"""The settings of the profiles beside `run`, one module for each subject; `Settings` inherits them all."""
