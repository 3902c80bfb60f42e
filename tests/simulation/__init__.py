"""The ring's own code on simulated time: one schedule of what happens when, and of what goes wrong, for each seed.

scheduler   greenlets in place of threads, one at a time; who goes next and how late is drawn from the seed
bus         what a real broker does to its clients and the in-memory one does not
faults      what goes wrong, as a list that can be printed, shortened and kept
processes   programs, each in one process after another, and the faults that hit any of them
workers     workers of one service under those faults, and what has to be true of them
ring        a whole game under them: the real trainer, three services and a replica
hunt        plays schedules until one breaks something: `make simulate`
"""
