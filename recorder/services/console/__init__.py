"""What the console asks beside everybody's API: who is signed in, what runs now, what the server is made of.

Imports recording, archive and database; imported by the composition alone.
"""
