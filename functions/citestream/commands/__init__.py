"""What the command line does: on the index of this machine, and on a deployment by way of its documents bucket."""
