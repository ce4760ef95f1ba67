"""Check-ins → notes on contacts: what each is to say, which are missing, putting them there."""
