"""What `proof.fuzz` tries: good inputs, what goes wrong with them, whom they are for, and what must hold."""
