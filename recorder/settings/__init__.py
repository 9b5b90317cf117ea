"""Every setting: its definition, how it is read, in which scope it may be said, and how it is documented.

Imports the kernel and storage.settings; everybody in recorder may import it.
"""
