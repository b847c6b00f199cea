"""`alongside doctor`: what is wrong on this host, what it means for the ports, and the remedy.

facts.py      what was seen, as values; what could not be seen says why
gather/       seeing it: the only part that opens a file, a socket or a process
foreign/      other owners' packet rules, read and followed, never written
checks/       pure: from facts to findings
catalogue.py  every check, with its id
"""
