"""The hidden participant's media, from RTP to fragments: timeline, mixing, composing, encoding."""
