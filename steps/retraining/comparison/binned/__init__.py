"""The same for more rows than the driver can hold.

A bin is an interval of scores of one model. A cell is a label, a bin of the champion and a bin of
the challenger: the rows with that label and those scores.
"""
