"""What the import writes down when a client's consent flags change: evidence of opt-ins and opt-outs (safety S7).

Belongs here: that one part of the statement that writes a page of clients. Does not: what follows from it (`sync`).
"""

CONSENT_EVENTS = """, consent as (
    insert into consent_events (source, phorest_id, channel, purpose, before, after, batch_id, detail)
    select 'phorest', i.phorest_id, flag.channel, flag.purpose, flag.was, flag.becomes, :batch_id,
           jsonb_build_object('same_address', flag.same_address, 'version', i.version)
    from incoming i join written using (phorest_id) join before b using (phorest_id)
    cross join lateral (values
        ('SMS', 'marketing', b.sms_marketing_consent, i.sms_marketing_consent, b.mobile is not distinct from i.mobile),
        ('SMS', 'reminder', b.sms_reminder_consent, i.sms_reminder_consent, b.mobile is not distinct from i.mobile),
        ('Email', 'marketing', b.email_marketing_consent, i.email_marketing_consent,
         b.email is not distinct from i.email),
        ('Email', 'reminder', b.email_reminder_consent, i.email_reminder_consent, b.email is not distinct from i.email)
    ) as flag (channel, purpose, was, becomes, same_address)
    where flag.was is distinct from flag.becomes
)"""
"""One row in `consent_events` for each flag that differs from the one we held, in the same statement as the row itself:
a change that is seen once is never seen again."""
