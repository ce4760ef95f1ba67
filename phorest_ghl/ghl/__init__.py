"""The GoHighLevel side: client, wire models, versions, field registry."""
