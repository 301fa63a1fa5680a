"""What people look at: the same words for a terminal, a page and a program."""
