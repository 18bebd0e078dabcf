"""What can be done with a label space once it is there: look at it, take it elsewhere, compare it, extend it."""
