"""One module per adapter, named like it: the ways in which the shared suite calls its library.

The suite loads this folder as the package `adapter_drivers`; it must not lie in `sys.path`, as its modules have the
libraries' names. Modules whose name begins with an underscore are no drivers.
"""
