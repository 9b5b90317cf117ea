"""Sound: Opus decoded, mixed onto one clock, resampled, and coded as AAC.

Imports media.handover; imported by media.render and media.mux.
"""
