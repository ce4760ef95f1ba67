"""Both vendors' APIs simulated over real HTTP, written from the facts pages alone.

What belongs here: what Phorest and GoHighLevel do, as the facts pages say it. What does not: anything our own client or
sync expects of them; a sandbox bent to its client proves nothing.
"""
