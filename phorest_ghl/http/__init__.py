"""What both API clients share: sending, retrying, pacing, paging, the table of errors, and what may be shown of them.

Belongs here: everything that is true of HTTP and of both vendors. Does not: endpoints, records, decisions.
"""
