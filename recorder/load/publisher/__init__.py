"""What publishers of a load show and say: profiles of calls, cards with numbers, clips coded once, a process.

Imports recorder.demo (voices, its WHIP client) and recorder.kernel; imported by recorder.load.
"""
