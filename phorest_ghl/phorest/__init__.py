"""The Phorest side: client, wire models, import specs, the importer."""
