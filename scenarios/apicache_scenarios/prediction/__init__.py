"""What will be asked next, from what was asked before."""
