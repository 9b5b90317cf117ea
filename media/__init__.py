"""From RTP to fragments: the hidden participant, timeline, mixing, composing, encoding, fMP4."""
