"""Two rows or more of one protocol beside each other: their differences with paired intervals, in a terminal and as a page."""
