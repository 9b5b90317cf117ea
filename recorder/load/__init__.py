"""`bystander load`: many calls at once against a running server, judged by the recordings that come of them.

Pure: seen, verdict, capacity, report, page. In the world: publisher, client, call, found, sampling, main.
Imports recorder.demo (its server), recorder.kernel, media.check and media.video; imported by recorder.cli.
"""
