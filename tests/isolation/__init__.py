"""Nodes in network namespaces that are made for them: who talks to whom, shown by captures."""
