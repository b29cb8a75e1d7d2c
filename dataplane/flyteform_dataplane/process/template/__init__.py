"""A process that has imported the SDK once and forks one child for each attempt of a task.

It is run by path (this directory's) with whatever interpreter a task's image stands for, so all of it needs Python 3.9
and its standard library only, and its modules import each other relatively: here they are part of the data plane, there
of a package of its own that is on no import path. It has one thread only, as a fork copies no other: when an import
leaves more than one, it says so and goes on starting programs of their own only.
"""
