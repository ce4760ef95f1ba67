"""What follows from visits, sales, online bookings and points about each client, counted in PostgreSQL.

Belongs here: one module a facet, with the definition of each of its facts. Does not: which contact has them (`projection`).

The day and the moment are parameters: the vendor's time, never this machine's. What was never imported is not known, and
says nothing: a client without a row of a diary that nobody has read is not a client without an appointment.
"""
